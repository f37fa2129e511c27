"""A daemon of one's own choosing in a namespace of its own: for tests of starting, refusing and stopping."""
import json
import os
import re
import signal
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLIPRING_BUILD") or os.path.join(ROOT, "build/release")
DAEMON = os.path.join(BUILD, "slipringd")
PREFIX = f"start{os.getpid()}"


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, text=True, capture_output=True).stdout


@pytest.fixture
def netns():
    """A namespace with e0, e1 and q0 (two queues), up and without addresses; their peers pe0… stand beside them."""
    name = PREFIX + "-a"
    ip("netns", "add", name)
    try:
        for device, queues in (("e0", "1"), ("e1", "1"), ("q0", "2")):
            ip("-n", name, "link", "add", device, "numtxqueues", queues, "numrxqueues", queues,
               "type", "veth", "peer", "name", "p" + device, "numtxqueues", queues, "numrxqueues", queues)
            ip("-n", name, "link", "set", "p" + device, "up")
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"], check=True)
        for device in ("e0", "e1", "q0"):
            ip("-n", name, "link", "set", device, "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name])


class Node:
    def __init__(self, netns, run_dir, *arguments, wrap=(), node="n1", huge=False, **environment):
        self.run_dir, self.node, self.netns = str(run_dir), node, netns
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SLIPRING_")}
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", netns, *wrap, DAEMON, *([] if huge else ["--no-huge"]), "--float-lcores", "--ipv4", "10.9.0.1/24",
             "--memory", "16M", "--run-dir", self.run_dir, "--node-id", node, *arguments],
            env={**clean, **environment}, text=True, stderr=subprocess.PIPE)
        self.said = ""

    def ready(self):
        for line in self.process.stderr:
            self.said += line
            if re.search(r" INFO \S+ ready: ", line):
                return self
        raise AssertionError(f"ended with {self.process.wait()}: {self.said}")

    def refused(self):
        """The one ERROR line of a node that must not start."""
        self.said += self.process.communicate(timeout=20)[1]
        assert self.process.returncode == 3, self.said
        errors = re.findall(r" ERROR \S+ (.*)", self.said)
        assert len(errors) == 1, self.said
        return errors[0]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=20)[1]
        return self.process.returncode

    def get(self, path, *arguments):
        out = subprocess.run(["curl", "-sS", "--unix-socket", f"{self.run_dir}/{self.node}.sock", *arguments,
                              f"http://{self.node}{path}"], check=True, text=True, capture_output=True, timeout=10)
        return json.loads(out.stdout)


@pytest.fixture
def start(netns, tmp_path):
    nodes = []

    def make(*arguments, **how):
        nodes.append(Node(netns, tmp_path, *arguments, **how))
        return nodes[-1]
    yield make
    for node in nodes:
        if node.process.poll() is None:
            node.process.kill()
            node.process.communicate()


def xdp_of(netns, device="e0"):
    """Id of the attached XDP program, None without."""
    return json.loads(ip("-j", "-d", "-n", netns, "link", "show", device))[0].get("xdp", {}).get("prog", {}).get("id")


@pytest.fixture
def connect(netns):
    """The kernel at the other end of an interface, or of several that a bridge joins."""
    def join(*devices):
        for device in devices:  # it computes its checksums itself and sends no giant frames
            subprocess.run(["ip", "netns", "exec", netns, "ethtool", "-K", "p" + device, "tx", "off", "tso", "off",
                            "gso", "off"], check=True, capture_output=True)
        here = "p" + devices[0]
        if len(devices) > 1:
            here = "br0"
            ip("-n", netns, "link", "add", here, "type", "bridge")
            for device in devices:
                ip("-n", netns, "link", "set", "p" + device, "master", here)
            ip("-n", netns, "link", "set", here, "up")
        ip("-n", netns, "addr", "add", "10.9.0.250/24", "dev", here)
        return netns
    return join
