/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet inside another one, as modes ipip and gue send it: found, and taken
 * out. The checksum of an outer UDP header is not verified: it is made of those
 * inside, which the stack verifies.
 */
#pragma once

#include <linux/udp.h>

#include "ether.h"
#include "rewrite.h"

/* A packet with another inside, by what its outer headers say. */
struct parcel {
	struct addr src;
	struct addr dst; /* of the outer header */
	struct addr vip; /* where the packet inside goes */
	__u32 l3; /* offset of the outer IP header */
	__u32 inner; /* and of the inner one */
	__u32 length; /* that the outer headers leave for it */
	__u8 proto; /* of the outer header */
	__u8 v6; /* the inner one's family */
	__u8 tos; /* of the outer header */
	__u8 whole; /* the inner length is what it should be */
};

/* Where in the frame an offset is. All headers end before 128 bytes, which the
 * verifier does not know of a number it finds in memory. */
static __always_inline void *at(void *data, __u32 offset)
{
	__u64 bounded = offset & 0x7f;

	barrier_var(bounded);
	return data + bounded;
}

/* The offset of the IP header, 0 where there is none. */
static __always_inline __u32 link_length(void *data, void *end, __be16 *proto)
{
	struct ethhdr *eth = data;
	struct vlan_tag *tag = (struct vlan_tag *)(eth + 1);
	__u32 length = sizeof(*eth);
	int i;

	if ((void *)(eth + 1) > end)
		return 0;
	*proto = eth->h_proto;
#pragma unroll
	for (i = 0; i < VLAN_TAGS; i++) {
		if (*proto != bpf_htons(ETH_P_8021Q) && *proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return 0;
		*proto = tag->next;
		tag++;
		length += sizeof(*tag);
	}
	return length;
}

static __always_inline int outer_ipv4(struct iphdr *ip, void *end, struct parcel *p)
{
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl != sizeof(*ip) / 4)
		return 0;
	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK))
		return 0;
	addr_v4(&p->src, ip->saddr);
	addr_v4(&p->dst, ip->daddr);
	p->proto = ip->protocol;
	p->tos = ip->tos;
	p->inner = p->l3 + sizeof(*ip);
	p->length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
	return bpf_ntohs(ip->tot_len) > sizeof(*ip);
}

static __always_inline int outer_ipv6(struct ipv6hdr *ip, void *end, struct parcel *p)
{
	if ((void *)(ip + 1) > end || ip->version != 6)
		return 0;
	addr_v6(&p->src, &ip->saddr);
	addr_v6(&p->dst, &ip->daddr);
	p->proto = ip->nexthdr;
	p->tos = bpf_ntohl(*(__be32 *)ip) >> 20;
	p->inner = p->l3 + sizeof(*ip);
	p->length = bpf_ntohs(ip->payload_len);
	return 1;
}

/* Follows a UDP header to what is inside. */
static __always_inline int outer_gue(void *data, void *end, struct parcel *p)
{
	struct udphdr *udp = at(data, p->inner);
	__u8 *version = (__u8 *)(udp + 1);

	if ((void *)(version + 1) > end || udp->dest != bpf_htons(GUE_PORT))
		return 0;
	if (bpf_ntohs(udp->len) != p->length || p->length <= sizeof(*udp))
		return 0;
	p->inner += sizeof(*udp);
	p->length -= sizeof(*udp);
	p->v6 = *version >> 4 == 6;
	return p->v6 || *version >> 4 == 4;
}

static __always_inline int inner_ipv4(struct iphdr *ip, void *end, struct parcel *p)
{
	if ((void *)(ip + 1) > end || ip->version != 4)
		return 0;
	addr_v4(&p->vip, ip->daddr);
	p->whole = bpf_ntohs(ip->tot_len) == p->length && ip->ihl >= 5 && ip->ihl * 4u <= p->length &&
		   (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_ICMP);
	return 1;
}

static __always_inline int inner_ipv6(struct ipv6hdr *ip, void *end, struct parcel *p)
{
	if ((void *)(ip + 1) > end || ip->version != 6)
		return 0;
	addr_v6(&p->vip, &ip->daddr);
	p->whole = bpf_ntohs(ip->payload_len) + sizeof(*ip) == p->length &&
		   (ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_ICMPV6);
	return 1;
}

/* Whether the frame holds a packet inside another one. */
static __always_inline int parcel_parse(struct xdp_md *ctx, struct parcel *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__be16 proto = 0;
	int outer = 0;

	p->l3 = link_length(data, end, &proto);
	if (proto == bpf_htons(ETH_P_IP))
		outer = outer_ipv4(at(data, p->l3), end, p);
	else if (proto == bpf_htons(ETH_P_IPV6))
		outer = outer_ipv6(at(data, p->l3), end, p);
	if (!p->l3 || !outer)
		return 0;
	if (p->proto == IPPROTO_UDP) {
		if (!outer_gue(data, end, p))
			return 0;
	} else if (p->proto == IPPROTO_IPV6) {
		p->v6 = 1;
	} else if (p->proto != IPPROTO_IPIP) {
		return 0;
	}
	if (p->inner + p->length > frame_length(ctx))
		return 0;
	return p->v6 ? inner_ipv6(at(data, p->inner), end, p) : inner_ipv4(at(data, p->inner), end, p);
}

#define ECN_MASK 3
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE 3

/* What the two ECN fields make together (RFC 6040 section 4.2), or -1 where the
 * packet must be dropped: congestion that its ends would not hear of. */
static __always_inline int ecn(__u8 outer, __u8 inner)
{
	outer &= ECN_MASK;
	if (outer == ECN_CE)
		return inner & ECN_MASK ? ECN_CE : -1;
	if (outer == ECN_ECT1 && (inner & ECN_MASK) == ECN_ECT0)
		return ECN_ECT1;
	return inner & ECN_MASK;
}

/* Carries congestion met on the way over to the packet inside. 0 = it cannot
 * be. */
static __always_inline int ecn_inward(struct xdp_md *ctx, const struct parcel *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = at(data, p->inner);
	struct delta d = {};
	__u16 *word, was;
	__u32 first;
	int is;

	if ((void *)(ip + 1) > end)
		return 0;
	if (p->v6) {
		first = bpf_ntohl(*(__be32 *)ip);
		is = ecn(p->tos, first >> 20);
		if (is >= 0)
			*(__be32 *)ip = bpf_htonl((first & ~(ECN_MASK << 20)) | (__u32)is << 20);
		return is >= 0;
	}
	is = ecn(p->tos, ip->tos);
	if (is < 0)
		return 0;
	word = (__u16 *)ip;
	was = *word;
	ip->tos = (ip->tos & ~ECN_MASK) | is;
	if (*word == was)
		return 1;
	delta_word(&d, was, *word);
	delta_apply(&d, &ip->check);
	return 1;
}

static __always_inline int unpack(struct xdp_md *ctx, const struct parcel *p)
{
	struct ether e;
	long l3 = p->l3;

	if (!ether_save(ctx, l3, &e))
		return 0;
	if (bpf_xdp_adjust_head(ctx, (int)(p->inner - p->l3)))
		return 0;
	return ether_put(ctx, l3, &e, p->v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
}
