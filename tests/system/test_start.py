"""Start, refusal and stop of slipringd on real interfaces: what an operator sees and what is left behind."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from nodes import ip, netns, start, xdp_of  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_a_clean_stop_leaves_nothing_behind(start, netns, tmp_path):
    node = start("--interfaces", "e0").ready()
    assert xdp_of(netns)
    assert sorted(os.listdir(tmp_path)) == ["dpdk", "n1.sock", "n1.xdp"]
    assert node.stop() == 0
    assert xdp_of(netns) is None
    assert os.listdir(tmp_path) == []


def test_sigint_stops_too(start):
    assert start("--interfaces", "e0").ready().stop(signal.SIGINT) == 0


def test_signals_that_come_together_are_one(start, netns, tmp_path):
    """As timeout(1) sends them: to the process, and to its group."""
    node = start("--interfaces", "e0").ready()
    node.process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    assert node.stop() == 0
    assert xdp_of(netns) is None
    assert os.listdir(tmp_path) == []


def test_a_start_after_kill_9_finds_its_way(start, netns):
    start("--interfaces", "e0").ready().stop(signal.SIGKILL)
    left = xdp_of(netns)
    assert left, "the kernel keeps the program of a killed process"
    node = start("--interfaces", "e0").ready()
    assert "detaching the XDP program that an earlier process left" in node.said
    assert xdp_of(netns) not in (None, left)
    assert node.stop() == 0


def test_a_missing_interface_is_told_with_those_there(start):
    assert start("--interfaces", "eth9").refused() == "there is no interface eth9 here; there is: pe0, e0, pe1, e1, pq0, q0"


def test_no_interface_at_all(start):
    assert "no interface is given, and profile af_xdp needs one" in start().refused()


def test_an_interface_with_an_address_is_not_taken(start, netns):
    ip("-n", netns, "addr", "add", "192.0.2.5/24", "dev", "e0")
    refusal = start("--interfaces", "e0").refused()
    assert "interface e0 is used by this machine: it has address 192.0.2.5; taking it would cut that off" in refusal
    assert "ip addr flush dev e0" in refusal and "--take-nic" in refusal
    assert xdp_of(netns) is None
    node = start("--interfaces", "e0", "--take-nic").ready()
    assert "taken although the kernel uses it, address 192.0.2.5" in node.said
    assert node.stop() == 0


def test_an_interface_with_the_default_route_is_not_taken(start, netns):
    ip("-n", netns, "route", "add", "default", "dev", "e0")
    assert "it has the default route" in start("--interfaces", "e0").refused()


def test_an_interface_with_the_ipv6_default_route_is_not_taken(start, netns):
    subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.e0.disable_ipv6=0"], check=True)
    ip("-n", netns, "-6", "route", "add", "default", "dev", "e0")
    assert "it has the default route" in start("--interfaces", "e0").refused()


def test_a_link_local_address_is_no_obstacle(start, netns):
    subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.e0.disable_ipv6=0"], check=True)
    ip("-n", netns, "addr", "add", "fe80::5/64", "dev", "e0", "nodad")
    assert start("--interfaces", "e0").ready().stop() == 0


def test_an_interface_that_is_down(start, netns):
    ip("-n", netns, "link", "set", "e0", "down")
    assert start("--interfaces", "e0").refused() == "interface e0 is down: ip link set dev e0 up"


def test_more_workers_than_queues(start):
    refusal = start("--interfaces", "e1", "--workers", "2").refused()
    assert refusal.startswith("interface e1 has 1 receive queues for 2 workers")
    assert "ethtool -L e1 combined 2 (veth: rx 2 tx 2, on both ends)" in refusal


def test_more_queues_than_workers_would_lose_frames(start, netns):
    refusal = start("--interfaces", "q0").refused()
    assert refusal.startswith("interface q0 has 2 receive queues and 1 would be read, so frames in the others would be lost")
    for end in ("q0", "pq0"):  # as it says
        subprocess.run(["ip", "netns", "exec", netns, "ethtool", "-L", end, "rx", "1", "tx", "1"], check=True)
    assert start("--interfaces", "q0").ready().stop() == 0


def test_an_interface_in_use_by_another_node(start, netns, tmp_path):
    first = start("--interfaces", "e0").ready()
    refusal = start("--interfaces", "e0", node="n2").refused()
    assert re.match(r"interface e0 is in use by another slipringd, process \d+: ", refusal)
    assert f"process {first.process.pid}:" in refusal
    assert first.get("/healthz")["status"] == "ok"
    assert xdp_of(netns)
    assert first.stop() == 0


def test_two_nodes_of_one_name(start, tmp_path):
    first = start("--interfaces", "e0").ready()
    assert start("--interfaces", "e1").refused().startswith(f"a node answers on {tmp_path}/n1.sock already")
    assert first.get("/healthz")["status"] == "ok"


@pytest.mark.skipif(not shutil.which("clang"), reason="needs clang")
def test_a_strangers_xdp_program_is_left_alone(start, netns, tmp_path):
    source, program = tmp_path / "pass.c", tmp_path / "pass.o"
    source.write_text('__attribute__((section("xdp"), used)) int stranger(void *context) { return 2; }\n')
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", source, "-o", program], check=True)
    ip("-n", netns, "link", "set", "dev", "e0", "xdp", "obj", str(program), "sec", "xdp")
    before = xdp_of(netns)
    refusal = start("--interfaces", "e0").refused()
    assert f"has an XDP program attached (id {before}, stranger) that is not ours" in refusal
    assert "ip link set dev e0 xdp off" in refusal
    assert xdp_of(netns) == before


def test_missing_rights_are_named(start):
    refusal = start("--interfaces", "e0", wrap=("setpriv", "--bounding-set=-net_raw,-net_admin")).refused()
    assert refusal.startswith("profile af_xdp needs rights this process lacks (cap_net_raw,cap_net_admin): run it as root")


def test_huge_pages_that_are_not_there(start, tmp_path):
    (tmp_path / "huge.yaml").write_text("driver: net_af_xdp\nmbufs: 4194304\n"
                                        "arguments: iface={interface},start_queue={queue},busy_budget=0\n")
    refusal = start("--interfaces", "e0", "--huge-pages", "yes", "--profile", "huge",
                    SLIPRING_PROFILES=str(tmp_path)).refused()
    needed, free, to_run = re.match(r"(\d+) huge pages of \d+ KiB are needed and (\d+) are free: "
                                    r"sysctl -w vm.nr_hugepages=(\d+) ", refusal).groups()
    assert int(needed) * 2048 > 4194304 * 2
    assert int(to_run) >= int(needed) - int(free)


def test_more_memory_than_is_available_is_warned_of(start):
    with open("/proc/meminfo") as f:
        figures = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in f}
    between = (figures["MemAvailable"] + figures["MemTotal"]) // 2
    if between - figures["MemAvailable"] < 200:
        pytest.skip("nearly all memory is available")
    # Tables would be sized for all of it: few items keep them small.
    node = start("--interfaces", "e0", "--memory", f"{between}M", "--items-max", "1000").ready()
    assert re.search(r"WARN n1 memory: the node may grow to \d+ MiB, and \d+ MiB are available now", node.said)
    assert node.stop() == 0


def test_a_cpu_that_is_not_there(start):
    refusal = start("--interfaces", "e0", "--worker-cpus", "999").refused()
    assert refusal.startswith("worker_cpus: CPU 999 is not one this process may use")


def test_a_shared_key_that_others_may_read(start, tmp_path):
    key = tmp_path / "key"
    key.write_text("00" * 32)
    key.chmod(0o644)
    assert "others may read it (mode 0644): chmod 600" in start(
        "--interfaces", "e0", "--native.shared-key-file", str(key)).refused()


def cpus_of(pid, comm):
    """Cpus_allowed_list of the threads whose name starts so."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/status") as f:
            status = f.read()
            if re.search(rf"^Name:\s+{comm}", status, re.M):
                found.append(re.search(r"^Cpus_allowed_list:\s+(\S+)", status, re.M)[1])
    return found


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_threads_run_where_they_were_told(start):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    for worker, control in ((first, second), (second, first)):
        node = start("--interfaces", "e0", "--no-float-lcores", "--worker-cpus", str(worker),
                     "--control-cpu", str(control)).ready()
        assert cpus_of(node.process.pid, "rte-worker") == [str(worker)]
        assert cpus_of(node.process.pid, "slipringd")[0] == str(control)
        assert node.get("/workers")[0]["cpus"] == str(worker)
        assert node.stop() == 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_workers_leave_the_first_cpu_to_the_control_thread(start):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    node = start("--interfaces", "e0", "--no-float-lcores").ready()
    assert cpus_of(node.process.pid, "rte-worker") == [str(second)]
    assert cpus_of(node.process.pid, "slipringd")[0] == str(first)


def test_an_idle_node_sleeps(start):
    node = start("--interfaces", "e0").ready()
    time.sleep(0.5)

    def cpu_ns():
        with open(f"/proc/{node.process.pid}/stat") as f:
            ticks = f.read().rsplit(")", 1)[1].split()
        return int(ticks[11]) + int(ticks[12])
    before = cpu_ns()
    time.sleep(2)
    # Ticks of 10 ms; a busy poller would take 200.
    assert cpu_ns() - before <= 20
    assert node.get("/workers")[0]["sleeps"] > 50


def test_the_log_level_changes_live(start):
    node = start("--interfaces", "e0", "--log-level", "warn", "--log-file", "/dev/null")
    deadline = time.monotonic() + 10
    while not os.path.exists(f"{node.run_dir}/n1.sock") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert node.get("/log-level") == {"level": "warn"}
    assert node.get("/log-level", "-X", "PUT", "-d", "debug") == {"level": "debug"}
    assert node.get("/log-level") == {"level": "debug"}


def test_the_service_manager_is_told(start, tmp_path):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(10)
    node = start("--interfaces", "e0", NOTIFY_SOCKET=str(tmp_path / "notify"))
    assert manager.recv(500).decode() == "READY=1\nSTATUS=serving on 10.9.0.1/24 with 1 worker"
    assert manager.recv(500) == b"WATCHDOG=1"  # its workers poll, though no frame comes
    assert node.stop() == 0
    assert manager.recv(500) == b"STOPPING=1"


def test_json_log_lines(start):
    """All of them: what DPDK and libxdp have to say comes through the same log."""
    node = start("--interfaces", "e0", "--log-format", "json", "--log-level", "debug")
    lines = []
    for line in node.process.stderr:
        lines.append(json.loads(line))
        if lines[-1]["text"].startswith("ready"):
            break
    assert lines[0]["node"] == "n1" and lines[0]["level"] == "info"
    assert any(line["level"] == "debug" and line["text"].startswith("libxdp:") for line in lines)
    assert node.stop() == 0
    for line in node.said.splitlines():
        json.loads(line)
