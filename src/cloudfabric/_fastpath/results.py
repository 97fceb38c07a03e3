# SPDX-License-Identifier: Apache-2.0
"""What the BPF loader takes and returns beside handles: enums and frozen records."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

__all__ = ["Attachment", "Hook", "ProgramInfo", "ProgramType", "TestRun", "XdpMode"]


class ProgramType(IntEnum):
    """The program types of `enum bpf_prog_type` that the fabric loads; OTHER is any other."""

    OTHER = 0
    SCHED_CLS = 3
    XDP = 6


class Hook(StrEnum):
    """Where at an interface a program runs."""

    TCX_INGRESS = "tcx/ingress"
    TCX_EGRESS = "tcx/egress"
    CLSACT_INGRESS = "clsact/ingress"
    CLSACT_EGRESS = "clsact/egress"
    XDP = "xdp"


class XdpMode(StrEnum):
    """How an XDP program runs: in the driver, or on socket buffers behind it (slow, for any interface)."""

    NATIVE = "native"
    GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One program attached to an interface; `link_id` is known at tcx only, and None for a program without a link."""

    hook: Hook
    program_id: int
    program_name: str  # as the kernel has it: at most 15 characters
    link_id: int | None


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel tells of a loaded program; sizes in bytes."""

    id: int
    name: str  # as the kernel has it: at most 15 characters
    type: ProgramType
    tag: str  # hash of the instructions, hexadecimal
    xlated_len: int  # after the verifier's rewriting
    jited_len: int  # machine code; 0 without JIT
    verified_insns: int  # how many instructions the verifier walked: its limit is 1,000,000
    map_ids: tuple[int, ...]
    run_count: int  # 0 unless kernel.bpf_stats_enabled
    run_time_ns: int


@dataclass(frozen=True, slots=True)
class TestRun:
    """One BPF_PROG_TEST_RUN: what the program returned, the packet afterwards, and the mean time of a run."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    retval: int  # signed, so that TCX_NEXT is -1
    data: bytes
    duration_ns: int
