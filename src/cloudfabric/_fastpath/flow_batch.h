/* SPDX-License-Identifier: Apache-2.0 */
/* The flow hash over a buffer of packed 5-tuples, as they stand in packets. */
#ifndef CLOUDFABRIC_FLOW_BATCH_H
#define CLOUDFABRIC_FLOW_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cloudfabric/hash.h"

enum { CF_FLOW_SIZE = 13 };

static void cf_flow_hash_many(const char *flows, size_t count, uint32_t *hashes)
{
	struct {
		__be32 source, destination;
		__be16 source_port, destination_port;
	} flow;
	size_t i;

	for (i = 0; i < count; i++, flows += CF_FLOW_SIZE) {
		memcpy(&flow, flows, 12);
		hashes[i] = cf_flow_hash(flow.source, flow.destination, flow.source_port, flow.destination_port,
					 (__u8)flows[12]);
	}
}

#endif
