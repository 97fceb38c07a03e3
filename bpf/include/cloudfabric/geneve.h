/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Geneve (RFC 8926): reading a tunnel packet, and writing the outer headers of one. */
#ifndef CLOUDFABRIC_GENEVE_H
#define CLOUDFABRIC_GENEVE_H

#include "parse.h"

/* What the outer headers say. */
struct cf_tunnel {
	__u32 vni;
	__be32 source;	     /* outer source: the last host that sent it */
	__be32 sender;	     /* host that it came from: `source`, or what the bounce option says */
	__u32 offset;	     /* from the start of the frame to the inner Ethernet header */
	__u32 inner_length;  /* bytes of the inner packet without its Ethernet header */
	__u16 bounce_offset; /* from the start of the frame to the bounce option; 0: none */
	__u8 stage;	     /* enum cf_stage */
	__u8 control;	     /* CF_GENEVE_CONTROL: came back, its destination is not where it was sent */
};

/* Reads the frame [start, end) of `wire_length` bytes. CF_PASS: `tunnel` is filled; CF_NOT_OURS: not a tunnel packet to
 * `address`. */
CF_INLINE int cf_parse_tunnel(void *start, void *end, __u32 wire_length, __be32 address, struct cf_tunnel *tunnel)
{
	struct cf_eth *eth = start;
	struct cf_outer *outer = (void *)(eth + 1);
	__u32 options, offset, total, i;

	if ((void *)(outer + 1) > end) {
		/* Too short for a tunnel packet: ours to refuse only if it says that it is one. */
		struct cf_udp *udp = &outer->udp;

		if ((void *)(udp + 1) > end || eth->type != CF_HTONS(CF_ETHERTYPE_IPV4) ||
		    outer->ip.version_ihl != 0x45 || outer->ip.protocol != CF_PROTOCOL_UDP ||
		    outer->ip.destination != address || outer->ip.fragment & CF_HTONS(CF_IP_FRAGMENT) ||
		    udp->destination != CF_HTONS(CF_GENEVE_PORT))
			return CF_NOT_OURS;
		return CF_DROP_TRUNCATED;
	}
	if (eth->type != CF_HTONS(CF_ETHERTYPE_IPV4) || outer->ip.protocol != CF_PROTOCOL_UDP ||
	    outer->ip.destination != address)
		return CF_NOT_OURS;
	if (outer->ip.version_ihl != 0x45) /* with options, the port is elsewhere: the host's stack decides */
		return CF_NOT_OURS;
	if (outer->ip.fragment & CF_HTONS(CF_IP_OFFSET)) /* a later fragment has no port */
		return CF_NOT_OURS;
	if (outer->udp.destination != CF_HTONS(CF_GENEVE_PORT))
		return CF_NOT_OURS;
	total = CF_NTOHS(outer->ip.length);
	if (outer->ip.fragment & CF_HTONS(CF_IP_FRAGMENT) ||
	    total != CF_NTOHS(outer->udp.length) + sizeof(struct cf_ipv4))
		return CF_DROP_BAD_OUTER;
	if (total + sizeof(*eth) > wire_length)
		return CF_DROP_TRUNCATED;
	options = (outer->geneve.version_length & 0x3f) * 4;
	if (outer->geneve.version_length >> 6 || outer->geneve.protocol != CF_HTONS(CF_GENEVE_ETHERNET) ||
	    total < sizeof(*outer) + options + sizeof(struct cf_eth))
		return CF_DROP_BAD_GENEVE;

	tunnel->vni = CF_NTOHL(outer->geneve.vni_reserved) >> 8;
	tunnel->source = outer->ip.source;
	tunnel->sender = outer->ip.source;
	tunnel->offset = sizeof(*eth) + sizeof(*outer) + options;
	tunnel->inner_length = total - sizeof(*outer) - options - sizeof(struct cf_eth);
	tunnel->bounce_offset = 0;
	tunnel->stage = CF_STAGE_NONE;
	tunnel->control = outer->geneve.flags & CF_GENEVE_CONTROL;
	if (!options)
		return outer->geneve.flags & CF_GENEVE_CRITICAL ? CF_DROP_BAD_GENEVE : CF_PASS;

	offset = sizeof(*eth) + sizeof(*outer);
	for (i = 0; i < CF_GENEVE_MAX_OPTIONS && offset < tunnel->offset; i++) {
		struct cf_geneve_option *option = start + offset;
		__u32 length;

		if ((void *)(option + 1) > end)
			return CF_DROP_TRUNCATED;
		length = sizeof(*option) + (option->length & 0x1f) * 4;
		if (offset + length > tunnel->offset)
			return CF_DROP_BAD_GENEVE;
		if (option->class == CF_HTONS(CF_OPTION_CLASS) && option->type == CF_OPTION_BOUNCE) {
			struct cf_bounce_option *bounce = (void *)option;

			if ((option->length & 0x1f) != CF_OPTION_BOUNCE_WORDS || tunnel->bounce_offset)
				return CF_DROP_BAD_GENEVE;
			if ((void *)(bounce + 1) > end)
				return CF_DROP_TRUNCATED;
			if (bounce->stage == CF_STAGE_NONE || bounce->stage > CF_STAGE_HOST)
				return CF_DROP_BAD_GENEVE;
			tunnel->sender = bounce->sender;
			tunnel->stage = bounce->stage;
			tunnel->bounce_offset = offset;
		} else if (option->type & CF_OPTION_CRITICAL) {
			return CF_DROP_CRITICAL_OPTION;
		}
		offset += length;
	}
	return offset == tunnel->offset ? CF_PASS : CF_DROP_BAD_GENEVE;
}

/* Reads the inner packet of a frame whose tunnel was read. */
CF_INLINE int cf_parse_inner(void *start, void *end, const struct cf_tunnel *tunnel, struct cf_flow *flow)
{
	struct cf_eth *eth = start + tunnel->offset;
	int verdict;

	if ((void *)(eth + 1) > end)
		return CF_DROP_TRUNCATED;
	if (eth->type != CF_HTONS(CF_ETHERTYPE_IPV4))
		return CF_DROP_BAD_INNER;
	verdict = cf_parse_ipv4(eth + 1, end, tunnel->inner_length, flow);
	return verdict == CF_DROP_BAD_IPV4 ? CF_DROP_BAD_INNER : verdict;
}

/* Outer source port from the inner flow, so that the underlay spreads flows: 49152..65535 (RFC 8926, section 3.3). */
CF_INLINE __be16 cf_source_port(__u32 hash)
{
	return CF_HTONS(0xc000 | (hash & 0x3fff));
}

/* Sets source, destination and TTL of an outer header that is otherwise complete. */
CF_INLINE void cf_address_outer(struct cf_ipv4 *ip, __be32 source, __be32 destination, __u8 ttl)
{
	ip->source = source;
	ip->destination = destination;
	ip->ttl = ttl;
	ip->checksum = 0;
	ip->checksum = cf_ipv4_checksum(ip);
}

/* Writes outer IPv4, UDP and Geneve headers for `length` bytes of inner frame (options and inner Ethernet header
 * included). */
CF_INLINE void cf_write_outer(struct cf_outer *outer, const struct cf_config *config, __be32 destination, __u32 vni,
			      __u32 hash, __u32 length, __u8 option_words)
{
	__u32 udp_length = length + sizeof(outer->udp) + sizeof(outer->geneve);

	outer->ip.version_ihl = 0x45;
	outer->ip.tos = 0;
	outer->ip.length = CF_HTONS(udp_length + sizeof(outer->ip));
	outer->ip.id = 0; /* RFC 6864: atomic datagram, DF set */
	outer->ip.fragment = CF_HTONS(CF_IP_DF);
	outer->ip.protocol = CF_PROTOCOL_UDP;
	cf_address_outer(&outer->ip, config->address, destination, config->ttl);
	outer->udp.source = cf_source_port(hash);
	outer->udp.destination = CF_HTONS(CF_GENEVE_PORT);
	outer->udp.length = CF_HTONS(udp_length);
	outer->udp.checksum = 0; /* RFC 8926, section 3.3 */
	outer->geneve.version_length = option_words;
	outer->geneve.flags = 0;
	outer->geneve.protocol = CF_HTONS(CF_GENEVE_ETHERNET);
	outer->geneve.vni_reserved = CF_HTONL(vni << 8);
}

CF_INLINE void cf_write_bounce(struct cf_bounce_option *option, __be32 sender, __u8 stage)
{
	option->header.class = CF_HTONS(CF_OPTION_CLASS);
	option->header.type = CF_OPTION_BOUNCE;
	option->header.length = CF_OPTION_BOUNCE_WORDS;
	option->sender = sender;
	option->stage = stage;
	option->reserved[0] = 0;
	option->reserved[1] = 0;
	option->reserved[2] = 0;
}

#endif
