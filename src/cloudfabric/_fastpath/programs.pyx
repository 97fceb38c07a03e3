# SPDX-License-Identifier: Apache-2.0
"""Loaded BPF programs: run them on a packet, attach them to interfaces, replace them under traffic.

A program is attached by a *link*: as long as a descriptor or a pin refers to the link, the program runs; when the last
goes, the kernel detaches it. So a pinned link survives its process, and a crash half-way leaves nothing behind.
`Link.update_program` puts another program in the same place without a packet seeing neither or both.

At tcx several programs run in a chain, each handing on to the next with TCX_NEXT; `before=` and `after=` say where in
it. Kernels before 6.6 have no tcx: there `attach_clsact` adds a filter to the clsact queueing discipline, ordered by
priority, which stays until it is detached or the interface goes (module `clsact`).

Interface indexes always belong to the network namespace of the calling thread.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, EINVAL
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memset

cimport cloudfabric._fastpath.libbpf as libbpf
from cloudfabric._fastpath.clsact cimport attach_filter
from cloudfabric._fastpath.handles cimport Handle, check_kind, open_pin, own_copy

import os

from cloudfabric._fastpath.attachments import tcx_supported
from cloudfabric._fastpath.errors import AttachError, ProgramError
from cloudfabric._fastpath.results import Hook, ProgramInfo, ProgramType, TestRun, XdpMode

__all__ = ["Link", "Program"]


cdef extern from "bpf_link.h" nogil:
    enum:
        CF_TCX_INGRESS
        CF_TCX_EGRESS
        CF_LINK_TYPE_XDP
        CF_LINK_TYPE_TCX
        CF_F_BEFORE
        CF_F_AFTER
        CF_F_LINK

    struct cf_link_info:
        uint32_t type
        uint32_t id
        uint32_t prog_id
        uint32_t ifindex
        uint32_t attach_type

    int cf_link_create(int prog_fd, int ifindex, uint32_t attach_type, uint32_t flags, int relative)
    int cf_link_update(int link_fd, int new_prog_fd, int old_prog_fd)

cdef enum:
    MAX_MAP_IDS = 64
    # How much longer than its input a packet may be after a test run: several layers of encapsulation.
    TEST_RUN_GROWTH = 1024


cdef Program adopt_program(int fd, str name):
    """A Program that owns `fd`; `fd` is closed if it is not a program's."""
    cdef Program self = Program.__new__(Program)
    self._fd = fd  # from here on the destructor closes it
    self.name = name
    check_kind(fd, name, "prog")
    info = self.info()
    self.id = info.id
    self.type = info.type
    if not name:
        self.name = info.name
    return self


cdef class Program(Handle):
    """A program in the kernel. Found in an `Object`'s `programs`, or made by `open_pinned`, `from_fd`, `from_id`."""

    def __init__(self):
        raise TypeError("use Object(...).programs, Program.open_pinned, Program.from_fd or Program.from_id")

    @staticmethod
    def open_pinned(path):
        """Open the program pinned at `path`; it is named after the last component. Raises HandleError."""
        return adopt_program(open_pin(path, "program"), os.path.basename(os.fsdecode(path)))

    @staticmethod
    def from_fd(int fd, name=""):
        """Open the program behind a file descriptor, which stays the caller's."""
        return adopt_program(own_copy(fd), name)

    @staticmethod
    def from_id(uint32_t id):
        """Open the program with the kernel's number `id`. Raises ProgramError(ENOENT) when it is gone."""
        cdef int fd
        with nogil:
            fd = libbpf.bpf_prog_get_fd_by_id(id)
        if fd < 0:
            raise ProgramError(f"program {id}", "opening by id", -fd)
        return adopt_program(fd, "")

    def __repr__(self):
        return f"<Program {self.name} {self.type.name} id={self.id}{' closed' if self.closed else ''}>"

    def info(self):
        """What the kernel tells of the program now."""
        cdef libbpf.bpf_prog_info info
        cdef uint32_t size = sizeof(info)
        cdef uint32_t map_ids[MAX_MAP_IDS]
        cdef int error
        memset(&info, 0, sizeof(info))
        info.nr_map_ids = MAX_MAP_IDS
        info.map_ids = <uint64_t><size_t>&map_ids[0]
        self._enter("info")
        try:
            with nogil:
                error = libbpf.bpf_obj_get_info_by_fd(self._fd, &info, &size)
        finally:
            self._leave()
        if error:
            raise ProgramError(self.name, "reading program info", -error)
        known = info.type in (ProgramType.SCHED_CLS, ProgramType.XDP)
        return ProgramInfo(
            id=info.id, name=info.name.decode("ascii", "replace"),
            type=ProgramType(info.type) if known else ProgramType.OTHER,
            tag=bytes(info.tag[:8]).hex(), xlated_len=info.xlated_prog_len, jited_len=info.jited_prog_len,
            verified_insns=info.verified_insns,
            map_ids=tuple([map_ids[index] for index in range(min(<int>info.nr_map_ids, <int>MAX_MAP_IDS))]),
            run_count=info.run_cnt, run_time_ns=info.run_time_ns)

    def test_run(self, data, *, int repeat=1, uint32_t ifindex=0, uint32_t ingress_ifindex=0, uint32_t mark=0):
        """Run the program on a packet in the kernel, without any interface (BPF_PROG_TEST_RUN).

        `data` is a frame from its Ethernet header on (at least 14 bytes). `ifindex` is the interface that the program
        sees the packet at; `ingress_ifindex` and `mark` are fields of the socket buffer (SCHED_CLS only).
        The program runs `repeat` times on the *same* packet, each run on what the last one left of it; `duration_ns` is
        the mean. Raises ProgramError: ENODEV for an unknown interface, EINVAL for a frame that is too short or long.
        """
        cdef Py_buffer view
        cdef libbpf.bpf_test_run_opts options
        cdef libbpf.__sk_buff buffer_context
        cdef libbpf.xdp_md xdp_context
        cdef bytes output
        cdef int error = 0
        memset(&options, 0, sizeof(options))
        memset(&buffer_context, 0, sizeof(buffer_context))
        memset(&xdp_context, 0, sizeof(xdp_context))
        options.sz = sizeof(options)
        options.repeat = repeat
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            options.data_in = view.buf
            options.data_size_in = view.len
            output = PyBytes_FromStringAndSize(NULL, view.len + TEST_RUN_GROWTH)
            options.data_out = PyBytes_AS_STRING(output)
            if self.type == ProgramType.XDP and ifindex:
                xdp_context.data_end = view.len
                xdp_context.ingress_ifindex = ifindex
                options.ctx_in = &xdp_context
                options.ctx_size_in = sizeof(xdp_context)
            elif self.type == ProgramType.SCHED_CLS and (ifindex or ingress_ifindex or mark):
                buffer_context.ifindex = ifindex
                buffer_context.ingress_ifindex = ingress_ifindex
                buffer_context.mark = mark
                options.ctx_in = &buffer_context
                options.ctx_size_in = sizeof(buffer_context)
            self._enter("test_run")
            try:
                while True:
                    options.data_size_out = view.len + TEST_RUN_GROWTH
                    with nogil:
                        error = libbpf.bpf_prog_test_run_opts(self._fd, &options)
                    if error != -EINTR:
                        break
                    PyErr_CheckSignals()
            finally:
                self._leave()
        finally:
            PyBuffer_Release(&view)
        if error:
            raise ProgramError(self.name, f"test run on {view.len} bytes", -error)
        return TestRun(<int32_t>options.retval, output[:options.data_size_out], options.duration)

    def attach_tcx(self, int ifindex, *, bint ingress=True, pin_path=None, Handle before=None, Handle after=None):
        """Attach to the tcx chain of an interface (kernel 6.6 and later) and return the Link.

        `before` or `after` is the Link or Program to stand next to; without them the program comes last. With
        `pin_path` the link is pinned there. Raises AttachError: EINVAL where the kernel has no tcx, ENODEV, ENOENT when
        the neighbour is not attached there; HandleError when pinning fails, in which case nothing stays attached.
        """
        cdef uint32_t flags = 0
        cdef Handle neighbour = before if before is not None else after
        cdef int relative = 0
        if before is not None and after is not None:
            raise ValueError("give `before` or `after`, not both")
        if neighbour is not None:
            flags = CF_F_BEFORE if before is not None else CF_F_AFTER
            if isinstance(neighbour, Link):
                flags |= CF_F_LINK
            relative = neighbour.fileno()
        hook = Hook.TCX_INGRESS if ingress else Hook.TCX_EGRESS
        return self._attach(hook, ifindex, CF_TCX_INGRESS if ingress else CF_TCX_EGRESS, flags, relative, pin_path)

    def attach_xdp(self, int ifindex, *, mode=XdpMode.NATIVE, pin_path=None):
        """Attach as the XDP program of an interface and return the Link.

        Raises AttachError: EOPNOTSUPP where the driver has no native XDP, EBUSY or EEXIST when another program is
        there; HandleError when pinning fails, in which case nothing stays attached.
        """
        flags = libbpf.XDP_FLAGS_DRV_MODE if XdpMode(mode) is XdpMode.NATIVE else libbpf.XDP_FLAGS_SKB_MODE
        return self._attach(Hook.XDP, ifindex, libbpf.BPF_XDP, flags, 0, pin_path)

    def _attach(self, hook, int ifindex, uint32_t attach_type, uint32_t flags, int relative, pin_path):
        cdef Link link
        cdef int fd
        self._enter("attach")
        try:
            with nogil:
                fd = cf_link_create(self._fd, ifindex, attach_type, flags, relative)
        finally:
            self._leave()
        if fd < 0:
            detail = "the kernel is older than 6.6: use attach_clsact" if (
                fd == -EINVAL and hook is not Hook.XDP and not tcx_supported()) else ""
            raise AttachError(self.name, str(hook), ifindex, -fd, detail)
        link = adopt_link(fd, f"link of {self.name}")
        if pin_path is not None:
            try:
                link.pin(pin_path)
            except BaseException:
                link.close()
                raise
        return link

    def attach_clsact(self, int ifindex, *, bint ingress=True, uint32_t priority=1, uint32_t handle=1,
                      bint replace=False):
        """Attach as a direct-action filter of the clsact queueing discipline, which is added if need be.

        Lower priorities run first; TC_ACT_UNSPEC (-1, the same number as TCX_NEXT) hands on to the next. `replace` puts
        the program in the place of the one with this priority and handle, at once for all packets. Raises AttachError:
        EEXIST when one is there and `replace` is not set.
        """
        self._enter("attach")
        try:
            return attach_filter(self._fd, self.name, ifindex, ingress, priority, handle, replace)
        finally:
            self._leave()


cdef Link adopt_link(int fd, str name):
    cdef Link self = Link.__new__(Link)
    self._fd = fd  # from here on the destructor closes it
    self.name = name
    check_kind(fd, name, "link")
    link_info(self)  # refuses kinds of link that this module does not know
    return self


cdef cf_link_info link_info(Link self) except *:
    cdef cf_link_info info
    cdef uint32_t size = sizeof(info)
    cdef int error
    memset(&info, 0, sizeof(info))
    self._enter("info")
    try:
        with nogil:
            error = libbpf.bpf_obj_get_info_by_fd(self._fd, &info, &size)
    finally:
        self._leave()
    if error:
        raise ProgramError(self.name, "reading link info", -error)
    if info.type != CF_LINK_TYPE_TCX and info.type != CF_LINK_TYPE_XDP:
        raise ProgramError(self.name, "opening a link", EINVAL, f"type {info.type} is neither tcx nor XDP")
    return info


cdef class Link(Handle):
    """Holds a program at a hook; when the last handle or pin goes, the program is detached.

    After the removal of a pin the kernel does so a moment later; call `detach` first where the caller relies on it.
    """

    def __init__(self):
        raise TypeError("use Program.attach_tcx, Program.attach_xdp, Link.open_pinned or Link.from_id")

    @staticmethod
    def open_pinned(path):
        """Open the link pinned at `path`. Raises HandleError."""
        return adopt_link(open_pin(path, "link"), f"link {os.path.basename(os.fsdecode(path))}")

    @staticmethod
    def from_id(uint32_t id):
        """Open the link with the kernel's number `id`. Raises ProgramError(ENOENT) when it is gone."""
        cdef int fd
        with nogil:
            fd = libbpf.bpf_link_get_fd_by_id(id)
        if fd < 0:
            raise ProgramError(f"link {id}", "opening by id", -fd)
        return adopt_link(fd, f"link {id}")

    def __repr__(self):
        return f"<Link {self.name}{' closed' if self.closed else ''}>"

    @property
    def id(self):
        """The kernel's number of the link."""
        return link_info(self).id

    @property
    def program_id(self):
        """The kernel's number of the program that the link holds now."""
        return link_info(self).prog_id

    @property
    def ifindex(self):
        """The interface it is attached to; 0 once that is gone or the link was detached."""
        return link_info(self).ifindex

    @property
    def hook(self):
        """Where the program runs."""
        cdef cf_link_info info = link_info(self)
        if info.type == CF_LINK_TYPE_XDP:
            return Hook.XDP
        return Hook.TCX_INGRESS if info.attach_type == CF_TCX_INGRESS else Hook.TCX_EGRESS

    def update_program(self, Program program, *, Program old=None):
        """Put `program` in the place of the present one; every packet meets one of the two.

        With `old` only if that is the present one, else ProgramError(EPERM). Raises ProgramError(ENOLINK) when the
        interface is gone.
        """
        cdef int error, old_fd = -1
        if old is not None:
            old_fd = old.fileno()
        self._enter("update")
        try:
            program._enter("update")
            try:
                with nogil:
                    error = cf_link_update(self._fd, program._fd, old_fd)
            finally:
                program._leave()
        finally:
            self._leave()
        if error:
            raise ProgramError(self.name, f"update to {program.name}", -error)

    def detach(self):
        """Detach now, whatever handles and pins there are; a pin stays as a file and must be removed."""
        cdef int error
        self._enter("detach")
        try:
            with nogil:
                error = libbpf.bpf_link_detach(self._fd)
        finally:
            self._leave()
        if error:
            raise ProgramError(self.name, "detach", -error)
