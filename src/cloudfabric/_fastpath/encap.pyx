# SPDX-License-Identifier: Apache-2.0
"""Building and parsing Geneve packets as the data plane does, one by one or in batches.

The batch forms work on one buffer of frames laid end to end with an array of lengths; they make no object per frame and
release the GIL. What happens to a packet on its way is `pipeline`'s.

Addresses are integers in host order; frames begin with an Ethernet header and have no check sequence at the end.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataclasses import dataclass
from enum import IntEnum

from cloudfabric._fastpath.verdicts import Verdict

__all__ = [
    "OVERHEAD_BOUNCED", "OVERHEAD_DIRECT", "OVERHEAD_RESERVED", "MalformedPacket", "Stage", "Tunnel", "decapsulate",
    "decapsulate_batch", "encapsulate", "encapsulate_batch",
]


cdef extern from "cloudfabric/geneve.h" nogil:
    enum:
        CF_OVERHEAD_DIRECT
        CF_OVERHEAD_BOUNCED
        CF_OVERHEAD_RESERVED
        CF_PASS
        CF_NOT_OURS
        CF_DROP_TRUNCATED

    struct cf_config:
        uint32_t address
        uint8_t ttl

    struct cf_flow:
        uint32_t hash

    struct cf_tunnel:
        uint32_t vni
        uint32_t source
        uint32_t sender
        uint32_t offset
        uint8_t stage
        uint8_t control

    struct cf_eth:
        pass

    struct cf_outer:
        pass

    struct cf_bounce_option:
        pass

    int cf_parse_ipv4(void *start, void *end, uint32_t wire_length, cf_flow *flow)
    int cf_parse_tunnel(void *start, void *end, uint32_t wire_length, uint32_t address, cf_tunnel *tunnel)
    void cf_write_outer(cf_outer *outer, const cf_config *config, uint32_t destination, uint32_t vni, uint32_t hash,
                        uint32_t length, uint8_t option_words)
    void cf_write_bounce(cf_bounce_option *option, uint32_t sender, uint8_t stage)

cdef extern from "<arpa/inet.h>" nogil:
    uint32_t htonl(uint32_t value)
    uint32_t ntohl(uint32_t value)

OVERHEAD_DIRECT = CF_OVERHEAD_DIRECT
OVERHEAD_BOUNCED = CF_OVERHEAD_BOUNCED
OVERHEAD_RESERVED = CF_OVERHEAD_RESERVED


class Stage(IntEnum):
    """Where a bounced packet is on its way (`enum cf_stage`)."""

    NONE = 0
    BOUNCER = 1
    DIVIDER = 2
    SUBNET_BOUNCER = 3
    HOST = 4


class MalformedPacket(ValueError):
    """A packet could not be parsed; `verdict` says why, `index` which one of a batch it was."""

    def __init__(self, verdict, index=None):
        where = "" if index is None else f"packet {index}: "
        super().__init__(f"{where}{verdict.text} ({verdict.name})")
        self.verdict = verdict
        self.index = index


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A parsed Geneve packet: `frame` is the inner Ethernet frame, `sender` the host that it came from first."""

    vni: int
    source: int
    sender: int
    stage: Stage
    control: bool
    frame: bytes


cdef int overhead_of(int stage) noexcept nogil:
    return CF_OVERHEAD_BOUNCED if stage else CF_OVERHEAD_DIRECT


cdef int write_packet(const cf_config *config, uint32_t destination, uint32_t vni, uint32_t sender, int stage,
                      const unsigned char *frame, uint32_t length, unsigned char *packet) noexcept nogil:
    """Write the Geneve packet of one frame; `packet` has room for it. Returns a verdict, CF_PASS if written."""
    cdef cf_flow flow
    cdef unsigned char *outer = packet + sizeof(cf_eth)
    cdef unsigned char *inner = packet + overhead_of(stage)
    cdef int verdict
    if length < sizeof(cf_eth):
        return CF_DROP_TRUNCATED
    flow.hash = 0
    if frame[12] == 8 and frame[13] == 0:  # a frame that is not IPv4 has no flow, and no hash
        verdict = cf_parse_ipv4(<void *>(frame + sizeof(cf_eth)), <void *>(frame + length), length - sizeof(cf_eth),
                                &flow)
        if verdict != CF_PASS:
            return verdict
    memset(packet, 0, sizeof(cf_eth))
    packet[12] = 8
    cf_write_outer(<cf_outer *>outer, config, destination, vni, flow.hash,
                   length + (inner - outer) - sizeof(cf_outer), sizeof(cf_bounce_option) // 4 if stage else 0)
    if stage:
        cf_write_bounce(<cf_bounce_option *>(outer + sizeof(cf_outer)), sender, stage)
    memcpy(inner, frame, length)
    return CF_PASS


cdef check_encapsulation(int64_vni, int stage, int ttl):
    if not 0 <= int64_vni < 1 << 24:
        raise ValueError(f"VNI {int64_vni} does not fit 24 bits")
    if not 0 <= stage <= 4:
        raise ValueError(f"no stage {stage}; see Stage")
    if not 0 < ttl < 256:
        raise ValueError(f"TTL {ttl} is not between 1 and 255")


def encapsulate(frame, *, vni, source, destination, sender=None, stage=Stage.NONE, ttl=64):
    """Wrap an Ethernet frame into a Geneve packet over IPv4 and return it, Ethernet header (MACs zero) first.

    `source` and `destination` are the hosts' addresses. With a `stage` the packet carries the bounce option, which
    names `sender` (default: `source`). Raises ValueError for a number out of range or a packet over 65,535 bytes, and
    MalformedPacket for a frame without a complete Ethernet header or with a broken IPv4 one.
    """
    return encapsulate_batch(
        frame, memoryview(len(frame).to_bytes(4, "little")).cast("I"), vni=vni, source=source, destination=destination,
        sender=sender, stage=stage, ttl=ttl)[0]


def encapsulate_batch(frames, const uint32_t[::1] lengths, *, vni, source, destination, sender=None, stage=Stage.NONE,
                      ttl=64):
    """Wrap many frames for one destination: `frames` end to end, `lengths` of each as unsigned 32-bit integers.

    Returns `(packets, lengths)`: packets end to end, and a memoryview of their lengths (format "I"). Raises as
    `encapsulate`; nothing is returned when one frame is refused, and the error's `index` says which.
    """
    cdef const unsigned char[::1] view = frames
    cdef Py_ssize_t count = lengths.shape[0], index, offset = 0, written = 0
    cdef uint64_t total = 0
    cdef int step = overhead_of(stage), refused = CF_PASS, packet_stage = stage
    cdef uint32_t number = vni, to = htonl(destination), origin = htonl(source if sender is None else sender)
    cdef cf_config config
    cdef unsigned char *out
    cdef uint32_t[::1] sizes
    check_encapsulation(vni, stage, ttl)
    memset(&config, 0, sizeof(config))
    config.address = htonl(source)
    config.ttl = ttl
    for index in range(count):
        total += lengths[index]
        if lengths[index] + step > 0xffff + sizeof(cf_eth):
            raise ValueError(f"frame {index}: {lengths[index]} bytes do not fit an IPv4 packet once encapsulated")
    if total != <uint64_t>view.shape[0]:
        raise ValueError(f"{view.shape[0]} bytes of frames, but their lengths add up to {total}")
    packets = PyBytes_FromStringAndSize(NULL, view.shape[0] + count * step)
    out = <unsigned char *>PyBytes_AS_STRING(packets)
    made = bytearray(count * 4)
    result = memoryview(made).cast("I")
    if count:
        sizes = result
        with nogil:
            for index in range(count):
                refused = write_packet(&config, to, number, origin, packet_stage, &view[0] + offset, lengths[index],
                                       out + written)
                if refused != CF_PASS:
                    break
                sizes[index] = lengths[index] + step
                offset += lengths[index]
                written += sizes[index]
        if refused != CF_PASS:
            raise MalformedPacket(Verdict(refused), index)
    return packets, result


cdef int read_packet(const unsigned char *packet, uint32_t length, cf_tunnel *tunnel) noexcept nogil:
    """Parse one Geneve packet sent to anybody. Returns a verdict, CF_PASS if `tunnel` is filled."""
    cdef uint32_t destination = 0
    if length >= sizeof(cf_eth) + 20:
        memcpy(&destination, packet + sizeof(cf_eth) + 16, 4)
    return cf_parse_tunnel(<void *>packet, <void *>(packet + length), length, destination, tunnel)


cdef verdict_of(int refused):
    return Verdict.DROP_BAD_OUTER if refused == CF_NOT_OURS else Verdict(refused)


def decapsulate(packet):
    """Parse a Geneve packet (with its Ethernet header) and return a Tunnel. Raises MalformedPacket."""
    cdef const unsigned char[::1] view = packet
    cdef cf_tunnel tunnel
    cdef int refused = read_packet(&view[0] if view.shape[0] else NULL, view.shape[0], &tunnel)
    if refused != CF_PASS:
        raise MalformedPacket(verdict_of(refused))
    return Tunnel(tunnel.vni, ntohl(tunnel.source), ntohl(tunnel.sender), Stage(tunnel.stage), bool(tunnel.control),
                  bytes(view[tunnel.offset:]))


def decapsulate_batch(packets, const uint32_t[::1] lengths):
    """Take the outer headers off many packets, laid out as for `encapsulate_batch`.

    Returns `(frames, lengths, vnis)`, the latter two as memoryviews of format "I". Raises ValueError when the lengths
    do not add up and MalformedPacket, with the packet's `index`, when one cannot be parsed.
    """
    cdef const unsigned char[::1] view = packets
    cdef Py_ssize_t count = lengths.shape[0], index = 0, offset = 0, written = 0
    cdef uint64_t total = 0
    cdef int refused = CF_PASS
    cdef cf_tunnel tunnel
    cdef unsigned char[::1] target
    cdef unsigned char *out
    cdef uint32_t[::1] sizes, numbers
    for index in range(count):
        total += lengths[index]
    if total != <uint64_t>view.shape[0]:
        raise ValueError(f"{view.shape[0]} bytes of packets, but their lengths add up to {total}")
    frames = bytearray(view.shape[0])
    made = memoryview(bytearray(count * 4)).cast("I")
    vnis = memoryview(bytearray(count * 4)).cast("I")
    if count and view.shape[0]:
        sizes, numbers = made, vnis
        target = frames
        out = &target[0]
        with nogil:
            for index in range(count):
                refused = read_packet(&view[0] + offset, lengths[index], &tunnel)
                if refused != CF_PASS:
                    break
                sizes[index] = lengths[index] - tunnel.offset
                numbers[index] = tunnel.vni
                memcpy(out + written, &view[0] + offset + tunnel.offset, sizes[index])
                offset += lengths[index]
                written += sizes[index]
        if refused != CF_PASS:
            raise MalformedPacket(verdict_of(refused), index)
    elif count:
        raise MalformedPacket(Verdict.DROP_TRUNCATED, 0)
    return bytes(memoryview(frames)[:written]), made, vnis
