/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP that concerns flows of ours (RFC 792, RFC 4443): an error is sent on to
 * whoever sent the packet it quotes, with the quote as that one sent it (RFC
 * 5508), and an echo request to a VIP is answered. Everything else goes up to
 * the stack.
 */
#pragma once

#include "backend.h"
#include "guard.h"

/* More types of the two registries (IANA "ICMP Parameters", "ICMPv6 Parameters"). */
#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_FIRST_INFORMATION 128
#define ICMPV6_ECHO 128
#define ICMPV6_ECHO_REPLY 129

/* An error and the beginning of what it quotes. RFC 792 promises 8 bytes of
 * TCP, which are all that is needed. */
struct icmp_v4 {
	struct iphdr ip;
	struct icmp icmp;
	struct iphdr quoted;
	__be16 sport;
	__be16 dport;
	__be32 seq;
};
_Static_assert(sizeof(struct icmp_v4) == 56, "icmp_v4");

struct icmp_v6 {
	struct ipv6hdr ip;
	struct icmp icmp;
	struct ipv6hdr quoted;
	__be16 sport;
	__be16 dport;
	__be32 seq;
};
_Static_assert(sizeof(struct icmp_v6) == 96, "icmp_v6");

/* From the end of those to the quoted TCP checksum, where that is quoted. */
#define QUOTED_CHECK 8

static __always_inline int is_error(const struct packet *p, __u8 type)
{
	if (p->v6)
		return type < ICMPV6_FIRST_INFORMATION;
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* Reads what an error quotes. 0 = it is none, or quotes no TCP. */
__noinline int quote_read(struct xdp_md *ctx, const struct packet *p, struct quote *q)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct icmp_v4 *four;
	struct icmp_v6 *six;

	if (!p || !q)
		return 0;
	four = data + p->l3;
	six = data + p->l3;
	if (p->v6) {
		if (p->length < sizeof(*six) || (void *)(six + 1) > end || !is_error(p, six->icmp.type))
			return 0;
		if (six->quoted.version != 6 || six->quoted.nexthdr != IPPROTO_TCP)
			return 0;
		addr_v6(&q->src, &six->quoted.saddr);
		addr_v6(&q->dst, &six->quoted.daddr);
		q->sport = six->sport;
		q->dport = six->dport;
		q->seq = bpf_ntohl(six->seq);
		return 1;
	}
	if (p->length < sizeof(*four) || (void *)(four + 1) > end || !is_error(p, four->icmp.type))
		return 0;
	if (four->quoted.version != 4 || four->quoted.ihl != 5 || four->quoted.protocol != IPPROTO_TCP ||
	    four->quoted.frag_off & bpf_htons(IPV4_OFFSET_MASK))
		return 0;
	addr_v4(&q->src, four->quoted.saddr);
	addr_v4(&q->dst, four->quoted.daddr);
	q->sport = four->sport;
	q->dport = four->dport;
	q->seq = bpf_ntohl(four->seq);
	return 1;
}

/* Ports and number of the quoted TCP header, which begins at ports, and its
 * checksum, if that is quoted, by what else of it changes. */
static __always_inline void quote_tcp(__be16 *ports, __be32 *seq, __u16 *check, const struct quote *q,
				      struct delta *tcp, struct delta *icmp)
{
	struct delta own = *tcp;
	__u16 was;

	rewrite_port(&ports[0], q->sport, &own);
	rewrite_port(&ports[1], q->dport, &own);
	delta_word(&own, *seq, bpf_htonl(q->seq));
	*seq = bpf_htonl(q->seq);
	/* The checksum field apart, the message changes by just these. */
	icmp->sum += own.sum - tcp->sum;
	if (!check)
		return;
	was = *check;
	delta_apply(&own, check);
	delta_word(icmp, was, *check);
}

/* Behind the quote there are that many more bytes in the packet; in the frame
 * there may be others. */
static __always_inline __u16 *quoted_check(void *behind, __u32 more, void *end)
{
	__u16 *check = behind + QUOTED_CHECK;

	return more >= QUOTED_CHECK + sizeof(*check) && (void *)(check + 1) <= end ? check : NULL;
}

static __always_inline void quote_write_v4(struct icmp_v4 *m, __u32 more, void *end, const struct envelope *e)
{
	struct delta ip = {}, quoted = {}, tcp = {}, icmp = {}, idle = {};
	__u16 was = m->quoted.check;

	rewrite_v4(&m->ip.saddr, &e->src, &ip, &idle);
	rewrite_v4(&m->ip.daddr, &e->dst, &ip, &idle);
	delta_apply(&ip, &m->ip.check);
	rewrite_v4(&m->quoted.saddr, &e->quote.src, &quoted, &tcp);
	rewrite_v4(&m->quoted.daddr, &e->quote.dst, &quoted, &tcp);
	delta_apply(&quoted, &m->quoted.check);
	icmp.sum = quoted.sum;
	delta_word(&icmp, was, m->quoted.check);
	quote_tcp(&m->sport, &m->seq, quoted_check(m + 1, more, end), &e->quote, &tcp, &icmp);
	delta_apply(&icmp, &m->icmp.check);
}

static __always_inline void quote_write_v6(struct icmp_v6 *m, __u32 more, void *end, const struct envelope *e)
{
	struct delta tcp = {}, icmp = {};

	/* The pseudo header has the outer addresses. */
	rewrite_v6(&m->ip.saddr, &e->src, &icmp);
	rewrite_v6(&m->ip.daddr, &e->dst, &icmp);
	rewrite_v6(&m->quoted.saddr, &e->quote.src, &tcp);
	rewrite_v6(&m->quoted.daddr, &e->quote.dst, &tcp);
	icmp.sum += tcp.sum;
	quote_tcp(&m->sport, &m->seq, quoted_check(m + 1, more, end), &e->quote, &tcp, &icmp);
	delta_apply(&icmp, &m->icmp.check);
}

/* Tells of an MTU of less, down to what each family asks of every link. */
static __always_inline void lower_mtu(struct icmp *i, __u32 less, int v6)
{
	__u32 mtu = bpf_ntohl(i->mtu), least = v6 ? IPV6_MIN_MTU : IPV4_MIN_MTU;
	struct delta d = {};
	__be32 was = i->mtu;

	if (!less || i->type != (v6 ? ICMPV6_TOO_BIG : ICMP_UNREACHABLE) ||
	    (!v6 && i->code != ICMP_FRAGMENTATION_NEEDED))
		return;
	if (!v6)
		mtu &= 0xffff;
	if (mtu <= least)
		return; /* an old router's, which does not say */
	i->mtu = bpf_htonl(mtu > least + less ? mtu - less : least);
	delta_word(&d, was, i->mtu);
	delta_apply(&d, &i->check);
}

/* Writes the error as e has it. 0 = the frame is not as quote_read saw it. */
__noinline int quote_write(struct xdp_md *ctx, const struct packet *p, const struct envelope *e)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct icmp_v4 *four;
	struct icmp_v6 *six;

	if (!p || !e)
		return 0;
	four = data + p->l3;
	six = data + p->l3;
	if (p->v6) {
		if ((void *)(six + 1) > end)
			return 0;
		quote_write_v6(six, p->length - sizeof(*six), end, e);
		lower_mtu(&six->icmp, e->less, 1);
		return 1;
	}
	if ((void *)(four + 1) > end)
		return 0;
	quote_write_v4(four, p->length - sizeof(*four), end, e);
	lower_mtu(&four->icmp, e->less, 0);
	return 1;
}

/* Where the flow of a client with a service goes: by its entry, its handshake,
 * or, where one needs none, by the ring. */
static __always_inline void flow_target(const struct stage *s, __u32 tick, struct target *t)
{
	struct flow *f = flow_find(&s->key, s->hash);
	struct embryo *e;

	if (f) {
		target_flow(t, f);
		return;
	}
	e = embryo_find(&s->key, tick);
	if (e) {
		target_embryo(t, e);
		return;
	}
	t->member = ring_member(marked_word(s));
}

/* Sends the error on by n as e has it. */
static __always_inline int error_out(struct xdp_md *ctx, const struct frame *f, const struct packet *p,
				     const struct next_hop *n, const struct envelope *e)
{
	enum drop_reason reason = refuse_hop(p, n, 0);
	int verdict;

	if (reason)
		return drop(p, reason);
	verdict = transmit(ctx, p, n->ifindex);
	if (verdict == XDP_DROP)
		return verdict;
	if (!hop(f))
		return drop(p, DROP_TTL);
	if (!quote_write(ctx, p, e))
		return drop(p, DROP_INTERNAL);
	address_frame(f, n);
	return verdict;
}

static __always_inline int count_error(int verdict, __u32 service)
{
	struct service_counters *c = service_count(service);

	if (c && verdict != XDP_DROP)
		c->icmp_errors++;
	return verdict;
}

/* An error about what a backend sent to a client, sent to the VIP. STEERED where
 * it goes as any packet of its flow. */
static __noinline int error_to_backend(struct xdp_md *ctx, const struct frame *f, struct scratch *x,
				       const struct service *svc, __u32 id)
{
	struct quote *q = &x->q;
	struct envelope *e = &x->e;
	struct member *m;
	struct next_hop *n;
	int verdict;

	stage_of(&x->s, svc, id, &q->dst, q->dport);
	flow_target(&x->s, x->p.tick, &x->t);
	m = member_of(x->t.member, id);
	if (!m)
		return XDP_PASS;
	if (!x->s.nat)
		return STEERED;
	n = next_hop(m->next_hop);
	if (!n)
		return drop(&x->p, DROP_NO_NEXT_HOP);
	/* Where we hide the client, nobody else's address reaches the backend. */
	e->less = 0;
	e->src = x->s.keep ? x->p.src : x->t.peer;
	e->dst = m->addr;
	e->quote = *q;
	e->quote.src = m->addr;
	e->quote.sport = m->port;
	e->quote.dst = x->t.peer;
	e->quote.dport = x->t.peer_port;
	verdict = error_out(ctx, f, &x->p, n, e);
	if (verdict != XDP_DROP)
		count_steered(&x->p, x->t.member, id);
	return count_error(verdict, id);
}

/* The number that the client gave what is quoted: what was lowered for its header
 * is raised again, or the client would take the error for a forged one. */
__noinline __u32 quoted_seq(const struct answer *a, __u32 seq, __u32 v6)
{
	__u32 length = proxy_length(v6), header, isn;
	struct flow_key key;
	struct embryo *e;

	if (!a)
		return seq;
	header = a->header;
	isn = a->isn;
	service_key(&key, a->service, &a->client, a->client_port);
	e = bpf_map_lookup_elem(&embryos, &key);
	if (e && e->member == a->member) {
		header = e->header;
		isn = e->isn;
	}
	return header == HEADER_OPEN && seq - (isn - length) < length ? seq + length : seq;
}

/* An error about what a client sent, after we sent it on to a backend. */
static __noinline int error_to_client(struct xdp_md *ctx, const struct frame *f, struct scratch *x, __u32 host)
{
	enum drop_reason reason;
	struct flow_key key;
	struct service *svc;
	int verdict;
	__u32 id;

	reverse_key(&key, host, &x->q.src, x->q.sport);
	x->a.member = NO_MEMBER;
	find_answer(&key, host, &x->a);
	if (x->a.member == NO_MEMBER)
		return XDP_PASS;
	id = x->a.service;
	svc = bpf_map_lookup_elem(&services, &id);
	if (!svc)
		return XDP_PASS;
	if (!owned(svc->owner))
		return drop(&x->p, DROP_NOT_OWNER);
	if (denied(&x->p))
		return drop(&x->p, DROP_DENIED);
	x->w.cached = 0;
	reason = client_hop(ctx, &x->p, &svc->vip, &x->a.client, &x->w);
	if (reason)
		return drop(&x->p, reason);
	x->e.src = svc->vip;
	x->e.dst = x->a.client;
	x->e.quote = x->q;
	x->e.quote.seq = quoted_seq(&x->a, x->q.seq, x->p.v6);
	x->e.less = x->e.quote.seq - x->q.seq;
	x->e.quote.src = x->a.client;
	x->e.quote.sport = x->a.client_port;
	x->e.quote.dst = svc->vip;
	x->e.quote.dport = svc->port;
	verdict = error_out(ctx, f, &x->p, &x->w.hop, &x->e);
	if (verdict != XDP_DROP)
		count_out(&x->p, x->a.member);
	return count_error(verdict, id);
}

/* Turns an echo request into its reply (RFC 1122 section 3.2.2.6, RFC 4443
 * section 4.2). 0 = it is none. */
__noinline int echo_reply(struct xdp_md *ctx, const struct packet *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct delta d = {};
	struct {
		struct iphdr ip;
		struct icmp icmp;
	} *four;
	struct {
		struct ipv6hdr ip;
		struct icmp icmp;
	} *six;

	if (!p || data + sizeof(struct ethhdr) > end)
		return 0;
	four = data + p->l3;
	six = data + p->l3;
	if (p->v6) {
		if (p->length < sizeof(*six) || (void *)(six + 1) > end || six->icmp.type != ICMPV6_ECHO ||
		    six->icmp.code)
			return 0;
		six->icmp.type = ICMPV6_ECHO_REPLY;
		delta_word(&d, bpf_htons(ICMPV6_ECHO << 8), bpf_htons(ICMPV6_ECHO_REPLY << 8));
		delta_apply(&d, &six->icmp.check);
		__builtin_memcpy(&six->ip.saddr, &p->dst, sizeof(p->dst));
		__builtin_memcpy(&six->ip.daddr, &p->src, sizeof(p->src));
		six->ip.hop_limit = ICMP_TTL;
	} else {
		if (p->length < sizeof(*four) || (void *)(four + 1) > end || four->icmp.type != ICMP_ECHO ||
		    four->icmp.code)
			return 0;
		four->icmp.type = ICMP_ECHO_REPLY;
		delta_word(&d, bpf_htons(ICMP_ECHO << 8), bpf_htons(ICMP_ECHO_REPLY << 8));
		delta_apply(&d, &four->icmp.check);
		four->ip.saddr = addr_last(&p->dst);
		four->ip.daddr = addr_last(&p->src);
		four->ip.ttl = ICMP_TTL;
		four->ip.check = 0;
		four->ip.check = header_checksum_v4(&four->ip);
	}
	ether_turn(data);
	return 1;
}
