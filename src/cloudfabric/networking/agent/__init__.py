# SPDX-License-Identifier: Apache-2.0
"""The host agent: follows the goal state of its host.

May import `cloudfabric.networking.dataplane`, `cloudfabric.networking.goalstate`, `cloudfabric.models` and
`cloudfabric._fastpath`; nothing of the control side, so that it can be installed on a host that has none.
"""

from cloudfabric.networking.agent.host_agent import HostAgent

__all__ = ["HostAgent"]
