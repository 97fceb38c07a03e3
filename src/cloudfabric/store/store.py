# SPDX-License-Identifier: Apache-2.0
"""Opening and closing a store.

A URL chooses the engine: ``memory://``, or ``lmdb:///absolute/directory``. The engine's library is loaded only then.

    async with open_store("lmdb:///var/lib/cloudfabric") as store:
        client = store.client()
        await client.create(Tenant(metadata=ObjectMeta(name="red")))
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from cloudfabric.store.client import Client
from cloudfabric.store.core import Core
from cloudfabric.store.engines.engine import Engine
from cloudfabric.store.engines.memory import MemoryEngine
from cloudfabric.store.errors import InvalidStoreURL
from cloudfabric.store.local import LocalClient

__all__ = ["LOG_WINDOW", "WATCH_LIMIT", "Store", "open_store"]

LOG_WINDOW: Final = 10_000
WATCH_LIMIT: Final = 10_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """An open store, bound to the event loop that it was opened on; an async context manager that closes it.

    Args:
        core: its core.
        clock: the time (UTC).
        randomness: where uids and generated names come from.
    """

    def __init__(self, core: Core, clock: Callable[[], datetime], randomness: random.Random) -> None:
        self._core = core
        self._client = LocalClient(core, clock, randomness)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        log_window: int = LOG_WINDOW,
        watch_limit: int = WATCH_LIMIT,
        clock: Callable[[], datetime] = _utc_now,
        randomness: random.Random | None = None,
    ) -> Store:
        """Open the store that a URL names; with LMDB, make it if it is not there.

        Args:
            url: ``memory://`` or ``lmdb:///absolute/directory``.
            log_window: how many changes a watch may go back.
            watch_limit: how many undelivered events a watch may have before it is cut off.
            clock: the time, with a time zone.
            randomness: where uids and generated names come from; None for the system's.

        Raises:
            InvalidStoreURL: the URL names no store.
            StoreLocked: another process has it open.
            StoreCorrupt: it cannot be read.
            EngineFailed: its directory cannot be used.
        """
        engine = await _open_engine(url)
        return await cls.over(
            engine, log_window=log_window, watch_limit=watch_limit, clock=clock, randomness=randomness
        )

    @classmethod
    async def over(
        cls,
        engine: Engine,
        *,
        log_window: int = LOG_WINDOW,
        watch_limit: int = WATCH_LIMIT,
        clock: Callable[[], datetime] = _utc_now,
        randomness: random.Random | None = None,
    ) -> Store:
        """Open a store over an engine, your own for example.

        Args:
            engine: the engine; the store closes it, also when it cannot be read.
            log_window: how many changes a watch may go back.
            watch_limit: how many undelivered events a watch may have before it is cut off.
            clock: the time, with a time zone.
            randomness: where uids and generated names come from; None for the system's.

        Raises:
            StoreCorrupt: the engine cannot be read.
        """
        try:
            core = await Core.open(engine, log_window=log_window, watch_limit=watch_limit)
        except BaseException:
            await engine.close()
            raise
        return cls(core, clock, randomness or random.SystemRandom())

    def client(self) -> Client:
        """The client of this store; any number of tasks may share it."""
        return self._client

    @property
    def resource_version(self) -> str:
        """Version of the last change."""
        return str(self._core.revision)

    async def close(self) -> None:
        """Make durable what was accepted, end all watches, release the engine. May be repeated."""
        await self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


@asynccontextmanager
async def open_store(
    url: str,
    *,
    log_window: int = LOG_WINDOW,
    watch_limit: int = WATCH_LIMIT,
    clock: Callable[[], datetime] = _utc_now,
    randomness: random.Random | None = None,
) -> AsyncIterator[Store]:
    """Open a store for the length of an ``async with``; see `Store.open`.

    Args:
        url: ``memory://`` or ``lmdb:///absolute/directory``.
        log_window: how many changes a watch may go back.
        watch_limit: how many undelivered events a watch may have before it is cut off.
        clock: the time, with a time zone.
        randomness: where uids and generated names come from; None for the system's.

    Raises:
        InvalidStoreURL: the URL names no store.
        StoreLocked: another process has it open.
        StoreCorrupt: it cannot be read.
        EngineFailed: its directory cannot be used.
    """
    store = await Store.open(url, log_window=log_window, watch_limit=watch_limit, clock=clock, randomness=randomness)
    async with store:
        yield store


async def _open_engine(url: str) -> Engine:
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise InvalidStoreURL(url, "it has a query or fragment, which nothing reads")
    if parts.scheme == "memory":
        if parts.netloc or parts.path:
            raise InvalidStoreURL(url, "a store in memory has no host or path")
        return MemoryEngine()
    if parts.scheme == "lmdb":
        if parts.netloc or not parts.path.strip("/"):
            raise InvalidStoreURL(url, "it names no absolute directory")
        from cloudfabric.store.engines.lmdb import LmdbEngine

        return await LmdbEngine.open(Path(unquote(parts.path)))
    raise InvalidStoreURL(url, f"there is no engine {parts.scheme!r}" if parts.scheme else "it has no scheme")
