/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Layer 2 of the underlay: the next hop on the way to a host, from the kernel's routing and neighbour tables.
 *
 * The answer is kept in the host's entry of `hosts` for about a second, so that a packet costs one hash look-up that it
 * needs anyway (is the host still part of the fabric?) rather than a routing look-up. A moved or routed underlay needs
 * no configuration.
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
	struct cf_peer peer; /* peer.ifindex 0: the kernel has to ask for the neighbour's MAC first */
	__be32 gateway;	     /* and this is whom, when it is not the host itself; else 0 */
};

/* CF_PASS: `hop` is set. Otherwise a drop verdict. */
CF_INLINE int cf_find_next_hop(cf_context *ctx, const struct cf_config *config, __be32 host, struct cf_hop *hop)
{
	struct cf_peer *peer = bpf_map_lookup_elem(&hosts, &host);
	__u32 now = (__u32)bpf_jiffies64();
	struct bpf_fib_lookup fib = {};
	int result;

	if (!peer)
		return CF_DROP_UNKNOWN_HOST;
	hop->gateway = 0;
	hop->peer = *peer;
	if (hop->peer.ifindex && (__s32)(hop->peer.expires - now) > 0)
		return CF_PASS;

	hop->peer.ifindex = 0;
	fib.family = CF_AF_INET;
	fib.l4_protocol = CF_PROTOCOL_UDP;
	fib.ipv4_src = config->address;
	fib.ipv4_dst = host;
	fib.ifindex = config->uplink;
	result = bpf_fib_lookup(ctx, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT);
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH) {
		if (fib.ipv4_dst != host)
			hop->gateway = fib.ipv4_dst;
		return CF_PASS;
	}
	if (result == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return CF_PASS;
	if (result != BPF_FIB_LKUP_RET_SUCCESS)
		return CF_DROP_UNROUTABLE;
	hop->peer.ifindex = fib.ifindex;
	hop->peer.expires = now + CF_NEXT_HOP_JIFFIES;
	cf_mac_copy(hop->peer.next_hop_mac, fib.dmac);
	cf_mac_copy(hop->peer.own_mac, fib.smac);
	/* BPF_EXIST: an entry that the agent removed meanwhile stays removed. */
	bpf_map_update_elem(&hosts, &host, &hop->peer, BPF_EXIST);
	return CF_PASS;
}

CF_INLINE void cf_write_eth(struct cf_eth *eth, const struct cf_peer *peer)
{
	cf_mac_copy(eth->destination, peer->next_hop_mac);
	cf_mac_copy(eth->source, peer->own_mac);
	eth->type = CF_HTONS(CF_ETHERTYPE_IPV4);
}

#endif
