"""slipring.Cache against a node on loopback."""
import gc
import os
import threading
import time
from datetime import timedelta

import pytest

import slipring
from slipring import Cache, Mode, Op, Operation

BINARY = bytes(range(256))


def test_values_go_in_and_come_out(cache):
    version = cache.set("py", b"value")
    assert cache.get("py") == b"value" and cache.get(b"py") == b"value"
    assert cache.get_item("py") == (b"value", 0, version)
    cache.set("py", b"")
    assert cache.get("py") == b""
    assert cache.get("py:none") is None and cache.get("py:none", b"other") == b"other"
    with pytest.raises(slipring.NotFound, match="no such key"):
        cache.get_item("py:none")


def test_any_octets_are_a_key_and_a_value(cache):
    for key in (b"\0", BINARY[:250], b"a\nb c\r", "schlüssel", bytearray(b"array"), memoryview(b"view")):
        cache.set(key, BINARY)
        assert cache.get(key) == BINARY
    assert cache.get("schlüssel".encode()) == BINARY
    assert cache.get(BINARY[:249]) is None
    for value in (bytearray(b"one"), memoryview(b"xtwox")[1:4]):
        cache.set("py:kinds", value)
        assert cache.get("py:kinds") == bytes(value)


@pytest.mark.parametrize("size", [1399, 1400, 1401, 100_000, slipring.VALUE_MAX])
def test_large_values(cache, size):
    value = os.urandom(size)
    cache.set("py:large", value, flags=7)
    item = cache.get_item("py:large")
    assert item.value == value and item.flags == 7
    assert cache.meta("py:large").size == size
    cache.delete("py:large")


def test_conditions(cache):
    cache.set("py:c", b"0")
    with pytest.raises(slipring.NotStored):
        cache.add("py:c", b"1")
    cache.delete("py:c")
    with pytest.raises(slipring.NotStored):
        cache.replace("py:c", b"1")
    first = cache.add("py:c", b"1")
    second = cache.replace("py:c", b"2")
    assert second > first
    with pytest.raises(slipring.Changed) as caught:
        cache.cas("py:c", b"3", first)
    assert caught.type is slipring.Exists and caught.value.status == slipring.Status.EXISTS
    assert cache.get_item("py:c").version == second
    third = cache.cas("py:c", b"3", second)
    with pytest.raises(slipring.Exists):
        cache.delete("py:c", version=second)
    cache.delete("py:c", version=third)
    with pytest.raises(slipring.NotFound):
        cache.cas("py:c", b"4", third)
    with pytest.raises(slipring.NotFound):
        cache.delete("py:c")


def test_ttl_flags_and_meta(cache):
    cache.set("py:t", b"four", ttl=3600, flags=0xffffffff)
    meta = cache.meta("py:t")
    assert (meta.size, meta.flags) == (4, 0xffffffff) and 3590 < meta.ttl <= 3600
    assert cache.get_and_touch("py:t", timedelta(minutes=5)) == b"four"
    assert 290 < cache.meta("py:t").ttl <= 300
    cache.touch("py:t")
    assert cache.meta("py:t").ttl is None
    assert cache.get_and_touch("py:t:none", 5, b"other") == b"other"
    cache.touch("py:t", 0.0001)  # rounded up to a millisecond, not down to for ever
    time.sleep(0.02)
    assert cache.get("py:t") is None
    with pytest.raises(slipring.NotFound):
        cache.touch("py:t", 5)
    with pytest.raises(slipring.NotFound):
        cache.meta("py:t")


def test_numbers(cache):
    with pytest.raises(slipring.NotFound):
        cache.incr("py:n")
    assert cache.incr("py:n", 5, initial=40, ttl=60) == 40
    assert cache.meta("py:n").ttl <= 60
    assert cache.incr("py:n", 2) == 42 and cache.decr("py:n") == 41
    assert cache.decr("py:n", 100) == 0
    assert cache.incr("py:n", 2**64 - 1) == 2**64 - 1 and cache.incr("py:n") == 0
    assert cache.decr("py:m", 3, initial=10) == 10 and cache.decr("py:m", 3, initial=10) == 7
    cache.set("py:n", b"word")
    with pytest.raises(slipring.NotANumber, match="not an unsigned decimal number"):
        cache.incr("py:n")
    with pytest.raises(slipring.NotANumber):
        cache.decr("py:n", initial=1)


def test_append_and_prepend(cache):
    with pytest.raises(slipring.NotStored):
        cache.append("py:a", b"x")
    cache.set("py:a", b"b")
    cache.append("py:a", b"c" * 1024)
    cache.prepend("py:a", b"a")
    assert cache.get("py:a") == b"ab" + b"c" * 1024


def test_as_a_dict(cache):
    cache["py:d"] = b"1"
    assert "py:d" in cache and cache["py:d"] == b"1"
    del cache["py:d"]
    assert "py:d" not in cache
    with pytest.raises(KeyError) as caught:
        cache["py:d"]
    assert str(caught.value) == "no such key"
    with pytest.raises(KeyError):
        del cache["py:d"]
    with pytest.raises(TypeError):
        iter(cache)


def test_many_keys(cache):
    values = {f"py:many:{i}": b"v" * (i % 300) for i in range(3000)}
    cache.mset(values, ttl=600, flags=3)
    assert cache.meta("py:many:7").flags == 3
    assert cache.mget([*values, "py:many:none"]) == values
    assert cache.mget([]) == {} and cache.mset({}) is None
    assert cache.mget(["py:many:5", b"py:many:5"]) == {"py:many:5": b"v" * 5, b"py:many:5": b"v" * 5}


def test_many_large_values(cache):
    """More than the buffer of one round holds."""
    values = {f"py:wide:{i}".encode(): os.urandom(size) for i, size in enumerate([1 << 20, 700_000] * 4 + [0, 1, 1500])}
    cache.mset(values)
    assert cache.mget(values) == values
    for key in values:
        cache.delete(key)


def test_operations_in_flight(cache):
    cache.set("py:r", b"1")
    replies = cache.run([
        Operation(Op.GET, "py:r"), Operation(Op.GET, "py:r:none"), Operation(Op.META, "py:r"), Operation(Op.PING),
        Operation(Op.INCR, "py:r:n", mode=Mode.CREATE, initial=5), Operation(Op.SET, "py:r:s", b"x", Mode.REPLACE),
        Operation(Op.GET, "py:r", mode=Mode.CAS)])
    assert replies[0].error is None and replies[0].value == b"1"
    assert isinstance(replies[1].error, slipring.NotFound)
    assert replies[2].size == 1 and replies[2].ttl is None
    assert replies[3].error is None and replies[4].number == 5
    assert isinstance(replies[5].error, slipring.NotStored)
    assert isinstance(replies[6].error, slipring.BadArgument) and "mode 4 does not go with" in str(replies[6].error)


def test_more_operations_than_the_window(node):
    with Cache("127.0.0.1", node.port, window=3) as cache:
        replies = cache.run(Operation(Op.SET, f"py:w:{i}", b"%d" % i) for i in range(500))
        assert [r.error for r in replies] == [None] * 500
        assert cache.get("py:w:499") == b"499"


def test_the_node_is_described(cache, node):
    topology = cache.topology()
    assert topology == (1, 16384, (node.port, node.port + 1))
    assert 0 < cache.ping(0) < 2 and 0 < cache.ping(1) < 2
    with pytest.raises(slipring.BadArgument):
        cache.ping(2)
    stats = cache.stats()
    assert stats["workers"] == 2 and stats["cmd_get"] >= 0 and isinstance(stats["version"], str)
    assert cache.stats("store")["budget_bytes"] > 0
    with pytest.raises(slipring.NotFound):
        cache.stats("nonsense")
    counters = cache.counters()
    assert counters.operations > 0 and counters.frames_sent >= counters.operations / 64


def test_frames_for_packet_generators():
    frame = slipring.compose_frame([Operation(Op.SET, b"key", b"value")], client=7, cookie=0x0102030405060708)
    assert b"key" in frame and b"value" in frame
    more = slipring.compose_frame([Operation(Op.SET, b"key", b"value"), Operation(Op.GET, b"key2")], client=7)
    assert len(more) > len(frame)
    with pytest.raises(slipring.BadArgument):
        slipring.compose_frame([], client=1)
    with pytest.raises(slipring.BadArgument):
        slipring.compose_frame([Operation(Op.SET, b"key", b"v" * 2000)], client=1)


# --- the handle --------------------------------------------------------------------------

def test_a_closed_cache_says_so(node):
    cache = Cache("127.0.0.1", node.port)
    cache.close()
    cache.close()
    assert "closed" in repr(cache)
    for call in (lambda: cache.get("k"), lambda: cache.mget(["k"]), cache.counters, lambda: cache.run([])):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_a_second_thread_is_refused_while_a_call_runs(node):
    """A handle used by two threads at once would be corrupted."""
    node.process.send_signal(19)  # SIGSTOP: the first call waits
    try:
        with Cache("127.0.0.1", node.port, timeout=1) as cache:
            failures = []

            def wait():
                try:
                    cache.get("k")
                except slipring.Timeout as error:
                    failures.append(error)

            thread = threading.Thread(target=wait)
            thread.start()
            time.sleep(0.2)
            with pytest.raises(RuntimeError, match="one Cache a thread"):
                cache.get("k")
            thread.join()
            assert len(failures) == 1
    finally:
        node.process.send_signal(18)


def test_a_child_of_fork_is_refused(cache):
    """It would send its writes under sequence numbers that the parent uses, too."""
    cache.set("py:fork", b"1")
    child = os.fork()
    if child == 0:
        try:
            cache.get("py:fork")
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.get("py:fork") == b"1"


def test_handles_are_closed_when_they_are_dropped(node):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        Cache("127.0.0.1", node.port).get("k")
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_the_shared_key(start, tmp_path):
    (tmp_path / "key").write_text("07" * 32)
    port = start("--key-file", tmp_path / "key").port
    for key in ("07" * 32, b"\7" * 32):
        with Cache("127.0.0.1", port, key=key) as cache:
            cache["k"] = b"signed"
            assert cache["k"] == b"signed"
    for key in (None, b"\x08" * 32):
        with Cache("127.0.0.1", port, key=key, timeout=0.2) as cache, pytest.raises(slipring.Timeout):
            cache.get("k")
