# SPDX-License-Identifier: Apache-2.0
"""Whether everything that a manifest describes has been brought about, and if not, what stands in the way."""

from cloudfabric.models import VPC, Bouncer, Divider, Droplet, Endpoint, Object, Phase, PhasedStatus, Subnet
from cloudfabric.store import Client

__all__ = ["NotReady", "check_provisioned"]

_SHOWN = 4  # of many like ones, the first tell enough

_CAUSES_FIRST: tuple[type[Object], ...] = (Droplet, Divider, VPC, Bouncer, Subnet, Endpoint)


class NotReady(Exception):
    """A fabric did not come up.

    Args:
        problems: one sentence for each, causes before what follows from them.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        more = len(problems) - _SHOWN
        super().__init__("; ".join(problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else ""))
        self.problems = problems


async def check_provisioned(client: Client) -> None:
    """Look at every object of the network once; raises NotReady if one is not provisioned."""
    found = [obj for kind in _CAUSES_FIRST for obj in (await client.list(kind)).items]
    problems = tuple(problem for obj in found if (problem := _problem(obj)))
    if problems:
        raise NotReady(problems)


def _problem(obj: Object) -> str:
    status = obj.status
    if not isinstance(status, PhasedStatus) or status.phase is Phase.PROVISIONED:
        return ""
    reasons = [condition.message or condition.reason for condition in status.conditions]
    told = "; ".join(reason for reason in reasons if reason) or "no reason given"
    return f"{obj.kind} {obj.metadata.path} is {status.phase}: {told}"
