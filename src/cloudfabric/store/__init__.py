# SPDX-License-Identifier: Apache-2.0
"""The object store: durable, versioned, watchable.

`open_store` opens one from a URL; everything else goes through its `Client`. Engines (`cloudfabric.store.engines`) keep
the bytes, the `Store` core above them gives them meaning: revisions, compare-and-set, finalizers, watches. This package
may import `cloudfabric.models` and nothing else of CloudFabric; an engine's library is loaded when a store of it is
opened.
"""

from __future__ import annotations

from cloudfabric.store.client import Client, EventType, ObjectList, Watch, WatchEvent
from cloudfabric.store.errors import (
    AlreadyExists,
    Conflict,
    EngineFailed,
    Expired,
    InvalidObject,
    InvalidResourceVersion,
    InvalidStoreURL,
    NotFound,
    SlowWatcher,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreLocked,
)
from cloudfabric.store.store import Store, open_store

__all__ = [
    "AlreadyExists",
    "Client",
    "Conflict",
    "EngineFailed",
    "EventType",
    "Expired",
    "InvalidObject",
    "InvalidResourceVersion",
    "InvalidStoreURL",
    "NotFound",
    "ObjectList",
    "SlowWatcher",
    "Store",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreLocked",
    "Watch",
    "WatchEvent",
    "open_store",
]
