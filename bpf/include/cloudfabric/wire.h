/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers as they stand in a packet; all multi-byte fields are big-endian.
 *
 * Each struct is packed, then told to be aligned: behind a 14-byte Ethernet header it is not, but all targets load and
 * store unaligned words at full speed, while for an align-1 struct clang takes a BPF packet apart byte by byte.
 */
#ifndef CLOUDFABRIC_WIRE_H
#define CLOUDFABRIC_WIRE_H

#include <linux/types.h>

#define CF_HTONS(x) ((__be16)__builtin_bswap16((__u16)(x)))
#define CF_NTOHS(x) ((__u16)__builtin_bswap16((__u16)(x)))
#define CF_HTONL(x) ((__be32)__builtin_bswap32((__u32)(x)))
#define CF_NTOHL(x) ((__u32)__builtin_bswap32((__u32)(x)))

enum {
	CF_ETHERTYPE_IPV4 = 0x0800,
	CF_ETHERTYPE_ARP = 0x0806,
	CF_PROTOCOL_TCP = 6,
	CF_PROTOCOL_UDP = 17,
	CF_PROTOCOL_SCTP = 132,
	CF_IP_DF = 0x4000,
	CF_IP_FRAGMENT = 0x3fff, /* more-fragments flag and offset */
	CF_IP_OFFSET = 0x1fff,
	CF_ARP_REQUEST = 1,
	CF_ARP_REPLY_OPCODE = 2,
	CF_GENEVE_PORT = 6081,
	CF_GENEVE_ETHERNET = 0x6558, /* Geneve protocol type: transparent Ethernet bridging */
};

#define CF_WORDS     __attribute__((packed, aligned(4)))
#define CF_HALFWORDS __attribute__((packed, aligned(2)))

struct cf_eth {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
} CF_HALFWORDS;

struct cf_ipv4 { /* RFC 791 */
	__u8 version_ihl;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__be32 source;
	__be32 destination;
} CF_WORDS;

struct cf_udp { /* RFC 768 */
	__be16 source;
	__be16 destination;
	__be16 length;
	__u16 checksum;
} CF_WORDS;

struct cf_arp { /* RFC 826, Ethernet and IPv4 */
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 opcode;
	__u8 sender_mac[6];
	__be32 sender_address;
	__u8 target_mac[6];
	__be32 target_address;
} CF_HALFWORDS;

struct cf_geneve {	     /* RFC 8926, section 3.4 */
	__u8 version_length; /* 2 bits of version, 6 bits of options' length in 4-byte words */
	__u8 flags;	     /* CF_GENEVE_CONTROL, CF_GENEVE_CRITICAL, 6 bits reserved */
	__be16 protocol;
	__be32 vni_reserved; /* 24 bits of VNI, 8 bits reserved */
} CF_WORDS;

struct cf_geneve_option { /* RFC 8926, section 3.5 */
	__be16 class;
	__u8 type;   /* top bit: critical */
	__u8 length; /* 3 bits reserved, 5 bits of length of the data in 4-byte words */
} CF_WORDS;

/* The one option of CloudFabric so far, on packets that travel through bouncers and dividers. */
struct cf_bounce_option {
	struct cf_geneve_option header;
	__be32 sender; /* underlay address of the host that the packet came from */
	__u8 stage;    /* enum cf_stage: grows with every hop, so that no packet can loop */
	__u8 reserved[3];
} CF_WORDS;

enum {
	/* Control bit: "the destination is not on this host; forget the path and send again" (docs/architecture.md). */
	CF_GENEVE_CONTROL = 0x80,
	CF_GENEVE_CRITICAL = 0x40,
	CF_GENEVE_MAX_OPTIONS = 8, /* options read per packet; more is malformed for this fabric */
	CF_OPTION_CLASS = 0xffcf,  /* experimental range of RFC 8926, section 7 */
	CF_OPTION_CRITICAL = 0x80, /* in the option's type */
	CF_OPTION_BOUNCE = 0x01,   /* not critical: a receiver that does not know it may deliver all the same */
	CF_OPTION_BOUNCE_WORDS = 2,
};

enum cf_stage {
	CF_STAGE_NONE = 0,	     /* direct path: no option */
	CF_STAGE_BOUNCER = 1,	     /* on its way to a bouncer of the sender's subnet */
	CF_STAGE_DIVIDER = 2,	     /* on its way to a divider of the VPC */
	CF_STAGE_SUBNET_BOUNCER = 3, /* on its way to a bouncer of the destination's subnet */
	CF_STAGE_HOST = 4,	     /* on its way to the destination's host */
};

/* From the outer IPv4 header to the end of the inner Ethernet header. */
struct cf_outer {
	struct cf_ipv4 ip;
	struct cf_udp udp;
	struct cf_geneve geneve;
} CF_WORDS;

enum {
	CF_OVERHEAD_DIRECT = sizeof(struct cf_outer) + sizeof(struct cf_eth),	    /* 50 */
	CF_OVERHEAD_BOUNCED = CF_OVERHEAD_DIRECT + sizeof(struct cf_bounce_option), /* 62 */
	CF_OVERHEAD_RESERVED = 70, /* what a workload's MTU leaves free: a bounced packet and one more 8-byte option */
};

#endif
