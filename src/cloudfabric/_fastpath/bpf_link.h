/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of bpf(2) for links at network interfaces, with the layout that kernel 6.6 gave them.
 *
 * libbpf 1.1 and the headers of Linux 6.1 do not know tcx, so its attributes and numbers stand here; they are the
 * kernel's stable interface (include/uapi/linux/bpf.h). Older kernels accept the longer attributes as long as the
 * fields they do not know are 0. All functions return a descriptor, 0 or a negative errno.
 */
#ifndef CLOUDFABRIC_BPF_LINK_H
#define CLOUDFABRIC_BPF_LINK_H

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	CF_TCX_INGRESS = 46, /* enum bpf_attach_type */
	CF_TCX_EGRESS = 47,
	CF_LINK_TYPE_XDP = 6, /* enum bpf_link_type */
	CF_LINK_TYPE_TCX = 11,
	CF_F_REPLACE = 1 << 2, /* flags of BPF_LINK_CREATE and BPF_LINK_UPDATE */
	CF_F_BEFORE = 1 << 3,
	CF_F_AFTER = 1 << 4,
	CF_F_LINK = 1 << 13,  /* `relative` is a link's descriptor, not a program's */
	CF_MAX_ATTACHED = 64, /* BPF_MPROG_MAX */
};

struct cf_link_create {
	__u32 prog_fd;
	__u32 ifindex;
	__u32 attach_type;
	__u32 flags;
	__u32 relative; /* descriptor of the program or link to stand before or after */
	__u32 : 32;
	__u64 expected_revision;
};

struct cf_link_update {
	__u32 link_fd;
	__u32 new_prog_fd;
	__u32 flags;
	__u32 old_prog_fd;
};

struct cf_prog_query {
	__u32 ifindex;
	__u32 attach_type;
	__u32 query_flags;
	__u32 attach_flags;
	__u64 prog_ids;
	__u32 count;
	__u32 : 32;
	__u64 prog_attach_flags;
	__u64 link_ids;
	__u64 link_attach_flags;
	__u64 revision;
};

/* struct bpf_link_info of kernel 6.6, as far as both kinds of link share it. */
struct cf_link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 : 32;
	__u32 ifindex;
	__u32 attach_type; /* tcx only */
	__u64 rest[16];
};

static inline int cf_bpf(int command, void *attributes, unsigned int size)
{
	long result = syscall(__NR_bpf, command, attributes, size);

	return result < 0 ? -errno : (int)result;
}

static int cf_link_create(int prog_fd, int ifindex, __u32 attach_type, __u32 flags, int relative)
{
	struct cf_link_create attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_fd = prog_fd;
	attributes.ifindex = ifindex;
	attributes.attach_type = attach_type;
	attributes.flags = flags;
	attributes.relative = relative;
	return cf_bpf(BPF_LINK_CREATE, &attributes, sizeof(attributes));
}

/* Puts a program in the place of a link's present one (or of `old_prog_fd`, if not negative), at once for all packets.
 */
static int cf_link_update(int link_fd, int new_prog_fd, int old_prog_fd)
{
	struct cf_link_update attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_fd = link_fd;
	attributes.new_prog_fd = new_prog_fd;
	if (old_prog_fd >= 0) {
		attributes.flags = CF_F_REPLACE;
		attributes.old_prog_fd = old_prog_fd;
	}
	return cf_bpf(BPF_LINK_UPDATE, &attributes, sizeof(attributes));
}

/* Fills the ids of what is attached, in the order in which it runs; a link id is 0 where there is no link.
 * Returns how many, or a negative errno: EINVAL from a kernel without tcx.
 */
static int cf_query_tcx(int ifindex, __u32 attach_type, __u32 *prog_ids, __u32 *link_ids)
{
	struct cf_prog_query attributes;
	int error;

	memset(&attributes, 0, sizeof(attributes));
	memset(prog_ids, 0, CF_MAX_ATTACHED * sizeof(*prog_ids));
	memset(link_ids, 0, CF_MAX_ATTACHED * sizeof(*link_ids));
	attributes.ifindex = ifindex;
	attributes.attach_type = attach_type;
	attributes.prog_ids = (__u64)(unsigned long)prog_ids;
	attributes.link_ids = (__u64)(unsigned long)link_ids;
	attributes.count = CF_MAX_ATTACHED;
	error = cf_bpf(BPF_PROG_QUERY, &attributes, sizeof(attributes));
	return error ? error : (int)attributes.count;
}

#endif
