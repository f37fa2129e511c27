"""A node in a VLAN. The kernel has no 802.1Q here, so its frames are made by hand and their tags read beside them."""
import socket
import struct

import pytest

import frames
from conftest import ECHO

SOL_PACKET, PACKET_AUXDATA = 263, 8
CLIENT, NODE = "10.9.0.254", "10.9.0.1"
VLAN = 5


@pytest.fixture(scope="module")
def lab():
    from rack import lab as make_lab
    with make_lab("vlan", settings={"echo.port": ECHO, "vlan": VLAN}) as it:
        yield it


@pytest.fixture
def wire(lab):
    s = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.bind(("e0", 3))
    s.settimeout(1)
    return s


def tagged(payload, ethertype, vlan=VLAN, target=frames.NODE_MAC):
    return frames.ethernet(struct.pack("!HH", vlan, ethertype) + payload, 0x8100, target=target)


def receive(s, ethertype):
    """The node's next frame of a type, and the VLAN that the kernel took off it (0: none)."""
    while True:
        frame, beside, _, _ = s.recvmsg(2048, 256)
        if frame[6:12] != frames.NODE_MAC or frame[12:14] != struct.pack("!H", ethertype):
            continue
        for level, kind, data in beside:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                return frame, struct.unpack_from("=IIIHHHH", data)[5] & 0xfff
        return frame, 0


def test_arp_echo_and_udp_are_answered_with_the_tag(wire):
    wire.send(tagged(frames.arp(CLIENT, NODE), 0x0806, target=frames.BROADCAST))
    frame, vlan = receive(wire, 0x0806)
    assert vlan == VLAN and frame[22:28] == frames.NODE_MAC
    wire.send(tagged(frames.ipv4(frames.icmp_echo(), CLIENT, NODE, protocol=1), 0x0800))
    frame, vlan = receive(wire, 0x0800)
    assert vlan == VLAN and frame[34] == 0 and frames.checksum(frame[14:34]) == 0
    payload = bytes(range(256)) * 5
    wire.send(tagged(frames.ipv4(frames.udp(payload, CLIENT, NODE, ECHO), CLIENT, NODE), 0x0800))
    frame, vlan = receive(wire, 0x0800)
    assert vlan == VLAN and frame[42:42 + len(payload)] == payload


def test_a_full_frame_with_a_tag(wire):
    """The tag comes on top of the MTU."""
    payload = b"x" * 1472
    wire.send(tagged(frames.ipv4(frames.udp(payload, CLIENT, NODE, ECHO), CLIENT, NODE), 0x0800))
    frame, vlan = receive(wire, 0x0800)
    assert vlan == VLAN and frame[42:] == payload


@pytest.mark.parametrize("frame", [
    tagged(frames.ipv4(frames.udp(b"x", CLIENT, NODE, ECHO), CLIENT, NODE), 0x0800, vlan=6),
    frames.ethernet(frames.ipv4(frames.udp(b"x", CLIENT, NODE, ECHO), CLIENT, NODE)),
    tagged(struct.pack("!HH", VLAN, 0x0800) + frames.ipv4(frames.udp(b"x", CLIENT, NODE, ECHO), CLIENT, NODE), 0x8100),
], ids=["another", "none", "two"])
def test_frames_of_other_networks_are_not_answered(wire, frame):
    wire.settimeout(0.3)
    wire.send(frame)
    with pytest.raises(socket.timeout):
        receive(wire, 0x0800)
