"""Cache: a handle to a node, and the values that its methods take and return."""
import ctypes
import math
import os
import threading
import time
from datetime import timedelta
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import _library as c
from ._library import Mode, Op, Status, load
from .errors import BadArgument, BadKey, Error, NotFound, SomeFailed, TooLarge, error_of

Key = Union[str, bytes, bytearray, memoryview]
Value = Union[bytes, bytearray, memoryview]
Seconds = Union[int, float, timedelta]

U32_MAX, U64_MAX = (1 << 32) - 1, (1 << 64) - 1
_MGET_KEYS = 256          # asked for at once
_MGET_BUFFER = 4 << 20    # bytes; at least VALUE_MAX, so that each round brings something


class Item(NamedTuple):
    """A value and what the node keeps with it."""
    value: bytes
    flags: int    # the application's, 32 bits
    version: int  # for cas() and delete()


class Meta(NamedTuple):
    """What the node keeps with a value."""
    size: int             # bytes
    flags: int            # the application's, 32 bits
    version: int          # for cas() and delete()
    ttl: Optional[float]  # seconds left; None: never expires


class Topology(NamedTuple):
    """How a node is divided."""
    epoch: int              # of the ring
    slot_count: int         # 16384
    ports: Tuple[int, ...]  # UDP port of each worker


class Counters(NamedTuple):
    """What a handle has done so far."""
    frames_sent: int
    frames_received: int
    operations: int  # completed
    retries: int     # operations sent again
    challenges: int  # cookies asked for and refreshed
    strays: int      # answers to nothing in flight: late or doubled
    bad_frames: int  # unreadable, or with a wrong tag
    rtt_us: int      # smoothed round trip to worker 0, microseconds; 0: unknown


class Cluster(NamedTuple):
    """The cluster as a handle knows it."""
    epoch: int         # of the topology in force; 0: none yet
    member_count: int  # 0: a single node
    owner_count: int   # owners of each slot; 0 with a single node
    lanes: int         # workers talked to
    topologies: int    # that took effect
    failovers: int     # times that a node was found silent
    hedges: int        # reads asked of a second node as well
    hedge_wins: int    # of those, answered by the second first


class Node(NamedTuple):
    """A node that a handle knows."""
    host: str          # as given to Cache, or its address
    port: int          # UDP port of its first worker
    id: int            # slipring.ring.member_id() of its name; 0: no topology named it
    index: int         # in versions
    worker_count: int
    state: int         # 1 alive, 2 suspected, 3 dead, 4 joining, 5 leaving, 6 left; 0: not told
    slots: int         # of which it is the first owner
    rtt: float         # seconds, smoothed; 0.0: unknown
    failures: int      # times in a row that it was found silent; 0: up, as far as known
    in_flight: int     # operations sent to it and not answered


class Operation(NamedTuple):
    """One operation of Cache.run() or compose_frame(); what it does not use is left out."""
    op: Op
    key: Key = b""
    value: Value = b""
    mode: Mode = Mode.PLAIN
    ttl: Optional[Seconds] = None  # SET, TOUCH, GAT, and Mode.CREATE; None: never expires
    version: int = 0               # Mode.CAS
    delta: int = 1                 # INCR, DECR
    initial: int = 0               # Mode.CREATE
    flags: int = 0                 # SET


class Reply(NamedTuple):
    """What came back for an Operation; what it does not return is 0 or empty."""
    error: Optional[Error]  # None: it succeeded
    value: bytes = b""
    version: int = 0
    number: int = 0
    flags: int = 0
    size: int = 0
    ttl: Optional[float] = None


# --- arguments, checked before anything is sent ------------------------------------------

def _key(key: Key) -> bytes:
    """1 to 250 bytes; str becomes UTF-8."""
    if isinstance(key, str):
        key = key.encode()
    elif not isinstance(key, (bytes, bytearray, memoryview)):
        raise TypeError(f"a key is str or bytes, not {type(key).__name__}")
    key = bytes(key)
    if not 1 <= len(key) <= c.KEY_MAX:
        raise BadKey(f"the key has {len(key)} bytes; keys have 1 to {c.KEY_MAX}")
    return key


def _value(value: Value, limit: int = c.VALUE_MAX) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"a value is bytes, not {type(value).__name__}")
    value = bytes(value)
    if len(value) > limit:
        raise TooLarge(f"the value has {len(value)} bytes; the limit is {limit}")
    return value


def _number(name: str, number: int, least: int, most: int) -> int:
    """ctypes would cut off what does not fit."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name} is a whole number, not {type(number).__name__}")
    if not least <= number <= most:
        raise BadArgument(f"{name} {number}: not from {least} to {most}")
    return number


def _seconds(name: str, seconds: Seconds) -> float:
    if isinstance(seconds, timedelta):
        return seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} is a number of seconds or a timedelta, not {type(seconds).__name__}")
    return seconds


def _ttl_ms(ttl: Optional[Seconds]) -> int:
    """Milliseconds, rounded up; 0 is the library's word for never."""
    if ttl is None:
        return 0
    seconds = _seconds("ttl", ttl)
    if not 0 < seconds <= c.TTL_MS_MAX / 1000:  # NaN fails, too
        raise BadArgument(f"ttl {seconds}: not more than 0 s and at most {c.TTL_MS_MAX // 1000} s; None is for ever")
    return min(math.ceil(seconds * 1000), c.TTL_MS_MAX)


def _us(name: str, seconds: Seconds) -> int:
    seconds = _seconds(name, seconds)
    if not 0.0001 <= seconds <= U32_MAX / 1e6:
        raise BadArgument(f"{name} {seconds}: not from 0.0001 s to {U32_MAX // 1000000} s")
    return round(seconds * 1e6)


def _shared_key(key: Union[bytes, str]) -> bytes:
    if isinstance(key, str):
        try:
            key = bytes.fromhex(key)
        except ValueError:
            raise BadArgument("key: as str it is 64 hexadecimal digits") from None
    if not isinstance(key, (bytes, bytearray)):
        raise TypeError(f"key is bytes or str, not {type(key).__name__}")
    if len(key) != c.SHARED_KEY_LEN:
        raise BadArgument(f"key: {len(key)} bytes, not {c.SHARED_KEY_LEN}")
    return bytes(key)


_ADDS = (Op.APPEND, Op.PREPEND)


def _request(operation: Operation) -> c.Request:
    op = Op(operation.op)
    key = b"" if op == Op.PING else _key(operation.key)
    value = _value(operation.value, c.APPEND_MAX if op in _ADDS else c.VALUE_MAX)
    return c.Request(op=op, mode=Mode(operation.mode), key=key, key_len=len(key), value=value, value_len=len(value),
                     ttl_ms=_ttl_ms(operation.ttl), version=_number("version", operation.version, 0, U64_MAX),
                     delta=_number("delta", operation.delta, 0, U64_MAX),
                     initial=_number("initial", operation.initial, 0, U64_MAX),
                     flags=_number("flags", operation.flags, 0, U32_MAX))


def _ttl_of(result: c.Result) -> Optional[float]:
    return None if result.ttl_ms == c.TTL_NEVER else result.ttl_ms / 1000


def _bytes_of(result: c.Result) -> bytes:
    return ctypes.string_at(result.value, result.value_len) if result.value and result.value_len else b""


def _node_of(told: c.Node) -> Node:
    return Node(told.host.decode("utf-8", "replace"), told.port, told.id, told.index, told.worker_count, told.state,
                told.slots, told.rtt_us / 1e6, told.failures, told.in_flight)


class Cache:
    """A handle to a Slipring cache: one node or a cluster.

    host: a name, an IPv4 or an IPv6 address, "host:port", "[address]:port", several of them separated by commas, or a sequence
      of them: any node of a cluster will do, and the others are asked for. Names are resolved
      here; contact is made by the first operation. Operations go straight to the node that owns
      their key, and by way of another while that is silent.
    port: UDP port of the first worker, of hosts without one.
    timeout: seconds after which an operation gives up, 0.0001 to 4294; for values over one frame
      (about 1400 bytes): seconds without progress.
    key: the shared key, 32 bytes or 64 hexadecimal digits: frames are signed, and only signed
      answers believed. try_timeout: seconds until the first repeat, 0.0001 to 60; measured round
      trips shorten it. window: operations in flight per worker, 1 to 4096. spin: wait by asking
      the socket again and again, for the lowest latency and a whole CPU. seed: of retry jitter;
      0 is random. hedge: at most so many reads in a hundred, 0 to 50, are asked of a second node
      when the first is late, that is after hedge_after percent of what 95 % of its reads take.

    Raises NoHost, Unreachable (no socket) and BadArgument.

    Threads: one Cache a thread. It may move to another thread, but a second one that calls while a
    call is running gets RuntimeError; so does a child after fork(), which has to open its own.

    Errors of every operation: BadKey, BadArgument, TooLarge and TypeError before anything is sent;
    Timeout, Unreachable and Busy when nothing was changed; OutcomeUnknown when a write was sent and
    its answer lost. Lost datagrams are sent again until then, and a write is executed at most once
    however often it was sent.
    """

    __iter__ = None  # a node does not list its keys

    def __init__(self, host: Union[str, Sequence[str]], port: int = c.PORT, timeout: Seconds = 2.0, key: Union[bytes, str, None] = None, *,
                 try_timeout: Optional[Seconds] = None, window: int = 256, spin: bool = False, seed: int = 0,
                 hedge: int = 0, hedge_after: int = 100) -> None:
        self._handle: Optional[int] = None
        self._c = load()
        options = c.Options()
        self._c.slipring_options_init(ctypes.byref(options))
        options.port = _number("port", port, 1, 65535)
        options.deadline_us = _us("timeout", timeout)
        options.try_timeout_us = min(options.try_timeout_us, options.deadline_us) if try_timeout is None \
            else _us("try_timeout", try_timeout)
        options.window = _number("window", window, 1, c.WINDOW_MAX)
        options.spin = bool(spin)
        options.seed = _number("seed", seed, 0, U64_MAX)
        options.hedge_percent = _number("hedge", hedge, 0, 50)
        options.hedge_after_percent = _number("hedge_after", hedge_after, 10, 1000)
        if key is not None:
            options.shared_key[:] = _shared_key(key)
            options.authenticate = True
        if isinstance(host, (list, tuple)) and all(isinstance(one, str) for one in host):
            host = ",".join(host)
        if not isinstance(host, str):
            raise TypeError(f"host is str or a sequence of str, not {type(host).__name__}")
        if not host or "\0" in host:
            raise BadArgument(f"host {host!r}: not a name or an address")
        self.host, self.port = host, port
        self._pid, self._turn = os.getpid(), threading.Lock()
        self._open(host, options)

    def _open(self, host: str, options: c.Options) -> None:
        self._handle = self._c.slipring_open(host.encode(), ctypes.byref(options))
        if not self._handle:
            raise error_of(Status.NO_MEMORY)
        status = self._c.slipring_ready(self._handle)
        if status != Status.OK:
            error = self._error(status)
            self.close()
            raise error

    # --- the handle ----------------------------------------------------------------------

    def close(self) -> None:
        """Ends the handle. Closing twice is allowed; other calls then raise ValueError."""
        if self._handle and self._pid == os.getpid():
            self._take_turn()
            try:
                self._c.slipring_close(self._handle)
                self._handle = None
            finally:
                self._turn.release()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *reason: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and self._pid == os.getpid():
            self._c.slipring_close(self._handle)

    def __repr__(self) -> str:
        return f"<slipring.Cache {self.host}:{self.port}{'' if self._handle else ' closed'}>"

    def _take_turn(self) -> None:
        """A handle used twice at once would be corrupted, and one shared by fork repeats sequence numbers."""
        if not self._handle:
            raise ValueError("the cache is closed")
        if self._pid != os.getpid():
            raise RuntimeError("opened before fork(); a child opens its own Cache")
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("in use by another thread; open one Cache a thread")

    def _error(self, status: int) -> Error:
        return error_of(status, self._c.slipring_error(self._handle).decode("utf-8", "replace"))

    def _call(self, function: Any, *arguments: Any) -> Tuple[bytes, c.Result]:
        """A synchronous call with a result; the value is copied while it is there."""
        result = c.Result()
        self._take_turn()
        try:
            status = function(self._handle, *arguments, ctypes.byref(result))
            if status != Status.OK:
                raise self._error(status)
            return _bytes_of(result), result
        finally:
            self._turn.release()

    def _do(self, function: Any, *arguments: Any) -> None:
        """A synchronous call that answers with its status alone."""
        self._take_turn()
        try:
            status = function(self._handle, *arguments)
            if status != Status.OK:
                raise self._error(status)
        finally:
            self._turn.release()

    # --- one key -------------------------------------------------------------------------

    def get(self, key: Key, default: Any = None) -> Any:
        """The value as bytes, or `default` when there is no such key. Raises Changed for a large
        value that was overwritten again and again while it was read."""
        try:
            return self.get_item(key).value
        except NotFound:
            return default

    def get_item(self, key: Key) -> Item:
        """Value, flags and version. Raises NotFound, Changed."""
        key = _key(key)
        value, result = self._call(self._c.slipring_get, key, len(key))
        return Item(value, result.flags, result.version)

    def get_and_touch(self, key: Key, ttl: Optional[Seconds] = None, default: Any = None) -> Any:
        """As get(), and gives the key a new TTL in seconds; None: it never expires."""
        key, ttl_ms = _key(key), _ttl_ms(ttl)
        try:
            return self._call(self._c.slipring_gat, key, len(key), ttl_ms)[0]
        except NotFound:
            return default

    def _store(self, function: Any, key: Key, value: Value, ttl: Optional[Seconds], flags: int, *more: int) -> int:
        key, value, ttl_ms = _key(key), _value(value), _ttl_ms(ttl)
        _number("flags", flags, 0, U32_MAX)
        return self._call(function, key, len(key), value, len(value), flags, ttl_ms, *more)[1].version

    def set(self, key: Key, value: Value, *, ttl: Optional[Seconds] = None, flags: int = 0) -> int:
        """Stores a value of at most 1 MiB and returns the item's version. ttl: seconds, rounded up to
        milliseconds, at most 100 years; None: it never expires. flags: 32 bits that the node keeps
        with it. Raises OutOfMemory."""
        return self._store(self._c.slipring_set, key, value, ttl, flags)

    def add(self, key: Key, value: Value, *, ttl: Optional[Seconds] = None, flags: int = 0) -> int:
        """As set(), but only when the key is missing; else raises NotStored."""
        return self._store(self._c.slipring_add, key, value, ttl, flags)

    def replace(self, key: Key, value: Value, *, ttl: Optional[Seconds] = None, flags: int = 0) -> int:
        """As set(), but only when the key is there; else raises NotStored."""
        return self._store(self._c.slipring_replace, key, value, ttl, flags)

    def cas(self, key: Key, value: Value, version: int, *, ttl: Optional[Seconds] = None, flags: int = 0) -> int:
        """As set(), but only while the item's version is `version`, as get_item() or meta() told it;
        else raises Exists (a Changed), or NotFound."""
        _number("version", version, 1, U64_MAX)
        return self._store(self._c.slipring_cas, key, value, ttl, flags, version)

    def delete(self, key: Key, *, version: Optional[int] = None) -> None:
        """Deletes a key; with a version only that one. Raises NotFound, Exists (a Changed)."""
        key = _key(key)
        self._do(self._c.slipring_delete, key, len(key), 0 if version is None else _number("version", version, 1, U64_MAX))

    def touch(self, key: Key, ttl: Optional[Seconds] = None) -> None:
        """Gives a key a new TTL in seconds; None: it never expires. Raises NotFound."""
        key, ttl_ms = _key(key), _ttl_ms(ttl)
        self._do(self._c.slipring_touch, key, len(key), ttl_ms)

    def _count(self, op: Op, key: Key, delta: int, initial: Optional[int], ttl: Optional[Seconds]) -> int:
        key = _key(key)
        _number("delta", delta, 0, U64_MAX)
        if initial is None:
            if ttl is not None:
                raise BadArgument("ttl needs initial: a number that is there keeps its TTL (see touch)")
            function = self._c.slipring_incr if op == Op.INCR else self._c.slipring_decr
            return self._call(function, key, len(key), delta)[1].number
        _number("initial", initial, 0, U64_MAX)
        if op == Op.INCR:
            return self._call(self._c.slipring_incr_create, key, len(key), delta, initial, _ttl_ms(ttl))[1].number
        reply = self.run([Operation(op, key, mode=Mode.CREATE, delta=delta, initial=initial, ttl=ttl)])[0]
        if reply.error:
            raise reply.error
        return reply.number

    def incr(self, key: Key, delta: int = 1, *, initial: Optional[int] = None, ttl: Optional[Seconds] = None) -> int:
        """Adds delta (0 to 2^64-1) to an unsigned decimal number and returns the sum, which wraps at
        2^64. A missing key becomes `initial`, with the TTL, and delta is then not added; without
        `initial` it raises NotFound. Raises NotANumber. Executed at most once, however often the
        network made the library send it."""
        return self._count(Op.INCR, key, delta, initial, ttl)

    def decr(self, key: Key, delta: int = 1, *, initial: Optional[int] = None, ttl: Optional[Seconds] = None) -> int:
        """As incr(), but subtracts, and stops at 0."""
        return self._count(Op.DECR, key, delta, initial, ttl)

    def append(self, key: Key, value: Value) -> int:
        """Adds at most 1024 bytes at the end of a value and returns its version. Raises NotStored when
        there is none, TooLarge."""
        key, value = _key(key), _value(value, c.APPEND_MAX)
        return self._call(self._c.slipring_append, key, len(key), value, len(value))[1].version

    def prepend(self, key: Key, value: Value) -> int:
        """As append(), but at the start."""
        key, value = _key(key), _value(value, c.APPEND_MAX)
        return self._call(self._c.slipring_prepend, key, len(key), value, len(value))[1].version

    def meta(self, key: Key) -> Meta:
        """Size, flags, version and TTL left, without the value and without counting as a read, so it
        does not keep a key from being evicted. Raises NotFound."""
        key = _key(key)
        result = self._call(self._c.slipring_meta, key, len(key))[1]
        return Meta(result.total_len, result.flags, result.version, _ttl_of(result))

    # --- many keys -----------------------------------------------------------------------

    def mget(self, keys: Iterable[Key]) -> Dict[Any, bytes]:
        """The values of the keys that are there, {key as it was given: value}. Many go in one frame.
        Raises SomeFailed when the node did not answer for some; it holds the values of the others."""
        left = [(given, _key(given), 0) for given in dict.fromkeys(keys)]
        count, found, errors = len(left), {}, {}
        buffer = ctypes.create_string_buffer(_MGET_BUFFER) if left else None
        self._take_turn()
        try:
            while left:
                size, take = 0, 0
                while take < len(left) and take < _MGET_KEYS and size + left[take][2] <= _MGET_BUFFER:
                    size += left[take][2]
                    take += 1
                left = self._mget_some(left[:take], buffer, found, errors) + left[take:]
        finally:
            self._turn.release()
        if errors:
            raise SomeFailed(count, errors, found)
        return found

    def _mget_some(self, some: List[Tuple[Any, bytes, int]], buffer: Any, found: Dict[Any, bytes],
                   errors: Dict[Any, Error]) -> List[Tuple[Any, bytes, int]]:
        """Asks once; returns what did not fit the buffer, each with the size that the node told."""
        items = (c.Item * len(some))()
        again = []
        for item, (_, key, _) in zip(items, some):
            item.key, item.key_len = key, len(key)
        self._c.slipring_mget(self._handle, items, len(items), buffer, _MGET_BUFFER)
        for item, (given, key, _) in zip(items, some):
            result = item.result
            if result.status == Status.OK:
                found[given] = _bytes_of(result)
            elif result.status == Status.TOO_LARGE:
                again.append((given, key, result.total_len))
            elif result.status != Status.NOT_FOUND:
                errors[given] = error_of(result.status)
        return again

    def mset(self, values: Mapping[Any, Value], *, ttl: Optional[Seconds] = None, flags: int = 0) -> None:
        """Stores many values, {key: value}, all with one TTL and flags; as many are in flight as the
        window allows. All are checked before the first is sent. Raises SomeFailed, which names the
        keys that failed; the others were stored."""
        keys = list(values)
        replies = self.run([Operation(Op.SET, key, values[key], ttl=ttl, flags=flags) for key in keys])
        errors = {key: reply.error for key, reply in zip(keys, replies) if reply.error}
        if errors:
            raise SomeFailed(len(keys), errors)

    def run(self, operations: Iterable[Operation]) -> List[Reply]:
        """Many operations in flight at once, in any order; replies stand in the order given, failures as
        their `error`. All are checked before the first is sent; a mode that does not go with its
        operation is its reply's BadArgument."""
        requests = [_request(operation) for operation in operations]
        replies: List[Optional[Reply]] = [None] * len(requests)
        raised: List[BaseException] = []

        def take(context: int, result: Any) -> None:
            try:  # what left here would be lost: ctypes has nowhere to raise it
                replies[context - 1] = self._reply(result.contents)
            except BaseException as exception:
                raised.append(exception)

        done = c.Done(take)
        self._take_turn()
        try:
            try:
                for index, request in enumerate(requests):
                    request.done, request.context = done, index + 1
                    replies[index] = self._submit(request) or replies[index]
            finally:
                self._c.slipring_flush(self._handle)  # before the requests may go
        finally:
            self._turn.release()
        if raised:
            raise raised[0]
        return replies  # type: ignore[return-value]  # each has been completed

    def _submit(self, request: c.Request) -> Optional[Reply]:
        """A reply only when there will be no other."""
        status = self._c.slipring_submit(self._handle, ctypes.byref(request))
        while status == Status.WINDOW_FULL:
            self._c.slipring_poll(self._handle, 1000000)
            status = self._c.slipring_submit(self._handle, ctypes.byref(request))
        return None if status == Status.OK else Reply(self._error(status))

    def _reply(self, result: c.Result) -> Reply:
        if result.status != Status.OK:
            return Reply(self._error(result.status))
        return Reply(None, _bytes_of(result), result.version, result.number, result.flags, result.total_len, _ttl_of(result))

    # --- the node ------------------------------------------------------------------------

    def ping(self, worker: int = 0) -> float:
        """Seconds of one round trip to a worker, 0 to the node's last (see topology)."""
        _number("worker", worker, 0, c.WORKERS_MAX - 1)
        begin = time.perf_counter()
        self._do(self._c.slipring_ping, worker)
        return time.perf_counter() - begin

    def stats(self, group: str = "") -> Dict[str, Union[int, str]]:
        """The node's statistics, {name: number, or text}. Groups: "" for everything, drops, store,
        workers, sockets, memcached. Raises NotFound for another."""
        if "\0" in group:
            raise BadArgument(f"group {group!r}: not a name")
        text = self._call(self._c.slipring_stats, group.encode())[0].decode("utf-8", "replace")
        lines = (line.partition(" ") for line in text.splitlines())
        return {name: int(value) if value.isascii() and value.isdigit() else value for name, _, value in lines}

    def topology(self) -> Topology:
        """Epoch, slots, and the UDP port of each worker; asks the node."""
        told = c.Topology()
        self._do(self._c.slipring_topology, ctypes.byref(told))
        return Topology(told.epoch, told.slot_count, tuple(told.ports[:told.worker_count]))

    def cluster(self) -> Cluster:
        """What this handle knows of the cluster, and what it has done about silence; asks nobody."""
        told = c.Cluster()
        self._take_turn()
        try:
            self._c.slipring_cluster(self._handle, ctypes.byref(told))
        finally:
            self._turn.release()
        return Cluster(*(getattr(told, name) for name in Cluster._fields))

    def nodes(self) -> List[Node]:
        """The nodes that this handle knows: of a cluster all, once the first operation is done; before,
        the hosts given. Asks nobody."""
        self._take_turn()
        try:
            count = self._c.slipring_nodes(self._handle, None, 0)
            told = (c.Node * count)()
            self._c.slipring_nodes(self._handle, told, count)
        finally:
            self._turn.release()
        return [_node_of(one) for one in told]

    def owner(self, key: Key, rank: int = 0) -> Node:
        """The node that operations on a key are sent to; rank 1 the next one. Asks for the topology when
        there is none yet. Raises NotFound when the key has no owner of that rank."""
        key, told = _key(key), c.Node()
        self._do(self._c.slipring_owner, key, len(key), _number("rank", rank, 0, U32_MAX), ctypes.byref(told))
        return _node_of(told)

    def counters(self) -> Counters:
        """What this handle has done so far; asks nobody."""
        counters = c.Counters()
        self._take_turn()
        try:
            self._c.slipring_counters(self._handle, ctypes.byref(counters))
        finally:
            self._turn.release()
        return Counters(*(getattr(counters, name) for name in Counters._fields))

    # --- as a dict -----------------------------------------------------------------------

    def __getitem__(self, key: Key) -> bytes:
        """cache[key]; raises NotFound, which is a KeyError."""
        return self.get_item(key).value

    def __setitem__(self, key: Key, value: Value) -> None:
        """cache[key] = value, which never expires."""
        self.set(key, value)

    def __delitem__(self, key: Key) -> None:
        """del cache[key]; raises NotFound, which is a KeyError."""
        self.delete(key)

    def __contains__(self, key: Key) -> bool:
        """key in cache, without counting as a read."""
        try:
            self.meta(key)
        except NotFound:
            return False
        return True


def slot(key: Key) -> int:
    """Slot 0 to 16383 of a key: CRC-16 of the key or of its {tag}, as Redis Cluster has it. Any thread."""
    key = _key(key)
    return load().slipring_slot(key, len(key))


def compose_frame(operations: Sequence[Operation], client: int, cookie: int = 0) -> bytes:
    """The bytes of one request frame with these operations, for packet generators and tests: client is
    the client id and cookie as a node gave it, both 64 bits; the sequence is 1. Raises BadArgument
    when they do not fit one frame. No handle, any thread."""
    _number("client", client, 0, U64_MAX)
    _number("cookie", cookie, 0, U64_MAX)
    requests = (c.Request * len(operations))(*(_request(operation) for operation in operations))
    frame = ctypes.create_string_buffer(2048)
    length = load().slipring_compose_frame(requests, len(operations), client, cookie, frame, len(frame))
    if length == 0:
        raise BadArgument(f"{len(operations)} operations: none, invalid, or more than fit one frame")
    return frame.raw[:length]
