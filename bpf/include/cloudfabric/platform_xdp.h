/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packet operations of an XDP program: transit only, which never changes a packet's length. */
#ifndef CLOUDFABRIC_PLATFORM_XDP_H
#define CLOUDFABRIC_PLATFORM_XDP_H

#include <linux/bpf.h>

typedef struct xdp_md cf_context;

#include "next_hop.h"

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
	return ctx->data_end - ctx->data;
}

/* A frame that an XDP program sees lies in one piece. */
CF_INLINE int cf_pull(cf_context *ctx, __u32 length)
{
	return 0;
}

CF_INLINE int cf_pass(cf_context *ctx)
{
	return XDP_PASS;
}

CF_INLINE int cf_drop(cf_context *ctx, int verdict)
{
	cf_count_verdict(verdict);
	return XDP_DROP;
}

/* XDP cannot ask for a neighbour's MAC: such a packet is passed on, unchanged, to the tcx program, which can. */
CF_INLINE int cf_route(cf_context *ctx, const struct cf_config *config, __be32 host, struct cf_hop *hop)
{
	int verdict = cf_find_next_hop(ctx, config, host, hop);

	return verdict == CF_PASS && !hop->way->ifindex ? CF_NOT_OURS : verdict;
}

CF_INLINE int cf_transmit(cf_context *ctx, const struct cf_config *config, const struct cf_hop *hop)
{
	struct cf_eth *eth = cf_data(ctx);

	if ((void *)(eth + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_TRUNCATED);
	cf_write_eth(eth, hop->way);
	return hop->way->ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(hop->way->ifindex, 0);
}

#endif
