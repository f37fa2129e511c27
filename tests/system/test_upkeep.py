"""What an operator does to nodes that run, and what they find out by themselves: tokens read again, a port gone deaf,
seeds that move, probes that are ordered, slow heartbeats."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

import cluster
from nodes import connect, ip, netns, start, xdp_of  # noqa: F401 (fixtures)
from rack import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PORT = 17481


def write_private(path, text):
    path.write_text(text)
    path.chmod(0o600)


def status_with(netns, token):
    out = subprocess.run(["ip", "netns", "exec", netns, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                          f"Authorization: Bearer {token}", f"http://127.0.0.1:{PORT}/stats"], check=True, text=True,
                         capture_output=True, timeout=10)
    return int(out.stdout)


def test_sighup_reads_the_tokens_again(start, netns, tmp_path_factory):
    tokens = tmp_path_factory.mktemp("secret") / "tokens"
    write_private(tokens, "old read old-token\n")
    ip("-n", netns, "link", "set", "lo", "up")
    node = start("--interfaces", "e0", "--control.listen", f"127.0.0.1:{PORT}", "--control.tokens-file", str(tokens)).ready()
    assert (status_with(netns, "old-token"), status_with(netns, "new-token")) == (200, 401)
    write_private(tokens, "new read new-token\n")
    assert status_with(netns, "new-token") == 401  # nobody said so yet
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: status_with(netns, "new-token") == 200, 3, "the new token")
    assert status_with(netns, "old-token") == 401
    write_private(tokens, "new everything new-token\n")
    node.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert status_with(netns, "new-token") == 200  # a bad file changes nothing
    assert node.stop() == 0
    assert re.search(r" INFO n1 reload: \S+ read again", node.said)
    assert re.search(r" ERROR n1 reload: .*:1: the scope must be read, write or admin; the former tokens stay in force", node.said)


def health(node):
    out = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", f"{node.run_dir}/n1.sock", "http://n1/healthz"],
                         check=True, text=True, capture_output=True, timeout=10).stdout
    body, _, status = out.rpartition("\n")
    return int(status), json.loads(body)


@contextlib.contextmanager
def pinging(netns):
    """Somebody sends to the node all the while, answered or not."""
    process = subprocess.Popen(["ip", "netns", "exec", netns, "ping", "-q", "-i", "0.1", "10.9.0.1"], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_a_deaf_port_is_noticed(start, netns, connect):
    """Frames come to the interface, and the worker gets none: somebody took the XDP program off."""
    node = start("--interfaces", "e0").ready()
    connect("e0")
    assert health(node)[0] == 200
    with pinging(netns):
        time.sleep(5)
        assert health(node) == (200, {"status": "ok", "node": "n1", "stalled_workers": [], "deaf_workers": []})
        ip("-n", netns, "link", "set", "e0", "xdp", "off")
        status, told = wait_for(lambda: health(node)[0] == 503 and health(node), 12, "a deaf worker")
        assert (told["status"], told["deaf_workers"], told["stalled_workers"]) == ("deaf", [0], [])
        assert node.get("/readyz")["reasons"] == ["worker 0 does not receive what comes to its port"]
    assert node.stop() == 0
    assert " ERROR n1 worker 0 does not receive what comes to its port e0" in node.said


def test_a_port_to_which_nothing_comes_is_idle(start, netns):
    node = start("--interfaces", "e0").ready()
    ip("-n", netns, "link", "set", "e0", "xdp", "off")
    time.sleep(7)
    assert health(node)[0] == 200


# --- clusters ------------------------------------------------------------------------

def set_hosts(lab, **addresses):
    """In place: the nodes have this very file bound over their /etc/hosts."""
    path = f"/run/slipring-lab/{lab.name}/hosts"
    with open(path) as f:
        kept = [line for line in f if "# test" not in line]
    with open(path, "w") as f:
        f.writelines(kept + [f"{address} {name} # test\n" for name, address in addresses.items()])


@pytest.fixture(scope="module")
def three():
    with cluster.cluster("up", nodes=3) as lab:
        lab.await_settled(40)
        yield lab


def test_a_start_is_no_stop(three):
    """The time from its creation to its first step is not time in which a process was stopped."""
    for node in three.nodes():
        assert "was stopped for" not in three.log(node).split("ready:")[0]


def test_an_ordered_probe_is_answered_by_an_event(three):
    def probed():
        return [e for e in three.events("n1") if e["event"] == "probed" and e["node_id"] == "n2"]
    for _ in range(30):
        before = len(probed())
        three.post("n1", "/cluster/probe", {"node_id": "n2"})
        wait_for(lambda: len(probed()) > before, 2, "the event")
    assert all(0 < e["duration_ms"] < 1000 for e in probed())


def test_a_seed_that_moved_is_found_by_its_name(three):
    """n4, which is nobody's seed, knows one by name, and nobody is at its address."""
    three("add", "n4")  # which writes the lab's hosts anew
    three("kill", "n4")
    set_hosts(three, **{"seed.test": "10.9.0.99"})
    three("start", "n4", "--set", "cluster.seed_nodes=seed.test:7946", check=False)
    wait_for(lambda: os.path.exists(three.socket_path("n4")), 5, "n4's socket")
    time.sleep(2)
    status, _, body = three.http("n4", "GET", "/readyz")
    assert status == 503 and json.loads(body)["reasons"][0].startswith("joining"), three.log("n4")
    set_hosts(three, **{"seed.test": three.address("n1")})
    wait_for(lambda: three.http("n4", "GET", "/readyz")[0] == 200, 15, "n4 joins by the seed's new address")
    assert f"cluster: seed seed.test is at {three.address('n1')} now" in three.log("n4")


def test_a_replication_factor_above_the_cluster_is_told_and_served():
    """Two nodes of which each key should have four owners: it has two, the log says so, and the table is one."""
    with cluster.cluster("rf", nodes=2, settings={"cluster.replication_factor": "4"}) as lab:
        lab.await_settled(30)
        rings = [lab.get(node, "/cluster/ring") for node in lab.nodes()]
        assert {(ring["replication_factor"], ring["owners"], ring["table_digest"]) for ring in rings} == {(4, 2, rings[0]["table_digest"])}
        for node in lab.nodes():
            assert re.search(r"WARN \S+ cluster: replication_factor is 4, and 2 nodes own slots: each key has 2 owners", lab.log(node))
        lab.client("n1").set(b"k", b"v")
        assert lab.client("n2").get(b"k") == b"v"


def test_slow_heartbeats_do_not_make_slow_starts():
    """With a heartbeat in two seconds: one table within a fifth of the 40 s that it once took."""
    begin = time.monotonic()
    with cluster.cluster("slow", nodes=3, settings={"cluster.gossip_interval": "2s"}) as lab:
        lab.await_settled(20)
        assert time.monotonic() - begin < 20
        stopped = time.monotonic()
        lab("kill", "n3")
        assert time.monotonic() - stopped < 16.5
        assert re.search(r"INFO n3 cluster \S+: left\n", lab.log("n3"))
