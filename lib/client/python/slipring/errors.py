"""What can go wrong: one exception a status, all of them Error.

The text is the library's, and names what the library knows: the node, the limit, the
argument. Where Python has a fitting class, the exception is one of those, too.
"""
from typing import Any, Dict, Optional, Type

from ._library import Status, load


class Error(Exception):
    """An operation did not succeed; `status` says how, str() in a sentence why."""
    status: Optional[Status] = None

    def __init__(self, text: str = "", status: Optional[int] = None) -> None:
        super().__init__(text)
        if status is not None:
            self.status = status

    def __str__(self) -> str:  # KeyError's would quote it
        return str(self.args[0]) if self.args else ""


class NotFound(Error, KeyError):
    """No such key."""
    status = Status.NOT_FOUND


class NotStored(Error):
    """add() of a key that is there; replace(), append() or prepend() of one that is missing."""
    status = Status.NOT_STORED


class Changed(Error):
    """A large value kept changing while it was read. Exists is one, too."""
    status = Status.CHANGED


class Exists(Changed):
    """The item's version is no longer the one given."""
    status = Status.EXISTS


class TooLarge(Error, ValueError):
    """A value over 1 MiB, or more than 1024 bytes to append; refused before sending."""
    status = Status.TOO_LARGE


class BadKey(Error, ValueError):
    """A key has 1 to 250 bytes; refused before sending."""
    status = Status.BAD_KEY


class BadArgument(Error, ValueError):
    """An argument outside its range; refused before sending."""
    status = Status.BAD_ARGUMENT


class NotANumber(Error, ValueError):
    """incr() or decr() of a value that is no unsigned decimal number."""
    status = Status.NOT_A_NUMBER


class OutOfMemory(Error):
    """The node has no room, even after evicting."""
    status = Status.OUT_OF_MEMORY


class Busy(Error):
    """The node was too busy until the deadline; nothing was done."""
    status = Status.BUSY


class OutcomeUnknown(Error):
    """A write was sent and its answer lost: it was executed once, or not at all."""
    status = Status.OUTCOME_UNKNOWN


class OwnerDead(Error, ConnectionError):
    """The node that owns the key is dead, and its keys have no other yet; nothing was executed."""
    status = Status.OWNER_DEAD


class OwnerTimeout(Error, TimeoutError):
    """The key's owner did not answer the node that was asked; a write may have happened."""
    status = Status.OWNER_TIMEOUT


class Partial(Error):
    """Some nodes of the cluster did not take part."""
    status = Status.PARTIAL


class Timeout(Error, TimeoutError):
    """No answer before the deadline; nothing was changed."""
    status = Status.TIMEOUT


class Unreachable(Error, ConnectionError):
    """As Timeout, and the network said why."""
    status = Status.UNREACHABLE


class NoHost(Error, ConnectionError):
    """The host name does not resolve."""
    status = Status.NO_HOST


class NoMemory(Error, MemoryError):
    """This process has no memory for it."""
    status = Status.NO_MEMORY


class Refused(Error):
    """The node or the library said something that no program should have to expect; see `status`."""


class SomeFailed(Error):
    """Some keys of mget() or mset() failed, the others did not.

    errors: {key as it was given: its Error}; values: what mget() found all the same.
    """

    def __init__(self, count: int, errors: Dict[Any, Error], values: Optional[Dict[Any, bytes]] = None) -> None:
        key, first = next(iter(errors.items()))
        super().__init__(f"{len(errors)} of {count} keys failed, the first of them {key!r}: {first}", first.status)
        self.errors = errors
        self.values = values if values is not None else {}


def _all_below(base: Type[Error]):
    for one in base.__subclasses__():
        yield one
        yield from _all_below(one)


_BY_STATUS = {one.status: one for one in _all_below(Error) if one.status is not None}


def status_name(status: int) -> str:
    """A short name: "not_found"."""
    return load().slipring_status_name(status).decode()


def status_text(status: int) -> str:
    """A sentence: "no such key"."""
    return load().slipring_status_text(status).decode()


def error_of(status: int, text: str = "") -> Error:
    """The exception for a status, with the library's text unless another is given."""
    try:
        status = Status(status)
    except ValueError:
        pass  # of a newer library
    return _BY_STATUS.get(status, Refused)(text or status_text(status), status)
