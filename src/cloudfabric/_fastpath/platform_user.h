/* SPDX-License-Identifier: Apache-2.0 */
/* Packet operations of the user-space data plane: the twin of platform_tc.h, over a frame in a buffer.
 *
 * Where the kernel program would redirect, this one writes down what it decided: an action, the interface or host it
 * goes to, and every verdict that it counted on the way.
 */
#ifndef CLOUDFABRIC_PLATFORM_USER_H
#define CLOUDFABRIC_PLATFORM_USER_H

#include "user_map.h"

enum cf_user_action { CF_USER_PASS, CF_USER_DROP, CF_USER_DELIVER, CF_USER_REPLY, CF_USER_TRANSMIT };

enum { CF_USER_HEADROOM = 128, CF_USER_MAX_FRAME = 65535 + 14, CF_USER_MAX_VERDICTS = 8 };

/* All maps of one host; the names are those of maps.h. */
struct cf_user_host {
	struct cf_user_map config, endpoints, interfaces, members, learnt, hosts, routes, groups, endpoint_counters,
		verdicts;
};

typedef struct cf_user_context {
	struct cf_user_host *host;
	unsigned char *data, *data_end;
	__u32 ifindex;
	__u32 out_ifindex;
	__be32 out_host;
	__u32 counted;
	__u32 verdicts[CF_USER_MAX_VERDICTS];
	int action;
	unsigned char buffer[CF_USER_HEADROOM + CF_USER_MAX_FRAME];
} cf_context;

#include "cloudfabric/parse.h"

struct cf_hop {
	__be32 host;
};

#define cf_lookup(ctx, map, key)	cf_user_map_get(&(ctx)->host->map, key, 0)
#define cf_update(ctx, map, key, value) cf_user_map_set(&(ctx)->host->map, key, value, BPF_ANY)
#define cf_delete(ctx, map, key)	cf_user_map_delete(&(ctx)->host->map, key)

static inline void cf_count(cf_context *ctx, __u32 verdict)
{
	__u64 *count = cf_user_map_get(&ctx->host->verdicts, &verdict, 0);

	if (count)
		(*count)++;
	if (ctx->counted < CF_USER_MAX_VERDICTS)
		ctx->verdicts[ctx->counted++] = verdict;
}

static inline void cf_count_sent(struct cf_counter *counter, __u32 bytes)
{
	if (counter) {
		counter->tx_packets++;
		counter->tx_bytes += bytes;
	}
}

static inline void cf_count_received(struct cf_counter *counter, __u32 bytes)
{
	if (counter) {
		counter->rx_packets++;
		counter->rx_bytes += bytes;
	}
}

static inline void *cf_data(cf_context *ctx)
{
	return ctx->data;
}

static inline void *cf_data_end(cf_context *ctx)
{
	return ctx->data_end;
}

static inline __u32 cf_length(cf_context *ctx)
{
	return ctx->data_end - ctx->data;
}

static inline __u32 cf_ifindex(cf_context *ctx)
{
	return ctx->ifindex;
}

static inline int cf_is_gso(cf_context *ctx)
{
	(void)ctx;
	return 0;
}

static inline int cf_pull(cf_context *ctx, __u32 length)
{
	(void)ctx;
	(void)length;
	return 0;
}

static inline int cf_pass(cf_context *ctx)
{
	return ctx->action = CF_USER_PASS;
}

static inline int cf_drop(cf_context *ctx, int verdict)
{
	cf_count(ctx, verdict);
	return ctx->action = CF_USER_DROP;
}

static inline int cf_refuse(cf_context *ctx, struct cf_counter *counter, int verdict)
{
	if (counter)
		counter->dropped++;
	return cf_drop(ctx, verdict);
}

static inline int cf_widen(cf_context *ctx, __u32 length)
{
	if (ctx->data - ctx->buffer < length || cf_length(ctx) < sizeof(struct cf_eth))
		return CF_DROP_NO_MEMORY;
	memmove(ctx->data - length, ctx->data, sizeof(struct cf_eth));
	ctx->data -= length;
	return CF_PASS;
}

static inline int cf_grow(cf_context *ctx, __u32 overhead)
{
	return cf_widen(ctx, overhead);
}

static inline int cf_shrink(cf_context *ctx, __u32 length)
{
	if (cf_length(ctx) < sizeof(struct cf_eth) + length)
		return CF_DROP_NO_MEMORY;
	memmove(ctx->data + length, ctx->data, sizeof(struct cf_eth));
	ctx->data += length;
	return CF_PASS;
}

static inline int cf_deliver(cf_context *ctx, __u32 ifindex)
{
	ctx->out_ifindex = ifindex;
	return ctx->action = CF_USER_DELIVER;
}

static inline int cf_reply(cf_context *ctx)
{
	ctx->out_ifindex = ctx->ifindex;
	return ctx->action = CF_USER_REPLY;
}

static inline int cf_known_host(cf_context *ctx, const struct cf_config *config, __be32 address)
{
	(void)config;
	return cf_lookup(ctx, hosts, &address) != NULL;
}

static inline int cf_route(cf_context *ctx, const struct cf_config *config, __be32 host, struct cf_hop *hop)
{
	hop->host = host;
	return cf_known_host(ctx, config, host) ? CF_PASS : CF_DROP_UNKNOWN_HOST;
}

/* Layer 2 of the underlay is not simulated: the MAC addresses are zero. */
static inline int cf_transmit(cf_context *ctx, const struct cf_config *config, const struct cf_hop *hop)
{
	struct cf_eth *eth = cf_data(ctx);

	memset(eth, 0, sizeof(*eth));
	eth->type = CF_HTONS(CF_ETHERTYPE_IPV4);
	ctx->out_ifindex = config->uplink;
	ctx->out_host = hop->host;
	return ctx->action = CF_USER_TRANSMIT;
}

#endif
