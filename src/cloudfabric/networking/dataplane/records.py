# SPDX-License-Identifier: Apache-2.0
"""Goal-state entries as rows of a host's tables: which table, which key, which value.

The layout of keys and values is `_fastpath.layout`'s; here is only what of an entry goes where.
"""

from cloudfabric._fastpath.hashing import maglev_table
from cloudfabric._fastpath.layout import (
    ADDRESS,
    INDEX,
    AddressKey,
    Config,
    Endpoint,
    GroupKey,
    Host,
    Interface,
    Peer,
    Route,
    RouteKey,
)
from cloudfabric.networking import goalstate
from cloudfabric.networking.dataplane.protocol import GATEWAY_MAC, HostFacts
from cloudfabric.networking.goalstate import Group, Key, KnownHost, LocalEndpoint, Member

__all__ = [
    "CONFIG_KEY",
    "SHARED_TABLES",
    "address_key",
    "address_of",
    "config",
    "endpoint",
    "generation_of",
    "holder",
    "host",
    "host_of",
    "interface",
    "interface_key",
    "place",
    "row",
    "slot_key",
]

SHARED_TABLES = ("hosts", "members", "routes", "groups")
"""Tables that hold one row per entry of their sort; those of local endpoints follow the interfaces that exist."""

CONFIG_KEY = INDEX.pack(0)

_ALL_BITS = 0xFFFFFFFF


def row(entry: Member | goalstate.Route | Group | KnownHost) -> tuple[str, bytes, bytes]:
    """Return table, key and value of an entry."""
    if isinstance(entry, Member):
        value = Host(entry.host).pack()
    elif isinstance(entry, goalstate.Route):
        value = Route(entry.segment).pack()
    elif isinstance(entry, Group):
        value = maglev_table(entry.hosts)
    else:
        value = Peer().pack()
    return *place(entry.key), value


def place(key: Key) -> tuple[str, bytes]:
    """Return table and key of the row that an entry with this key has."""
    match key:
        case ("member", vni, address):
            return "members", AddressKey(vni, address).pack()
        case ("route", vni, network, prefix_length):
            return "routes", RouteKey.of(vni, network, prefix_length).pack()
        case ("group", vni, segment):
            return "groups", GroupKey(vni, segment).pack()
        case ("host", address):
            return "hosts", ADDRESS.pack(address)
        case _:
            raise ValueError(f"goal-state key {key} has no table; it is of a sort that this version does not know")


def endpoint(entry: LocalEndpoint, index: int, slot: int) -> tuple[bytes, bytes]:
    """Return the key and value by which packets are delivered to an endpoint."""
    return address_key(entry.key), Endpoint(index, slot, entry.mac).pack()


def interface(entry: LocalEndpoint, index: int, slot: int) -> tuple[bytes, bytes]:
    """Return the key and value that say what an endpoint may send."""
    netmask = _ALL_BITS << (32 - entry.prefix_length) & _ALL_BITS
    value = Interface(entry.vni, entry.address, netmask, entry.segment, slot, entry.mac)
    return interface_key(index), value.pack()


def address_of(key: Key) -> tuple[int, int]:
    """Return VNI and address in the key of a local endpoint."""
    match key:
        case ("endpoint", vni, address):
            return vni, address
        case _:
            raise ValueError(f"goal-state key {key} is not that of a local endpoint")


def address_key(key: Key) -> bytes:
    """Return the row key of a local endpoint in `endpoints`."""
    vni, address = address_of(key)
    return AddressKey(vni, address).pack()


def interface_key(index: int) -> bytes:
    """Return the row key of an interface in `interfaces`."""
    return INDEX.pack(index)


def slot_key(slot: int) -> bytes:
    """Return the row key of a counter slot."""
    return INDEX.pack(slot)


def holder(value: bytes) -> tuple[Key, int]:
    """Read a row of `interfaces`: the key of the endpoint that it is for, and that one's counter slot."""
    read = Interface.unpack(value)
    return ("endpoint", read.vni, read.address), read.slot


def host(address: int) -> bytes:
    """Return the value of a row in `learnt` that leads to a host."""
    return Host(address).pack()


def host_of(key: bytes) -> int:
    """Read the address in a row key of `hosts`."""
    [address] = ADDRESS.unpack(key)
    return int(address)


def config(facts: HostFacts, uplink: int, generation: int) -> bytes:
    """Return the value of the one row of `config`; `generation` is 1 or more."""
    return Config(int(facts.address), uplink, facts.mtu, generation, GATEWAY_MAC, facts.ttl).pack()


def generation_of(value: bytes) -> int:
    """Read the generation in the row of `config`; 0 if nobody has written it yet."""
    return Config.unpack(value).generation
