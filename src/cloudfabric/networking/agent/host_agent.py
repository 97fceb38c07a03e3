# SPDX-License-Identifier: Apache-2.0
"""Follows one host's goal state: the receiving end of a `HostChannel`.

The agent remembers which entries are in effect and at which version. A delta from that version is reduced to what
really changes and written in batches. A complete delta is compared with what the data plane itself holds, which after
a restart of the agent is whatever was pinned: so traffic is never interrupted and nothing is written twice. After a
restart the agent holds version 0 and the control side, which sees that in `resync`, sends a complete delta.
"""

from cloudfabric.networking.dataplane.protocol import Dataplane
from cloudfabric.networking.goalstate import Acknowledgement, Delta, Failure, GoalState

__all__ = ["HostAgent"]


class HostAgent:
    """The agent of one host; implements `cloudfabric.networking.goalstate.HostChannel`.

    Args:
        dataplane: the host's, which the agent opens and closes.
    """

    def __init__(self, dataplane: Dataplane) -> None:
        self.dataplane = dataplane
        self._state = GoalState()

    @property
    def address(self) -> int:
        """Underlay address of the host."""
        return int(self.dataplane.facts.address)

    @property
    def version(self) -> int:
        """Version of the goal state in effect, 0 for none."""
        return self._state.version

    async def start(self) -> None:
        """Open the data plane, taking over what an earlier agent left running."""
        await self.dataplane.open()

    async def stop(self) -> None:
        """Close the data plane; what is pinned keeps carrying packets."""
        await self.dataplane.close()

    async def apply(self, delta: Delta) -> Acknowledgement:
        """Follow a delta and answer once it is in effect; a delta from another version is answered without effect."""
        if delta.complete:
            failures = await self.dataplane.replace(delta.upserts)
            failed = {failure.key for failure in failures}
            self._state = GoalState.of(delta.version, (entry for entry in delta.upserts if entry.key not in failed))
        elif delta.base_version != self._state.version:
            failures = ()
        else:
            failures = await self._follow(delta)
        return Acknowledgement(self.address, self._state.version, failures)

    async def resync(self) -> int:
        """Return the version in effect, 0 for none."""
        return self._state.version

    async def _follow(self, delta: Delta) -> tuple[Failure, ...]:
        changes = self._state.changes(delta)
        failures = await self.dataplane.apply(changes.upserts, changes.deletes)
        self._state.apply(delta, failed={failure.key for failure in failures})
        return failures
