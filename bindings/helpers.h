/* SPDX-License-Identifier: GPL-2.0 */

/*
 * C functions for what Rust cannot call: inlines, macros, and fields whose place
 * in the structure depends on the configuration. None of them keeps a pointer.
 */
#ifndef NFTRACE_HELPERS_H
#define NFTRACE_HELPERS_H

#include <linux/types.h>

struct bpf_prog;
struct delayed_work;
struct file;
struct net;
struct net_device;
struct nf_hook_state;
struct poll_table_struct;
struct sk_buff;
struct sock_filter;
struct vm_area_struct;
struct work_struct;
struct workqueue_struct;

/* skb: the packet of a netfilter hook, in that hook. */
u16 nftrace_skb_protocol(const struct sk_buff *skb);
void nftrace_cond_resched(void);
u32 nftrace_hz(void);
bool nftrace_skb_is_second_pass(const struct sk_buff *skb);

/* The connection of a packet; the original direction's tuple, in network byte order. */
struct nftrace_conntrack {
	u32 id;
	u32 status;
	u8 src[16];
	u8 dst[16];
	u16 src_port;
	u16 dst_port;
	u8 ctinfo;
	u8 has_ports;
	u8 is_ipv6;
};

bool nftrace_skb_is_untracked(const struct sk_buff *skb);
bool nftrace_skb_conntrack(const struct sk_buff *skb, struct nftrace_conntrack *out);

/* The local socket of a packet in this namespace. */
struct nftrace_socket {
	u64 cgroup;
	u32 uid;
	u32 classid;
};

bool nftrace_skb_socket(struct sk_buff *skb, const struct nf_hook_state *state,
			struct nftrace_socket *out);
/* The id of the cgroup at this level above that of the local socket; 0 for none. */
u64 nftrace_skb_cgroup_ancestor(struct sk_buff *skb, const struct nf_hook_state *state, u32 level);

/*
 * A packet that is about to be freed: copies from its network header on what it
 * has, up to len bytes. Returns how long it is from there on, or -1.
 */
int nftrace_skb_copy_network(const struct sk_buff *skb, void *to, u32 len);

/* Both write a string of at most size bytes, the terminator included. */
void nftrace_drop_reason(u32 reason, char *name, u32 size);
void nftrace_symbol(const void *address, char *name, u32 size);

u64 nftrace_net_cookie(const struct net *net);
u32 nftrace_net_inode(const struct net *net);

u64 nftrace_random(void);
u64 nftrace_siphash(const u64 *words, size_t count, u64 k0, u64 k1);

/* Classic BPF. The program is run on a packet that starts with its network header. */
struct bpf_prog *nftrace_bpf_create(struct sock_filter *instructions, u16 count);
void nftrace_bpf_destroy(struct bpf_prog *program);
u32 nftrace_bpf_run(const struct bpf_prog *program, const struct sk_buff *skb);

/* Memory that user space can map. */
void *nftrace_alloc_mappable(size_t size);
int nftrace_map_read_only(struct vm_area_struct *vma, void *memory);
u64 nftrace_vma_offset(const struct vm_area_struct *vma);

/* Probes of tracepoints: each function as the tracepoint's prototype says. */
int nftrace_probe(const char *tracepoint, void *function);
void nftrace_unprobe(const char *tracepoint, void *function);
void nftrace_probes_synchronize(void);

/* The device, and its sleeping readers: see device.c. */
int nftrace_device_register(void);
void nftrace_device_unregister(void);
bool nftrace_is_net_admin(void);
bool nftrace_is_nonblocking(const struct file *file);
void nftrace_poll_wait(struct file *file, struct poll_table_struct *table);
int nftrace_wait(bool (*is_ready)(void *data), void *data);
void nftrace_wake(void);
void nftrace_wake_setup(void);
void nftrace_wake_in_a_millisecond(void);
void nftrace_wake_cancel(void);

/* Keeps this task on its CPU, and all others off it. */
unsigned int nftrace_get_cpu(void);
void nftrace_put_cpu(void);

/* The lock under which parameters are set. */
void nftrace_param_lock(void);
void nftrace_param_unlock(void);

/* A work queue of our own, so that flushing it waits for nobody else's work. */
struct workqueue_struct *nftrace_alloc_workqueue(void);
void nftrace_init_delayed_work(struct delayed_work *work, void (*run)(struct work_struct *));
struct delayed_work *nftrace_to_delayed_work(struct work_struct *work);

/* The parameters that need no code: see params.c. */
bool nftrace_param_bridge(void);
bool nftrace_param_exit(void);
u32 nftrace_param_ring_slots(void);
u32 nftrace_param_max_bound(void);
u32 nftrace_param_log_rate(void);

/* What a policy needs of other modules: see policy.c. Each may sleep. */
bool nftrace_need_reject(void);
bool nftrace_need_conntrack(void);
bool nftrace_need_sockets(void);
bool nftrace_need_queue(void);
void nftrace_needs_put(void);

/* What we remember of each namespace. */
struct nftrace_net {
	/* The epoch in which it was made. */
	u64 birth;
	/* Whether we hold conntrack's hooks in it. */
	bool is_tracked;
};

extern unsigned int nftrace_net_id;
void nftrace_net_born(struct net *net);
void nftrace_net_leave(struct net *net);
u64 nftrace_net_birth(const struct net *net);
u64 nftrace_epoch(void);
u64 nftrace_next_epoch(void);
int nftrace_track_all(bool wanted);

/* As Answer in core/policy/layout.rs, the first being one of the others. */
enum nftrace_reject {
	NFTRACE_TCP_RESET = 1,
	NFTRACE_PORT_UNREACHABLE = 2,
	NFTRACE_HOST_UNREACHABLE = 3,
	NFTRACE_NET_UNREACHABLE = 4,
	NFTRACE_ADMIN_PROHIBITED = 5,
};

/* Frees the packet; returns what the hook function has to. */
unsigned int nftrace_policy_drop(struct sk_buff *skb, u32 error);
void nftrace_answer(struct sk_buff *skb, const struct nf_hook_state *state, u8 answer);

bool nftrace_module_get(void);
void nftrace_module_put(void);

/* Who asks for a change. */
struct nftrace_task {
	u32 uid;
	u32 pid;
	char comm[16];
};

void nftrace_current(struct nftrace_task *out);
u64 nftrace_realtime(void);

#endif
