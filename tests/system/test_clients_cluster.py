"""Clients that know of slots, against a cluster of three Redis and one of three nodes."""
import contextlib
import re
import subprocess
import tempfile

import pytest

import clients
import cluster as lab_cluster
import rack
from clients import GOMEMCACHE, REDIGO, SPYMEMCACHED, End, have

NODES = ("n1", "n2", "n3")
PORTS = (7001, 7002, 7003)
MEMCACHED_PORTS = (7011, 7012, 7013)


@contextlib.contextmanager
def redis_cluster(lab):
    """Three servers of Redis on loopback of the client's namespace."""
    end = End(lab, "oracle", "127.0.0.1", PORTS[0])
    have("redis-server", "redis-cli")
    with contextlib.ExitStack() as stack:
        for port in PORTS:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(end.background("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder,
                                               "--cluster-enabled", "yes", ready=lambda port=port: end.listens(port)))
        end.run("redis-cli", "--cluster", "create", *(f"127.0.0.1:{port}" for port in PORTS), "--cluster-yes")
        for port in PORTS:
            rack.wait_for(lambda port=port: "cluster_state:ok" in end.run("redis-cli", "-p", port, "cluster", "info").stdout, 10, "cluster_state:ok")
        yield end


@pytest.fixture(scope="module")
def ends():
    with lab_cluster.cluster("k", nodes=3, settings=clients.settings()) as lab, contextlib.ExitStack() as stack:
        lab.await_settled()
        found = {"node": End(lab, "node", lab.address())}
        try:
            found["oracle"] = stack.enter_context(redis_cluster(lab))
        except pytest.skip.Exception:
            pass
        yield found


@pytest.fixture(params=("oracle", "node"))
def end(ends, request):
    if request.param not in ends:
        pytest.skip("redis-server is not installed: scripts/deps test")
    it = ends[request.param]
    pids = [it.lab.pid(node) for node in NODES]
    yield it
    assert [it.lab.pid(node) for node in NODES] == pids, "a node did not survive:\n" + "".join(it.lab.log(node)[-1500:] for node in NODES)


def forwarded(end):
    """Requests that nodes have passed on to others."""
    return sum(end.lab.counters(node)["forward_sent"] for node in NODES)


CLIENTS = {
    "redis-py": ("redis_py_cluster.py", [], ["py:redis"]),
    "ioredis": ("cluster_clients.js", ["ioredis"], ["npm:ioredis"]),
    "iovalkey": ("cluster_clients.js", ["iovalkey"], ["npm:iovalkey"]),
    "node-redis": ("cluster_clients.js", ["redis"], ["npm:redis"]),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_client_goes_to_the_owner(end, client):
    """Everything works, and next to nothing had to be passed on between nodes."""
    program, arguments, wanted = CLIENTS[client]
    have(*wanted)
    before = forwarded(end) if end.kind == "node" else 0
    end.program(program, "resp", *arguments)
    if end.kind == "node":
        assert forwarded(end) - before < 60, "the client's slots are not the owners'"


SHARING = {
    "gomemcache": ("gomemcache.go", [], ["go", GOMEMCACHE]),
    "spymemcached-text": ("Spymemcached.java", ["text"], ["javac", SPYMEMCACHED]),
    "django-pymemcache": ("django_cache.py", ["pymemcache"], ["py:django", "py:pymemcache"]),
}


@pytest.fixture(scope="module")
def three_memcached(ends):
    """Three servers of memcached on loopback of the client's namespace."""
    have("memcached")
    end = End(ends["node"].lab, "oracle", "127.0.0.1", memcached=MEMCACHED_PORTS[0])
    with contextlib.ExitStack() as stack:
        for port in MEMCACHED_PORTS:
            stack.enter_context(end.background("memcached", "-l", "127.0.0.1", "-p", port, "-u", "nobody", "-I", "2m",
                                               ready=lambda port=port: end.listens(port)))
        yield end


@pytest.mark.parametrize("kind", ("oracle", "node"))
@pytest.mark.parametrize("client", SHARING)
def test_client_that_shares_keys_among_servers(ends, request, client, kind):
    """memcached's clients know of no cluster: they choose among the servers by a hash of their own, mostly not the owner."""
    program, arguments, wanted = SHARING[client]
    have(*wanted)
    if kind == "oracle":
        end, others = request.getfixturevalue("three_memcached"), [f"127.0.0.1:{port}" for port in MEMCACHED_PORTS[1:]]
    else:
        end = ends["node"]
        others = [f"{end.lab.address(node)}:{end.port['memcached']}" for node in NODES[1:]]
    before = forwarded(ends["node"])
    end.program(program, "memcached", *arguments, *others)
    assert (forwarded(ends["node"]) - before > 100) == (kind == "node")


@pytest.mark.parametrize("client,wanted", (("redigo.go", ["go", REDIGO]), ("django_cache.py", ["py:django", "py:django_redis"])))
def test_client_that_knows_of_one_server(ends, client, wanted):
    """What test_clients_redis.py compares with Redis, at one node of three: most keys are another's."""
    have(*wanted)
    before = forwarded(ends["node"])
    ends["node"].program(client, "resp", *(["django-redis"] if client == "django_cache.py" else []), "cluster")
    assert forwarded(ends["node"]) - before > 100


def test_cli_follows_and_asks_around(end):
    have("redis-cli")
    for i in range(8):
        assert end.run("redis-cli", "-c", "-h", "H", "-p", "R", "set", f"cli-c{i}", i).stdout == "OK\n"
        assert end.run("redis-cli", "-c", "-h", "H", "-p", "R", "get", f"cli-c{i}").stdout == f"{i}\n"
    check = end.run("redis-cli", "--cluster", "check", "H:R", check=False).stdout
    assert "[OK] All nodes agree about slots configuration." in check and "[OK] All 16384 slots covered." in check, check
    info = end.run("redis-cli", "--cluster", "info", "H:R", check=False).stdout
    assert re.search(r"\[OK\] \d+ keys in 3 masters\.", info), info
    assert "cluster_slots_ok:16384" in end.run("redis-cli", "-h", "H", "-p", "R", "cluster", "info").stdout


def test_benchmark_in_cluster_mode(end):
    have("redis-benchmark")
    before = forwarded(end) if end.kind == "node" else 0
    done = end.run("redis-benchmark", "-h", "H", "-p", "R", "--cluster", "-q", "-t", "set,get,incr", "-c", "30", "-n", "6000", "-P", "4", "-r", "1000")
    said = done.stdout.replace("\r", "\n")
    assert "Cluster has 3 master nodes" in said, said
    for name in ("SET", "GET", "INCR"):
        assert re.search(name + r": [\d.]+ requests per second", said), said[-500:]
    assert "ERR" not in said and "MOVED" not in said + done.stderr, said[-500:] + done.stderr
    if end.kind == "node":
        assert forwarded(end) - before < 60


def test_any_node_takes_any_key(ends):
    """A client that knows nothing of slots, at each node: what one stored the others find, over both protocols."""
    have("py:redis", "py:pymemcache")
    script = """
import sys, redis
from pymemcache.client.base import Client
hosts = sys.argv[1:]
r = [redis.Redis(h, 6379, socket_timeout=10) for h in hosts]
m = [Client((h, 11211), timeout=10, default_noreply=False) for h in hosts]
for i in range(150):
    key, a, b, c = f"any{i}", i % 3, (i + 1) % 3, (i + 2) % 3
    assert r[a].set(key, i) and r[b].get(key) == b"%d" % i and m[c].get(key) == b"%d" % i
    assert m[b].incr(key, 5) == i + 5 and r[a].incr(key) == i + 6 and r[c].expire(key, 100) and r[b].ttl(key) > 98
names = [f"any{i}" for i in range(150)]
for one in r:
    assert one.mget(names) == [b"%d" % (i + 6) for i in range(150)]
for i, one in enumerate(r):
    assert one.mset({name: f"x{i}" for name in names}) and one.exists(*names) == 150
    assert all(o.mget(names) == [b"x%d" % i] * 150 for o in r)
large = bytes(range(256)) * 4000
for i, one in enumerate(r):
    assert one.set(f"large{i}", large) and all(o.get(f"large{i}") == large for o in r)
for one in m:
    assert len(one.get_many(names)) == 150
with r[0].pipeline(transaction=False) as p:
    for name in names:
        p.set(name, name).get(name)
    assert p.execute()[1::2] == [name.encode() for name in names]
with r[1].pipeline() as p:
    for name in names[:10]:
        p.incr("n" + name)
    assert p.execute() == [1] * 10
assert r[2].delete(*names) == 150 and m[0].get_many(names) == {}
print("ok all")
"""
    lab = ends["node"].lab
    before = forwarded(ends["node"])
    done = lab.exec("/usr/bin/python3", "-c", script, *(lab.address(node) for node in NODES))
    assert done.stdout == "ok all\n" and forwarded(ends["node"]) - before > 300


def test_moved_when_that_is_asked_for():
    """resp.cluster redirect: MOVED with the owner's address, which cluster-aware clients follow."""
    have("redis-cli", "py:redis")
    with lab_cluster.cluster("m", nodes=3, settings=clients.settings(**{"resp.cluster": "redirect"})) as lab:
        lab.await_settled()
        end = End(lab, "node", lab.address())
        said = [end.run("redis-cli", "-h", "H", "-p", "R", "set", f"moved{i}", i, check=False).stdout for i in range(12)]
        moved = [line for line in said if line.startswith("MOVED ")]
        assert 0 < len(moved) < 12 and all(line == "OK\n" or line in moved for line in said), said
        for line in moved:
            assert re.fullmatch(r"MOVED \d+ (%s|%s):6379\n*" % (lab.address("n2"), lab.address("n3")), line), line
        for i in range(12):
            assert end.run("redis-cli", "-c", "-h", "H", "-p", "R", "set", f"moved{i}", i).stdout == "OK\n"
        end.program("redis_py_cluster.py", "resp")
        assert forwarded(end) == 0


def test_a_client_survives_a_node(ends):
    """Kill one of three: a cluster-aware client finds the new owners by itself."""
    have("py:redis")
    lab = ends["node"].lab
    script = """
import sys, time
from redis.cluster import RedisCluster
from redis.exceptions import RedisError
r = RedisCluster(host=sys.argv[1], port=6379, socket_timeout=1, socket_connect_timeout=1, cluster_error_retry_attempts=1)
assert all(r.set(f"s{i}", i) for i in range(100))
print("ready", flush=True)
sys.stdin.readline()
deadline = time.monotonic() + 40
left = set(range(100))
while left and time.monotonic() < deadline:
    for i in sorted(left):
        try:
            if r.set(f"s{i}", i):
                left.discard(i)
        except (RedisError, OSError):
            time.sleep(0.2)
            break
assert not left, f"{len(left)} keys without an owner"
print("served", flush=True)
"""
    process = subprocess.Popen(["ip", "netns", "exec", f"{lab.name}-client", "/usr/bin/python3", "-c", script, lab.address("n1")],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        lab("kill", "n3", "-9")
        out, err = process.communicate("\n", timeout=60)
        assert out == "served\n", err[-2000:]
    finally:
        process.kill()
        lab("start", "n3")
