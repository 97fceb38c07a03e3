# SPDX-License-Identifier: Apache-2.0
"""Where the C compiler put the fields of the map keys and values, for the test that compares all views of them.

Three parties must agree on every byte of a map's key and value: the BPF programs (BTF says what clang did), the Cython
core (this module says what the C compiler did), and `layout`, which packs them in Python.
"""

from libc.stddef cimport size_t

__all__ = ["c_offsets"]


cdef extern from "type_offsets.h" nogil:
    enum:
        CF_TYPE_FIELD_COUNT

    struct cf_type_field:
        const char *type
        const char *field
        size_t offset
        size_t size
        size_t type_size

    const cf_type_field[1] cf_type_fields


def c_offsets():
    """`{struct: (size, {field: (offset, size)})}` of `types.h`, in bytes, fields in the order of the header."""
    cdef Py_ssize_t index
    cdef const cf_type_field *entry = &cf_type_fields[0]
    found = {}
    for index in range(CF_TYPE_FIELD_COUNT):
        fields = found.setdefault(entry[index].type.decode(), (entry[index].type_size, {}))[1]
        fields[entry[index].field.decode()] = (entry[index].offset, entry[index].size)
    return found
