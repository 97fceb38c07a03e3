# SPDX-License-Identifier: Apache-2.0
"""What `programs` needs of `clsact`: to attach a program's descriptor."""

from libc.stdint cimport uint32_t


cdef object attach_filter(int fd, str name, int ifindex, bint ingress, uint32_t priority, uint32_t handle, bint replace)
