/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The link header, kept while the room in front of a packet changes. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"

struct ether {
	struct ethhdr eth;
	struct vlan_tag tags[VLAN_TAGS];
};

/* Whether l3 is an offset parse() gives. The verifier must see both bounds. */
static __always_inline int ether_fits(long l3)
{
	return l3 >= (long)sizeof(struct ethhdr) &&
	       l3 <= (long)(sizeof(struct ethhdr) + VLAN_TAGS * sizeof(struct vlan_tag));
}

/* Sends the frame back where it came from. */
static __always_inline void ether_turn(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

/* Copies the header of a frame whose IP header stands at l3. 0 = a runt. */
static __always_inline int ether_save(const struct xdp_md *ctx, long l3, struct ether *e)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct vlan_tag *tags = (struct vlan_tag *)(eth + 1);
	int i;

	if ((void *)(tags + VLAN_TAGS) > (void *)(long)ctx->data_end)
		return 0;
	e->eth = *eth;
#pragma unroll
	for (i = 0; i < VLAN_TAGS; i++)
		e->tags[i] = tags[i];
	return ether_fits(l3);
}

/* Writes it in front of an IP header at l3, whose family proto names. 0 = no
 * room for it. */
static __always_inline int ether_put(const struct xdp_md *ctx, long l3, const struct ether *e, __be16 proto)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct vlan_tag *tags = (struct vlan_tag *)(eth + 1);
	int i;

	if ((void *)(tags + VLAN_TAGS) > (void *)(long)ctx->data_end)
		return 0;
	*eth = e->eth;
	if (l3 == sizeof(*eth)) {
		eth->h_proto = proto;
		return 1;
	}
#pragma unroll
	for (i = 0; i < VLAN_TAGS; i++) {
		if (l3 < (long)(sizeof(*eth) + (i + 1) * sizeof(*tags)))
			break;
		tags[i] = e->tags[i];
		if (l3 == (long)(sizeof(*eth) + (i + 1) * sizeof(*tags)))
			tags[i].next = proto;
	}
	return 1;
}
