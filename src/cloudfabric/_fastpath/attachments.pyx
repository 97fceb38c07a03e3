# SPDX-License-Identifier: Apache-2.0
"""What is attached to an interface: the tcx chains, the XDP program, the filters at clsact.

Interface indexes belong to the network namespace of the calling thread.
"""

from libc.errno cimport EINVAL
from libc.stdint cimport uint32_t
from libc.string cimport memset
from posix.unistd cimport close

cimport cloudfabric._fastpath.libbpf as libbpf

from cloudfabric._fastpath.clsact import ClsactFilter
from cloudfabric._fastpath.errors import AttachError
from cloudfabric._fastpath.results import Attachment, Hook

__all__ = ["attached", "tcx_supported"]


cdef extern from "bpf_link.h" nogil:
    enum:
        CF_TCX_INGRESS
        CF_TCX_EGRESS
        CF_MAX_ATTACHED

    int cf_query_tcx(int ifindex, uint32_t attach_type, uint32_t *prog_ids, uint32_t *link_ids)

cdef extern from "libbpf_log.h" nogil:
    void cf_log_install()
    void cf_log_quiet()
    void cf_log_restore()

cf_log_install()


def tcx_supported():
    """Whether the kernel has tcx (6.6 and later)."""
    cdef uint32_t programs[CF_MAX_ATTACHED]
    cdef uint32_t links[CF_MAX_ATTACHED]
    cdef int count
    with nogil:
        count = cf_query_tcx(1, CF_TCX_INGRESS, programs, links)  # interface 1 is every namespace's loopback
    return count != -EINVAL


def attached(int ifindex, *, clsact_priorities=(1,)):
    """What is attached to an interface, in the order in which it runs at each hook.

    Filters at clsact are found by priority (with handle 1): the kernel's interface cannot list them all cheaply.
    Raises AttachError(ENODEV) for an unknown interface.
    """
    found = []
    for hook, attach_type in ((Hook.TCX_INGRESS, CF_TCX_INGRESS), (Hook.TCX_EGRESS, CF_TCX_EGRESS)):
        found += attached_tcx(ifindex, hook, attach_type)
    program = attached_xdp(ifindex)
    if program:
        found.append(Attachment(Hook.XDP, program, program_name(program), None))
    for ingress in (True, False):
        for priority in clsact_priorities:
            filter = ClsactFilter(ifindex, ingress=ingress, priority=priority)
            program = filter.program_id()
            if program:
                found.append(Attachment(filter.hook, program, program_name(program), None))
    return found


cdef list attached_tcx(int ifindex, hook, uint32_t attach_type):
    cdef uint32_t programs[CF_MAX_ATTACHED]
    cdef uint32_t links[CF_MAX_ATTACHED]
    cdef int count, index
    with nogil:
        count = cf_query_tcx(ifindex, attach_type, programs, links)
    if count == -EINVAL:  # no tcx in this kernel
        return []
    if count < 0:
        raise AttachError("query", str(hook), ifindex, -count)
    return [Attachment(hook, programs[index], program_name(programs[index]), links[index] or None)
            for index in range(count)]


cdef uint32_t attached_xdp(int ifindex) except? 0xffffffff:
    """Number of the interface's XDP program, 0 without one."""
    cdef libbpf.bpf_xdp_query_opts options
    cdef int error
    memset(&options, 0, sizeof(options))
    options.sz = sizeof(options)
    with nogil:
        cf_log_quiet()
        error = libbpf.bpf_xdp_query(ifindex, 0, &options)
        cf_log_restore()
    if error:
        raise AttachError("query", str(Hook.XDP), ifindex, -error)
    return options.prog_id or options.drv_prog_id or options.skb_prog_id or options.hw_prog_id


cdef str program_name(uint32_t id):
    """The kernel's name of a program, empty if it is gone meanwhile."""
    cdef libbpf.bpf_prog_info info
    cdef uint32_t size = sizeof(info)
    cdef int fd, error
    memset(&info, 0, sizeof(info))
    with nogil:
        fd = libbpf.bpf_prog_get_fd_by_id(id)
        if fd >= 0:
            error = libbpf.bpf_obj_get_info_by_fd(fd, &info, &size)
            close(fd)
    return info.name.decode("ascii", "replace") if fd >= 0 and error == 0 else ""
