/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a packet through a bouncer or divider: outer headers are rewritten, the inner packet is not touched. */
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

/* Sends a tunnel packet on: from this host, to `next`. */
CF_INLINE int cf_forward_tunnel(cf_context *ctx, const struct cf_config *config, const struct cf_tunnel *tunnel,
				const struct cf_next *next, const struct cf_hop *hop)
{
	struct cf_eth *eth = cf_data(ctx);
	struct cf_outer *outer = (void *)(eth + 1);
	struct cf_bounce_option *bounce = cf_data(ctx) + (tunnel->bounce_offset & 0x1ff); /* < 512, for the verifier */

	if ((void *)(outer + 1) > cf_data_end(ctx) || (void *)(bounce + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_TRUNCATED);
	bounce->stage = next->stage;
	cf_address_outer(&outer->ip, config->address, next->host, config->ttl);
	return cf_transmit(ctx, config, hop);
}

/* Everything that is not a bounced packet for another host is passed on: the uplink program's, or the host's own. As
 * XDP it comes before the uplink program, as tcx after it; a host with the XDP program has the tcx one too, for what
 * XDP cannot send.
 */
CF_INLINE int cf_through_transit(cf_context *ctx)
{
	__u32 zero = 0;
	struct cf_config *self = cf_lookup(ctx, config, &zero);
	struct cf_address_key key;
	struct cf_tunnel tunnel;
	struct cf_flow flow;
	struct cf_next next;
	struct cf_hop hop;
	int verdict, routed;

	if (!self)
		return cf_pass(ctx);
	verdict = cf_read_tunnel(ctx, self, &tunnel, &flow);
	if (verdict == CF_NOT_OURS)
		return cf_pass(ctx);
	if (verdict != CF_PASS)
		return cf_drop(ctx, verdict);
	if (!cf_lookup(ctx, hosts, &tunnel.source))
		return cf_drop(ctx, CF_DROP_UNKNOWN_HOST);
	if (tunnel.stage == CF_STAGE_NONE || tunnel.control)
		return cf_pass(ctx);
	key.vni = tunnel.vni;
	key.address = flow.destination;
	if (cf_lookup(ctx, endpoints, &key))
		return cf_pass(ctx);
	verdict = cf_next_host(ctx, self, tunnel.vni, &flow, tunnel.stage, &next);
	if (verdict >= CF_DROP_FIRST)
		return cf_drop(ctx, verdict);
	routed = cf_route(ctx, self, next.host, &hop);
	if (routed == CF_NOT_OURS)
		return cf_pass(ctx);
	if (routed != CF_PASS)
		return cf_drop(ctx, routed);
	cf_count(ctx, verdict);
	return cf_forward_tunnel(ctx, self, &tunnel, &next, &hop);
}

#endif
