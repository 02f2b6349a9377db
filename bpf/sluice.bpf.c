/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet path. One program per interface, one function per stage:
 *
 *	express | parse -> service -> guard -> flow | handshake -> backend -> rewrite -> verdict
 *
 * A packet that is not for a VIP, and not the answer to one of our flows, is
 * passed up untouched, whatever else is odd about it, unless an election gave
 * the address it is for to another node.
 */
#include "ask.h"
#include "backend.h"
#include "check.h"
#include "dispatch.h"
#include "expire.h"
#include "express.h"
#include "forwarded.h"
#include "icmp.h"
#include "import.h"
#include "memory.h"
#include "owner.h"
#include "parse.h"
#include "proxy.h"

char licence[] SEC("license") = "Dual BSD/GPL";

/* The id of the nat backend that a packet would be from. */
static __noinline __u32 *host_of(const struct packet *p)
{
	struct host_key from = { .addr = p->src, .port = p->sport };

	return bpf_map_lookup_elem(&hosts, &from);
}

/* Whether the packet answers one of our flows, although it looks like a
 * client's: the source port of a flow may be that of a service made later. */
__noinline int is_answer(const struct packet *p)
{
	struct flow_key key;
	__u32 *host;

	if (!p)
		return 0;
	host = host_of(p);
	if (!host)
		return 0;
	reverse_key(&key, *host, &p->dst, p->dport);
	return flow_find(&key, reverse_hash(&key)) != NULL;
}

/* A packet that cannot be steered: dropped by name if it is for a service that
 * steers or answers a flow, else none of ours. The stack would reset the flow. */
__noinline int odd_packet(const struct packet *p)
{
	struct service *svc;
	struct vip *vip;
	__u32 id;

	if (!p)
		return XDP_PASS;
	if (p->dport) {
		svc = service(&p->dst, p->dport, &id);
		if (svc && svc->mode != MODE_SSHD)
			return drop(p, p->odd);
		return is_answer(p) ? drop(p, p->odd) : pass_up(p);
	}
	vip = bpf_map_lookup_elem(&vips, &p->dst);
	return vip ? drop(p, p->odd) : pass_up(p);
}

/* A service that ends on this node: counted here, accepted by dispatch. */
static __always_inline int local_packet(const struct packet *p, __u32 id)
{
	struct service_counters *c = service_count(id);

	note(TRACE_PASSED, 0);
	if (c) {
		c->packets_in++;
		c->bytes_in += p->length;
		if ((p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
			c->syns++;
	}
	return XDP_PASS;
}

/* A new connection that cannot be served is told so at once. */
static __always_inline int refuse(struct xdp_md *ctx, const struct packet *p, const struct stage *s,
				  enum drop_reason reason)
{
	drop(p, reason);
	event_refused(p, s->service, NO_MEMBER, reason);
	return reset_reply(ctx, p);
}

/* First of all stages that know the packet is ours. */
static __always_inline enum drop_reason guard(const struct packet *p, const struct service *svc, int steered)
{
	struct control *c = control();

	if (!c || !c->guard)
		return DROP_NONE;
	if (c->guard & GUARD_DENY && guard_denies(p))
		return DROP_DENIED;
	return is_syn(p) ? guard_syn(p, steered, svc->pool_len) : DROP_NONE;
}

/* What the guard keeps out. Only who exceeds a limit of flows is told: he is
 * no stranger, and the others need not know. */
static __always_inline int keep_out(struct xdp_md *ctx, const struct packet *p, __u32 service, enum drop_reason reason)
{
	drop(p, reason);
	if (reason == DROP_CHALLENGED)
		return challenge(ctx, p);
	if (reason != DROP_SOURCE_FULL)
		return XDP_DROP;
	event_refused(p, service, NO_MEMBER, reason);
	return reset_reply(ctx, p);
}

/* What another node sent on. Who must stay out stays out here, too: this node may
 * know of bans that the other does not. */
static __always_inline int forwarded_packet(const struct packet *p, const struct service *svc, __u32 id)
{
	enum drop_reason reason = guard(p, svc, 0);

	return reason ? drop(p, reason) : local_packet(p, id);
}

/* Follows a flow's packet from the client. */
static __always_inline void follow_client(const struct packet *p, const struct stage *s, struct flow *f,
					  const struct target *t)
{
	struct flow_key key;
	struct member *m;

	if (dry)
		return;
	flow_prove(p, f);
	/* What follows an end decides about it, so it must come this way. */
	if (p->flags & (TCP_FIN | TCP_RST))
		ring_mark(marked_word(s), RING_PENDING_NEW);
	if (!flow_follow(p, f, STATUS_FIN_CLIENT, !s->nat))
		return;
	flow_count_change(f, s->service);
	m = s->nat ? bpf_map_lookup_elem(&members, &t->member) : NULL;
	if (!m)
		return;
	reverse_key(&key, m->host, &t->peer, t->peer_port);
	follow_counterpart(&key, reverse_hash(&key), f->status, STATUS_FIN_CLIENT, s->service);
}

/* The living entry of the packet's flow, with t filled from it, or NULL. */
static __always_inline struct flow *find_flow(const struct packet *p, const struct stage *s, struct target *t)
{
	struct flow *f = flow_find(&s->key, s->hash);

	if (!f || flow_expired(f, p->tick))
		return NULL;
	target_flow(t, f);
	barrier();
	/* The line may have been given to another flow while it was read. */
	return ((volatile struct flow *)f)->word == hash_tag(s->hash) ? f : NULL;
}

/* Finds where a packet of a service that steers goes. Returns a verdict, or
 * STEERED with t filled; t names no member when the packet is of no known
 * flow. */
static __always_inline int steer_syn(struct xdp_md *ctx, const struct packet *p, const struct stage *s, struct flow *f,
				     struct target *t)
{
	enum drop_reason reason = s->proxy ? proxy_prepare(ctx, p) : DROP_NONE;

	if (reason)
		return refuse(ctx, p, s, reason);
	/* A flow that ended beyond doubt, or whose member is gone, binds the client
	 * to no backend any more, but its entry stands until the new handshake
	 * completes. */
	if (!f || (flow_state(f) >= FLOW_CLOSED && !flow_in_doubt(f)) || !member_of(f->member, s->service))
		t->member = NO_MEMBER;
	reason = take_syn(ctx, p, s, t);
	if (reason)
		return refuse(ctx, p, s, reason);
	if (f && !(f->status & STATUS_BESIDE) && !dry)
		__sync_fetch_and_or(&f->status, STATUS_BESIDE);
	return STEERED;
}

static __always_inline int steer_embryo(const struct packet *p, const struct stage *s, struct target *t)
{
	enum known known = take_embryo(p, s, t);
	enum drop_reason reason;

	if (known == KNOWN_RING && is_answer(p))
		t->member = NO_MEMBER;
	if (known != KNOWN_COMPLETES)
		return STEERED;
	reason = promote(p, s, t);
	if (!reason)
		return STEERED;
	event_refused(p, s->service, t->member, reason);
	return drop(p, reason);
}

/* A handshake beside an entry: 1 where this packet completes it, which makes
 * the entry the new flow's. */
static __always_inline int replaced(const struct packet *p, const struct stage *s, struct flow *f, struct target *t)
{
	enum known known = take_embryo(p, s, t);

	if (known == KNOWN_COMPLETES)
		return promote(p, s, t) == DROP_NONE;
	if (known != KNOWN_EMBRYO && !dry)
		__sync_fetch_and_and(&f->status, ~STATUS_BESIDE);
	target_flow(t, f);
	return 0;
}

static __always_inline int steer_packet(struct xdp_md *ctx, const struct packet *p, const struct stage *s,
					struct target *t)
{
	struct flow *f = find_flow(p, s, t);

	if (f)
		note(TRACE_FLOW, flow_state(f));
	if (is_syn(p))
		return steer_syn(ctx, p, s, f, t);
	if (!f)
		return challenge_met(p) ? drop(p, DROP_CHALLENGE_MET) : steer_embryo(p, s, t);
	if (f->status & STATUS_BESIDE && replaced(p, s, f, t))
		return STEERED;
	if (flow_state(f) == FLOW_KILLED) {
		drop(p, DROP_KILLED);
		return reset_reply(ctx, p);
	}
	follow_client(p, s, f, t);
	return STEERED;
}

/* The short way of one-way services: a packet that begins and ends nothing goes
 * where its ring word says, if that is beyond doubt. 1 with t filled. */
static __always_inline int pass_table(const struct packet *p, const struct stage *s, struct target *t)
{
	__u32 *at, word;

	if (always_look_up || s->nat || s->choice || p->flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return 0;
	at = ring_word(&rings, s->service, s->entry);
	word = at ? *(volatile __u32 *)at : 0;
	note(TRACE_WORD, word);
	if (word == NO_MEMBER || ring_asks(word, p->payload, p->seq + p->payload))
		return 0;
	note(TRACE_SHORT, word);
	t->member = ring_member(&word);
	return 1;
}

/* Keeps a packet here that belongs to a connection of this node, whoever flow
 * table and ring name. */
static __always_inline void stay(struct xdp_md *ctx, const struct packet *p, const struct service *svc,
				 struct target *t)
{
	if (svc->local == NO_MEMBER || t->member == svc->local || is_syn(p) || !has_socket(ctx, p))
		return;
	note(TRACE_SOCKET, svc->local);
	t->member = svc->local;
}

/* Answers of nat backends, health checks, and what is none of ours. */
static __noinline int other_packet(struct xdp_md *ctx, const struct frame *f, struct scratch *x)
{
	__u32 *host = host_of(&x->p);
	struct control *c;

	if (host)
		return from_backend(ctx, f, x, *host);
	c = control();
	if (c && c->check_ifindex && c->check_ifindex == ctx->ingress_ifindex)
		return check_out(ctx, f, &x->p);
	return check_in(ctx, f, &x->p);
}

/* An echo request to a VIP that steers here is answered whether or not the
 * stack has the address. */
static __noinline int echo_packet(struct xdp_md *ctx, const struct packet *p)
{
	struct vip *vip = bpf_map_lookup_elem(&vips, &p->dst);

	if (!vip)
		return pass_up(p);
	if (!owned(vip->owner))
		return drop(p, DROP_NOT_OWNER);
	if (denied(p))
		return drop(p, DROP_DENIED);
	return echo_reply(ctx, p) ? XDP_TX : XDP_PASS;
}

/* An error goes to who sent the packet it quotes, or is none of ours. */
static __noinline int icmp_packet(struct xdp_md *ctx, const struct frame *f, struct scratch *x)
{
	struct host_key to = {};
	struct service *svc;
	__u32 *host;
	__u32 id;

	if (asks_in_vain(ctx, &x->p))
		return drop(&x->p, DROP_NOT_OWNER);
	if (!quote_read(ctx, &x->p, &x->q))
		return echo_packet(ctx, &x->p);
	if (!addr_equal(&x->q.src, &x->p.dst))
		return XDP_PASS;
	svc = service(&x->q.src, x->q.sport, &id);
	if (svc && svc->mode != MODE_SSHD && from_node(f, svc))
		return denied(&x->p) ? drop(&x->p, DROP_DENIED) : XDP_PASS;
	if (svc && svc->mode != MODE_SSHD && !owned(svc->owner))
		return drop(&x->p, DROP_NOT_OWNER);
	if (svc && denied(&x->p))
		return drop(&x->p, DROP_DENIED);
	if (svc && svc->mode != MODE_SSHD)
		return error_to_backend(ctx, f, x, svc, id);
	to.addr = x->q.dst;
	to.port = x->q.dport;
	host = bpf_map_lookup_elem(&hosts, &to);
	return host ? error_to_client(ctx, f, x, *host) : XDP_PASS;
}

/* What was inside another packet, now that it is a frame like any other. */
static __noinline int taken_out(struct xdp_md *ctx, struct scratch *x)
{
	struct service *svc;
	struct frame f = {};
	__u32 id;

	switch (parse(ctx, &f, &x->p)) {
	case PARSED_TCP:
		svc = service(&x->p.dst, x->p.dport, &id);
		if (!svc || !(svc->flags & SERVICE_NODES))
			return XDP_PASS;
		note(TRACE_SERVICE, id);
		return forwarded_packet(&x->p, svc, id);
	case PARSED_ODD:
		return drop(&x->p, x->p.odd);
	default:
		return XDP_PASS;
	}
}

/* A packet that is neither TCP nor ICMP, but may hold one that is. */
static __noinline int parcel_packet(struct xdp_md *ctx, struct scratch *x)
{
	x->p.length = x->p.room; /* all that is known of its length */
	switch (take_out(ctx)) {
	case TAKEN_OUT:
		__builtin_memset(&x->p, 0, sizeof(x->p));
		x->p.tick = bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
		return taken_out(ctx, x);
	case TAKEN_LENGTH:
		return drop(&x->p, DROP_LENGTH);
	case TAKEN_CONGESTED:
		return drop(&x->p, DROP_CONGESTED);
	case TAKEN_FAILED:
		return drop(&x->p, DROP_INTERNAL);
	default:
		return XDP_PASS;
	}
}

static __always_inline struct scratch *scratch(void)
{
	__u32 zero = 0;
	struct scratch *x = bpf_map_lookup_elem(&scratches, &zero);

	if (x)
		__builtin_memset(&x->p, 0, sizeof(x->p));
	return x;
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	struct memory *m = memory();
	enum drop_reason reason;
	struct scratch *x;
	struct service *svc;
	struct control *c;
	struct frame f = {};
	enum parsed parsed;
	int verdict;
	__u32 id;

	if (!m)
		return XDP_PASS;
	verdict = express(ctx, m);
	if (verdict != GENERAL)
		return verdict;
	x = scratch();
	if (!x)
		return XDP_PASS;
	parsed = parse(ctx, &f, &x->p);
	if (parsed == PARSED_ODD)
		return odd_packet(&x->p);
	if (parsed == PARSED_ARP)
		return arp_packet(ctx, &x->p);
	if (parsed == PARSED_OTHER) {
		c = control();
		return c && c->parcels ? parcel_packet(ctx, x) : XDP_PASS;
	}
	x->p.tick = tick_now(m);
	x->t.header = HEADER_NONE;
	if (parsed == PARSED_ICMP) {
		verdict = icmp_packet(ctx, &f, x);
		if (verdict != STEERED)
			return verdict;
		return count_error(to_backend(ctx, &f, &x->p, &x->s, &x->t), x->s.service);
	}
	svc = service_of(m, &x->p, &id);
	if (!svc) {
		verdict = other_packet(ctx, &f, x);
		return verdict == XDP_PASS ? pass_up(&x->p) : verdict;
	}
	note(TRACE_SERVICE, id);
	if (from_node(&f, svc))
		return forwarded_packet(&x->p, svc, id);
	if (!owned(svc->owner))
		return drop(&x->p, DROP_NOT_OWNER);
	reason = guard(&x->p, svc, svc->mode != MODE_SSHD);
	if (reason)
		return keep_out(ctx, &x->p, id, reason);
	if (svc->mode == MODE_SSHD)
		return is_answer(&x->p) ? other_packet(ctx, &f, x) : local_packet(&x->p, id);
	stage_of(&x->s, svc, id, &x->p.src, x->p.sport);
	note(TRACE_ENTRY, x->s.entry);
	if (pass_table(&x->p, &x->s, &x->t)) {
		stay(ctx, &x->p, svc, &x->t);
		return to_backend(ctx, &f, &x->p, &x->s, &x->t);
	}
	verdict = steer_packet(ctx, &x->p, &x->s, &x->t);
	if (verdict != STEERED)
		return verdict;
	stay(ctx, &x->p, svc, &x->t);
	if (x->t.member != NO_MEMBER)
		return to_backend(ctx, &f, &x->p, &x->s, &x->t);
	verdict = other_packet(ctx, &f, x);
	return verdict == XDP_PASS ? unknown_packet(ctx, &x->p) : verdict;
}

/* For the far end of a veth: frames sent to it by XDP_TX or redirect arrive
 * only where a program is attached. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}
