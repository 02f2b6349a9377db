/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries that do not come of a handshake here: another gateway established the
 * flow. Its backend may be another than this node's ring names. Run in process
 * context, a bounded batch at a time.
 */
#pragma once

#include "expire.h"

/* 1 = the entry was made. What this node knows of the flow itself stands. */
__noinline int admit_flow(const struct admitted *a, struct flow *from, __u32 tick)
{
	struct member_counters *c;
	__u32 service, member;
	struct service *svc;
	struct flow_key key;
	struct flow *f;
	__u64 hash;

	if (!a || !from)
		return 0;
	service = a->service;
	member = a->member;
	svc = bpf_map_lookup_elem(&services, &service);
	if (!svc || svc->mode == MODE_NAT || svc->mode == MODE_SSHD || !member_of(member, service))
		return 0;
	service_key(&key, service, &a->client, a->port);
	hash = flow_hash(&key.addr, key.port, svc->salt);
	f = flow_find(&key, hash);
	if (f && !flow_expired(f, tick))
		return 0;
	__builtin_memset(from, 0, sizeof(*from));
	from->member = member;
	from->seen = tick;
	from->opened = a->opened;
	from->status = FLOW_ESTABLISHED | STATUS_ADVANCED;
	ring_differs(ring_word(&rings, service, ring_entry(&a->client, a->port, svc)), member);
	if (!flow_put(&key, hash, from))
		return 0;
	c = member_count(member);
	if (c)
		__sync_fetch_and_add(&c->flows_opened, 1);
	source_opened(&a->client);
	return 1;
}

SEC("syscall")
int admit(void *ctx)
{
	struct admit_args *args;
	struct flow from;
	__u32 tick = sweep_tick(), i, done = 0, zero = 0;

	args = bpf_map_lookup_elem(&admit_batch, &zero);
	if (!args)
		return 0;
	for (i = 0; i < ADMIT_BATCH; i++) {
		if (i >= args->count)
			break;
		done += admit_flow(&args->flows[i], &from, tick);
	}
	args->done = done;
	return 0;
}
