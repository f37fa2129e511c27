"""libslipring in a cluster: straight to a key's owner, round a dead node, through a rolling restart."""
import contextlib
import json
import os
import subprocess
import sys
import time

import pytest
import rack
from nodes import BUILD
from rack import wait_for
from test_cluster import agreed, topology

NODES = ("n1", "n2", "n3")

# Runs in the client's namespace: commands on the standard input, one JSON answer a line.
AGENT = """
import json, sys, time
import slipring

cache = slipring.Cache(sys.argv[1].split(","), try_timeout=0.05, timeout=2.0)

def owner(key):
    return cache.owner(key).host

def attempt(function, *arguments):
    begin = time.monotonic()
    try:
        value = function(*arguments)
        outcome = "ok"
    except slipring.Error as error:
        value, outcome = str(error), type(error).__name__
    return [outcome, value.decode() if isinstance(value, bytes) else value, time.monotonic() - begin]

def epoch():
    return cache.cluster().epoch

for line in sys.stdin:
    name, *arguments = json.loads(line)
    if name in ("owner", "epoch"):
        answer = {"owner": owner, "epoch": epoch}[name](*arguments)
    else:
        if name == "set":
            arguments[1] = arguments[1].encode()
        answer = attempt(getattr(cache, name), *arguments)
    print(json.dumps(answer), flush=True)
"""


class Agent:
    """The Python package on libslipring, in the lab's client namespace, from its own process."""

    def __init__(self, lab):
        env = {**os.environ, "PYTHONPATH": os.path.join(rack.ROOT, "lib/client/python"), "PYTHONDONTWRITEBYTECODE": "1",
               "SLIPRING_LIBRARY": os.path.join(BUILD, "libslipring.so.0")}
        hosts = ",".join(lab.address(node) for node in NODES)
        self.process = subprocess.Popen(["ip", "netns", "exec", f"{lab.name}-client", sys.executable, "-c", AGENT, hosts],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def __call__(self, *order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def three():
    with rack.lab("cc", nodes=3, cluster=True, settings={"cluster.dead_delay": "1s"}) as lab:
        wait_for(lambda: agreed(lab, NODES), 10, "agreement")
        yield lab


@pytest.fixture
def agent(three):
    agent = Agent(three)
    yield agent
    with contextlib.suppress(OSError):
        agent.end()


def node_at(lab, address):
    return next(node for node in NODES if lab.address(node) == address)


def keys_of(lab, agent, node, count):
    """The first keys that a node owns, as the library has it."""
    found = []
    for i in range(10_000):
        if agent("owner", f"key-{i}") == lab.address(node):
            found.append(f"key-{i}")
            if len(found) == count:
                return found
    raise AssertionError(f"{node} owns less than {count} keys of ten thousand")


def test_a_key_goes_straight_to_its_owner(three, agent):
    agent("set", "first", "v")
    before = {node: three.counters(node) for node in NODES}
    written = {node: 0 for node in NODES}
    for i in range(300):
        key = f"straight-{i}"
        assert agent("set", key, str(i))[0] == "ok"
        assert agent("get", key)[:2] == ["ok", str(i)]
        written[node_at(three, agent("owner", key))] += 1
    assert all(count > 50 for count in written.values())
    for node in NODES:
        after = three.counters(node)
        assert after["cmd_set"] - before[node]["cmd_set"] == written[node]
        # on a busy machine a repeat may go round; nothing else does
        assert after["forward_sent"] - before[node]["forward_sent"] <= 3


def test_a_killed_node_is_gone_round_and_its_slots_are_followed(three, agent):
    agent("set", "first", "v")
    lost, kept = keys_of(three, agent, "n2", 20), keys_of(three, agent, "n1", 5)
    for key in lost + kept:
        assert agent("set", key, key)[0] == "ok"
    epoch = agent("epoch")
    three("kill", "n2", "-9")
    # Within the deadline each read has an answer: none that is wrong, and of the others' keys the value.
    for key in lost[:3]:
        outcome, value, seconds = agent("get", key)
        assert outcome in ("OwnerDead", "OwnerTimeout", "Timeout"), (outcome, value)
        assert seconds < 2.5
        if outcome != "ok":
            assert three.address("n2") in value
    for key in kept:
        assert agent("get", key)[:2] == ["ok", key]
    moved = wait_for(lambda: topology(three, "n1")[0] > epoch and time.monotonic(), 30, "an epoch without n2")
    # The first answer with the new epoch makes the library ask; within a second it goes by it.
    wait_for(lambda: agent("get", kept[0])[0] == "ok" and agent("epoch") > epoch, 5, "the new epoch")
    assert time.monotonic() - moved < 2.0  # this look itself takes some of it
    for key in lost:
        assert agent("owner", key) != three.address("n2")
        assert agent("get", key)[:2] == ["ok", None]  # its memory is gone
        assert agent("set", key, "again")[0] == "ok"
        assert agent("get", key)[:2] == ["ok", "again"]


def test_a_rolling_restart_never_answers_wrongly(three, agent):
    """Every value is its key's and the last one written, or not there any more; each increment counts once."""
    agent("set", "first", "v")
    written, rounds = {}, 0
    for node in NODES:
        three("kill", node, "-9")
        until = time.monotonic() + 1.0
        started = False
        while time.monotonic() < until + 2.0:
            if not started and time.monotonic() > until:
                three("start", node)
                started = True
            for i in range(20):
                key, value = f"roll-{i}", f"roll-{i}={rounds}"
                outcome = agent("set", key, value)[0]
                if outcome == "ok":
                    written[key] = {value}
                else:  # it may have been stored or not
                    written.setdefault(key, set()).add(value)
                outcome, found, _ = agent("get", key)
                if outcome == "ok" and found is not None:
                    assert found in written[key], (node, key, found, written[key])
            rounds += 1
        wait_for(lambda: agreed(three, NODES), 20, f"agreement after {node}")
    assert rounds > 20
    for i in range(20):
        assert agent("set", f"roll-{i}", "end")[0] == "ok"
        assert agent("get", f"roll-{i}")[:2] == ["ok", "end"]
