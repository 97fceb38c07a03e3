/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bouncer and divider at the host's uplink, as XDP where the driver runs it, else as tcx behind the uplink program,
 * where segmentation offload survives. The same source is compiled once for each; see transit_tc.bpf.c.
 */
#include "cloudfabric/platform_xdp.h"

#include "cloudfabric/transit.h"

SEC("xdp")
int cf_transit_xdp(struct xdp_md *ctx)
{
	return cf_through_transit(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
