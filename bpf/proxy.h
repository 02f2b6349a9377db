/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A PROXY v2 header in front of a client's stream, without a copy of it and
 * without a number to translate afterwards. The SYN goes out with its sequence
 * number lowered by the header's length; the header then fills the numbers
 * before the client's first byte, and the client's bytes keep their own:
 *
 *	          ISN+1-L          ISN+1
 *	backend:  | PROXY header   | what the client sends ...
 *	client:                    | what the client sends ...
 *
 * Until the backend acknowledges the header, whatever the client sends at
 * ISN+1 carries it, and acknowledgements of a part of it are lifted to ISN+1.
 * The bytes are the same each time, so loss is repaired by what either end
 * repeats anyway.
 */
#pragma once

#include "egress.h"
#include "handshake.h"
#include "option.h"

#define PROXY_TLV_NOOP 0x04
#define PROXY_TLV_UNIQUE_ID 0x05
#define PROXY_COMMAND 0x21 /* version 2, PROXY */
#define PROXY_TCP4 0x11
#define PROXY_TCP6 0x21

/* How far behind the header a first acknowledgement may stand: no client sends
 * more before it saw one. Anything else is left over from before. */
#define PROXY_ACK_WINDOW (1u << 17)

/* Chunks in which the bytes of a segment are summed, and their number. */
#define SUM_CHUNK 64
#define SUM_CHUNKS 160

#define HEADERS_MAX (sizeof(struct ethhdr) + VLAN_TAGS * sizeof(struct vlan_tag) + sizeof(struct ipv6hdr) + 60)

static __always_inline __u32 proxy_length(__u32 v6)
{
	return v6 ? PROXY_LENGTH_V6 : PROXY_LENGTH_V4;
}

struct proxy_head {
	__u8 signature[12];
	__u8 command;
	__u8 family;
	__be16 length;
} __attribute__((packed));

struct proxy_tail {
	__u8 type;
	__be16 length;
	__u64 id[PROXY_ID / 8];
	__u8 noop;
	__be16 noop_length;
	__u8 noop_value[2];
} __attribute__((packed));

struct proxy_v4 {
	struct proxy_head head;
	__be32 src, dst;
	__be16 sport, dport;
	struct proxy_tail tail;
} __attribute__((packed));
_Static_assert(sizeof(struct proxy_v4) == PROXY_LENGTH_V4, "proxy_v4");

struct proxy_v6 {
	struct proxy_head head;
	struct addr src, dst;
	__be16 sport, dport;
	struct proxy_tail tail;
} __attribute__((packed));
_Static_assert(sizeof(struct proxy_v6) == PROXY_LENGTH_V6, "proxy_v6");

static __always_inline void proxy_head(struct proxy_head *h, __u8 family, __u16 length)
{
	__u64 *w = (__u64 *)h;

	w[0] = bpf_cpu_to_be64(0x0d0a0d0a000d0a51ull);
	*(__be32 *)(w + 1) = bpf_htonl(0x5549540a);
	h->command = PROXY_COMMAND;
	h->family = family;
	h->length = bpf_htons(length - sizeof(*h));
}

/* The connection id, and a no-operation that makes the length even. */
static __always_inline void proxy_tail(struct proxy_tail *t, const __u64 *id)
{
	t->type = PROXY_TLV_UNIQUE_ID;
	t->length = bpf_htons(PROXY_ID);
	t->id[0] = id[0];
	t->id[1] = id[1];
	t->noop = PROXY_TLV_NOOP;
	t->noop_length = bpf_htons(sizeof(t->noop_value));
	t->noop_value[0] = 0;
	t->noop_value[1] = 0;
}

static __always_inline void proxy_write(void *at, const struct packet *p, const __u64 *id, int v6)
{
	struct proxy_v4 *four = at;
	struct proxy_v6 *six = at;

	if (v6) {
		proxy_head(&six->head, PROXY_TCP6, sizeof(*six));
		six->src = p->src;
		six->dst = p->dst;
		six->sport = p->sport;
		six->dport = p->dport;
		proxy_tail(&six->tail, id);
		return;
	}
	proxy_head(&four->head, PROXY_TCP4, sizeof(*four));
	four->src = addr_last(&p->src);
	four->dst = addr_last(&p->dst);
	four->sport = p->sport;
	four->dport = p->dport;
	proxy_tail(&four->tail, id);
}

/* The sum of fewer than SUM_CHUNK bytes, or -1. Apart from proxy_sum, so that
 * the verifier looks at it once. */
__noinline long proxy_sum_rest(struct xdp_md *ctx, __u32 from, __u32 length)
{
	__u8 *at = (void *)(long)ctx->data + (from & 0x3fff);
	__u32 i, sum = 0;

	for (i = 0; i < SUM_CHUNK; i++) {
		if (i >= length)
			break;
		if ((void *)(at + i + 1) > (void *)(long)ctx->data_end)
			return -1;
		sum += i & 1 ? at[i] << 8 : at[i];
	}
	return sum;
}

/* The sum of a segment's bytes from an offset that is even within it, or -1. */
__noinline long proxy_sum(struct xdp_md *ctx, __u32 from, __u32 length)
{
	void *at = (void *)(long)ctx->data + (from & 0xff), *end = (void *)(long)ctx->data_end;
	__u32 i, sum = 0;
	long rest;

	if (length >= SUM_CHUNK * SUM_CHUNKS)
		return -1;
	for (i = 0; i < SUM_CHUNKS; i++) {
		if ((i + 1) * SUM_CHUNK > length)
			break;
		if (at + (i + 1) * SUM_CHUNK > end)
			return -1;
		sum = bpf_csum_diff(NULL, 0, at + i * SUM_CHUNK, SUM_CHUNK, sum);
	}
	rest = proxy_sum_rest(ctx, from + length / SUM_CHUNK * SUM_CHUNK, length % SUM_CHUNK);
	return rest < 0 ? rest : (long)fold((__u64)sum + rest);
}

/* Sets the length of the IP packet and accounts for it in both checksums. */
static __always_inline void proxy_set_length(const struct frame *f, __u32 was, __u32 is, struct delta *d)
{
	struct delta ip = {};

	/* The pseudo header's length differs by as much. */
	delta_word(d, bpf_htons(was), bpf_htons(is));
	if (f->v6) {
		ip6(f)->payload_len = bpf_htons(is - sizeof(struct ipv6hdr));
		return;
	}
	delta_word(&ip, bpf_htons(was), bpf_htons(is));
	ip4(f)->tot_len = bpf_htons(is);
	delta_apply(&ip, &ip4(f)->check);
}

/* Cuts off the payload, which the sender repeats, and what counts from its end.
 * 0 = the packet is not what parse() saw, or goes on in another piece. */
__noinline int proxy_cut(struct xdp_md *ctx, const struct packet *p)
{
	__u32 headers, size;
	struct delta d = {};
	struct frame f = {};
	__be16 *word, was;
	long sum;

	if (!p)
		return 0;
	headers = p->l3 + p->length - p->payload;
	sum = proxy_sum(ctx, headers, p->payload);
	if (sum < 0 || !frame_again(ctx, p, &f))
		return 0;
	delta_word(&d, sum, 0);
	word = (__be16 *)f.tcp + 6; /* offset and flags */
	was = *word;
	*word &= ~bpf_htons(TCP_FIN | TCP_URG);
	delta_word(&d, was, *word);
	delta_word(&d, f.tcp->urg_ptr, 0);
	f.tcp->urg_ptr = 0;
	proxy_set_length(&f, p->length, p->length - p->payload, &d);
	delta_apply(&d, &f.tcp->check);
	size = frame_length(ctx);
	return size <= headers || !bpf_xdp_adjust_tail(ctx, (int)headers - (int)size);
}

/* Makes the segment begin by a header's length before seq. */
__noinline int proxy_lower(struct xdp_md *ctx, const struct packet *p, __u32 seq)
{
	struct delta d = {};
	struct frame f = {};
	__be32 was;

	if (!p || !frame_again(ctx, p, &f))
		return 0;
	was = f.tcp->seq;
	f.tcp->seq = bpf_htonl(seq - proxy_length(p->v6));
	delta_word(&d, was, f.tcp->seq);
	delta_apply(&d, &f.tcp->check);
	return 1;
}

/* Makes room of length bytes behind the TCP header, by moving what is in front
 * of it: that works for every frame, growing its end does not. */
static __always_inline int proxy_room(struct xdp_md *ctx, __u32 headers, const int length)
{
	__u16 *to, *from;
	void *end;
	__u32 i;

	if (bpf_xdp_adjust_head(ctx, -length))
		return 0;
	to = (void *)(long)ctx->data;
	from = (void *)to + length;
	end = (void *)(long)ctx->data_end;
	for (i = 0; i < HEADERS_MAX / 2; i++) {
		if (2 * i >= headers)
			break;
		if ((void *)(from + i + 1) > end)
			return 0;
		to[i] = from[i];
	}
	return 1;
}

/* Puts the header between the TCP header and the payload of the frame, which
 * may be shorter than p says. */
static __always_inline int proxy_insert(struct xdp_md *ctx, const struct packet *p, const __u64 *id, const int v6)
{
	const int length = v6 ? PROXY_LENGTH_V6 : PROXY_LENGTH_V4;
	__u32 tcp_header = p->length - p->payload - (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)), total;
	struct delta d = {};
	struct frame f = {};
	void *at;

	if (tcp_header < sizeof(struct tcphdr) || tcp_header > HEADERS_MAX)
		return 0;
	if (!proxy_room(ctx, p->l3 + p->length - p->payload, length) || !frame_again(ctx, p, &f))
		return 0;
	at = (void *)f.tcp + tcp_header;
	if (at + length > f.end)
		return 0;
	proxy_write(at, p, id, v6);
	d.sum = bpf_csum_diff(NULL, 0, at, length, 0);
	total = v6 ? bpf_ntohs(ip6(&f)->payload_len) + sizeof(struct ipv6hdr) : bpf_ntohs(ip4(&f)->tot_len);
	proxy_set_length(&f, total, total + length, &d);
	if (f.tcp->urg) {
		delta_word(&d, f.tcp->urg_ptr, bpf_htons(bpf_ntohs(f.tcp->urg_ptr) + length));
		f.tcp->urg_ptr = bpf_htons(bpf_ntohs(f.tcp->urg_ptr) + length);
	}
	delta_apply(&d, &f.tcp->check);
	return 1;
}

__noinline int proxy_insert_v4(struct xdp_md *ctx, const struct packet *p, __u64 id_high, __u64 id_low)
{
	__u64 id[] = { id_high, id_low };

	return p ? proxy_insert(ctx, p, id, 0) : 0;
}

__noinline int proxy_insert_v6(struct xdp_md *ctx, const struct packet *p, __u64 id_high, __u64 id_low)
{
	__u64 id[] = { id_high, id_low };

	return p ? proxy_insert(ctx, p, id, 1) : 0;
}

/* One half of the connection id, the same from every gateway and in every
 * repetition. */
__noinline __u64 proxy_id(const struct packet *p, __u64 salt, __u32 isn, __u32 half)
{
	return p ? connection_hash(&p->src, p->sport, salt, isn, half) : 0;
}

/* Prepares a SYN whose stream will begin with a header. DROP_NONE, or why not. */
static __always_inline enum drop_reason proxy_prepare(struct xdp_md *ctx, const struct packet *p)
{
	enum drop_reason reason;

	if (!options_load(ctx, p))
		return DROP_BAD_HEADER;
	reason = options_of_syn();
	if (!reason && !options_store(ctx, p))
		reason = DROP_INTERNAL;
	return reason;
}

/* A SYN whose stream the backend must see begin earlier. */
static __always_inline int proxy_syn(struct xdp_md *ctx, const struct packet *p)
{
	return proxy_lower(ctx, p, p->seq) && proxy_cut(ctx, p);
}

/*
 * Does to a client's packet what its open header asks for; everything else of
 * the packet is done. The frame may have moved afterwards. 0 = a helper failed.
 */
__noinline int proxy_forward(struct xdp_md *ctx, const struct packet *p, const struct stage *s, const struct target *t,
			     __u32 mtu)
{
	struct member_counters *c;
	__u32 beyond;
	__u64 high, low;

	if (!p || !s || !t)
		return 0;
	if (p->flags & TCP_SYN)
		return proxy_syn(ctx, p);
	beyond = p->seq - t->isn;
	if (beyond > 1)
		return 1;
	if (p->flags & TCP_RST)
		return beyond ? proxy_lower(ctx, p, p->seq) : 1;
	/* A keepalive probe repeats the number of the SYN, perhaps with a byte. */
	if ((!beyond || p->length + proxy_length(p->v6) > mtu) && !proxy_cut(ctx, p))
		return 0;
	high = proxy_id(p, s->salt, t->isn, 0);
	low = proxy_id(p, s->salt, t->isn, 1);
	if (!proxy_lower(ctx, p, t->isn + 1))
		return 0;
	if (!(p->v6 ? proxy_insert_v6(ctx, p, high, low) : proxy_insert_v4(ctx, p, high, low)))
		return 0;
	c = member_count(t->member);
	if (c)
		c->headers++;
	return 1;
}

/* Room for a segment's bytes on the way to a member. */
static __always_inline __u32 proxy_mss_room(__u32 id, __u64 v6)
{
	struct member *m = bpf_map_lookup_elem(&members, &id);
	struct next_hop *n = m ? next_hop(m->next_hop) : NULL;
	__u32 headers = sizeof(struct tcphdr) + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	return n && n->mtu > headers ? n->mtu - headers : 0xffff;
}

/*
 * Does to a backend's packet what the open header asks for: an acknowledgement
 * of a part of the header is one of nothing to the client, and a SYN-ACK leaves
 * room for the header in front of a full segment.
 */
__noinline int proxy_back(struct xdp_md *ctx, const struct packet *p, __u32 isn, __u32 member)
{
	struct delta d = {};
	struct frame f = {};
	__be32 was;

	if (!p || !frame_again(ctx, p, &f))
		return 0;
	if (p->flags & TCP_ACK && isn - p->ack < proxy_length(p->v6)) {
		was = f.tcp->ack_seq;
		f.tcp->ack_seq = bpf_htonl(isn + 1);
		delta_word(&d, was, f.tcp->ack_seq);
	}
	delta_apply(&d, &f.tcp->check);
	if (!(p->flags & TCP_SYN))
		return 1;
	/* A backend that names none is sent what fits by itself. */
	return options_load(ctx, p) && options_of_answer(proxy_mss_room(member, p->v6), proxy_length(p->v6)) &&
	       options_store(ctx, p);
}

/* Whether the packet acknowledges the whole header. */
static __always_inline int proxy_acknowledged(const struct packet *p, __u32 isn)
{
	return p->flags & TCP_ACK && p->ack - (isn + 1) < PROXY_ACK_WINDOW;
}

/* The backend has the header: nothing is rewritten any more. */
static __always_inline void proxy_close(struct flow *back, const struct flow_key *key, __u64 hash)
{
	struct flow *f = flow_find(key, hash);

	__sync_fetch_and_or(&back->status, STATUS_HEADER_CLOSED);
	if (!f || flow_isn(f) != flow_isn(back))
		return;
	if (!(__sync_fetch_and_or(&f->status, STATUS_HEADER_CLOSED) & STATUS_HEADER_CLOSED))
		flow_tell_settled(f);
}
