/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map, and the constants that user space sets before the load. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

/* Constants instead of build-time features: the verifier removes what they
 * switch off, and a program swap changes them. */
volatile const __u64 hash_key[2];
volatile const __u32 flow_mask; /* lines of the flow table - 1 */
volatile const __u32 lifetime[FLOW_STATES]; /* ticks by flow state */
volatile const __u32 embryo_lifetime; /* ticks */
volatile const __u32 young_proof; /* ticks after which data proves a young flow */
volatile const __u32 doubt_lifetime; /* ticks an entry outlives an end in doubt */
volatile const __u32 always_look_up; /* every packet asks the flow table: the reference for the short way */

/* Resized by the loader; the sizes here only let the object load as it is. */
#define MIN_FLOW_LINES 1024

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVICES);
	__type(key, struct listen);
	__type(value, __u32);
} service_ids SEC(".maps");

/* The addresses of services that steer: how VIP traffic is recognised that has
 * no port. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VIPS);
	__type(key, struct addr);
	__type(value, struct vip);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_VIPS);
	__type(key, __u32);
	__type(value, struct owner);
} owners SEC(".maps");

/* The owner words that an election writes, by VIP: also of VIPs without a
 * service. The process that holds the election finds them here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VIPS);
	__type(key, struct addr);
	__type(value, __u32);
} elected SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RING_ENTRIES / RING_WORDS + 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct member);
} members SEC(".maps");

/* addr:port of a nat backend to its host id: how an answer is recognised. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, struct host_key);
	__type(value, __u32);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NEXT_HOPS);
	__type(key, __u32);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

struct next_hop_key {
	__u32 ifindex;
	__u8 destination[6];
	__u8 zero[2];
};

/* A neighbour the routing table named to its id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NEXT_HOPS);
	__type(key, struct next_hop_key);
	__type(value, __u32);
} next_hop_ids SEC(".maps");

/* Interfaces frames may leave by. The key is what the routing table names, the
 * value what carries XDP: a macvlan maps to its parent. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, MAX_INTERFACES);
	__type(key, __u32);
	__type(value, __u32);
} egress SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MIN_FLOW_LINES);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

/* For the few flows whose lines are all taken by living flows. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MIN_FLOW_LINES);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows_overflow SEC(".maps");

/* NO_COMMON_LRU: a flood on one CPU takes that CPU's share first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__uint(max_entries, MIN_FLOW_LINES);
	__type(key, struct flow_key);
	__type(value, struct embryo);
} embryos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct member_counters);
} member_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct service_counters);
} service_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASONS);
	__type(key, __u32);
	__type(value, struct drop_counter);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_pace);
} event_paces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct meta);
} metas SEC(".maps");

struct prefixes {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PREFIXES);
	__type(key, struct prefix);
	__type(value, struct rule);
};

/* Prefixes that may send nothing at all to a VIP. */
struct prefixes denies SEC(".maps");

/* In which blocks they are: the table need not be asked about any other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DENY_BLOCKS / 64);
	__type(key, __u32);
	__type(value, __u64);
} deny_blocks SEC(".maps");

/* Prefixes the guard never keeps out. */
struct prefixes exempts SEC(".maps");

/* Bans of anything but one source. */
struct prefixes ban_prefixes SEC(".maps");

/* Bans of one source: an IPv4 address or an IPv6 /64. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_BANS);
	__type(key, struct addr);
	__type(value, struct rule);
} bans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SOURCES);
	__type(key, struct addr);
	__type(value, struct source);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pace);
} paces SEC(".maps");

/* Tick until which pressure is felt. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} pressures SEC(".maps");

/* Mode sshd: the listening sockets. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* What other nodes send by: a frame of theirs for a service that ends on nodes
 * was sent on to us, and is never sent on again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NODE_MACS);
	__type(key, struct node_mac);
	__type(value, __u32);
} node_macs SEC(".maps");

/* enum node_role of addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NODE_ADDRS);
	__type(key, struct addr);
	__type(value, __u32);
} node_addrs SEC(".maps");

/* Check address to member. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, struct addr);
	__type(value, __u32);
} checks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2 * MAX_MEMBERS);
	__type(key, struct check_key);
	__type(value, struct addr);
} check_flows SEC(".maps");

/* Arguments of the programs that user space runs: a context could not be
 * indexed. Each process has its own, so these are not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct expire_args);
} expire_batch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct expire_keys);
} expire_key_batch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct import_args);
} import_batch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct copy_args);
} copy_batch SEC(".maps");

static __always_inline struct control *control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&controls, &zero);
}
