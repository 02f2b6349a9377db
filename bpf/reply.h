/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Answering a packet with one of ours: it is turned round in place. */
#pragma once

#include "ether.h"
#include "parse.h"
#include "rewrite.h"

#define REPLY_TTL 64

static __always_inline __u16 reply_checksum_tcp(const struct addr *a, const struct addr *b, int v6, struct tcphdr *tcp)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;
	__u16 *w = (__u16 *)tcp;
	__u64 sum = bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(*tcp));
	int i;

#pragma unroll
	for (i = 0; i < 4; i++) {
		/* The mapped prefix is not part of an IPv4 pseudo header. */
		if (v6 || i == 3)
			sum += (__u64)x[i] + y[i];
	}
#pragma unroll
	for (i = 0; i < (int)sizeof(*tcp) / 2; i++)
		sum += w[i];
	return ~fold(sum);
}

struct reply {
	__u32 seq;
	__u32 ack;
	__u8 flags; /* TCP_* */
	__u8 zero[3];
};

static __always_inline void reply_tcp(const struct packet *p, const struct reply *r, struct tcphdr *tcp)
{
	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = p->dport;
	tcp->dest = p->sport;
	tcp->doff = sizeof(*tcp) / 4;
	tcp->seq = bpf_htonl(r->seq);
	tcp->ack_seq = bpf_htonl(r->ack);
	((__u8 *)tcp)[13] = r->flags;
}

static __always_inline struct tcphdr *reply_ipv4(struct iphdr *ip, void *end, const struct packet *p)
{
	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end)
		return NULL;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct tcphdr));
	ip->id = 0;
	ip->frag_off = 0;
	ip->ttl = REPLY_TTL;
	ip->saddr = addr_last(&p->dst);
	ip->daddr = addr_last(&p->src);
	ip->check = 0;
	ip->check = header_checksum_v4(ip);
	return (struct tcphdr *)(ip + 1);
}

static __always_inline struct tcphdr *reply_ipv6(struct ipv6hdr *ip, void *end, const struct packet *p)
{
	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end)
		return NULL;
	ip->payload_len = bpf_htons(sizeof(struct tcphdr));
	ip->hop_limit = REPLY_TTL;
	__builtin_memcpy(&ip->saddr, &p->dst, sizeof(p->dst));
	__builtin_memcpy(&ip->daddr, &p->src, sizeof(p->src));
	return (struct tcphdr *)(ip + 1);
}

/* Turns the frame round. The payload is cut off, so every pointer into the
 * frame is void afterwards. */
__noinline int reply(struct xdp_md *ctx, const struct packet *p, const struct reply *r)
{
	struct ethhdr *eth;
	struct tcphdr *tcp;
	long l3, surplus;
	void *end;

	if (!p || !r)
		return XDP_DROP;
	l3 = p->l3;
	surplus = (long)frame_length(ctx) - l3 - (long)sizeof(struct tcphdr) -
		  (long)(p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	if (surplus > 0 && bpf_xdp_adjust_tail(ctx, (int)-surplus))
		return XDP_DROP;
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if ((void *)(eth + 1) > end || l3 < (long)sizeof(*eth) || l3 > (long)sizeof(*eth) + 8)
		return XDP_DROP;
	tcp = p->v6 ? reply_ipv6((void *)eth + l3, end, p) : reply_ipv4((void *)eth + l3, end, p);
	if (!tcp)
		return XDP_DROP;
	ether_turn(eth);
	reply_tcp(p, r, tcp);
	tcp->check = reply_checksum_tcp(&p->src, &p->dst, p->v6, tcp);
	return XDP_TX;
}

/* As RFC 9293 section 3.10.7 has a closed port answer: the sequence number is
 * what the sender expects. A reset is never answered. */
static __always_inline int reset_reply(struct xdp_md *ctx, const struct packet *p)
{
	struct reply r = { .flags = TCP_RST };

	note(TRACE_RESET, 0);
	if (p->flags & TCP_RST)
		return XDP_DROP;
	if (p->flags & TCP_ACK) {
		r.seq = p->ack;
	} else {
		r.flags |= TCP_ACK;
		r.ack = p->seq + p->payload + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN);
	}
	return reply(ctx, p, &r);
}
