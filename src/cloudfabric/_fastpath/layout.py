# SPDX-License-Identifier: Apache-2.0
"""The keys and values of the data plane's maps (`bpf/include/cloudfabric/types.h`) as frozen dataclasses.

Each class is the C struct of the same name: `AddressKey` is `struct cf_address_key`. Its fields' annotations say how
they lie in memory; from them come `pack` and `unpack`, without padding, in the byte order that the header asks for.
Addresses are integers here (10.0.0.1 is 0x0a000001) and in network byte order in memory.

    keys = AddressKey.pack_many(AddressKey(vni, address) for address in addresses)
    endpoints.update_batch(keys, Endpoint.pack_many(...))

A test compares every offset and size with the BTF of the programs and with the C compiler's.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from socket import htonl, ntohl
from typing import Annotated, ClassVar, Self, get_args, get_type_hints

__all__ = [
    "ADDRESS",
    "INDEX",
    "MAGLEV_SLOTS",
    "AddressKey",
    "Config",
    "Counter",
    "Endpoint",
    "Group",
    "GroupKey",
    "Host",
    "Interface",
    "NextHop",
    "Packed",
    "Peer",
    "Route",
    "RouteKey",
]

MAGLEV_SLOTS = 1021
VNI_BITS = 32  # of a route's prefix length that the VNI takes

ADDRESS = struct.Struct("!I")
"""Key of `hosts`: a bare address."""

INDEX = struct.Struct("=I")
"""Key of `interfaces` (an ifindex) and of arrays."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a field lies in memory: its code in `struct`, and whether an integer is in network byte order."""

    code: str
    network_order: bool = False

    @property
    def size(self) -> int:
        return struct.calcsize("=" + self.code)


U8 = Annotated[int, _Kind("B")]
U16 = Annotated[int, _Kind("H")]
U32 = Annotated[int, _Kind("I")]
U64 = Annotated[int, _Kind("Q")]
BE32 = Annotated[int, _Kind("I", network_order=True)]
Mac = Annotated[bytes, _Kind("6s")]
Table = Annotated[bytes, _Kind(f"{4 * MAGLEV_SLOTS}s")]


class _Codec:
    """Packs and unpacks one struct."""

    def __init__(self, cls: type) -> None:
        self.kinds: dict[str, _Kind] = {
            name: get_args(hint)[1]
            for name, hint in get_type_hints(cls, include_extras=True).items()
            if name in cls.__annotations__
        }
        self.struct = struct.Struct("=" + "".join(kind.code for kind in self.kinds.values()))
        self.swapped = [index for index, kind in enumerate(self.kinds.values()) if kind.network_order]
        self.fixed = [(name, kind.size) for name, kind in self.kinds.items() if kind.code.endswith("s")]

    def pack(self, entry: "Packed") -> bytes:
        for name, size in self.fixed:
            if len(getattr(entry, name)) != size:
                raise ValueError(f"{entry}: {name} has {len(getattr(entry, name))} bytes, it takes {size}")
        values = [getattr(entry, name) for name in self.kinds]
        try:
            for index in self.swapped:
                values[index] = htonl(values[index])
            return self.struct.pack(*values)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{entry}: {error}") from error

    def values(self, row: tuple[int | bytes, ...]) -> list[int | bytes]:
        values = list(row)
        for index in self.swapped:
            value = values[index]
            values[index] = ntohl(value) if isinstance(value, int) else value
        return values


class Packed:
    """Base of the structs."""

    __slots__ = ()
    _codec: ClassVar[_Codec]

    def __init_subclass__(cls) -> None:
        cls._codec = _Codec(cls)

    @classmethod
    def c_name(cls) -> str:
        """Name of the C struct: `cf_address_key` of AddressKey."""
        return "cf_" + re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def size(cls) -> int:
        """Bytes that one takes."""
        return cls._codec.struct.size

    @classmethod
    def offsets(cls) -> dict[str, tuple[int, int]]:
        """`{field: (offset, size)}` in bytes, in order."""
        found, offset = {}, 0
        for name, kind in cls._codec.kinds.items():
            found[name] = (offset, kind.size)
            offset += kind.size
        return found

    def pack(self) -> bytes:
        """The struct's bytes; raises ValueError for a field that does not fit."""
        return self._codec.pack(self)

    @classmethod
    def pack_many(cls, entries: Iterable[Self]) -> bytes:
        """The bytes of many, one after the other: a buffer for `Map.update_batch`."""
        return b"".join(map(cls._codec.pack, entries))

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview) -> Self:
        """Read one from exactly `size()` bytes; raises ValueError for another length."""
        try:
            return cls(*cls._codec.values(cls._codec.struct.unpack(data)))
        except struct.error as error:
            raise ValueError(f"{cls.__name__}: {error}") from error

    @classmethod
    def unpack_many(cls, data: bytes | bytearray | memoryview) -> Iterator[Self]:
        """Read many from a buffer such as `Map.lookup_batch` returns; raises ValueError when the last is cut short."""
        try:
            rows = cls._codec.struct.iter_unpack(data)
        except struct.error as error:
            raise ValueError(f"{cls.__name__}: {error}") from error
        return (cls(*cls._codec.values(row)) for row in rows)


@dataclass(frozen=True, slots=True)
class AddressKey(Packed):
    """An address inside one VPC: key of `endpoints`, `members` and `learnt`."""

    vni: U32
    address: BE32


@dataclass(frozen=True, slots=True)
class Endpoint(Packed):
    """An endpoint on this host: value of `endpoints`."""

    ifindex: U32
    slot: U32
    mac: Mac
    flags: U16 = 0


@dataclass(frozen=True, slots=True)
class Interface(Packed):
    """What a workload's interface may send: value of `interfaces`."""

    vni: U32
    address: BE32
    netmask: BE32
    segment: U32
    slot: U32
    mac: Mac
    flags: U16 = 0


@dataclass(frozen=True, slots=True)
class Host(Packed):
    """The host that carries an address: value of `members` and `learnt`."""

    address: BE32


@dataclass(frozen=True, slots=True)
class Peer(Packed):
    """A host of this fabric: value of `hosts`."""

    flags: U32 = 0


@dataclass(frozen=True, slots=True)
class NextHop(Packed):
    """The way to a host as a CPU last found it: value of `next_hops`, which belongs to the programs."""

    address: BE32
    generation: U32
    expires: U32
    ifindex: U32
    next_hop_mac: Mac
    own_mac: Mac
    reserved: U32 = 0


@dataclass(frozen=True, slots=True)
class RouteKey(Packed):
    """Key of `routes`; `prefixlen` counts the VNI's 32 bits too: see `of`."""

    prefixlen: U32
    vni: BE32
    address: BE32

    @classmethod
    def of(cls, vni: int, network: int, prefix_length: int) -> Self:
        """The key of a network inside a VPC; `prefix_length` is the network's own (0 to 32)."""
        return cls(VNI_BITS + prefix_length, vni, network)


@dataclass(frozen=True, slots=True)
class Route(Packed):
    """The subnet that a network belongs to: value of `routes`."""

    segment: U32


@dataclass(frozen=True, slots=True)
class GroupKey(Packed):
    """Key of `groups`; segment 0 is the VPC's dividers."""

    vni: U32
    segment: U32


@dataclass(frozen=True, slots=True)
class Group(Packed):
    """A Maglev table as `hashing.maglev_table` returns it: value of `groups`."""

    host: Table


@dataclass(frozen=True, slots=True)
class Config(Packed):
    """Facts about this host: element 0 of `config`; `mtu` in bytes, without the Ethernet header.

    `generation` is 1 or more, and grows whenever a host leaves the fabric.
    """

    address: BE32
    uplink: U32
    mtu: U32
    generation: U32
    gateway_mac: Mac
    ttl: U8
    reserved: U8 = 0


@dataclass(frozen=True, slots=True)
class Counter(Packed):
    """What an endpoint sent and got: value of `endpoint_counters`, per CPU."""

    tx_packets: U64
    tx_bytes: U64
    rx_packets: U64
    rx_bytes: U64
    dropped: U64
