/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a frame to a packet. Parsing never drops: it says what the packet is,
 * and what is odd about it, and the caller first decides whether it is ours.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "frags.h"
#include "shared.h"
#include "trace.h"

#define VLAN_TAGS 2 /* outer and inner */
#define VLAN_ID_MASK 0x0fff
#define IPV6_EXTENSIONS 4 /* followed to find the port; more is a drop */
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_PARTIAL (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

struct vlan_tag {
	__be16 tci;
	__be16 next;
};

/* Where the headers stand in the frame. */
struct frame {
	struct ethhdr *eth;
	void *ip;
	struct tcphdr *tcp; /* NULL while odd */
	void *end;
	__u64 v6; /* as wide as a register, so that the verifier knows its value */
};

/* What the headers say. Plain data, so that functions the verifier checks on
 * their own can take it. */
struct packet {
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport; /* 0 when the packet is odd and has none */
	__u32 seq;
	__u32 ack;
	__u32 tick;
	__u32 room; /* bytes from the IP header to the end of the whole frame */
	__u16 length; /* IP total length, header included */
	__u16 payload; /* bytes after the TCP header */
	__u16 vlan; /* outer tag's id, 0 = untagged */
	__u8 flags; /* TCP_* */
	__u8 odd; /* enum drop_reason: what to count if it is for a VIP */
	__u8 v6;
	__u8 l3; /* offset of the IP header */
	__u8 zero[2];
};

static __always_inline struct iphdr *ip4(const struct frame *f)
{
	return f->ip;
}

static __always_inline struct ipv6hdr *ip6(const struct frame *f)
{
	return f->ip;
}

enum parsed {
	PARSED_OTHER, /* none of these: never ours */
	PARSED_TCP,
	PARSED_ICMP,
	PARSED_ARP,
	PARSED_ODD, /* TCP that cannot be steered; packet.odd says why */
};

static __always_inline void addr_v4(struct addr *a, __be32 v4)
{
	__u64 *w = (__u64 *)a;

	/* As wide as it is read: a load waits for narrower stores. */
	w[0] = 0;
	w[1] = (__u64)v4 << 32 | bpf_htonl(0xffff);
}

static __always_inline void addr_v6(struct addr *a, const struct in6_addr *v6)
{
	__builtin_memcpy(a, v6, sizeof(*a));
}

/* By words: by the bytes it is declared as it would take a register each. */
static __always_inline void addr_copy(struct addr *to, const struct addr *from)
{
	__u32 *x = (__u32 *)to;
	const __u32 *y = (const __u32 *)from;
	int i;

#pragma unroll
	for (i = 0; i < 4; i++)
		x[i] = y[i];
}

static __always_inline int addr_equal(const struct addr *a, const struct addr *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[3] == y[3] && x[2] == y[2] && x[1] == y[1] && x[0] == y[0];
}

static __always_inline __be32 addr_last(const struct addr *a)
{
	return ((const __be32 *)a)[3];
}

/* Ports of an odd packet, where it has them at all: the service decides
 * whether it is ours to drop. */
static __always_inline void odd_ports(const struct frame *f, struct packet *p, void *l4)
{
	__be16 *ports = l4;

	if ((void *)(ports + 2) > f->end)
		return;
	p->sport = ports[0];
	p->dport = ports[1];
}

static __always_inline enum parsed odd(struct packet *p, __u8 reason)
{
	p->odd = reason;
	return PARSED_ODD;
}

static __always_inline enum parsed parse_tcp(struct frame *f, struct packet *p, struct tcphdr *tcp, __u16 l4_length)
{
	__u32 header;

	/* The compiler knows from the lengths that this holds and would drop the
	 * comparison, which the verifier needs to see. */
	barrier_var(tcp);
	if ((void *)(tcp + 1) > f->end)
		return odd(p, DROP_BAD_HEADER);
	p->sport = tcp->source;
	p->dport = tcp->dest;
	header = tcp->doff * 4;
	if (header < sizeof(*tcp) || header > l4_length)
		return odd(p, DROP_BAD_HEADER);
	f->tcp = tcp;
	p->seq = bpf_ntohl(tcp->seq);
	p->ack = bpf_ntohl(tcp->ack_seq);
	p->flags = ((__u8 *)tcp)[13];
	p->payload = l4_length - header;
	return PARSED_TCP;
}

/* ICMP that is odd is left to the stack. */
static __always_inline enum parsed parsed_icmp(const struct frame *f, const struct packet *p, int plain)
{
	return plain && p->length <= p->room ? PARSED_ICMP : PARSED_OTHER;
}

static __always_inline enum parsed parse_ipv4(struct frame *f, struct packet *p, struct iphdr *ip)
{
	__u16 fragment;
	__u32 header;
	void *l4;

	if ((void *)(ip + 1) > f->end || ip->version != 4 || ip->ihl < 5)
		return PARSED_OTHER;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_ICMP)
		return PARSED_OTHER;
	f->ip = ip;
	addr_v4(&p->src, ip->saddr);
	addr_v4(&p->dst, ip->daddr);
	p->length = bpf_ntohs(ip->tot_len);

	header = ip->ihl * 4;
	l4 = (void *)ip + header;
	fragment = bpf_ntohs(ip->frag_off);
	if (ip->protocol == IPPROTO_ICMP)
		return parsed_icmp(f, p, header == sizeof(*ip) && !(fragment & IPV4_PARTIAL));
	if (fragment & IPV4_PARTIAL) {
		if (!(fragment & IPV4_OFFSET_MASK))
			odd_ports(f, p, l4);
		return odd(p, DROP_FRAGMENT);
	}
	if (p->length > p->room) {
		odd_ports(f, p, l4);
		return odd(p, DROP_LENGTH);
	}
	if (header != sizeof(*ip)) {
		odd_ports(f, p, l4);
		return odd(p, DROP_IP_OPTIONS);
	}
	if (p->length < sizeof(*ip) + sizeof(struct tcphdr)) {
		odd_ports(f, p, l4);
		return odd(p, DROP_BAD_HEADER);
	}
	return parse_tcp(f, p, (struct tcphdr *)(ip + 1), p->length - sizeof(*ip));
}

static __always_inline int ipv6_has_length(__u8 extension)
{
	return extension == IPPROTO_HOPOPTS || extension == IPPROTO_ROUTING || extension == IPPROTO_DSTOPTS;
}

/* An IPv6 packet with extension headers is never steered; the headers are
 * followed only to learn whether it would have been ours. */
static __always_inline enum parsed parse_ipv6_extensions(const struct frame *f, struct packet *p, struct ipv6hdr *ip)
{
	struct {
		__u8 next;
		__u8 length;
		__be16 offset; /* fragment header: offset and flags */
	} *ext;
	void *at = ip + 1;
	__u8 next = ip->nexthdr, reason = DROP_IPV6_EXTENSION;
	int i;

#pragma unroll
	for (i = 0; i < IPV6_EXTENSIONS; i++) {
		if (next == IPPROTO_TCP) {
			odd_ports(f, p, at);
			return odd(p, reason);
		}
		ext = at;
		if ((void *)(ext + 2) > f->end)
			return PARSED_OTHER;
		if (next == IPPROTO_FRAGMENT) {
			reason = DROP_FRAGMENT;
			if (ext->offset & bpf_htons(0xfff8))
				return ext->next == IPPROTO_TCP ? odd(p, reason) : PARSED_OTHER;
			at += 8;
		} else if (ipv6_has_length(next)) {
			at += (ext->length + 1) * 8;
		} else {
			return PARSED_OTHER;
		}
		next = ext->next;
	}
	/* What follows that many may be TCP, or lead to it. */
	if (next == IPPROTO_TCP || next == IPPROTO_FRAGMENT || ipv6_has_length(next))
		return odd(p, reason);
	return PARSED_OTHER;
}

static __always_inline enum parsed parse_ipv6(struct frame *f, struct packet *p, struct ipv6hdr *ip)
{
	__u32 payload;

	if ((void *)(ip + 1) > f->end || ip->version != 6)
		return PARSED_OTHER;
	f->ip = ip;
	f->v6 = 1;
	p->v6 = 1;
	addr_v6(&p->src, &ip->saddr);
	addr_v6(&p->dst, &ip->daddr);
	payload = bpf_ntohs(ip->payload_len);
	p->length = payload + sizeof(*ip);
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return parsed_icmp(f, p, 1);
	if (ip->nexthdr != IPPROTO_TCP)
		return parse_ipv6_extensions(f, p, ip);
	if (payload + sizeof(*ip) > p->room) {
		odd_ports(f, p, ip + 1);
		return odd(p, DROP_LENGTH);
	}
	if (payload < sizeof(struct tcphdr)) {
		odd_ports(f, p, ip + 1);
		return odd(p, DROP_BAD_HEADER);
	}
	return parse_tcp(f, p, (struct tcphdr *)(ip + 1), payload);
}

static __always_inline enum parsed parse(struct xdp_md *ctx, struct frame *f, struct packet *p)
{
	void *data = (void *)(long)ctx->data;
	struct vlan_tag *tag;
	__be16 proto;
	int i;

	f->eth = data;
	f->end = (void *)(long)ctx->data_end;
	if ((void *)(f->eth + 1) > f->end)
		return PARSED_OTHER;
	proto = f->eth->h_proto;
	tag = (struct vlan_tag *)(f->eth + 1);
	p->l3 = sizeof(*f->eth);
#pragma unroll
	for (i = 0; i < VLAN_TAGS; i++) {
		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > f->end)
			return PARSED_OTHER;
		if (!i)
			p->vlan = bpf_ntohs(tag->tci) & VLAN_ID_MASK;
		proto = tag->next;
		tag++;
		p->l3 += sizeof(*tag);
	}
	p->room = frame_length(ctx) - p->l3;
	if (proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(f, p, (struct iphdr *)tag);
	if (proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(f, p, (struct ipv6hdr *)tag);
	return proto == bpf_htons(ETH_P_ARP) ? PARSED_ARP : PARSED_OTHER;
}
