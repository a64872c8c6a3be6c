// SPDX-License-Identifier: GPL-2.0

#include <linux/netfilter_bridge.h>
#include <linux/netdevice.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "helpers.h"

int nftrace_skb_network_offset(const struct sk_buff *skb)
{
	return skb_network_offset(skb);
}

/* Host byte order. */
u16 nftrace_skb_protocol(const struct sk_buff *skb)
{
	return ntohs(skb->protocol);
}

u32 nftrace_skb_mark(const struct sk_buff *skb)
{
	return skb->mark;
}

struct net_device *nftrace_skb_dev(const struct sk_buff *skb)
{
	return skb->dev;
}

/*
 * br_netfilter sends a bridged packet through PRE_ROUTING on behalf of the
 * bridge, and when it turns out to be for this host, ip_rcv() does so again.
 * br_netfilter's own ip_sabotage_in() takes that second pass away from the hooks
 * behind it, but it has our priority: which of us comes first depends on who was
 * loaded last. So we leave the second pass alone by its very condition.
 */
bool nftrace_skb_is_second_pass(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	const struct nf_bridge_info *nf_bridge = nf_bridge_info_get(skb);

	return nf_bridge && !nf_bridge->sabotage_in_done && !nf_bridge->in_prerouting &&
	       !netif_is_l3_master(skb->dev) && !netif_is_l3_slave(skb->dev);
#else
	return false;
#endif
}

/*
 * A name is changed in place by a rename. A copy taken at that moment may be of
 * both names, but it is a copy: the last byte is always the terminator.
 */
int nftrace_dev_name(const struct net_device *dev, char *name)
{
	memcpy(name, dev->name, IFNAMSIZ);
	return dev->ifindex;
}

u64 nftrace_net_cookie(const struct net *net)
{
	return net->net_cookie;
}

u32 nftrace_net_inode(const struct net *net)
{
	return net->ns.inum;
}

u64 nftrace_random(void)
{
	return get_random_u64();
}

u64 nftrace_siphash(const u64 *words, size_t count, u64 k0, u64 k1)
{
	const siphash_key_t key = { { k0, k1 } };

	return siphash(words, count * sizeof(*words), &key);
}

struct workqueue_struct *nftrace_alloc_workqueue(void)
{
	return alloc_workqueue("nftrace", WQ_UNBOUND, 1);
}

void nftrace_init_delayed_work(struct delayed_work *work, void (*run)(struct work_struct *))
{
	INIT_DELAYED_WORK(work, run);
}

struct delayed_work *nftrace_to_delayed_work(struct work_struct *work)
{
	return to_delayed_work(work);
}
