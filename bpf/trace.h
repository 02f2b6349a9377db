/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A second instance of the program that changes nothing: it shares the maps
 * that decide, has those that count to itself, writes to none that is shared,
 * and notes what each stage decides. Where `dry` is 0, the verifier takes all of
 * this away.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

volatile const __u32 dry;

/* Its one user runs one packet at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trace);
} traces SEC(".maps");

static __always_inline void note(enum trace_stage stage, __u32 value)
{
	struct trace *t;
	__u32 zero = 0, n;

	if (!dry)
		return;
	t = bpf_map_lookup_elem(&traces, &zero);
	if (!t)
		return;
	n = t->count;
	if (n >= TRACE_STEPS)
		return;
	t->steps[n].stage = stage;
	t->steps[n].value = value;
	t->count = n + 1;
}
