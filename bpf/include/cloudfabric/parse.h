/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bounds-checked reading of headers. Every function takes [start, end) and returns a verdict; CF_PASS means
 * well-formed. */
#ifndef CLOUDFABRIC_PARSE_H
#define CLOUDFABRIC_PARSE_H

#include "hash.h"
#include "types.h"
#include "verdicts.h"
#include "wire.h"

#define CF_INLINE static inline __attribute__((always_inline))

#ifdef __clang__
#define CF_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define CF_NO_UNROLL
#endif

/* Beside the verdicts: not for this program, leave the packet alone. */
enum { CF_NOT_OURS = -1 };

/* What forwarding needs to know of an IPv4 packet. */
struct cf_flow {
	__be32 source;
	__be32 destination;
	__u32 hash;
};

/* Words that may overlay fields of other types, at any address (C11 6.5 p7 would let the compiler reorder such
 * accesses). */
typedef __u16 __attribute__((may_alias)) cf_any_u16;
typedef __u32 __attribute__((may_alias)) cf_any_u32;
typedef __u64 __attribute__((may_alias)) cf_any_u64;

CF_INLINE int cf_mac_equal(const void *a, const void *b)
{
	return *(const cf_any_u32 *)a == *(const cf_any_u32 *)b &&
	       *(const cf_any_u16 *)(a + 4) == *(const cf_any_u16 *)(b + 4);
}

CF_INLINE void cf_mac_copy(void *to, const void *from)
{
	*(cf_any_u32 *)to = *(const cf_any_u32 *)from;
	*(cf_any_u16 *)(to + 4) = *(const cf_any_u16 *)(from + 4);
}

/* Copies destination and source of an Ethernet header. */
CF_INLINE void cf_macs_copy(void *to, const void *from)
{
	*(cf_any_u64 *)to = *(const cf_any_u64 *)from;
	*(cf_any_u32 *)(to + 8) = *(const cf_any_u32 *)(from + 8);
}

/* True for an address that names more than one receiver: 224.0.0.0/4 and the limited broadcast. */
CF_INLINE int cf_is_multicast(__be32 address)
{
	return (CF_NTOHL(address) >> 28) >= 0xe;
}

/* Internet checksum (RFC 1071) of a 20-byte IPv4 header whose checksum field is zero. */
CF_INLINE __u16 cf_ipv4_checksum(const void *header)
{
	const cf_any_u32 *word = header;
	__u64 sum = (__u64)word[0] + word[1] + word[2] + word[3] + word[4];

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16) ~(sum + (sum >> 16));
}

/* Reads the IPv4 packet of at most `wire_length` bytes at `start`, of which the bytes up to `end` can be read now.
 * CF_DROP_TRUNCATED: ends inside a header, or the header is not readable yet (the caller pulls and tries again).
 */
CF_INLINE int cf_parse_ipv4(void *start, void *end, __u32 wire_length, struct cf_flow *flow)
{
	struct cf_ipv4 *ip = start;
	__be16 ports[2] = {0, 0};
	__u32 header, length;

	if ((void *)(ip + 1) > end)
		return CF_DROP_TRUNCATED;
	header = (ip->version_ihl & 0xf) * 4;
	length = CF_NTOHS(ip->length);
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip) || length < header)
		return CF_DROP_BAD_IPV4;
	if (length > wire_length)
		return CF_DROP_TRUNCATED;
	if (!(ip->fragment & CF_HTONS(CF_IP_FRAGMENT)) &&
	    (ip->protocol == CF_PROTOCOL_TCP || ip->protocol == CF_PROTOCOL_UDP || ip->protocol == CF_PROTOCOL_SCTP) &&
	    length >= header + 4) {
		__be16 *port = start + header;

		if ((void *)(port + 2) > end)
			return CF_DROP_TRUNCATED;
		ports[0] = port[0];
		ports[1] = port[1];
	}
	flow->source = ip->source;
	flow->destination = ip->destination;
	flow->hash = cf_flow_hash(ip->source, ip->destination, ports[0], ports[1], ip->protocol);
	return CF_PASS;
}

#endif
