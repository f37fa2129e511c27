"""From the host to a node's control plane: the lab's ports carry bytes, and the daemon decides who may what."""
import http.client
import os
import socket
import time

import pytest

import rack
from rack import wait_for

TOKEN, READER = {"Authorization": "Bearer dev-token"}, {"Authorization": "Bearer dev-reader-token"}


def free_ports(count):
    """First of so many free ports in a row, away from the ones the kernel gives out."""
    first = 20000 + os.getpid() % 10000
    while True:
        try:
            for port in range(first, first + count):
                with socket.create_server(("127.0.0.1", port)):
                    pass
            return first
        except OSError:
            first += count


@pytest.fixture(scope="module")
def ported():
    """A lab of two nodes with ports of its own: (lab, first client port, first management port)."""
    first = free_ports(4)
    it = rack.Lab(f"t{os.getpid()}ports")
    it.env["SLIPRING_LAB_PORTS"] = f"{first},{first + 2}"
    try:
        it("up", "--nodes", "2")
        del it.env["SLIPRING_LAB_PORTS"]  # the lab remembers
        yield it, first, first + 2
    finally:
        it("down", "--wipe", check=False)


def ask(port, method, path, headers=TOKEN, body=None, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_tokens_are_the_daemons(ported):
    lab, api, management = ported
    for port in (api, api + 1, management, management + 1):
        assert ask(port, "GET", "/healthz", {})[0] == 200
        assert ask(port, "GET", "/stats", {})[0] == 401
        assert ask(port, "GET", "/stats", {"Authorization": "Bearer dev-tokem"})[0] == 401
        assert ask(port, "GET", "/stats")[0] == 200
        assert ask(port, "PUT", "/v1/cache/k", READER, b"v")[0] == 403
    assert ask(api, "GET", "/healthz", {"Host": "evil.example"})[0] == 421


def test_bytes_arrive_as_they_were(ported):
    lab, api, management = ported
    value = os.urandom(1 << 20)
    assert ask(api, "PUT", "/v1/cache/blob", TOKEN, value)[0] == 200
    assert ask(management, "GET", "/v1/cache/blob", READER) == (200, value)
    assert ask(api, "GET", "/v1/cache/blob", host="localhost") == (200, value)


def test_only_this_machine_is_let_in(ported):
    """Listeners on 127.0.0.1, nowhere else."""
    lab, api, management = ported
    listening = []
    for family in ("tcp", "tcp6"):
        with open(f"/proc/net/{family}") as f:
            listening += [line.split()[1] for line in f.readlines()[1:] if line.split()[3] == "0A"]
    for port in (api, api + 1, management, management + 1):
        assert [a for a in listening if a.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_node_that_is_down_closes_and_comes_back(ported):
    lab, api, management = ported
    lab("kill", "n1", "-9")
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(api, "GET", "/healthz")
    assert ask(api + 1, "GET", "/healthz")[0] == 200
    lab("start", "n1")
    assert ask(api, "GET", "/stats")[0] == 200
    assert f"http 127.0.0.1:{api} and {management}" in lab("status").stdout


def test_many_callers_at_once(ported):
    """More than the relay carries at once wait for their turn; idle ones do not stop the others for good."""
    lab, api, management = ported
    idle = [socket.create_connection(("127.0.0.1", api)) for _ in range(20)]
    assert all(ask(api, "GET", "/healthz")[0] == 200 for _ in range(100))
    for s in idle:
        s.close()
    wait_for(lambda: ask(api, "GET", "/healthz")[0] == 200, 5)


def test_down_does_not_wait_for_a_relay_that_is_gone(ported):
    """A helper that ends at once was waited for, ten seconds each: its start time could no longer be read."""
    lab, api, management = ported
    begin = time.monotonic()
    lab("down")
    assert time.monotonic() - begin < 5
    with pytest.raises(OSError):
        ask(api, "GET", "/healthz")


def test_a_taken_port_is_told_and_nothing_stays():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lab = rack.Lab(f"t{os.getpid()}taken")
        lab.env["SLIPRING_LAB_PORTS"] = f"{free_ports(1)},{port}"
        done = lab("up", check=False)
        assert done.returncode != 0 and f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert not [n for n in os.listdir("/run/netns") if n.startswith(lab.name + "-")]
    lab("down", "--wipe")


def test_nonsense_for_ports_is_refused():
    lab = rack.Lab(f"t{os.getpid()}nonsense")
    for words in ("8081", "8081,x", "0,9081", "8081,70000"):
        lab.env["SLIPRING_LAB_PORTS"] = words
        done = lab("up", check=False)
        assert done.returncode != 0 and "two first ports" in done.stderr
    assert not [n for n in os.listdir("/run/netns") if n.startswith(lab.name + "-")]
    lab("down", "--wipe")
