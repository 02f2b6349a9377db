/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Owner words: who may steer for a VIP. */
#pragma once

#include "maps.h"

/* Whether this node may, now, for the VIP of an owner word. */
static __always_inline int owned(__u32 index)
{
	struct owner *o = bpf_map_lookup_elem(&owners, &index);

	return o && o->active && (!o->until || bpf_ktime_get_ns() < o->until);
}
