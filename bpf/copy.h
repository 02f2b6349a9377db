/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copies of flows that another gateway has: they end when it says so, and live as
 * long as it sees them. What this node has the VIP of it follows itself.
 */
#pragma once

#include "expire.h"
#include "owner.h"

/* A flow that is worked on, and who has its VIP. */
struct copied {
	struct flow_key key; /* towards the backend */
	__u64 hash;
	__u32 tick;
	__u32 owned; /* by this node */
};

static __always_inline void flow_end_of(struct flow *f, __u32 tell)
{
	if (tell)
		flow_count_closed(f, f->owner);
	else
		flow_tally_closed(f);
}

/* Removes the entry of key and counts its end. 0 = there is none. */
__noinline int flow_remove(const struct flow_key *key, __u64 hash, __u32 tell)
{
	__u32 tag = hash_tag(hash), way;
	struct flow *f;

	if (!key)
		return 0;
	for (way = 0; way < FLOW_WAYS; way++) {
		f = flow_line(hash, way);
		if (!f || f->word != tag || !flow_has_key(f, key) || !flow_claim(f, tag))
			continue;
		/* Between the look and the claim the line may have been recycled. */
		if (!flow_has_key(f, key)) {
			flow_publish(f, tag);
			continue;
		}
		flow_end_of(f, tell);
		flow_publish(f, LINE_FREE);
		return 1;
	}
	f = bpf_map_lookup_elem(&flows_overflow, key);
	if (!f)
		return 0;
	flow_end_of(f, tell);
	return !bpf_map_delete_elem(&flows_overflow, key);
}

/* The entry for answers of f, if it is still that of f's client. */
static __always_inline void copy_remove_answers(const struct flow *f)
{
	__u32 member = f->member;
	struct member *m = bpf_map_lookup_elem(&members, &member);
	struct flow_key key;
	struct flow *back;

	if (!m || !f->peer_port)
		return;
	reverse_key(&key, m->host, &f->peer, f->peer_port);
	back = flow_find(&key, reverse_hash(&key));
	if (back && back->peer_port == f->port && addr_equal(&back->peer, &f->addr))
		flow_remove(&key, reverse_hash(&key), 0);
}

__noinline int copy_flow(const struct flow_key *key, __u32 verb, __u32 seen)
{
	__u32 service;
	struct service *svc;
	struct flow *f;
	__u64 hash;

	if (!key)
		return 0;
	service = key->owner;
	svc = bpf_map_lookup_elem(&services, &service);
	if (!svc)
		return 0;
	hash = flow_hash(&key->addr, key->port, svc->salt);
	f = flow_find(key, hash);
	if (!f)
		return 0;
	if (verb == COPY_REFRESH) {
		if ((__s32)(seen - f->seen) > 0)
			f->seen = seen;
		return 1;
	}
	if (verb != COPY_REMOVE || owned(svc->owner))
		return 0;
	copy_remove_answers(f);
	return flow_remove(key, hash, 0);
}

SEC("syscall")
int copies(void *ctx)
{
	struct flow_key key;
	__u32 i, done = 0, zero = 0;
	struct copy_args *args = bpf_map_lookup_elem(&copy_batch, &zero);

	if (!args)
		return 0;
	for (i = 0; i < IMPORT_BATCH; i++) {
		if (i >= args->count)
			break;
		key = args->keys[i];
		done += copy_flow(&key, args->verb, args->seen);
	}
	args->done = done;
	return 0;
}
