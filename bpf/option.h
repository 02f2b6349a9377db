/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP options, wherever they stand among the others.
 */
#pragma once

#include "maps.h"
#include "parse.h"
#include "rewrite.h"

#define TCP_OPTIONS 40 /* bytes at most */
#define LEAST_MSS 28 /* what is left of RFC 791's 68 bytes */
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_OPTION_MD5 19
#define TCP_OPTION_AO 29
#define TCP_OPTION_MPTCP 30
#define TCP_OPTION_TFO 34

/* Where the headers stand after whatever moved them, without the Ethernet
 * header's tags. 0 = the frame is not what parse() saw. */
static __always_inline int frame_again(struct xdp_md *ctx, const struct packet *p, struct frame *f)
{
	void *data = (void *)(long)ctx->data;
	__u32 l3 = p->l3;

	if (l3 > sizeof(struct ethhdr) + VLAN_TAGS * sizeof(struct vlan_tag))
		return 0;
	f->eth = data;
	f->ip = data + l3;
	f->end = (void *)(long)ctx->data_end;
	if (p->v6) {
		f->v6 = 1;
		f->tcp = f->ip + sizeof(struct ipv6hdr);
	} else {
		f->v6 = 0;
		f->tcp = f->ip + sizeof(struct iphdr);
	}
	return (void *)(f->tcp + 1) <= f->end;
}

/*
 * The options of one header, copied out so that they can be walked by numbers
 * that the verifier need not follow. at and length are volatile for the same
 * reason: what it does not know it does not tell apart.
 */
struct options {
	union {
		__u8 b[64]; /* as long as an index masked by 63 reaches */
		__u32 words[16];
	};
	volatile __u32 at;
	volatile __u32 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct options);
} options_of SEC(".maps");

static __always_inline struct options *options(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&options_of, &zero);
}

/* Takes the options of the packet's header. 0 = they are not all there. */
__noinline int options_load(struct xdp_md *ctx, const struct packet *p)
{
	struct options *o = options();
	struct frame f = {};
	__u32 *from, length, i;

	if (!o || !p || !frame_again(ctx, p, &f))
		return 0;
	from = (__u32 *)(f.tcp + 1);
	length = f.tcp->doff * 4 - sizeof(*f.tcp);
	o->at = 0;
	o->length = length;
	for (i = 0; i < TCP_OPTIONS / 4; i++) {
		if (4 * i >= length)
			break;
		if ((void *)(from + i + 1) > f.end)
			return 0;
		o->words[i] = from[i];
	}
	return 1;
}

/* Writes back what was changed. */
__noinline int options_store(struct xdp_md *ctx, const struct packet *p)
{
	struct options *o = options();
	struct frame f = {};
	struct delta d = {};
	__u32 *to, i;

	if (!o || !p || !frame_again(ctx, p, &f))
		return 0;
	to = (__u32 *)(f.tcp + 1);
	for (i = 0; i < TCP_OPTIONS / 4; i++) {
		if (4 * i >= o->length || (void *)(to + i + 1) > f.end)
			break;
		delta_word(&d, to[i], o->words[i]);
		to[i] = o->words[i];
	}
	delta_apply(&d, &f.tcp->check);
	return 1;
}

static __always_inline __u8 *option_byte(struct options *o, __u32 at)
{
	return &o->b[at & (sizeof(o->b) - 1)];
}

/* The kind of the option at o->at with its length, or TCP_OPTION_END where
 * none follows. One that goes beyond the header, or is shorter than itself,
 * ends the list: receivers stop there, too. */
static __always_inline __u32 option_here(struct options *o, __u32 *length)
{
	__u32 at = o->at, kind;

	if (at >= o->length)
		return TCP_OPTION_END;
	kind = *option_byte(o, at);
	*length = 1;
	if (kind == TCP_OPTION_END || kind == TCP_OPTION_NOP)
		return kind;
	*length = *option_byte(o, at + 1);
	return *length < 2 || at + *length > o->length ? TCP_OPTION_END : kind;
}

/* Makes an option no-operations. */
__noinline int option_blank(__u32 at, __u32 length)
{
	struct options *o = options();
	__u32 i;

	if (!o)
		return 0;
	for (i = 0; i < TCP_OPTIONS; i++) {
		if (i >= length)
			break;
		*option_byte(o, at + i) = TCP_OPTION_NOP;
	}
	return 1;
}

/*
 * Looks through the options of a SYN whose stream will begin with a header:
 * data before the handshake is done and a second numbering of the bytes become
 * no-operations. A signature would cover what is rewritten.
 */
__noinline enum drop_reason options_of_syn(void)
{
	struct options *o = options();
	__u32 i, kind, length;

	if (!o)
		return DROP_INTERNAL;
	for (i = 0; i < TCP_OPTIONS; i++) {
		kind = option_here(o, &length);
		if (kind == TCP_OPTION_END)
			break;
		if (kind == TCP_OPTION_MD5 || kind == TCP_OPTION_AO)
			return DROP_TCP_SIGNATURE;
		if (kind == TCP_OPTION_TFO || kind == TCP_OPTION_MPTCP)
			option_blank(o->at, length);
		o->at += length;
	}
	return DROP_NONE;
}

/* Lowers the MSS to what room leaves, and by reserve. */
__noinline int options_of_answer(__u32 room, __u32 reserve)
{
	struct options *o = options();
	__u32 i, kind, length, mss;

	if (!o)
		return 0;
	for (i = 0; i < TCP_OPTIONS; i++) {
		kind = option_here(o, &length);
		if (kind == TCP_OPTION_END)
			break;
		if (kind == TCP_OPTION_MSS && length == 4) {
			mss = *option_byte(o, o->at + 2) << 8 | *option_byte(o, o->at + 3);
			if (mss > room)
				mss = room;
			mss = mss > reserve + LEAST_MSS ? mss - reserve : LEAST_MSS;
			*option_byte(o, o->at + 2) = mss >> 8;
			*option_byte(o, o->at + 3) = mss;
		}
		o->at += length;
	}
	return 1;
}
