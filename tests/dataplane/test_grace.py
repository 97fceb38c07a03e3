# SPDX-License-Identifier: Apache-2.0
"""Waiting for programs: it returns only when one that was under way has ended."""

import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudfabric._fastpath.bpf import Object
from cloudfabric._fastpath.layout import INDEX
from cloudfabric.networking.dataplane.grace import GracePeriod
from tests.support.leftovers import wait_until

BEGUN, DONE = INDEX.pack(0), INDEX.pack(1)


@pytest.mark.usefixtures("no_leaked_descriptors")
def test_a_program_that_is_under_way_ends_first(compile_bpf: Callable[[str], Path]) -> None:
    with Object(compile_bpf("slow")) as slow:
        progress, grace = slow.maps["progress"], GracePeriod()
        running = threading.Thread(target=slow.programs["take_time"].test_run, args=(bytes(64),))

        def marked(index: bytes) -> bool:
            return progress.lookup(index) != struct.pack("=Q", 0)

        running.start()
        try:
            wait_until(lambda: marked(BEGUN), "the program begins")
            assert not marked(DONE), "the program was too fast to say anything"

            grace.wait()

            assert marked(DONE)
        finally:
            running.join()
            grace.close()


@pytest.mark.usefixtures("no_leaked_descriptors")
def test_it_may_be_repeated_and_gives_everything_back() -> None:
    grace = GracePeriod()
    for _ in range(3):
        grace.wait()
    grace.close()
