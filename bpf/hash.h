/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012)
 * over whole 64-bit words. Keyed, so that a client can neither aim at one
 * backend nor pile flows onto one line. One hash serves the ring, the line and
 * its tag: ring entry from the high half, line from the low bits, tag from the
 * high 31.
 *
 * Every packet is hashed, and what happens to it waits for that. So the words
 * are few: IPv4's address and port are one, and the length, which is the same for
 * all inputs of a family, is left out. And the service, which takes a while to
 * find, is mixed in at the end.
 */
#pragma once

#include "maps.h"
#include "parse.h"

struct sip {
	__u64 a, b, c, d;
};

static __always_inline __u64 rotate(__u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static __always_inline void sip_round(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = rotate(s->b, 17) ^ s->c;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c = rotate(s->c, 32);
}

static __always_inline void sip_word(struct sip *s, __u64 word)
{
	s->d ^= word;
	sip_round(s);
	s->a ^= word;
}

static __always_inline __u64 sip_end(struct sip *s)
{
	s->c ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->a ^ s->b ^ s->c ^ s->d;
}

static __always_inline struct sip sip_begin(void)
{
	return (struct sip){
		.a = hash_key[0] ^ 0x736f6d6570736575ull,
		.b = hash_key[1] ^ 0x646f72616e646f6dull,
		.c = hash_key[0] ^ 0x6c7967656e657261ull,
		.d = hash_key[1] ^ 0x7465646279746573ull,
	};
}

/* The hash of addr:port and a few bits more. */
static __always_inline __u64 hash_v4(__be32 addr, __be16 port, __u16 more)
{
	struct sip s = sip_begin();

	sip_word(&s, (__u64)addr << 32 | (__u32)port << 16 | more);
	return sip_end(&s);
}

static __always_inline __u64 hash_v6(const __u64 *addr, __be16 port, __u16 more)
{
	struct sip s = sip_begin();

	sip_word(&s, addr[0]);
	sip_word(&s, addr[1]);
	sip_word(&s, (__u32)port << 16 | more);
	return sip_end(&s);
}

__noinline __u64 hash_endpoint(const struct addr *addr, __be16 port, __u16 more)
{
	const __u64 *w = (const __u64 *)addr;

	if (!addr)
		return 0;
	if (!w[0] && (__u32)w[1] == bpf_htonl(0xffff))
		return hash_v4(addr_last(addr), port, more);
	return hash_v6(w, port, more);
}

/* The hash of a client of the service that has the salt. */
static __always_inline __u64 flow_hash(const struct addr *client, __be16 port, __u64 salt)
{
	return hash_endpoint(client, port, 0) ^ salt;
}

/* The hash of where a host answers to. */
static __always_inline __u64 answer_hash(const struct addr *to, __be16 port, __u16 host)
{
	return hash_endpoint(to, port, host);
}

/* What only this cluster can know of a client at a time. */
static __always_inline __u64 secret_hash(const struct addr *client, __be16 port, __u64 at)
{
	const __u64 *w = (const __u64 *)client;
	struct sip s = sip_begin();

	sip_word(&s, w[0]);
	sip_word(&s, w[1]);
	sip_word(&s, at ^ port);
	sip_word(&s, 24ull << 56);
	return sip_end(&s);
}

/* One half of what names a connection: the same bytes from every gateway. The
 * last word's low bits keep it apart from the hashes above. */
static __always_inline __u64 connection_hash(const struct addr *client, __be16 port, __u64 salt, __u32 isn, __u16 half)
{
	const __u64 *w = (const __u64 *)client;
	struct sip s = sip_begin();

	sip_word(&s, w[0]);
	sip_word(&s, w[1]);
	sip_word(&s, salt);
	sip_word(&s, (__u64)isn << 32 | (__u32)bpf_ntohs(port) << 16 | half);
	sip_word(&s, 32ull << 56 | 1);
	return sip_end(&s);
}

static __always_inline __u32 hash_ring_entry(__u64 hash)
{
	return ((hash >> 32) * RING_ENTRIES) >> 32;
}

static __always_inline __u32 hash_line(__u64 hash)
{
	return (__u32)hash & flow_mask;
}

static __always_inline __u32 hash_tag(__u64 hash)
{
	return LINE_LIVE | (__u32)(hash >> 33);
}
