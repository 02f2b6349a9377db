/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who has a VIP: ARP requests (RFC 826) and neighbour solicitations (RFC 4861,
 * section 4.3) must not reach a stack that would answer for another node. What
 * is no question, such as the announcement of who has it, passes.
 */
#pragma once

#include "owner.h"
#include "parse.h"

#define ARP_ETHERNET 1
#define ARP_REQUEST 1
#define ICMPV6_SOLICITATION 135

/* ARP for IPv4 over Ethernet. */
struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed));

struct solicitation {
	struct ipv6hdr ip;
	__u8 type;
	__u8 code;
	__be16 check;
	__be32 zero;
	struct in6_addr target;
};

static __noinline int arp_packet(struct xdp_md *ctx, struct packet *p)
{
	struct arp *a = (void *)(long)ctx->data + p->l3;

	p->length = p->room; /* all that is known of its length */
	if ((void *)(a + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (a->hardware != bpf_htons(ARP_ETHERNET) || a->protocol != bpf_htons(ETH_P_IP) ||
	    a->hardware_length != ETH_ALEN || a->protocol_length != sizeof(a->target))
		return XDP_PASS;
	/* With its own address as target it is an announcement (RFC 5227). */
	if (a->operation != bpf_htons(ARP_REQUEST) || a->sender == a->target)
		return XDP_PASS;
	addr_v4(&p->dst, a->target);
	return pass_up(p);
}

/* Whether the packet asks for an address that this node must not answer for. */
static __noinline int asks_in_vain(struct xdp_md *ctx, const struct packet *p)
{
	struct solicitation *s = (void *)(long)ctx->data + p->l3;
	struct addr target;

	if (!p->v6 || (void *)(s + 1) > (void *)(long)ctx->data_end || s->type != ICMPV6_SOLICITATION)
		return 0;
	addr_v6(&target, &s->target);
	return silenced(&target);
}
