/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * select: connections. A new flow goes to the less loaded of its ring entry's
 * first and second choice. The ring never moves for that, so the flow table must
 * be asked for every packet.
 */
#pragma once

#include "ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__array(values, struct ring);
} seconds SEC(".maps");

/* What a member carries in units of its weight: user space publishes value
 * often, and meanwhile each new flow adds step. */
struct load {
	__u64 value;
	__u64 step;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct load);
} loads SEC(".maps");

/* The member for a SYN on the entry; before is the one the same SYN met before,
 * NO_MEMBER if it is the first. */
__noinline __u32 choose(__u32 service, __u32 entry, __u32 before)
{
	__u32 first = ring_member(ring_word(&rings, service, entry));
	__u32 second = ring_member(ring_word(&seconds, service, entry));
	struct load *a, *b;

	if (first == NO_MEMBER || second == NO_MEMBER)
		return first;
	if (before == first || before == second)
		return before;
	a = bpf_map_lookup_elem(&loads, &first);
	b = bpf_map_lookup_elem(&loads, &second);
	if (!a || !b)
		return first;
	if (b->value + b->step < a->value + a->step) {
		a = b;
		first = second;
	}
	if (!dry)
		__sync_fetch_and_add(&a->value, a->step);
	return first;
}
