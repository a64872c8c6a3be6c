// SPDX-License-Identifier: GPL-2.0

/*
 * What a policy does to packets, and asks of others: nf_reject, conntrack and the
 * look-up of sockets. Their modules are loaded when a policy needs them, so that
 * insmod needs none of them; what was found stays until we go.
 */

#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netfilter/ipv4/nf_reject.h>
#include <net/netfilter/ipv6/nf_reject.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_socket.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "helpers.h"

/* Found once, and then read by the hooks. */
static struct {
	typeof(&nf_send_reset) reset4;
	typeof(&nf_send_reset6) reset6;
	typeof(&nf_send_unreach) unreach4;
	typeof(&nf_send_unreach6) unreach6;
	typeof(&nf_ct_netns_get) track;
	typeof(&nf_ct_netns_put) untrack;
	typeof(&nf_sk_lookup_slow_v4) lookup4;
	typeof(&nf_sk_lookup_slow_v6) lookup6;
} nftrace_found;

#define NFTRACE_NEED(member, symbol, module)                                          \
	({                                                                            \
		if (!nftrace_found.member) {                                          \
			void *found_ = __symbol_get(#symbol);                         \
			if (!found_) {                                                \
				request_module(module);                               \
				found_ = __symbol_get(#symbol);                       \
			}                                                             \
			smp_store_release(&nftrace_found.member, found_);             \
		}                                                                     \
		nftrace_found.member != NULL;                                         \
	})

#define NFTRACE_PUT(member, symbol)                                                   \
	do {                                                                          \
		if (nftrace_found.member)                                             \
			__symbol_put(#symbol);                                        \
		nftrace_found.member = NULL;                                          \
	} while (0)

bool nftrace_need_reject(void)
{
	return NFTRACE_NEED(reset4, nf_send_reset, "nf_reject_ipv4") &&
	       NFTRACE_NEED(unreach4, nf_send_unreach, "nf_reject_ipv4") &&
	       NFTRACE_NEED(reset6, nf_send_reset6, "nf_reject_ipv6") &&
	       NFTRACE_NEED(unreach6, nf_send_unreach6, "nf_reject_ipv6");
}

bool nftrace_need_conntrack(void)
{
	return NFTRACE_NEED(track, nf_ct_netns_get, "nf_conntrack") &&
	       NFTRACE_NEED(untrack, nf_ct_netns_put, "nf_conntrack");
}

bool nftrace_need_sockets(void)
{
	return NFTRACE_NEED(lookup4, nf_sk_lookup_slow_v4, "nf_socket_ipv4") &&
	       NFTRACE_NEED(lookup6, nf_sk_lookup_slow_v6, "nf_socket_ipv6");
}

bool nftrace_need_queue(void)
{
	/* No symbol of it is called; without it nobody could ever listen. */
	request_module("nfnetlink_queue");
	return true;
}

void nftrace_needs_put(void)
{
	NFTRACE_PUT(reset4, nf_send_reset);
	NFTRACE_PUT(unreach4, nf_send_unreach);
	NFTRACE_PUT(reset6, nf_send_reset6);
	NFTRACE_PUT(unreach6, nf_send_unreach6);
	NFTRACE_PUT(track, nf_ct_netns_get);
	NFTRACE_PUT(untrack, nf_ct_netns_put);
	NFTRACE_PUT(lookup4, nf_sk_lookup_slow_v4);
	NFTRACE_PUT(lookup6, nf_sk_lookup_slow_v6);
}

unsigned int nftrace_net_id;
static atomic64_t nftrace_last_epoch = ATOMIC64_INIT(0);
static DEFINE_MUTEX(nftrace_tracking);

static struct nftrace_net *nftrace_net(const struct net *net)
{
	return net_generic(net, nftrace_net_id);
}

u64 nftrace_epoch(void)
{
	return atomic64_read(&nftrace_last_epoch);
}

void nftrace_net_born(struct net *net)
{
	nftrace_net(net)->birth = nftrace_epoch();
}

u64 nftrace_net_birth(const struct net *net)
{
	return nftrace_net(net)->birth;
}

u64 nftrace_next_epoch(void)
{
	return atomic64_inc_return(&nftrace_last_epoch);
}

static void nftrace_untrack_one(struct net *net)
{
	struct nftrace_net *ours = nftrace_net(net);

	if (ours->is_tracked)
		nftrace_found.untrack(net, NFPROTO_INET);
	ours->is_tracked = false;
}

void nftrace_net_leave(struct net *net)
{
	mutex_lock(&nftrace_tracking);
	nftrace_untrack_one(net);
	mutex_unlock(&nftrace_tracking);
}

/*
 * A namespace in the list is complete, and not being taken down: whoever does
 * either takes net_rwsem for it. In a namespace that is being made, conntrack may
 * not have its own things yet, so that this is never done from there.
 */
int nftrace_track_all(bool wanted)
{
	struct net *net;
	int result = 0;

	down_read(&net_rwsem);
	mutex_lock(&nftrace_tracking);
	for_each_net(net) {
		struct nftrace_net *ours = nftrace_net(net);

		if (wanted && !ours->is_tracked) {
			int error = nftrace_found.track(net, NFPROTO_INET);

			ours->is_tracked = !error;
			result = error ?: result;
		} else if (!wanted) {
			nftrace_untrack_one(net);
		}
	}
	mutex_unlock(&nftrace_tracking);
	up_read(&net_rwsem);
	return result;
}

/*
 * The address of this function is the location that tools show for our drops.
 */
noinline unsigned int nftrace_policy_drop(struct sk_buff *skb, u32 error)
{
	kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	barrier();
	return (error << 16) | NF_STOLEN;
}

static void nftrace_answer_ipv4(struct sk_buff *skb, const struct nf_hook_state *state, u8 answer)
{
	static const u8 codes[] = {
		[NFTRACE_PORT_UNREACHABLE] = ICMP_PORT_UNREACH,
		[NFTRACE_HOST_UNREACHABLE] = ICMP_HOST_UNREACH,
		[NFTRACE_NET_UNREACHABLE] = ICMP_NET_UNREACH,
		[NFTRACE_ADMIN_PROHIBITED] = ICMP_PKT_FILTERED,
	};

	if (answer == NFTRACE_TCP_RESET)
		nftrace_found.reset4(state->net, state->sk, skb, state->hook);
	else if (answer < ARRAY_SIZE(codes))
		nftrace_found.unreach4(skb, codes[answer], state->hook);
}

static void nftrace_answer_ipv6(struct sk_buff *skb, const struct nf_hook_state *state, u8 answer)
{
	static const u8 codes[] = {
		[NFTRACE_PORT_UNREACHABLE] = ICMPV6_PORT_UNREACH,
		[NFTRACE_HOST_UNREACHABLE] = ICMPV6_ADDR_UNREACH,
		[NFTRACE_NET_UNREACHABLE] = ICMPV6_NOROUTE,
		[NFTRACE_ADMIN_PROHIBITED] = ICMPV6_ADM_PROHIBITED,
	};

	if (answer == NFTRACE_TCP_RESET)
		nftrace_found.reset6(state->net, state->sk, skb, state->hook);
	else if (answer < ARRAY_SIZE(codes))
		nftrace_found.unreach6(state->net, skb, codes[answer], state->hook);
}

void nftrace_answer(struct sk_buff *skb, const struct nf_hook_state *state, u8 answer)
{
	if (!smp_load_acquire(&nftrace_found.unreach6))
		return;
	if (state->pf == NFPROTO_IPV4)
		nftrace_answer_ipv4(skb, state, answer);
	else if (state->pf == NFPROTO_IPV6)
		nftrace_answer_ipv6(skb, state, answer);
}

/* The socket that gets the packet, where the packet does not say it itself. */
static struct sock *nftrace_look_up(const struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (!smp_load_acquire(&nftrace_found.lookup6))
		return NULL;
	if (state->pf == NFPROTO_IPV4)
		return nftrace_found.lookup4(state->net, skb, state->in);
	if (state->pf == NFPROTO_IPV6)
		return nftrace_found.lookup6(state->net, skb, state->in);
	return NULL;
}

/* Calls visit with the full socket of the packet in this namespace, if it has one. */
static bool nftrace_with_socket(struct sk_buff *skb, const struct nf_hook_state *state,
				void (*visit)(struct sock *sk, void *data), void *data)
{
	struct sock *sk = skb_to_full_sk(skb), *found = NULL;
	bool is_ours;

	if (!sk && state->hook == NF_INET_LOCAL_IN) {
		found = nftrace_look_up(skb, state);
		sk = found ? sk_to_full_sk(found) : NULL;
	}
	is_ours = sk && sk_fullsock(sk) && net_eq(sock_net(sk), state->net);
	if (is_ours)
		visit(sk, data);
	if (found)
		sock_gen_put(found);
	return is_ours;
}

static void nftrace_read_socket(struct sock *sk, void *data)
{
	struct nftrace_socket *out = data;

	memset(out, 0, sizeof(*out));
	out->uid = from_kuid_munged(&init_user_ns, sk_uid(sk));
#ifdef CONFIG_CGROUP_NET_CLASSID
	out->classid = sock_cgroup_classid(&sk->sk_cgrp_data);
#endif
#ifdef CONFIG_SOCK_CGROUP_DATA
	if (sock_cgroup_ptr(&sk->sk_cgrp_data))
		out->cgroup = cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data));
#endif
}

/* Whose the socket is, which is not who happens to run. */
bool nftrace_skb_socket(struct sk_buff *skb, const struct nf_hook_state *state,
			struct nftrace_socket *out)
{
	return nftrace_with_socket(skb, state, nftrace_read_socket, out);
}

struct nftrace_ancestor {
	u32 level;
	u64 id;
};

static void nftrace_read_ancestor(struct sock *sk, void *data)
{
	struct nftrace_ancestor *ancestor = data;
#ifdef CONFIG_SOCK_CGROUP_DATA
	struct cgroup *cgroup = sock_cgroup_ptr(&sk->sk_cgrp_data);

	if (!cgroup || ancestor->level > (u32)cgroup->level)
		return;
	cgroup = cgroup_ancestor(cgroup, ancestor->level);
	if (cgroup)
		ancestor->id = cgroup_id(cgroup);
#endif
}

u64 nftrace_skb_cgroup_ancestor(struct sk_buff *skb, const struct nf_hook_state *state, u32 level)
{
	struct nftrace_ancestor ancestor = { .level = level };

	nftrace_with_socket(skb, state, nftrace_read_ancestor, &ancestor);
	return ancestor.id;
}

/* fail=closed: who holds a policy holds the module. */
bool nftrace_module_get(void)
{
	return try_module_get(THIS_MODULE);
}

void nftrace_module_put(void)
{
	module_put(THIS_MODULE);
}

void nftrace_current(struct nftrace_task *out)
{
	memset(out, 0, sizeof(*out));
	out->uid = from_kuid_munged(&init_user_ns, current_uid());
	out->pid = task_tgid_nr(current);
	get_task_comm(out->comm, current);
}

u64 nftrace_realtime(void)
{
	return ktime_get_real_ns();
}
