/* SPDX-License-Identifier: GPL-2.0 */

/*
 * C functions for what Rust cannot call: inlines, macros, and fields whose place
 * in the structure depends on the configuration. None of them keeps a pointer.
 */
#ifndef NFTRACE_HELPERS_H
#define NFTRACE_HELPERS_H

#include <linux/types.h>

struct delayed_work;
struct net;
struct net_device;
struct sk_buff;
struct work_struct;
struct workqueue_struct;

/* skb: the packet of a netfilter hook, in that hook. */
int nftrace_skb_network_offset(const struct sk_buff *skb);
u16 nftrace_skb_protocol(const struct sk_buff *skb);
u32 nftrace_skb_mark(const struct sk_buff *skb);
struct net_device *nftrace_skb_dev(const struct sk_buff *skb);
bool nftrace_skb_is_second_pass(const struct sk_buff *skb);

/* Copies the name, IFNAMSIZ bytes; returns the interface index. */
int nftrace_dev_name(const struct net_device *dev, char *name);

u64 nftrace_net_cookie(const struct net *net);
u32 nftrace_net_inode(const struct net *net);

u64 nftrace_random(void);
u64 nftrace_siphash(const u64 *words, size_t count, u64 k0, u64 k1);

/* A work queue of our own, so that flushing it waits for nobody else's work. */
struct workqueue_struct *nftrace_alloc_workqueue(void);
void nftrace_init_delayed_work(struct delayed_work *work, void (*run)(struct work_struct *));
struct delayed_work *nftrace_to_delayed_work(struct work_struct *work);

/* The parameters that need no code: see params.c. */
bool nftrace_param_bridge(void);
u32 nftrace_param_log_rate(void);

#endif
