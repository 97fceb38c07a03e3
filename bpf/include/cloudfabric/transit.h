/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a packet through a bouncer or divider: outer headers are rewritten, the inner packet is not touched.
 *
 * One implementation in two places: at the end of the uplink program (tcx), where segmentation offload survives, and as
 * an XDP program of its own where the driver runs it.
 */
#ifndef CLOUDFABRIC_TRANSIT_H
#define CLOUDFABRIC_TRANSIT_H

#include "forward.h"
#include "geneve.h"

enum {
	/* Outer headers, one bounce option, an inner header without options, ports: nearly every packet. */
	CF_PULL_TUNNEL = sizeof(struct cf_eth) + CF_OVERHEAD_BOUNCED + sizeof(struct cf_ipv4) + 4,
	/* The longest headers that are read. */
	CF_PULL_TUNNEL_MAX = sizeof(struct cf_eth) + CF_OVERHEAD_DIRECT + 252 + 60 + 4,
};

/* Reads outer and inner headers; a frame whose headers are spread over fragments of memory is pulled together first. */
CF_INLINE int cf_read_tunnel(cf_context *ctx, const struct cf_config *config, struct cf_tunnel *tunnel,
			     struct cf_flow *flow)
{
	int verdict, attempt;

	cf_pull(ctx, CF_PULL_TUNNEL);
	CF_NO_UNROLL
	for (attempt = 0; attempt < 2; attempt++) {
		verdict = cf_parse_tunnel(cf_data(ctx), cf_data_end(ctx), cf_length(ctx), config->address, tunnel);
		if (verdict == CF_PASS)
			verdict = cf_parse_inner(cf_data(ctx), cf_data_end(ctx), tunnel, flow);
		if (verdict != CF_DROP_TRUNCATED || !cf_pull(ctx, CF_PULL_TUNNEL_MAX))
			break;
	}
	return verdict;
}

/* Reads a tunnel packet that a host of this fabric sent. False: the packet goes no further here, `action` is the
 * program's result. */
CF_INLINE int cf_admit_tunnel(cf_context *ctx, const struct cf_config *config, struct cf_tunnel *tunnel,
			      struct cf_flow *flow, int *action)
{
	int verdict;

	*action = cf_pass(ctx);
	if (!config)
		return 0;
	verdict = cf_read_tunnel(ctx, config, tunnel, flow);
	if (verdict == CF_NOT_OURS)
		return 0;
	if (verdict == CF_PASS && !cf_known_host(ctx, config, tunnel->source))
		verdict = CF_DROP_UNKNOWN_HOST;
	if (verdict == CF_PASS)
		return 1;
	*action = cf_drop(ctx, verdict);
	return 0;
}

/* Sends a tunnel packet on, from this host to `next`, and counts `verdict`. */
CF_INLINE int cf_forward_tunnel(cf_context *ctx, const struct cf_config *config, const struct cf_tunnel *tunnel,
				const struct cf_next *next, int verdict)
{
	struct cf_eth *eth = cf_data(ctx);
	struct cf_outer *outer = (void *)(eth + 1);
	struct cf_bounce_option *bounce = cf_data(ctx) + (tunnel->bounce_offset & 0x1ff); /* < 512, for the verifier */
	struct cf_hop hop;
	int routed = cf_route(ctx, config, next->host, &hop);

	if (routed == CF_NOT_OURS)
		return cf_pass(ctx);
	if (routed != CF_PASS)
		return cf_drop(ctx, routed);
	if ((void *)(outer + 1) > cf_data_end(ctx) || (void *)(bounce + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_TRUNCATED);
	bounce->stage = next->stage;
	cf_address_outer(&outer->ip, config->address, next->host, config->ttl);
	cf_count(ctx, verdict);
	return cf_transmit(ctx, config, &hop);
}

/* XDP in front of the uplink program: takes the bounced packets that it can send on, and refuses what no program takes.
 * The rest, so also every packet whose destination this host's tables do not have, is left to the uplink program.
 */
CF_INLINE int cf_through_transit(cf_context *ctx)
{
	__u32 zero = 0;
	struct cf_config *self = cf_lookup(ctx, config, &zero);
	struct cf_tunnel tunnel;
	struct cf_flow flow;
	struct cf_next next;
	int verdict, action;

	if (!cf_admit_tunnel(ctx, self, &tunnel, &flow, &action))
		return action;
	if (tunnel.stage == CF_STAGE_NONE || tunnel.stage == CF_STAGE_HOST || tunnel.control)
		return cf_pass(ctx);
	verdict = cf_next_host(ctx, self, tunnel.vni, &flow, tunnel.stage, &next);
	if (verdict >= CF_DROP_FIRST)
		return cf_pass(ctx);
	return cf_forward_tunnel(ctx, self, &tunnel, &next, verdict);
}

#endif
