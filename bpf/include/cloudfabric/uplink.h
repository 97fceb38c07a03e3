/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a packet that comes in by the uplink: decapsulated and delivered to a workload, sent on by a bouncer or
 * divider, or sent back when its destination is not here any more.
 */
#ifndef CLOUDFABRIC_UPLINK_H
#define CLOUDFABRIC_UPLINK_H

#include "transit.h"

/* Learns the direct path back. Reads first: a write per packet would cost more than everything else here. */
CF_INLINE void cf_learn(cf_context *ctx, const struct cf_config *config, const struct cf_tunnel *tunnel, __be32 source)
{
	struct cf_address_key key = {.vni = tunnel->vni, .address = source};
	struct cf_host *known = cf_lookup(ctx, learnt, &key);
	struct cf_host host = {.address = tunnel->sender};

	if (known && known->address == host.address)
		return;
	/* The outer source was checked; what the option says was not. */
	if (tunnel->stage && !cf_known_host(ctx, config, host.address))
		return;
	if (!cf_update(ctx, learnt, &key, &host))
		cf_count(ctx, CF_LEARNT);
}

/* A packet of ours came back from a host that does not have its destination: forget that path, if it is still the one
 * in use. */
CF_INLINE void cf_forget_path(cf_context *ctx, const struct cf_tunnel *tunnel, __be32 destination)
{
	struct cf_address_key key = {.vni = tunnel->vni, .address = destination};
	struct cf_host *known = cf_lookup(ctx, learnt, &key);

	if (known && known->address == tunnel->source) {
		cf_delete(ctx, learnt, &key);
		cf_count(ctx, CF_FORGOTTEN);
	}
}

/* Takes the outer headers off and hands the packet to a workload on this host. */
CF_INLINE int cf_decapsulate(cf_context *ctx, const struct cf_config *config, const struct cf_tunnel *tunnel,
			     const struct cf_endpoint *endpoint)
{
	struct cf_eth *eth;

	if (cf_shrink(ctx, tunnel->offset))
		return cf_drop(ctx, CF_DROP_NO_MEMORY);
	eth = cf_data(ctx);
	if ((void *)(eth + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_NO_MEMORY);
	cf_mac_copy(eth->destination, endpoint->mac);
	cf_mac_copy(eth->source, config->gateway_mac);
	eth->type = CF_HTONS(CF_ETHERTYPE_IPV4);
	cf_count_received(cf_lookup(ctx, endpoint_counters, &endpoint->slot), cf_length(ctx));
	cf_count(ctx, CF_DELIVERED);
	return cf_deliver(ctx, endpoint->ifindex);
}

/* Sends a direct-path packet back to the host that sent it, marked with the control bit. Nothing is lost, and this host
 * needs to know nothing about a VPC that it does not carry any more.
 */
CF_INLINE int cf_return_to_sender(cf_context *ctx, const struct cf_config *config, const struct cf_tunnel *tunnel)
{
	struct cf_eth *eth = cf_data(ctx);
	struct cf_outer *outer = (void *)(eth + 1);

	struct cf_hop hop;
	int verdict = cf_route(ctx, config, tunnel->source, &hop);

	if (verdict != CF_PASS)
		return cf_drop(ctx, verdict);
	if ((void *)(outer + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_TRUNCATED);
	outer->geneve.flags |= CF_GENEVE_CONTROL;
	cf_address_outer(&outer->ip, config->address, tunnel->source, config->ttl);
	cf_count(ctx, CF_RETURNED);
	return cf_transmit(ctx, config, &hop);
}

/* Sends a packet that came back again, now through a bouncer of its sender's subnet. */
CF_INLINE int cf_resend(cf_context *ctx, const struct cf_config *config, const struct cf_tunnel *tunnel,
			const struct cf_flow *flow)
{
	struct cf_address_key key = {.vni = tunnel->vni, .address = flow->source};
	struct cf_endpoint *sender = cf_lookup(ctx, endpoints, &key);
	struct cf_interface *interface;
	struct cf_bounce_option *bounce;
	struct cf_outer *outer;
	struct cf_next next;
	struct cf_hop hop;
	struct cf_eth *eth;
	__u32 length;
	int verdict = CF_SENT_BOUNCER, routed;

	interface = sender ? cf_lookup(ctx, interfaces, &sender->ifindex) : 0;
	if (!interface)
		return cf_drop(ctx, CF_DROP_NOT_HERE);
	next.host = cf_pick(ctx, tunnel->vni, interface->segment, flow->hash);
	next.stage = CF_STAGE_BOUNCER;
	if (!next.host)
		return cf_drop(ctx, CF_DROP_NO_BOUNCER);
	if (next.host == config->address)
		verdict = cf_next_host(ctx, config, tunnel->vni, flow, CF_STAGE_BOUNCER, &next);
	if (verdict >= CF_DROP_FIRST)
		return cf_drop(ctx, verdict);

	length = tunnel->inner_length + sizeof(*eth) + sizeof(*bounce);
	if (length + sizeof(*outer) > 0xffff || (!cf_is_gso(ctx) && length + sizeof(*outer) > config->mtu))
		return cf_drop(ctx, CF_DROP_TOO_BIG);
	routed = cf_route(ctx, config, next.host, &hop);
	if (routed != CF_PASS)
		return cf_drop(ctx, routed);
	/* Room opens between the outer Ethernet and IPv4 headers; both outer headers are written anew before it. */
	if (cf_widen(ctx, sizeof(*bounce)))
		return cf_drop(ctx, CF_DROP_NO_MEMORY);
	eth = cf_data(ctx);
	outer = (void *)(eth + 1);
	bounce = (void *)(outer + 1);
	if ((void *)(bounce + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_NO_MEMORY);
	cf_write_outer(outer, config, next.host, tunnel->vni, flow->hash, length, sizeof(*bounce) / 4);
	cf_write_bounce(bounce, config->address, next.stage);
	cf_count(ctx, CF_RESENT);
	cf_count(ctx, verdict);
	return cf_transmit(ctx, config, &hop);
}

CF_INLINE int cf_from_uplink(cf_context *ctx)
{
	__u32 zero = 0;
	struct cf_config *self = cf_lookup(ctx, config, &zero);
	struct cf_endpoint *endpoint;
	struct cf_address_key key;
	struct cf_tunnel tunnel;
	struct cf_flow flow;
	struct cf_next next;
	int verdict, action;

	if (!cf_admit_tunnel(ctx, self, &tunnel, &flow, &action))
		return action;
	key.vni = tunnel.vni;
	key.address = flow.destination;
	endpoint = cf_lookup(ctx, endpoints, &key);
	if (tunnel.control)
		cf_forget_path(ctx, &tunnel, flow.destination);
	else if (endpoint)
		cf_learn(ctx, self, &tunnel, flow.source);
	if (endpoint)
		return cf_decapsulate(ctx, self, &tunnel, endpoint);
	if (tunnel.control) /* direct-path packets carry no option, so what came back carries none */
		return tunnel.offset == sizeof(struct cf_eth) + sizeof(struct cf_outer)
			       ? cf_resend(ctx, self, &tunnel, &flow)
			       : cf_drop(ctx, CF_DROP_BAD_GENEVE);
	if (tunnel.stage == CF_STAGE_NONE)
		return cf_return_to_sender(ctx, self, &tunnel);
	verdict = cf_next_host(ctx, self, tunnel.vni, &flow, tunnel.stage, &next);
	if (verdict >= CF_DROP_FIRST)
		return cf_drop(ctx, verdict);
	return cf_forward_tunnel(ctx, self, &tunnel, &next, verdict);
}

#endif
