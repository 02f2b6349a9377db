/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a CPU remembers from one packet to the next, because to ask the kernel
 * anew costs a quarter of what all else does: the time, and which services the
 * last packets were for.
 */
#pragma once

#include "maps.h"
#include "parse.h"

#define REMEMBERED_SHIFT 6
#define REMEMBERED_SERVICES (1 << REMEMBERED_SHIFT)
#define REMEMBERED_SPREAD 0x9e3779b1u

struct remembered_service {
	struct addr vip;
	__be16 port;
	__u8 zero[2];
	__u32 id;
	__u32 epoch;
	__u32 tick;
};

struct memory {
	__u64 jiffy;
	__u32 tick; /* of that jiffy */
	__u32 asking; /* whether a socket is looked up by us, not for a connection */
	struct remembered_service services[REMEMBERED_SERVICES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct memory);
} memories SEC(".maps");

static __always_inline struct memory *memory(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&memories, &zero);
}

/* The coarse clock moves with the jiffies, which are read without a call. */
static __always_inline __u32 tick_now(struct memory *m)
{
	__u64 jiffy = bpf_jiffies64();

	if (m->jiffy != jiffy) {
		m->jiffy = jiffy;
		m->tick = bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
	}
	return m->tick;
}

static __always_inline struct service *service(const struct addr *vip, __be16 port, __u32 *id)
{
	struct listen l = { .vip = *vip, .port = port };
	__u32 *found = bpf_map_lookup_elem(&service_ids, &l);

	if (!found)
		return NULL;
	*id = *found;
	return bpf_map_lookup_elem(&services, id);
}

/* Where the service of a VIP, by its last word, and port is remembered. */
static __always_inline struct remembered_service *remembered(struct memory *m, __be32 vip, __be16 port)
{
	return &m->services[(vip ^ port) * REMEMBERED_SPREAD >> (32 - REMEMBERED_SHIFT)];
}

/*
 * The same for a packet that was bounded, by memory where it serves. User space
 * changes service_ids first and the epoch second, so the epoch read before a
 * look-up is never newer than what was found. Should it die in between, the
 * memory ends with the tick.
 */
static __always_inline struct service *service_of(struct memory *m, const struct packet *p, __u32 *id)
{
	struct remembered_service *r = remembered(m, addr_last(&p->dst), p->dport);
	struct control *c = control();
	struct service *svc;
	__u32 epoch;

	if (!c)
		return NULL;
	epoch = *(volatile __u32 *)&c->service_epoch;
	if (r->epoch == epoch && r->tick == p->tick && r->port == p->dport && addr_equal(&r->vip, &p->dst)) {
		*id = r->id;
		return bpf_map_lookup_elem(&services, id);
	}
	svc = service(&p->dst, p->dport, id);
	if (!svc)
		return NULL;
	r->vip = p->dst;
	r->port = p->dport;
	r->id = *id;
	r->epoch = epoch;
	r->tick = p->tick;
	return svc;
}
