# SPDX-License-Identifier: Apache-2.0
"""Which way a packet took, read from what each host counted around it.

A host that holds several roles takes their steps at once and counts only the last (bpf/include/cloudfabric/forward.h),
and one that finds itself the packet's destination delivers it without counting a role at all. So a path is put
together from the verdicts in the order of the stages, and the gaps are filled by the only role that fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cloudfabric._fastpath.verdicts import Category, Verdict

__all__ = ["Hop", "Path", "changes", "path_of"]

Counts = Mapping[Verdict, int]

_TRANSIT = (Verdict.BOUNCER_TO_HOST, Verdict.BOUNCER_TO_DIVIDER, Verdict.DIVIDER_TO_BOUNCER)


@dataclass(frozen=True, slots=True)
class Hop:
    """A host that a packet met on its way, and as what."""

    role: str
    host: str

    def __str__(self) -> str:
        return f"{self.role} {self.host}"


@dataclass(frozen=True, slots=True)
class Path:
    """How packets between two workloads travelled.

    Args:
        hops: hosts between the two, in order.
        local: both ends are on one host, which the packets did not leave.
        direct: packets went straight from host to host.
        dropped: verdicts of packets that did not arrive.
    """

    hops: tuple[Hop, ...] = ()
    local: bool = False
    direct: bool = False
    dropped: tuple[Verdict, ...] = ()

    def __str__(self) -> str:
        if self.dropped:
            return "dropped: " + ", ".join(verdict.text for verdict in self.dropped)
        if self.hops:
            return " → ".join(map(str, self.hops))
        return "same host" if self.local else "direct" if self.direct else "nothing was sent"


def changes(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> dict[str, dict[Verdict, int]]:
    """Return by host which verdicts were met between two readings, and how often."""
    return {
        host: {
            verdict: count - before[host][verdict]
            for verdict, count in counts.items()
            if count != before[host][verdict]
        }
        for host, counts in after.items()
    }


def path_of(met: Mapping[str, Counts], source: str, destination: str) -> Path:
    """Put together the path of a request from the verdicts that it and its reply met.

    Args:
        met: by host, the verdicts met; those of no other packets.
        source: host of the sender.
        destination: host of the receiver.
    """
    dropped = {verdict for counts in met.values() for verdict in counts if verdict.category is Category.DROP}
    if dropped:
        return Path(dropped=tuple(sorted(dropped)))
    at = {verdict: host for host, counts in met.items() for verdict in counts if verdict in _TRANSIT}
    sent = met.get(source, {})
    if not at and Verdict.SENT_BOUNCER not in sent:
        return Path(local=Verdict.SENT_LOCAL in sent, direct=Verdict.SENT_DIRECT in sent)
    return Path(hops=tuple(_hops(at, destination)))


def _hops(at: Mapping[Verdict, str], destination: str) -> list[Hop]:
    first, middle, last = (
        at.get(verdict) for verdict in (Verdict.BOUNCER_TO_DIVIDER, Verdict.DIVIDER_TO_BOUNCER, Verdict.BOUNCER_TO_HOST)
    )
    hops = []
    if first is not None:
        hops.append(Hop("bouncer", first))
    if middle is not None:
        hops.append(Hop("divider" if first is not None else "bouncer+divider", middle))
    if last is not None:
        hops.append(Hop("divider+bouncer" if first is not None and middle is None else "bouncer", last))
    else:  # the destination's host held the next role itself
        hops.append(Hop("divider" if first is not None and middle is None else "bouncer", destination))
    return hops
