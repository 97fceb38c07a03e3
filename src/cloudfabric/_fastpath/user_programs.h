/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of a host in user space, and the tables that they work on. */
#ifndef CLOUDFABRIC_USER_PROGRAMS_H
#define CLOUDFABRIC_USER_PROGRAMS_H

#include "platform_user.h"

#include "cloudfabric/endpoint.h"
#include "cloudfabric/uplink.h"

static inline void cf_user_host_free(struct cf_user_host *host)
{
	cf_user_map_free(&host->config);
	cf_user_map_free(&host->endpoints);
	cf_user_map_free(&host->interfaces);
	cf_user_map_free(&host->members);
	cf_user_map_free(&host->learnt);
	cf_user_map_free(&host->hosts);
	cf_user_map_free(&host->routes);
	cf_user_map_free(&host->groups);
	cf_user_map_free(&host->endpoint_counters);
	cf_user_map_free(&host->verdicts);
}

static inline int cf_user_host_init(struct cf_user_host *host, const __u32 *sizes)
{
	int error = cf_user_map_init(&host->config, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct cf_config), 1);

#define CF_INIT(map, type, key, value, index) \
	error = error ? error : cf_user_map_init(&host->map, type, sizeof(key), sizeof(value), sizes[index])
	CF_INIT(endpoints, BPF_MAP_TYPE_HASH, struct cf_address_key, struct cf_endpoint, 0);
	CF_INIT(interfaces, BPF_MAP_TYPE_HASH, __u32, struct cf_interface, 1);
	CF_INIT(members, BPF_MAP_TYPE_HASH, struct cf_address_key, struct cf_host, 2);
	CF_INIT(learnt, BPF_MAP_TYPE_LRU_HASH, struct cf_address_key, struct cf_host, 3);
	CF_INIT(hosts, BPF_MAP_TYPE_HASH, __be32, struct cf_peer, 4);
	CF_INIT(routes, BPF_MAP_TYPE_LPM_TRIE, struct cf_route_key, struct cf_route, 5);
	CF_INIT(groups, BPF_MAP_TYPE_HASH, struct cf_group_key, struct cf_group, 6);
	CF_INIT(endpoint_counters, BPF_MAP_TYPE_ARRAY, __u32, struct cf_counter, 7);
#undef CF_INIT
	return error ? error
		     : cf_user_map_init(&host->verdicts, BPF_MAP_TYPE_ARRAY, 4, sizeof(__u64), CF_VERDICT_COUNT);
}

enum cf_user_program { CF_USER_ENDPOINT, CF_USER_UPLINK, CF_USER_TRANSIT };

/* Runs one program on the frame in the buffer. CF_USER_TRANSIT is what XDP does in front of CF_USER_UPLINK. */
static inline int cf_user_run(cf_context *ctx, int program)
{
	ctx->counted = 0;
	ctx->out_ifindex = 0;
	ctx->out_host = 0;
	if (program == CF_USER_ENDPOINT)
		return cf_from_endpoint(ctx);
	if (program == CF_USER_UPLINK)
		return cf_from_uplink(ctx);
	return cf_through_transit(ctx);
}

#endif
