/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bouncer and divider as a tcx program: the wrapper of transit.h for virtual uplinks. */
#include "cloudfabric/platform_tc.h"

#include "cloudfabric/transit.h"

SEC("tc")
int cf_transit_tc(struct __sk_buff *skb)
{
	return cf_through_transit(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
