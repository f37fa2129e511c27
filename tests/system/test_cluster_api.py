"""The control plane of a real cluster: what each node tells of the others, what it can be asked, what it refuses."""
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest
import rack
from nodes import netns, start  # noqa: F401
from rack import wait_for

NODES = ["n1", "n2", "n3"]
FIELDS = {"node_id", "node_count", "peers", "dead_nodes", "ring_size", "epoch", "replication_factor", "read_repair_enabled"}
PEER = {"node_id", "api_addr", "phi", "status", "incarnation"}


@pytest.fixture(scope="module")
def three():
    with rack.lab("api", nodes=3, cluster=True, rf=2, no_huge=True) as lab:
        yield lab


def curl(lab, node, path, *arguments):
    return ["curl", "-sS", "-m", "10", "--unix-socket", f"/run/slipring-lab/{lab.name}/{node}.sock", *arguments,
            f"http://{node}{path}"]


def ask(lab, node, path, *arguments):
    """(status, body) of a request to a node's control socket."""
    out = subprocess.run(curl(lab, node, path, "-w", "\n%{http_code}", *arguments), check=True, text=True,
                         capture_output=True).stdout
    body, _, status = out.rpartition("\n")
    return int(status), json.loads(body) if body.startswith(("{", "[")) else body


def get(lab, node, path):
    status, body = ask(lab, node, path)
    assert status == 200, (path, body)
    return body


def peer(lab, node, name):
    return next(p for p in get(lab, node, "/cluster/status")["peers"] if p["node_id"] == name)


def settled(lab):
    """Every node sees every other one alive, and all have one topology."""
    seen = [get(lab, node, "/cluster/status") for node in NODES]
    return len({s["epoch"] for s in seen}) == 1 and all(
        s["node_count"] == 3 and all(p["status"] == "Alive" for p in s["peers"]) for s in seen) and seen[0]["epoch"]


def test_every_node_tells_the_same_cluster(three):
    epoch = wait_for(lambda: settled(three), 10, "a settled cluster")
    for node in NODES:
        status = get(three, node, "/cluster/status")
        assert set(status) == FIELDS
        assert [p["node_id"] for p in status["peers"]] == [n for n in NODES if n != node]
        assert all(set(p) == PEER and 0 <= p["phi"] < 8 for p in status["peers"])
        assert [p["api_addr"] for p in status["peers"]] == [f"{three.address(p['node_id'])}:7411" for p in status["peers"]]
        assert (status["node_id"], status["ring_size"], status["replication_factor"]) == (node, 192, 2)
        assert status["read_repair_enabled"] is False and status["dead_nodes"] == []
        assert get(three, node, "/debug/vars")["era"] == epoch
        assert get(three, node, "/dist/metrics")["members"]["Alive"] == 3
        assert ask(three, node, "/readyz")[0] == 200
    rings = [get(three, node, "/cluster/ring?slots=true") for node in NODES]
    assert len({r["digest"] for r in rings}) == len({r["table_digest"] for r in rings}) == 1
    assert rings[0]["slots"] == rings[1]["slots"] == rings[2]["slots"] and len(rings[0]["slots"]) == 2
    assert sum(m["first_slots"] for m in rings[0]["members"]) == 16384
    assert max(m["first_slots"] for m in rings[0]["members"]) <= 1.02 * 16384 / 3 + 1


def test_owners_are_those_of_the_ring_on_every_node(three):
    ring = get(three, "n1", "/cluster/ring?slots=true")
    names = [m["node_id"] for m in ring["members"]]
    for key in ("greeting", "%7Btag%7Da", "%7Btag%7Db", "%ff%00"):
        told = [get(three, node, f"/v1/owners/{key}") for node in NODES]
        assert told[0] == told[1] == told[2]
        assert [o["node_id"] for o in told[0]["owners"]] == [names[rank[told[0]["slot"]]] for rank in ring["slots"]]
    assert get(three, "n1", "/v1/owners/%7Btag%7Da")["slot"] == get(three, "n1", "/v1/owners/tag")["slot"]


def test_heartbeats_come_and_the_membership_version_stands_still(three):
    wait_for(lambda: settled(three), 10, "a settled cluster")
    before = get(three, "n1", "/dist/metrics")
    for _ in range(10):
        beat = get(three, "n1", "/cluster/heartbeat")
        assert beat["interval_ms"] == 50 and beat["phi_threshold"] == 8
        assert all(p["watched"] and p["last_heard_ms"] < 1000 for p in beat["peers"])
        time.sleep(0.1)
    after = get(three, "n1", "/dist/metrics")
    assert after["membership_version"] == before["membership_version"]
    assert after["gossip"]["packets_in"] >= before["gossip"]["packets_in"] + 20
    assert sum(after["refused"].values()) == sum(before["refused"].values())


def telemetry(lab, node, *commands):
    """What DPDK's telemetry socket answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(5)
        s.connect(f"/run/slipring-lab/{lab.name}/dpdk/{node}/dpdk_telemetry.v2")
        s.recv(1024)
        answers = []
        for command in commands:
            s.send(command.encode())
            answers.append(json.loads(s.recv(32768))[command])
    return answers


def test_dpdks_telemetry_tells_the_same(three):
    wait_for(lambda: settled(three), 10, "a settled cluster")
    for node in NODES:
        ring, members, workers, commands = telemetry(three, node, "/slipring/ring", "/slipring/members", "/slipring/workers", "/")
        told = get(three, node, "/cluster/ring")
        assert (ring["epoch"], ring["digest"], ring["ring_size"]) == (told["epoch"], told["digest"], 192)
        assert {n: m["first_slots"] for n, m in ring["members"].items()} == \
            {m["node_id"]: m["first_slots"] for m in told["members"]}
        assert {n: m["status"] for n, m in members["members"].items()} == {n: "Alive" for n in NODES}
        assert members["members"]["n2"]["api_addr"] == f"{three.address('n2')}:7411"
        assert list(workers) == ["0"] and workers["0"]["driver"] == "net_af_xdp" and workers["0"]["polls"] > 0
        assert {"/slipring/ring", "/slipring/members", "/slipring/workers", "/ethdev/stats"} <= set(commands)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_own_tool_finds_nothing_wrong_with_a_clusters_metrics(three):
    text = subprocess.run(curl(three, "n1", "/metrics"), check=True, capture_output=True).stdout
    assert b"slipring_peer_phi" in text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Listener:
    """Follows a node's events."""

    def __init__(self, lab, node, *arguments):
        self.events = []
        self.process = subprocess.Popen(curl(lab, node, "/cluster/events", "-N", "-m", "60", *arguments), text=True,
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "retry: 1000\n"
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("data: "):
                self.events.append(json.loads(line[6:]))

    def states(self, node):
        return [e["status"] for e in list(self.events) if e["event"] == "state" and e["node_id"] == node]

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.thread.join()


def test_a_death_and_a_return_are_told_by_status_and_events(three):
    epoch = wait_for(lambda: settled(three), 10, "a settled cluster")
    listener = Listener(three, "n1")
    three("kill", "n3", "-9")
    status = wait_for(lambda: (s := get(three, "n1", "/cluster/status"))["dead_nodes"] == ["n3"] and s, 5, "n3 is called dead")
    assert status["node_count"] == 2 and peer(three, "n1", "n3")["status"] == "Dead"
    assert 'slipring_peer_state{peer="n3",state="dead"} 1' in get(three, "n1", "/metrics")
    three("start", "n3")
    wait_for(lambda: settled(three) and settled(three) > epoch, 15, "n3 is back in a later epoch")
    wait_for(lambda: listener.states("n3")[-1:] == ["Alive"], 2, "the event of its return")
    wait_for(lambda: any(e["event"] == "epoch" and e["epoch"] > epoch for e in listener.events), 2, "the epoch's event")
    wait_for(lambda: any(e["event"] == "restarted" for e in listener.events), 2, "the restart's event")
    listener.end()
    seen = listener.states("n3")
    assert seen.index("Suspected") < seen.index("Dead") < len(seen) - 1
    numbers = [e["sequence"] for e in listener.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert any(e["event"] == "restarted" and e["node_id"] == "n3" for e in listener.events)
    assert any(e["event"] == "epoch" and e["epoch"] > epoch for e in listener.events)
    again = subprocess.run(curl(three, "n1", "/cluster/events?follow=false", "-H", f"Last-Event-ID: {numbers[0]}"), text=True,
                           capture_output=True, check=True).stdout
    assert [int(line[4:]) for line in again.splitlines() if line.startswith("id: ")][:len(numbers) - 1] == numbers[1:]


def test_a_probe_is_answered(three):
    wait_for(lambda: settled(three), 10, "a settled cluster")
    listener = Listener(three, "n1")

    def probed():
        assert ask(three, "n1", "/cluster/probe", "-d", '{"node_id": "n2"}')[0] == 202
        time.sleep(0.1)
        return [e for e in listener.events if e["event"] == "probed" and e["node_id"] == "n2"]
    assert 0 < wait_for(probed, 10, "an answer")[0]["duration_ms"] < 1000
    listener.end()


@pytest.mark.parametrize("path, body, status, code", [
    ("/cluster/join", '{"address": "n2"}', 400, "bad_address"),
    ("/cluster/join", '{"address": "10.9.0.2:0"}', 400, "bad_address"),
    ("/cluster/join", "10.9.0.2", 400, "bad_request"),
    ("/cluster/probe", '{"node_id": "n9"}', 404, "unknown_node"),
    ("/cluster/probe", '{"node_id": "n1"}', 409, "is_this_node"),
    ("/cluster/nothing", "", 404, "unknown_path"),
    ("/cluster/status", "", 405, "bad_method"),
])
def test_nonsense_is_refused_by_name_and_changes_nothing(three, path, body, status, code):
    before = wait_for(lambda: settled(three), 10, "a settled cluster")
    got, told = ask(three, "n1", path, "-X", "POST", "-d", body)
    assert (got, told["code"]) == (status, code)
    assert settled(three) == before


def listed(lab, node, **query):
    """Every key that pages from a node tell, and who was absent."""
    keys, absent, cursor = [], set(), None
    while True:
        arguments = "&".join(f"{name}={value}" for name, value in {**query, **({"cursor": cursor} if cursor else {})}.items())
        page = get(lab, node, f"/v1/cache/keys?{arguments}")
        keys += [k["key"] for k in page["keys"]]
        absent |= set(page["absent"])
        cursor = page["cursor"]
        if cursor is None:
            return keys, absent


def test_any_node_lists_evicts_and_clears_for_all(fresh):
    lab = fresh(nodes=3, cluster=True, no_huge=True, settings={"memory": "16M"})
    wanted = {f"any:{i}" for i in range(60)}
    for i, key in enumerate(sorted(wanted)):
        status, body = ask(lab, NODES[i % 3], f"/v1/cache/{key}", "-X", "PUT", "-d", key)
        assert status == 200, body
    for node in NODES:
        keys, absent = listed(lab, node, prefix="any:", limit=25)
        assert sorted(keys) == sorted(wanted) and not absent
    status, body = ask(lab, "n2", "/v1/cache/evict?count=3", "-X", "POST")
    assert (status, body["items"], body["absent"]) == (200, 9, [])
    assert ask(lab, "n1", "/v1/cache/expire", "-X", "POST")[0] == 200
    assert len(listed(lab, "n3", prefix="any:", limit=1000)[0]) == 51
    lab("kill", "n3", "-9")
    lost = {k for k in wanted if get(lab, "n1", f"/v1/owners/{k}")["owners"][0]["node_id"] == "n3"}
    wait_for(lambda: peer(lab, "n1", "n3")["status"] == "Dead", 5, "n3 is called dead")
    keys, absent = listed(lab, "n1", limit=1000)
    assert absent == {"n3"} and not set(keys) & lost and keys
    status, body = ask(lab, "n1", "/v1/cache/clear", "-X", "POST")
    assert (status, body["code"], body["absent"]) == (503, "partial", ["n3"])
    assert {n["node_id"]: n["status"] for n in body["nodes"]} == {"n1": "ok", "n2": "ok", "n3": "owner_dead"}
    assert listed(lab, "n2", limit=1000) == ([], {"n3"})


def test_a_node_that_finds_no_seed_is_not_ready(fresh):
    lab = fresh(nodes=1, cluster=True, no_huge=True)
    lab("kill", "n1")
    lab.env["SLIPRING_LAB_TIMEOUT"] = "2"  # it will not be ready
    lab("start", "n1", "--set", "cluster.seed_nodes=n9@10.9.0.9:7946", check=False)
    status, body = ask(lab, "n1", "/readyz")
    assert (status, body["status"]) == (503, "unready") and "joining" in body["reasons"][0]
    assert ask(lab, "n1", "/v1/owners/k")[1]["code"] == "no_topology"
    assert get(lab, "n1", "/cluster/status")["epoch"] == 0
    assert ask(lab, "n1", "/cluster/leave", "-X", "POST")[1]["code"] == "not_member"


def test_a_node_drains_and_leaves(fresh):
    lab = fresh(nodes=3, cluster=True, no_huge=True)
    assert ask(lab, "n3", "/cluster/drain", "-X", "POST")[0] == 202

    def drained():
        member = [m for m in get(lab, "n1", "/cluster/ring")["members"] if m["node_id"] == "n3"]
        return all(m["slots"] == 0 for m in member) and peer(lab, "n1", "n3")["status"] == "Leaving"
    wait_for(drained, 10, "n3 owns nothing")
    assert ask(lab, "n3", "/readyz")[0] == 503
    assert ask(lab, "n3", "/cluster/leave", "-X", "POST")[0] == 202
    wait_for(lambda: peer(lab, "n1", "n3")["status"] == "Left", 15, "n3 has left")
    status = get(lab, "n1", "/cluster/status")
    assert status["node_count"] == 2 and status["dead_nodes"] == [] and status["ring_size"] == 128


def test_the_telemetry_socket_goes_with_its_node(start, netns, tmp_path):  # noqa: F811
    node = start("--interfaces", "e0").ready()
    folder = tmp_path / "dpdk" / "n1"
    assert os.listdir(folder) == ["dpdk_telemetry.v2"] and os.stat(folder / "dpdk_telemetry.v2").st_mode & 0o077 == 0
    node.stop(9)
    assert start("--interfaces", "e0").ready().stop() == 0  # what a killed one left is no obstacle
    assert not (tmp_path / "dpdk").exists()
    long_one = start("--interfaces", "e0", "--control.socket", str(tmp_path / "c"), node="n" * (90 - len(str(tmp_path)))).ready()
    assert "too long for DPDK's telemetry socket" in long_one.said
    assert long_one.stop() == 0


def test_a_node_by_itself_is_a_cluster_of_one(lab):
    status = get(lab, "n1", "/cluster/status")
    assert status == {"node_id": "n1", "node_count": 1, "peers": [], "dead_nodes": [], "ring_size": 64, "epoch": 0,
                      "replication_factor": 1, "read_repair_enabled": False}
    assert get(lab, "n1", "/cluster/ring")["members"][0]["share"] == 1
    assert [o["node_id"] for o in get(lab, "n1", "/v1/owners/k")["owners"]] == ["n1"]
    for path in ("/cluster/join", "/cluster/leave", "/cluster/drain", "/cluster/probe"):
        status, body = ask(lab, "n1", path, "-X", "POST")
        assert (status, body["code"]) == (409, "not_clustered")
    assert ask(lab, "n1", "/cluster/events")[1]["code"] == "not_clustered"


def test_keys_are_listed_evicted_and_cleared(lab):
    ask(lab, "n1", "/v1/cache/clear", "-X", "POST")
    for i in range(40):
        assert ask(lab, "n1", f"/v1/cache/list%3A{i}", "-X", "PUT", "-d", "v")[0] == 200
    ask(lab, "n1", "/v1/cache/other", "-X", "PUT", "-d", "v")
    keys, cursor, pages = [], "", 0
    while cursor is not None:
        page = get(lab, "n1", "/v1/cache/keys?prefix=list%3A&limit=15" + (f"&cursor={cursor}" if cursor else ""))
        keys += [k["key"] for k in page["keys"]]
        cursor, pages = page["cursor"], pages + 1
        assert page["absent"] == [] and len(page["keys"]) <= 15
    assert sorted(keys) == sorted(f"list:{i}" for i in range(40)) and pages >= 3
    assert get(lab, "n1", "/v1/cache/keys?prefix=oth&limit=1000")["keys"] == [{"key": "other", "key_encoding": "utf-8"}]
    status, body = ask(lab, "n1", "/v1/cache/evict?count=5", "-X", "POST")
    assert (status, body["items"], body["absent"]) == (200, 5, [])
    assert ask(lab, "n1", "/v1/cache/expire", "-X", "POST")[0] == 200
    status, body = ask(lab, "n1", "/v1/cache/clear", "-X", "POST")
    assert status == 200 and body["cleared"] and body["nodes"] == [{"node_id": "n1", "status": "ok", "items": 0}]
    assert get(lab, "n1", "/v1/cache/keys?limit=1000")["keys"] == []
