"""Slipring for Python: get and store values in a Slipring cache.

    import slipring

    with slipring.Cache("n1") as cache:
        cache.set("greeting", b"hello", ttl=60)
        print(cache.get("greeting"))           # b'hello'
        print(cache.incr("visits", initial=1))
        if "greeting" in cache:
            del cache["greeting"]

Of a cluster any node will do to begin with; more than one may be named, Cache("n1,n2"). Each
operation goes straight to the node that owns its key.

Keys are 1 to 250 bytes; a str stands for its UTF-8. Values are 0 bytes to 1 MiB, bytes in
and bytes out. TTLs and timeouts are seconds. What goes wrong is a slipring.Error, and
help(slipring.Cache) says of each method which.

The package calls libslipring.so.0 by ctypes; slipring.ring, which computes who owns a key,
needs nothing.
"""
from ._library import (APPEND_MAX, KEY_MAX, LARGE_MAX, PORT, SHARED_KEY_LEN, TTL_MS_MAX, VALUE_MAX, VERSION_MAJOR,
                       VERSION_MINOR, WINDOW_MAX, WORKERS_MAX, Mode, Op, Status)
from .cache import Cache, Cluster, Counters, Item, Meta, Node, Operation, Reply, Topology, compose_frame, slot
from .errors import (BadArgument, BadKey, Busy, Changed, Error, Exists, NoHost, NoMemory, NotANumber, NotFound, NotStored,
                     OutcomeUnknown, OutOfMemory, OwnerDead, OwnerTimeout, Partial, Refused, SomeFailed, Timeout, TooLarge,
                     Unreachable, error_of, status_name, status_text)

__version__ = f"{VERSION_MAJOR}.{VERSION_MINOR}"
__all__ = [
    "APPEND_MAX", "KEY_MAX", "LARGE_MAX", "PORT", "SHARED_KEY_LEN", "TTL_MS_MAX", "VALUE_MAX", "VERSION_MAJOR",
    "VERSION_MINOR", "WINDOW_MAX", "WORKERS_MAX",
    "Cache", "Cluster", "Counters", "Item", "Meta", "Mode", "Node", "Op", "Operation", "Reply", "Status", "Topology", "compose_frame", "slot",
    "BadArgument", "BadKey", "Busy", "Changed", "Error", "Exists", "NoHost", "NoMemory", "NotANumber", "NotFound",
    "NotStored", "OutOfMemory", "OutcomeUnknown", "OwnerDead", "OwnerTimeout", "Partial", "Refused", "SomeFailed", "Timeout",
    "TooLarge", "Unreachable", "error_of", "status_name", "status_text",
]
