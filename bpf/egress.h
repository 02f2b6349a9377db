/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a rewritten packet leaves. */
#pragma once

#include "count.h"
#include "rewrite.h"

#define AF_INET 2
#define AF_INET6 10

static __always_inline int transmit(struct xdp_md *ctx, const struct packet *p, __u32 ifindex)
{
	if (ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	if (bpf_redirect_map(&egress, ifindex, XDP_ABORTED) != XDP_REDIRECT)
		return drop(p, DROP_EGRESS);
	return XDP_REDIRECT;
}

static __always_inline struct next_hop *next_hop(__u32 id)
{
	struct next_hop *n = bpf_map_lookup_elem(&next_hops, &id);

	return n && n->flags & NEXT_HOP_READY ? n : NULL;
}

/* Addresses the frame to n and sends it. The packet is complete but for the
 * MACs; nothing was changed before every reason to drop it was excluded. */
static __always_inline void address_frame(const struct frame *f, const struct next_hop *n)
{
	__builtin_memcpy(f->eth->h_dest, n->destination, ETH_ALEN);
	__builtin_memcpy(f->eth->h_source, n->source, ETH_ALEN);
}

/* Why p cannot go to n with room bytes in front of it, or DROP_NONE. */
static __always_inline enum drop_reason refuse_hop(const struct packet *p, const struct next_hop *n, __u32 room)
{
	if (p->length + room > n->mtu)
		return DROP_TOO_BIG;
	if (p->vlan != n->vlan)
		return DROP_VLAN;
	return DROP_NONE;
}

/* Asks the kernel's routing table for the way to addr. */
static __always_inline long fib_lookup(struct xdp_md *ctx, const struct packet *p, const struct addr *from,
				       const struct addr *to, struct bpf_fib_lookup *fib)
{
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->l4_protocol = IPPROTO_TCP;
	fib->ifindex = ctx->ingress_ifindex;
	fib->tot_len = p->length;
	if (p->v6) {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_src, from, sizeof(*from));
		__builtin_memcpy(fib->ipv6_dst, to, sizeof(*to));
	} else {
		fib->family = AF_INET;
		fib->ipv4_src = addr_last(from);
		fib->ipv4_dst = addr_last(to);
	}
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

/* The id user space gave to the neighbour the routing table named, 0 = none. */
static __always_inline __u32 known_hop(const struct bpf_fib_lookup *fib, __u32 carrier)
{
	struct next_hop_key key = { .ifindex = carrier };
	__u32 *id;

	__builtin_memcpy(key.destination, fib->dmac, ETH_ALEN);
	id = bpf_map_lookup_elem(&next_hop_ids, &key);
	return id ? *id : 0;
}

/* The routing table may name an interface above one of ours, such as the macvlan
 * that has a virtual MAC: frames leave by the carrier, which next hops go by. */
static __always_inline __u32 fib_carrier(const struct bpf_fib_lookup *fib)
{
	__u32 named = fib->ifindex, *carrier = bpf_map_lookup_elem(&egress, &named);

	return carrier ? *carrier : named;
}

static __always_inline void want_neighbour(const struct packet *p, const struct bpf_fib_lookup *fib)
{
	struct addr addr;

	if (p->v6)
		__builtin_memcpy(&addr, fib->ipv6_dst, sizeof(addr));
	else
		addr_v4(&addr, fib->ipv4_dst);
	event_neighbour(&addr, fib->ifindex);
}

/* A way to a client and what the flow remembers of it: epoch << 16 | id, 0 =
 * nothing. */
struct way {
	struct next_hop hop;
	__u32 cached;
	struct bpf_fib_lookup fib; /* of client_hop */
};

/*
 * The way to a client. The memory is renewed in place, so the routing table is
 * asked once per flow and change of routes. Returns DROP_NONE with the hop
 * filled, or why not.
 */
__noinline enum drop_reason client_hop(struct xdp_md *ctx, const struct packet *p, const struct addr *from,
				       const struct addr *client, struct way *way)
{
	struct control *c = control();
	struct next_hop *n;
	__u32 epoch, id, carrier;
	long rc;

	if (!c || !p || !from || !client || !way)
		return DROP_INTERNAL;
	epoch = c->route_epoch << 16;
	if (way->cached && (way->cached & 0xffff0000) == epoch) {
		n = next_hop(way->cached & 0xffff);
		if (n) {
			way->hop = *n;
			return DROP_NONE;
		}
	}
	way->cached = 0;
	rc = fib_lookup(ctx, p, from, client, &way->fib);
	if (rc == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		way->hop.mtu = way->fib.mtu_result;
		return DROP_TOO_BIG;
	}
	if (rc == BPF_FIB_LKUP_RET_NO_NEIGH)
		want_neighbour(p, &way->fib);
	if (rc != BPF_FIB_LKUP_RET_SUCCESS)
		return DROP_NO_NEXT_HOP;
	carrier = fib_carrier(&way->fib);
	id = known_hop(&way->fib, carrier);
	n = id ? next_hop(id) : NULL;
	/* Once a connection, so that its packets need not ask the table again. */
	if (!n && p->flags & TCP_SYN)
		want_neighbour(p, &way->fib);
	if (n) {
		way->cached = epoch | id;
		way->hop = *n;
		return DROP_NONE;
	}
	way->hop.ifindex = carrier;
	__builtin_memcpy(way->hop.destination, way->fib.dmac, ETH_ALEN);
	__builtin_memcpy(way->hop.source, way->fib.smac, ETH_ALEN);
	way->hop.vlan = p->vlan;
	way->hop.mtu = 0xffff;
	way->hop.flags = NEXT_HOP_READY;
	return DROP_NONE;
}
