// SPDX-License-Identifier: GPL-2.0

/*
 * The module's parameters. The module!() macro of Rust knows integers and bools
 * only and shows none of them in sysfs, so they are declared here; those that
 * need code have it in module/control.rs, behind bindings/param.rs. Each has a
 * setter, also the read-only one: the module loader calls it without looking.
 */

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "helpers.h"

/*
 * There is always a function to set it, also where sysfs lets nobody write:
 * insmod calls it without looking.
 */
#define NFTRACE_PARAM(param, permission, ...)                                         \
	int nftrace_##param##_set(const char *value, const struct kernel_param *kp);  \
	int nftrace_##param##_get(char *buffer, const struct kernel_param *kp);       \
	static const struct kernel_param_ops nftrace_##param##_ops = {                \
		.set = nftrace_##param##_set,                                         \
		.get = nftrace_##param##_get,                                         \
		__VA_ARGS__                                                           \
	};                                                                            \
	module_param_cb(param, &nftrace_##param##_ops, NULL, permission)

/* What ports= and the device set outlives the module's exit, or its failure to load. */
void nftrace_ports_free(void *arg);

NFTRACE_PARAM(ports, 0644, .free = nftrace_ports_free);
MODULE_PARM_DESC(ports, "ports to trace: up to 64 ports or ranges, e.g. 8080,9000-9010; empty: none (string)");

NFTRACE_PARAM(format, 0644);
MODULE_PARM_DESC(format, "how the kernel log is written: v1 or classic; default v1 (string)");

NFTRACE_PARAM(fail, 0444);
MODULE_PARM_DESC(fail, "open: the module may be unloaded while a policy is loaded; closed: it may not; default open (string)");

NFTRACE_PARAM(counters, 0444);
MODULE_PARM_DESC(counters, "what was counted since the module was loaded (read only)");

static bool bridge;
module_param(bridge, bool, 0444);
MODULE_PARM_DESC(bridge, "hook the bridge family too; default 0");

static bool exit;
module_param(exit, bool, 0444);
MODULE_PARM_DESC(exit, "hook the ends of the hooks too, to see what left them; default 0");

static unsigned int ring_slots;
module_param(ring_slots, uint, 0444);
MODULE_PARM_DESC(ring_slots, "records that the ring of each CPU holds, 320 bytes each, a power of two from 64 to 1048576; 0 (default): 4096, fewer where all rings would take more than 64 MiB");

static unsigned int max_bound = 1024;
module_param(max_bound, uint, 0644);
MODULE_PARM_DESC(max_bound, "steps that a policy may cost a packet: one that can cost more is refused; default 1024");

static unsigned int log_rate = 1000;
module_param(log_rate, uint, 0644);
MODULE_PARM_DESC(log_rate, "records a second and namespace that are printed; default 1000");

MODULE_VERSION(NFTRACE_VERSION);

bool nftrace_param_bridge(void)
{
	return bridge;
}

bool nftrace_param_exit(void)
{
	return exit;
}

u32 nftrace_param_ring_slots(void)
{
	return ring_slots;
}

u32 nftrace_param_max_bound(void)
{
	return READ_ONCE(max_bound);
}

void nftrace_param_lock(void)
{
	kernel_param_lock(THIS_MODULE);
}

void nftrace_param_unlock(void)
{
	kernel_param_unlock(THIS_MODULE);
}

u32 nftrace_param_log_rate(void)
{
	return READ_ONCE(log_rate);
}
