/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who gets a packet next: the duties of a bouncer and of a divider, and nothing else.
 *
 * A host may be bouncer, divider and home of the sender at once. Instead of sending a packet to itself it takes the
 * next step at once, so the stages only ever go up and a packet meets at most three hosts before its own.
 */
#ifndef CLOUDFABRIC_FORWARD_H
#define CLOUDFABRIC_FORWARD_H

#include "parse.h"

struct cf_next {
	__be32 host;
	__u8 stage; /* enum cf_stage, for the bounce option */
};

/* Picks a host of a group; 0 when the group is unknown here or empty. */
CF_INLINE __be32 cf_pick(cf_context *ctx, __u32 vni, __u32 segment, __u32 hash)
{
	struct cf_group_key key = {.vni = vni, .segment = segment};
	struct cf_group *group = cf_lookup(ctx, groups, &key);

	return group ? group->host[cf_maglev_slot(hash)] : 0;
}

/* A bouncer's table: the host of an address. */
CF_INLINE int cf_find_member(cf_context *ctx, const struct cf_config *config, __u32 vni, __be32 destination,
			     struct cf_next *next)
{
	struct cf_address_key key = {.vni = vni, .address = destination};
	struct cf_host *member = cf_lookup(ctx, members, &key);

	if (!member)
		return CF_DROP_UNKNOWN_ADDRESS;
	if (member->address == config->address)
		return CF_DROP_NOT_HERE; /* the caller has seen that it is not among this host's endpoints */
	next->host = member->address;
	next->stage = CF_STAGE_HOST;
	return CF_BOUNCER_TO_HOST;
}

/* Decides for a packet that is at `stage` on this host. Returns the verdict to count; `next` is set when it forwards.
 */
CF_INLINE int cf_next_host(cf_context *ctx, const struct cf_config *config, __u32 vni, const struct cf_flow *flow,
			   __u8 stage, struct cf_next *next)
{
	struct cf_route_key route_key = {.prefixlen = 64, .vni = CF_HTONL(vni), .address = flow->destination};
	struct cf_route *route;
	int verdict;

	if (stage == CF_STAGE_BOUNCER || stage == CF_STAGE_SUBNET_BOUNCER) {
		verdict = cf_find_member(ctx, config, vni, flow->destination, next);
		if (verdict != CF_DROP_UNKNOWN_ADDRESS || stage == CF_STAGE_SUBNET_BOUNCER)
			return verdict;
		next->host = cf_pick(ctx, vni, CF_GROUP_DIVIDERS, flow->hash);
		next->stage = CF_STAGE_DIVIDER;
		if (!next->host)
			return CF_DROP_NO_DIVIDER;
		if (next->host != config->address)
			return CF_BOUNCER_TO_DIVIDER;
	} else if (stage != CF_STAGE_DIVIDER) {
		return CF_DROP_NOT_HERE;
	}

	route = cf_lookup(ctx, routes, &route_key);
	if (!route)
		return CF_DROP_NO_ROUTE;
	next->host = cf_pick(ctx, vni, route->segment, flow->hash);
	next->stage = CF_STAGE_SUBNET_BOUNCER;
	if (!next->host)
		return CF_DROP_NO_BOUNCER;
	if (next->host != config->address)
		return CF_DIVIDER_TO_BOUNCER;
	return cf_find_member(ctx, config, vni, flow->destination, next);
}

#endif
