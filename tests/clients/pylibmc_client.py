"""pylibmc, libmemcached behind it: pylibmc_client.py HOST PORT [binary] [user:password]"""
import os
import sys
import time

import pylibmc

from checks import SIZES, Checks, body, raises

host, port, binary = sys.argv[1], int(sys.argv[2]), "binary" in sys.argv[3:]
login = next((a.split(":") for a in sys.argv[3:] if ":" in a), (None, None))
P = f"plm-{binary}-{os.getpid()}-"
checks = Checks("pylibmc/" + ("binary" if binary else "text"), f"{pylibmc.__version__}, libmemcached {pylibmc.libmemcached_version}")


def make(**behaviours):
    how = {"username": login[0], "password": login[1]} if login[0] else {}
    return pylibmc.Client([f"{host}:{port}"], binary=binary, behaviors={"tcp_nodelay": True, "cas": True, **behaviours}, **how)


def refused(call):
    """Text and binary differ in whether pylibmc raises."""
    try:
        return not call()
    except pylibmc.Error:
        return True


c = make()

with checks("set get delete"):
    assert c.set(P + "a", "one") and c.get(P + "a") == "one" and c.delete(P + "a") and c.get(P + "a") is None and refused(lambda: c.delete(P + "a"))
with checks("kinds of values"):
    for value in (7, 1 << 40, "ключ", b"\0\r\n\xff", [1, {"two": 3}], True):
        assert c.set(P + "k", value) and c.get(P + "k") == value
for size in SIZES:
    with checks(f"value of {size} B"):
        assert c.set(P + "l", body(size)) and c.get(P + "l") == body(size)
with checks("add replace append prepend"):
    assert c.add(P + "x", b"b") and not c.add(P + "x", b"c") and c.replace(P + "x", b"bb")
    assert c.append(P + "x", b"c") and c.prepend(P + "x", b"a") and c.get(P + "x") == b"abbc"
with checks("gets and cas"):
    value, cas = c.gets(P + "x")
    assert value == b"abbc" and c.cas(P + "x", b"new", cas) and refused(lambda: c.cas(P + "x", b"newer", cas)) and c.get(P + "x") == b"new"
with checks("incr and decr"):
    assert c.set(P + "n", 10) and c.incr(P + "n", 5) == 15 and c.decr(P + "n", 100) == 0
    raises(pylibmc.NotFound, c.incr, P + "none")
with checks("set_multi and get_multi of 200"):
    many = {f"m{i}": f"value {i}" for i in range(200)}
    assert c.set_multi(many, key_prefix=P) == [] and c.get_multi(list(many) + ["none"], key_prefix=P) == many
    assert c.delete_multi(list(many), key_prefix=P) and c.get_multi(list(many), key_prefix=P) == {}
with checks("get_multi of large values"):
    large = {f"big{i}": body(200_000, i) for i in range(10)}
    assert c.set_multi(large, key_prefix=P) == [] and c.get_multi(list(large), key_prefix=P) == large
with checks("buffered and without replies"):
    q = make(no_block=True, _noreply=True)
    for i in range(200):
        q.set(P + f"q{i}", i)
    deadline = time.monotonic() + 3
    while c.get(P + "q199") != 199 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert c.get_multi([f"q{i}" for i in range(200)], key_prefix=P) == {f"q{i}": i for i in range(200)}
with checks("expiry and touch"):
    assert c.set(P + "e1", 1, time=1) and c.set(P + "e2", 1, time=1) and c.touch(P + "e2", 100)
    time.sleep(2.1)
    assert c.get(P + "e1") is None and c.get(P + "e2") == 1
with checks("stats"):
    [(_, stats)] = c.get_stats()
    assert int(stats["curr_items"]) >= 1, stats
with checks("reconnect"):
    for i in range(20):
        c.disconnect_all()
        assert c.set(P + "again", i) and c.get(P + "again") == i
checks.end()
