# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterable

from cloudfabric._fastpath.results import Attachment

__all__ = ["attached", "tcx_supported"]

def tcx_supported() -> bool: ...
def attached(ifindex: int, *, clsact_priorities: Iterable[int] = (1,)) -> list[Attachment]: ...
