"""pymemcache (text): pymemcache_client.py HOST PORT [proxy]"""
import os
import sys
import time

import pymemcache
from pymemcache.client.base import Client, PooledClient
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError

from checks import SIZES, Checks, body, raises, together

host, port, proxy = sys.argv[1], int(sys.argv[2]), sys.argv[3:4] == ["proxy"]
P = f"pymc-{os.getpid()}-" + ("p-" if proxy else "")
checks = Checks("pymemcache" + ("/nutcracker" if proxy else ""), pymemcache.__version__)


def k(name):
    return P + name


def make(**how):
    return Client((host, port), timeout=10, connect_timeout=5, **how)


c = make(default_noreply=False)

with checks("set get delete"):
    assert c.set(k("a"), b"1") and c.get(k("a")) == b"1" and c.delete(k("a")) and c.get(k("a")) is None and not c.delete(k("a"))
for size in SIZES:
    with checks(f"value of {size} B"):
        assert c.set(k("l"), body(size)) and c.get(k("l")) == body(size)
with checks("key of 250 bytes"):
    assert c.set(k("x" * (250 - len(P))), b"v") and c.get(k("x" * (250 - len(P)))) == b"v"
with checks("unicode keys"):
    u = make(default_noreply=False, allow_unicode_keys=True)
    assert u.set(k("ключ"), b"v") and u.get(k("ключ")) == b"v"
    u.close()
with checks("add replace append prepend"):
    assert c.add(k("x"), b"b") and not c.add(k("x"), b"c") and c.replace(k("x"), b"bb") and not c.replace(k("none"), b"b")
    assert c.append(k("x"), b"c") and c.prepend(k("x"), b"a") and c.get(k("x")) == b"abbc"
with checks("flags"):
    assert c.set(k("fl"), b"v", flags=4294967295 if not proxy else 77) and c.get(k("fl")) == b"v"
with checks("gets and cas"):
    value, cas = c.gets(k("x"))
    assert value == b"abbc" and c.cas(k("x"), b"new", cas) and c.cas(k("x"), b"newer", cas) is False and c.get(k("x")) == b"new"
    assert c.cas(k("none"), b"new", cas) is None
with checks("incr and decr"):
    c.set(k("n"), b"10")
    assert c.incr(k("n"), 5) == 15 and c.decr(k("n"), 6) == 9 and c.get(k("n")).strip() == b"9"
    assert c.decr(k("n"), 60) == 0 and c.incr(k("none"), 1) is None
    c.set(k("n"), b"word")
    raises(MemcacheClientError, c.incr, k("n"), 1, text="non-numeric")
with checks("expiry and touch"):
    c.set(k("e1"), b"1", expire=1)
    c.set(k("e2"), b"1", expire=1)
    if proxy:  # which ends the connection at touch and at a negative expiry
        c.set(k("e2"), b"1", expire=100)
    else:
        assert c.touch(k("e2"), 100) and not c.touch(k("none"), 100)
        c.set(k("e3"), b"1", expire=-1)
    time.sleep(2.1)
    assert c.get(k("e1")) is None and c.get(k("e2")) == b"1" and c.get(k("e3")) is None
with checks("set_many and get_many of 100"):
    many = {k(f"m{i}"): b"%d" % i for i in range(100)}
    assert c.set_many(many) == [] and c.get_many(list(many) + [k("none")]) == many
    assert len(c.gets_many(list(many))) == 100
    assert c.delete_many(many) and c.get_many(list(many)) == {}
with checks("noreply: set and get leave in one segment"):
    n = make()
    for i in range(25):
        n.set(k("nr"), b"%d" % i)
        assert n.get(k("nr")) == b"%d" % i
    n.incr(k("nr"), 1, noreply=True)
    assert n.get(k("nr")) == b"25"
    n.delete(k("nr"))
    assert n.get(k("nr")) is None
    n.close()
with checks("keys that are none"):
    raises(MemcacheIllegalInputError, c.get, k("x" * 300))
    raises(MemcacheIllegalInputError, c.get, k("a b"))
    assert c.set(k("ok"), b"1")
if not proxy:
    with checks("version and stats"):
        assert c.version()[:2] == b"1."
        stats = c.stats()
        for name in (b"pid", b"uptime", b"time", b"version", b"curr_items", b"cmd_get", b"cmd_set", b"get_hits", b"get_misses", b"bytes",
                     b"curr_connections", b"total_connections", b"evictions", b"limit_maxbytes", b"threads"):
            assert name in stats, name
        assert c.stats("settings") and b"maxconns" in c.stats("settings")
    with checks("value too large"):
        raises(Exception, c.set, k("huge"), b"x" * (3 << 20), text="too large")
        assert c.set(k("ok"), b"1") and c.get(k("ok")) == b"1"
with checks("reconnect"):
    for i in range(20):
        c.close()
        assert c.set(k("again"), b"%d" % i)
with checks("twenty threads, one pool"):
    pool, bad = PooledClient((host, port), max_pool_size=20, default_noreply=False, timeout=10), []

    def work(n):
        for i in range(50):
            pool.set(k(f"t{n}"), f"{n}-{i}")
            if pool.get(k(f"t{n}")) != f"{n}-{i}".encode():
                bad.append((n, i))
    together(work, 20)
    pool.close()
    assert not bad, bad
if not proxy:
    with checks("flush_all"):
        c.set(k("f"), b"1")
        assert c.flush_all() and c.get(k("f")) is None
    with checks("quit"):
        c.quit()
checks.end()
