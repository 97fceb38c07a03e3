/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps that all programs of a host share. The loader pins them by name and sets max_entries from the host's
 * options; the numbers here are the defaults.
 */
#ifndef CLOUDFABRIC_MAPS_H
#define CLOUDFABRIC_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "types.h"
#include "verdicts.h"

#define CF_MAP(map_name, map_type, map_key, map_value, entries, flags) \
	struct {                                                       \
		__uint(type, map_type);                                \
		__uint(max_entries, entries);                          \
		__uint(map_flags, flags);                              \
		__type(key, map_key);                                  \
		__type(value, map_value);                              \
	} map_name SEC(".maps")

CF_MAP(config, BPF_MAP_TYPE_ARRAY, __u32, struct cf_config, 1, 0);
CF_MAP(endpoints, BPF_MAP_TYPE_HASH, struct cf_address_key, struct cf_endpoint, 4096, 0);
CF_MAP(interfaces, BPF_MAP_TYPE_HASH, __u32, struct cf_interface, 4096, 0);
CF_MAP(members, BPF_MAP_TYPE_HASH, struct cf_address_key, struct cf_host, 1048576, BPF_F_NO_PREALLOC);
CF_MAP(learnt, BPF_MAP_TYPE_LRU_HASH, struct cf_address_key, struct cf_host, 65536, 0);
CF_MAP(hosts, BPF_MAP_TYPE_HASH, __be32, struct cf_peer, 65536, BPF_F_NO_PREALLOC);
CF_MAP(next_hops, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct cf_next_hop, CF_NEXT_HOPS, 0);
CF_MAP(routes, BPF_MAP_TYPE_LPM_TRIE, struct cf_route_key, struct cf_route, 65536, BPF_F_NO_PREALLOC);
CF_MAP(groups, BPF_MAP_TYPE_HASH, struct cf_group_key, struct cf_group, 65536, BPF_F_NO_PREALLOC);
CF_MAP(endpoint_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct cf_counter, 4096, 0);
CF_MAP(verdicts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, CF_VERDICT_COUNT, 0);

#define cf_lookup(ctx, map, key)	bpf_map_lookup_elem(&map, key)
#define cf_update(ctx, map, key, value) bpf_map_update_elem(&map, key, value, BPF_ANY)
#define cf_delete(ctx, map, key)	bpf_map_delete_elem(&map, key)

static inline __attribute__((always_inline)) void cf_count_verdict(__u32 verdict)
{
	__u64 *count = bpf_map_lookup_elem(&verdicts, &verdict);

	if (count)
		(*count)++;
}

static inline __attribute__((always_inline)) void cf_count_sent(struct cf_counter *counter, __u32 bytes)
{
	if (counter) {
		counter->tx_packets++;
		counter->tx_bytes += bytes;
	}
}

static inline __attribute__((always_inline)) void cf_count_received(struct cf_counter *counter, __u32 bytes)
{
	if (counter) {
		counter->rx_packets++;
		counter->rx_bytes += bytes;
	}
}

#define cf_count(ctx, verdict) cf_count_verdict(verdict)

#endif
