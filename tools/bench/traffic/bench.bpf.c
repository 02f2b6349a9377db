//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the benchmark puts around the programs under test: the floor they are
 * measured in units of, the frames they are given, and the far end of their
 * wire.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char licence[] SEC("license") = "Dual BSD/GPL";

#define FRAME_V4 64
#define FRAME_V6 84
#define L4_V4 (ETH_HLEN + sizeof(struct iphdr))
#define L4_V6 (ETH_HLEN + sizeof(struct ipv6hdr))
#define PORTS_BITS 4 /* ports a client uses: few, for a source may be limited */

/* Which frames are written. */
struct plan {
	__u8 frame[96]; /* what is the same in all: all but the fields named below */
	__u32 flows; /* how many there are */
	__u32 first; /* number of the first: others use others */
	__u32 random; /* state of the generator; 0 = one after the other */
	__u32 next; /* flow to come where they come one after the other */
	__u32 client; /* address of flow 0, or the last 32 bits of it */
	__u32 sequence; /* number of the first byte */
	__u32 advance; /* it grows by one each 2^advance frames; 32 = never */
	__u32 service_mask; /* services are at that many ports above the frame's own, less one */
	__u64 sent;
	__u32 v6;
	__u32 answers; /* the far end plays backend and client */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

static __always_inline struct plan *plan(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&plans, &zero);
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

/* All are as the programs under test: one that takes frames in pieces can only
 * be called by its like.
 *
 * This one is the least that a program can do that forwards TCP and counts. */
SEC("xdp.frags")
int floor_tx(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct tcphdr *tcp;
	__u32 zero = 0;
	__u64 *count;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP || ip->ihl != 5)
			return XDP_PASS;
		tcp = (void *)(ip + 1);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP)
			return XDP_PASS;
		tcp = (void *)(ip + 1);
	} else {
		return XDP_PASS;
	}
	if ((void *)(tcp + 1) > end || tcp->doff < 5)
		return XDP_PASS;
	count = bpf_map_lookup_elem(&packets, &zero);
	if (count)
		*count += 1;
	swap_macs(eth);
	return XDP_TX;
}

/* What measuring itself costs. */
SEC("xdp.frags")
int empty(struct xdp_md *ctx)
{
	return XDP_DROP;
}

static __always_inline __u32 next_flow(struct plan *p)
{
	__u32 x = p->random;

	if (!x) {
		x = p->next;
		p->next = x + 1 < p->flows ? x + 1 : 0;
		return p->first + x;
	}
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	p->random = x;
	return p->first + (__u32)(((__u64)x * p->flows) >> 32);
}

/* Writes the whole of the next frame: the programs under test change what they
 * are given, and nobody else restores it. Checksums stay those of flow 0; no
 * program of ours looks at them. */
static __always_inline int compose(struct xdp_md *ctx, struct plan *p)
{
	__u32 flow = next_flow(p), advanced = p->advance < 32 ? p->sent >> p->advance : 0;
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__be32 *client;
	struct tcphdr *tcp;

	if (data + FRAME_V4 > end)
		return 0;
	__builtin_memcpy(data, p->frame, FRAME_V4);
	if (p->v6) {
		if (data + FRAME_V6 > end)
			return 0;
		__builtin_memcpy(data + FRAME_V4, p->frame + FRAME_V4, FRAME_V6 - FRAME_V4);
		client = data + ETH_HLEN + offsetof(struct ipv6hdr, saddr) + 12;
		tcp = data + L4_V6;
	} else {
		client = data + ETH_HLEN + offsetof(struct iphdr, saddr);
		tcp = data + L4_V4;
	}
	*client = bpf_htonl(p->client + (flow >> PORTS_BITS));
	tcp->source = bpf_htons(1024 + (flow & ((1 << PORTS_BITS) - 1)));
	if (p->service_mask)
		tcp->dest = bpf_htons(bpf_ntohs(tcp->dest) + (flow & p->service_mask));
	tcp->seq = bpf_htonl(p->sequence + advanced);
	p->sent++;
	return 1;
}

/* The source of live frames: what it returns, the kernel sends. */
SEC("xdp.frags")
int generate(struct xdp_md *ctx)
{
	struct plan *p = plan();

	return p && compose(ctx, p) ? XDP_TX : XDP_DROP;
}

/* The same for Program.Run with repeat, which restores neither the frame nor
 * its bounds: in one run the frame is written and given to the target. */
SEC("xdp.frags")
int feed(struct xdp_md *ctx)
{
	long surplus;
	struct plan *p = plan();

	if (!p)
		return XDP_ABORTED;
	surplus = (long)ctx->data_end - (long)ctx->data - (p->v6 ? FRAME_V6 : FRAME_V4);
	/* Headers are put in front, and payload is cut off behind. */
	if (surplus > 0 && bpf_xdp_adjust_head(ctx, (int)surplus))
		return XDP_ABORTED;
	if (surplus < 0 && bpf_xdp_adjust_tail(ctx, (int)-surplus))
		return XDP_ABORTED;
	if (!compose(ctx, p))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

static __always_inline void swap_v4(struct iphdr *ip)
{
	__be32 from = ip->saddr;

	ip->saddr = ip->daddr;
	ip->daddr = from;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct tcphdr));
}

static __always_inline void swap_v6(struct ipv6hdr *ip)
{
	struct in6_addr from = ip->saddr;

	ip->saddr = ip->daddr;
	ip->daddr = from;
	ip->payload_len = bpf_htons(sizeof(struct tcphdr));
}

/* Turns a segment into the bare answer to it. */
static __always_inline void answer_tcp(struct tcphdr *tcp, __u32 used, int syn)
{
	__be16 from = tcp->source;
	__be32 ack = tcp->ack_seq;

	tcp->source = tcp->dest;
	tcp->dest = from;
	tcp->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + used);
	tcp->seq = ack;
	tcp->doff = sizeof(*tcp) / 4;
	tcp->syn = syn;
	tcp->ack = 1;
	tcp->psh = 0;
}

/* The far end of the wire: nobody, or while flows are made the backend, which
 * answers SYN and data, and the client, which answers SYN-ACK. */
SEC("xdp.frags")
int answer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct plan *p = plan();
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct iphdr *ip4 = data + ETH_HLEN;
	struct tcphdr *tcp;
	__u32 used;
	int v6;

	if (!p || !p->answers || (void *)(ip6 + 1) > end)
		return XDP_DROP;
	v6 = eth->h_proto == bpf_htons(ETH_P_IPV6);
	tcp = data + (v6 ? L4_V6 : L4_V4);
	if ((void *)(tcp + 1) > end)
		return XDP_DROP;
	used = v6 ? bpf_ntohs(ip6->payload_len) : bpf_ntohs(ip4->tot_len) - sizeof(*ip4);
	used -= tcp->doff * 4;
	used += tcp->syn;
	if (!used || tcp->rst)
		return XDP_DROP;
	answer_tcp(tcp, used, tcp->syn && !tcp->ack);
	if (v6)
		swap_v6(ip6);
	else
		swap_v4(ip4);
	swap_macs(eth);
	return XDP_TX;
}
