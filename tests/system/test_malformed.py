"""Bad frames: each moves the drop counter with its name, and no other; the node lives on."""
import random
import socket
import struct

import pytest

import frames
import native
from conftest import ECHO
from rack import wait_for

CLIENT, NODE = "10.9.0.254", "10.9.0.1"
TIMES = 5


def ip(payload, **wrong):
    return frames.ethernet(frames.ipv4(payload, wrong.pop("source", CLIENT), wrong.pop("target", NODE), **wrong))


def datagram(payload, port=native.PORT, source=CLIENT, **wrong):
    return ip(frames.udp(payload, source, NODE, port, **wrong), source=source)


GOOD_NATIVE = native.header(1, 0) + native.operation(native.PING)
BAD = {
    "runt": [
        frames.ethernet(b"\x45\0\0\x14"),
        ip(b"", total=20)[:30],
        ip(frames.icmp_echo()[:6], protocol=1),
    ],
    "vlan": [
        frames.ethernet(struct.pack("!HH", 5, 0x0800) + frames.ipv4(frames.udp(b"x", CLIENT, NODE, ECHO), CLIENT, NODE), 0x8100),
        frames.ethernet(struct.pack("!HH", 5, 0x0800) + frames.ipv4(b"", CLIENT, NODE), 0x88a8),
    ],
    "ethertype": [frames.ethernet(b"\x60" + bytes(50), 0x86dd), frames.ethernet(bytes(46), 0x1234)],
    "not_for_us": [
        ip(frames.udp(b"x", CLIENT, "10.9.0.9", ECHO), target="10.9.0.9"),
        frames.ethernet(frames.ipv4(b"x" * 20, CLIENT, NODE), target=bytes.fromhex("020000090099")),
    ],
    "arp_malformed": [
        frames.ethernet(frames.arp(CLIENT, NODE, hardware=6), 0x0806),
        frames.ethernet(frames.arp(CLIENT, NODE)[:20], 0x0806),
    ],
    "ipv4_header": [
        ip(b"x" * 20, version=5),
        ip(b"x" * 20, words=4),
        ip(b"x" * 20, total=1400),
        ip(b"x" * 20, total=19),
    ],
    "ipv4_options": [
        ip(b"x" * 20, options=b"\x83\7\4\x0a\x09\0\x09\0"),  # a source route
        ip(b"x" * 20, options=b"\7\x09\4\0"),
    ],
    "ipv4_checksum": [ip(b"x" * 20, bad_sum=True)],
    "fragment": [ip(b"x" * 64, flags=0x2000, protocol=6), ip(b"x" * 61, flags=0x2000), ip(b"", flags=0x0010)],
    "fragment_limit": [ip(b"x" * 64, flags=0x1f00)],
    "ip_protocol": [ip(b"x" * 20, protocol=47), ip(b"x" * 20, protocol=132)],
    "tcp_checksum": [ip(b"x" * 20, protocol=6)],
    "source_address": [
        ip(frames.udp(b"x", s, NODE, ECHO), source=s) for s in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "10.9.0.255", NODE)],
    "icmp_type": [ip(frames.icmp_echo(kind=0), protocol=1), ip(frames.icmp_echo(kind=13), protocol=1),
                  ip(frames.icmp_echo(b"\x45" + bytes(60), kind=3), protocol=1)],  # about a packet that was not ours
    "icmp_checksum": [ip(frames.icmp_echo(bad_sum=True), protocol=1)],
    "udp_length": [
        datagram(b"x" * 20, ECHO, length=4),
        datagram(b"x" * 20, ECHO, length=400),
    ],
    "udp_checksum": [datagram(b"x" * 20, ECHO, bad_sum=True)],
    "udp_port": [datagram(b"x", 9), datagram(b"x", native.PORT + 1)],
    "native_header": [
        datagram(b""),
        datagram(b"x" * 39),
        datagram(b"\0" * 60),
        datagram(native.header(1, 0, magic=0x1111) + bytes(40)),
        datagram(native.header(1, 0, flags=native.RESPONSE) + native.operation(native.PING)),
    ],
    "memcached_header": [
        datagram(b"", 11211),
        datagram(b"\0\1\0\0", 11211),
        datagram(struct.pack("!HHHH", 1, 0, 2, 0) + b"get a\r\n", 11211),
    ],
    "memcached_source": [datagram(struct.pack("!HHHH", 1, 0, 1, 0) + b"get a\r\n", 11211, source="10.200.0.1")],
}


def drops(lab):
    return {k: v for k, v in lab.counters().items() if k.startswith("drop_")}


def moved(before, after):
    return {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}


@pytest.fixture
def wire(lab):
    s = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind(("e0", 0))
    lab.exec("ping", "-nqc1", "-W2", "n1")  # the bridge knows the node's port now
    return s


@pytest.mark.parametrize("name", BAD)
def test_bad_frame_is_dropped_by_name(lab, wire, name):
    before = drops(lab)
    for frame in BAD[name]:
        for _ in range(TIMES):
            wire.send(frame)
    want = {f"drop_{name}": TIMES * len(BAD[name])}
    wait_for(lambda: moved(before, drops(lab)).get(f"drop_{name}", 0) >= want[f"drop_{name}"], 2,
             f"{want}, but {moved(before, drops(lab))}")
    assert moved(before, drops(lab)) == want
    assert lab.client().call(native.PING).status == native.OK


def test_every_prefix_of_a_good_frame(lab, wire):
    """Truncated anywhere, a frame is dropped or refused; nothing gets stuck."""
    frame = datagram(native.header(1, 0, client=3, count=2) + native.operation(native.SET, b"key", b"value",
                     native.set_extras()) + native.operation(native.GET, b"key"))
    for n in range(14, len(frame)):
        wire.send(frame[:n])
    assert lab.client().call(native.PING).status == native.OK


def test_frames_at_random(lab, wire):
    """20,000 frames with a few bytes changed; afterwards the node stores and answers as before."""
    dice = random.Random(20261)
    good = [datagram(GOOD_NATIVE), datagram(b"\0\1\0\0\0\1\0\0set k 0 0 1\r\nx\r\n", 11211),
            ip(frames.icmp_echo(), protocol=1), frames.ethernet(frames.arp(CLIENT, NODE), 0x0806)]
    for _ in range(20000):
        frame = bytearray(dice.choice(good))
        for _ in range(dice.randint(1, 6)):
            # not the MAC addresses: the bridge is not under test
            frame[dice.randrange(12, len(frame))] = dice.randrange(256)
        wire.send(frame)
    client = lab.client()
    client.set(b"after", b"the storm")
    assert client.get(b"after") == b"the storm"


@pytest.mark.parametrize("status,frame", [
    (native.UNKNOWN_OP, native.operation(99)),
    (native.BAD_KEY, native.operation(native.GET, b"")),
    (native.BAD_KEY, native.operation(native.GET, b"k" * 251)),
    (native.BAD_REQUEST, native.operation(native.GET, b"k", reserved=1)),
    (native.BAD_REQUEST, native.operation(native.GET, b"k", extras=b"12345")),
    (native.BAD_REQUEST, native.operation(native.SET, b"k", b"v", native.set_extras(), flags=native.ADD | native.REPLACE)),
    (native.WRONG_SLOT, native.operation(native.SET, b"k", b"v", native.set_extras(), slot=1)),
])
def test_bad_operation_of_a_proven_source(lab, status, frame):
    """The operation is refused with its status; the good one beside it is done."""
    client = lab.client()
    client.call(native.PING)
    answer = client.send(frame, native.operation(native.PING))
    assert [r.status for r in answer.results] == [status, native.OK]


@pytest.mark.parametrize("payload,error", [
    (lambda c: native.header(9, c.cookie, version=9) + native.operation(native.PING), native.UNSUPPORTED_VERSION),
    (lambda c: native.header(9, c.cookie, count=5) + native.operation(native.PING), native.BAD_REQUEST),
    (lambda c: native.header(9, c.cookie, count=0), native.BAD_REQUEST),
    (lambda c: native.header(9, c.cookie, error=7) + native.operation(native.PING), native.BAD_REQUEST),
    (lambda c: native.header(9, c.cookie) + native.operation(native.SET, b"k", b"v" * 50, native.set_extras())[:-20],
     native.BAD_REQUEST),
])
def test_bad_frame_of_a_proven_source(lab, payload, error):
    client = lab.client()
    client.call(native.PING)
    client.sock.send(payload(client))
    assert client.receive().error == error


def test_an_unproven_source_never_gets_more_than_it_sent(lab):
    """No cookie, a forged one, one given to another address: a challenge no longer than the request."""
    lab.client().set(b"big", b"x" * 1200)
    other = lab.client()
    other.call(native.PING)
    for cookie in (0, 1, other.cookie ^ 1):
        s = lab.udp(native.PORT)
        request = native.header(1, cookie) + native.operation(native.GET, b"big")
        s.send(request)
        answer = native.Answer(s.recv(2048))
        assert answer.flags & native.CHALLENGE and not answer.results and answer.len <= len(request)
