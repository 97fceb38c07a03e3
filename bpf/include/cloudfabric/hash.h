/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow hash, and Maglev tables made with it. The BPF programs and the Cython core compute the same bits. */
#ifndef CLOUDFABRIC_HASH_H
#define CLOUDFABRIC_HASH_H

#include "types.h"

/* Finalizer of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit. */
static inline __attribute__((always_inline)) __u64 cf_mix64(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

/* Hash of an IPv4 flow. Addresses and ports as in the packet; ports are 0 for a protocol without any and for
 * every fragment, so that all fragments of a datagram take one way.
 */
static inline __attribute__((always_inline)) __u32 cf_flow_hash(__be32 source, __be32 destination, __be16 source_port,
								__be16 destination_port, __u8 protocol)
{
	__u64 addresses = (__u64)source << 32 | destination;
	__u64 rest = (__u64)protocol << 32 | (__u32)source_port << 16 | destination_port;

	return (__u32)(cf_mix64(addresses * 0x9e3779b97f4a7c15ULL + rest) >> 32);
}

/* The slot of a Maglev table that a flow hash falls into: multiplication instead of division (Lemire 2019, fast range),
 * which the verifier can bound as well.
 */
static inline __attribute__((always_inline)) __u32 cf_maglev_slot(__u32 hash)
{
	__u32 slot = (__u32)(((__u64)hash * CF_MAGLEV_SLOTS) >> 32);

	__asm__(""
		: "+r"(slot)); /* keeps clang from folding the shift into the array index, where the bound gets lost */
	return slot;
}

#ifndef __BPF__
/* Fills a group's Maglev table (Eisenbud et al., NSDI 2016, algorithm 1) for `count` distinct hosts, which the caller
 * sorts so that everybody gets the same table. `next` is scratch space for `count` numbers. No host: all slots 0.
 */
static inline void cf_maglev_fill(struct cf_group *group, const __be32 *hosts, __u32 count, __u32 *next)
{
	__u32 filled = 0, i;

	for (i = 0; i < CF_MAGLEV_SLOTS; i++)
		group->host[i] = 0;
	for (i = 0; i < count; i++)
		next[i] = 0;
	while (count && filled < CF_MAGLEV_SLOTS) {
		for (i = 0; i < count && filled < CF_MAGLEV_SLOTS; i++) {
			__u64 h = cf_mix64(0x636c6f7564666162ULL ^ hosts[i]);
			__u32 offset = (__u32)(h >> 32) % CF_MAGLEV_SLOTS;
			__u32 skip = (__u32)h % (CF_MAGLEV_SLOTS - 1) + 1;
			__u32 slot;

			do {
				slot = (offset + (__u64)next[i]++ * skip) % CF_MAGLEV_SLOTS;
			} while (group->host[slot]);
			group->host[slot] = hosts[i];
			filled++;
		}
	}
}
#endif

#endif
