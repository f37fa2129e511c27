"""python-memcache (text): python_memcache.py HOST PORT"""
import os
import sys
import time

import memcache

from checks import SIZES, Checks, body

host, port = sys.argv[1], int(sys.argv[2])
P = f"pmc-{os.getpid()}-"
checks = Checks("python-memcached", memcache.__version__)
c = memcache.Client([f"{host}:{port}"], socket_timeout=10, server_max_value_length=1 << 21, cache_cas=True)

with checks("set get delete"):
    assert c.set(P + "a", "one") and c.get(P + "a") == "one" and c.delete(P + "a") and c.get(P + "a") is None
with checks("kinds of values"):
    for value in (7, "text", "ключ", b"\0\r\n\xff", [1, {"two": 3}], True):
        assert c.set(P + "k", value) and c.get(P + "k") == value
for size in SIZES:
    with checks(f"value of {size} B"):
        assert c.set(P + "l", body(size)) and c.get(P + "l") == body(size)
with checks("add replace append prepend"):
    assert c.add(P + "x", "b") and not c.add(P + "x", "c") and c.replace(P + "x", "bb") and not c.replace(P + "none", "b")
    assert c.append(P + "x", "c") and c.prepend(P + "x", "a") and c.get(P + "x") == "abbc"
with checks("gets and cas"):
    assert c.gets(P + "x") == "abbc" and c.cas(P + "x", "new") and c.get(P + "x") == "new"
    c.set(P + "x", "other")
    assert not c.cas(P + "x", "newer")
    c.reset_cas()
with checks("incr and decr"):
    assert c.set(P + "n", 10) and c.incr(P + "n", 5) == 15 and c.decr(P + "n", 100) == 0 and c.incr(P + "none") is None
with checks("several sets in one segment, get_multi"):
    many = {f"m{i}": f"value {i}" for i in range(100)}
    assert c.set_multi(many, key_prefix=P) == [] and c.get_multi(list(many) + ["none"], key_prefix=P) == many
    assert c.delete_multi(many, key_prefix=P) and c.get_multi(many, key_prefix=P) == {}
with checks("expiry and touch"):
    assert c.set(P + "e1", 1, time=1) and c.set(P + "e2", 1, time=1) and c.touch(P + "e2", 100)
    time.sleep(2.1)
    assert c.get(P + "e1") is None and c.get(P + "e2") == 1
with checks("stats"):
    [(_, stats)] = c.get_stats()
    assert int(stats["curr_items"]) >= 1
    [(_, settings)] = c.get_stats("settings")
    assert "maxconns" in settings
    for group in ("items", "slabs"):
        c.get_stats(group)
with checks("compression"):
    assert c.set(P + "z", b"a" * 500_000, min_compress_len=1000) and c.get(P + "z") == b"a" * 500_000
with checks("reconnect"):
    for i in range(20):
        c.disconnect_all()
        assert c.set(P + "again", i) and c.get(P + "again") == i
checks.end()
