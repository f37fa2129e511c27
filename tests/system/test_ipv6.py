"""IPv6 with the kernel as the other side: neighbour discovery, echo, UDP, both protocols, duplicate addresses."""
import contextlib
import errno
import os
import re
import socket
import struct
import subprocess
import time

import pytest

import frames
import native
from conftest import ECHO
from rack import lab as make_lab
from rack import wait_for

ADDRESS = "fd09::1"
UDP_MAX = 1500 - 40 - 8
IPV6_MTU_DISCOVER, IP_MTU_DISCOVER, PMTUDISC_DONT = 23, 10, 0


@pytest.fixture(scope="module")
def rack6():
    with make_lab("v6", ipv6=True, settings={"echo.port": ECHO}) as lab:
        wait_for(lambda: lab.exec("ping", "-6", "-nqc1", "-W1", ADDRESS, check=False).returncode == 0, 5, "duplicate detection")
        yield lab


@pytest.fixture
def lab(rack6):
    pid = rack6.pid()
    yield rack6
    assert rack6.pid() == pid, "the node did not survive:\n" + rack6.log()[-3000:]


def udp6(lab, port, timeout=1.0):
    s = lab.socket(socket.AF_INET6)
    s.settimeout(timeout)
    s.connect((ADDRESS, port))
    return s


def counted(lab, name):
    return lab.counters().get(name, 0)


@pytest.mark.parametrize("size", [0, 1, 56, 1452])
def test_ping(lab, size):
    lab.exec("ping", "-6", "-nqc3", "-i0.02", "-W2", "-s", str(size), "n1-v6")


def test_the_kernel_finds_the_node_as_its_neighbour(lab):
    before = counted(lab, "nd_replies")
    lab.exec("ip", "-6", "neigh", "flush", "dev", "e0")
    lab.exec("ping", "-6", "-nqc1", "-W2", ADDRESS)
    assert re.search(rf"^{ADDRESS} dev e0 lladdr 02:00:00:09:00:01", lab.exec("ip", "-6", "neigh").stdout, re.M)
    assert counted(lab, "nd_replies") > before
    lab.exec("ping", "-6", "-nqc1", "-W2", "fe80::ff:fe09:1%e0")  # the address made of the MAC


def test_every_length_of_udp(lab):
    """Byte for byte, with checksums that the kernel finds good."""
    s = udp6(lab, ECHO)
    for n in range(UDP_MAX + 1):
        payload = os.urandom(n)
        s.send(payload)
        assert s.recv(2048) == payload, f"length {n}"


def test_native_protocol(lab):
    client = native.Client(lab.socket(socket.AF_INET6), ADDRESS)
    for size in (0, 1, 1387, 1388, 1389, 1452, 100_000):
        value = os.urandom(size)
        if size < 1300:
            client.set(b"v6:%d" % size, value)
        else:  # more than a frame takes: the command line knows uploads
            lab.exec("slipring", "-H", "n1-v6", "set", f"v6:{size}", "-", input=value, text=False)
        assert client.get(b"v6:%d" % size) == value
    result = client.call(native.GET, b"v6:100000")
    assert len(result.value) == 1388


def test_command_line(lab):
    """By name and by address, with and without a port."""
    for host in ("n1-v6", ADDRESS, f"[{ADDRESS}]", f"[{ADDRESS}]:{native.PORT}"):
        lab.exec("slipring", "-H", host, "set", "cli6", host)
        assert lab.exec("slipring", "-H", "n1", "get", "cli6").stdout.strip() == host


def test_who_sends_to_a_port_without_service_is_told(lab):
    for family, address in ((socket.AF_INET, lab.address()), (socket.AF_INET6, ADDRESS)):
        s = lab.socket(family)
        s.settimeout(2)
        s.connect((address, 9))
        s.send(b"anybody?")
        with pytest.raises(OSError) as caught:
            s.recv(100)
        assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("family,address", [(socket.AF_INET6, ADDRESS), (socket.AF_INET6, "fe80::ff:fe09:1")])
def test_connections(lab, family, address):
    """RESP and memcached over TCP: more than a window each way, and nothing wrong with a sum."""
    where = (address, 6379, 0, 0)
    if address.startswith("fe80"):
        where = (address, 6379, 0, int(lab.exec("cat", "/sys/class/net/e0/ifindex").stdout))
    s = lab.socket(family, socket.SOCK_STREAM)
    s.settimeout(5)
    s.connect(where)
    value = os.urandom(300_000)
    s.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nv6t\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$3\r\nv6t\r\n" % (len(value), value))
    wanted = b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
    got = b""
    while len(got) < len(wanted):
        more = s.recv(65536)
        assert more, "closed"
        got += more
    assert got == wanted
    s.close()


def memcached(s, text, request):
    s.send(struct.pack("!HHHH", request, 0, 1, 0) + text)
    parts = {}
    while True:
        answer = s.recv(2048)
        _, number, count, _ = struct.unpack("!HHHH", answer[:8])
        parts[number] = answer[8:]
        if len(parts) == count:
            return b"".join(parts[i] for i in range(count))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_memcached_and_a_set_that_the_kernel_cuts_in_fragments(lab, family):
    s = lab.socket(family)
    s.settimeout(2)
    s.connect((lab.address() if family == socket.AF_INET else ADDRESS, 11211))
    before = counted(lab, "reassembled")
    for i, size in enumerate((10, 1400, 1600, 3000, 5700)):
        value = os.urandom(size).hex().encode()[:size]
        assert memcached(s, b"set big%d 0 0 %d\r\n%s\r\n" % (size, size, value), i) == b"STORED\r\n"
        assert memcached(s, b"get big%d\r\n" % size, i) == b"VALUE big%d 0 %d\r\n%s\r\nEND\r\n" % (size, size, value)
    assert counted(lab, "reassembled") - before == 3
    limit = counted(lab, "drop_fragment_limit")
    s.send(struct.pack("!HHHH", 9, 0, 1, 0) + b"set k 0 0 8000\r\n" + b"x" * 8000 + b"\r\n")
    wait_for(lambda: counted(lab, "drop_fragment_limit") > limit, 2, "a datagram of more than four fragments is dropped by name")


@pytest.mark.parametrize("family,address,level,option", [
    (socket.AF_INET, "10.9.0.1/32", socket.IPPROTO_IP, IP_MTU_DISCOVER),
    (socket.AF_INET6, ADDRESS + "/128", socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER),
])
def test_a_path_with_a_small_mtu(lab, family, address, level, option):
    """Frames of clients behind a tunnel come in two pieces; each is answered."""
    address = address.replace("10.9", lab.net)
    lab.exec("ip", "route", "add", address, "dev", "e0", "mtu", "lock", "1300")
    try:
        s = lab.socket(family)
        s.settimeout(2)
        s.setsockopt(level, option, PMTUDISC_DONT)
        s.connect((address.partition("/")[0], ECHO))
        before = counted(lab, "fragments")
        for n in range(1290, UDP_MAX + 1, 9):
            payload = os.urandom(n)
            s.send(payload)
            assert s.recv(2048) == payload, f"length {n}"
        assert counted(lab, "fragments") - before >= 36
    finally:
        lab.exec("ip", "route", "del", address, "dev", "e0")


def test_the_node_reports_its_groups_to_who_asks(lab):
    """A switch that snoops asks; the node says again what it listens to (RFC 3810)."""
    def query():
        body = struct.pack("!BBHHH16sBBH", 130, 0, 0, 1000, 0, bytes(16), 0, 0, 0)
        source, target = socket.inet_pton(socket.AF_INET6, "fe80::9"), socket.inet_pton(socket.AF_INET6, "ff02::1")
        total = frames.checksum(source + target + struct.pack("!II", len(body), 58) + body)
        body = body[:2] + struct.pack("!H", total) + body[4:]
        hop = bytes((58, 0, 5, 2, 0, 0, 1, 0))
        return struct.pack("!IHBB", 6 << 28, len(hop + body), 0, 1) + source + target + hop + body
    s = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd))
    s.bind(("e0", 0x86dd))
    s.settimeout(3)
    s.send(frames.ethernet(query(), 0x86dd, target=bytes.fromhex("333300000001")))
    while True:
        frame = s.recv(2048)
        if frame[6:12] == frames.NODE_MAC and frame[62:63] == b"\x8f":
            break
    assert frame[0:6] == bytes.fromhex("333300000016") and frame[21] == 1
    assert socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:1") in frame


@contextlib.contextmanager
def far_away(lab, mtu):
    """A host in a network of its own: the lab's client is the router to it, by a way that carries packets of `mtu` bytes."""
    router, host = f"{lab.name}-client", f"{lab.name}-far"

    def ip(*words):
        subprocess.run(["ip", *words], check=True)
    ip("netns", "add", host)
    try:
        ip("link", "add", "far0", "netns", router, "type", "veth", "peer", "name", "e0", "netns", host)
        for where, device, end in ((router, "far0", 1), (host, "e0", 2)):
            ip("netns", "exec", where, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=0")
            ip("-n", where, "addr", "add", f"fd0a::{end}/64", "dev", device, "nodad")
            ip("-n", where, "addr", "add", f"192.0.2.{end}/24", "dev", device)
            ip("-n", where, "link", "set", device, "up")
        ip("-n", host, "route", "add", "default", "via", "192.0.2.1")
        ip("-n", host, "-6", "route", "add", "default", "via", "fd0a::1")
        ip("-n", router, "-6", "route", "add", "fd0a::2/128", "dev", "far0", "mtu", str(mtu))
        ip("-n", router, "route", "add", "192.0.2.2/32", "dev", "far0", "mtu", "lock", str(mtu))
        lab.exec("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1")
        yield
    finally:
        ip("netns", "del", host)


@pytest.mark.parametrize("family,address", [(socket.AF_INET6, ADDRESS), (socket.AF_INET, None)])
def test_clients_behind_a_router_whose_way_is_narrow(fresh, family, address):
    """No router is named to the node: what it answers goes back by the way the question came. What is too big for
    that way the router says, to whichever worker its own address leads to; the one that has the connection hears it."""
    clients = 16
    lab = fresh(ipv6=True, workers=2, settings={"echo.port": ECHO})
    address = address or lab.address()
    wait_for(lambda: lab.exec("ping", "-6", "-nqc1", "-W1", ADDRESS, check=False).returncode == 0, 5, "duplicate detection")
    with far_away(lab, 1300):
        native.Client(lab.socket(family, where="far"), address).set(b"far", b"away")
        s = lab.socket(family, where="far")
        s.settimeout(2)
        s.connect((address, ECHO))
        s.send(b"x" * 1200)
        assert s.recv(2048) == b"x" * 1200
        value = os.urandom(20_000)
        for n in range(clients):
            s = lab.socket(family, socket.SOCK_STREAM, where="far")
            s.settimeout(5)
            s.connect((address, 6379))
            s.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nfar\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$3\r\nfar\r\n" % (len(value), value))
            wanted = b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
            got = b""
            while len(got) < len(wanted):
                more = s.recv(65536)
                assert more, f"client {n}: closed"
                got += more
            assert got == wanted
            s.close()
        # Each was told, and none had to find out by itself. Half of them, more or less, by the other worker.
        assert counted(lab, "tcp_path_mtu") == clients
        assert counted(lab, "tcp_black_holes") == 0
        assert counted(lab, "tcp_strays") > 0
        lab.makers.pop("far").end()


def test_a_duplicate_address_is_not_used(fresh):
    """The client has the address that n1 is to get: n1 hears that, says so, and leaves it alone."""
    lab = fresh(ipv6=True)
    lab("kill", "n1")
    lab.exec("ip", "addr", "add", "fd09::77/64", "dev", "e0", "nodad")
    heard = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    heard.bind(("e0", 0x0806))
    lab("start", "n1", "--set=ipv6=['fd09::77/64', 'fd09::78/64']")
    wait_for(lambda: "address fd09::77 belongs to another host" in lab.log(), 5, "the log says so")
    lab.exec("ping", "-6", "-nqc1", "-W2", "fd09::78")
    assert counted(lab, "address_conflicts") >= 1
    lab.exec("ip", "addr", "del", "fd09::77/64", "dev", "e0")
    time.sleep(0.1)
    assert lab.exec("ping", "-6", "-nqc1", "-W1", "fd09::77", check=False).returncode != 0
    # Meanwhile it has told the network of its IPv4 address, three times.
    ours, told = socket.inet_aton(lab.address()), 0
    heard.settimeout(3)
    while told < 3:
        frame = heard.recv(100)
        told += frame[0:6] == frames.BROADCAST and frame[28:32] == frame[38:42] == ours


def test_two_workers_know_their_addresses(fresh):
    """Whichever worker hears a flow, it is answered, and both know when addresses may be used."""
    lab = fresh(ipv6=True, workers=2, settings={"echo.port": ECHO})
    wait_for(lambda: lab.exec("ping", "-6", "-nqc1", "-W1", ADDRESS, check=False).returncode == 0, 5, "duplicate detection")
    for _ in range(64):
        s = udp6(lab, ECHO)
        s.send(b"flow")
        assert s.recv(100) == b"flow"
    assert all(w["rx_frames"] > 0 for w in lab.counters_of_workers())
    for family in (socket.AF_INET, socket.AF_INET6):
        for n in range(16):  # all fragments of a datagram reach one worker, whichever
            s = lab.socket(family)
            s.settimeout(2)
            s.connect((lab.address() if family == socket.AF_INET else ADDRESS, 11211))
            assert memcached(s, b"set two%d 0 0 3000\r\n%s\r\n" % (n, b"x" * 3000), n) == b"STORED\r\n"
    client = native.Client(lab.socket(socket.AF_INET6), ADDRESS)
    for n in range(50):
        client.set(b"two6:%d" % n, b"%d" % n)  # half of them are the other worker's
        assert client.get(b"two6:%d" % n) == b"%d" % n
