// SPDX-License-Identifier: GPL-2.0
/*
 * A module that does wrong, as it is told by fault=: each debug kernel has to notice what
 * it is there for (tests/tests/debug/canary.rs). Else a run without reports says nothing.
 */

#include <linux/debug_locks.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *fault = "";
module_param(fault, charp, 0400);

static int __rcu *shared;
static DEFINE_MUTEX(one);
static DEFINE_MUTEX(two);
static DEFINE_SPINLOCK(held);

/* A byte behind what was allocated. */
static int bounds(void)
{
	volatile char *bytes = kmalloc(120, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	bytes[120] = 1;
	kfree((void *)bytes);
	return 0;
}

/* Read when it is free. */
static int freed(void)
{
	volatile char *bytes = kmalloc(120, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	kfree((void *)bytes);
	return bytes[7] ? 0 : 0;
}

/* Many: the allocator's caches still know the last ones, which hides them from kmemleak. */
static int leak(void)
{
	int i;

	for (i = 0; i < 1000; i++)
		if (!kmalloc(120, GFP_KERNEL))
			return -ENOMEM;
	return 0;
}

/* By more bits than there are. */
static int shift(void)
{
	volatile int by = 40;
	volatile int bits = 1;

	bits = bits << by;
	return 0;
}

static int atomic(void)
{
	spin_lock(&held);
	msleep(1);
	spin_unlock(&held);
	return 0;
}

static int locks(void)
{
	mutex_lock(&one);
	mutex_lock(&two);
	mutex_unlock(&two);
	mutex_unlock(&one);
	mutex_lock(&two);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&two);
	return 0;
}

/* Followed by a reader that is none. */
static int rcu(void)
{
	return rcu_dereference(shared) ? -EBUSY : 0;
}

/* What lockdep does when it is at its wits' end, but without a word. */
static int deaf(void)
{
	debug_locks_off();
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} faults[] = {
	{ "bounds", bounds }, { "freed", freed }, { "leak", leak }, { "shift", shift },
	{ "atomic", atomic }, { "locks", locks }, { "rcu", rcu }, { "deaf", deaf },
};

static int __init canary_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++)
		if (!strcmp(fault, faults[i].name))
			return faults[i].run();
	return strcmp(fault, "none") ? -EINVAL : 0;
}
module_init(canary_init);

static void __exit canary_exit(void)
{
}
module_exit(canary_exit);

MODULE_DESCRIPTION("Does what a debug kernel has to notice");
MODULE_LICENSE("GPL");
