/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gives a program under test a fresh packet again and again; see rig.py. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum {
	RIG_TC_DROP = 2,       /* TC_ACT_SHOT */
	RIG_TC_NEXT = -1,      /* TCX_NEXT */
	RIG_HEADER_WORDS = 19, /* outer headers with a bounce option, behind the first two bytes of the frame */
};

/* The start of a frame. Words lie as in the frame's IPv4 headers, so that no load spans two of these stores. */
struct rig_header {
	__u16 first;
	__u16 reserved;
	__u32 words[RIG_HEADER_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rig_header);
} original SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

/* Sends a copy of the packet to the egress programs of its interface. */
SEC("tc")
int rig_send_copy(struct __sk_buff *skb)
{
	bpf_clone_redirect(skb, skb->ifindex, 0);
	return RIG_TC_DROP;
}

/* Gives a copy memory of its own, before the program that is timed. */
SEC("tc")
int rig_unshare(struct __sk_buff *skb)
{
	bpf_skb_pull_data(skb, 0);
	return RIG_TC_NEXT;
}

SEC("tc")
int rig_null_tc(struct __sk_buff *skb)
{
	return RIG_TC_DROP;
}

SEC("xdp")
int rig_null_xdp(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* The low half of jiffies, the clock by which entries of `hosts` expire. */
SEC("tc")
int rig_jiffies(struct __sk_buff *skb)
{
	return (int)bpf_jiffies64();
}

/* Writes the original headers over what an earlier run left of them, then becomes the program that is timed. */
SEC("xdp")
int rig_restore(struct xdp_md *ctx)
{
	void *start = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct rig_header *header;
	__u32 zero = 0, i;

	header = bpf_map_lookup_elem(&original, &zero);
	if (!header || start + sizeof(*header) - sizeof(header->reserved) > end)
		return XDP_ABORTED;
	*(__u16 *)start = header->first;
#pragma unroll
	for (i = 0; i < RIG_HEADER_WORDS; i++)
		*(__u32 *)(start + sizeof(header->first) + 4 * i) = header->words[i];
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
