"""Nodes that find each other through their own NICs, agree, and notice who is gone."""
import re
import struct
import time

import pytest
import rack
from rack import wait_for

ALIVE, SUSPECTED, DEAD, JOINING, LEAVING, LEFT = 1, 2, 3, 4, 5, 6


def topology(lab, node):
    """What TOPOLOGY says at a node: (epoch, {index: (ip, port, workers, state, id)}); None while it joins."""
    value = lab.client(node).topology()
    if value is None:
        return None
    epoch, rule, count, slots, entry, replication = struct.unpack_from("<IHHHHB", value)
    assert rule == 2 and slots == 16384 and entry >= 40
    members = {}
    for i in range(count):
        at = 16 + i * entry
        index, port, workers, state = struct.unpack_from("<HHBB", value, at + 16)
        ident, = struct.unpack_from("<Q", value, at + 24)
        members[index] = (".".join(str(b) for b in value[at + 12:at + 16]), port, workers, state, ident)
    return epoch, members


def states(lab, node):
    """{address: state} of the members that a node tells clients of."""
    told = topology(lab, node)
    return {m[0]: m[3] for m in told[1].values()} if told else {}


@pytest.fixture(scope="module")
def three():
    with rack.lab("cl", nodes=3, cluster=True) as it:
        yield it


def agreed(lab, nodes):
    """All of them tell the same topology, and in it all are alive."""
    told = [topology(lab, n) for n in nodes]
    alive = {lab.address(n) for n in nodes}
    return all(t and t == told[0] for t in told) and \
        {m[0] for m in told[0][1].values() if m[3] == ALIVE} == alive and told[0]


def test_three_nodes_agree_on_one_topology(three):
    epoch, members = wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 5, "agreement")
    assert epoch >= 1 and len(members) == 3
    assert all(port == 7411 and workers == 1 for _, port, workers, _, _ in members.values())
    assert len({m[4] for m in members.values()}) == 3
    for node in ("n1", "n2", "n3"):
        log = three.log(node)
        assert re.search(r"INFO \S+ cluster: n\d is known", log)
        assert re.search(r"INFO \S+ cluster \S+: epoch \d", log)


def test_a_killed_node_is_noticed_and_its_return_too(three):
    before, _ = wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 5, "agreement")
    three("kill", "n3", "-9")
    killed = time.monotonic()
    for node in ("n1", "n2"):
        wait_for(lambda: states(three, node).get(three.address("n3")) == DEAD, 5, f"{node} calls n3 dead")
    assert time.monotonic() - killed < 5
    for node in ("n1", "n2"):
        log = three.log(node)
        assert re.search(r"WARN \S+ cluster: n3 is Suspected", log) and re.search(r"WARN \S+ cluster: n3 is Dead", log)
    three("start", "n3")
    # Its new life has a vote from the next epoch on, which its return brings about.
    wait_for(lambda: (agreed(three, ["n1", "n2", "n3"]) or (0,))[0] > before, 10, "agreement after the return")
    assert "cluster: n3 has restarted" in three.log("n1")
