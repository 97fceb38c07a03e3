/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcx ingress at the host's uplink: what the fabric sends to this host, for its workloads or as bouncer and divider. */
#include "cloudfabric/platform_tc.h"

#include "cloudfabric/uplink.h"

SEC("tc")
int cf_uplink(struct __sk_buff *skb)
{
	return cf_from_uplink(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
