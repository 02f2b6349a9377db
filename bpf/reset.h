/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Answering a packet with a reset, as RFC 9293 section 3.10.7 has a closed
 * port answer: the sequence number is what the sender expects. */
#pragma once

#include "parse.h"
#include "rewrite.h"

#define RESET_TTL 64

static __always_inline __u16 reset_checksum_v4(struct iphdr *ip)
{
	__u16 *w = (__u16 *)ip;
	__u64 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += w[i];
	return ~fold(sum);
}

static __always_inline __u16 reset_checksum_tcp(const struct addr *a, const struct addr *b, int v6, struct tcphdr *tcp)
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

static __always_inline void reset_ethernet(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

static __always_inline void reset_tcp(const struct packet *p, struct tcphdr *tcp)
{
	__u32 used = p->payload + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN);

	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = p->dport;
	tcp->dest = p->sport;
	tcp->doff = sizeof(*tcp) / 4;
	tcp->rst = 1;
	if (p->flags & TCP_ACK) {
		tcp->seq = bpf_htonl(p->ack);
		return;
	}
	tcp->ack = 1;
	tcp->ack_seq = bpf_htonl(p->seq + used);
}

static __always_inline struct tcphdr *reset_ipv4(struct iphdr *ip, void *end, const struct packet *p)
{
	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end)
		return NULL;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct tcphdr));
	ip->id = 0;
	ip->frag_off = 0;
	ip->ttl = RESET_TTL;
	ip->saddr = addr_last(&p->dst);
	ip->daddr = addr_last(&p->src);
	ip->check = 0;
	ip->check = reset_checksum_v4(ip);
	return (struct tcphdr *)(ip + 1);
}

static __always_inline struct tcphdr *reset_ipv6(struct ipv6hdr *ip, void *end, const struct packet *p)
{
	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end)
		return NULL;
	ip->payload_len = bpf_htons(sizeof(struct tcphdr));
	ip->hop_limit = RESET_TTL;
	__builtin_memcpy(&ip->saddr, &p->dst, sizeof(p->dst));
	__builtin_memcpy(&ip->daddr, &p->src, sizeof(p->src));
	return (struct tcphdr *)(ip + 1);
}

/* Turns the frame round. A reset is never answered. The payload is cut off, so
 * every pointer into the frame is void afterwards. */
__noinline int reset_reply(struct xdp_md *ctx, const struct packet *p)
{
	struct ethhdr *eth;
	struct tcphdr *tcp;
	long l3, surplus;
	void *end;

	if (!p || p->flags & TCP_RST)
		return XDP_DROP;
	l3 = p->l3;
	surplus = (long)ctx->data_end - (long)ctx->data - l3 - (long)sizeof(struct tcphdr) -
		  (long)(p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	if (surplus > 0 && bpf_xdp_adjust_tail(ctx, (int)-surplus))
		return XDP_DROP;
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if ((void *)(eth + 1) > end || l3 < (long)sizeof(*eth) || l3 > (long)sizeof(*eth) + 8)
		return XDP_DROP;
	tcp = p->v6 ? reset_ipv6((void *)eth + l3, end, p) : reset_ipv4((void *)eth + l3, end, p);
	if (!tcp)
		return XDP_DROP;
	reset_ethernet(eth);
	reset_tcp(p, tcp);
	tcp->check = reset_checksum_tcp(&p->src, &p->dst, p->v6, tcp);
	return XDP_TX;
}
