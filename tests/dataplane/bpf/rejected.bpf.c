/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The verifier refuses this: it reads the packet without comparing with its end. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} other SEC(".maps");

SEC("tcx/ingress")
int unchecked(struct __sk_buff *skb)
{
	__u32 key = 0;

	if (!bpf_map_lookup_elem(&hits, &key) || !bpf_map_lookup_elem(&other, &key))
		return 0;
	return *(__u8 *)(unsigned long)skb->data;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
