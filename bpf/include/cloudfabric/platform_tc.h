/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packet operations of a tc or tcx program. */
#ifndef CLOUDFABRIC_PLATFORM_TC_H
#define CLOUDFABRIC_PLATFORM_TC_H

#include <linux/bpf.h>

typedef struct __sk_buff cf_context;

#include "next_hop.h"

enum {
	CF_TC_DROP = 2,	 /* TC_ACT_SHOT */
	CF_TC_NEXT = -1, /* TCX_NEXT; TC_ACT_UNSPEC with clsact: the next program, else the host's stack */
};

CF_INLINE void *cf_data(cf_context *ctx)
{
	return (void *)(long)ctx->data;
}

CF_INLINE void *cf_data_end(cf_context *ctx)
{
	return (void *)(long)ctx->data_end;
}

CF_INLINE __u32 cf_length(cf_context *ctx)
{
	return ctx->len;
}

CF_INLINE __u32 cf_ifindex(cf_context *ctx)
{
	return ctx->ifindex;
}

CF_INLINE int cf_is_gso(cf_context *ctx)
{
	return ctx->gso_size != 0;
}

/* Makes the first `length` bytes readable, or all there are. True if more became readable. */
CF_INLINE int cf_pull(cf_context *ctx, __u32 length)
{
	if (cf_data(ctx) + length <= cf_data_end(ctx) || ctx->data_end - ctx->data >= ctx->len)
		return 0;
	if (length > ctx->len)
		length = ctx->len;
	return bpf_skb_pull_data(ctx, length) == 0;
}

CF_INLINE int cf_pass(cf_context *ctx)
{
	return CF_TC_NEXT;
}

CF_INLINE int cf_drop(cf_context *ctx, int verdict)
{
	cf_count_verdict(verdict);
	return CF_TC_DROP;
}

/* Drops what a workload sent. */
CF_INLINE int cf_refuse(cf_context *ctx, struct cf_counter *counter, int verdict)
{
	if (counter)
		counter->dropped++;
	return cf_drop(ctx, verdict);
}

/* Opens `overhead` bytes behind the Ethernet header for outer headers and a copy of the inner Ethernet header. Only the
 * latter counts as the tunnel's layer 2: with the Geneve header in it, the kernel would segment the packet wrongly.
 */
CF_INLINE int cf_grow(cf_context *ctx, __u32 overhead)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
		      BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(struct cf_eth));

	return bpf_skb_adjust_room(ctx, overhead, BPF_ADJ_ROOM_MAC, flags) ? CF_DROP_NO_MEMORY : CF_PASS;
}

/* Opens room in a packet that is encapsulated already. */
CF_INLINE int cf_widen(cf_context *ctx, __u32 length)
{
	return bpf_skb_adjust_room(ctx, length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ? CF_DROP_NO_MEMORY
											    : CF_PASS;
}

/* Takes `length` bytes out behind the Ethernet header. */
CF_INLINE int cf_shrink(cf_context *ctx, __u32 length)
{
	return bpf_skb_adjust_room(ctx, -(__s32)length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ? CF_DROP_NO_MEMORY
												    : CF_PASS;
}

CF_INLINE int cf_deliver(cf_context *ctx, __u32 ifindex)
{
	return bpf_redirect_peer(ifindex, 0);
}

CF_INLINE int cf_reply(cf_context *ctx)
{
	return bpf_redirect(ctx->ifindex, 0);
}

CF_INLINE int cf_route(cf_context *ctx, const struct cf_config *config, __be32 host, struct cf_hop *hop)
{
	return cf_find_next_hop(ctx, config, host, hop);
}

CF_INLINE int cf_transmit(cf_context *ctx, const struct cf_config *config, const struct cf_hop *hop)
{
	struct bpf_redir_neigh neighbour = {.nh_family = CF_AF_INET, .ipv4_nh = hop->gateway};
	struct cf_eth *eth;

	if (!hop->way->ifindex)
		return hop->gateway ? bpf_redirect_neigh(config->uplink, &neighbour, sizeof(neighbour), 0)
				    : bpf_redirect_neigh(config->uplink, 0, 0, 0);
	eth = cf_data(ctx);
	if ((void *)(eth + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_TRUNCATED);
	cf_write_eth(eth, hop->way);
	return bpf_redirect(hop->way->ifindex, 0);
}

#endif
