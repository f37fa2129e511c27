"""redis-py: redis_py.py HOST PORT [hiredis|python|proxy] [password=TEXT]"""
import os
import sys
import time

import redis
from redis import connection
from redis.exceptions import LockError, LockNotOwnedError, ResponseError, WatchError

from checks import SIZES, Checks, body, raises, together

host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "python"
password = next((a[9:] for a in sys.argv if a.startswith("password=")), None)
parser = connection.HiredisParser if how == "hiredis" else connection.PythonParser
pool = redis.ConnectionPool(host=host, port=port, password=password, parser_class=parser, socket_timeout=10)
r = redis.Redis(connection_pool=pool)
P = f"redis-py-{how}-{os.getpid()}:"
checks = Checks(f"redis-py/{how}", redis.__version__)


def k(name):
    return P + name


def strings():
    with checks("set and get"):
        assert r.set(k("a"), "1") is True and r.get(k("a")) == b"1" and r.get(k("none")) is None
        assert r.delete(k("a"), k("none")) == 1 and r.get(k("a")) is None
    for size in SIZES:
        with checks(f"value of {size} B"):
            value = body(size)
            assert r.set(k("large"), value) and r.get(k("large")) == value
            assert r.strlen(k("large")) == size
    with checks("keys and values of any bytes"):
        key = P.encode() + bytes(range(256))
        assert r.set(key, bytes(range(256)) * 3) and r.get(key) == bytes(range(256)) * 3
        assert r.exists(key) == 1 and r.delete(key) == 1
    with checks("key of 8 KiB"):
        key = k("x" * (8192 - len(P)))
        assert r.set(key, "v") and r.get(key) == b"v" and r.delete(key) == 1
    with checks("counters"):
        assert [r.incr(k("n")), r.incrby(k("n"), 10), r.decr(k("n")), r.decrby(k("n"), 20)] == [1, 11, 10, -10]
        assert r.incrbyfloat(k("f"), 10.5) == 10.5 and r.incrbyfloat(k("f"), 0.1) == 10.6
    with checks("parts of strings"):
        assert r.append(k("s"), "hello") == 5 and r.append(k("s"), " world") == 11
        assert r.getrange(k("s"), 0, 4) == b"hello" and r.setrange(k("s"), 6, "there") == 11 and r.get(k("s")) == b"hello there"
    with checks("mset and mget"):
        assert r.mset({k(f"m{i}"): i for i in range(100)}) is True
        assert r.mget([k(f"m{i}") for i in range(100)]) == [b"%d" % i for i in range(100)]
        assert r.mget(k("m0"), k("none"), k("m2")) == [b"0", None, b"2"]
    with checks("del of many"):
        assert r.delete(*[k(f"m{i}") for i in range(100)]) == 100
    with checks("getset getdel getex"):
        r.set(k("g"), "old")
        assert r.getset(k("g"), "new") == b"old"
        if how != "proxy":  # the proxy does not know them
            assert r.getex(k("g"), ex=100) == b"new" and 98 < r.ttl(k("g")) <= 100
            assert r.getdel(k("g")) == b"new" and r.get(k("g")) is None


def conditions():
    with checks("set with conditions"):
        assert r.set(k("c"), "1", xx=True) is None and r.set(k("c"), "1", nx=True) is True and r.set(k("c"), "2", nx=True) is None
        assert r.set(k("c"), "3", xx=True) is True and r.set(k("c"), "4", get=True) == b"3"
        assert r.setnx(k("c"), "5") is False
    with checks("expiry"):
        assert r.set(k("e"), "1", px=60) is True and 0 < r.pttl(k("e")) <= 60
        time.sleep(0.08)
        assert r.get(k("e")) is None and r.ttl(k("e")) == -2
        assert r.setex(k("e"), 100, "x") and r.ttl(k("e")) in (99, 100) and r.persist(k("e")) and r.ttl(k("e")) == -1
        assert r.expire(k("e"), 50) and r.pexpire(k("e"), 50_000) and 49_000 < r.pttl(k("e")) <= 50_000
        assert r.set(k("e"), "y", keepttl=True) and r.ttl(k("e")) > 0
        if how != "proxy":
            assert r.expireat(k("e"), int(time.time()) + 1000) and 990 < r.ttl(k("e")) <= 1000
    if how == "proxy":
        return
    with checks("expire only when"):
        assert r.execute_command("EXPIRE", k("e"), 10, "GT") == 0 and r.execute_command("EXPIRE", k("e"), 10, "LT") == 1
    with checks("type exists touch unlink"):
        assert r.type(k("e")) == b"string" and r.type(k("none")) == b"none" and r.exists(k("e"), k("e"), k("none")) == 2
        assert r.touch(k("e"), k("none")) == 1 and r.unlink(k("e")) == 1
    with checks("msetnx"):
        tag = k("{t}")
        assert r.msetnx({tag + "1": "a", tag + "2": "b"}) and not r.msetnx({tag + "2": "c", tag + "3": "d"})
        assert r.exists(tag + "3") == 0


def pipelines():
    with checks("pipeline of 1000"):
        with r.pipeline(transaction=False) as p:
            for i in range(500):
                p.set(k(f"p{i % 50}"), i).get(k(f"p{i % 50}"))
            answers = p.execute()
        assert answers == [x for i in range(500) for x in (True, b"%d" % i)]
    with checks("pipeline with large values"):
        with r.pipeline(transaction=False) as p:
            for i in range(20):
                p.set(k("l"), body(100_000, i)).get(k("l"))
            answers = p.execute()
        assert answers[1::2] == [body(100_000, i) for i in range(20)]
    with checks("pipeline with an error in it"):
        with r.pipeline(transaction=False) as p:
            p.set(k("w"), "word").incr(k("w")).get(k("w"))
            answers = p.execute(raise_on_error=False)
        assert answers[0] is True and isinstance(answers[1], ResponseError) and answers[2] == b"word", answers


def transactions():
    with checks("transaction (the pipeline's default)"):
        with r.pipeline() as p:
            p.set(k("{x}1"), "1").incr(k("{x}1")).get(k("{x}1"))
            assert p.execute() == [True, 2, b"2"]
    with checks("watch: undisturbed and disturbed"):
        with r.pipeline() as p:
            p.watch(k("{x}1"))
            value = int(p.get(k("{x}1")))
            p.multi()
            p.set(k("{x}1"), value + 1)
            assert p.execute() == [True] and r.get(k("{x}1")) == b"3"
            p.watch(k("{x}1"))
            r.set(k("{x}1"), "other")
            p.multi()
            p.set(k("{x}1"), "mine")
            raises(WatchError, p.execute)
        assert r.get(k("{x}1")) == b"other"
    with checks("transaction() with retries"):
        def step(p):
            now = int(p.get(k("{x}2")) or 0)
            p.multi()
            p.set(k("{x}2"), now + 1)
        for _ in range(3):
            r.transaction(step, k("{x}2"))
        assert r.get(k("{x}2")) == b"3"


def locks():
    with checks("lock: one holder"):
        first, second = r.lock(k("lock"), timeout=10), r.lock(k("lock"), timeout=10)
        assert first.acquire(blocking=False) and not second.acquire(blocking=False) and first.locked() and first.owned()
        first.release()
        assert second.acquire(blocking=False)
        second.release()
        raises(LockError, second.release)
    with checks("lock: extend, reacquire, lost"):
        lock = r.lock(k("lock"), timeout=10)
        assert lock.acquire(blocking=False)
        assert lock.extend(20) and 20_000 < r.pttl(k("lock")) <= 30_000
        assert lock.extend(5, replace_ttl=True) and r.pttl(k("lock")) <= 5_000
        assert lock.reacquire() and 5_000 < r.pttl(k("lock")) <= 10_000
        r.set(k("lock"), "somebody else")
        raises(LockNotOwnedError, lock.release)
        r.delete(k("lock"))
    with checks("lock: eight threads, one at a time"):
        inside, seen = [], []

        def work(_):
            for _ in range(5):
                with r.lock(k("turn"), timeout=10, sleep=0.001):
                    inside.append(1)
                    seen.append(len(inside))
                    inside.pop()
        together(work, 8)
        assert seen == [1] * 40, seen
    with checks("any other script is refused or run, and the connection stays"):
        try:
            r.eval("return 7", 0)
        except ResponseError as error:
            assert str(error), error
        assert r.ping()
    with checks("unknown sha"):
        raises(redis.exceptions.NoScriptError, r.evalsha, "f" * 40, 0)


def server():
    with checks("ping echo time dbsize"):
        r.set(k("db"), "1")
        assert r.ping() and r.echo("hi") == b"hi" and abs(r.time()[0] - time.time()) < 5 and r.dbsize() >= 1
    with checks("info"):
        info = r.info()
        for name in ("redis_version", "redis_mode", "role", "connected_clients", "used_memory", "maxmemory", "keyspace_hits",
                     "keyspace_misses", "evicted_keys", "expired_keys", "total_commands_processed", "uptime_in_seconds"):
            assert name in info, name
        assert info["loading"] == 0 and info["role"] == "master"
        assert "redis_version" in r.info("server")
    with checks("config get"):
        assert "save" in r.config_get("save") and r.config_get("no-such-setting") == {}
    with checks("client commands"):
        assert r.client_setname("checks") and isinstance(r.client_id(), int)
        c = redis.Redis(host=host, port=port, password=password, client_name="named")
        assert c.client_getname() in ("named", b"named") and c.ping()
        assert any(row["name"] == "named" for row in c.client_list())
        c.close()
    with checks("command"):
        table = r.command()
        assert table["get"]["arity"] == 2 and table["set"]["first_key_pos"] == 1 and table["mget"]["last_key_pos"] == -1
        assert r.command_count() >= len(table) > 50
    with checks("scan and keys"):
        names = {k(f"scan{i}").encode() for i in range(300)}
        with r.pipeline(transaction=False) as p:
            for name in names:
                p.set(name, "1")
            p.execute()
        assert set(r.scan_iter(match=P + "scan*", count=50)) == names
        assert set(r.scan_iter(match=P + "scan*", count=1000, _type="string")) == names
        assert set(r.keys(P + "scan*")) == names
        assert r.randomkey() is not None
        assert r.unlink(*names) == 300
    with checks("memory object slowlog latency"):
        assert r.memory_usage(k("db")) > 0 and r.object("encoding", k("db")) in (b"int", b"embstr", b"raw")
        assert isinstance(r.slowlog_len(), int) and isinstance(r.slowlog_get(5), list)
        assert isinstance(r.execute_command("LATENCY", "LATEST"), list)


def errors():
    with checks("errors in Redis's words"):
        r.set(k("word"), "word")
        raises(ResponseError, r.incr, k("word"), text="value is not an integer or out of range")
        raises(ResponseError, r.execute_command, "NOSUCH", "a", text="unknown command")
        raises(ResponseError, r.execute_command, "GET", text="wrong number of arguments for 'get' command")
        raises(ResponseError, r.execute_command, "SET", k("word"), "1", "EX", "0", text="invalid expire time in 'set' command")
        raises(ResponseError, r.execute_command, "SET", k("word"), "1", "WHAT", text="syntax error")
        raises(ResponseError, r.execute_command, "CLIENT", "NOSUCH", text="unknown subcommand")
        raises(ResponseError, r.execute_command, "SELECT", "77777", text="DB index is out of range")
        assert r.ping()
    with checks("a hundred errors do not close the connection"):
        c = redis.Redis(host=host, port=port, password=password, single_connection_client=True)
        number = c.client_id()
        for _ in range(100):
            raises(ResponseError, c.execute_command, "NOSUCH")
        assert c.client_id() == number
        c.close()


def connections():
    with checks("reconnect"):
        for _ in range(20):
            pool.disconnect()
            assert r.set(k("again"), "1")
    with checks("twenty threads, one pool"):
        bad = []

        def work(n):
            for i in range(50):
                r.set(k(f"t{n}"), f"{n}-{i}")
                if r.get(k(f"t{n}")) != f"{n}-{i}".encode():
                    bad.append((n, i))
        together(work, 20)
        assert not bad, bad
    with checks("select 0 and quit"):
        c = redis.Redis(host=host, port=port, password=password, db=0, single_connection_client=True)
        assert c.ping() and c.execute_command("SELECT", 0) and c.execute_command("RESET") in ("RESET", b"RESET")
        if password:
            c.execute_command("AUTH", password)
        assert c.execute_command("QUIT")


parts = [strings, conditions, pipelines]
if how != "proxy":
    parts += [transactions, locks, server, errors, connections]
for part in parts:
    part()
checks.end()
