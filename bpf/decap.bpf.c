/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The other end of modes ipip and gue, for a backend whose kernel has no tunnel
 * device. A packet from a trusted gateway that holds another one for a VIP of
 * this node is taken out and passed to the stack; whatever else comes by is
 * passed as it is. What was taken out is for this node alone and is never sent
 * on, so nothing can go round in circles.
 *
 * The checksum of an outer UDP header is not verified: it is made of those
 * inside, which the stack verifies.
 */
#include "parcel.h"

char licence[] SEC("license") = "Dual BSD/GPL";

#define MAX_DECAP_SOURCES 1024

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_DECAP_SOURCES);
	__type(key, struct decap_source);
	__type(value, __u8);
} decap_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VIPS);
	__type(key, struct addr);
	__type(value, __u8);
} decap_vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DECAP_VERDICTS);
	__type(key, __u32);
	__type(value, struct drop_counter);
} decap_counts SEC(".maps");

static __noinline int tally(const struct parcel *p, enum decap_verdict verdict, int action)
{
	__u32 key = verdict;
	struct drop_counter *c = bpf_map_lookup_elem(&decap_counts, &key);

	if (c) {
		c->packets++;
		c->bytes += p->length;
	}
	return action;
}

/* A node that routes may carry packets for another one that takes them out. */
static __always_inline int for_another(struct xdp_md *ctx, const struct parcel *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct bpf_fib_lookup fib = { .ifindex = ctx->ingress_ifindex };
	struct ipv6hdr *ip6 = at(data, p->l3);
	struct iphdr *ip4 = at(data, p->l3);
	long rc;

	if ((void *)(ip4 + 1) > end)
		return 1;
	if (ip4->version == 4) {
		fib.family = 2; /* AF_INET */
		fib.ipv4_src = ip4->saddr;
		fib.ipv4_dst = ip4->daddr;
	} else {
		if ((void *)(ip6 + 1) > end)
			return 1;
		fib.family = 10; /* AF_INET6 */
		__builtin_memcpy(fib.ipv6_src, &ip6->saddr, sizeof(ip6->saddr));
		__builtin_memcpy(fib.ipv6_dst, &ip6->daddr, sizeof(ip6->daddr));
	}
	rc = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	return rc == BPF_FIB_LKUP_RET_SUCCESS || rc == BPF_FIB_LKUP_RET_NO_NEIGH || rc == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

SEC("xdp")
int decap(struct xdp_md *ctx)
{
	struct decap_source from = { .bits = sizeof(struct addr) * 8 };
	struct parcel p = {};

	if (!parcel_parse(ctx, &p) || !bpf_map_lookup_elem(&decap_vips, &p.vip) || for_another(ctx, &p))
		return XDP_PASS;
	from.addr = p.src;
	if (!bpf_map_lookup_elem(&decap_sources, &from))
		return tally(&p, DECAP_UNTRUSTED, XDP_DROP);
	if (!p.whole)
		return tally(&p, DECAP_MALFORMED, XDP_DROP);
	if (!ecn_inward(ctx, &p))
		return tally(&p, DECAP_CONGESTED, XDP_DROP);
	if (!unpack(ctx, &p))
		return tally(&p, DECAP_INTERNAL, XDP_DROP);
	return tally(&p, DECAP_DONE, XDP_PASS);
}
