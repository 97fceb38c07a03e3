/* SPDX-License-Identifier: Apache-2.0 */
/* Loops over many elements of a BPF map, without Python: by batch commands, or one by one where the type has none.
 *
 * All functions return 0 or a negative errno and never touch Python, so the caller runs them without the GIL.
 * Batch commands (kernel 5.6 and later) write back how many elements they processed; a map type without them answers
 * ENOTSUPP (524, a number of the kernel's own) or EINVAL and leaves the count as it was.
 */
#ifndef CLOUDFABRIC_MAP_BATCH_H
#define CLOUDFABRIC_MAP_BATCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r */
#endif
#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CF_ENOTSUPP = 524 };

struct cf_map_shape {
	int fd;
	__u32 key_size;
	__u32 value_size;
	__u32 stride; /* bytes that one lookup fills: value_size, or every possible CPU's value rounded up to 8 */
	__u32 cpus;   /* values in a stride */
	__u32 max_entries;
	bool buckets; /* a hash: batches walk whole buckets under their lock, so nothing is seen twice */
	bool array;   /* keys are 0..max_entries-1, so nothing is seen twice either */
};

struct cf_map_contents {
	char *keys;
	char *values; /* `row` bytes each */
	size_t row;
	size_t count;
	size_t capacity;
};

static inline bool cf_batch_unsupported(int error, __u32 asked, __u32 processed)
{
	return processed == asked && (error == -CF_ENOTSUPP || error == -EOPNOTSUPP || error == -EINVAL);
}

/* Writes `count` elements. On failure *done is the index of the element that was refused. */
static int cf_map_update_many(const struct cf_map_shape *map, const char *keys, const char *values, __u32 count,
			      __u64 flags, __u32 *done)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = flags);
	__u32 processed = count, i;
	int error;

	*done = 0;
	if (!count)
		return 0;
	error = bpf_map_update_batch(map->fd, keys, values, &processed, &options);
	if (!cf_batch_unsupported(error, count, processed)) {
		*done = error ? processed : count;
		return error;
	}
	for (i = 0; i < count; i++) {
		*done = i;
		error = bpf_map_update_elem(map->fd, keys + (size_t)i * map->key_size, values + (size_t)i * map->stride,
					    flags);
		if (error)
			return error;
	}
	*done = count;
	return 0;
}

/* Removes `count` keys; keys that are not there are counted in *missing and skipped if `missing_ok`. */
static int cf_map_delete_many(const struct cf_map_shape *map, const char *keys, __u32 count, bool missing_ok,
			      __u32 *done, __u32 *missing)
{
	bool batch = true;

	*done = 0;
	*missing = 0;
	while (*done < count) {
		const char *rest = keys + (size_t)*done * map->key_size;
		__u32 asked = count - *done, processed = asked;
		int error;

		if (batch) {
			error = bpf_map_delete_batch(map->fd, rest, &processed, NULL);
			if (cf_batch_unsupported(error, asked, processed)) {
				batch = false;
				continue;
			}
			*done += error ? processed : asked;
		} else {
			error = bpf_map_delete_elem(map->fd, rest);
			*done += !error;
		}
		if (error == -ENOENT && missing_ok) {
			*done += 1;
			*missing += 1;
		} else if (error) {
			return error;
		}
	}
	return 0;
}

/* Adds every CPU's value, field by field; a value is a struct of 64-bit counters. */
static void cf_sum_cpus(const struct cf_map_shape *map, const char *values, __u64 *sums)
{
	size_t fields = map->value_size / sizeof(__u64), per_cpu = map->stride / map->cpus;
	size_t field;
	__u32 cpu;

	memset(sums, 0, fields * sizeof(__u64));
	for (cpu = 0; cpu < map->cpus; cpu++) {
		const __u64 *counters = (const __u64 *)(values + cpu * per_cpu);

		for (field = 0; field < fields; field++)
			sums[field] += counters[field];
	}
}

static int cf_append(const struct cf_map_shape *map, struct cf_map_contents *out, const char *keys, const char *values,
		     size_t count, bool sum)
{
	size_t i;

	if (out->count + count > out->capacity) {
		size_t capacity = out->capacity * 2 > out->count + count ? out->capacity * 2 : out->count + count;
		char *grown = realloc(out->keys, capacity * map->key_size);

		if (!grown)
			return -ENOMEM;
		out->keys = grown;
		grown = realloc(out->values, capacity * out->row);
		if (!grown)
			return -ENOMEM;
		out->values = grown;
		out->capacity = capacity;
	}
	memcpy(out->keys + out->count * map->key_size, keys, count * map->key_size);
	if (sum) {
		for (i = 0; i < count; i++)
			cf_sum_cpus(map, values + i * map->stride,
				    (__u64 *)(out->values + (out->count + i) * out->row));
	} else {
		memcpy(out->values + out->count * out->row, values, count * out->row);
	}
	out->count += count;
	return 0;
}

struct cf_key_order {
	const char *keys;
	size_t key_size;
};

static int cf_compare_keys(const void *left, const void *right, void *context)
{
	const struct cf_key_order *order = context;
	size_t a = *(const size_t *)left, b = *(const size_t *)right;
	int sign = memcmp(order->keys + a * order->key_size, order->keys + b * order->key_size, order->key_size);

	return sign ? sign : (a > b) - (a < b);
}

/* A walk from key to key starts again when the key it stands on is deleted: keep the latest copy of every key. */
static int cf_drop_repeated(const struct cf_map_shape *map, struct cf_map_contents *out)
{
	struct cf_key_order order = {out->keys, map->key_size};
	size_t *sorted = malloc((out->count + 1) * sizeof(*sorted));
	char *repeated = calloc(out->count + 1, 1);
	size_t i, kept = 0;
	int error = -ENOMEM;

	if (!sorted || !repeated)
		goto out;
	for (i = 0; i < out->count; i++)
		sorted[i] = i;
	qsort_r(sorted, out->count, sizeof(*sorted), cf_compare_keys, &order);
	for (i = 1; i < out->count; i++)
		if (!memcmp(out->keys + sorted[i - 1] * map->key_size, out->keys + sorted[i] * map->key_size,
			    map->key_size))
			repeated[sorted[i - 1]] = 1;
	for (i = 0; i < out->count; i++) {
		if (repeated[i])
			continue;
		memmove(out->keys + kept * map->key_size, out->keys + i * map->key_size, map->key_size);
		memmove(out->values + kept * out->row, out->values + i * out->row, out->row);
		kept++;
	}
	out->count = kept;
	error = 0;
out:
	free(sorted);
	free(repeated);
	return error;
}

/* Keeps a walk that starts again and again bounded in memory and in time: gives up after 64 times four maps' worth. */
static int cf_bound(const struct cf_map_shape *map, struct cf_map_contents *out, unsigned int *compactions)
{
	if (out->count <= 4 * (size_t)map->max_entries + 1024)
		return 0;
	return ++*compactions > 64 ? -EAGAIN : cf_drop_repeated(map, out);
}

static int cf_collect_one_by_one(const struct cf_map_shape *map, bool sum, struct cf_map_contents *out)
{
	char *key = malloc(map->key_size), *value = malloc(map->stride);
	unsigned int compactions = 0;
	bool first = true;
	int error = -ENOMEM;

	while (key && value) {
		error = bpf_map_get_next_key(map->fd, first ? NULL : key, key);
		if (error) {
			error = error == -ENOENT ? 0 : error;
			break;
		}
		first = false;
		error = bpf_map_lookup_elem(map->fd, key, value);
		if (!error)
			error = cf_append(map, out, key, value, 1, sum);
		else if (error == -ENOENT) /* deleted meanwhile, or an empty slot of an array of maps */
			error = 0;
		if (!error)
			error = cf_bound(map, out, &compactions);
		if (error)
			break;
	}
	free(key);
	free(value);
	return error;
}

/* One pass of batches. Returns 1 if the map type has no batch lookup. */
static int cf_collect_batches(const struct cf_map_shape *map, __u32 chunk, bool sum, struct cf_map_contents *out)
{
	char *token = malloc(map->key_size + sizeof(__u64)), *keys = NULL, *values = NULL;
	unsigned int compactions = 0;
	bool first = true;
	int error = -ENOMEM, interrupted = 0;

	while (token) {
		char *grown = realloc(keys, (size_t)chunk * map->key_size);
		__u32 count = chunk;
		bool last;

		error = -ENOMEM;
		if (!grown)
			break;
		keys = grown;
		grown = realloc(values, (size_t)chunk * map->stride);
		if (!grown)
			break;
		values = grown;
		error = bpf_map_lookup_batch(map->fd, first ? NULL : token, token, keys, values, &count, NULL);
		if (first && (error == -CF_ENOTSUPP || error == -EOPNOTSUPP || error == -EINVAL)) {
			error = 1;
			break;
		}
		if (error == -ENOSPC) { /* one bucket holds more than a chunk */
			chunk *= 2;
			continue;
		}
		/* ENOENT: the end. EINTR, before kernel 6.12: an element kept vanishing under the walk. */
		if (error && error != -ENOENT && (error != -EINTR || ++interrupted > 1000))
			break;
		last = error == -ENOENT;
		if (count)
			first = false;
		error = cf_append(map, out, keys, values, count, sum);
		if (!error)
			error = cf_bound(map, out, &compactions);
		if (error || last)
			break;
	}
	free(token);
	free(keys);
	free(values);
	return error;
}

/* Reads the whole map into `out`, which the caller frees in any case. With `sum`, rows are sums over the CPUs. */
static int cf_map_collect(const struct cf_map_shape *map, __u32 chunk, bool sum, struct cf_map_contents *out)
{
	bool batches = true;
	int error;

	memset(out, 0, sizeof(*out));
	out->row = sum ? map->value_size : map->stride;
	error = cf_collect_batches(map, chunk, sum, out);
	if (error == 1) {
		batches = false;
		error = cf_collect_one_by_one(map, sum, out);
	}
	if (!error && !map->array && !(map->buckets && batches))
		error = cf_drop_repeated(map, out);
	return error;
}

#endif
