/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Modes ipip and gue: the client's packet goes inside another one, addressed to
 * the backend. ipip is IP in IP (RFC 2003, RFC 2473, RFC 4213); gue is the
 * direct variant (version 1) of Generic UDP Encapsulation, an IP packet right
 * behind a UDP header, which Linux decapsulates as "gue" and as "fou".
 *
 * The outer header spreads flows over queues and links in ways a firewall can
 * still match: gue by a source port from RFC 6335's dynamic range, IPv6 by its
 * flow label (RFC 6438), and the source by the bits of a prefix that the
 * settings name. Without a prefix the source is one address.
 */
#pragma once

#include <linux/udp.h>

#include "ether.h"
#include "maps.h"
#include "rewrite.h"

#define OUTER_TTL 64
#define FLOW_LABEL_MASK 0x000fffff

static __always_inline int addr_is_v4(const struct addr *a)
{
	const __u32 *w = (const __u32 *)a;

	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

/* Bytes that an outer header towards m takes, 0 where m gets packets as they
 * are. */
static __always_inline __u32 encap_room(const struct member *m)
{
	__u32 room = addr_is_v4(&m->addr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	if (m->flags & MEMBER_GUE)
		return room + sizeof(struct udphdr);
	return m->flags & MEMBER_IPIP ? room : 0;
}

/* What the outer header repeats of the packet inside. */
struct inner {
	struct ether ether;
	__u64 sum; /* one's complement sum over the whole packet */
	__u32 length;
	__u8 tos; /* DSCP and ECN (RFC 6040, normal mode) */
	__u8 v6;
	__u8 zero[2];
};

/*
 * The sum of an IP packet that holds a TCP segment or an ICMP message, known
 * without reading the latter: with its pseudo header it sums to zero, and so
 * do an IPv4 header and an ICMP message, which has no pseudo header there. The
 * outer checksum is right as long as the inner ones are.
 */
static __always_inline void inner_v4(const struct iphdr *ip, struct inner *in)
{
	__u64 pseudo = ip->protocol == IPPROTO_ICMP ? 0
						    : (__u64)ip->saddr + ip->daddr + bpf_htons(IPPROTO_TCP) +
							      bpf_htons(in->length - sizeof(*ip));

	in->tos = ip->tos;
	in->sum = (__u16)~fold(pseudo);
}

/* Addresses and length stand in both the header and the pseudo header. */
static __always_inline void inner_v6(const struct ipv6hdr *ip, struct inner *in)
{
	const __u32 *first = (const __u32 *)ip;
	const __u16 *hop = (const __u16 *)&ip->nexthdr;

	in->tos = bpf_ntohl(*first) >> 20;
	in->sum = (__u64)*first + *hop + (__u16)~bpf_htons(ip->nexthdr);
}

static __always_inline int inner_read(const struct xdp_md *ctx, long l3, struct inner *in)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!ether_save(ctx, l3, &in->ether))
		return 0;
	if (in->v6) {
		if (data + l3 + sizeof(struct ipv6hdr) > end)
			return 0;
		inner_v6(data + l3, in);
		return 1;
	}
	if (data + l3 + sizeof(struct iphdr) > end)
		return 0;
	inner_v4(data + l3, in);
	return 1;
}

static __always_inline __u8 outer_protocol(const struct member *m, const struct inner *in)
{
	if (m->flags & MEMBER_GUE)
		return IPPROTO_UDP;
	return in->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
}

/* The two return the sum of the addresses, which a UDP checksum covers. IPv4's is
 * written by words, and summed before: a load waits for narrower stores. */
static __always_inline __u64 outer_v4(__be32 *word, const struct member *m, const struct inner *in, __u32 room,
				      __u32 entropy)
{
	__u32 first = 0x45 | (__u32)in->tos << 8 | (__u32)bpf_htons(in->length + room) << 16;
	/* Never a fragment, so the id identifies nothing (RFC 6864). */
	__u32 second = (__u32)bpf_htons(IPV4_DONT_FRAGMENT) << 16;
	__u32 third = OUTER_TTL | (__u32)outer_protocol(m, in) << 8;
	__be32 source = addr_last(&m->source) | (bpf_htonl(entropy) & m->spread);
	__be32 destination = addr_last(&m->addr);
	__u64 addresses = (__u64)source + destination;
	__u16 check = ~fold(addresses + first + second + third);

	word[0] = first;
	word[1] = second;
	word[2] = third | (__u32)check << 16;
	word[3] = source;
	word[4] = destination;
	return addresses;
}

static __always_inline __u64 outer_v6(struct ipv6hdr *ip, const struct member *m, const struct inner *in, __u32 room,
				      __u32 entropy)
{
	*(__be32 *)ip = bpf_htonl(6u << 28 | (__u32)in->tos << 20 | (entropy & FLOW_LABEL_MASK));
	ip->payload_len = bpf_htons(in->length + room - sizeof(*ip));
	ip->nexthdr = outer_protocol(m, in);
	ip->hop_limit = OUTER_TTL;
	__builtin_memcpy(&ip->saddr, &m->source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &m->addr, sizeof(ip->daddr));
	ip->saddr.in6_u.u6_addr32[3] |= bpf_htonl(entropy) & m->spread;
	return sum_v6(&ip->saddr) + sum_v6(&ip->daddr);
}

static __always_inline void outer_udp(struct udphdr *udp, const struct inner *in, __u64 addresses, __u32 entropy)
{
	__u16 check;

	udp->source = bpf_htons(GUE_SOURCE_FIRST | (entropy & GUE_SOURCE_MASK));
	udp->dest = bpf_htons(GUE_PORT);
	udp->len = bpf_htons(sizeof(*udp) + in->length);
	check = ~fold(addresses + bpf_htons(IPPROTO_UDP) + udp->len + udp->len + udp->source + udp->dest + in->sum);
	udp->check = check ? check : 0xffff;
}

static __always_inline int outer_write(struct xdp_md *ctx, long l3, const struct member *m, const struct inner *in,
				       __u32 room, __u32 entropy)
{
	void *end = (void *)(long)ctx->data_end, *at = (void *)(long)ctx->data + l3;
	struct udphdr *udp;
	__u64 addresses;

	if (addr_is_v4(&m->addr)) {
		udp = at + sizeof(struct iphdr);
		if ((void *)(udp + 1) > end)
			return 0;
		addresses = outer_v4(at, m, in, room, entropy);
	} else {
		udp = at + sizeof(struct ipv6hdr);
		if ((void *)(udp + 1) > end)
			return 0;
		addresses = outer_v6(at, m, in, room, entropy);
	}
	if (m->flags & MEMBER_GUE)
		outer_udp(udp, in, addresses, entropy);
	return 1;
}

/*
 * Puts the packet at l3 into an outer one to m and addresses the frame to n.
 * entropy are bits of the flow's hash. Every pointer into the frame is void
 * afterwards. 0 = the driver leaves no room in front of the frame.
 */
static __always_inline int encapsulate_at(struct xdp_md *ctx, long l3, __u32 length, __u64 v6, const struct member *m,
					  const struct next_hop *n, __u32 entropy)
{
	struct inner in = { .length = length, .v6 = v6 };
	__u32 room = encap_room(m);
	__be16 proto;

	if (!inner_read(ctx, l3, &in) || bpf_xdp_adjust_head(ctx, -(int)room))
		return 0;
	__builtin_memcpy(in.ether.eth.h_dest, n->destination, ETH_ALEN);
	__builtin_memcpy(in.ether.eth.h_source, n->source, ETH_ALEN);
	proto = addr_is_v4(&m->addr) ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (!ether_put(ctx, l3, &in.ether, proto))
		return 0;
	return outer_write(ctx, l3, m, &in, room, entropy);
}

__noinline int encapsulate(struct xdp_md *ctx, const struct packet *p, const struct member *m, const struct next_hop *n,
			   __u32 entropy)
{
	long l3;

	if (!p || !m || !n)
		return 0;
	l3 = p->l3;
	return ether_fits(l3) && encapsulate_at(ctx, l3, p->length, p->v6, m, n, entropy);
}
