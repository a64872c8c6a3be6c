// SPDX-License-Identifier: GPL-2.0

#include <linux/bitfield.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/netfilter_bridge.h>
#include <linux/netdevice.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/siphash.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/dropreason.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>

#include "helpers.h"

/* Host byte order. */
u16 nftrace_skb_protocol(const struct sk_buff *skb)
{
	return ntohs(skb->protocol);
}

/*
 * br_netfilter sends a bridged packet through PRE_ROUTING on behalf of the
 * bridge, and when it turns out to be for this host, ip_rcv() does so again.
 * br_netfilter's own ip_sabotage_in() takes that second pass away from the hooks
 * behind it, but it has our priority: which of us comes first depends on who was
 * loaded last. So we leave the second pass alone by its very condition.
 *
 * And by one more: it comes from the bridge itself. What stands on the bridge, a
 * macvlan or a VLAN, may be in another namespace, where the first pass was not.
 */
bool nftrace_skb_is_second_pass(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	const struct nf_bridge_info *nf_bridge = nf_bridge_info_get(skb);

	if (!nf_bridge || nf_bridge->sabotage_in_done || nf_bridge->in_prerouting)
		return false;
	return netif_is_bridge_master(skb->dev) && !netif_is_l3_slave(skb->dev);
#else
	return false;
#endif
}

/* Told not to be tracked, which is more than not being tracked. */
bool nftrace_skb_is_untracked(const struct sk_buff *skb)
{
	return (skb_get_nfct(skb) & NFCT_INFOMASK) == IP_CT_UNTRACKED;
}

/* Needs no symbol of nf_conntrack, which may not be loaded. */
bool nftrace_skb_conntrack(const struct sk_buff *skb, struct nftrace_conntrack *out)
{
	const struct nf_conntrack_tuple *tuple;
	enum ip_conntrack_info ctinfo;
	const struct nf_ct_hook *hook;
	struct nf_conn *ct;

	ct = nf_ct_get(skb, &ctinfo);
	if (!ct)
		return false;
	memset(out, 0, sizeof(*out));
	out->ctinfo = ctinfo;
	out->status = READ_ONCE(ct->status);
	tuple = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	memcpy(out->src, &tuple->src.u3, sizeof(out->src));
	memcpy(out->dst, &tuple->dst.u3, sizeof(out->dst));
	out->is_ipv6 = tuple->src.l3num == NFPROTO_IPV6;
	switch (tuple->dst.protonum) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		out->has_ports = 1;
		out->src_port = ntohs(tuple->src.u.all);
		out->dst_port = ntohs(tuple->dst.u.all);
	}
	hook = rcu_dereference(nf_ct_hook);
	if (hook && hook->get_id)
		out->id = hook->get_id(&ct->ct_general);
	return true;
}

/* The header may lie before skb->data by now, but always inside of the buffer. */
int nftrace_skb_copy_network(const struct sk_buff *skb, void *to, u32 len)
{
	int offset, total;

	offset = skb_network_offset(skb);
	if (offset < -(int)skb_headroom(skb) || offset > (int)skb->len)
		return -1;
	total = (int)skb->len - offset;
	if (skb_copy_bits(skb, offset, to, min_t(u32, len, total)))
		return -1;
	return total;
}

void nftrace_drop_reason(u32 reason, char *name, u32 size)
{
	u32 subsys = FIELD_GET(SKB_DROP_REASON_SUBSYS_MASK, reason);
	u32 number = reason & ~SKB_DROP_REASON_SUBSYS_MASK;
	const struct drop_reason_list *list;

	rcu_read_lock();
	list = subsys < SKB_DROP_REASON_SUBSYS_NUM ? rcu_dereference(drop_reasons_by_subsys[subsys]) : NULL;
	if (list && number < list->n_reasons && list->reasons[number])
		strscpy(name, list->reasons[number], size);
	else
		snprintf(name, size, "%u", reason);
	rcu_read_unlock();
}

/* A function and its module, as in nft_do_chain[nf_tables]. */
void nftrace_symbol(const void *address, char *name, u32 size)
{
	char *blank;

	snprintf(name, size, "%ps", address);
	/* An address that has no name is nobody's business. */
	if (name[0] == '0')
		strscpy(name, "-", size);
	blank = strchr(name, ' ');
	if (blank)
		memmove(blank, blank + 1, strlen(blank));
}

unsigned int nftrace_get_cpu(void)
{
	return get_cpu();
}

void nftrace_put_cpu(void)
{
	put_cpu();
}

struct bpf_prog *nftrace_bpf_create(struct sock_filter *instructions, u16 count)
{
	struct sock_fprog_kern fprog = { .len = count, .filter = instructions };
	struct bpf_prog *program;
	int error = bpf_prog_create(&program, &fprog);

	return error ? ERR_PTR(error) : program;
}

void nftrace_bpf_destroy(struct bpf_prog *program)
{
	bpf_prog_destroy(program);
}

u32 nftrace_bpf_run(const struct bpf_prog *program, const struct sk_buff *skb)
{
	return bpf_prog_run_pin_on_cpu(program, skb);
}

void *nftrace_alloc_mappable(size_t size)
{
	return vmalloc_user(size);
}

int nftrace_map_read_only(struct vm_area_struct *vma, void *memory)
{
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	/* Nor by mprotect() later. */
	vm_flags_clear(vma, VM_MAYWRITE);
	return remap_vmalloc_range(vma, memory, 0);
}

u64 nftrace_vma_offset(const struct vm_area_struct *vma)
{
	return (u64)vma->vm_pgoff << PAGE_SHIFT;
}

struct nftrace_search {
	const char *name;
	struct tracepoint *found;
};

static void nftrace_match_tracepoint(struct tracepoint *tracepoint, void *data)
{
	struct nftrace_search *search = data;

	if (!strcmp(tracepoint->name, search->name))
		search->found = tracepoint;
}

/* consume_skb is not exported by its symbol, but every one can be looked up. */
static struct tracepoint *nftrace_find_tracepoint(const char *name)
{
	struct nftrace_search search = { .name = name };

	for_each_kernel_tracepoint(nftrace_match_tracepoint, &search);
	return search.found;
}

int nftrace_probe(const char *name, void *function)
{
	struct tracepoint *tracepoint = nftrace_find_tracepoint(name);

	return tracepoint ? tracepoint_probe_register(tracepoint, function, NULL) : -ENOENT;
}

void nftrace_unprobe(const char *name, void *function)
{
	struct tracepoint *tracepoint = nftrace_find_tracepoint(name);

	if (tracepoint)
		tracepoint_probe_unregister(tracepoint, function, NULL);
}

void nftrace_probes_synchronize(void)
{
	tracepoint_synchronize_unregister();
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

void nftrace_cond_resched(void)
{
	cond_resched();
}

u32 nftrace_hz(void)
{
	return HZ;
}
