# SPDX-License-Identifier: Apache-2.0
"""Programs as filters of the clsact queueing discipline: what kernels before 6.6 have in place of tcx.

A filter is found by interface, direction, priority and handle. The kernel holds it without any descriptor, until it is
detached or the interface goes. libbpf speaks netlink for that, in the calling thread's network namespace; what the
kernel answers (such as "already there") is in the error, so libbpf's own words are dropped.
"""

from libc.errno cimport EEXIST, ENOENT
from libc.stdint cimport uint32_t
from libc.string cimport memset

cimport cloudfabric._fastpath.libbpf as libbpf

from cloudfabric._fastpath.errors import AttachError
from cloudfabric._fastpath.results import Hook

__all__ = ["ClsactFilter"]


cdef extern from "libbpf_log.h" nogil:
    void cf_log_install()
    void cf_log_quiet()
    void cf_log_restore()

cdef enum:
    BPF_TC_F_REPLACE = 1

cf_log_install()


cdef object attach_filter(int fd, str name, int ifindex, bint ingress, uint32_t priority, uint32_t handle,
                          bint replace):
    """Attach the program behind `fd`, adding the queueing discipline if need be; return the ClsactFilter."""
    cdef libbpf.bpf_tc_hook hook
    cdef libbpf.bpf_tc_opts options
    cdef int error
    fill_hook(&hook, ifindex, ingress)
    memset(&options, 0, sizeof(options))
    options.sz = sizeof(options)
    options.handle = handle
    options.priority = priority
    options.flags = BPF_TC_F_REPLACE if replace else 0
    options.prog_fd = fd
    with nogil:
        cf_log_quiet()
        error = libbpf.bpf_tc_hook_create(&hook)
        if error == 0 or error == -EEXIST:
            error = libbpf.bpf_tc_attach(&hook, &options)
        cf_log_restore()
    if error:
        raise AttachError(name, str(Hook.CLSACT_INGRESS if ingress else Hook.CLSACT_EGRESS), ifindex, -error)
    return ClsactFilter(ifindex, ingress=ingress, priority=priority, handle=handle)


cdef void fill_hook(libbpf.bpf_tc_hook *hook, int ifindex, bint ingress) noexcept:
    memset(hook, 0, sizeof(hook[0]))
    hook.sz = sizeof(hook[0])
    hook.ifindex = ifindex
    hook.attach_point = libbpf.BPF_TC_INGRESS if ingress else libbpf.BPF_TC_EGRESS


class ClsactFilter:
    """A program's place at clsact: who holds this holds no descriptor, the kernel keeps the filter.

    As a context manager it detaches. Another process can make one from the same numbers to detach.
    """

    __slots__ = ("handle", "ifindex", "ingress", "priority")

    def __init__(self, ifindex, *, ingress=True, priority=1, handle=1):
        self.ifindex = ifindex
        self.ingress = ingress
        self.priority = priority
        self.handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.detach()

    @property
    def hook(self):
        """Direction of the packets it sees."""
        return Hook.CLSACT_INGRESS if self.ingress else Hook.CLSACT_EGRESS

    def program_id(self):
        """Number of the program that is attached here now, or None."""
        cdef libbpf.bpf_tc_hook hook
        cdef libbpf.bpf_tc_opts options
        cdef int error
        fill_hook(&hook, self.ifindex, self.ingress)
        memset(&options, 0, sizeof(options))
        options.sz = sizeof(options)
        options.handle = self.handle
        options.priority = self.priority
        with nogil:
            cf_log_quiet()
            error = libbpf.bpf_tc_query(&hook, &options)
            cf_log_restore()
        return None if error else options.prog_id

    def detach(self):
        """Remove the filter and return whether it was there; the queueing discipline stays, others may use it."""
        cdef libbpf.bpf_tc_hook hook
        cdef libbpf.bpf_tc_opts options
        cdef int error
        if self.program_id() is None:
            return False
        fill_hook(&hook, self.ifindex, self.ingress)
        memset(&options, 0, sizeof(options))
        options.sz = sizeof(options)
        options.handle = self.handle
        options.priority = self.priority
        with nogil:
            cf_log_quiet()
            error = libbpf.bpf_tc_detach(&hook, &options)
            cf_log_restore()
        if error and error != -ENOENT:
            raise AttachError("filter", f"{self.hook} (detaching)", self.ifindex, -error)
        return error == 0
