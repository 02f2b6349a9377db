/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The straight way of ordinary packets, which are nearly all: a segment without
 * tags, options of IP or extension headers that begins and ends nothing, for a
 * service that was met just now, to a member whose neighbour is known. It is
 * decided in registers, from one look at each thing that has a say.
 *
 * Whatever needs a second thought goes the general way, from its first step:
 * nothing was changed or counted by then. What goes straight ends as it would
 * there, byte for byte and count for count.
 */
#pragma once

#include "egress.h"
#include "encap.h"
#include "follow.h"
#include "guard.h"
#include "handshake.h"
#include "memory.h"
#include "owner.h"

/* In place of a verdict: the packet is none of these. */
#define GENERAL -2

/* What its headers say. Addresses are two words each. */
struct ordinary {
	struct ethhdr *eth;
	void *ip;
	struct tcphdr *tcp;
	__u64 src[2];
	__u64 dst[2];
	__be16 sport;
	__be16 dport;
	__u32 length; /* of the IP packet */
	__u32 payload; /* bytes of data */
	__u32 end; /* number behind the last of them */
	__u32 tick;
};

static __always_inline int ordinary_tcp(struct tcphdr *tcp, __u32 length, struct ordinary *o)
{
	const __u8 *b = (const __u8 *)tcp;
	__u32 header = b[12] / 16 * 4;

	if (header < sizeof(*tcp) || header > length || b[13] & (TCP_SYN | TCP_FIN | TCP_RST))
		return 0;
	o->tcp = tcp;
	o->sport = tcp->source;
	o->dport = tcp->dest;
	o->payload = length - header;
	o->end = bpf_ntohl(tcp->seq) + o->payload;
	return 1;
}

static __always_inline int ordinary_v4(struct iphdr *ip, void *end, struct ordinary *o)
{
	const __u64 mapped = bpf_htonl(0xffff);

	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end)
		return 0;
	if (*(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(IPV4_PARTIAL))
		return 0;
	o->ip = ip;
	o->length = bpf_ntohs(ip->tot_len);
	if (o->length < sizeof(*ip) + sizeof(struct tcphdr) || o->length > (__u64)(end - (void *)ip))
		return 0;
	o->src[0] = 0;
	o->src[1] = (__u64)ip->saddr << 32 | mapped;
	o->dst[0] = 0;
	o->dst[1] = (__u64)ip->daddr << 32 | mapped;
	return ordinary_tcp((struct tcphdr *)(ip + 1), o->length - sizeof(*ip), o);
}

static __always_inline int ordinary_v6(struct ipv6hdr *ip, void *end, struct ordinary *o)
{
	__u32 payload;

	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end || ip->version != 6 || ip->nexthdr != IPPROTO_TCP)
		return 0;
	o->ip = ip;
	payload = bpf_ntohs(ip->payload_len);
	o->length = payload + sizeof(*ip);
	if (payload < sizeof(struct tcphdr) || o->length > (__u64)(end - (void *)ip))
		return 0;
	__builtin_memcpy(o->src, &ip->saddr, sizeof(o->src));
	__builtin_memcpy(o->dst, &ip->daddr, sizeof(o->dst));
	return ordinary_tcp((struct tcphdr *)(ip + 1), payload, o);
}

/* The service of the packet, if it is remembered. */
static __always_inline struct service *express_service(struct memory *m, const struct control *c,
						       const struct ordinary *o, __u32 *id)
{
	const struct remembered_service *r = remembered(m, o->dst[1] >> 32, o->dport);
	const __u64 *vip = (const __u64 *)&r->vip;

	if (r->epoch != *(volatile __u32 *)&c->service_epoch || r->tick != o->tick || r->port != o->dport)
		return NULL;
	if (vip[1] != o->dst[1] || vip[0] != o->dst[0])
		return NULL;
	*id = r->id;
	return bpf_map_lookup_elem(&services, id);
}

/* Whether any denied prefix holds the source; whether it is kept out, the
 * general way decides. */
static __always_inline int express_denied(const struct control *c, const struct ordinary *o, __u64 v6)
{
	struct prefix key = { .length = PREFIX_WHOLE, .v6 = v6 };

	if (!(c->guard & GUARD_DENY) || !deny_block(o->src, v6))
		return 0;
	__builtin_memcpy(&key.addr, o->src, sizeof(key.addr));
	return bpf_map_lookup_elem(&denies, &key) != NULL;
}

/* The entry of an established flow of which nothing is open. */
static __always_inline struct flow *express_flow(const struct ordinary *o, __u32 service, __u64 hash)
{
	const __u32 unusual = STATUS_FINS | STATUS_DOUBTS | STATUS_RESET | STATUS_BESIDE;
	__u32 tag = hash_tag(hash), status, way;
	const __u64 *client;
	struct flow *f;

#pragma unroll
	for (way = 0; way < FLOW_WAYS; way++) {
		f = flow_line(hash, way);
		if (f && f->word == tag)
			goto found;
	}
	return NULL;
found:
	client = (const __u64 *)&f->addr;
	if (f->owner != service || f->port != o->sport || client[1] != o->src[1] || client[0] != o->src[0])
		return NULL;
	status = f->status;
	if ((status & STATUS_STATE_MASK) != FLOW_ESTABLISHED || status & unusual)
		return NULL;
	if ((status & (STATUS_HEADER | STATUS_HEADER_CLOSED)) == STATUS_HEADER)
		return NULL;
	return (__s32)(o->tick - f->seen) > (__s32)lifetime[FLOW_ESTABLISHED] ? NULL : f;
}

/* The member a ring entry names beyond doubt, or NO_MEMBER. */
static __always_inline __u32 express_member(const struct ordinary *o, __u32 service, __u64 hash)
{
	__u32 *at = ring_word(&rings, service, hash_ring_entry(hash));
	__u32 word = at ? *(volatile __u32 *)at : NO_MEMBER;

	return ring_asks(word, o->payload, o->end) ? NO_MEMBER : ring_member(&word);
}

/* Where a packet leaves, if it fits there and comes from there untagged. */
static __always_inline struct next_hop *express_hop(const struct member *m, const struct ordinary *o, __u32 room,
						    __u64 v6)
{
	struct next_hop *n = next_hop(m->next_hop);
	__u8 ttl = v6 ? ((struct ipv6hdr *)o->ip)->hop_limit : ((struct iphdr *)o->ip)->ttl;

	return n && !n->vlan && o->length + room <= n->mtu && ttl > 1 ? n : NULL;
}

static __always_inline int express_egress(struct xdp_md *ctx, __u32 ifindex)
{
	if (ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect_map(&egress, ifindex, XDP_ABORTED) == XDP_REDIRECT ? XDP_REDIRECT : GENERAL;
}

static __always_inline void express_count(const struct ordinary *o, __u32 member, __u32 service)
{
	struct member_counters *mine = member_count(member);
	struct service_counters *all = service_count(service);

	if (mine) {
		mine->packets_in++;
		mine->bytes_in += o->length;
	}
	if (all) {
		all->packets_in++;
		all->bytes_in += o->length;
	}
}

static __always_inline int express_drop(const struct ordinary *o, enum drop_reason reason)
{
	struct packet p = { .length = o->length };

	return drop(&p, reason);
}

/* Sends the packet to where the ring says, in a one-way mode. */
static __always_inline int express_one_way(struct xdp_md *ctx, const struct ordinary *o, __u32 service, __u64 hash,
					   __u64 v6)
{
	struct frame f = { .eth = o->eth, .ip = o->ip, .v6 = v6 };
	__u32 member = express_member(o, service, hash), room;
	struct member *m = member_of(member, service);
	struct next_hop *n;
	int verdict;

	if (member == NO_MEMBER || !m)
		return GENERAL;
	room = m->flags ? encap_room(m) : 0;
	n = express_hop(m, o, room, v6);
	if (!n)
		return GENERAL;
	verdict = express_egress(ctx, n->ifindex);
	if (verdict == GENERAL)
		return GENERAL;
	hop(&f);
	if (!room)
		address_frame(&f, n);
	else if (!encapsulate_at(ctx, sizeof(struct ethhdr), o->length, v6, m, n, hash))
		return express_drop(o, DROP_NO_HEADROOM);
	express_count(o, member, service);
	return verdict;
}

static __always_inline int express_nat(struct xdp_md *ctx, const struct ordinary *o, __u32 service, __u64 hash,
				       __u64 v6)
{
	struct frame frame = { .eth = o->eth, .ip = o->ip, .tcp = o->tcp, .v6 = v6 };
	struct flow *f = express_flow(o, service, hash);
	struct next_hop *n;
	struct addr source;
	struct member *m;
	__be16 port;
	__u32 member;
	int verdict;

	if (!f)
		return GENERAL;
	member = f->member;
	source = f->peer;
	port = f->peer_port;
	barrier();
	/* The line may have been given to another flow while it was read. */
	if (((volatile struct flow *)f)->word != hash_tag(hash))
		return GENERAL;
	m = member_of(member, service);
	n = m ? express_hop(m, o, 0, v6) : NULL;
	if (!n)
		return GENERAL;
	verdict = express_egress(ctx, n->ifindex);
	if (verdict == GENERAL)
		return GENERAL;
	flow_progress(f, o->tick, o->end);
	hop(&frame);
	express_count(o, member, service);
	rewrite(&frame, &m->addr, m->port, &source, port);
	address_frame(&frame, n);
	return verdict;
}

/* A verdict, or GENERAL. */
static __always_inline int express_way(struct xdp_md *ctx, struct memory *memory, struct ordinary *o, __u64 v6)
{
	struct control *c = control();
	struct service *svc;
	__u64 hash;
	__u32 id;

	if (!c)
		return GENERAL;
	/* Before it is known what for, because it takes longest. */
	hash = v6 ? hash_v6(o->src, o->sport, 0) : hash_v4(o->src[1] >> 32, o->sport, 0);
	barrier_var(hash);
	o->tick = tick_now(memory);
	svc = express_service(memory, c, o, &id);
	if (!svc || svc->mode == MODE_SSHD)
		return GENERAL;
	hash ^= svc->salt;
	if (!owned(svc->owner) || express_denied(c, o, v6))
		return GENERAL;
	if (svc->mode == MODE_NAT)
		return express_nat(ctx, o, id, hash, v6);
	if (svc->flags & (SERVICE_CLIENT | SERVICE_CHOICE | SERVICE_NODES))
		return GENERAL;
	return express_one_way(ctx, o, id, hash, v6);
}

static __noinline int express_v4(struct xdp_md *ctx, struct memory *m)
{
	struct ordinary o = { .eth = (void *)(long)ctx->data };

	if (!ordinary_v4((void *)(o.eth + 1), (void *)(long)ctx->data_end, &o))
		return GENERAL;
	return express_way(ctx, m, &o, 0);
}

static __noinline int express_v6(struct xdp_md *ctx, struct memory *m)
{
	struct ordinary o = { .eth = (void *)(long)ctx->data };

	if (!ordinary_v6((void *)(o.eth + 1), (void *)(long)ctx->data_end, &o))
		return GENERAL;
	return express_way(ctx, m, &o, 1);
}

/* The reference for it, and who notes each step, go the general way. */
static __always_inline int express(struct xdp_md *ctx, struct memory *m)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if (always_look_up || dry || (void *)(eth + 1) > (void *)(long)ctx->data_end)
		return GENERAL;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return express_v4(ctx, m);
	return eth->h_proto == bpf_htons(ETH_P_IPV6) ? express_v6(ctx, m) : GENERAL;
}
