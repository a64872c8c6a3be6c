/* SPDX-License-Identifier: GPL-2.0 */

/* What bindgen reads: the netfilter types that the kernel crate lacks, and our helpers. */

#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#include "helpers.h"

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>

/*
 * Where the fields are that are read for every packet, for which a call of a helper
 * would cost more than all the rest: their places depend on the configuration.
 */
enum nftrace_field {
	NFTRACE_SKB_NETWORK_HEADER = offsetof(struct sk_buff, network_header),
	NFTRACE_SKB_MARK = offsetof(struct sk_buff, mark),
	NFTRACE_SKB_DEV = offsetof(struct sk_buff, dev),
	NFTRACE_SKB_SK = offsetof(struct sk_buff, sk),
	NFTRACE_SKB_HEAD = offsetof(struct sk_buff, head),
	NFTRACE_SKB_END = offsetof(struct sk_buff, end),
	NFTRACE_SHARED_GSO_SIZE = offsetof(struct skb_shared_info, gso_size),
	NFTRACE_SHARED_GSO_SEGS = offsetof(struct skb_shared_info, gso_segs),
	NFTRACE_SKB_NFCT = offsetof(struct sk_buff, _nfct),
	NFTRACE_CONNTRACK_STATUS = offsetof(struct nf_conn, status),
	NFTRACE_SKB_EXTENSIONS = offsetof(struct sk_buff, active_extensions),
	NFTRACE_DEV_NAME = offsetof(struct net_device, name),
	NFTRACE_DEV_IFINDEX = offsetof(struct net_device, ifindex),
	NFTRACE_NET_COOKIE = offsetof(struct net, net_cookie),
	NFTRACE_NET_INODE = offsetof(struct net, ns.inum),
};

_Static_assert(sizeof(sk_buff_data_t) == 4, "a place in the buffer, as on all 64-bit machines");
