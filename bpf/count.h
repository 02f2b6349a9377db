/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters and events. XDP cannot be interrupted by itself on one CPU, so its
 * per-CPU increments are plain; what runs in process context adds atomically. */
#pragma once

#include "maps.h"
#include "parse.h"

static __always_inline struct member_counters *member_count(__u32 member)
{
	return bpf_map_lookup_elem(&member_counts, &member);
}

static __always_inline struct service_counters *service_count(__u32 service)
{
	return bpf_map_lookup_elem(&service_counts, &service);
}

static __always_inline void count_in(const struct packet *p, __u32 member)
{
	struct member_counters *c = member_count(member);

	if (!c)
		return;
	c->packets_in++;
	c->bytes_in += p->length;
	if (p->flags & TCP_SYN)
		c->syns++;
	if (p->flags & TCP_RST)
		c->resets++;
}

/* A packet that a service gave to a member. */
static __always_inline void count_steered(const struct packet *p, __u32 member, __u32 service)
{
	struct service_counters *c = service_count(service);

	count_in(p, member);
	if (!c)
		return;
	c->packets_in++;
	c->bytes_in += p->length;
	if (p->flags & TCP_SYN)
		c->syns++;
}

static __always_inline void count_out(const struct packet *p, __u32 member)
{
	struct member_counters *c = member_count(member);

	if (!c)
		return;
	c->packets_out++;
	c->bytes_out += p->length;
	if (p->flags & TCP_RST)
		c->resets++;
}

static __always_inline int drop(const struct packet *p, __u32 reason)
{
	struct drop_counter *c = bpf_map_lookup_elem(&drops, &reason);

	note(TRACE_DROP, reason);
	if (c) {
		c->packets++;
		c->bytes += p->length;
	}
	return XDP_DROP;
}

static __always_inline void count_lost_event(void)
{
	__u32 zero = 0;
	struct event_pace *pace = bpf_map_lookup_elem(&event_paces, &zero);

	if (pace)
		__sync_fetch_and_add(&pace->lost, 1);
}

/* Reserves an event; the caller fills the rest and submits. */
static __noinline struct event *event_reserve(__u32 kind)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count_lost_event();
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_ns();
	e->kind = kind;
	return e;
}

/* To wake the reader for each event would cost more than the flow itself. */
static __always_inline void event_submit(struct event *e)
{
	__u32 zero = 0;
	struct event_pace *pace = bpf_map_lookup_elem(&event_paces, &zero);

	if (pace && e->time - pace->woken < EVENT_QUIET_NS) {
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
		return;
	}
	if (pace)
		pace->woken = e->time;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
}

/* Whether anybody reads events of flows: to write and read one for nobody would
 * be most of what a handshake costs the node process. */
static __always_inline int events_read(void)
{
	struct control *c = control();

	return c && !c->quiet;
}

static __always_inline void event_flow(__u32 kind, __u32 service, const struct addr *client, __be16 port,
				       const struct addr *peer, __be16 peer_port, __u32 member, __u32 header, __u32 isn)
{
	struct event *e = events_read() ? event_reserve(kind) : NULL;

	if (!e)
		return;
	e->service = service;
	e->member = member;
	addr_copy(&e->addr, client);
	e->port = port;
	addr_copy(&e->peer, peer);
	e->peer_port = peer_port;
	e->header = header;
	e->isn = isn;
	event_submit(e);
}

static __always_inline void event_refused(const struct packet *p, __u32 service, __u32 member, __u32 reason)
{
	struct service_counters *c = service_count(service);
	struct event *e;

	if (c)
		c->refused++;
	e = events_read() ? event_reserve(EVENT_REFUSED) : NULL;
	if (!e)
		return;
	e->reason = reason;
	e->service = service;
	e->member = member;
	e->addr = p->src;
	e->port = p->sport;
	event_submit(e);
}

static __always_inline void event_neighbour(const struct addr *addr, __u32 ifindex)
{
	struct event *e = event_reserve(EVENT_NEIGHBOUR);

	if (!e)
		return;
	e->addr = *addr;
	e->ifindex = ifindex;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
}
