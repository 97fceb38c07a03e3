/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bouncer and divider as XDP at the host's uplink, in front of the uplink program, where the driver runs it. */
#include "cloudfabric/platform_xdp.h"

#include "cloudfabric/transit.h"

SEC("xdp")
int cf_transit_xdp(struct xdp_md *ctx)
{
	return cf_through_transit(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
