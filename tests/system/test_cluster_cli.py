"""The command line about a cluster: what a person sees, exit statuses, --json, other ways to a control plane."""
import json
import os
import re
import subprocess
import time

import pytest
import rack
from rack import wait_for

PROGRAM = os.path.join(os.environ.get("SLIPRING_BUILD") or os.path.join(rack.ROOT, "build/release"), "slipring")


@pytest.fixture(scope="module")
def three():
    with rack.lab("cli", nodes=3, cluster=True, no_huge=True, settings={"memory": "16M"}) as lab:
        yield lab


def run(lab, *arguments, host="n1", **environment):
    """The program outside of any namespace: it talks to sockets in the file system."""
    env = {**lab.env, "SLIPRING_RUN_DIR": f"/run/slipring-lab/{lab.name}", **environment}
    return subprocess.run([PROGRAM, *(["-H", host] if host else []), *map(str, arguments)], text=True, capture_output=True, env=env,
                          timeout=30)


def good(lab, *arguments, **how):
    done = run(lab, *arguments, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_status_members_and_ring_are_tables_and_json(three):
    text = good(three, "status")
    assert re.search(r"^nodes +3$", text, re.M) and re.search(r"^n2 +Alive +10\.9\.0\.2:7411 ", text, re.M)
    assert json.loads(good(three, "status", "--json"))["node_count"] == 3
    text = good(three, "members", host="n3")
    assert re.search(r"^n3 +Alive +10\.9\.0\.3:7946 +10\.9\.0\.3:7411 .*\(asked\)$", text, re.M)
    assert len(json.loads(good(three, "members", "-j"))["members"]) == 3
    text = good(three, "ring", LC_ALL="C")
    shares = [float(s) for s in re.findall(r"^n\d +Alive +64 +#+ +([\d.]+) %", text, re.M)]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=0.2)
    assert "█" in good(three, "ring", LC_ALL="C.UTF-8")
    assert sum(m["first_slots"] for m in json.loads(good(three, "ring", "-j"))["members"]) == 16384


def test_owners_take_any_key(three):
    lines = good(three, "owners", "greeting").splitlines()
    assert re.match(r"slot 12714, epoch \d+$", lines[0]) and re.match(r"1  n\d +10\.9\.0\.\d:7411 +Alive$", lines[1])
    assert json.loads(good(three, "owners", "-j", "--hex", "ff00"))["key_encoding"] == "base64"
    assert json.loads(good(three, "owners", "-j", "{tag}a/b ?%"))["key"] == "{tag}a/b ?%"


def test_events_are_told_and_followed(three):
    assert re.search(r"^\S+ \S+  n\d (is|Joining ->) ", good(three, "events"), re.M)
    seen = [json.loads(line) for line in good(three, "events", "--json").splitlines()]
    assert [e["sequence"] for e in seen] == list(range(1, len(seen) + 1))
    follower = subprocess.Popen([PROGRAM, "-H", "n1", "events", "-f", "-j"], text=True, stdout=subprocess.PIPE,
                                env={**three.env, "SLIPRING_RUN_DIR": f"/run/slipring-lab/{three.name}"})
    for _ in seen:
        follower.stdout.readline()
    three("kill", "n3", "-9")
    states = []
    while "Dead" not in states:
        event = json.loads(follower.stdout.readline())
        states += [event["status"]] if event["event"] == "state" and event["node_id"] == "n3" else []
    three("start", "n3")
    follower.terminate()
    assert follower.wait(10) == 0 and "Suspected" in states
    wait_for(lambda: json.loads(good(three, "status", "-j"))["dead_nodes"] == [], 10, "n3 is back")


def test_metrics_come_for_prometheus_and_as_json(three):
    text = good(three, "metrics")
    assert re.search(r'^slipring_peer_state\{peer="n2",state="alive"\} 1$', text, re.M) and "# HELP slipring_cluster_epoch " in text
    assert json.loads(good(three, "metrics", "-j"))["gossip"]["packets_in"] > 0


def test_keys_are_listed_over_the_cluster(three):
    for i in range(20):
        three.cli("set", f"cli:{i}", "v")
    assert sorted(good(three, "keys", "cli:").split()) == sorted(f"cli:{i}" for i in range(20))
    assert len(good(three, "keys", "--limit", "5", "cli:", host="n2").split()) == 5
    body = json.loads(good(three, "keys", "-j", "cli:1", host="n3"))
    assert len(body["keys"]) == 11 and body["absent"] == []
    assert bytes.fromhex(good(three, "keys", "-x", b"cli:19".hex()).strip()) == b"cli:19"


def test_top_shows_every_node(three):
    text = three.cli("top", "--once", "-i", "200ms").stdout
    assert len(re.findall(r"^10\.9\.0\.\d:7411 +Alive +1 +[\d.]+% ", text, re.M)) == 3
    figures = json.loads(three.cli("top", "--once", "-j", "-i", "200ms").stdout)
    assert [n["node"] for n in figures["nodes"]] == [f"10.9.0.{i}:7411" for i in (1, 2, 3)]
    assert all(n["rtt_us"] > 0 and n["budget_bytes"] == 16 << 20 for n in figures["nodes"])
    three("kill", "n2", "-9")
    text = three.cli("top", "--once", "-i", "200ms").stdout
    assert re.search(r"^10\.9\.0\.2:7411 +\w+ +no answer$", text, re.M)
    three("start", "n2")
    wait_for(lambda: json.loads(good(three, "status", "-j"))["dead_nodes"] == [], 10, "n2 is back")


def test_orders_are_taken_or_refused_by_name(three):
    assert "pinged" in good(three, "probe", "n2")
    assert json.loads(good(three, "join", "-j", "10.9.0.2"))["accepted"] is True
    done = run(three, "probe", "n9")
    assert done.returncode == 4 and "unknown_node" in done.stderr
    done = run(three, "probe", "n9", "-j")
    assert done.returncode == 4 and json.loads(done.stdout)["code"] == "unknown_node"
    done = run(three, "join", "no-such-host.invalid")
    assert done.returncode == 2 and "no-such-host.invalid" in done.stderr
    done = run(three, "join", "10.9.0.2:99999")
    assert done.returncode == 4 and "bad_address" in done.stderr


def test_where_the_control_plane_is(three, tmp_path):
    socket = f"/run/slipring-lab/{three.name}/n2.sock"
    assert json.loads(good(three, "status", "-j", "-U", socket, host=None))["node_id"] == "n2"
    assert json.loads(good(three, "status", "-j", host=None, SLIPRING_CONTROL=socket))["node_id"] == "n2"
    for arguments, status, word in ((["-U", "/nonexistent"], 3, "no socket"), (["-U", "http://127.0.0.1:1"], 3, "127.0.0.1:1"),
                                    (["-k", "/nonexistent"], 2, "token-file")):
        done = run(three, "status", *arguments)
        assert done.returncode == status and word in done.stderr, done.stderr
    done = run(three, "status", host=None, SLIPRING_RUN_DIR=str(tmp_path))
    assert done.returncode == 2 and "no node named" in done.stderr
    done = run(three, "get", "-U", socket, "k")
    assert done.returncode == 2 and "not an option of this command" in done.stderr
    begun = time.monotonic()
    (tmp_path / "silent.py").write_text("import socket,sys,time\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n"
                                        "print('up',flush=True)\ntime.sleep(30)\n")
    silent = subprocess.Popen(["/usr/bin/python3", tmp_path / "silent.py", tmp_path / "x.sock"], stdout=subprocess.PIPE)
    silent.stdout.readline()
    done = run(three, "status", "-t", "300ms", "-U", tmp_path / "x.sock")
    silent.kill()
    silent.wait()
    assert done.returncode == 3 and time.monotonic() - begun < 5
