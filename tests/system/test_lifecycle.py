"""Start, stop, crash, restart, idle, pinning, and configurations that are refused."""
import os
import re
import subprocess
import time

import pytest

import native
from rack import ROOT, wait_for

DAEMON = os.path.join(os.environ.get("SLIPRING_BUILD", os.path.join(ROOT, "build/release")), "slipringd")


def huge_pages_free():
    with open("/proc/meminfo") as f:
        return int(re.search(r"HugePages_Free:\s+(\d+)", f.read())[1])


@pytest.mark.parametrize("number", ["-TERM", "-INT"])
def test_clean_stop(fresh, number):
    """Nothing stays attached: no XDP program, no socket, no huge page; the log says so."""
    lab = fresh()
    pid, free = lab.pid(), huge_pages_free()
    assert "prog/xdp" in lab("in", "n1", "ip", "link", "show", "e0").stdout
    subprocess.run(["kill", number, str(pid)], check=True)
    wait_for(lambda: lab.pid() is None, 5, "stop")
    assert "prog/xdp" not in lab("in", "n1", "ip", "link", "show", "e0").stdout
    assert huge_pages_free() >= free
    assert not [f for f in os.listdir(f"/run/slipring-lab/{lab.name}") if f.endswith(".sock")]
    lab("start", "n1")
    lab.client().set(b"again", b"up")


def test_kill_9_and_restart(fresh):
    """After a crash the node comes back on the same interface, empty; a cookie of the earlier
    boot executes nothing."""
    lab = fresh()
    client = lab.client()
    client.set(b"lost", b"with the crash")
    for _ in range(3):
        lab("kill", "n1", "-9")
        lab("start", "n1")
    answer = client.send(native.operation(native.SET, b"old", b"cookie", native.set_extras()))
    assert answer.flags & native.CHALLENGE and not answer.results
    assert client.get(b"old") is None and client.get(b"lost") is None
    client.set(b"new", b"life")
    assert client.get(b"new") == b"life"


def test_peer_link_down_and_up(fresh):
    lab = fresh()
    client = lab.client(timeout=0.3, tries=20)
    client.set(b"k", b"before")
    lab("in", "sw", "ip", "link", "set", "p1", "down")
    time.sleep(0.3)
    lab("in", "sw", "ip", "link", "set", "p1", "up")
    assert client.get(b"k") == b"before"


def cpu_seconds(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def test_an_idle_node_sleeps(lab):
    """About 1 % of a core; 3 % is the bound of this test, for machines that do other work, too."""
    lab.client().call(native.PING)
    time.sleep(0.2)
    begin, before = time.monotonic(), cpu_seconds(lab.pid())
    time.sleep(4)
    share = (cpu_seconds(lab.pid()) - before) / (time.monotonic() - begin)
    assert share < 0.03, f"{100 * share:.1f} % of a core"


def test_an_idle_node_answers_at_once(lab):
    """Asleep or not, an answer takes well under a millisecond (median of 50, 20 ms apart)."""
    client, times = lab.client(), []
    client.call(native.PING)
    for _ in range(50):
        time.sleep(0.02)
        begin = time.perf_counter()
        client.call(native.PING)
        times.append(time.perf_counter() - begin)
    assert sorted(times)[25] < 0.001, f"median {1e6 * sorted(times)[25]:.0f} us"


def allowed(pid):
    """{thread name: CPUs it may run on}"""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            text = f.read()
        found[re.search(r"Name:\t(.*)", text)[1] + f" {task}"] = re.search(r"Cpus_allowed_list:\t(.*)", text)[1]
    return found


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
def test_workers_are_pinned(fresh):
    lab = fresh(settings={"float_lcores": "false", "worker_cpus": "[1]", "control_cpu": "0"})
    cpus = allowed(lab.pid())
    assert [c for n, c in cpus.items() if "worker" in n or "lcore" in n] == ["1"], cpus
    assert "0" in cpus.values(), cpus


def test_lab_nodes_float(lab):
    everywhere = subprocess.run(["sh", "-c", "grep Cpus_allowed_list /proc/self/status"], text=True,
                                capture_output=True).stdout.split()[1]
    assert set(allowed(lab.pid()).values()) == {everywhere}


GOOD = "node_id: n1\ninterfaces: [e0]\nipv4: 10.9.0.1/24\n"


@pytest.mark.parametrize("text,words", [
    (GOOD + "nod_id: n2\n", [":4", "nod_id", "node_id"]),
    (GOOD + "workers: many\n", [":4", "workers"]),
    (GOOD + "workers: 99\n", [":4", "workers", "16"]),
    (GOOD + "memory: 1K\n", [":4", "memory"]),
    (GOOD + "memcached:\n  udp: true\n", ["memcached.allow"]),
    (GOOD + "ipv4: 10.9.0.300/24\n", [":4", "ipv4"]),
    (GOOD + "profile: no_such\n", ["no_such"]),
    ("interfaces: [e0\n", [":"]),
    ("node_id: n1\n", ["ipv4"]),
])
def test_a_bad_configuration_is_refused(tmp_path, text, words):
    """With the file, the line and what to write instead; exit status 2, before anything is touched."""
    (tmp_path / "bad.yaml").write_text(text)
    done = subprocess.run([DAEMON, "--config", tmp_path / "bad.yaml", "--check-config"], text=True, capture_output=True,
                          timeout=20, cwd=ROOT)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and all(w in said for w in words), (done.returncode, said)


def test_a_good_configuration_passes(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    done = subprocess.run([DAEMON, "--config", tmp_path / "good.yaml", "--check-config"], text=True, capture_output=True,
                          timeout=20, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def refused(lab, node, *settings):
    done = lab("start", node, *[f"--set={s}" for s in settings], check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_unusable_interfaces_are_refused(fresh):
    """None there, one with an address, one with a default route: each is named, with a way out."""
    lab = fresh()
    lab("kill", "n1")
    assert "nope0" in refused(lab, "n1", "interfaces=[nope0]")
    lab("in", "n1", "ip", "addr", "add", "10.9.0.1/24", "dev", "e0")
    said = refused(lab, "n1", "interfaces=[e0]")
    assert "10.9.0.1" in said and "take-nic" in said.replace("_", "-")
    lab("in", "n1", "ip", "route", "add", "default", "via", "10.9.0.254")
    assert "route" in refused(lab, "n1", "interfaces=[e0]")
    lab("start", "n1", "--set=take_nic=true")


def test_missing_huge_pages_say_what_to_run(fresh):
    lab = fresh()
    lab("kill", "n1")
    said = refused(lab, "n1", "huge_pages=yes", "memory=16G")
    assert "nr_hugepages" in said, said


def test_without_huge_pages(fresh):
    """The fallback is said at start and works the same."""
    lab = fresh(settings={"huge_pages": "no"})
    assert re.search(r"huge", lab.log())
    lab.client().set(b"k", b"v" * 1000)
