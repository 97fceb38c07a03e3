/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcx ingress at the host's side of a workload's interface: what the workload sends. */
#include "cloudfabric/platform_tc.h"

#include "cloudfabric/endpoint.h"

SEC("tc")
int cf_endpoint(struct __sk_buff *skb)
{
	return cf_from_endpoint(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
