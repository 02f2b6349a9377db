/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that crosses between the programs and user space: limits, enums
 * and the layout of every map key and value. loader/ mirrors these structs
 * through BTF, so a field changes here and nowhere else.
 *
 * Two byte orders meet in this file: __be16 is network order, every plain
 * integer is host order. An address is always 16 bytes; IPv4 is stored mapped
 * (::ffff:a.b.c.d), so one key shape serves both families.
 */
#pragma once

#include <linux/types.h>

/* Raised when a key, a value or the meaning of a map changes; pins of another
 * schema are never opened. */
#define SCHEMA_VERSION 1

/* Prime, so that a stride never aliases; the same on every gateway. */
#define RING_ENTRIES 65537

#define MAX_SERVICES 1024
#define MAX_MEMBERS 16384
#define MAX_NEXT_HOPS 4096
#define MAX_VIPS 1024
#define MAX_INTERFACES 64
#define SERVICE_POOL 16
#define MAX_NODE_MACS 1024
#define MAX_NODE_ADDRS 1024
#define FLOW_WAYS 4 /* neighbouring lines a flow may stand in; a power of two */
#define MAX_BANS 131072 /* of single sources */
#define MAX_PREFIXES 16384 /* in each of the prefix tables */
#define MAX_SOURCES 131072
/* Blocks of addresses that may hold denied ones, a bit each: IPv4's by their
 * first 16 bits, IPv6's by a hash of their first 32. */
#define DENY_BLOCKS 65536
#define DENY_SPREAD 0x9e3779b1u
#define EXPIRE_BATCH 64 /* lines a call of expire looks at */
#define EXPIRE_KEYS 16 /* the same for the overflow table */

/*
 * A ring word: the member in the low bits, above it the marks that send a
 * packet to the flow table. moved and pending carry two generations, so that
 * a sweep clears only what was set before it began.
 */
#define RING_MEMBER_MASK 0x00ffffff
#define RING_MOVED_NEW (1u << 31)
#define RING_MOVED_OLD (1u << 30)
#define RING_PENDING_NEW (1u << 29)
#define RING_PENDING_OLD (1u << 28)
#define RING_REFRESH (1u << 27)
#define RING_MARKS (~RING_MEMBER_MASK)
/* Words an element of the map holds: an array map pads a value to 8 bytes. */
#define RING_WORDS 2

/* Member 0 is never allocated: a ring word without a member means no backend. */
#define NO_MEMBER 0

struct addr {
	__u8 b[16];
};

enum mode {
	MODE_UNUSED,
	MODE_NAT,
	MODE_DSR,
	MODE_SSHD,
	MODE_IPIP,
	MODE_GUE,
};

enum service_flag {
	SERVICE_KEEP = 1 << 0, /* nat: the client's address stays the source */
	SERVICE_REMOVED = 1 << 1, /* out of the settings: its living flows go on, nothing new */
	SERVICE_CLIENT = 1 << 2, /* the ring entry goes by the client's address alone */
	SERVICE_PROXY = 1 << 3, /* nat: new flows begin with a PROXY v2 header */
	SERVICE_CHOICE = 1 << 4, /* the less loaded of an entry's two choices */
	SERVICE_NODES = 1 << 5, /* one-way: the members are nodes, and here it ends in our listener */
};

/* Key of the services map; a VIP's own entry in vips has only the address. */
struct listen {
	struct addr vip;
	__be16 port;
	__u8 zero[2];
};

struct vip {
	__u32 services; /* that steer */
	__u32 owner; /* index of the owner word */
};

struct service {
	struct addr vip;
	__be16 port;
	__u8 mode; /* enum mode */
	__u8 flags; /* enum service_flag */
	__u32 owner; /* index of the VIP's owner word */
	__u64 salt; /* tells the hashes of its clients from those of other services, equal on all gateways */
	__u32 pool_len; /* nat without KEEP: addresses in pool */
	__u32 listener; /* place of its socket among listeners: all services of VIP:port have one */
	__u32 local; /* SERVICE_NODES: the member that is this node, NO_MEMBER = none */
	__u32 zero;
	struct addr pool[SERVICE_POOL];
};
_Static_assert(sizeof(struct service) == 48 + 16 * SERVICE_POOL, "service");

/*
 * Who may steer for a VIP. The process that owns the election renews until
 * with each advert; past it the programs let go of the VIP. until == 0 means
 * no second gateway exists and the word stays open.
 */
struct owner {
	__u64 until; /* ns of CLOCK_MONOTONIC, 0 = no deadline */
	__u64 active; /* 0 = this node is backup */
};

enum member_flag {
	MEMBER_IPIP = 1 << 0, /* gets its packets inside IP */
	MEMBER_GUE = 1 << 1, /* gets them inside UDP */
	MEMBER_LOCAL = 1 << 2, /* is this node: its packets are passed up */
};

/* Where gue goes to (IANA's port for it), and the source ports that tell flows
 * apart: the dynamic range of RFC 6335. */
#define GUE_PORT 6080
#define GUE_SOURCE_FIRST 0xc000
#define GUE_SOURCE_MASK 0x3fff

/* A member is one backend within one service. */
struct member {
	struct addr addr;
	__be16 port;
	__u8 flags; /* enum member_flag */
	__u8 zero;
	__u32 service;
	__u32 host; /* id of addr:port, shared by all members that name it */
	__u32 next_hop;
	struct addr source; /* ipip, gue: of the outer header, of addr's family */
	__be32 spread; /* bits of source's last word that the flow's hash fills */
};
_Static_assert(sizeof(struct member) == 52, "member");

/* A MAC by which another node sends. */
struct node_mac {
	__u8 mac[6];
	__u8 zero[2];
};

/* What an address is to nodes that send packets inside others. */
enum node_role {
	NODE_OWN = 1 << 0, /* this node's: they are sent to it */
	NODE_OTHER = 1 << 1, /* another node's: they may come from it */
};

struct host_key {
	struct addr addr;
	__be16 port;
	__u8 zero[2];
};

enum next_hop_flag {
	NEXT_HOP_READY = 1 << 0, /* the neighbour answered; MACs are valid */
};

struct next_hop {
	__u32 ifindex;
	__u8 destination[6];
	__u8 source[6];
	__u16 vlan; /* 0 = untagged */
	__u16 mtu; /* largest IP packet the egress interface takes */
	__u32 flags; /* enum next_hop_flag */
};
_Static_assert(sizeof(struct next_hop) == 24, "next_hop");

/*
 * The key of a flow. Towards the backend: owner = service id, addr:port = the
 * client. Back from the backend (nat only): owner = FLOW_REVERSE | host id,
 * addr:port = where the backend answers to. A source port towards a backend is
 * owned by the existence of the reverse key and by nothing else.
 */
#define FLOW_REVERSE (1u << 31)

struct flow_key {
	struct addr addr;
	__be16 port;
	__u8 zero[2];
	__u32 owner;
};
_Static_assert(sizeof(struct flow_key) == 24, "flow_key");

/* The claim word of a line: free, claimed by a writer, or a tag of the key's
 * hash. A reader that copied a line compares the word again, so a line that
 * was recycled under it is noticed. */
#define LINE_FREE 0u
#define LINE_BUSY 1u
#define LINE_LIVE (1u << 31)

enum flow_state {
	FLOW_YOUNG = 1, /* dsr: handshake seen from one side only; may be displaced */
	FLOW_ESTABLISHED = 2,
	FLOW_HALF_CLOSED = 3, /* one FIN */
	FLOW_CLOSED = 4, /* both FINs, or a reset */
	FLOW_KILLED = 5, /* by the operator: every packet is answered by a reset */
	FLOW_STATES,
};

/* State of the PROXY header of a flow. */
enum header_state {
	HEADER_NONE,
	HEADER_OPEN, /* repeated until the backend acknowledges it */
	HEADER_CLOSED,
};

/* Length of the PROXY v2 header: 16 bytes, the addresses, the connection id as
 * a TLV, and what makes it a multiple of 4. */
#define PROXY_ID 16
#define PROXY_LENGTH_V4 (16 + 12 + 3 + PROXY_ID + 5)
#define PROXY_LENGTH_V6 (16 + 36 + 3 + PROXY_ID + 5)
_Static_assert(PROXY_LENGTH_V4 % 4 == 0 && PROXY_LENGTH_V6 % 4 == 0, "TCP sums words");

/* The status word of a flow, one word so that it can be changed atomically:
 * state | flags | high half of the client's ISN. */
#define STATUS_STATE_MASK 0x0000003f
#define STATUS_FIN_CLIENT (1u << 8)
#define STATUS_FIN_BACKEND (1u << 9)
#define STATUS_COUNTED_CLOSED (1u << 10) /* flows_closed has it already */
#define STATUS_ADVANCED (1u << 11) /* young: the client sent data */
/* nat, where no flow is young: another gateway saw it begin. */
#define STATUS_ADOPTED STATUS_ADVANCED
#define STATUS_BESIDE (1u << 12) /* a handshake on the same tuple is in progress */
/* A FIN or RST of that side which anybody may have sent. With the side's FIN
 * bit the end is a FIN, else a reset. */
#define STATUS_DOUBT_CLIENT (1u << 13)
#define STATUS_DOUBT_BACKEND (1u << 14)
#define STATUS_DOUBT_SHIFT 5 /* from a side's FIN bit to its doubt bit */
#define STATUS_RESET (1u << 15) /* a reset beyond doubt */
#define STATUS_FINS (STATUS_FIN_CLIENT | STATUS_FIN_BACKEND)
#define STATUS_DOUBTS (STATUS_DOUBT_CLIENT | STATUS_DOUBT_BACKEND)
#define STATUS_HEADER (1u << 6) /* the flow began with a PROXY header */
#define STATUS_HEADER_CLOSED (1u << 7) /* the backend has it */
#define STATUS_ISN_SHIFT 16
#define STATUS_ISN (~0u << STATUS_ISN_SHIFT)

/* How far from what was seen numbers of one side may stand and still be its
 * own: its window, and what was lost before it came to us. */
#define SEQUENCE_WINDOW (1u << 20)

/* One established flow in one direction: exactly one cache line. */
struct flow {
	__u32 word;
	__u32 owner; /* key */
	struct addr addr; /* key */
	struct addr peer; /* towards the backend: source address there; back: the client */
	__be16 port; /* key */
	__be16 peer_port;
	__u16 member;
	__u16 isn_low; /* of the client, the rest is in status: what the connection id is made of */
	__u32 seen; /* tick of the last packet */
	union {
		__u32 opened; /* towards the backend: tick of the handshake */
		__u32 next_hop; /* back: epoch << 16 | id, 0 = not known */
	};
	/* in doubt: where the side's end stands; else
	 * the end of what this side sent */
	__u32 sequence;
	__u32 status;
};
_Static_assert(sizeof(struct flow) == 64, "a flow is one cache line");
_Static_assert(MAX_MEMBERS <= 1 << 16, "a flow names its member by 16 bits");

/* A tick is 2^30 ns (1.07 s): a shift instead of a division on every packet. */
#define TICK_SHIFT 30

enum embryo_flag {
	EMBRYO_SYNACK = 1 << 0, /* nat: the backend's SYN-ACK went through us */
	EMBRYO_PROMOTING = 1 << 1, /* one CPU is making the established entry */
	EMBRYO_ANSWERED = 1 << 2, /* nat: anything of the backend went through us, a refusal too */
};

/* A handshake in progress. Under the reverse key only peer, peer_port, member
 * and made are set. */
struct embryo {
	struct addr peer; /* as in struct flow */
	__be16 peer_port;
	__u8 header; /* enum header_state: whether the SYN went out lowered */
	__u8 zero;
	__u32 member;
	__u32 flags; /* enum embryo_flag, changed atomically */
	__u32 isn;
	__u32 server_isn; /* nat, valid with EMBRYO_SYNACK */
	__u32 made; /* tick of the last SYN */
	__u32 ingress; /* interface the SYN came in by, for a reply before the neighbour is known */
	__u8 mac[6]; /* source MAC of the SYN */
	__u8 own_mac[6]; /* its destination: ours */
	__u32 retries; /* SYNs after the first */
};
_Static_assert(sizeof(struct embryo) == 60, "embryo");

/* Written by the programs alone, per CPU; user space only reads. */
struct member_counters {
	__u64 packets_in; /* towards the backend */
	__u64 bytes_in; /* IP total length */
	__u64 packets_out; /* from the backend, nat only */
	__u64 bytes_out;
	__u64 flows_opened;
	__u64 flows_closed;
	__u64 syns;
	__u64 resets;
	__u64 headers; /* PROXY header insertions */
	__u64 flows_revived; /* closed, it seemed: now = opened + revived - closed */
};

struct service_counters {
	__u64 packets_in; /* accepted for the service, whichever member */
	__u64 bytes_in;
	__u64 syns;
	__u64 refused; /* new connections answered by a reset or dropped */
	__u64 flows_unprotected; /* established without an entry: the table was full */
	__u64 icmp_errors; /* sent on to who sent the packet they quote */
	__u64 no_return_path; /* nat keep: SYNs repeated without a SYN-ACK through us */
};

struct drop_counter {
	__u64 packets;
	__u64 bytes;
};

/* Why a packet for a VIP did not go on. The names user space shows are these
 * in lower case without DROP_. */
enum drop_reason {
	DROP_NONE,
	DROP_BAD_HEADER, /* runt, doff < 5 or beyond the packet */
	DROP_LENGTH, /* IP length disagrees with the frame */
	DROP_IP_OPTIONS,
	DROP_IPV6_EXTENSION,
	DROP_FRAGMENT,
	DROP_TTL,
	DROP_NOT_OWNER, /* the owner word is closed */
	DROP_NO_BACKEND, /* nothing up in the ring */
	DROP_UNKNOWN_FLOW, /* no SYN, no entry */
	DROP_TABLE_FULL,
	DROP_PORTS_EXHAUSTED, /* no free source port towards the backend */
	DROP_PORT_CONFLICT, /* nat keep: the tuple towards the backend is taken */
	DROP_NO_NEXT_HOP,
	DROP_TOO_BIG, /* larger than the egress MTU; the sender was told */
	DROP_EGRESS, /* the egress interface is not one of dataplane.interfaces */
	DROP_VLAN, /* the next hop is on another VLAN than the frame */
	DROP_NO_LISTENER, /* mode sshd: nothing listens for the service */
	DROP_KILLED, /* the flow was ended by the operator */
	DROP_DENIED, /* a denied prefix */
	DROP_BANNED,
	DROP_SYN_RATE, /* more new connections than one client may begin */
	DROP_SOURCE_FULL, /* more flows than one client may have */
	DROP_CHALLENGED, /* under pressure: an unknown source was asked to prove its address */
	DROP_CHALLENGE_MET, /* its answer, by which it is known */
	DROP_TCP_SIGNATURE, /* proxy_v2: a signed segment cannot be rewritten */
	DROP_INTERNAL, /* a helper failed; anything but 0 is a fault of ours */
	DROP_TOO_BIG_UNTOLD, /* as too_big, but fragmenting was allowed, or too many were told just now */
	DROP_NO_HEADROOM, /* ipip, gue: the driver leaves no room for the outer header */
	DROP_CONGESTED, /* a node sent it on, and outside met congestion that its ends would not hear of (RFC 6040) */
	DROP_REASONS,
};

/* What a backend's own program did with a packet inside another one. The names
 * user space shows are these in lower case without DECAP_. */
enum decap_verdict {
	DECAP_DONE, /* taken out and passed up */
	DECAP_UNTRUSTED, /* the outer source is no gateway of ours */
	DECAP_MALFORMED, /* the inner length is not what the outer leaves, or no TCP or ICMP inside */
	DECAP_CONGESTED, /* outer CE on a packet whose ends know no ECN (RFC 6040) */
	DECAP_INTERNAL, /* a helper failed */
	DECAP_VERDICTS,
};

/* Key of the trusted gateways, longest prefix first. */
struct decap_source {
	__u32 bits; /* of addr that count */
	struct addr addr;
};

enum event_kind {
	EVENT_ESTABLISHED = 1,
	EVENT_CLOSED = 2,
	EVENT_REFUSED = 3,
	EVENT_NEIGHBOUR = 4, /* a next hop is wanted for addr on ifindex */
	EVENT_REVIVED = 5, /* a flow goes on after it was told closed */
	EVENT_SETTLED = 6, /* its header was acknowledged, or it is young no more */
};

struct event {
	__u64 time; /* ns of CLOCK_MONOTONIC */
	__u32 kind; /* enum event_kind */
	__u32 reason; /* enum drop_reason, for refused */
	__u32 service;
	__u32 member;
	struct addr addr; /* the client; for neighbour, who is to be resolved */
	struct addr peer; /* source address towards the backend */
	__be16 port;
	__be16 peer_port;
	__u32 ifindex; /* neighbour only */
	__u32 isn; /* established, closed: the client's, where the flow began with a header */
	__u32 header; /* enum header_state */
};
_Static_assert(sizeof(struct event) == 72, "event");

/* How the events of a CPU went. */
struct event_pace {
	__u64 lost; /* found the ring buffer full */
	__u64 woken; /* ns: when the reader was last woken */
};

/* For so long after a wake-up the reader is not woken again: it looks by itself
 * once it has been silent for twice that. */
#define EVENT_QUIET_NS 10000000

/* What the guard has to look at, so that an empty one costs a bit test. */
enum guard_bit {
	GUARD_DENY = 1 << 0,
	GUARD_EXEMPT = 1 << 1,
	GUARD_BANS = 1 << 2,
	GUARD_BAN_PREFIXES = 1 << 3,
	GUARD_SOURCES = 1 << 4, /* rates, limits or the challenge */
};

#define PRESSURE_TICKS 10 /* how long pressure is felt after it was last there */
#define ADMITTED_TICKS 559 /* 10 minutes */

/* Key of a longest-prefix table. length counts from v6 on, so that ::/0 is not
 * every IPv4 address as well: IPv4's is 128 more than people write, IPv6's 32. */
struct prefix {
	__u32 length;
	__u32 v6;
	struct addr addr;
};
_Static_assert(sizeof(struct prefix) == 24, "prefix");
#define PREFIX_WHOLE 160

/* A denied prefix or a ban, and what it kept out. */
struct rule {
	__u64 until; /* ns of CLOCK_MONOTONIC, 0 = for ever */
	__u64 packets;
	__u64 bytes;
};

/* What is remembered of an IPv4 address or an IPv6 /64. */
struct source {
	__u64 due; /* ns: when the next SYN would come at the allowed rate */
	__s32 flows; /* established now */
	__u32 admitted_until; /* tick: until then the source counts as known, 0 = never was */
};

/* Handshakes begun in this tick, per CPU. */
struct pace {
	__u32 tick;
	__u32 begun;
};

/* What user space may change while the programs run. One element. */
struct control {
	__u64 reset_unknown_from; /* ns; unknown flows are answered by a reset after it, 0 = never */
	__u32 route_epoch; /* grows with each change of routes or neighbours */
	__u32 check_ifindex; /* our end of the health-check veth, 0 = none */
	__u8 check_mac[6]; /* MAC of the stack's end */
	__u8 zero[2];
	/* Source ports for nat without keep: two spans around the host's own
	 * ephemeral range, host order, empty when lo > hi. */
	__u16 pool_lo[2];
	__u16 pool_hi[2];
	__u32 guard; /* enum guard_bit */
	__u32 flows_per_source; /* 0 = any number */
	__u64 syn_interval; /* ns between the SYNs of a source, 0 = any rate */
	__u64 syn_burst; /* ns that a source may be ahead of that */
	__u32 embryo_budget; /* handshakes that may begin per CPU and tick, 0 = any number */
	__u32 service_epoch; /* grows with each change of service_ids */
	__u32 port_budget; /* the same for each address of a source pool, so that half of its ports stay free */
	__u32 quiet; /* nobody reads events of flows */
	__u32 parcels; /* whether other nodes send packets inside others */
	__u32 elections; /* VIPs in elected */
	__u64 marks_kept; /* ns when user space last saw to the marks of the rings, 0 = never */
};

/* A health check's connection, noted on its way out so that the answer finds
 * its way back. */
struct check_key {
	struct addr vip;
	struct addr probe;
	__be16 port;
	__be16 probe_port;
};

/* What the pinned maps were made for. A mismatch is refused by name. */
struct meta {
	__u32 schema;
	__u32 flow_lines;
	__u64 key_check; /* hash of the cluster key: another key cannot read this table */
};

/* What a stage decided, for who asks. */
enum trace_stage {
	TRACE_NONE,
	TRACE_SERVICE, /* service id */
	TRACE_ENTRY, /* of the ring */
	TRACE_WORD, /* the ring word */
	TRACE_SHORT, /* the short way: the word is beyond doubt */
	TRACE_FLOW, /* enum flow_state of the entry found */
	TRACE_EMBRYO, /* the handshake found, its member */
	TRACE_COMPLETES, /* the handshake */
	TRACE_UNKNOWN, /* no flow, no handshake */
	TRACE_SYN, /* begins a connection with that member */
	TRACE_MEMBER, /* goes to that member */
	TRACE_NEXT_HOP, /* next hop id */
	TRACE_ENCAPSULATED, /* bytes of the outer header */
	TRACE_DROP, /* enum drop_reason */
	TRACE_RESET, /* answered by a reset */
	TRACE_PASSED, /* up to a listener of this node */
	TRACE_SOCKET, /* a connection of this node has it; its member */
	TRACE_STAGES,
};

#define TRACE_STEPS 24

struct trace_step {
	__u32 stage; /* enum trace_stage */
	__u32 value;
};

struct trace {
	__u32 count;
	__u32 zero;
	struct trace_step steps[TRACE_STEPS];
};

/* Arguments of the expire programs: what to look at and what to do. */
enum expire_verb {
	EXPIRE_IDLE = 1, /* remove what is past its lifetime */
	EXPIRE_KILL = 2, /* mark as killed */
};

struct expire_args {
	__u32 verb; /* enum expire_verb */
	__u32 count; /* entries of lines in use */
	__u32 lines[EXPIRE_BATCH];
	__u32 words[EXPIRE_BATCH]; /* the claim word seen; a line that changed since is left alone */
	__u32 done; /* out: lines acted on */
};

struct expire_keys {
	__u32 verb; /* enum expire_verb */
	__u32 count;
	struct flow_key keys[EXPIRE_KEYS];
	__u32 done; /* out */
	__u32 zero;
};

/* Arguments of import: flows that another gateway tells of. */
#define IMPORT_BATCH 64

struct imported {
	struct addr client;
	struct addr source; /* nat: towards the backend */
	__be16 port;
	__be16 source_port; /* 0 in one-way modes */
	__u32 service;
	__u32 member;
	__u32 opened; /* ticks of this node's clock */
	__u32 seen;
	__u32 sequence; /* as in struct flow, of the client */
	__u32 back_sequence; /* of the backend */
	__u32 status; /* as in struct flow, without what is this node's affair */
	__u16 isn_low;
	__u8 zero[2];
};

enum import_result {
	IMPORT_REFUSED,
	IMPORT_MADE,
	IMPORT_REPLACED,
	IMPORT_KNOWN, /* as it was */
	IMPORT_RESULTS,
};

struct import_args {
	__u32 count;
	__u32 results[IMPORT_RESULTS]; /* out: how many of each */
	struct imported flows[IMPORT_BATCH];
};

/* Arguments of copies: what is to become of flows that were imported. */
enum copy_verb {
	COPY_REMOVE = 1, /* another gateway saw them end */
	COPY_REFRESH = 2, /* or live at a tick */
};

struct copy_args {
	__u32 verb; /* enum copy_verb */
	__u32 count;
	__u32 seen;
	__u32 done; /* out */
	struct flow_key keys[IMPORT_BATCH];
};
