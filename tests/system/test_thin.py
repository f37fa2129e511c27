"""The thinnest path: a frame in and an answer out, over AF_XDP on a veth pair."""
import os
import signal
import socket
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAEMON = os.path.join(ROOT, "build/release/slipringd")
PREFIX = f"thin{os.getpid()}"


def sh(command):
    subprocess.run(command, shell=True, check=True)


@pytest.fixture
def node():
    """A daemon in a namespace of its own, joined to a client namespace by a veth pair."""
    srv, cli = PREFIX + "-srv", PREFIX + "-cli"
    daemon = None
    try:
        sh(f"ip netns add {srv}; ip netns add {cli}")
        sh(f"ip link add e0 netns {srv} numtxqueues 1 numrxqueues 1 "
           f"type veth peer name e0 netns {cli} numtxqueues 1 numrxqueues 1")
        for ns in (srv, cli):
            sh(f"ip netns exec {ns} sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip -n {ns} link set e0 up")
        sh(f"ip -n {cli} addr add 10.9.0.250/24 dev e0; ip netns exec {cli} ethtool -K e0 tx off >/dev/null")
        daemon = subprocess.Popen(
            ["ip", "netns", "exec", srv, DAEMON, "--interfaces", "e0", "--ipv4", "10.9.0.1/24",
             "--echo.port", "7", "--no-huge"],
            stderr=subprocess.PIPE, text=True)
        said = ""
        for line in daemon.stderr:
            said += line
            if "ready" in line:
                break
        else:
            pytest.fail(f"the daemon ended with {daemon.wait()}: {said}")
        yield cli
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
    finally:
        if daemon and daemon.poll() is None:
            daemon.kill()
        subprocess.run(f"ip netns del {srv}; ip netns del {cli}", shell=True)


def test_a_frame_in_and_an_answer_out(node):
    sh(f"ip netns exec {node} ping -c 2 -i 0.2 -W 2 -q 10.9.0.1")
    client = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(("10.9.0.1", 7))
for n in (1, 2, 17, 100, 1000, 1472):
    payload = bytes((n + i) % 256 for i in range(n))
    s.send(payload)
    assert s.recv(2000) == payload, n
"""
    sh(f"ip netns exec {node} /usr/bin/python3 -c '{client}'")
