/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums, and changing addresses and ports in place by their difference (RFC
 * 1624, equation 3). Every function takes headers that parse() has bounded.
 */
#pragma once

#include "parse.h"

/* A one's complement sum that still has its carries. */
struct delta {
	__u64 sum;
};

static __always_inline void delta_word(struct delta *d, __u32 was, __u32 is)
{
	d->sum += (__u64)(__u32)~was + is;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline __u64 sum_v6(const struct in6_addr *a)
{
	const __u32 *w = (const __u32 *)a;

	return (__u64)w[0] + w[1] + w[2] + w[3];
}

static __always_inline __u16 header_checksum_v4(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u64 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += w[i];
	return ~fold(sum);
}

static __always_inline void delta_apply(const struct delta *d, __u16 *check)
{
	*check = ~fold(d->sum + (__u16) ~*check);
}

static __always_inline void rewrite_v4(__be32 *field, const struct addr *to, struct delta *ip, struct delta *tcp)
{
	__be32 is = addr_last(to);

	delta_word(ip, *field, is);
	delta_word(tcp, *field, is);
	*field = is;
}

static __always_inline void rewrite_v6(struct in6_addr *field, const struct addr *to, struct delta *tcp)
{
	__u32 *was = (__u32 *)field;
	const __u32 *is = (const __u32 *)to;
	int i;

#pragma unroll
	for (i = 0; i < 4; i++) {
		delta_word(tcp, was[i], is[i]);
		was[i] = is[i];
	}
}

static __always_inline void rewrite_port(__be16 *field, __be16 to, struct delta *tcp)
{
	delta_word(tcp, *field, to);
	*field = to;
}

/* One hop further. 0 = the packet has none left. */
static __always_inline int hop(const struct frame *f)
{
	struct delta d = {};
	__u16 *word;
	__u16 was, is;

	if (f->v6) {
		if (ip6(f)->hop_limit <= 1)
			return 0;
		ip6(f)->hop_limit--;
		return 1;
	}
	if (ip4(f)->ttl <= 1)
		return 0;
	/* As one word: a load waits for narrower stores. */
	word = (__u16 *)&ip4(f)->ttl;
	was = *word;
	is = was - bpf_htons(1 << 8);
	*word = is;
	delta_word(&d, was, is);
	delta_apply(&d, &ip4(f)->check);
	return 1;
}

/* Sets destination and, where from is given, source. */
static __always_inline void rewrite(const struct frame *f, const struct addr *to, __be16 dport, const struct addr *from,
				    __be16 sport)
{
	struct delta ip = {}, tcp = {};

	if (f->v6) {
		rewrite_v6(&ip6(f)->daddr, to, &tcp);
		rewrite_v6(&ip6(f)->saddr, from, &tcp);
	} else {
		rewrite_v4(&ip4(f)->daddr, to, &ip, &tcp);
		rewrite_v4(&ip4(f)->saddr, from, &ip, &tcp);
		delta_apply(&ip, &ip4(f)->check);
	}
	rewrite_port(&f->tcp->dest, dport, &tcp);
	rewrite_port(&f->tcp->source, sport, &tcp);
	delta_apply(&tcp, &f->tcp->check);
}
