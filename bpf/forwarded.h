/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What another node sent on to this one: by dsr in a frame of its own, by ipip
 * and gue inside another packet. Such a packet is for this node whatever the
 * owner word and the ring say here: it is sent on once, so that nodes which
 * disagree never send it round in circles.
 */
#pragma once

#include "dispatch.h"
#include "guard.h"
#include "parcel.h"

/* Whether the frame came from another node itself. Behind a router this cannot
 * be seen, so modes that may cross one are left out. */
static __always_inline int from_node(const struct frame *f, const struct service *svc)
{
	struct node_mac key = {};

	if (!(svc->flags & SERVICE_NODES) || svc->mode != MODE_DSR)
		return 0;
	__builtin_memcpy(key.mac, f->eth->h_source, ETH_ALEN);
	return bpf_map_lookup_elem(&node_macs, &key) != NULL;
}

static __always_inline int node_is(const struct addr *a, __u32 role)
{
	__u32 *roles = bpf_map_lookup_elem(&node_addrs, a);

	return roles && *roles & role;
}

/* What becomes of a frame with another packet inside. */
enum taken {
	TAKEN_NOTHING, /* it is none of ours */
	TAKEN_OUT,
	TAKEN_LENGTH, /* the inner length is not what the outer leaves, or no TCP or ICMP is inside */
	TAKEN_CONGESTED, /* outer congestion that its ends would not hear of */
	TAKEN_FAILED, /* a helper failed */
};

/* Takes out what another node put into a packet to this one, for a VIP that
 * ends on nodes. Every pointer into the frame is void afterwards. */
__noinline enum taken take_out(struct xdp_md *ctx)
{
	struct parcel p = {};
	struct vip *vip;

	if (!parcel_parse(ctx, &p))
		return TAKEN_NOTHING;
	vip = bpf_map_lookup_elem(&vips, &p.vip);
	if (!vip || !node_is(&p.src, NODE_OTHER) || !node_is(&p.dst, NODE_OWN))
		return TAKEN_NOTHING;
	if (!p.whole)
		return TAKEN_LENGTH;
	if (!ecn_inward(ctx, &p))
		return TAKEN_CONGESTED;
	return unpack(ctx, &p) ? TAKEN_OUT : TAKEN_FAILED;
}

#define SOCKET_CLOSE 7 /* enum of include/net/tcp_states.h */
#define SOCKET_LISTEN 10

static __always_inline __u32 tuple_of(const struct packet *p, struct bpf_sock_tuple *t)
{
	__builtin_memset(t, 0, sizeof(*t));
	if (p->v6) {
		__builtin_memcpy(t->ipv6.saddr, &p->src, sizeof(t->ipv6.saddr));
		__builtin_memcpy(t->ipv6.daddr, &p->dst, sizeof(t->ipv6.daddr));
		t->ipv6.sport = p->sport;
		t->ipv6.dport = p->dport;
		return sizeof(t->ipv6);
	}
	t->ipv4.saddr = addr_last(&p->src);
	t->ipv4.daddr = addr_last(&p->dst);
	t->ipv4.sport = p->sport;
	t->ipv4.dport = p->dport;
	return sizeof(t->ipv4);
}

/*
 * Whether a connection of this node has the packet. It is asked before a packet
 * is sent on: after the VIP came from another node, flows of this one are in no
 * table, and the ring may name somebody else by now.
 */
__noinline int has_socket(struct xdp_md *ctx, const struct packet *p)
{
	struct memory *m = memory();
	struct bpf_sock_tuple t;
	struct bpf_sock *sk;
	__u32 state, size;

	if (!p || !m)
		return 0;
	size = tuple_of(p, &t);
	m->asking = 1;
	if (size == sizeof(t.ipv6))
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	m->asking = 0;
	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state != SOCKET_LISTEN && state != SOCKET_CLOSE;
}
