/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handshakes in progress, and the source ports they hold towards a backend. A
 * flood fills this table and nothing else: no SYN ever makes or displaces an
 * established entry.
 */
#pragma once

#include "flow.h"
#include "maps.h"

#define PORT_PROBES 16
#define PORT_STRIDE 0x9e3779b1u /* odd: probes of one flow do not repeat */

/* How far beyond the expected number the packet that completes a handshake may
 * stand: the bare ACK and the first segments may have been lost. */
#define HANDSHAKE_WINDOW (1u << 16)

static __always_inline struct embryo *embryo_find(const struct flow_key *key, __u32 tick)
{
	struct embryo *e = bpf_map_lookup_elem(&embryos, key);

	if (e && (__s32)(tick - e->made) > (__s32)embryo_lifetime)
		return NULL;
	return e;
}

static __always_inline void service_key(struct flow_key *key, __u32 service, const struct addr *client, __be16 port)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->addr = *client;
	key->port = port;
	key->owner = service;
}

static __always_inline void reverse_key(struct flow_key *key, __u32 host, const struct addr *to, __be16 port)
{
	service_key(key, FLOW_REVERSE | host, to, port);
}

static __always_inline __u64 reverse_hash(const struct flow_key *key)
{
	return answer_hash(&key->addr, key->port, key->owner & ~FLOW_REVERSE);
}

/* Port number index of the two spans, 0 when both are empty. */
static __always_inline __u16 pool_port(const struct control *c, __u32 random)
{
	__u32 n[2], index;
	int i;

#pragma unroll
	for (i = 0; i < 2; i++)
		n[i] = c->pool_lo[i] <= c->pool_hi[i] && c->pool_lo[i] ? c->pool_hi[i] - c->pool_lo[i] + 1 : 0;
	if (!(n[0] + n[1]))
		return 0;
	index = ((__u64)random * (n[0] + n[1])) >> 32;
	return index < n[0] ? c->pool_lo[0] + index : c->pool_lo[1] + (index - n[0]);
}

/* A port on which the pool address is itself a service would answer clients. */
static __always_inline int is_service(const struct addr *vip, __be16 port)
{
	struct listen l = { .vip = *vip, .port = port };

	return bpf_map_lookup_elem(&service_ids, &l) != NULL;
}

/* A handshake that never finished still stands under its key; whoever moves
 * its clock first has it. */
static __always_inline int embryo_take_over(const struct flow_key *key, const struct embryo *back)
{
	struct embryo *e = bpf_map_lookup_elem(&embryos, key);
	__u32 made;

	if (!e)
		return 0;
	made = e->made;
	if ((__s32)(back->made - made) <= (__s32)embryo_lifetime)
		return 0;
	if (__sync_val_compare_and_swap(&e->made, made, back->made) != made)
		return 0;
	e->peer = back->peer;
	e->peer_port = back->peer_port;
	e->member = back->member;
	return 1;
}

/*
 * Takes key for a handshake. The embryo comes first and the established table
 * is asked second: promotion goes the other way round, so a key in use is seen
 * in one of the two. 0 = taken by another.
 */
static __always_inline int reverse_claim(const struct flow_key *key, const struct embryo *back)
{
	if (dry)
		return !embryo_find(key, back->made) && !flow_find(key, reverse_hash(key));
	if (bpf_map_update_elem(&embryos, key, back, BPF_NOEXIST) && !embryo_take_over(key, back))
		return 0;
	if (!flow_find(key, reverse_hash(key)))
		return 1;
	bpf_map_delete_elem(&embryos, key);
	return 0;
}

/* Finds a free source address and port towards host and notes who has it. */
__noinline int port_claim(__u32 service, __u32 host, __u64 hash, struct embryo *e, const struct embryo *back)
{
	struct service *svc = bpf_map_lookup_elem(&services, &service);
	struct control *c = control();
	struct flow_key key;
	__u32 random = hash, i, slot;
	__be16 port;

	if (!c || !svc || !e || !back)
		return 0;
	for (i = 0; i < PORT_PROBES; i++) {
		random = random * PORT_STRIDE + i + 1;
		slot = (random >> 7) & (SERVICE_POOL - 1);
		port = bpf_htons(pool_port(c, random ^ (__u32)(hash >> 32)));
		if (!port || is_service(&svc->pool[slot], port))
			continue;
		reverse_key(&key, host, &svc->pool[slot], port);
		if (!reverse_claim(&key, back))
			continue;
		e->peer = svc->pool[slot];
		e->peer_port = port;
		return 1;
	}
	return 0;
}
