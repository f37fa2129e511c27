"""Frames in, frames out: ARP, ICMP, UDP of every length, over each kernel transport."""
import os
import socket
import struct

import pytest

import frames
from conftest import ECHO

CLIENT = "10.9.0.254"


def raw(lab):
    s = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind(("e0", 0x0003))
    s.settimeout(2)
    return s


def test_arp_is_answered_with_the_nodes_address(lab):
    s = raw(lab)
    s.send(frames.ethernet(frames.arp(CLIENT, lab.address()), 0x0806, target=frames.BROADCAST))
    while True:
        frame = s.recv(2048)
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2":
            break
    assert frame[0:6] == frames.CLIENT_MAC and frame[6:12] == frame[22:28] == frames.NODE_MAC
    assert frame[28:32] == socket.inet_aton(lab.address()) and frame[38:42] == socket.inet_aton(CLIENT)


def test_arp_for_another_address_is_left_alone(lab):
    s = raw(lab)
    s.settimeout(0.3)
    s.send(frames.ethernet(frames.arp(CLIENT, "10.9.0.77"), 0x0806, target=frames.BROADCAST))
    with pytest.raises(socket.timeout):
        while True:
            frame = s.recv(2048)
            assert frame[12:14] != b"\x08\x06" or frame[20:22] != b"\0\2"


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_ping(lab, size):
    lab.exec("ping", "-nqc3", "-i0.02", "-W2", "-s", str(size), "n1")


def echo_all_lengths(lab):
    """Every UDP payload length comes back byte for byte, with good checksums (the kernel checks)."""
    s = lab.udp(ECHO)
    for n in range(0, 1473):
        payload = os.urandom(n)
        s.send(payload)
        assert s.recv(2048) == payload, f"length {n}"


def test_every_length_over_af_xdp(lab):
    echo_all_lengths(lab)


def test_every_length_over_af_packet(fresh):
    echo_all_lengths(fresh(profile="af_packet", settings={"echo.port": ECHO}))


def every_flow_is_answered(lab):
    for _ in range(64):
        s = lab.udp(ECHO)
        s.send(b"flow")
        assert s.recv(2048) == b"flow"


def test_two_workers_on_two_queues(fresh):
    """Flows spread over both queues: each must be answered, whichever worker hears it."""
    lab = fresh(workers=2, settings={"echo.port": ECHO})
    echo_all_lengths(lab)
    every_flow_is_answered(lab)
    stats = lab.counters_of_workers()
    assert all(w["rx_frames"] > 0 for w in stats), stats


@pytest.mark.parametrize("profile", ["af_xdp", "af_packet"])
def test_two_workers_on_two_interfaces(fresh, profile):
    """A port each: the switch sees one MAC behind both, and either may be asked."""
    lab = fresh(settings={"echo.port": ECHO, "profile": profile})
    lab("kill", "n1")
    lab("in", "sw", "ip", "link", "add", "q1", "type", "veth", "peer", "name", "e1", "netns", f"{lab.name}-n1")
    lab("in", "sw", "ethtool", "-K", "q1", "tx", "off", "tso", "off", "gso", "off")
    lab("in", "n1", "ip", "link", "set", "e1", "up")
    lab("in", "sw", "ip", "link", "set", "q1", "master", "br0", "up")
    lab("start", "n1", "--set=workers=2", "--set=interfaces=[e0, e1]")
    echo_all_lengths(lab)
    every_flow_is_answered(lab)
    client = lab.client()
    for n in range(200):
        client.set(b"two:%d" % n, b"%d" % n)
    assert all(client.get(b"two:%d" % n) == b"%d" % n for n in range(200))


def test_replies_carry_a_fresh_checksum(lab):
    s, r = lab.udp(ECHO), raw(lab)
    s.send(b"sum")
    while True:
        frame = r.recv(2048)
        if frame[6:12] == frames.NODE_MAC and frame[23:24] == b"\x11":
            break
    head, total = frame[14:34], struct.unpack("!H", frame[16:18])[0]
    assert frames.checksum(head) == 0
    packet = frame[34:14 + total]
    assert packet[6:8] != b"\0\0"
    pseudo = head[12:20] + struct.pack("!BBH", 0, 17, len(packet))
    assert frames.checksum(pseudo + packet) == 0
