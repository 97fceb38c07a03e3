# SPDX-License-Identifier: Apache-2.0
"""Waiting for BPF programs that are under way.

A deleted element of a BPF hash map goes back to the map at once, and the next insertion may take its memory while a
program that looked the old element up still reads from it: for the length of one packet, an endpoint's interface could
become another tenant's. So whoever removes an element waits for such programs before inserting another.

The kernel has that wait: an update of a map of maps returns only when every program run that began before has ended
(`maybe_wait_bpf_programs` in kernel/bpf/syscall.c, since 4.12). It takes some milliseconds.
"""

from cloudfabric._fastpath.layout import INDEX
from cloudfabric._fastpath.maps import Map, MapType

__all__ = ["GracePeriod"]


class GracePeriod:
    """Waits until no program run is left that began before; raises MapError if the kernel refuses the maps."""

    def __init__(self) -> None:
        self._inner = Map.create("cf_grace", MapType.ARRAY, INDEX.size, INDEX.size, 1)
        try:
            self._outer = Map.create("cf_grace", MapType.ARRAY_OF_MAPS, INDEX.size, INDEX.size, 1, inner=self._inner)
        except BaseException:
            self._inner.close()
            raise

    def wait(self) -> None:
        """Return when every program run that began before this call has ended."""
        self._outer.update(INDEX.pack(0), INDEX.pack(self._inner.fileno()))

    def close(self) -> None:
        """Give the maps up."""
        self._outer.close()
        self._inner.close()
