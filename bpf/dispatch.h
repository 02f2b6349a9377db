/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Mode sshd: hands a connection for VIP:port to our listener, whatever it is
 * bound to, so that the machine's own server keeps *:22. */
#pragma once

#include "count.h"
#include "memory.h"
#include "parse.h"

static __always_inline void count_no_listener(void)
{
	__u32 reason = DROP_NO_LISTENER;
	struct drop_counter *c = bpf_map_lookup_elem(&drops, &reason);
	struct memory *m = memory();

	if (m && m->asking)
		return;
	if (c)
		__sync_fetch_and_add(&c->packets, 1);
}

/* Whether connections that reach this node end in our listener. */
static __always_inline int ends_on_nodes(const struct service *svc)
{
	return svc->mode == MODE_SSHD || svc->flags & SERVICE_NODES;
}

/* The service of the address that was dialled, if it ends on this node. */
static __always_inline struct service *dialled(struct bpf_sk_lookup *ctx)
{
	struct listen l = { .port = bpf_htons(ctx->local_port) };
	struct service *svc;
	__u32 *found;

	if (ctx->protocol != IPPROTO_TCP)
		return NULL;
	if (ctx->family == AF_INET) {
		addr_v4(&l.vip, ctx->local_ip4);
	} else {
		/* volatile: the verifier takes only loads at constant offsets */
		volatile __u32 *from = ctx->local_ip6;
		__u32 *w = (__u32 *)&l.vip;

		w[0] = from[0];
		w[1] = from[1];
		w[2] = from[2];
		w[3] = from[3];
	}
	found = bpf_map_lookup_elem(&service_ids, &l);
	if (!found)
		return NULL;
	svc = bpf_map_lookup_elem(&services, found);
	return svc && ends_on_nodes(svc) ? svc : NULL;
}

/* Without a listener the connection is refused: it must not reach whatever
 * else listens on the port. */
SEC("sk_lookup")
int dispatch(struct bpf_sk_lookup *ctx)
{
	struct service *svc = dialled(ctx);
	struct bpf_sock *sk;
	__u32 place;
	long rc;

	if (!svc)
		return SK_PASS;
	place = svc->listener;
	sk = bpf_map_lookup_elem(&listeners, &place);
	if (!sk) {
		count_no_listener();
		return SK_DROP;
	}
	rc = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (rc) {
		count_no_listener();
		return SK_DROP;
	}
	return SK_PASS;
}
