# SPDX-License-Identifier: Apache-2.0
"""The network stack of a simulated workload: as much of ARP, ICMP and TCP as the lab's questions need.

No I/O and no clock: `ping` and `connect` return the frames to send, `receive` takes a frame and returns the frames to
send because of it. It answers echo requests, and on one TCP port with its identity. Frames are neither lost nor
reordered between simulated hosts, so there is no retransmission; a segment out of place is ignored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from cloudfabric.lab import packets
from cloudfabric.lab.packets import ACK, FIN, PSH, SYN, Arp, Echo, Tcp
from cloudfabric.lab.substrate import IDENTITY_PORT, Workload

__all__ = ["WorkloadStack"]

_FIRST_PORT = 32768
_MODULUS = 1 << 32


@dataclass(slots=True)
class _Connection:
    """One side of a TCP connection: what is sent next, what is expected next, what came."""

    sent: int
    expected: int = 0
    received: bytes = b""
    closed: bool = False


@dataclass(slots=True)
class WorkloadStack:
    """A workload's side of its interface.

    Args:
        workload: whose it is.
    """

    workload: Workload
    replies: set[int] = field(default_factory=set)
    _neighbours: dict[int, bytes] = field(default_factory=dict)
    _waiting: dict[int, list[Echo | Tcp]] = field(default_factory=dict)
    _sequences: Iterator[int] = field(default_factory=lambda: count(1))
    _ports: Iterator[int] = field(default_factory=lambda: count(_FIRST_PORT))
    _clients: dict[int, _Connection] = field(default_factory=dict)
    _servers: dict[tuple[int, int], _Connection] = field(default_factory=dict)

    @property
    def address(self) -> int:
        """The workload's own address."""
        return int(self.workload.address.ip)

    def ping(self, address: int) -> tuple[int, list[bytes]]:
        """Begin an echo request; its number is in `replies` once the answer has come."""
        sequence = next(self._sequences) & 0xFFFF
        self.replies.discard(sequence)
        return sequence, self._send(Echo(self.address, address, True, 1, sequence, bytes(48)))

    def connect(self, address: int) -> tuple[int, list[bytes]]:
        """Begin to ask for an identity; `answer` tells it by the number returned."""
        port = next(self._ports)
        self._clients[port] = _Connection(sent=port * 1000 % _MODULUS)
        return port, self._send_segment(address, port, IDENTITY_PORT, self._clients[port], SYN)

    def answer(self, port: int) -> str | None:
        """Return the identity that a connection brought and forget it, None if it brought none."""
        connection = self._clients.pop(port)
        return connection.received.decode().strip() if connection.closed else None

    def receive(self, frame: bytes) -> list[bytes]:
        """Take a frame and return those to send because of it."""
        packet = packets.parse(frame)
        if isinstance(packet, Arp):
            return self._receive_arp(packet)
        if packet is None or packet.destination != self.address:
            return []
        return self._receive_echo(packet) if isinstance(packet, Echo) else self._receive_segment(packet)

    def _receive_arp(self, packet: Arp) -> list[bytes]:
        if packet.opcode != 2:
            return []
        self._neighbours[packet.sender] = packet.sender_mac
        return [frame for waiting in self._waiting.pop(packet.sender, []) for frame in self._send(waiting)]

    def _receive_echo(self, packet: Echo) -> list[bytes]:
        if not packet.request:
            self.replies.add(packet.sequence)
            return []
        answer = Echo(self.address, packet.source, False, packet.identifier, packet.sequence, packet.payload)
        return self._send(answer)

    def _receive_segment(self, segment: Tcp) -> list[bytes]:
        if segment.destination_port == IDENTITY_PORT:
            return self._serve(segment)
        client = self._clients.get(segment.destination_port)
        if client is None:
            return []
        reply = (segment.source, segment.destination_port, segment.source_port, client)
        if segment.flags & SYN:
            client.expected = (segment.sequence + 1) % _MODULUS
            client.sent = (client.sent + 1) % _MODULUS
            return self._send_segment(*reply, ACK)
        if segment.sequence != client.expected:
            return []
        client.received += segment.payload
        client.expected = (client.expected + len(segment.payload) + bool(segment.flags & FIN)) % _MODULUS
        if not segment.flags & FIN:
            return []
        client.closed = True
        return self._send_segment(*reply, ACK | FIN)

    def _serve(self, segment: Tcp) -> list[bytes]:
        """Answer with the identity as soon as the connection stands, and close it."""
        peer = (segment.source, segment.source_port)
        if segment.flags & SYN:
            server = self._servers[peer] = _Connection(sent=1, expected=(segment.sequence + 1) % _MODULUS)
            return self._send_segment(segment.source, IDENTITY_PORT, segment.source_port, server, SYN | ACK)
        if segment.flags & FIN:
            self._servers.pop(peer, None)
            return []
        server_or_none = self._servers.get(peer)
        if server_or_none is None or server_or_none.closed:
            return []
        server_or_none.closed = True
        server_or_none.sent += 1
        line = f"{self.workload.identity}\n".encode()
        return self._send_segment(*peer[:1], IDENTITY_PORT, peer[1], server_or_none, PSH | ACK | FIN, line)

    def _send_segment(
        self,
        address: int,
        source_port: int,
        destination_port: int,
        state: _Connection,
        flags: int,
        payload: bytes = b"",
    ) -> list[bytes]:
        ports = (source_port, destination_port)
        return self._send(Tcp(self.address, address, *ports, state.sent, state.expected, flags, payload))

    def _send(self, packet: Echo | Tcp) -> list[bytes]:
        """Return the packet's frame, or an ARP request for its next hop, behind which it waits."""
        network = self.workload.address.network
        inside = int(network.network_address) <= packet.destination <= int(network.broadcast_address)
        next_hop = packet.destination if inside else int(self.workload.gateway)
        mac = self._neighbours.get(next_hop)
        if mac is not None:
            build = packets.echo if isinstance(packet, Echo) else packets.tcp
            return [build(packet, self.workload.mac, mac)]  # type: ignore[arg-type]
        self._waiting.setdefault(next_hop, []).append(packet)
        return [packets.arp(Arp(1, self.workload.mac, self.address, next_hop), self.workload.mac)]
