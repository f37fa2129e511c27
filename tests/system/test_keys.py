"""Every configuration key has the effect it promises; those of starting and placing are in test_start.py."""
import json
import os
import subprocess
import time

import pytest

from nodes import BUILD, connect, ip, netns, start  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
HOST = "10.9.0.1"


@pytest.fixture
def client(connect):
    return connect("e0")


def cli(client, *arguments):
    return subprocess.run(["ip", "netns", "exec", client, os.path.join(BUILD, "slipring"), "-H", HOST, "--timeout", "300ms",
                           *arguments], text=True, capture_output=True, timeout=20)


def udp(client, port, data):
    """What comes back for a datagram within 300 ms, in hex; None when nothing does."""
    code = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3); s.connect(("{HOST}", {port}))
s.send(bytes.fromhex("{data.hex()}"))
try: print(s.recv(2000).hex())
except OSError: pass
"""
    out = subprocess.run(["ip", "netns", "exec", client, "/usr/bin/python3", "-c", code], check=True, text=True,
                         capture_output=True).stdout
    return bytes.fromhex(out.strip()) or None


def cpu_ticks(node):
    with open(f"/proc/{node.process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_memory_is_the_budget(start):
    node = start("--interfaces", "e0", "--memory", "48M").ready()
    assert node.get("/stats")["store"]["budget_bytes"] == 48 << 20


def test_tables_are_sized_by_items_or_by_their_expected_size(start):
    def table_bytes(*arguments):
        node = start("--interfaces", "e0", "--memory", "64M", *arguments).ready()
        size = node.get("/stats")["store"]["table_bytes"]
        assert node.stop() == 0
        return size
    few, many = table_bytes("--items-max", "10000"), table_bytes("--items-max", "400000")
    large, small = table_bytes("--expected-item-size", "4096"), table_bytes("--expected-item-size", "128")
    assert 0 < few < many / 4
    assert 0 < large < small / 4


def test_the_native_port(start, client):
    start("--interfaces", "e0", "--native.port", "7500").ready()
    assert cli(client, "-p", "7500", "set", "k", "v").returncode == 0
    assert cli(client, "set", "k", "v").returncode != 0


def test_the_echo_port_is_off_by_default(start, client):
    node = start("--interfaces", "e0").ready()
    assert udp(client, 7, b"hello") is None
    assert node.stop() == 0
    start("--interfaces", "e0", "--echo.port", "7").ready()
    assert udp(client, 7, b"hello") == b"hello"


VERSION = bytes.fromhex("0001000000010000") + b"version\r\n"


def test_memcached_answers_only_whom_it_is_told_to(start, client):
    for arguments, answers in (((), False), (("--memcached.udp", "--memcached.allow", "10.10.0.0/16"), False),
                               (("--memcached.udp", "--memcached.allow", "10.10.0.0/16,10.9.0.250/32"), True)):
        node = start("--interfaces", "e0", *arguments).ready()
        answer = udp(client, 11211, VERSION)
        assert (answer is not None) == answers, arguments
        if answers:
            assert answer[8:].startswith(b"VERSION ")
        elif arguments:
            assert node.get("/stats")["drops"]["memcached_source"] == 1
        else:
            assert node.get("/stats")["drops"]["udp_port"] == 1
        assert node.stop() == 0


def test_the_memcached_port(start, client):
    start("--interfaces", "e0", "--memcached.udp", "--memcached.allow", "10.9.0.0/24", "--memcached.port", "11300").ready()
    assert udp(client, 11300, VERSION)[8:].startswith(b"VERSION ")
    assert udp(client, 11211, VERSION) is None


def test_only_holders_of_the_shared_key_are_served(start, client, tmp_path):
    keys = []
    for name, text in (("right", "11" * 32), ("wrong", "22" * 32)):
        keys.append(tmp_path / name)
        keys[-1].write_text(text)
        keys[-1].chmod(0o600)
    right, wrong = map(str, keys)
    node = start("--interfaces", "e0", "--native.shared-key-file", right, "--native.require-auth").ready()
    assert cli(client, "--key-file", right, "set", "k", "v").returncode == 0
    assert cli(client, "--key-file", right, "get", "k").stdout.strip() == "v"
    assert cli(client, "get", "k").returncode != 0
    assert cli(client, "--key-file", wrong, "get", "k").returncode != 0
    assert node.get("/stats")["drops"]["native_auth"] >= 2


def test_the_control_socket_has_the_name_it_was_given(start, tmp_path):
    node = start("--interfaces", "e0", "--control.socket", str(tmp_path / "ctl")).ready()
    out = subprocess.run(["curl", "-sS", "--unix-socket", tmp_path / "ctl", "http://n1/healthz"], text=True,
                         capture_output=True, check=True).stdout
    assert json.loads(out)["status"] == "ok"
    assert node.stop() == 0
    assert not (tmp_path / "ctl").exists()


def test_the_log_may_go_to_a_file(start, tmp_path):
    node = start("--interfaces", "e0", "--log-file", str(tmp_path / "log"))
    end = time.monotonic() + 10
    while not (tmp_path / "n1.sock").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert node.stop() == 0
    assert node.said == ""
    assert " INFO n1 ready: " in (tmp_path / "log").read_text()


def test_a_log_file_that_cannot_be_written(start):
    assert start("--interfaces", "e0", "--log-file", "/nonexistent/log").refused().startswith(
        "log_file /nonexistent/log: No such file or directory")


def test_a_quiet_log_has_only_its_level(start):
    node = start("--interfaces", "e0", "--log-level", "error")
    time.sleep(1)
    assert node.stop() == 0
    assert node.said == ""


def test_a_busy_worker_never_sleeps(start):
    node = start("--interfaces", "e0", "--idle", "busy").ready()
    before = cpu_ticks(node)
    time.sleep(1)
    assert cpu_ticks(node) - before >= 10  # it had to share the CPUs with whatever else runs
    assert node.get("/workers")[0]["sleeps"] == 0


def test_how_soon_and_how_long_a_worker_sleeps(start):
    def sleeps_in_a_second(*arguments):
        node = start("--interfaces", "e0", *arguments).ready()
        time.sleep(0.3)
        before = node.get("/workers")[0]["sleeps"]
        time.sleep(1)
        count = node.get("/workers")[0]["sleeps"] - before
        assert node.stop() == 0
        return count
    assert 50 <= sleeps_in_a_second() <= 120           # 10 ms each
    assert 2 <= sleeps_in_a_second("--idle-sleep", "200ms") <= 8
    assert sleeps_in_a_second("--idle-polls", "1000000000") == 0  # it does not come to that


def test_a_run_dir_that_cannot_be_made(start, tmp_path):
    assert start("--interfaces", "e0", "--run-dir", str(tmp_path / "a/b")).refused().startswith(
        f"run_dir {tmp_path}/a/b cannot be made: No such file or directory")
