/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who may not come in. Denied prefixes are asked for every packet of a VIP,
 * all else at a SYN only: what is established is never cut by the guard.
 *
 * Under pressure, when more handshakes begin than their table can hold for as
 * long as a client may need, or than would leave half of a source pool free, an
 * unknown source is answered by a SYN-ACK whose ack number is a keyed cookie
 * instead of the SYN's successor. A real stack
 * refuses it with a RST that repeats the cookie (RFC 9293, section 3.10.7.3)
 * and sends its SYN again a second later; by then the source is known. Nothing
 * is kept for sources that forge their address, and no SYN is dropped by lot.
 */
#pragma once

#include "hash.h"
#include "reply.h"
#include "source.h"

#define COOKIE_EPOCH_SHIFT 6 /* ticks: a cookie is good for one to two minutes */
#define COOKIE_SALT 0x636f6f6b69650000ull

/* Whether the rule holds now; if so, it has met the packet. Atomic: a rule is
 * shared by all CPUs. */
static __always_inline int rule_holds(struct rule *r, const struct packet *p)
{
	if (!r || (r->until && bpf_ktime_get_ns() >= r->until))
		return 0;
	if (dry)
		return 1;
	__sync_fetch_and_add(&r->packets, 1);
	__sync_fetch_and_add(&r->bytes, p->length);
	return 1;
}

static __always_inline int is_syn(const struct packet *p)
{
	return (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* The rule by which nothing keeps the packet out. */
static __always_inline struct rule *exemption(const struct control *c, const struct packet *p)
{
	struct prefix key = { .length = PREFIX_WHOLE, .v6 = p->v6, .addr = p->src };

	return c->guard & GUARD_EXEMPT ? bpf_map_lookup_elem(&exempts, &key) : NULL;
}

/* Whether a denied prefix may hold the address, of two words. */
static __always_inline int deny_block(const __u64 *addr, __u64 v6)
{
	__u32 block = v6 ? (__u32)addr[0] * DENY_SPREAD >> 16 : bpf_ntohl(addr[1] >> 32) >> 16, at = block / 64;
	__u64 *word = bpf_map_lookup_elem(&deny_blocks, &at);

	return word && *word >> block % 64 & 1;
}

/* Whether the packet's sender is denied altogether. */
__noinline int guard_denies(const struct packet *p)
{
	struct prefix key = { .length = PREFIX_WHOLE };
	struct control *c = control();
	struct rule *r, *e;

	if (!p || !c || !deny_block((const __u64 *)&p->src, p->v6))
		return 0;
	key.v6 = p->v6;
	key.addr = p->src;
	r = bpf_map_lookup_elem(&denies, &key);
	if (!r)
		return 0;
	e = exemption(c, p);
	if (!e)
		return rule_holds(r, p);
	/* What begins a connection is counted by guard_syn. */
	if (!is_syn(p))
		rule_holds(e, p);
	return 0;
}

static __always_inline int denied(const struct packet *p)
{
	struct control *c = control();

	return c && c->guard & GUARD_DENY && guard_denies(p);
}

static __always_inline int banned(const struct control *c, const struct packet *p, const struct addr *source)
{
	struct prefix key = { .length = PREFIX_WHOLE, .v6 = p->v6, .addr = p->src };

	if (c->guard & GUARD_BANS && rule_holds(bpf_map_lookup_elem(&bans, source), p))
		return 1;
	return c->guard & GUARD_BAN_PREFIXES && rule_holds(bpf_map_lookup_elem(&ban_prefixes, &key), p);
}

/* The generic cell rate algorithm (ITU-T I.371, annex A): one word a source,
 * the time at which a client that keeps to the rate would come next. */
static __always_inline int too_fast(const struct control *c, struct source *s, __u64 now)
{
	__u64 due = s->due, from = due > now ? due : now;

	if (!c->syn_interval)
		return 0;
	if (from - now > c->syn_burst)
		return 1;
	if (dry)
		return 0;
	__sync_val_compare_and_swap(&s->due, due, from + c->syn_interval);
	return 0;
}

static __always_inline int too_many(const struct control *c, const struct source *s)
{
	return c->flows_per_source && s->flows >= (__s32)c->flows_per_source;
}

/* Whether the handshakes of a tick are more than the table, or the ports of a
 * source pool of so many addresses, can hold for as long as they may take. */
static __always_inline int over_budget(const struct control *c, __u32 begun, __u32 pool)
{
	return begun > c->embryo_budget || (pool && begun > c->port_budget * pool);
}

/* Notes a handshake that begins. 1 = more of them than the table can keep. */
static __always_inline int under_pressure(const struct control *c, __u32 tick, __u32 pool)
{
	__u32 zero = 0;
	struct pace *mine = bpf_map_lookup_elem(&paces, &zero);
	__u32 *until = bpf_map_lookup_elem(&pressures, &zero);

	if (!c->embryo_budget || !mine || !until)
		return 0;
	if (mine->tick != tick) {
		mine->tick = tick;
		mine->begun = 0;
	}
	if (over_budget(c, ++mine->begun, pool) && !dry)
		*until = tick + PRESSURE_TICKS;
	return (__s32)(*until - tick) > 0;
}

/*
 * What is to become of a SYN: DROP_NONE to let it in. With steered a handshake
 * would be kept by us, so that pressure matters, and with a source pool of so
 * many addresses it would take one of their ports.
 */
__noinline enum drop_reason guard_syn(const struct packet *p, int steered, __u32 pool)
{
	struct control *c = control();
	struct addr key;
	struct source *s = NULL;

	if (!p || !c)
		return DROP_NONE;
	if (!c->guard || rule_holds(exemption(c, p), p))
		return DROP_NONE;
	source_of(&key, &p->src);
	if (banned(c, p, &key))
		return DROP_BANNED;
	if (steered && under_pressure(c, p->tick, pool) && !admitted(source_find(&key), p->tick))
		return DROP_CHALLENGED;
	if (!c->syn_interval && !c->flows_per_source)
		return DROP_NONE;
	s = source_make(&key);
	if (!s)
		return DROP_NONE;
	if (too_fast(c, s, bpf_ktime_get_ns()))
		return DROP_SYN_RATE;
	return steered && too_many(c, s) ? DROP_SOURCE_FULL : DROP_NONE;
}

static __always_inline __u32 cookie(const struct packet *p, __u32 epoch)
{
	return secret_hash(&p->src, p->sport, COOKIE_SALT ^ ((__u64)epoch << 16) ^ addr_last(&p->dst));
}

/* Answers a SYN by a SYN-ACK that only a host with the SYN's source address
 * can refuse. The ack number must not be the one that would be right. */
__noinline int challenge(struct xdp_md *ctx, const struct packet *p)
{
	struct reply r = { .flags = TCP_SYN | TCP_ACK };

	if (!p)
		return XDP_DROP;
	r.ack = cookie(p, p->tick >> COOKIE_EPOCH_SHIFT);
	if (r.ack == p->seq + 1)
		r.ack ^= 1;
	return reply(ctx, p, &r);
}

/* Admits the sender of a RST that refuses our challenge. 1 = it does. */
__noinline int challenge_met(const struct packet *p)
{
	struct control *c = control();
	__u32 epoch;

	if (!p || !c || !c->embryo_budget || (p->flags & (TCP_RST | TCP_SYN)) != TCP_RST)
		return 0;
	epoch = p->tick >> COOKIE_EPOCH_SHIFT;
	/* The lowest bit may have been turned. */
	if ((p->seq ^ cookie(p, epoch)) >> 1 && (p->seq ^ cookie(p, epoch - 1)) >> 1)
		return 0;
	source_proved(&p->src, p->tick);
	return 1;
}
