"""The lab's own promises: idempotent, several at once, faults where they were asked for and nowhere else."""
import json
import os
import signal
import subprocess
import time

import pytest

import rack
from rack import wait_for


def reaches(lab, node, count=3):
    return lab.exec("ping", "-nqc", str(count), "-i0.05", "-W1", node, check=False).returncode == 0


def test_up_twice_changes_nothing(fresh):
    lab = fresh()
    pid, begin = lab.pid(), time.monotonic()
    lab.client().set(b"kept", b"yes")
    lab("up")
    assert lab.pid() == pid and lab.client().get(b"kept") == b"yes"
    assert time.monotonic() - begin < 3


def test_up_adds_what_is_missing(fresh):
    """A second node joins, the first one lives on; a node that died is started again."""
    lab = fresh()
    pid = lab.pid("n1")
    lab("up", "--nodes", "2")
    assert lab.pid("n1") == pid and reaches(lab, "n2")
    lab("kill", "n2", "-9")
    lab("up", "--nodes", "2")
    assert lab.pid("n1") == pid and reaches(lab, "n2")


def test_a_changed_setting_restarts_the_node(fresh):
    lab = fresh()
    pid = lab.pid()
    lab("up", "--set", "memory=48M")
    assert lab.pid() != pid and lab.counters()["budget_bytes"] == 48 << 20


def test_another_number_of_workers_rebuilds(fresh):
    lab = fresh()
    lab("up", "--workers", "2")
    assert len(lab.counters_of_workers()) == 2


def test_names_resolve_and_the_exit_status_is_the_commands(fresh):
    lab = fresh(nodes=2)
    for name, address in (("n1", "10.9.0.1"), ("n2", "10.9.0.2"), ("n1-ctl", "10.9.1.1"), ("client", "10.9.0.254")):
        assert lab.exec("getent", "hosts", name).stdout.split()[0] == address
    assert lab.exec("sh", "-c", "exit 7", check=False).returncode == 7
    assert reaches(lab, "n2-ctl")  # the control network is the kernel's
    assert "10.9.1.1" in lab("in", "n1", "ip", "-br", "addr").stdout


def test_faults_hit_only_whom_they_name(fresh):
    lab = fresh(nodes=2)
    lab("partition", "n1", "client")
    assert not reaches(lab, "n1") and reaches(lab, "n2") and reaches(lab, "n1-ctl")
    assert "no traffic between client and n1" in lab("status").stdout
    lab("heal")
    assert reaches(lab, "n1")
    lab("loss", "n2", "100%")
    assert reaches(lab, "n1") and not reaches(lab, "n2")
    lab("loss", "n2", "0")
    assert reaches(lab, "n2")


def test_a_one_way_cut(fresh):
    """Requests arrive, answers do not; the way between the others stays."""
    lab = fresh(nodes=2)
    lab("cut", "n1", "client")
    before = lab("in", "sw", "ip", "-s", "-j", "link", "show", "p1").stdout
    assert not reaches(lab, "n1") and reaches(lab, "n2")
    assert "nothing from n1 reaches client" in lab("status").stdout
    after = lab("in", "sw", "ip", "-s", "-j", "link", "show", "p1").stdout
    answered = [json.loads(text)[0]["stats64"]["rx"]["packets"] for text in (before, after)]
    assert answered[1] >= answered[0] + 3, "the node should have answered in vain"
    lab("heal")
    assert reaches(lab, "n1")


def test_partition_of_groups(fresh):
    lab = fresh(nodes=3)
    lab("partition", "n1,n2", "client")
    assert not reaches(lab, "n1", 1) and not reaches(lab, "n2", 1) and reaches(lab, "n3")
    lab("heal")
    assert reaches(lab, "n1") and reaches(lab, "n2")


def test_pause_and_resume(fresh):
    lab = fresh()
    pid = lab.pid()
    lab("pause", "n1")
    assert not reaches(lab, "n1", 1) and "stopped" in lab("status").stdout
    lab("resume", "n1")
    assert reaches(lab, "n1") and lab.pid() == pid
    begin = time.monotonic()
    lab("pause", "n1", "0.5")
    assert 0.5 <= time.monotonic() - begin < 3 and reaches(lab, "n1") and lab.pid() == pid
    lab("pause", "n1")
    begin = time.monotonic()
    lab("down")
    assert time.monotonic() - begin < 5, "a stopped node is ended, too"


def test_delay_is_added_each_way(fresh):
    lab = fresh(nodes=2)
    lab("delay", "n1", "20")
    times = {}
    for node in ("n1", "n2"):
        out = lab.exec("ping", "-nqc5", "-i0.1", node).stdout
        times[node] = float(out.split("=")[-1].split("/")[0])
    assert 40 <= times["n1"] < 60 and times["n2"] < 10, times
    lab("delay", "n1", "0")
    out = lab.exec("ping", "-nqc5", "-i0.1", "n1").stdout
    assert float(out.split("=")[-1].split("/")[0]) < 10


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.4])
def test_ctrl_c_while_it_comes_up_leaves_what_down_takes_away(seconds):
    """Wherever it stops, `down` finds everything: namespaces, processes, sockets."""
    lab = rack.Lab(f"t{os.getpid()}int")
    coming = subprocess.Popen([rack.LAB, "up", "--no-huge"], env=lab.env, start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    os.killpg(coming.pid, signal.SIGINT)
    assert coming.wait(timeout=30) in (0, 130, -signal.SIGINT)
    lab("down", "--wipe")
    assert not [n for n in os.listdir("/run/netns") if n.startswith(lab.name + "-")]
    assert lab.pid() is None and not os.path.exists(f"/run/slipring-lab/{lab.name}")


def test_two_labs_do_not_meet(fresh):
    one, two = fresh(), fresh()
    one.client().set(b"mine", b"one")
    two.client().set(b"mine", b"two")
    assert (one.client().get(b"mine"), two.client().get(b"mine")) == (b"one", b"two")
    two("down")
    assert one.client().get(b"mine") == b"one"


def test_down_leaves_strangers_alone(fresh):
    """A process of somebody else's inside the client's namespace is named, not ended."""
    lab = fresh()
    stranger = subprocess.Popen(["ip", "netns", "exec", f"{lab.name}-client", "sleep", "30"])
    try:
        wait_for(lambda: "sleep" in open(f"/proc/{stranger.pid}/comm").read(), 3)
        done = lab("down")
        assert "sleep" in done.stderr and stranger.poll() is None
        assert not [n for n in os.listdir("/run/netns") if n.startswith(lab.name + "-")]
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("arguments,words", [
    (("kill", "n7"), "no node 'n7'"),
    (("logs", "n7"), "no log"),
    (("start", "n1"), "running already"),
    (("up", "--nodes", "0"), "nodes"),
    (("up", "--set", "memory"), "KEY=VALUE"),
    (("loss", "n1", "120%"), "100"),
    (("loss", "n1", "some"), "some: a loss is 0 to 100 %"),
    (("delay", "n1", "-5"), "a delay is 0 to 60000 ms"),
    (("in", "nobody", "true"), "no node"),
    (("cut", "n1", "n1"), "the same node"),
    (("pause", "n7"), "no node"),
])
def test_mistakes_are_told(lab, arguments, words):
    done = lab(*arguments, check=False)
    assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr


def test_a_lab_that_is_down_says_so():

    lab = rack.Lab("nosuchlab")
    assert "is down" in lab("status").stdout
    done = lab("exec", "true", check=False)
    assert done.returncode != 0 and "make run" in done.stderr


def test_a_node_that_does_not_start_leaves_no_lab(fresh):

    lab = rack.Lab(f"t{os.getpid()}bad")
    done = lab("up", "--set", "nonsense=1", check=False)
    assert done.returncode != 0 and "nonsense" in done.stderr
    assert not [n for n in os.listdir("/run/netns") if n.startswith(lab.name + "-")]
    lab("down", "--wipe")
