"""The core as it is, for hosts that bring their own transport: no I/O, times in microseconds."""

from ._core import (
    ERROR_CODES,
    LAST_EVENTS,
    Command,
    Coordinator,
    ErrorReply,
    Event,
    MemoryStore,
    Ring,
)

__all__ = [
    "ERROR_CODES",
    "LAST_EVENTS",
    "Command",
    "Coordinator",
    "ErrorReply",
    "Event",
    "MemoryStore",
    "Ring",
]
