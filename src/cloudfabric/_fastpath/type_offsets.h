/* SPDX-License-Identifier: Apache-2.0 */
/* Where the C compiler of the Cython core puts the fields of types.h. */
#ifndef CLOUDFABRIC_TYPE_OFFSETS_H
#define CLOUDFABRIC_TYPE_OFFSETS_H

#include <stddef.h>

#include "cloudfabric/types.h"

struct cf_type_field {
	const char *type;
	const char *field;
	size_t offset;
	size_t size;
	size_t type_size;
};

/* clang-format off */
#define CF_FIELD(type, field) \
	{ #type, #field, offsetof(struct type, field), sizeof(((struct type *)0)->field), sizeof(struct type) }

static const struct cf_type_field cf_type_fields[] = {
	CF_FIELD(cf_address_key, vni),
	CF_FIELD(cf_address_key, address),
	CF_FIELD(cf_endpoint, ifindex),
	CF_FIELD(cf_endpoint, slot),
	CF_FIELD(cf_endpoint, mac),
	CF_FIELD(cf_endpoint, flags),
	CF_FIELD(cf_interface, vni),
	CF_FIELD(cf_interface, address),
	CF_FIELD(cf_interface, netmask),
	CF_FIELD(cf_interface, segment),
	CF_FIELD(cf_interface, slot),
	CF_FIELD(cf_interface, mac),
	CF_FIELD(cf_interface, flags),
	CF_FIELD(cf_host, address),
	CF_FIELD(cf_peer, flags),
	CF_FIELD(cf_next_hop, address),
	CF_FIELD(cf_next_hop, generation),
	CF_FIELD(cf_next_hop, expires),
	CF_FIELD(cf_next_hop, ifindex),
	CF_FIELD(cf_next_hop, next_hop_mac),
	CF_FIELD(cf_next_hop, own_mac),
	CF_FIELD(cf_next_hop, reserved),
	CF_FIELD(cf_route_key, prefixlen),
	CF_FIELD(cf_route_key, vni),
	CF_FIELD(cf_route_key, address),
	CF_FIELD(cf_route, segment),
	CF_FIELD(cf_group_key, vni),
	CF_FIELD(cf_group_key, segment),
	CF_FIELD(cf_group, host),
	CF_FIELD(cf_config, address),
	CF_FIELD(cf_config, uplink),
	CF_FIELD(cf_config, mtu),
	CF_FIELD(cf_config, generation),
	CF_FIELD(cf_config, gateway_mac),
	CF_FIELD(cf_config, ttl),
	CF_FIELD(cf_config, reserved),
	CF_FIELD(cf_counter, tx_packets),
	CF_FIELD(cf_counter, tx_bytes),
	CF_FIELD(cf_counter, rx_packets),
	CF_FIELD(cf_counter, rx_bytes),
	CF_FIELD(cf_counter, dropped),
};
/* clang-format on */

enum { CF_TYPE_FIELD_COUNT = sizeof(cf_type_fields) / sizeof(cf_type_fields[0]) };

#endif
