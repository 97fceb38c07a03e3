/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that takes its time: element 0 of `progress` says that it began, element 1 that it is done. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum { ROUNDS = 1 << 23 }; /* the most that bpf_loop does in a call */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} progress SEC(".maps");

static void mark(__u32 index)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&progress, &index, &now, BPF_ANY);
}

static long nothing(__u64 index, void *context)
{
	return 0;
}

SEC("tcx/ingress")
int take_time(struct __sk_buff *skb)
{
	__u32 i;

	mark(0);
	for (i = 0; i < 8; i++)
		bpf_loop(ROUNDS, nothing, 0, 0);
	mark(1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
