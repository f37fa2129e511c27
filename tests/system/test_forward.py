"""Any node takes any operation: keys of other nodes go to their owners, in every protocol."""
import json
import os
import struct
import time

import pytest
import native
import rack
from rack import wait_for
from test_cluster import ALIVE, DEAD, agreed, states
from test_memcached import Memcached

NODES = ("n1", "n2", "n3")
OWNER_DEAD, OWNER_TIMEOUT, PARTIAL = 21, 22, 23
MEMCACHED = {"memcached.udp": "true", "memcached.allow": "10.0.0.0/8"}


@pytest.fixture(scope="module", params=("worker", "thread"))
def three(request):
    """The control core between worker 0's rounds, as the lab has it, and as a thread."""
    with rack.lab("fw", nodes=3, cluster=True, settings={**MEMCACHED, "cluster.dead_delay": "3s", "cluster.core": request.param}) as it:
        wait_for(lambda: agreed(it, NODES), 10, "agreement")
        yield it


class At(Memcached):
    """memcached's client at one node of several."""

    def __init__(self, lab, node):
        self.sock, self.id = lab.udp(11211, node=node), 0


def forwarded(lab, node):
    return lab.counters(node)["forward_answered"]


def test_a_key_written_at_any_node_is_found_from_every_other(three):
    clients = {node: three.client(node) for node in NODES}
    before = {node: forwarded(three, node) for node in NODES}
    for at in NODES:
        for i in range(20):
            key, value = b"k-%s-%d" % (at.encode(), i), os.urandom(40)
            clients[at].set(key, value)
            for other in NODES:
                assert clients[other].get(key) == value, (key, at, other)
    for node in NODES:  # a third of the keys is each one's own
        wait_for(lambda: forwarded(three, node) > before[node], 2, "the core's figures")


def test_every_write_of_the_native_protocol_goes_to_the_owner(three):
    a, b = three.client("n1"), three.client("n2")
    for i in range(12):
        key = b"ops-%d" % i
        first = a.set(key, b"10", client_flags=7)
        assert b.call(native.INCR, key, extras=struct.pack("<Q", 5)).extras == struct.pack("<Q", 15)
        assert a.call(native.APPEND, key, b"0").status == native.OK
        assert b.get(key) == b"150"
        assert a.call(native.SET, key, b"x", native.set_extras(version=first), native.CAS).status == native.EXISTS
        meta = b.call(native.META, key)
        assert meta.status == native.OK and struct.unpack("<IIQ", meta.extras)[:2] == (7, 3)
        assert a.call(native.TOUCH, key, extras=struct.pack("<Q", 60000)).status == native.OK
        assert 0 < struct.unpack("<IIQ", b.call(native.META, key).extras)[2] <= 60000
        assert b.call(native.DELETE, key).status == native.OK
        assert a.call(native.GET, key).status == native.NOT_FOUND


def test_memcached_at_any_node(three):
    at = {node: At(three, node) for node in NODES}
    for i in range(6):
        key = b"mc%d" % i
        assert at["n1"].ask(b"set %s 5 0 5\r\nhello\r\n" % key) == b"STORED\r\n"
        for node in NODES:
            assert at[node].ask(b"get %s\r\n" % key) == b"VALUE %s 5 5\r\nhello\r\nEND\r\n" % key
        assert at["n2"].ask(b"delete %s\r\n" % key) == b"DELETED\r\n"
        assert at["n3"].ask(b"get %s\r\n" % key) == b"END\r\n"
    keys = b" ".join(b"many%d" % i for i in range(20))
    for i in range(20):
        assert at["n1"].ask(b"set many%d 0 0 2\r\n%02d\r\n" % (i, i)) == b"STORED\r\n"
    assert at["n2"].ask(b"get %s\r\n" % keys) == b"".join(b"VALUE many%d 0 2\r\n%02d\r\n" % (i, i) for i in range(20)) + b"END\r\n"


def test_a_large_value_through_nodes_that_do_not_own_it(three):
    value = os.urandom(1 << 20)
    path = f"/tmp/{three.name}-large"
    with open(path, "wb") as f:
        f.write(value)
    try:
        for i in range(3):  # whosever it is, two of three nodes are not its owner
            assert three.cli("set", f"large{i}", "@" + path, "--host", three.address(NODES[i])).returncode == 0
            for node in NODES:
                assert three.exec("slipring", "get", f"large{i}", "--host", three.address(node), text=False).stdout == value
    finally:
        os.unlink(path)


def http(lab, node, method, path, body=None):
    arguments = ["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", "--unix-socket", f"/run/slipring-lab/{lab.name}/{node}.sock",
                 "-X", method, f"http://localhost{path}"]
    if body is not None:
        arguments += ["--data-binary", body]
    out = lab("in", node, *arguments).stdout
    text, _, code = out.rpartition("\n")
    return int(code), text


def test_http_at_any_node(three):
    for i, at in enumerate(NODES):
        assert http(three, at, "PUT", f"/v1/cache/web{i}", f"page {i}")[0] in (200, 201, 204)
        for node in NODES:
            assert http(three, node, "GET", f"/v1/cache/web{i}") == (200, f"page {i}")


def test_a_flush_covers_the_cluster(three):
    clients = {node: three.client(node) for node in NODES}
    for i in range(9):
        clients["n1"].set(b"flush%d" % i, b"x")
    assert clients["n2"].call(native.FLUSH, extras=struct.pack("<Q", 0)).status == native.OK
    assert all(clients["n3"].get(b"flush%d" % i) is None for i in range(9))
    for i in range(9):
        clients["n1"].set(b"flush%d" % i, b"x")
    assert At(three, "n3").ask(b"flush_all\r\n") == b"OK\r\n"
    assert all(clients["n1"].get(b"flush%d" % i) is None for i in range(9))


def keys_of(lab, node, count):
    """Keys that a node owns: those that it answers itself."""
    client, found = lab.client(node), []
    for i in range(10000):
        before = lab.counters(node)["forward_sent"]
        client.call(native.GET, b"own%d" % i)
        if lab.counters(node)["forward_sent"] == before:
            found.append(b"own%d" % i)
        if len(found) == count:
            return found
    raise AssertionError("no keys")


def test_a_dead_owner_is_said_and_then_its_keys_move(three):
    keys = keys_of(three, "n3", 3)
    client, memcached = three.client("n1"), At(three, "n1")
    for key in keys:
        client.set(key, b"there")
    three("kill", "n3", "-9")
    killed = time.monotonic()
    wait_for(lambda: client.call(native.GET, keys[0]).status == OWNER_DEAD, 5, "owner_dead")
    assert time.monotonic() - killed < 3  # 1 s where the machine is not shared
    wait_for(lambda: client.call(native.SET, keys[0], b"x", native.set_extras()).status == OWNER_DEAD, 2, "owner_dead of a write")
    assert memcached.ask(b"get %s\r\n" % keys[1]) == b"END\r\n"
    assert memcached.ask(b"set %s 0 0 1\r\nx\r\n" % keys[1]).startswith(b"SERVER_ERROR owner_dead: ")
    assert client.call(native.FLUSH, extras=struct.pack("<Q", 0)).status == PARTIAL
    assert memcached.ask(b"flush_all\r\n").startswith(b"SERVER_ERROR partial: ")
    wait_for(lambda: client.call(native.GET, keys[0]).status == native.NOT_FOUND, 15, "the slots to move")
    for key in keys:
        wait_for(lambda: three.client("n2").call(native.SET, key, b"again", native.set_extras()).status == native.OK, 5, "a write")
        assert client.get(key) == b"again"
    assert client.call(native.FLUSH, extras=struct.pack("<Q", 0)).status == native.OK
    three("start", "n3")
    wait_for(lambda: agreed(three, NODES), 10, "agreement after the return")
    assert three.client("n3").get(keys[0]) is None


def test_an_increment_counts_once_though_frames_are_lost(three):
    """A tenth of the frames is lost at every node, the peers' and the client's; who repeats a write, repeats it under its number."""
    owner, key = "n2", keys_of(three, "n2", 1)[0]
    at = three.client("n1", timeout=0.3, tries=40)
    at.call(native.INCR, key, extras=struct.pack("<QQQ", 1, 1, 0), flags=native.CREATE)
    for node in NODES:
        three("loss", node, "10%")
    try:
        for expected in range(2, 62):
            while True:
                sequence = at.sequence
                result = at.call(native.INCR, key, extras=struct.pack("<Q", 1))
                if result.status == native.OK:
                    break
                assert result.status in (OWNER_TIMEOUT, native.BUSY, native.STALE_EPOCH), result.status
                at.sequence = sequence  # the same write again
            assert struct.unpack("<Q", result.extras)[0] == expected
    finally:
        three("heal")
    assert int(three.client(owner).get(key)) == 61
