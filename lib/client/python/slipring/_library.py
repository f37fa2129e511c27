"""libslipring by ctypes: constants, structures and prototypes, as <slipring.h> has them.

Nothing here is public. tests/python/test_header.py compares all of it with the header:
every value, the offset of every field, the arguments of every function.
"""
import ctypes
import os
from ctypes import POINTER, c_bool, c_char, c_char_p, c_int, c_size_t, c_uint, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from functools import lru_cache

VERSION_MAJOR, VERSION_MINOR = 0, 1
PORT = 7411
KEY_MAX = 250
VALUE_MAX = 1 << 20
APPEND_MAX = 1024
WINDOW_MAX = 4096
LARGE_MAX = 4
SHARED_KEY_LEN = 32
WORKERS_MAX = 16
TTL_MS_MAX = 100 * 365 * 24 * 3600 * 1000
TTL_NEVER = (1 << 64) - 1


class Status(IntEnum):
    """How an operation ended. Below 64: the node's answer; from 64: the library's."""
    OK = 0
    NOT_FOUND = 1
    EXISTS = 2
    NOT_STORED = 3
    TOO_LARGE = 4
    BAD_KEY = 5
    BAD_REQUEST = 6
    UNKNOWN_OP = 7
    NOT_A_NUMBER = 8
    OUT_OF_MEMORY = 9
    BUSY = 10
    CHANGED = 11
    OUTCOME_UNKNOWN = 12
    WRONG_SLOT = 13
    STALE_EPOCH = 14
    UPLOAD_UNKNOWN = 15
    BAD_RANGE = 16
    UNPROVEN = 17
    STALE_BOOT = 18
    UNSUPPORTED_VERSION = 19
    UPLOAD_INCOMPLETE = 20
    OWNER_DEAD = 21
    OWNER_TIMEOUT = 22
    PARTIAL = 23
    TIMEOUT = 64
    UNREACHABLE = 65
    BAD_ARGUMENT = 66
    WINDOW_FULL = 67
    NO_HOST = 68
    NO_MEMORY = 69
    CANCELLED = 70
    BAD_REPLY = 71


class Op(IntEnum):
    """Operations for Cache.run() and compose_frame()."""
    GET = 1
    SET = 2
    DELETE = 3
    TOUCH = 4
    GAT = 5
    INCR = 6
    DECR = 7
    APPEND = 8
    PREPEND = 9
    META = 10
    PING = 11


class Mode(IntEnum):
    """How a SET, DELETE, INCR, DECR, APPEND or PREPEND differs from the plain one."""
    PLAIN = 0
    ADD = 1
    REPLACE = 2
    CAS = 4
    CREATE = 8


class Options(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("port", c_uint16), ("try_timeout_us", c_uint32), ("deadline_us", c_uint32),
                ("window", c_uint32), ("spin", c_bool), ("authenticate", c_bool),
                ("shared_key", c_uint8 * SHARED_KEY_LEN), ("seed", c_uint64),
                ("hedge_percent", c_uint32), ("hedge_after_percent", c_uint32)]


class Result(ctypes.Structure):
    _fields_ = [("status", c_int), ("value", c_void_p), ("value_len", c_size_t), ("total_len", c_size_t),
                ("version", c_uint64), ("ttl_ms", c_uint64), ("number", c_uint64), ("flags", c_uint32)]


class Topology(ctypes.Structure):
    _fields_ = [("epoch", c_uint32), ("slot_count", c_uint32), ("worker_count", c_uint32),
                ("ports", c_uint16 * WORKERS_MAX)]


class Cluster(ctypes.Structure):
    _fields_ = [(name, c_uint32) for name in ("epoch", "member_count", "owner_count", "lanes")] + \
               [(name, c_uint64) for name in ("topologies", "failovers", "hedges", "hedge_wins")] + \
               [("reserved", c_uint64 * 4)]


class Node(ctypes.Structure):
    _fields_ = [("host", c_char * 64), ("id", c_uint64), ("slots", c_uint32), ("rtt_us", c_uint32), ("failures", c_uint32),
                ("in_flight", c_uint32), ("port", c_uint16), ("index", c_uint16), ("worker_count", c_uint8),
                ("state", c_uint8), ("pad", c_uint8 * 2), ("reserved", c_uint64 * 2)]


Done = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Result))


class Request(ctypes.Structure):
    # c_char_p, so that a request keeps the bytes that it points to.
    _fields_ = [("op", c_int), ("mode", c_int), ("key", c_char_p), ("key_len", c_size_t), ("value", c_char_p),
                ("value_len", c_size_t), ("ttl_ms", c_uint64), ("version", c_uint64), ("delta", c_uint64),
                ("initial", c_uint64), ("flags", c_uint32), ("done", Done), ("context", c_void_p)]


class Item(ctypes.Structure):
    _fields_ = [("key", c_char_p), ("key_len", c_size_t), ("result", Result)]


class Counters(ctypes.Structure):
    _fields_ = [(name, c_uint64) for name in ("frames_sent", "frames_received", "operations", "retries", "challenges",
                                              "strays", "bad_frames")] + [("rtt_us", c_uint32)]


STRUCTURES = {"slipring_options": Options, "slipring_result": Result, "slipring_topology": Topology,
              "slipring_request": Request, "slipring_item": Item, "slipring_counters": Counters,
              "slipring_cluster": Cluster, "slipring_node": Node}
ENUMS = {"slipring_status": Status, "slipring_op": Op, "slipring_mode": Mode}

_HANDLE, _KEY, _RESULT = [c_void_p], [c_char_p, c_size_t], [POINTER(Result)]
_STORE = _HANDLE + _KEY + [c_char_p, c_size_t, c_uint32, c_uint64]
# name: (what it returns, what it takes)
PROTOTYPES = {
    "slipring_status_name": (c_char_p, [c_int]),
    "slipring_status_text": (c_char_p, [c_int]),
    "slipring_options_init": (None, [POINTER(Options)]),
    "slipring_open": (c_void_p, [c_char_p, POINTER(Options)]),
    "slipring_ready": (c_int, _HANDLE),
    "slipring_close": (None, _HANDLE),
    "slipring_error": (c_char_p, _HANDLE),
    "slipring_get": (c_int, _HANDLE + _KEY + _RESULT),
    "slipring_gat": (c_int, _HANDLE + _KEY + [c_uint64] + _RESULT),
    "slipring_set": (c_int, _STORE + _RESULT),
    "slipring_add": (c_int, _STORE + _RESULT),
    "slipring_replace": (c_int, _STORE + _RESULT),
    "slipring_cas": (c_int, _STORE + [c_uint64] + _RESULT),
    "slipring_delete": (c_int, _HANDLE + _KEY + [c_uint64]),
    "slipring_touch": (c_int, _HANDLE + _KEY + [c_uint64]),
    "slipring_incr": (c_int, _HANDLE + _KEY + [c_uint64] + _RESULT),
    "slipring_decr": (c_int, _HANDLE + _KEY + [c_uint64] + _RESULT),
    "slipring_incr_create": (c_int, _HANDLE + _KEY + [c_uint64, c_uint64, c_uint64] + _RESULT),
    "slipring_append": (c_int, _HANDLE + _KEY + [c_char_p, c_size_t] + _RESULT),
    "slipring_prepend": (c_int, _HANDLE + _KEY + [c_char_p, c_size_t] + _RESULT),
    "slipring_meta": (c_int, _HANDLE + _KEY + _RESULT),
    "slipring_ping": (c_int, _HANDLE + [c_uint]),
    "slipring_stats": (c_int, _HANDLE + [c_char_p] + _RESULT),
    "slipring_topology": (c_int, _HANDLE + [POINTER(Topology)]),
    "slipring_slot": (c_uint, _KEY),
    "slipring_cluster": (None, _HANDLE + [POINTER(Cluster)]),
    "slipring_nodes": (c_size_t, _HANDLE + [POINTER(Node), c_size_t]),
    "slipring_owner": (c_int, _HANDLE + _KEY + [c_uint, POINTER(Node)]),
    "slipring_submit": (c_int, _HANDLE + [POINTER(Request)]),
    "slipring_poll": (c_size_t, _HANDLE + [c_uint32]),
    "slipring_flush": (None, _HANDLE),
    "slipring_mget": (c_int, _HANDLE + [POINTER(Item), c_size_t, c_void_p, c_size_t]),
    "slipring_counters": (None, _HANDLE + [POINTER(Counters)]),
    "slipring_compose_frame": (c_size_t, [POINTER(Request), c_size_t, c_uint64, c_uint64, c_void_p, c_size_t]),
}


def _candidates():
    """Where the library may be: named by the user, beside an installed package, where the loader looks."""
    named = os.environ.get("SLIPRING_LIBRARY")
    if named:
        return [named]
    package = os.path.dirname(os.path.abspath(__file__))  # PREFIX/lib/python3.x/dist-packages/slipring
    beside = os.path.join(package, "..", "..", "..", "libslipring.so.0")
    return ([os.path.normpath(beside)] if os.path.exists(beside) else []) + ["libslipring.so.0"]


@lru_cache(maxsize=None)
def load():
    """The library, opened at first use: slipring.ring works without it."""
    problem = None
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            problem = error
            continue
        for name, (returns, takes) in PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returns, takes
        return library
    raise ImportError(f"libslipring.so.0 cannot be loaded ({problem}); install it, or name it in SLIPRING_LIBRARY")
