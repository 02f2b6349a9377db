/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Health checks of one-way modes take the clients' path: the node dials a check
 * address, which names one member, over a veth of ours. The probe leaves this
 * program as a client's packet would; the answer comes from the VIP and is
 * turned back before the stack, which owns the VIP, sees it.
 */
#pragma once

#include "backend.h"

/* A probe from our end of the veth. Anything else on it is none of ours. */
static __noinline int check_out(struct xdp_md *ctx, const struct frame *f, const struct packet *p)
{
	__u32 *member = bpf_map_lookup_elem(&checks, &p->dst);
	struct check_key key = {};
	enum drop_reason reason;
	struct service *svc;
	struct next_hop *n;
	struct member *m;
	__u32 room;
	int verdict;

	m = member ? bpf_map_lookup_elem(&members, member) : NULL;
	svc = m && m->port ? bpf_map_lookup_elem(&services, &m->service) : NULL;
	if (!svc)
		return XDP_PASS;
	n = next_hop(m->next_hop);
	if (!n)
		return drop(p, DROP_NO_NEXT_HOP);
	room = encap_room(m);
	reason = refuse_hop(p, n, room);
	if (reason == DROP_TOO_BIG)
		return too_big(ctx, p, n->mtu > room ? n->mtu - room : 0);
	if (reason)
		return drop(p, reason);
	key.vip = svc->vip;
	key.port = svc->port;
	key.probe = p->src;
	key.probe_port = p->sport;
	if (bpf_map_update_elem(&check_flows, &key, &p->dst, BPF_ANY))
		return drop(p, DROP_INTERNAL);
	verdict = transmit(ctx, p, n->ifindex);
	if (verdict == XDP_DROP)
		return verdict;
	rewrite(f, &svc->vip, svc->port, &p->src, p->sport);
	if (!room) {
		address_frame(f, n);
		return verdict;
	}
	if (!encapsulate(ctx, p, m, n, flow_hash(&p->src, p->sport, svc->salt)))
		return drop(p, DROP_NO_HEADROOM);
	return verdict;
}

/* An answer to a probe, recognised by the VIP as its source. */
static __noinline int check_in(struct xdp_md *ctx, const struct frame *f, const struct packet *p)
{
	struct listen from = { .vip = p->src, .port = p->sport };
	struct control *c = control();
	struct check_key key = {};
	struct addr *check;
	int verdict;

	if (!c || !c->check_ifindex || !bpf_map_lookup_elem(&service_ids, &from))
		return XDP_PASS;
	key.vip = p->src;
	key.port = p->sport;
	key.probe = p->dst;
	key.probe_port = p->dport;
	check = bpf_map_lookup_elem(&check_flows, &key);
	if (!check)
		return XDP_PASS;
	verdict = transmit(ctx, p, c->check_ifindex);
	if (verdict == XDP_DROP)
		return verdict;
	rewrite(f, &p->dst, p->dport, check, p->sport);
	__builtin_memcpy(f->eth->h_dest, c->check_mac, ETH_ALEN);
	return verdict;
}
