/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of the user-space data plane: hash, LRU hash, longest-prefix match and array, with the meaning of the kernel's.
 *
 * An entry stays where it is until it is deleted, so that a pointer to its value is good for the length of one packet,
 * as in the kernel. Keys are compared as bytes. Not thread-safe: the caller holds the GIL.
 */
#ifndef CLOUDFABRIC_USER_MAP_H
#define CLOUDFABRIC_USER_MAP_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloudfabric/hash.h"

enum { CF_USER_MAX_KEY = 64, CF_USER_MAX_PREFIX = 256 };

struct cf_user_entry {
	struct cf_user_entry *next;	     /* of the same bucket */
	struct cf_user_entry *newer, *older; /* LRU order */
	uint64_t hash;
	char bytes[]; /* key, filled up to 8 bytes, and value */
};

struct cf_user_map {
	uint32_t type, key_size, value_size, max_entries, count;
	struct cf_user_entry **buckets;
	uint32_t mask;				   /* number of buckets, less one */
	struct cf_user_entry *newest, *oldest;	   /* LRU */
	uint32_t prefixes[CF_USER_MAX_PREFIX + 1]; /* LPM: entries of each prefix length */
	char *array;
};

static inline uint32_t cf_user_value_offset(const struct cf_user_map *map)
{
	return (map->key_size + 7) & ~7u;
}

static inline uint64_t cf_user_hash(const struct cf_user_map *map, const void *key)
{
	uint64_t hash = map->key_size, word;
	uint32_t i;

	for (i = 0; i + 8 <= map->key_size; i += 8) {
		memcpy(&word, (const char *)key + i, 8);
		hash = cf_mix64(hash ^ word);
	}
	if (i < map->key_size) {
		word = 0;
		memcpy(&word, (const char *)key + i, map->key_size - i);
		hash = cf_mix64(hash ^ word);
	}
	return hash;
}

static inline int cf_user_map_init(struct cf_user_map *map, uint32_t type, uint32_t key_size, uint32_t value_size,
				   uint32_t max_entries)
{
	memset(map, 0, sizeof(*map));
	map->type = type;
	map->key_size = key_size;
	map->value_size = value_size;
	map->max_entries = max_entries;
	if (key_size > CF_USER_MAX_KEY || !max_entries)
		return -EINVAL;
	if (type == BPF_MAP_TYPE_ARRAY) {
		map->count = max_entries;
		map->array = calloc(max_entries, value_size);
		return map->array ? 0 : -ENOMEM;
	}
	map->mask = 63;
	map->buckets = calloc(map->mask + 1, sizeof(*map->buckets));
	return map->buckets ? 0 : -ENOMEM;
}

static inline void cf_user_map_free(struct cf_user_map *map)
{
	struct cf_user_entry *entry, *next;
	uint32_t i;

	for (i = 0; map->buckets && i <= map->mask; i++)
		for (entry = map->buckets[i]; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	free(map->buckets);
	free(map->array);
	map->buckets = NULL;
	map->array = NULL;
}

static inline struct cf_user_entry **cf_user_find(struct cf_user_map *map, const void *key, uint64_t hash)
{
	struct cf_user_entry **link = &map->buckets[hash & map->mask];

	while (*link && ((*link)->hash != hash || memcmp((*link)->bytes, key, map->key_size)))
		link = &(*link)->next;
	return link;
}

static inline void cf_user_lru_remove(struct cf_user_map *map, struct cf_user_entry *entry)
{
	*(entry->newer ? &entry->newer->older : &map->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &map->oldest) = entry->newer;
}

static inline void cf_user_lru_touch(struct cf_user_map *map, struct cf_user_entry *entry, int listed)
{
	if (listed)
		cf_user_lru_remove(map, entry);
	entry->newer = NULL;
	entry->older = map->newest;
	*(map->newest ? &map->newest->newer : &map->oldest) = entry;
	map->newest = entry;
}

static inline void cf_user_grow(struct cf_user_map *map)
{
	uint32_t mask = map->mask * 2 + 1, i;
	struct cf_user_entry **buckets, *entry, *next;

	buckets = calloc((size_t)mask + 1, sizeof(*buckets));
	if (!buckets)
		return; /* longer chains, same answers */
	for (i = 0; i <= map->mask; i++)
		for (entry = map->buckets[i]; entry; entry = next) {
			next = entry->next;
			entry->next = buckets[entry->hash & mask];
			buckets[entry->hash & mask] = entry;
		}
	free(map->buckets);
	map->buckets = buckets;
	map->mask = mask;
}

/* Clears the bits of an LPM key behind its prefix. */
static inline void cf_user_mask_prefix(const struct cf_user_map *map, void *key, uint32_t prefix)
{
	unsigned char *data = (unsigned char *)key + sizeof(uint32_t);
	uint32_t size = map->key_size - sizeof(uint32_t), byte = prefix / 8;

	memcpy(key, &prefix, sizeof(prefix));
	if (byte >= size)
		return;
	data[byte] &= (unsigned char)(0xff00 >> prefix % 8);
	memset(data + byte + 1, 0, size - byte - 1);
}

static inline int cf_user_prefix_ok(const struct cf_user_map *map, uint32_t prefix)
{
	return prefix <= (map->key_size - sizeof(uint32_t)) * 8 && prefix <= CF_USER_MAX_PREFIX;
}

/* The value of `key`, or NULL. `exact` finds an LPM entry by its own prefix instead of the longest match. */
static __attribute__((noinline)) void *cf_user_map_get(struct cf_user_map *map, const void *key, int exact)
{
	char wanted[CF_USER_MAX_KEY];
	struct cf_user_entry *entry;
	uint32_t prefix, index;

	if (map->array) {
		memcpy(&index, key, sizeof(index));
		return index < map->max_entries ? map->array + (size_t)index * map->value_size : NULL;
	}
	if (map->type != BPF_MAP_TYPE_LPM_TRIE) {
		entry = *cf_user_find(map, key, cf_user_hash(map, key));
		if (entry && map->type == BPF_MAP_TYPE_LRU_HASH)
			cf_user_lru_touch(map, entry, 1);
		return entry ? entry->bytes + cf_user_value_offset(map) : NULL;
	}
	memcpy(&prefix, key, sizeof(prefix));
	if (!cf_user_prefix_ok(map, prefix))
		return NULL;
	memcpy(wanted, key, map->key_size);
	for (;; prefix--) {
		if (map->prefixes[prefix]) {
			cf_user_mask_prefix(map, wanted, prefix);
			entry = *cf_user_find(map, wanted, cf_user_hash(map, wanted));
			if (entry)
				return entry->bytes + cf_user_value_offset(map);
		}
		if (exact || !prefix)
			return NULL;
	}
}

static __attribute__((noinline)) int cf_user_map_delete(struct cf_user_map *map, const void *key)
{
	char masked[CF_USER_MAX_KEY];
	struct cf_user_entry **link, *entry;
	uint32_t prefix = 0;

	if (map->array)
		return -EINVAL;
	memcpy(masked, key, map->key_size);
	if (map->type == BPF_MAP_TYPE_LPM_TRIE) {
		memcpy(&prefix, key, sizeof(prefix));
		if (!cf_user_prefix_ok(map, prefix))
			return -EINVAL;
		cf_user_mask_prefix(map, masked, prefix);
	}
	link = cf_user_find(map, masked, cf_user_hash(map, masked));
	entry = *link;
	if (!entry)
		return -ENOENT;
	*link = entry->next;
	if (map->type == BPF_MAP_TYPE_LRU_HASH)
		cf_user_lru_remove(map, entry);
	if (map->type == BPF_MAP_TYPE_LPM_TRIE)
		map->prefixes[prefix]--;
	map->count--;
	free(entry);
	return 0;
}

/* Writes one element. `flags` as in bpf(2): BPF_ANY, BPF_NOEXIST or BPF_EXIST. A full LRU map gives up its oldest
 * entry. */
static __attribute__((noinline)) int cf_user_map_set(struct cf_user_map *map, const void *key, const void *value,
						     uint64_t flags)
{
	char masked[CF_USER_MAX_KEY];
	struct cf_user_entry **link, *entry;
	uint32_t prefix = 0, index;
	uint64_t hash;

	if (map->array) {
		memcpy(&index, key, sizeof(index));
		if (index >= map->max_entries)
			return -E2BIG;
		if (flags == BPF_NOEXIST)
			return -EEXIST;
		memcpy(map->array + (size_t)index * map->value_size, value, map->value_size);
		return 0;
	}
	memcpy(masked, key, map->key_size);
	if (map->type == BPF_MAP_TYPE_LPM_TRIE) {
		memcpy(&prefix, key, sizeof(prefix));
		if (!cf_user_prefix_ok(map, prefix))
			return -EINVAL;
		cf_user_mask_prefix(map, masked, prefix);
	}
	hash = cf_user_hash(map, masked);
	entry = *cf_user_find(map, masked, hash);
	if (entry && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!entry && flags == BPF_EXIST)
		return -ENOENT;
	if (!entry) {
		if (map->count == map->max_entries) {
			if (map->type != BPF_MAP_TYPE_LRU_HASH)
				return map->type == BPF_MAP_TYPE_LPM_TRIE ? -ENOSPC : -E2BIG;
			cf_user_map_delete(map, map->oldest->bytes);
		}
		entry = malloc(sizeof(*entry) + cf_user_value_offset(map) + map->value_size);
		if (!entry)
			return -ENOMEM;
		if (map->count > map->mask)
			cf_user_grow(map);
		memcpy(entry->bytes, masked, map->key_size);
		entry->hash = hash;
		link = &map->buckets[hash & map->mask];
		entry->next = *link;
		*link = entry;
		map->count++;
		if (map->type == BPF_MAP_TYPE_LRU_HASH)
			cf_user_lru_touch(map, entry, 0);
		if (map->type == BPF_MAP_TYPE_LPM_TRIE)
			map->prefixes[prefix]++;
	} else if (map->type == BPF_MAP_TYPE_LRU_HASH) {
		cf_user_lru_touch(map, entry, 1);
	}
	memcpy(entry->bytes + cf_user_value_offset(map), value, map->value_size);
	return 0;
}

/* Copies all keys and values out, in no particular order; the caller has room for `count` of each. */
static inline void cf_user_map_copy(const struct cf_user_map *map, char *keys, char *values)
{
	struct cf_user_entry *entry;
	uint32_t i;

	for (i = 0; map->array && i < map->max_entries; i++) {
		memcpy(keys + (size_t)i * sizeof(i), &i, sizeof(i));
		memcpy(values + (size_t)i * map->value_size, map->array + (size_t)i * map->value_size, map->value_size);
	}
	for (i = 0; map->buckets && i <= map->mask; i++)
		for (entry = map->buckets[i]; entry; entry = entry->next) {
			memcpy(keys, entry->bytes, map->key_size);
			memcpy(values, entry->bytes + cf_user_value_offset(map), map->value_size);
			keys += map->key_size;
			values += map->value_size;
		}
}

#endif
