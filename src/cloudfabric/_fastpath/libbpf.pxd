# SPDX-License-Identifier: Apache-2.0
"""Declarations of libbpf (1.1 or newer) and of the kernel's bpf(2) interface, as far as `maps` and `bpf` use them."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t


cdef extern from "<linux/bpf.h>" nogil:
    enum:
        BPF_ANY
        BPF_OBJ_NAME_LEN
        BPF_TAG_SIZE
        BPF_MAP_TYPE_HASH
        BPF_MAP_TYPE_ARRAY
        BPF_MAP_TYPE_PERCPU_HASH
        BPF_MAP_TYPE_PERCPU_ARRAY
        BPF_MAP_TYPE_LRU_HASH
        BPF_MAP_TYPE_LRU_PERCPU_HASH
        BPF_MAP_TYPE_LPM_TRIE
        BPF_MAP_TYPE_ARRAY_OF_MAPS
        BPF_MAP_TYPE_HASH_OF_MAPS
        BPF_PROG_TYPE_SCHED_CLS
        BPF_PROG_TYPE_XDP
        BPF_LINK_CREATE
        BPF_LINK_UPDATE
        BPF_PROG_QUERY
        BPF_XDP

    struct bpf_map_info:
        uint32_t type
        uint32_t id
        uint32_t key_size
        uint32_t value_size
        uint32_t max_entries
        uint32_t map_flags
        char name[16]

    struct bpf_prog_info:
        uint32_t type
        uint32_t id
        uint8_t tag[8]
        uint32_t jited_prog_len
        uint32_t xlated_prog_len
        uint64_t load_time
        uint32_t nr_map_ids
        uint64_t map_ids
        char name[16]
        uint64_t run_time_ns
        uint64_t run_cnt
        uint32_t verified_insns

    struct __sk_buff:
        uint32_t mark
        uint32_t ingress_ifindex
        uint32_t ifindex

    struct xdp_md:
        uint32_t data
        uint32_t data_end
        uint32_t ingress_ifindex


cdef extern from "<linux/if_link.h>" nogil:
    enum:
        XDP_FLAGS_SKB_MODE
        XDP_FLAGS_DRV_MODE
        XDP_ATTACHED_NONE
        XDP_ATTACHED_DRV
        XDP_ATTACHED_SKB
        XDP_ATTACHED_HW
        XDP_ATTACHED_MULTI


cdef extern from "bpf/bpf.h" nogil:
    struct bpf_map_create_opts:
        size_t sz
        uint32_t inner_map_fd
        uint32_t map_flags

    struct bpf_map_batch_opts:
        size_t sz
        uint64_t elem_flags
        uint64_t flags

    struct bpf_test_run_opts:
        size_t sz
        const void *data_in
        void *data_out
        uint32_t data_size_in
        uint32_t data_size_out
        const void *ctx_in
        uint32_t ctx_size_in
        uint32_t retval
        int repeat
        uint32_t duration

    int bpf_map_create(int map_type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries,
                       const bpf_map_create_opts *opts)
    int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)
    int bpf_map_lookup_elem(int fd, const void *key, void *value)
    int bpf_map_delete_elem(int fd, const void *key)
    int bpf_map_get_next_key(int fd, const void *key, void *next_key)
    int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count,
                             const bpf_map_batch_opts *opts)
    int bpf_map_delete_batch(int fd, const void *keys, uint32_t *count, const bpf_map_batch_opts *opts)
    int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values, uint32_t *count,
                             const bpf_map_batch_opts *opts)
    int bpf_obj_pin(int fd, const char *pathname)
    int bpf_obj_get(const char *pathname)
    int bpf_obj_get_info_by_fd(int bpf_fd, void *info, uint32_t *info_len)
    int bpf_prog_get_fd_by_id(uint32_t id)
    int bpf_map_get_fd_by_id(uint32_t id)
    int bpf_link_get_fd_by_id(uint32_t id)
    int bpf_link_detach(int link_fd)
    int bpf_prog_test_run_opts(int prog_fd, bpf_test_run_opts *opts)


cdef extern from "bpf/libbpf.h" nogil:
    enum:
        BPF_TC_INGRESS
        BPF_TC_EGRESS

    struct bpf_object:
        pass
    struct bpf_program:
        pass
    struct bpf_map:
        pass

    struct bpf_object_open_opts:
        size_t sz
        const char *object_name

    struct bpf_xdp_query_opts:
        size_t sz
        uint32_t prog_id
        uint32_t drv_prog_id
        uint32_t hw_prog_id
        uint32_t skb_prog_id
        uint8_t attach_mode

    struct bpf_tc_hook:
        size_t sz
        int ifindex
        int attach_point

    struct bpf_tc_opts:
        size_t sz
        int prog_fd
        uint32_t flags
        uint32_t prog_id
        uint32_t handle
        uint32_t priority

    bpf_object *bpf_object__open_mem(const void *obj_buf, size_t obj_buf_sz, const bpf_object_open_opts *opts)
    int bpf_object__load(bpf_object *obj)
    void bpf_object__close(bpf_object *obj)
    bpf_program *bpf_object__next_program(const bpf_object *obj, bpf_program *prog)
    bpf_map *bpf_object__next_map(const bpf_object *obj, const bpf_map *map)

    const char *bpf_program__name(const bpf_program *prog)
    const char *bpf_program__section_name(const bpf_program *prog)
    int bpf_program__type(const bpf_program *prog)
    int bpf_program__set_type(bpf_program *prog, int type)
    int bpf_program__set_autoload(bpf_program *prog, bint autoload)
    bint bpf_program__autoload(const bpf_program *prog)
    int bpf_program__fd(const bpf_program *prog)

    const char *bpf_map__name(const bpf_map *map)
    bint bpf_map__is_internal(const bpf_map *map)
    int bpf_map__type(const bpf_map *map)
    uint32_t bpf_map__key_size(const bpf_map *map)
    uint32_t bpf_map__value_size(const bpf_map *map)
    uint32_t bpf_map__max_entries(const bpf_map *map)
    uint32_t bpf_map__map_flags(const bpf_map *map)
    int bpf_map__set_max_entries(bpf_map *map, uint32_t max_entries)
    int bpf_map__set_pin_path(bpf_map *map, const char *path)
    int bpf_map__fd(const bpf_map *map)

    int bpf_xdp_query(int ifindex, int flags, bpf_xdp_query_opts *opts)
    int bpf_tc_hook_create(bpf_tc_hook *hook)
    int bpf_tc_attach(const bpf_tc_hook *hook, bpf_tc_opts *opts)
    int bpf_tc_detach(const bpf_tc_hook *hook, const bpf_tc_opts *opts)
    int bpf_tc_query(const bpf_tc_hook *hook, bpf_tc_opts *opts)

    int libbpf_num_possible_cpus()
