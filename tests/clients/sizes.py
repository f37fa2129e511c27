"""Values of all sizes both ways, from plain sockets, alone and pipelined: sizes.py HOST PORT resp|text [most]

For networks of odd packet sizes: every length about a packet's edge, up to `most` bytes."""
import socket
import sys
import time

from checks import Checks, body

host, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
MOST = int(sys.argv[4]) if len(sys.argv) > 4 else 1 << 20
checks = Checks(f"sizes/{protocol}", sys.version.split()[0])
wire = socket.create_connection((host, port), 10)
wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
inward = wire.makefile("rb")
# Where one packet becomes two, for MTU 576 to 1500 with and without timestamps, and a window's worth.
EDGES = [n + d for n in (496, 508, 536, 1188, 1220, 1240, 1388, 1400, 1448, 1460, 2896, 8192, 16384, 65535) for d in range(-40, 3, 7)]


def store(key, value):
    if protocol == "resp":
        return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)
    return b"set %b 0 0 %d\r\n%b\r\n" % (key, len(value), value)


def fetch(key):
    return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key) if protocol == "resp" else b"get %b\r\n" % key


def found(key, value):
    if protocol == "resp":
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (key, len(value), value)


STORED = b"+OK\r\n" if protocol == "resp" else b"STORED\r\n"


def expect(answer):
    got = inward.read(len(answer))
    assert got == answer, f"{len(got)} bytes {got[:60]!r} instead of {answer[:60]!r}"


def both_ways(key, value):
    wire.sendall(store(key, value))
    expect(STORED)
    wire.sendall(fetch(key))
    expect(found(key, value))


with checks("about a packet's edge"):
    begin = time.monotonic()
    for size in EDGES:
        both_ways(b"edge", body(size, size))
    each = (time.monotonic() - begin) / len(EDGES) / 2
    print(f"# {each * 1e3:.2f} ms an operation")
    assert each < 0.020, f"{each * 1e3:.1f} ms an operation"
with checks("large"):
    for size in (100_000, 250_000, 500_000, MOST):
        both_ways(b"large", body(size, size))
with checks("pipelined"):
    values = [body(size, size) for size in range(1000, 40_000, 3000)]
    wire.sendall(b"".join(store(b"p%d" % i, value) + fetch(b"p%d" % i) for i, value in enumerate(values)))
    for i, value in enumerate(values):
        expect(STORED)
        expect(found(b"p%d" % i, value))
with checks("twenty large replies that wait for a slow reader"):
    value = body(MOST // 2, 5)
    wire.sendall(store(b"slow", value))
    expect(STORED)
    wire.sendall(fetch(b"slow") * 20)
    time.sleep(0.3)
    for _ in range(20):
        expect(found(b"slow", value))
checks.end()
