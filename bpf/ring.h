/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring of a service, and the short way past the flow table.
 *
 * Invariant: a ring word without marks has no living flow, embryo or
 * established, that names another member. So a packet that begins or ends
 * nothing may go where such a word says without a look at the table. It holds
 * because marks come before what they announce: a new member and moved are one
 * store, whoever inserts a flow that differs from its word sets moved first, a
 * SYN sets pending before it leaves an embryo, and only the sweep of user space
 * clears a mark, after it found nothing that contradicts the word.
 *
 * A mark is set in the new generation: the old one may be cleared meanwhile.
 *
 * refresh contradicts nothing: it is there so that entries see their flows, and
 * few packets do for that. A flow that moves data is seen by one segment in
 * some; one that moves little, or only keeps itself alive, by all that it sends
 * without data.
 */
#pragma once

#include "hash.h"
#include "maps.h"

/* The entry a client of the service falls on. */
static __always_inline __u32 ring_entry(const struct addr *client, __be16 port, const struct service *svc)
{
	return hash_ring_entry(flow_hash(client, svc->flags & SERVICE_CLIENT ? 0 : port, svc->salt));
}

/* The word of an entry, in the service's ring among all, or NULL where it has
 * none. */
static __always_inline __u32 *ring_word(void *all, __u32 service, __u32 entry)
{
	void *ring = bpf_map_lookup_elem(all, &service);
	__u32 element = entry / RING_WORDS, *words;

	if (!ring)
		return NULL;
	words = bpf_map_lookup_elem(ring, &element);
	if (!words)
		return NULL;
	/* The compiler would add before it compares, which the verifier forbids. */
	barrier_var(words);
	return words + entry % RING_WORDS;
}

static __always_inline __u32 ring_member(const __u32 *word)
{
	return word ? *word & RING_MEMBER_MASK : NO_MEMBER;
}

/* Of the data segments below a word in turn, one in so many (a power of two) is
 * looked up, in the mean. */
#define REFRESH_SHARE_SHIFT 3
#define REFRESH_SPREAD 0x9e3779b1u

/* A keepalive probe may carry the byte it repeats. */
#define KEEPALIVE_PAYLOAD 1

/* Whether the flow table is asked about a segment that begins and ends nothing:
 * payload bytes that end before the number end. */
static __always_inline int ring_asks(__u32 word, __u32 payload, __u32 end)
{
	__u32 marks = word & RING_MARKS;

	if (marks != RING_REFRESH)
		return marks;
	return payload <= KEEPALIVE_PAYLOAD || !(end * REFRESH_SPREAD >> (32 - REFRESH_SHARE_SHIFT));
}

/* A plain look first: most often the mark stands, and the word's cache line is
 * read by every CPU. */
static __always_inline void ring_mark(__u32 *word, __u32 mark)
{
	if (!dry && word && !(*(volatile __u32 *)word & mark))
		__sync_fetch_and_or(word, mark);
}

/* Before a flow of member is inserted below the word. */
static __always_inline void ring_differs(__u32 *word, __u32 member)
{
	if (word && ring_member(word) != member)
		ring_mark(word, RING_MOVED_NEW);
}
