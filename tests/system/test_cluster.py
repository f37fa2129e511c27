"""Nodes that find each other through their own NICs, agree, and notice who is gone."""
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest
import rack
from nodes import BUILD
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
    with rack.lab("cl", nodes=3, cluster=True, no_huge=True) as it:
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


def counter(lab, node, name):
    return lab.counters(node)[name]


def packet(tag, kind, boot, body):
    """The head of an envelope that looks right, and a body that is not."""
    return struct.pack("<BBBBIQQ", 1, 1, tag, kind, 0, boot, 1 + boot % 1000) + body


FLOODS = {
    "garbage": lambda i, noise: noise[i % 512:i % 512 + 200],
    "data": lambda i, noise: packet(i & 255, 1, i + 1, noise[:1000]),
    "control": lambda i, noise: packet(i & 255, 0, i + 1, noise[:300]),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_the_clusters_port_costs_no_probe(three, kind):
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 5, "agreement")
    noise = os.urandom(2048)
    frames = [FLOODS[kind](i, noise) for i in range(1024)]
    before = {n: three.counters(n) for n in ("n1", "n2", "n3")}
    marks = {n: len(three.log(n)) for n in before}
    flood = three.udp(7946)
    sent, end = 0, time.monotonic() + 3
    while time.monotonic() < end:
        for frame in frames[sent % 1024:sent % 1024 + 64]:
            with contextlib.suppress(OSError):
                flood.send(frame)
        sent += 64
    after = {n: three.counters(n) for n in before}
    for node in before:
        assert "Suspected" not in three.log(node)[marks[node]:], f"{node} after {sent} packets"
        assert after[node]["cluster_changes"] == before[node]["cluster_changes"]
    refused = sum(after["n1"][c] - before["n1"][c] for c in (
        "cluster_bad_envelope", "cluster_clear_text", "cluster_key_unknown", "cluster_forged", "drop_peer_full"))
    assert refused > sent / 4, f"{refused} of {sent}"
    assert after["n1"]["drop_control_full"] == before["n1"]["drop_control_full"]


def test_a_clean_stop_tells_the_others(three):
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 5, "agreement")
    mark = len(three.log("n1"))
    begun = time.monotonic()
    three("kill", "n3")
    assert time.monotonic() - begun < 6
    assert re.search(r"INFO n3 cluster \S+: left\n", three.log("n3"))
    told = three.log("n1")[mark:]
    assert "cluster: n3 is Leaving" in told and "cluster: n3 is Left" in told
    assert "n3 is Suspected" not in told and "n3 is Dead" not in told
    try:
        wait_for(lambda: states(three, "n1")[three.address("n3")] == LEFT, 3, "n3 as one that has left in TOPOLOGY")
    finally:
        three("start", "n3")
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 10, "agreement after the return")


@pytest.fixture
def place(three):
    """n3's place without n3, which comes back afterwards."""
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 10, "agreement")
    three("kill", "n3")
    yield "n3"
    three("heal")
    three("start", "n3")
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 15, "agreement after the return")


def by_hand(lab, place, *arguments, **environment):
    """A daemon in the place of a node of the lab, which does not run."""
    env = {**lab.env, "SLIPRING_LAB": lab.name, **environment}
    return subprocess.Popen([rack.LAB, "in", place, os.path.join(BUILD, "slipringd"), *arguments], env=env, text=True,
                            stderr=subprocess.PIPE)


def test_the_second_process_with_a_node_id_is_refused(three, place, tmp_path):
    changes = counter(three, "n1", "cluster_changes")
    second = by_hand(three, place, "--node-id", "n1", "--run-dir", str(tmp_path), "--state-dir", str(tmp_path), "--join", "n1@10.9.0.1:7946")
    said = second.communicate(timeout=20)[1]
    assert second.returncode == 4, said
    assert re.search(r"ERROR n1 cluster \S+ does not let this node in: the node id n1 belongs to another process, at 10.9.0.1:7946", said)
    assert re.search(r"ERROR n1 cluster: another process, at 10.9.0.3:7946, uses the node id n1, which is this node's", three.log("n1"))
    assert counter(three, "n1", "cluster_duplicates") > 0
    assert counter(three, "n1", "cluster_changes") == changes  # the cluster is as it was


def test_a_wrong_key_has_a_counter_and_changes_nothing(three, place, tmp_path):
    key = tmp_path / "key"
    key.write_text("77" * 32)
    key.chmod(0o600)
    changes = counter(three, "n1", "cluster_changes")
    stranger = by_hand(three, place, "--node-id", "n9", "--run-dir", str(tmp_path), "--state-dir", str(tmp_path),
                       "--join", "n1@10.9.0.1:7946", "--cluster.key-file", str(key))
    try:
        wait_for(lambda: counter(three, "n1", "cluster_key_unknown") + counter(three, "n1", "cluster_forged") > 0, 10,
                 "the wrong key is counted")
        assert counter(three, "n1", "cluster_changes") == changes
        assert topology(three, "n3") is None  # it stays outside, and says so
    finally:
        stranger.terminate()
        stranger.communicate(timeout=20)


def test_a_seed_that_cannot_be_resolved_stops_the_start(three, place, tmp_path):
    lost = by_hand(three, place, "--node-id", "n9", "--run-dir", str(tmp_path), "--state-dir", str(tmp_path),
                   "--join", "no-such-host.invalid:7946")
    said = lost.communicate(timeout=20)[1]
    assert lost.returncode == 3
    assert re.search(r"ERROR n9 cluster.seed_nodes: no-such-host.invalid is no address and cannot be resolved", said)


def test_a_seed_that_does_not_answer_is_told_and_tried_again(three, place, tmp_path):
    three("partition", "n3", "n1,n2")  # they ask after n3 there
    lost = by_hand(three, place, "--node-id", "n9", "--run-dir", str(tmp_path), "--state-dir", str(tmp_path),
                   "--join", "10.9.0.77:7946")
    time.sleep(6)
    lost.terminate()
    said = lost.communicate(timeout=20)[1]
    assert re.search(r"WARN n9 cluster \S+: not let in yet; of 1 seeds 10.9.0.77:7946 did not answer", said), said


def test_replayed_packets_are_counted_and_change_nothing(three):
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 5, "agreement")
    wire = three.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3), where="sw")
    wire.bind(("p1", 3))
    wire.settimeout(2)
    frames = []
    while len(frames) < 50:
        frame, (_, _, kind, _, _) = wire.recvfrom(2048)
        if kind == socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[36:38] == struct.pack(">H", 7946):
            frames.append(frame)  # on its way to n1
    before = three.counters()
    for _ in range(20):  # in portions that the core's mailbox has room for
        for frame in frames:
            wire.send(frame)
        time.sleep(0.02)
    wait_for(lambda: three.counters()["cluster_replayed"] - before["cluster_replayed"] > 900, 3, "replays are counted")
    assert three.counters()["cluster_changes"] == before["cluster_changes"]


def test_an_epoch_outlives_kill_9_of_the_whole_cluster(three):
    epoch, _ = wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 5, "agreement")
    for node in ("n1", "n2", "n3"):
        three("kill", node, "-9")
    kept = [int(open(f"/run/slipring-lab/{three.name}/state/{node}.epoch").read()) for node in ("n1", "n2", "n3")]
    assert sum(floor >= epoch for floor in kept) >= 2  # a majority has it on disk
    for node in ("n1", "n2", "n3"):
        three("start", node)
    after, _ = wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 15, "agreement after all were killed")
    assert after > epoch


def cpus_of_core(lab, node):
    """CPUs that a node's control core may run on; None when it has no thread of its own."""
    pid = lab.pid(node)
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        if status["Name"] == "core":
            return status["Cpus_allowed_list"]
    return None


def test_the_core_has_a_thread_where_it_has_a_cpu(three, place):
    last = os.cpu_count() - 1
    pinned = ("--set", "float_lcores=false", "--set", f"worker_cpus={last}")
    assert cpus_of_core(three, "n1") is None  # the lab floats: everybody shares
    for settings, cpus in (((*pinned, "--set", "control_cpu=0"), "0" if last else None),
                           ((*pinned, "--set", f"control_cpu={last}"), None),
                           ((*pinned, "--set", f"control_cpu={last}", "--set", "cluster.core=thread"), str(last)),
                           (("--set", "float_lcores=true", "--set", "cluster.core=thread"), f"0-{last}" if last else "0")):
        three("start", place, *settings)
        assert cpus_of_core(three, place) == cpus, settings
        three("kill", place)
    three("start", place, "--set", "cluster.core=auto")
    three("kill", place)


def test_a_second_signal_ends_a_node_that_waits_for_others(three):
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 15, "agreement")
    three("partition", "n3", "n1,n2")  # nobody can acknowledge that it leaves
    pid = three.pid("n3")
    os.kill(pid, signal.SIGTERM)
    time.sleep(1.2)
    assert three.pid("n3") == pid, "it waits"
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: three.pid("n3") is None, 0.7, "the end")
    three("heal")
    three("start", "n3")
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 15, "agreement after the return")


def test_nothing_moves_when_nothing_happens(three):
    wait_for(lambda: agreed(three, ["n1", "n2", "n3"]), 10, "agreement")
    time.sleep(1)  # what follows a return settles
    nodes = ("n1", "n2", "n3")
    before = {n: (counter(three, n, "cluster_changes"), topology(three, n)) for n in nodes}
    logs = {n: three.log(n) for n in nodes}
    time.sleep(5)
    assert {n: (counter(three, n, "cluster_changes"), topology(three, n)) for n in nodes} == before
    assert {n: three.log(n) for n in nodes} == logs
