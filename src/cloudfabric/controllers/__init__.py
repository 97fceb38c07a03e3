# SPDX-License-Identifier: Apache-2.0
"""The controller framework: informers, work queues, controllers and the manager that runs them.

An `Informer` keeps a cache of one kind up to date from a list and a watch and tells handlers what changed. Handlers put
the keys of the objects concerned into a controller's `WorkQueue`. The controller's workers take keys from the queue and
call `Controller.reconcile`, which compares what is wanted with what is there and does what is missing. A `Manager` runs
all of it in one task group and shuts it down in order.

Knows `cloudfabric.store` (the `Client` protocol) and `cloudfabric.models`; knows nothing about networks.
"""

from __future__ import annotations

from cloudfabric.controllers.clock import Clock, SystemClock, VirtualClock
from cloudfabric.controllers.controller import Context, Controller, ControllerMetrics, Result, Service
from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.controllers.manager import Manager, NotIdle
from cloudfabric.controllers.workqueue import Backoff, QueueClosed, WorkQueue

__all__ = [
    "Backoff",
    "Clock",
    "Context",
    "Controller",
    "ControllerMetrics",
    "Informer",
    "Manager",
    "NotIdle",
    "ObjectKey",
    "QueueClosed",
    "Result",
    "Service",
    "SystemClock",
    "VirtualClock",
    "WorkQueue",
]
