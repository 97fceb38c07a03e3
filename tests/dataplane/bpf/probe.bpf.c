/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs for the loader's tests: they count what they see, or return what they were given. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "cloudfabric/hash.h"

enum { PROBE_NEXT = -1 }; /* TCX_NEXT: hand on to the next program */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} sized SEC(".maps");

static inline __attribute__((always_inline)) int count(__u32 index)
{
	__u64 *hit = bpf_map_lookup_elem(&hits, &index);

	if (hit)
		__sync_fetch_and_add(hit, 1);
	return PROBE_NEXT;
}

SEC("tcx/ingress")
int count_first(struct __sk_buff *skb)
{
	return count(0);
}

SEC("tcx/ingress")
int count_second(struct __sk_buff *skb)
{
	return count(1);
}

SEC("tcx/ingress")
int tell_ifindex(struct __sk_buff *skb)
{
	__u32 key = 0;

	bpf_map_lookup_elem(&sized, &key);
	return skb->ifindex;
}

SEC("tcx/ingress")
int tell_mark(struct __sk_buff *skb)
{
	return skb->mark;
}

SEC("tcx/ingress")
int grow(struct __sk_buff *skb)
{
	return bpf_skb_change_tail(skb, skb->len + 200, 0);
}

SEC("xdp")
int tell_ingress(struct xdp_md *context)
{
	return context->ingress_ifindex;
}

SEC("xdp")
int pass(struct xdp_md *context)
{
	return XDP_PASS;
}

/* Behind an Ethernet header: a packed 5-tuple. Returns its flow hash. */
SEC("tcx/ingress")
int flow_hash(struct __sk_buff *skb)
{
	struct {
		__be32 source, destination;
		__be16 source_port, destination_port;
		__u8 protocol;
	} __attribute__((packed)) flow;

	if (bpf_skb_load_bytes(skb, 14, &flow, sizeof(flow)))
		return 0;
	return cf_flow_hash(flow.source, flow.destination, flow.source_port, flow.destination_port, flow.protocol);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
