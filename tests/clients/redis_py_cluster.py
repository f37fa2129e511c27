"""redis-py's cluster client: redis_py_cluster.py HOST PORT"""
import os
import sys

import redis
from redis.cluster import RedisCluster
from redis.exceptions import ResponseError

from checks import SIZES, Checks, body, raises, together

host, port = sys.argv[1], int(sys.argv[2])
P = f"rpc-{os.getpid()}-"
COUNT = 600
checks = Checks("redis-py/cluster", redis.__version__)
r = None

with checks("connect"):
    r = RedisCluster(host=host, port=port, socket_timeout=10)
    assert len(r.get_primaries()) == 3 and r.ping(target_nodes=RedisCluster.PRIMARIES)
with checks("keys of every node"):
    for i in range(COUNT):
        assert r.set(f"{P}{i}", i) is True
    assert [r.get(f"{P}{i}") for i in range(COUNT)] == [b"%d" % i for i in range(COUNT)]
    nodes = {r.get_node_from_key(f"{P}{i}").name for i in range(COUNT)}
    assert len(nodes) == 3, nodes
with checks("its slots are the server's"):
    for i in range(20):
        assert r.keyslot(f"{P}{i}") == r.cluster_keyslot(f"{P}{i}")
for size in SIZES:
    with checks(f"value of {size} B"):
        assert r.set(f"{P}large{size}", body(size)) and r.get(f"{P}large{size}") == body(size)
with checks("mget and mset by slot"):
    assert all(r.mset_nonatomic({f"{P}m{i}": i for i in range(100)}))
    assert r.mget_nonatomic([f"{P}m{i}" for i in range(100)]) == [b"%d" % i for i in range(100)]
    assert r.mset({f"{{{P}}}{i}": i for i in range(10)}) and r.mget([f"{{{P}}}{i}" for i in range(10)]) == [b"%d" % i for i in range(10)]
with checks("pipeline over all nodes"):
    with r.pipeline() as p:
        for i in range(300):
            p.incr(f"{P}p{i}").get(f"{P}p{i}")
        assert p.execute() == [x for _ in range(300) for x in (1, b"1")]
with checks("lock"):
    with r.lock(f"{P}lock", timeout=10) as lock:
        assert lock.owned() and not r.lock(f"{P}lock").acquire(blocking=False)
    assert r.get(f"{P}lock") is None
with checks("dbsize scan info of all"):
    assert r.dbsize(target_nodes=RedisCluster.PRIMARIES) >= COUNT
    assert len(set(r.scan_iter(match=P + "m*", count=100))) == 100
    assert all("redis_version" in info for info in r.info(target_nodes=RedisCluster.PRIMARIES).values())
with checks("cluster commands"):
    info = r.cluster_info(target_nodes=r.get_random_node())
    assert info["cluster_state"] == "ok" and info["cluster_slots_assigned"] == "16384" and int(info["cluster_known_nodes"]) == 3, info
    assert len(r.cluster_nodes()) == 3 and len(r.cluster_slots()) >= 3
    slot = r.keyslot(f"{P}1")
    assert r.cluster_countkeysinslot(slot) >= 1
with checks("errors"):
    r.set(f"{P}w", "word")
    raises(ResponseError, r.incr, f"{P}w", text="not an integer")
with checks("ten threads"):
    bad = []

    def work(n):
        for i in range(30):
            r.set(f"{P}t{n}-{i}", n)
            if r.get(f"{P}t{n}-{i}") != b"%d" % n:
                bad.append((n, i))
    together(work, 10)
    assert not bad, bad
checks.end()
