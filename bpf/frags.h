/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames larger than a page come in pieces, of which the programs see the
 * first: it holds the headers. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Whether the kernel knows frames in pieces (Linux 5.18): where it does not,
 * the verifier never meets the helper below. */
volatile const __u32 frags;

/* The length of the whole frame. */
static __always_inline __u64 frame_length(struct xdp_md *ctx)
{
	return frags ? bpf_xdp_get_buff_len(ctx) : (__u64)ctx->data_end - ctx->data;
}
