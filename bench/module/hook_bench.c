// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet costs at a netfilter hook: calls nf_hook() on packets that were made
 * before, without a driver, an allocation or a route in between.
 *
 * In debugfs, in hook_bench/:
 *
 *   packets  takes packets from their network header on, each behind its length (__be16);
 *            opening it for writing forgets the earlier ones
 *   control  takes a command for the network namespace of the writer:
 *              add KIND PF HOOK PRIORITY   a hook in C; KIND: empty, drop, parse (and drop)
 *              clear                       all of these hooks go
 *              run PF HOOK ROUNDS MODE DEV
 *              flood PF HOOK COUNT GAP DEV   so many packets, one each GAP nanoseconds, or, for
 *                                            0, as fast as it goes; each is a buffer of its own
 *            PF: 2 or 10; HOOK: number; MODE: fresh (packets that nobody knows) or after (packets
 *            that have passed PRE_ROUTING, which is not measured).
 *            Reading it gives what the last run or flood measured, as JSON.
 *
 * A run begins with a round that is not measured and that notes each verdict.
 */

#include <linux/debugfs.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/nsproxy.h>
#include <linux/skbuff.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <net/ip.h>
#include <net/ipv6.h>

#define MAX_BYTES (64u << 20)
#define MAX_ROUNDS 32
#define MAX_HOOKS 16

static DEFINE_MUTEX(lock);
static struct dentry *folder;
static u8 *bytes;
static size_t bytes_len;
static struct sk_buff **skbs;
static unsigned int skb_count;
static char result[1024];

static struct {
	struct net *net;
	struct nf_hook_ops ops;
} hooks[MAX_HOOKS];
static unsigned int hook_count;

static unsigned int empty_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static unsigned int drop_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return NF_DROP;
}

/* The least that a firewall has to do: read five fields, and drop. */
static unsigned int parse_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	u32 sum;
	__be16 buffer[2], *ports;
	unsigned int offset;
	u8 protocol;

	if (state->pf == NFPROTO_IPV4) {
		const struct iphdr *ip = ip_hdr(skb);

		if (ip->version != 4 || ip->frag_off & htons(IP_OFFSET))
			return NF_ACCEPT;
		offset = skb_network_offset(skb) + ip->ihl * 4;
		protocol = ip->protocol;
		sum = (__force u32)ip->saddr ^ (__force u32)ip->daddr;
	} else {
		const struct ipv6hdr *ip = ipv6_hdr(skb);

		offset = skb_network_offset(skb) + sizeof(*ip);
		protocol = ip->nexthdr;
		sum = ipv6_addr_hash(&ip->saddr) ^ ipv6_addr_hash(&ip->daddr);
	}
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return NF_DROP;
	ports = skb_header_pointer(skb, offset, sizeof(buffer), buffer);
	if (!ports)
		return NF_DROP;
	sum ^= (__force u32)ports[0] << 16 | (__force u32)ports[1];
	/* What was read must be needed for something. */
	OPTIMIZER_HIDE_VAR(sum);
	return NF_DROP;
}

static void forget_skbs(void)
{
	while (skb_count)
		consume_skb(skbs[--skb_count]);
	kvfree(skbs);
	skbs = NULL;
}

static struct sk_buff *make_skb(const u8 *packet, unsigned int len, u8 pf, struct net_device *dev)
{
	struct sk_buff *skb = alloc_skb(NET_SKB_PAD + ETH_HLEN + len, GFP_KERNEL);

	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD + ETH_HLEN);
	skb_put_data(skb, packet, len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, pf == NFPROTO_IPV4 ? ip_hdrlen(skb) : (int)sizeof(struct ipv6hdr));
	skb->protocol = pf == NFPROTO_IPV4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	skb->pkt_type = PACKET_HOST;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->dev = dev;
	skb->skb_iif = dev->ifindex;
	return skb;
}

static int make_skbs(u8 pf, struct net_device *dev)
{
	unsigned int least = pf == NFPROTO_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	unsigned int count = 0;
	size_t at;

	forget_skbs();
	for (at = 0; at + 2 <= bytes_len; at += 2 + get_unaligned_be16(bytes + at))
		count++;
	if (!count || at != bytes_len)
		return -ENODATA;
	skbs = kvcalloc(count, sizeof(*skbs), GFP_KERNEL);
	if (!skbs)
		return -ENOMEM;
	for (at = 0; skb_count < count; at += 2 + get_unaligned_be16(bytes + at)) {
		unsigned int len = get_unaligned_be16(bytes + at);

		if (len < least)
			return -EINVAL;
		skbs[skb_count] = make_skb(bytes + at + 2, len, pf, dev);
		if (!skbs[skb_count])
			return -ENOMEM;
		skb_count++;
	}
	return 0;
}

struct run {
	struct net *net;
	struct net_device *in, *out;
	u8 pf;
	unsigned int hook;
};

static __always_inline bool call(const struct run *run, struct sk_buff *skb)
{
	/* A hook that drops gives one reference back; the packet stays. */
	skb_get(skb);
	if (nf_hook(run->pf, run->hook, run->net, NULL, skb, run->in, run->out, NULL) != 1)
		return false;
	refcount_dec(&skb->users);
	return true;
}

/* The verdicts, and an FNV-1a hash of their sequence. */
static u64 note_round(const struct run *run, unsigned int *accepted)
{
	u64 hash = 0xcbf29ce484222325ULL;
	unsigned int i;

	*accepted = 0;
	local_bh_disable();
	for (i = 0; i < skb_count; i++) {
		bool verdict = call(run, skbs[i]);

		*accepted += verdict;
		hash = (hash ^ verdict) * 0x100000001b3ULL;
	}
	local_bh_enable();
	return hash;
}

static noinline u64 measure_round(const struct run *run)
{
	const struct run copy = *run;
	unsigned int i, accepted = 0;
	u64 start, end;

	local_bh_disable();
	start = ktime_get_ns();
	for (i = 0; i < skb_count; i++)
		accepted += call(&copy, skbs[i]);
	end = ktime_get_ns();
	local_bh_enable();
	OPTIMIZER_HIDE_VAR(accepted);
	return end - start;
}

/* New packets for each round; they may have been at PRE_ROUTING already. */
static int prepare_round(const struct run *run, bool after, struct net_device *dev)
{
	const struct run before = { .net = run->net, .pf = run->pf, .hook = NF_INET_PRE_ROUTING, .in = dev };
	unsigned int accepted;
	int err;

	err = make_skbs(run->pf, dev);
	if (!err && after)
		note_round(&before, &accepted);
	cond_resched();
	return err;
}

static int run_rounds(const struct run *run, unsigned int rounds, bool after, struct net_device *dev)
{
	unsigned int accepted, i;
	u64 hash, ns;
	int len, err;

	err = prepare_round(run, after, dev);
	if (err)
		return err;
	hash = note_round(run, &accepted);
	len = scnprintf(result, sizeof(result),
			"{\"packets\":%u,\"accepted\":%u,\"dropped\":%u,\"verdicts\":\"%016llx\",\"ns\":[",
			skb_count, accepted, skb_count - accepted, hash);
	for (i = 0; i < rounds; i++) {
		err = prepare_round(run, after, dev);
		if (err)
			return err;
		ns = measure_round(run);
		len += scnprintf(result + len, sizeof(result) - len, "%s%llu", i ? "," : "", ns);
	}
	scnprintf(result + len, sizeof(result) - len, "]}\n");
	return 0;
}

/* When a packet is due; a batch of them is late by less than a reader can tell. */
static void await_turn(u64 start, unsigned int number, unsigned int gap)
{
	while (ktime_get_ns() - start < (u64)number * gap)
		cpu_relax();
}

static int flood(const struct run *run, unsigned int count, unsigned int gap, struct net_device *dev)
{
	unsigned int i, accepted = 0;
	size_t at = 0;
	u64 start;

	if (bytes_len < 2)
		return -ENODATA;
	start = ktime_get_ns();
	for (i = 0; i < count; i++) {
		unsigned int len = get_unaligned_be16(bytes + at);
		struct sk_buff *skb;

		if (i % 32 == 0) {
			await_turn(start, i, gap);
			cond_resched();
			if (fatal_signal_pending(current))
				return -EINTR;
		}
		if (at + 2 + len > bytes_len || len < sizeof(struct ipv6hdr))
			return -EINVAL;
		skb = make_skb(bytes + at + 2, len, run->pf, dev);
		if (!skb)
			return -ENOMEM;
		local_bh_disable();
		accepted += call(run, skb);
		consume_skb(skb);
		local_bh_enable();
		at += 2 + len;
		if (at + 2 > bytes_len)
			at = 0;
	}
	scnprintf(result, sizeof(result), "{\"packets\":%u,\"dropped\":%u,\"ns\":[%llu]}\n", count, count - accepted,
		  ktime_get_ns() - start);
	return 0;
}

/* Where packets go; the device, which is to be put, comes back. */
static struct net_device *aim(struct run *run, unsigned int pf, unsigned int hook, const char *name)
{
	struct net_device *dev;

	*run = (struct run){ .net = current->nsproxy->net_ns, .pf = pf, .hook = hook };
	if ((pf != NFPROTO_IPV4 && pf != NFPROTO_IPV6) || hook >= NF_INET_NUMHOOKS)
		return ERR_PTR(-EINVAL);
	dev = dev_get_by_name(run->net, name);
	if (!dev)
		return ERR_PTR(-ENODEV);
	if (hook != NF_INET_LOCAL_OUT && hook != NF_INET_POST_ROUTING)
		run->in = dev;
	if (hook != NF_INET_PRE_ROUTING && hook != NF_INET_LOCAL_IN)
		run->out = dev;
	return dev;
}

static int do_run(unsigned int pf, unsigned int hook, unsigned int rounds, const char *mode, const char *name)
{
	struct net_device *dev;
	struct run run;
	int err;

	if ((strcmp(mode, "fresh") && strcmp(mode, "after")) || !rounds || rounds > MAX_ROUNDS)
		return -EINVAL;
	dev = aim(&run, pf, hook, name);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = run_rounds(&run, rounds, !strcmp(mode, "after"), dev);
	forget_skbs();
	dev_put(dev);
	return err;
}

static int do_flood(unsigned int pf, unsigned int hook, unsigned int count, unsigned int gap, const char *name)
{
	struct net_device *dev;
	struct run run;
	int err;

	dev = aim(&run, pf, hook, name);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = flood(&run, count, gap, dev);
	dev_put(dev);
	return err;
}

static int do_add(const char *kind, unsigned int pf, unsigned int hook, int priority)
{
	struct nf_hook_ops *ops = &hooks[hook_count].ops;
	int err;

	if (hook_count == MAX_HOOKS)
		return -ENOSPC;
	*ops = (struct nf_hook_ops){ .pf = pf, .hooknum = hook, .priority = priority };
	if (!strcmp(kind, "empty"))
		ops->hook = empty_hook;
	else if (!strcmp(kind, "drop"))
		ops->hook = drop_hook;
	else if (!strcmp(kind, "parse"))
		ops->hook = parse_hook;
	else
		return -EINVAL;
	hooks[hook_count].net = get_net(current->nsproxy->net_ns);
	err = nf_register_net_hook(hooks[hook_count].net, ops);
	if (err)
		put_net(hooks[hook_count].net);
	else
		hook_count++;
	return err;
}

static void do_clear(void)
{
	while (hook_count) {
		hook_count--;
		nf_unregister_net_hook(hooks[hook_count].net, &hooks[hook_count].ops);
		put_net(hooks[hook_count].net);
	}
}

static int obey(const char *line)
{
	char word[IFNAMSIZ], name[IFNAMSIZ];
	unsigned int pf, hook, rounds, gap;
	int priority;

	if (!strcmp(line, "clear")) {
		do_clear();
		return 0;
	}
	if (sscanf(line, "add %15s %u %u %d", word, &pf, &hook, &priority) == 4)
		return do_add(word, pf, hook, priority);
	if (sscanf(line, "run %u %u %u %15s %15s", &pf, &hook, &rounds, word, name) == 5)
		return do_run(pf, hook, rounds, word, name);
	if (sscanf(line, "flood %u %u %u %u %15s", &pf, &hook, &rounds, &gap, name) == 5)
		return do_flood(pf, hook, rounds, gap, name);
	return -EINVAL;
}

static ssize_t control_write(struct file *file, const char __user *user, size_t len, loff_t *at)
{
	char line[96];
	int err;

	if (len >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, user, len))
		return -EFAULT;
	line[len] = '\0';
	mutex_lock(&lock);
	err = obey(strim(line));
	mutex_unlock(&lock);
	return err ?: len;
}

static ssize_t control_read(struct file *file, char __user *user, size_t len, loff_t *at)
{
	ssize_t read;

	mutex_lock(&lock);
	read = simple_read_from_buffer(user, len, at, result, strlen(result));
	mutex_unlock(&lock);
	return read;
}

static const struct file_operations control_ops = {
	.owner = THIS_MODULE,
	.read = control_read,
	.write = control_write,
};

static int packets_open(struct inode *inode, struct file *file)
{
	int err = 0;

	mutex_lock(&lock);
	bytes_len = 0;
	if (!bytes)
		bytes = vmalloc(MAX_BYTES);
	if (!bytes)
		err = -ENOMEM;
	mutex_unlock(&lock);
	return err;
}

static ssize_t packets_write(struct file *file, const char __user *user, size_t len, loff_t *at)
{
	ssize_t err = len;

	mutex_lock(&lock);
	if (len > MAX_BYTES - bytes_len)
		err = -EFBIG;
	else if (copy_from_user(bytes + bytes_len, user, len))
		err = -EFAULT;
	else
		bytes_len += len;
	mutex_unlock(&lock);
	return err;
}

static const struct file_operations packets_ops = {
	.owner = THIS_MODULE,
	.open = packets_open,
	.write = packets_write,
};

static int __init hook_bench_init(void)
{
	folder = debugfs_create_dir("hook_bench", NULL);
	debugfs_create_file("control", 0600, folder, NULL, &control_ops);
	debugfs_create_file("packets", 0200, folder, NULL, &packets_ops);
	return 0;
}

static void __exit hook_bench_exit(void)
{
	debugfs_remove(folder);
	do_clear();
	vfree(bytes);
}

module_init(hook_bench_init);
module_exit(hook_bench_exit);
MODULE_DESCRIPTION("What a packet costs at a netfilter hook");
MODULE_LICENSE("GPL");
