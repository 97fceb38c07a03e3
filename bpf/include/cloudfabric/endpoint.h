/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a packet out of a workload: checked, then delivered on this host or encapsulated to another one.
 *
 * A platform header, included before this one, gives cf_context and the operations on it (platform_tc.h in the kernel,
 * the Cython core's in user space).
 */
#ifndef CLOUDFABRIC_ENDPOINT_H
#define CLOUDFABRIC_ENDPOINT_H

#include "forward.h"
#include "geneve.h"

enum { CF_PULL_ENDPOINT = sizeof(struct cf_eth) + 60 + 4 }; /* longest IPv4 header, and ports */

/* Answers an ARP request for any address but the asker's own: hosts route, so the fabric is behind every address. */
CF_INLINE int cf_answer_arp(cf_context *ctx, const struct cf_config *config, const struct cf_interface *interface)
{
	struct cf_eth *eth;
	struct cf_arp *arp;
	__be32 asked;

	cf_pull(ctx, sizeof(*eth) + sizeof(*arp));
	eth = cf_data(ctx);
	arp = (void *)(eth + 1);
	if ((void *)(arp + 1) > cf_data_end(ctx))
		return cf_drop(ctx, CF_DROP_TRUNCATED);
	if (arp->hardware != CF_HTONS(1) || arp->protocol != CF_HTONS(CF_ETHERTYPE_IPV4) || arp->hardware_length != 6 ||
	    arp->protocol_length != 4 || arp->opcode != CF_HTONS(CF_ARP_REQUEST))
		return cf_drop(ctx, CF_DROP_BAD_ARP);
	if (!cf_mac_equal(eth->source, interface->mac) || !cf_mac_equal(arp->sender_mac, interface->mac))
		return cf_drop(ctx, CF_DROP_SPOOFED_MAC);
	/* A probe (RFC 5227) has no sender address. */
	if (arp->sender_address && arp->sender_address != interface->address)
		return cf_drop(ctx, CF_DROP_SPOOFED_IP);
	asked = arp->target_address;
	if (asked == interface->address)
		return cf_drop(ctx,
			       CF_DROP_BAD_ARP); /* gratuitous, or a probe for its own address: nobody else has it */

	cf_mac_copy(eth->destination, interface->mac);
	cf_mac_copy(eth->source, config->gateway_mac);
	arp->opcode = CF_HTONS(CF_ARP_REPLY_OPCODE);
	arp->target_address = arp->sender_address;
	cf_mac_copy(arp->target_mac, interface->mac);
	arp->sender_address = asked;
	cf_mac_copy(arp->sender_mac, config->gateway_mac);
	cf_count(ctx, CF_ARP_REPLY);
	return cf_reply(ctx);
}

/* Decrements the TTL of a packet that leaves its subnet, with the incremental checksum of RFC 1624. */
CF_INLINE int cf_route_ttl(struct cf_ipv4 *ip)
{
	__u32 sum;

	if (ip->ttl <= 1)
		return CF_DROP_TTL;
	ip->ttl--;
	sum = (__u32)ip->checksum + CF_HTONS(0x0100);
	ip->checksum = (__u16)(sum + (sum >> 16));
	return CF_PASS;
}

/* A packet that a workload sent and that goes to another host. */
struct cf_departure {
	struct cf_counter *counter; /* of the endpoint */
	__u32 vni;
	__u32 hash;
	struct cf_next next;
	int verdict; /* to count once it is on its way */
};

/* Puts outer headers before the frame and sends it. The frame keeps its Ethernet header inside the tunnel. */
CF_INLINE int cf_encapsulate(cf_context *ctx, const struct cf_config *config, const struct cf_departure *departure)
{
	const struct cf_next *next = &departure->next;
	__u32 bytes = cf_length(ctx), overhead = next->stage ? CF_OVERHEAD_BOUNCED : CF_OVERHEAD_DIRECT;
	__u32 length = bytes - sizeof(struct cf_eth) + overhead;
	struct cf_eth *outer_eth, *inner_eth;
	struct cf_outer *outer;
	struct cf_hop hop;
	int verdict;

	if (length > 0xffff || (!cf_is_gso(ctx) && length > config->mtu))
		return cf_refuse(ctx, departure->counter, CF_DROP_TOO_BIG);
	verdict = cf_route(ctx, config, next->host, &hop);
	if (verdict != CF_PASS)
		return cf_refuse(ctx, departure->counter, verdict);
	if (cf_grow(ctx, overhead))
		return cf_refuse(ctx, departure->counter, CF_DROP_NO_MEMORY);
	outer_eth = cf_data(ctx);
	outer = (void *)(outer_eth + 1);
	if (next->stage) {
		struct cf_bounce_option *bounce = (void *)(outer + 1);

		inner_eth = (void *)(bounce + 1);
		if ((void *)(inner_eth + 1) > cf_data_end(ctx))
			return cf_refuse(ctx, departure->counter, CF_DROP_NO_MEMORY);
		cf_write_bounce(bounce, config->address, next->stage);
	} else {
		inner_eth = (void *)(outer + 1);
		if ((void *)(inner_eth + 1) > cf_data_end(ctx))
			return cf_refuse(ctx, departure->counter, CF_DROP_NO_MEMORY);
	}
	cf_macs_copy(inner_eth, outer_eth);
	inner_eth->type = outer_eth->type;
	cf_write_outer(outer, config, next->host, departure->vni, departure->hash, length - sizeof(*outer),
		       next->stage ? sizeof(struct cf_bounce_option) / 4 : 0);
	cf_count_sent(departure->counter, bytes);
	cf_count(ctx, departure->verdict);
	return cf_transmit(ctx, config, &hop);
}

CF_INLINE int cf_from_endpoint(cf_context *ctx)
{
	__u32 zero = 0, ifindex = cf_ifindex(ctx), bytes = cf_length(ctx);
	struct cf_config *self = cf_lookup(ctx, config, &zero);
	struct cf_interface *interface;
	struct cf_address_key key;
	struct cf_endpoint *local;
	struct cf_counter *counter;
	struct cf_departure departure;
	struct cf_flow flow;
	struct cf_host *path;
	struct cf_ipv4 *ip;
	struct cf_eth *eth;
	int verdict;

	if (!self)
		return cf_drop(ctx, CF_DROP_NO_CONFIG);
	interface = cf_lookup(ctx, interfaces, &ifindex);
	if (!interface)
		return cf_drop(ctx, CF_DROP_NO_INTERFACE);
	counter = cf_lookup(ctx, endpoint_counters, &interface->slot);

	cf_pull(ctx, sizeof(*eth) + sizeof(*ip) + 4);
	eth = cf_data(ctx);
	ip = (void *)(eth + 1);
	if ((void *)(eth + 1) > cf_data_end(ctx))
		return cf_refuse(ctx, counter, CF_DROP_TRUNCATED);
	if (eth->type == CF_HTONS(CF_ETHERTYPE_ARP))
		return cf_answer_arp(ctx, self, interface);
	if (eth->type != CF_HTONS(CF_ETHERTYPE_IPV4))
		return cf_refuse(ctx, counter, CF_DROP_NOT_IPV4);
	if (!cf_mac_equal(eth->source, interface->mac))
		return cf_refuse(ctx, counter, CF_DROP_SPOOFED_MAC);
	verdict = cf_parse_ipv4(ip, cf_data_end(ctx), bytes - sizeof(*eth), &flow);
	if (verdict == CF_DROP_TRUNCATED && cf_pull(ctx, CF_PULL_ENDPOINT)) { /* IP options */
		eth = cf_data(ctx);
		ip = (void *)(eth + 1);
		verdict = cf_parse_ipv4(ip, cf_data_end(ctx), bytes - sizeof(*eth), &flow);
	}
	if (verdict != CF_PASS)
		return cf_refuse(ctx, counter, verdict);
	if (flow.source != interface->address)
		return cf_refuse(ctx, counter, CF_DROP_SPOOFED_IP);
	if (cf_is_multicast(flow.destination) || eth->destination[0] & 1)
		return cf_refuse(ctx, counter, CF_DROP_MULTICAST);
	if ((flow.source ^ flow.destination) & interface->netmask) {
		verdict = cf_route_ttl(ip);
		if (verdict != CF_PASS)
			return cf_refuse(ctx, counter, verdict);
	}

	key.vni = interface->vni;
	key.address = flow.destination;
	local = cf_lookup(ctx, endpoints, &key);
	if (local) {
		cf_mac_copy(eth->destination, local->mac);
		cf_mac_copy(eth->source, self->gateway_mac);
		cf_count_sent(counter, bytes);
		cf_count_received(cf_lookup(ctx, endpoint_counters, &local->slot), bytes);
		cf_count(ctx, CF_SENT_LOCAL);
		return cf_deliver(ctx, local->ifindex);
	}

	departure.counter = counter;
	departure.vni = interface->vni;
	departure.hash = flow.hash;
	path = cf_lookup(ctx, learnt, &key);
	if (path) {
		departure.next.host = path->address;
		departure.next.stage = CF_STAGE_NONE;
		departure.verdict = CF_SENT_DIRECT;
	} else {
		departure.next.host = cf_pick(ctx, interface->vni, interface->segment, flow.hash);
		departure.next.stage = CF_STAGE_BOUNCER;
		departure.verdict = CF_SENT_BOUNCER;
		if (!departure.next.host)
			return cf_refuse(ctx, counter, CF_DROP_NO_BOUNCER);
		if (departure.next.host == self->address)
			departure.verdict =
				cf_next_host(ctx, self, interface->vni, &flow, CF_STAGE_BOUNCER, &departure.next);
		if (departure.verdict >= CF_DROP_FIRST)
			return cf_refuse(ctx, counter, departure.verdict);
	}
	return cf_encapsulate(ctx, self, &departure);
}

#endif
