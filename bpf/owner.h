/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Owner words: who may steer for a VIP. Where an election decides, a node that
 * has not got the VIP is silent for it: another one speaks, and a switch that
 * floods, or a daemon that hangs while the kernel still has the address, would
 * make that two.
 */
#pragma once

#include "count.h"
#include "maps.h"

/* Whether this node may, now, for the VIP of an owner word. */
static __always_inline int owned(__u32 index)
{
	struct owner *o = bpf_map_lookup_elem(&owners, &index);

	return o && o->active && (!o->until || bpf_ktime_get_ns() < o->until);
}

/* Whether an election gave addr to another node, or to nobody. */
__noinline int silenced(const struct addr *addr)
{
	struct control *c = control();
	__u32 *word;

	if (!addr || !c || !c->elections)
		return 0;
	word = bpf_map_lookup_elem(&elected, addr);
	return word && !owned(*word);
}

/* Passes what is none of ours to the stack, unless that must not answer it. */
static __always_inline int pass_up(const struct packet *p)
{
	return silenced(&p->dst) ? drop(p, DROP_NOT_OWNER) : XDP_PASS;
}
