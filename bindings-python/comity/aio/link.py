"""One connection of a node's: made when there is something to send, replaced when it is gone."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .._core import refuse
from ..wire import NotConnected, Refused

if TYPE_CHECKING:
    from .._core import Command
    from ..session import Session
    from .wire import Wire


class Connector(Protocol):
    """How a connection is made."""

    async def connect(self, deadline: int, *, messages: bool = False) -> Wire:
        """A ready connection by `deadline`, for commands or for `messages`. Raises `NotConnected`
        or `Refused`.
        """


class Link(ABC):
    """What a lane and a push connection have in common. `outbox` is the session's list of commands
    for it; `others` sends what it made ready for any node.
    """

    messages = False
    """What its connection is for."""

    def __init__(
        self,
        session: Session,
        node: int,
        outbox: list[Command],
        connector: Connector,
        *,
        loop: asyncio.AbstractEventLoop,
        others: Callable[[], object],
    ) -> None:
        self._session = session
        self._node = node
        self._outbox = outbox
        self._connector = connector
        self._loop = loop
        self._others = others
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether to send at once: to wait for more gains nothing."""

    @abstractmethod
    def flush(self) -> None:
        """Sends what is ready; where there is no connection, begins to make one."""

    def heard(self, wire: Wire, data: bytes) -> None:
        """See `Owner`."""
        session = self._session
        why = None
        with session.mutex:
            try:
                wire.connection.receive(data, session.core, self._node, session.now())
            except ValueError as error:
                why = str(error)
            session.drain()
        if why is not None:
            self.ended(wire, why)
        self._others()

    @abstractmethod
    def ended(self, wire: Wire, why: str) -> None:
        """See `Owner`."""

    @abstractmethod
    def _connected(self, wire: Wire) -> None:
        """There is a connection."""

    def stop(self) -> None:
        """Closes the connection. What is outstanding comes to nothing."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()

    @property
    def making(self) -> asyncio.Task[None] | None:
        """What makes a connection, or did until `stop`."""
        return self._connecting

    def forget(self) -> None:
        """Drops the connection without a word to the server (after fork)."""
        self._stopped = True
        if self._wire is not None:
            self._wire.forget()

    def _connect(self, deadline: int) -> None:
        """Begins to make the connection; where that fails, whoever waits for it hears so."""
        task = self._loop.create_task(self._connects(deadline))
        if not task.done():  # as it may be where tasks begin at once
            self._connecting = task

    async def _connects(self, deadline: int) -> None:
        session = self._session
        try:
            self._made(await self._connector.connect(deadline, messages=self.messages))
        except NotConnected as failed:
            session.unreachable(self._node, failed)
            self._refuse()
        except Refused as refused:
            session.refused(self._node, refused.text)
            self._refuse()
        finally:
            self._connecting = None
        self.flush()

    def _made(self, wire: Wire) -> None:
        """There is a connection. Raises `NotConnected` where it has ended again already: the core
        says when to try again.
        """
        if self._stopped:
            wire.close()
            return
        wire.belongs_to(self)
        why = wire.gone
        if why is not None:
            wire.close()
            raise NotConnected(why, ConnectionError(why))
        self._wire = wire
        self._connected(wire)

    def _refuse(self) -> None:
        """What no connection could be made for is not sent."""
        session = self._session
        with session.mutex:
            refuse(self._outbox, self._outbox.copy(), session.core, session.now())
            session.drain()

    def _write(self, wire: Wire) -> None:
        """Sends all that is ready, but for what is late already."""
        session = self._session
        with session.mutex:
            if wire.connection.take(self._outbox, session.core, session.now()):
                session.drain()
        wire.write()
