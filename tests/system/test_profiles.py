"""Each driver profile carries frames, or at least opens and closes, in a real daemon."""
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from nodes import BUILD, connect, ip, netns, start  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def cli(netns, *arguments):
    done = subprocess.run(["ip", "netns", "exec", netns, os.path.join(BUILD, "slipring"), "-H", "10.9.0.1", *arguments],
                          text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def path():
    """Of a vhost-user socket; pytest's own directories are longer than such a path may be."""
    folder = tempfile.mkdtemp(prefix="vhost-", dir="/tmp")
    yield os.path.join(folder, "link")
    shutil.rmtree(folder)


@pytest.mark.parametrize("profile", ["af_xdp", "af_packet"])
def test_a_kernel_interface(start, connect, profile):
    client = connect("e0")
    node = start("--profile", profile, "--interfaces", "e0").ready()
    value = "v" * 1000
    cli(client, "set", "k", value)
    assert cli(client, "get", "k").strip() == value
    worker = node.get("/workers")[0]
    assert (worker["interface"], worker["driver"]) == ("e0", "net_" + profile)
    assert worker["rx_frames"] >= 2
    assert worker["large_values"] == {"af_xdp": "copied:profile", "af_packet": "referred"}[profile]
    assert node.stop() == 0


def test_the_mac_address_may_be_given(start, connect):
    client = connect("e0")
    node = start("--interfaces", "e0", "--mac", "02:00:00:00:00:77").ready()
    cli(client, "set", "k", "v")
    neighbour = ip("-n", client, "neigh", "show", "10.9.0.1")
    assert "02:00:00:00:00:77" in neighbour
    assert node.stop() == 0


@pytest.mark.parametrize("interfaces, places", [
    ("e0,e1", [("e0", 0), ("e1", 0)]), ("q0", [("q0", 0), ("q0", 1)]), ("q0,q0", [("q0", 0), ("q0", 1)])])
def test_two_workers(start, connect, interfaces, places):
    """On two interfaces of one network, and on two queues of one interface."""
    if interfaces == "e0,e1":
        client = connect("e0", "e1")
    else:
        client = connect("q0")
    node = start("--interfaces", interfaces, "--workers", "2").ready()
    assert [(worker["interface"], worker["queue"]) for worker in node.get("/workers")] == places
    for i in range(20):
        cli(client, "set", f"k{i}", str(i))
        assert cli(client, "get", f"k{i}").strip() == str(i)
    workers = node.get("/workers")
    assert sum(worker["rx_frames"] for worker in workers) >= 40
    assert min(worker["tx_frames"] for worker in workers) > 0
    assert node.stop() == 0


def test_virtio_user_meets_vhost(start, path):
    """Two nodes joined by a vhost-user socket; the switch's side first."""
    switch = start("--profile", "vhost", "--interfaces", path).ready()
    guest = start("--profile", "virtio_user", "--interfaces", path, "--ipv4", "10.9.0.2/24",
                  node="n2").ready()
    assert guest.get("/healthz")["status"] == "ok"
    assert guest.get("/workers")[0]["driver"] == "net_virtio_user"
    assert switch.get("/workers")[0]["large_values"] == "referred"
    assert guest.stop() == 0
    assert switch.get("/healthz")["status"] == "ok"  # it outlives its peer
    assert switch.stop() == 0
    assert not os.path.exists(path)


def test_a_stale_vhost_socket_is_no_obstacle(start, path):
    start("--profile", "vhost", "--interfaces", path).ready().stop(signal.SIGKILL)
    node = start("--profile", "vhost", "--interfaces", path, node="n2").ready()
    assert node.stop() == 0


def test_the_ring_needs_nothing(start):
    node = start("--profile", "ring").ready()
    assert node.get("/workers")[0]["interface"] == "-"
    assert node.stop() == 0


def test_a_pci_card_that_is_the_kernels(start):
    cards = [a for a in os.listdir("/sys/bus/pci/devices") if os.path.isdir(f"/sys/bus/pci/devices/{a}/driver")
             and os.path.basename(os.readlink(f"/sys/bus/pci/devices/{a}/driver")) not in ("vfio-pci", "uio_pci_generic")] \
        if os.path.isdir("/sys/bus/pci/devices") else []
    if not cards:
        pytest.skip("no PCI device with a kernel driver")
    refusal = start("--profile", "pci", "--interfaces", cards[0]).refused()
    assert f"PCI device {cards[0]} belongs to the kernel's driver " in refusal
    assert f"dpdk-devbind.py -b vfio-pci {cards[0]}" in refusal
