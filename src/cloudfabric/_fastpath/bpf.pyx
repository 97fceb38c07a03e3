# SPDX-License-Identifier: Apache-2.0
"""Loads BPF objects with libbpf: one `Object` is one .bpf.o in the kernel, with its maps and programs.

Loading is one step: parse the ELF file, apply the sizes that the caller asks for, take over the maps that are pinned
below `pin_root` already (and pin those that are not), load the programs through the verifier. It either succeeds whole
or leaves nothing behind: no descriptor, and no pin that was not there before. Afterwards libbpf's own structures are
freed; what remains are the handles in `maps` and `programs`, which outlive the Object if somebody else holds them.

    with Object("uplink.bpf.o", max_entries={"learnt": 65536}, pin_root="/sys/fs/bpf/host1/maps") as uplink:
        link = uplink.programs["cf_uplink"].attach_tcx(ifindex, pin_path="/sys/fs/bpf/host1/links/uplink")

This module also offers what `programs`, `attachments` and `clsact` have, so that callers need one import.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EEXIST, errno
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memset

cimport cloudfabric._fastpath.libbpf as libbpf
from cloudfabric._fastpath.handles cimport own_copy
from cloudfabric._fastpath.maps cimport Map, adopt
from cloudfabric._fastpath.programs cimport Program, adopt_program

import os
from types import MappingProxyType

from cloudfabric._fastpath.attachments import attached, tcx_supported
from cloudfabric._fastpath.clsact import ClsactFilter
from cloudfabric._fastpath.errors import LoadError, PinMismatch
from cloudfabric._fastpath.programs import Link
from cloudfabric._fastpath.programs import Program as _Program
from cloudfabric._fastpath.results import Attachment, Hook, ProgramInfo, ProgramType, TestRun, XdpMode

__all__ = ["Attachment", "ClsactFilter", "Hook", "Link", "Object", "Program", "ProgramInfo", "ProgramType", "TestRun",
           "XdpMode", "attached", "tcx_supported"]

globals()["Program"] = _Program  # cimported above, which does not make it a name of the module


cdef extern from "libbpf_log.h" nogil:
    void cf_log_install()
    void cf_log_begin()
    char *cf_log_end(size_t *length)

cf_log_install()


cdef str log_end():
    """What libbpf said on this thread since cf_log_begin."""
    cdef size_t length = 0
    cdef char *text = cf_log_end(&length)
    try:
        return PyBytes_FromStringAndSize(text, length).decode("utf-8", "replace") if text != NULL else ""
    finally:
        free(text)


cdef class Object:
    """A loaded BPF object: `name`, `maps` and `programs` by their names in the C source."""

    cdef readonly str name
    cdef readonly object maps
    cdef readonly object programs

    def __init__(self, source, *, name=None, max_entries=None, pin_root=None, programs=None):
        """Load `source`: a path, or the bytes of a .bpf.o.

        `max_entries` overrides the sizes of maps by name; `pin_root` is a directory on a BPF file system where every
        map is pinned by its name, reused if it is there with the same shape; `programs` names those to load (default:
        all); `name` is for errors. Raises LoadError with libbpf's and the verifier's log, PinMismatch, KeyError for a
        map or program that the object does not have, OSError when the file cannot be read.
        """
        cdef libbpf.bpf_object *handle
        cdef list created = []
        cdef bytes image
        if isinstance(source, (str, os.PathLike)):
            self.name = name or os.path.basename(os.fspath(source))
            with open(source, "rb") as file:
                image = file.read()
        else:
            self.name = name or "object"
            image = bytes(source)
        handle = open_object(self.name, image)
        try:
            choose_programs(handle, self.name, programs)
            resize_maps(handle, self.name, max_entries or {})
            if pin_root is not None:
                created = pin_maps(handle, self.name, os.fspath(pin_root))
            try:
                load_object(handle, self.name)
                self.maps = MappingProxyType(take_maps(handle))
                self.programs = MappingProxyType(take_programs(handle))
            except BaseException:
                for path in created:
                    remove_pin(path)
                raise
        finally:
            with nogil:
                libbpf.bpf_object__close(handle)

    def close(self):
        """Close the handles of all maps and programs."""
        for handle in (*self.maps.values(), *self.programs.values()):
            handle.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __repr__(self):
        return f"<Object {self.name} programs={list(self.programs)} maps={list(self.maps)}>"


cdef libbpf.bpf_object *open_object(str name, bytes image) except NULL:
    """Parse an ELF image; libbpf copies what it needs of it."""
    cdef libbpf.bpf_object_open_opts options
    cdef libbpf.bpf_object *handle
    cdef bytes raw = name.split(".")[0].encode()
    cdef const char *object_name = raw
    cdef const char *data = PyBytes_AS_STRING(image)
    cdef size_t size = len(image)
    cdef int error
    memset(&options, 0, sizeof(options))
    options.sz = sizeof(options)
    options.object_name = object_name
    with nogil:
        cf_log_begin()
        handle = libbpf.bpf_object__open_mem(data, size, &options)
        error = errno
    log = log_end()
    if handle == NULL:
        raise LoadError(name, "reading the ELF file", error, log)
    return handle


cdef int choose_programs(libbpf.bpf_object *handle, str name, wanted) except -1:
    """Set which programs are loaded, and the type of tcx programs, whose sections libbpf 1.1 does not know."""
    cdef libbpf.bpf_program *program = libbpf.bpf_object__next_program(handle, NULL)
    names = set()
    while program != NULL:
        program_name = libbpf.bpf_program__name(program).decode()
        names.add(program_name)
        if libbpf.bpf_program__section_name(program).startswith(b"tcx/"):
            libbpf.bpf_program__set_type(program, libbpf.BPF_PROG_TYPE_SCHED_CLS)
        if wanted is not None:
            libbpf.bpf_program__set_autoload(program, program_name in wanted)
        program = libbpf.bpf_object__next_program(handle, program)
    for unknown in set(wanted or ()) - names:
        raise KeyError(f"{name} has no program {unknown!r}; it has {', '.join(sorted(names))}")
    return 0


cdef int resize_maps(libbpf.bpf_object *handle, str name, max_entries) except -1:
    cdef libbpf.bpf_map *map = libbpf.bpf_object__next_map(handle, NULL)
    cdef uint32_t size
    names = set()
    while map != NULL:
        map_name = libbpf.bpf_map__name(map).decode()
        names.add(map_name)
        if map_name in max_entries:
            size = max_entries[map_name]
            libbpf.bpf_map__set_max_entries(map, size)
        map = libbpf.bpf_object__next_map(handle, map)
    for unknown in set(max_entries) - names:
        raise KeyError(f"{name} has no map {unknown!r}; it has {', '.join(sorted(names))}")
    return 0


cdef list pin_maps(libbpf.bpf_object *handle, str name, str root):
    """Tell libbpf where each map is, or is to be, pinned; return the paths that are not there yet."""
    cdef libbpf.bpf_map *map = libbpf.bpf_object__next_map(handle, NULL)
    cdef bytes path
    cdef int error
    created = []
    os.makedirs(root, mode=0o700, exist_ok=True)
    while map != NULL:
        if not libbpf.bpf_map__is_internal(map):
            map_name = libbpf.bpf_map__name(map).decode()
            path = os.fsencode(os.path.join(root, map_name))
            if os.path.lexists(path):
                check_pin(map, map_name, path)
            else:
                created.append(path)
            error = libbpf.bpf_map__set_pin_path(map, path)
            if error:
                raise LoadError(name, f"setting the pin path of map {map_name}", -error, "")
        map = libbpf.bpf_object__next_map(handle, map)
    return created


cdef int check_pin(libbpf.bpf_map *map, str map_name, bytes path) except -1:
    """Raise PinMismatch unless what is pinned has the shape that the object declares."""
    with Map.open_pinned(path) as pinned:
        pairs = {
            "type": (int(pinned.type), libbpf.bpf_map__type(map)),
            "key_size": (pinned.key_size, libbpf.bpf_map__key_size(map)),
            "value_size": (pinned.value_size, libbpf.bpf_map__value_size(map)),
            "max_entries": (pinned.max_entries, libbpf.bpf_map__max_entries(map)),
            "flags": (pinned.flags, libbpf.bpf_map__map_flags(map)),
        }
    differences = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    if differences:
        raise PinMismatch(map_name, os.fsdecode(path), differences, EEXIST)
    return 0


cdef int remove_pin(bytes path) except -1:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    return 0


cdef int load_object(libbpf.bpf_object *handle, str name) except -1:
    cdef int error
    with nogil:
        cf_log_begin()
        error = libbpf.bpf_object__load(handle)
    log = log_end()
    if error:
        raise LoadError(name, "loading", -error, log)
    return 0


cdef dict take_maps(libbpf.bpf_object *handle):
    """Handles of our own on the object's maps."""
    cdef libbpf.bpf_map *map = libbpf.bpf_object__next_map(handle, NULL)
    maps = {}
    while map != NULL:
        map_name = libbpf.bpf_map__name(map).decode()
        maps[map_name] = adopt(own_copy(libbpf.bpf_map__fd(map)), map_name)
        map = libbpf.bpf_object__next_map(handle, map)
    return maps


cdef dict take_programs(libbpf.bpf_object *handle):
    """Handles of our own on the programs that were loaded."""
    cdef libbpf.bpf_program *program = libbpf.bpf_object__next_program(handle, NULL)
    programs = {}
    while program != NULL:
        if libbpf.bpf_program__autoload(program):
            program_name = libbpf.bpf_program__name(program).decode()
            programs[program_name] = adopt_program(own_copy(libbpf.bpf_program__fd(program)), program_name)
        program = libbpf.bpf_object__next_program(handle, program)
    return programs
