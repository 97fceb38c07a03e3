# SPDX-License-Identifier: Apache-2.0
"""The BPF programs of one host: loaded, attached, and replaced without a packet seeing the change.

Below the host's directory in a BPF file system, `maps/<name>` are the maps that all programs share and `links/<name>`
hold the programs in their places: `links/uplink`, perhaps `links/transit-xdp`, and one per workload interface, named
like it. Both outlive the process. Opening them again loads the programs of this version, which take the pinned maps
over, and puts them into the existing links.

At the uplink `cf_uplink` does everything. On a network card whose driver runs XDP, bouncer and divider can also run
before it, where a packet costs least; on a virtual interface that would throw segmentation offload away. Kernels before
6.6 have no tcx; there the programs are filters of clsact, which go with their interface.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from cloudfabric._fastpath.bpf import ClsactFilter, Link, Object, Program, XdpMode, tcx_supported
from cloudfabric._fastpath.maps import Map

__all__ = ["HostPrograms"]

_UPLINK, _XDP = "uplink", "transit-xdp"


class HostPrograms:
    """The loaded programs of one host, and the maps that they share.

    Used from a thread inside the host's network namespace. Raises what `cloudfabric._fastpath` raises.

    Args:
        pins: the host's directory in a BPF file system; made if it is not there.
        max_entries: sizes of maps by name, where they differ from the defaults.
        xdp: whether bouncer and divider run as native XDP at the uplink too.
    """

    def __init__(self, pins: Path, max_entries: Mapping[str, int], xdp: bool) -> None:
        self._links = pins / "links"
        self._tcx = tcx_supported()
        self._objects: list[Object] = []
        maps: dict[str, Map] = {}
        programs: dict[str, Program] = {}
        try:
            for name in ("endpoint.bpf.o", "uplink.bpf.o", *(["transit.bpf.o"] if xdp else [])):
                loaded = _load(name, pins / "maps", max_entries)
                self._objects.append(loaded)
                maps.update(loaded.maps)
                programs.update(loaded.programs)
        except BaseException:
            self.close()
            raise
        self._links.mkdir(mode=0o700, exist_ok=True)
        self.maps: Mapping[str, Map] = MappingProxyType(maps)
        self._endpoint = programs["cf_endpoint"]
        self._uplink = programs["cf_uplink"]
        self._xdp = programs.get("cf_transit_xdp")

    def attach_uplink(self, ifindex: int) -> None:
        """Put the uplink program, and XDP in front of it, at the interface to the underlay, or replace those there."""
        self._attach(self._uplink, _UPLINK, ifindex)
        if self._xdp is not None and not self._take_over(self._xdp, _XDP, ifindex):
            self._xdp.attach_xdp(ifindex, mode=XdpMode.NATIVE, pin_path=self._links / _XDP).close()

    def attach_endpoint(self, interface: str, ifindex: int) -> None:
        """Put the endpoint program at the host's side of a workload's interface, or in the place of the one there."""
        self._attach(self._endpoint, interface, ifindex)

    def detach_endpoint(self, interface: str, ifindex: int) -> None:
        """Take the endpoint program away from an interface; does nothing if that is gone."""
        (self._links / interface).unlink(missing_ok=True)
        if not self._tcx:
            ClsactFilter(ifindex).detach()

    def attached_endpoints(self) -> tuple[str, ...]:
        """Return the interfaces for which a link is pinned, whether they still exist or not."""
        return tuple(pin.name for pin in self._links.iterdir() if pin.name not in (_UPLINK, _XDP))

    def close(self) -> None:
        """Give up all handles; what is attached stays attached."""
        for loaded in self._objects:
            loaded.close()

    def _attach(self, program: Program, name: str, ifindex: int) -> None:
        if not self._tcx:
            program.attach_clsact(ifindex, replace=True)
        elif not self._take_over(program, name, ifindex):
            program.attach_tcx(ifindex, pin_path=self._links / name).close()

    def _take_over(self, program: Program, name: str, ifindex: int) -> bool:
        """Put a program into the pinned link, if there is one and it is at this interface still."""
        pin = self._links / name
        if not pin.exists():
            return False
        with Link.open_pinned(pin) as link:
            if link.ifindex == ifindex:
                link.update_program(program)
                return True
        pin.unlink()
        return False


def _load(name: str, maps: Path, max_entries: Mapping[str, int]) -> Object:
    image = resources.files("cloudfabric._bpf").joinpath(name).read_bytes()
    return Object(image, name=name, max_entries=max_entries, pin_root=maps)
