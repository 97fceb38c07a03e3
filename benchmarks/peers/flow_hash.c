/* SPDX-License-Identifier: Apache-2.0 */
/* The C peer of bench_hashing.py: the flow hash over an array of packed 5-tuples.
 *
 * Usage: flow_hash FLOWS. For every line on standard input it hashes all flows and prints the nanoseconds per flow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cloudfabric/hash.h"

struct flow {
	__be32 source, destination;
	__be16 source_port, destination_port;
	__u8 protocol;
} __attribute__((packed));

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0, i;
	struct flow *flows = malloc((count + 1) * sizeof(*flows));
	__u32 *hashes = malloc((count + 1) * sizeof(*hashes)), sum = 0;
	char line[16];

	if (!count || !flows || !hashes)
		return 1;
	for (i = 0; i < count * sizeof(*flows); i++)
		((unsigned char *)flows)[i] = i * 2654435761u >> 24;
	memset(hashes, 0, count * sizeof(*hashes)); /* so that no page is touched first inside the loop */
	while (fgets(line, sizeof(line), stdin)) {
		double start = now(), end;

		for (i = 0; i < count; i++)
			hashes[i] = cf_flow_hash(flows[i].source, flows[i].destination, flows[i].source_port,
						 flows[i].destination_port, flows[i].protocol);
		end = now();
		for (i = 0; i < count; i++)
			sum += hashes[i];
		printf("%.4f\n", (end - start) / count);
		fflush(stdout);
	}
	fprintf(stderr, "%u\n", sum); /* the hashes are used, so the compiler has to compute them */
	return 0;
}
