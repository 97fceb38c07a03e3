/* SPDX-License-Identifier: Apache-2.0 */
/* The C peer of bench_maps.py: fills a map of the endpoints' shape by bpf_map_update_batch.
 *
 * Usage: map_batch ENTRIES FLAGS. For every line on standard input it empties the map, fills it, and prints the
 * nanoseconds per entry that the filling took, so that the caller decides when each round runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>

struct key {
	__u32 vni;
	__be32 address;
};

struct value {
	__u32 ifindex, slot;
	__u8 mac[6];
	__u16 flags;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "map_batch: %s: %s\n", what, strerror(-error));
	return 1;
}

int main(int argc, char **argv)
{
	__u32 entries = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, count, i;
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = argc == 3 ? atoi(argv[2]) : 0);
	struct value *values = calloc(entries, sizeof(*values));
	struct key *keys = calloc(entries, sizeof(*keys));
	char line[16];
	int error, fd;

	if (!entries || !keys || !values)
		return fail("usage: map_batch ENTRIES FLAGS", 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "endpoints", sizeof(*keys), sizeof(*values), entries, &options);
	if (fd < 0)
		return fail("create", fd);
	for (i = 0; i < entries; i++) {
		keys[i].vni = 7;
		keys[i].address = htonl(0x0a000000 + i);
		values[i].ifindex = values[i].slot = i;
	}
	while (fgets(line, sizeof(line), stdin)) {
		double start = now();

		count = entries;
		error = bpf_map_update_batch(fd, keys, values, &count, NULL);
		if (error)
			return fail("update", error);
		printf("%.3f\n", (now() - start) / entries);
		fflush(stdout);
		count = entries;
		error = bpf_map_delete_batch(fd, keys, &count, NULL);
		if (error)
			return fail("delete", error);
	}
	return 0;
}
