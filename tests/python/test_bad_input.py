"""Bad input is refused by name before anything is sent; a node that is not there has its own errors."""
import re
from datetime import timedelta

import pytest

import slipring
from slipring import Cache, Op, Operation

REFUSED = [
    (lambda c: c.get(""), slipring.BadKey, "the key has 0 bytes; keys have 1 to 250"),
    (lambda c: c.get(b"k" * 251), slipring.BadKey, "251 bytes"),
    (lambda c: c.set("ü" * 126, b""), slipring.BadKey, "252 bytes"),
    (lambda c: c.get(5), TypeError, "a key is str or bytes, not int"),
    (lambda c: c.get(None), TypeError, "not NoneType"),
    (lambda c: c.set("k", "text"), TypeError, "a value is bytes, not str"),
    (lambda c: c.set("k", b"v" * (slipring.VALUE_MAX + 1)), slipring.TooLarge, "1048577 bytes; the limit is 1048576"),
    (lambda c: c.append("k", b"v" * 1025), slipring.TooLarge, "1025 bytes; the limit is 1024"),
    (lambda c: c.prepend("k", b"v" * 1025), slipring.TooLarge, "1025"),
    (lambda c: c.set("k", b"", ttl=0), slipring.BadArgument, "ttl 0"),
    (lambda c: c.set("k", b"", ttl=-1), slipring.BadArgument, "ttl -1"),
    (lambda c: c.set("k", b"", ttl=float("nan")), slipring.BadArgument, "ttl nan"),
    (lambda c: c.set("k", b"", ttl=float("inf")), slipring.BadArgument, "ttl inf"),
    (lambda c: c.set("k", b"", ttl=slipring.TTL_MS_MAX / 1000 + 1), slipring.BadArgument, "ttl"),
    (lambda c: c.touch("k", timedelta(days=-1)), slipring.BadArgument, "ttl"),
    (lambda c: c.set("k", b"", ttl="5"), TypeError, "ttl is a number of seconds"),
    (lambda c: c.set("k", b"", ttl=True), TypeError, "ttl"),
    (lambda c: c.set("k", b"", flags=1 << 32), slipring.BadArgument, "flags 4294967296: not from 0 to 4294967295"),
    (lambda c: c.set("k", b"", flags=-1), slipring.BadArgument, "flags -1"),
    (lambda c: c.set("k", b"", flags=1.5), TypeError, "flags is a whole number"),
    (lambda c: c.cas("k", b"", 0), slipring.BadArgument, "version 0"),
    (lambda c: c.cas("k", b"", 1 << 64), slipring.BadArgument, "version"),
    (lambda c: c.delete("k", version=0), slipring.BadArgument, "version 0"),
    (lambda c: c.incr("k", -1), slipring.BadArgument, "delta -1"),
    (lambda c: c.incr("k", 1 << 64), slipring.BadArgument, "delta"),
    (lambda c: c.decr("k", initial=-1), slipring.BadArgument, "initial -1"),
    (lambda c: c.incr("k", ttl=5), slipring.BadArgument, "ttl needs initial"),
    (lambda c: c.mget(["k", ""]), slipring.BadKey, "0 bytes"),
    (lambda c: c.mset({"k": b"", "l": "text"}), TypeError, "not str"),
    (lambda c: c.run([Operation(Op.SET, "k", b"v"), Operation(Op.GET, "")]), slipring.BadKey, "0 bytes"),
    (lambda c: c.run([Operation(99, "k")]), ValueError, "99"),
    (lambda c: c.ping(-1), slipring.BadArgument, "worker -1"),
    (lambda c: c.stats("a\0b"), slipring.BadArgument, "group"),
]


@pytest.mark.parametrize("call,error,text", REFUSED)
def test_nothing_is_sent(node, call, error, text):
    with Cache("127.0.0.1", node.port) as cache:
        with pytest.raises(error, match=re.escape(text)):
            call(cache)
        assert cache.counters().frames_sent == 0
        cache.set("py:after", b"fine")  # and the handle works


@pytest.mark.parametrize("arguments,error,text", [
    ({"port": 0}, slipring.BadArgument, "port 0: not from 1 to 65535"),
    ({"port": 70000}, slipring.BadArgument, "port 70000"),
    ({"port": "7411"}, TypeError, "port is a whole number, not str"),
    ({"timeout": 0}, slipring.BadArgument, "timeout 0"),
    ({"timeout": 5000}, slipring.BadArgument, "timeout 5000"),
    ({"timeout": "2"}, TypeError, "timeout"),
    ({"timeout": 1, "try_timeout": 2}, slipring.BadArgument, "deadline_us"),
    ({"try_timeout": 61, "timeout": 100}, slipring.BadArgument, "try_timeout_us"),
    ({"window": 0}, slipring.BadArgument, "window 0"),
    ({"window": 4097}, slipring.BadArgument, "window 4097"),
    ({"key": b"short"}, slipring.BadArgument, "key: 5 bytes, not 32"),
    ({"key": "zz"}, slipring.BadArgument, "64 hexadecimal digits"),
    ({"key": 5}, TypeError, "key is bytes or str"),
    ({"host": ""}, slipring.BadArgument, "host ''"),
    ({"host": "a\0b"}, slipring.BadArgument, "host"),
    ({"host": b"n1"}, TypeError, "host is str"),
    ({"host": "no-such-host.invalid"}, slipring.NoHost, "no-such-host.invalid"),
])
def test_a_cache_that_cannot_be(arguments, error, text):
    with pytest.raises(error, match=re.escape(text)):
        Cache(**{"host": "127.0.0.1", **arguments})


def test_nobody_there():
    with Cache("127.0.0.1", 1, timeout=0.2) as cache:
        for call in (lambda: cache.get("k"), lambda: cache.set("k", b"v")):
            with pytest.raises(slipring.Unreachable, match="127.0.0.1:1") as caught:
                call()
            assert isinstance(caught.value, ConnectionError)
        with pytest.raises(slipring.SomeFailed, match="2 of 2 keys failed") as some:
            cache.mget(["a", "b"])
        assert set(some.value.errors) == {"a", "b"} and some.value.values == {}
        with pytest.raises(slipring.SomeFailed):
            cache.mset({"a": b"1"})


def test_a_library_that_is_not_there_is_named(monkeypatch):
    from slipring import _library
    monkeypatch.setenv("SLIPRING_LIBRARY", "/nonexistent/libslipring.so.0")
    with pytest.raises(ImportError, match="SLIPRING_LIBRARY"):
        _library.load.__wrapped__()
