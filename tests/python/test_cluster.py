"""slipring.Cache and a cluster of three nodes on loopback."""
import time

import pytest

import slipring
from slipring import ring


def hosts(nodes):
    return [f"127.0.0.1:{port}" for port in nodes.ports]


def test_a_handle_tells_who_is_there(nodes):
    with slipring.Cache(hosts(nodes)[0]) as cache:
        assert [(node.host, node.port, node.id) for node in cache.nodes()] == [("127.0.0.1", nodes.ports[0], 0)]
        assert cache.cluster().member_count == 0
        cache.set("k", b"v")
        told = cache.nodes()
        assert sorted(node.port for node in told) == sorted(nodes.ports)
        assert {node.id for node in told} == {ring.member_id(f"n{i}") for i in (1, 2, 3)}
        assert sum(node.slots for node in told) == ring.SLOT_COUNT
        assert all((node.state, node.failures, node.worker_count) == (1, 0, 2) for node in told)
        assert cache.owner("k").rtt > 0
        assert cache.cluster()[:4] == (1, 3, 1, cache.cluster().lanes)
        with pytest.raises(slipring.NotFound, match="rank 1"):
            cache.owner("k", 1)


def test_the_library_and_python_choose_the_same_owner(nodes):
    """Two programs of doc/RING.md, and the topology that a node told, for every slot."""
    with slipring.Cache(hosts(nodes)) as cache:
        keys = {}
        for number in range(200_000):
            keys.setdefault(ring.slot_of_key(f"k{number}"), f"k{number}")
            if len(keys) == ring.SLOT_COUNT:
                break
        assert len(keys) > ring.SLOT_COUNT * 0.99
        cache.topology()
        for states in ((1, 1, 1), (1, 5, 1), (3, 1, 2)):
            for number, state in enumerate(states, 1):
                nodes.order(f"state {number} {state}")
            nodes.order(f"topology {cache.cluster().epoch + 1}")
            cache.topology()
            members = [ring.Member(node.id, node.index, state=node.state) for node in cache.nodes()]
            assert sorted(member.state for member in members) == sorted(states)
            table = ring.build(members, 1)
            for slot, key in keys.items():
                assert cache.owner(key).id == table.members[table.owners(slot)[0]].id, (slot, states)


def test_any_host_given_will_do(nodes):
    with slipring.Cache(["127.0.0.1:1", "no-such-host.invalid", *hosts(nodes)[1:]], try_timeout=0.02) as cache:
        cache.set("k", b"v")
        assert cache.get("k") == b"v" and len(cache.nodes()) == 3
    with pytest.raises(slipring.NoHost, match="neither.invalid"):
        slipring.Cache("no-such-host.invalid,neither.invalid")
    with pytest.raises(slipring.BadArgument, match="not host or host:port"):
        slipring.Cache("127.0.0.1:none")
    with pytest.raises(TypeError, match="host is str or a sequence of str, not int"):
        slipring.Cache(7)


def test_a_silent_owner_is_gone_round(nodes):
    with slipring.Cache(hosts(nodes), try_timeout=0.02) as cache:
        number = next(i for i in range(1000) if cache.owner(f"n{i}").port == nodes.ports[1])
        assert cache.incr(f"n{number}", initial=0) == 0
        nodes.order("cut 2")
        begin = time.monotonic()
        assert [cache.incr(f"n{number}") for _ in range(10)] == list(range(1, 11))
        assert time.monotonic() - begin < 2
        assert cache.owner(f"n{number}").failures > 0 and cache.cluster().failovers >= 1


def test_a_dead_owner_is_an_error_of_its_own(nodes):
    with slipring.Cache(hosts(nodes)[0], try_timeout=0.02, timeout=1.5) as cache:
        key = next(f"k{i}" for i in range(1000) if cache.owner(f"k{i}").port == nodes.ports[1])
        cache.set(key, b"v")
        nodes.order("kill 2")
        nodes.order("state 2 3")
        nodes.order("topology 2")
        with pytest.raises(slipring.OwnerDead, match=f"127.0.0.1:{nodes.ports[1] + slipring.slot(key) % 2}"):
            cache.get(key)


def test_mget_asks_every_owner(nodes):
    with slipring.Cache(hosts(nodes)) as cache:
        values = {f"m{i}": str(i).encode() for i in range(500)}
        cache.mset(values)
        assert cache.mget(values) == values
        assert cache.cluster().lanes == 6


def test_hedge_options(nodes):
    for wrong in ({"hedge": 51}, {"hedge": -1}, {"hedge_after": 9}, {"hedge_after": 1001}):
        with pytest.raises(slipring.BadArgument):
            slipring.Cache(hosts(nodes), **wrong)
    with slipring.Cache(hosts(nodes), hedge=10, hedge_after=50) as cache:
        cache.set("k", b"v")
        for _ in range(400):
            assert cache.get("k") == b"v"
        assert cache.cluster().hedges <= 44
