// SPDX-License-Identifier: GPL-2.0

/*
 * /dev/nftrace and its sleeping readers. What a file operation does is in
 * module/device.rs, behind bindings/chardev.rs; declared here, the device is one
 * that the kernel's macros made.
 */

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "helpers.h"

int nftrace_open(struct inode *inode, struct file *file);
int nftrace_release(struct inode *inode, struct file *file);
ssize_t nftrace_read(struct file *file, char __user *buffer, size_t len, loff_t *position);
__poll_t nftrace_poll(struct file *file, struct poll_table_struct *table);
long nftrace_ioctl(struct file *file, unsigned int command, unsigned long argument);
int nftrace_mmap(struct file *file, struct vm_area_struct *vma);

static const struct file_operations nftrace_fops = {
	.owner = THIS_MODULE,
	.open = nftrace_open,
	.release = nftrace_release,
	.read = nftrace_read,
	.poll = nftrace_poll,
	.mmap = nftrace_mmap,
	.unlocked_ioctl = nftrace_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice nftrace_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "nftrace",
	.fops = &nftrace_fops,
	.mode = 0600,
};

static DECLARE_WAIT_QUEUE_HEAD(nftrace_readers);

static enum hrtimer_restart nftrace_timer_fired(struct hrtimer *timer);
static struct hrtimer nftrace_timer;

int nftrace_device_register(void)
{
	return misc_register(&nftrace_misc);
}

void nftrace_device_unregister(void)
{
	misc_deregister(&nftrace_misc);
}

/* In the initial user namespace: records tell of all namespaces. */
bool nftrace_is_net_admin(void)
{
	return capable(CAP_NET_ADMIN);
}

bool nftrace_is_nonblocking(const struct file *file)
{
	return file->f_flags & O_NONBLOCK;
}

void nftrace_poll_wait(struct file *file, struct poll_table_struct *table)
{
	poll_wait(file, &nftrace_readers, table);
}

int nftrace_wait(bool (*is_ready)(void *data), void *data)
{
	/* Where there is something that cannot be read yet, the macro would not look. */
	if (signal_pending(current))
		return -ERESTARTSYS;
	return wait_event_interruptible(nftrace_readers, is_ready(data));
}

void nftrace_wake(void)
{
	wake_up_interruptible(&nftrace_readers);
}

/* Rust's part of it, which knows who waits. */
void nftrace_wake_now(void);

static enum hrtimer_restart nftrace_timer_fired(struct hrtimer *timer)
{
	nftrace_wake_now();
	return HRTIMER_NORESTART;
}

void nftrace_wake_setup(void)
{
	hrtimer_setup(&nftrace_timer, nftrace_timer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}

void nftrace_wake_in_a_millisecond(void)
{
	hrtimer_start(&nftrace_timer, ms_to_ktime(1), HRTIMER_MODE_REL);
}

void nftrace_wake_cancel(void)
{
	hrtimer_cancel(&nftrace_timer);
}
