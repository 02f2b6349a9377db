/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is remembered of a client's address, across its flows. An LRU: forged
 * addresses displace each other, and what is forgotten errs on the mild side. */
#pragma once

#include "maps.h"

/* What counts as one client: an IPv4 address, or the /64 a site gives to each
 * of its hosts. */
static __always_inline void source_of(struct addr *source, const struct addr *client)
{
	const __u64 *from = (const __u64 *)client;
	__u64 *to = (__u64 *)source;

	to[0] = from[0];
	to[1] = from[0] ? 0 : from[1];
}

static __always_inline struct source *source_find(const struct addr *key)
{
	return bpf_map_lookup_elem(&sources, key);
}

static __always_inline struct source *source_make(const struct addr *key)
{
	struct source fresh = {}, *s = source_find(key);

	if (s || dry)
		return s;
	bpf_map_update_elem(&sources, key, &fresh, BPF_NOEXIST);
	return source_find(key);
}

/* Whether the source has shown that it gets what is sent to it. */
static __always_inline int admitted(const struct source *s, __u32 tick)
{
	return s && s->admitted_until && (__s32)(s->admitted_until - tick) > 0;
}

/* The entry of a client's source, made where there is none. */
static __always_inline struct source *source_at(const struct addr *client)
{
	struct addr key;

	source_of(&key, client);
	return source_make(&key);
}

static __always_inline int flows_limited(void)
{
	struct control *c = control();

	return c && c->flows_per_source;
}

/* A flow of the source was established. */
static __always_inline void source_opened(const struct addr *client)
{
	struct source *s = flows_limited() ? source_at(client) : NULL;

	if (s)
		__sync_fetch_and_add(&s->flows, 1);
}

/* One ended. Those that began before the limit was set were not counted, nor are
 * those of a source that was forgotten. */
static __always_inline void source_closed(const struct addr *client)
{
	struct source *s;
	struct addr key;

	if (!flows_limited())
		return;
	source_of(&key, client);
	s = source_find(&key);
	if (s && s->flows > 0)
		__sync_fetch_and_add(&s->flows, -1);
}

/* The source acknowledged a number that only its owner can know. */
static __always_inline void source_proved(const struct addr *client, __u32 tick)
{
	struct control *c = control();
	struct source *s = c && c->embryo_budget ? source_at(client) : NULL;

	if (s && !dry)
		s->admitted_until = tick + ADMITTED_TICKS;
}
