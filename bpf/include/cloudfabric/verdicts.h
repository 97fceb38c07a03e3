/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What became of a packet: one enum for programs, metrics and tools, one per-CPU counter per value.
 *
 * The build turns this file into cloudfabric._fastpath.verdicts; the text behind `:` is what people read.
 */
#ifndef CLOUDFABRIC_VERDICTS_H
#define CLOUDFABRIC_VERDICTS_H

enum cf_verdict {
	CF_PASS = 0,		      /* pass: not the fabric's, left to the host's own stack */
	CF_SENT_LOCAL = 1,	      /* forward: delivered on the same host */
	CF_SENT_DIRECT = 2,	      /* forward: encapsulated to the learnt host */
	CF_SENT_BOUNCER = 3,	      /* forward: encapsulated to a bouncer of the sender's subnet */
	CF_BOUNCER_TO_HOST = 4,	      /* forward: bouncer found the destination in its subnet's table */
	CF_BOUNCER_TO_DIVIDER = 5,    /* forward: bouncer sent it on to a divider of the VPC */
	CF_DIVIDER_TO_BOUNCER = 6,    /* forward: divider sent it on to a bouncer of the destination's subnet */
	CF_DELIVERED = 7,	      /* forward: decapsulated and delivered to a workload */
	CF_RETURNED = 8,	      /* forward: destination is not here any more, sent back to its sender */
	CF_RESENT = 9,		      /* forward: came back, learnt entry forgotten, sent again through a bouncer */
	CF_ARP_REPLY = 10,	      /* forward: ARP request answered on this host */
	CF_LEARNT = 11,		      /* event: a direct path was learnt or changed */
	CF_FORGOTTEN = 12,	      /* event: a direct path was invalidated */
	CF_DROP_NO_INTERFACE = 13,    /* drop: interface is not known to the agent */
	CF_DROP_NO_CONFIG = 14,	      /* drop: host is not configured */
	CF_DROP_TRUNCATED = 15,	      /* drop: frame ends inside a header */
	CF_DROP_NOT_IPV4 = 16,	      /* drop: neither IPv4 nor ARP */
	CF_DROP_BAD_IPV4 = 17,	      /* drop: malformed IPv4 header */
	CF_DROP_BAD_ARP = 18,	      /* drop: malformed or unsolicited ARP */
	CF_DROP_SPOOFED_MAC = 19,     /* drop: source MAC is not the endpoint's */
	CF_DROP_SPOOFED_IP = 20,      /* drop: source address is not the endpoint's */
	CF_DROP_MULTICAST = 21,	      /* drop: broadcast or multicast does not cross the fabric */
	CF_DROP_TTL = 22,	      /* drop: inner TTL ran out at the subnet's router */
	CF_DROP_NO_BOUNCER = 23,      /* drop: the sender's subnet has no bouncer */
	CF_DROP_NO_DIVIDER = 24,      /* drop: the VPC has no divider */
	CF_DROP_NO_ROUTE = 25,	      /* drop: no subnet of the VPC holds the destination */
	CF_DROP_UNKNOWN_ADDRESS = 26, /* drop: no endpoint of the subnet has the destination address */
	CF_DROP_NOT_HERE = 27,	      /* drop: a bouncer sent it here, but the endpoint is not on this host */
	CF_DROP_UNKNOWN_HOST = 28,    /* drop: outer source is not a host of this fabric */
	CF_DROP_BAD_OUTER = 29,	      /* drop: malformed outer header, or a fragment of one */
	CF_DROP_BAD_GENEVE = 30,      /* drop: malformed Geneve header, unknown version or protocol */
	CF_DROP_CRITICAL_OPTION = 31, /* drop: Geneve option marked critical that this version does not know */
	CF_DROP_BAD_INNER = 32,	      /* drop: malformed packet inside the tunnel */
	CF_DROP_UNROUTABLE = 33,      /* drop: the underlay has no route to the next host */
	CF_DROP_NO_MEMORY = 34,	      /* drop: the kernel could not grow or shrink the packet */
	CF_DROP_TOO_BIG = 35,	      /* drop: does not fit the underlay's MTU once encapsulated */
	CF_VERDICT_COUNT = 36,
	CF_DROP_FIRST = CF_DROP_NO_INTERFACE, /* every later verdict is a drop */
};

#endif
