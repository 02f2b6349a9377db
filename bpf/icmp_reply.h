/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Errors this node sends: a packet that does not fit where it must go is
 * answered as a router answers it, by "fragmentation needed" (RFC 1191) or
 * "packet too big" (RFC 4443), from the address the packet was sent to.
 */
#pragma once

#include "count.h"
#include "ether.h"
#include "rewrite.h"

/* Messages a second and CPU, and how many may come at once. */
#define ICMP_RATE 1000
#define ICMP_BURST 256
#define ICMP_INTERVAL (1000000000ull / ICMP_RATE)

#define ICMP_TTL 64
#define ICMP_UNREACHABLE 3
#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMPV6_TOO_BIG 2
#define IPV4_MIN_MTU 68
#define IPV6_MIN_MTU 1280

/* The eight bytes in front of the quote, alike in both families. */
struct icmp {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 mtu; /* IPv4: in the lower half */
};

/* How much of the packet is quoted: what makes a message of 576 bytes
 * (RFC 1812) and one of 1280 (RFC 4443). A packet that is too big and shorter
 * than that met an MTU no network should have. */
#define QUOTE_V4 (576 - (int)sizeof(struct iphdr) - (int)sizeof(struct icmp))
#define QUOTE_V6 (IPV6_MIN_MTU - (int)sizeof(struct ipv6hdr) - (int)sizeof(struct icmp))

/* When the next message may be sent, were all sent at ICMP_RATE. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} icmp_credits SEC(".maps");

static __always_inline int icmp_allowed(void)
{
	__u64 now = bpf_ktime_get_coarse_ns(), *next;
	__u32 zero = 0;

	next = bpf_map_lookup_elem(&icmp_credits, &zero);
	if (!next || *next > now + ICMP_BURST * ICMP_INTERVAL)
		return 0;
	*next = (*next > now ? *next : now) + ICMP_INTERVAL;
	return 1;
}

/* bpf_csum_diff takes 512 bytes at a time before Linux 6.13. */
#define ICMP_SUM_STEP 512

static __always_inline __u64 icmp_sum(void *message, int length, __u64 sum)
{
	int at;

#pragma unroll
	for (at = 0; at < length; at += ICMP_SUM_STEP) {
		int step = length - at < ICMP_SUM_STEP ? length - at : ICMP_SUM_STEP;

		sum = bpf_csum_diff(NULL, 0, message + at, step, (__u32)sum);
	}
	return sum;
}

static __always_inline int too_big_v4(struct xdp_md *ctx, const struct packet *p, long l3, __u32 mtu)
{
	struct iphdr *ip = (void *)(long)ctx->data + l3;
	struct icmp *icmp = (struct icmp *)(ip + 1);

	if ((void *)(icmp + 1) + QUOTE_V4 > (void *)(long)ctx->data_end)
		return 0;
	__builtin_memset(ip, 0, sizeof(*ip) + sizeof(*icmp));
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + QUOTE_V4);
	ip->ttl = ICMP_TTL;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = addr_last(&p->dst);
	ip->daddr = addr_last(&p->src);
	ip->check = header_checksum_v4(ip);
	icmp->type = ICMP_UNREACHABLE;
	icmp->code = ICMP_FRAGMENTATION_NEEDED;
	icmp->mtu = bpf_htonl(mtu & 0xffff);
	icmp->check = ~fold(icmp_sum(icmp, sizeof(*icmp) + QUOTE_V4, 0));
	return 1;
}

static __always_inline int too_big_v6(struct xdp_md *ctx, const struct packet *p, long l3, __u32 mtu)
{
	struct ipv6hdr *ip = (void *)(long)ctx->data + l3;
	struct icmp *icmp = (struct icmp *)(ip + 1);
	const int length = sizeof(*icmp) + QUOTE_V6;
	__u64 sum;

	if ((void *)(icmp + 1) + QUOTE_V6 > (void *)(long)ctx->data_end)
		return 0;
	__builtin_memset(ip, 0, sizeof(*ip) + sizeof(*icmp));
	ip->version = 6;
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = ICMP_TTL;
	__builtin_memcpy(&ip->saddr, &p->dst, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &p->src, sizeof(ip->daddr));
	icmp->type = ICMPV6_TOO_BIG;
	icmp->mtu = bpf_htonl(mtu);
	sum = sum_v6(&ip->saddr) + sum_v6(&ip->daddr) + bpf_htons(length) + bpf_htons(IPPROTO_ICMPV6);
	icmp->check = ~fold(icmp_sum(icmp, length, fold(sum)));
	return 1;
}

/* Whether the sender can be told: IPv4 routers fragment what they may, and
 * nobody believes in an IPv6 link below its minimum. */
static __always_inline int too_big_answerable(const struct xdp_md *ctx, const struct packet *p, long l3, __u32 mtu)
{
	struct iphdr *ip = (void *)(long)ctx->data + l3;

	if (p->v6)
		return mtu >= IPV6_MIN_MTU && p->length >= QUOTE_V6;
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || !(ip->frag_off & bpf_htons(IPV4_DONT_FRAGMENT)))
		return 0;
	return p->length >= QUOTE_V4;
}

/* Cuts the frame to the quote and makes room for the message in front of it. */
static __always_inline int too_big_resize(struct xdp_md *ctx, const struct packet *p, long l3)
{
	long keep = l3 + (p->v6 ? QUOTE_V6 : QUOTE_V4), surplus = (long)frame_length(ctx) - keep;
	int room = sizeof(struct icmp) + (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if (surplus < 0 || (surplus && bpf_xdp_adjust_tail(ctx, (int)-surplus)))
		return 0;
	return !bpf_xdp_adjust_head(ctx, -room);
}

/*
 * Counts a packet that does not fit into mtu and tells its sender, where that
 * is of use. The packet must be as it came in; every pointer into the frame is
 * void afterwards.
 */
__noinline int too_big(struct xdp_md *ctx, const struct packet *p, __u32 mtu)
{
	struct ether e;
	__be16 proto;
	long l3;
	int ok;

	if (!p)
		return XDP_DROP;
	l3 = p->l3;
	if (!ether_save(ctx, l3, &e) || !too_big_answerable(ctx, p, l3, mtu) || !icmp_allowed())
		return drop(p, DROP_TOO_BIG_UNTOLD);
	drop(p, DROP_TOO_BIG);
	if (!too_big_resize(ctx, p, l3))
		return XDP_DROP;
	ether_turn(&e.eth);
	proto = p->v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	ok = ether_put(ctx, l3, &e, proto);
	if (ok)
		ok = p->v6 ? too_big_v6(ctx, p, l3, mtu) : too_big_v4(ctx, p, l3, mtu);
	return ok ? XDP_TX : XDP_DROP;
}
