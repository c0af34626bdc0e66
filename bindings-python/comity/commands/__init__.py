"""The commands of a transaction as methods, named and answered as redis-py's are.

No I/O: each method says which words its command has and what its reply is turned into.
"""

from .lists import ListCommands
from .sets import SetCommands
from .strings import StringCommands
from .words import Commands, Convert, as_it_came

__all__ = ["AllCommands", "Commands", "Convert", "as_it_came"]


class AllCommands(StringCommands, ListCommands, SetCommands):
    """Every command that has a method of its own."""
