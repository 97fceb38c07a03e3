/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which hosts belong to the fabric, and the next hop on the way to them, from the kernel's routing and neighbour
 * tables.
 *
 * Both answers are kept per CPU, the second for about a second. So a packet costs neither a hash look-up for the host
 * it came from or goes to (15 ns each, the most expensive thing that a program does) nor a routing look-up, and a moved
 * or routed underlay needs no configuration. A host that leaves is found out at once, by the generation.
 */
#ifndef CLOUDFABRIC_NEXT_HOP_H
#define CLOUDFABRIC_NEXT_HOP_H

#include "maps.h"
#include "parse.h"

enum {
	CF_NEXT_HOP_JIFFIES = 250, /* 1 s at HZ=250, 0.25 s at HZ=1000 */
	CF_AF_INET = 2,
};

struct cf_hop {
	struct cf_next_hop *way; /* way->ifindex 0: the kernel has to ask for the neighbour's MAC first */
	__be32 gateway;		 /* and this is whom, when it is not the host itself; else 0 */
};

/* The cache's slot for a host of this fabric; 0 when it is none. */
CF_INLINE struct cf_next_hop *cf_find_host(cf_context *ctx, const struct cf_config *config, __be32 address)
{
	__u32 slot = CF_NTOHL(address) & (CF_NEXT_HOPS - 1);
	struct cf_next_hop *way = cf_lookup(ctx, next_hops, &slot);

	if (!way || (way->address == address && way->generation == config->generation))
		return way;
	if (!cf_lookup(ctx, hosts, &address))
		return 0;
	way->address = address;
	way->generation = config->generation;
	way->ifindex = 0;
	return way;
}

CF_INLINE int cf_known_host(cf_context *ctx, const struct cf_config *config, __be32 address)
{
	return cf_find_host(ctx, config, address) != 0;
}

/* Asks the kernel. A call of its own: once a second, and in one place instead of wherever packets are sent. */
static __attribute__((noinline)) int cf_resolve(cf_context *ctx, const struct cf_config *config, struct cf_hop *hop)
{
	struct cf_next_hop *way = hop->way;
	struct bpf_fib_lookup fib = {};
	int result;

	way->ifindex = 0;
	fib.family = CF_AF_INET;
	fib.l4_protocol = CF_PROTOCOL_UDP;
	fib.ipv4_src = config->address;
	fib.ipv4_dst = way->address;
	fib.ifindex = config->uplink;
	result = bpf_fib_lookup(ctx, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT);
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH) {
		if (fib.ipv4_dst != way->address)
			hop->gateway = fib.ipv4_dst;
		return CF_PASS;
	}
	if (result == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return CF_PASS;
	if (result != BPF_FIB_LKUP_RET_SUCCESS)
		return CF_DROP_UNROUTABLE;
	way->ifindex = fib.ifindex;
	way->expires = (__u32)bpf_jiffies64() + CF_NEXT_HOP_JIFFIES;
	__builtin_memcpy(way->next_hop_mac, fib.dmac, sizeof(way->next_hop_mac));
	__builtin_memcpy(way->own_mac, fib.smac, sizeof(way->own_mac));
	return CF_PASS;
}

/* CF_PASS: `hop` is set. Otherwise a drop verdict. */
CF_INLINE int cf_find_next_hop(cf_context *ctx, const struct cf_config *config, __be32 host, struct cf_hop *hop)
{
	hop->gateway = 0;
	hop->way = cf_find_host(ctx, config, host);
	if (!hop->way)
		return CF_DROP_UNKNOWN_HOST;
	if (hop->way->ifindex && (__s32)(hop->way->expires - (__u32)bpf_jiffies64()) > 0)
		return CF_PASS;
	return cf_resolve(ctx, config, hop);
}

CF_INLINE void cf_write_eth(struct cf_eth *eth, const struct cf_next_hop *way)
{
	cf_macs_copy(eth, way->next_hop_mac); /* own_mac lies behind it */
	eth->type = CF_HTONS(CF_ETHERTYPE_IPV4);
}

#endif
