/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Map keys and values shared by the BPF programs, the Cython core and, through BTF, the layout test.
 *
 * Rules: every key carries the VNI; addresses are in network byte order exactly as they stand in
 * a packet; everything else is in host byte order; no implicit padding (the layout test checks).
 */
#ifndef CLOUDFABRIC_TYPES_H
#define CLOUDFABRIC_TYPES_H

#include <linux/types.h>

enum {
	CF_MAGLEV_SLOTS = 1021, /* prime (Maglev, NSDI 2016, section 3.4); 4 KiB a group, even up to some 50 hosts */
	CF_NEXT_HOPS = 4096,	/* power of two */
	CF_GROUP_DIVIDERS = 0,	/* cf_group_key.segment of a VPC's dividers; subnets count from 1 */
};

/* An address inside one VPC. Key of `endpoints`, `members` and `learnt`. */
struct cf_address_key {
	__u32 vni;
	__be32 address;
};

/* An endpoint on this host. Value of `endpoints`. */
struct cf_endpoint {
	__u32 ifindex; /* host side of the workload's veth pair */
	__u32 slot;    /* index into `endpoint_counters` */
	__u8 mac[6];
	__u16 flags; /* none defined yet */
};

/* What a workload's interface may send. Value of `interfaces`, keyed by the host-side ifindex (__u32). */
struct cf_interface {
	__u32 vni;
	__be32 address;
	__be32 netmask; /* of the subnet: a packet that leaves it is routed, so its TTL drops by one */
	__u32 segment;	/* the subnet's number within the fabric; names its bouncers' table */
	__u32 slot;
	__u8 mac[6];
	__u16 flags; /* none defined yet */
};

/* The host that carries an address. Value of `members` (bouncer) and `learnt` (direct path). */
struct cf_host {
	__be32 address;
};

/* A host of this fabric. Value of `hosts`, keyed by its underlay address (__be32). */
struct cf_peer {
	__u32 flags; /* none defined yet */
};

/* The way to a host, as this CPU last found it. Value of `next_hops`, a cache that only the programs use; the slot is
 * the low bits of the host's address.
 */
struct cf_next_hop {
	__be32 address;	  /* of the host */
	__u32 generation; /* cf_config.generation when it was found to be a host of this fabric */
	__u32 expires;	  /* low half of jiffies at which the way is looked up again */
	__u32 ifindex;	  /* interface to the next hop; 0: not resolved */
	__u8 next_hop_mac[6];
	__u8 own_mac[6];
	__u32 reserved; /* two to a cache line */
};

/* Key of `routes`, the divider's longest-prefix-match trie. prefixlen counts the 32 bits of the VNI too. */
struct cf_route_key {
	__u32 prefixlen;
	__be32 vni; /* big-endian: the trie compares bits in memory order */
	__be32 address;
};

struct cf_route {
	__u32 segment; /* the subnet that the destination is in */
};

/* A set of hosts that share a duty: a subnet's bouncers, or a VPC's dividers (CF_GROUP_DIVIDERS). */
struct cf_group_key {
	__u32 vni;
	__u32 segment;
};

/* Maglev lookup table of a group. Value of `groups`; replaced as one element, so a packet sees all of it or none. */
struct cf_group {
	__be32 host[CF_MAGLEV_SLOTS];
};

/* Facts about this host. Element 0 of `config`. */
struct cf_config {
	__be32 address;	     /* underlay address: outer source, and the only outer destination accepted */
	__u32 uplink;	     /* ifindex of the interface to the underlay */
	__u32 mtu;	     /* of the underlay, bytes, without Ethernet header */
	__u32 generation;    /* grows, from 1, whenever a host leaves: what `next_hops` holds is checked again */
	__u8 gateway_mac[6]; /* what every workload sees as the owner of every other address */
	__u8 ttl;	     /* outer TTL */
	__u8 reserved;
};

/* Per-CPU, one per endpoint slot. Value of `endpoint_counters`. */
struct cf_counter {
	__u64 tx_packets; /* sent by the workload and accepted */
	__u64 tx_bytes;
	__u64 rx_packets; /* delivered to the workload */
	__u64 rx_bytes;
	__u64 dropped; /* sent by the workload and refused */
};

#endif
