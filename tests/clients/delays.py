"""Clients that leave Nagle's algorithm on and send a request in two writes: delays.py HOST PORT resp|text|binary [rounds]

The second write waits until the first is acknowledged. A server whose kernel delays acknowledgements makes such
a client wait 40 ms for each request; the check asks for less than 5 ms."""
import socket
import statistics
import struct
import sys
import time

from checks import Checks, body

host, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ROUNDS, BOUND = int(sys.argv[4]) if len(sys.argv) > 4 else 60, 0.005
checks = Checks(f"Nagle/{protocol}", "TCP_NODELAY off")


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((host, port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        self.left = b""

    def ask(self, parts, count):
        """Sends the parts apart, waits for an answer of so many bytes; seconds it took."""
        begin = time.monotonic()
        for part in parts:
            self.socket.send(part)
        while len(self.left) < count:
            got = self.socket.recv(1 << 16)
            assert got, "closed"
            self.left += got
        answer, self.left = self.left[:count], self.left[count:]
        return answer, time.monotonic() - begin


def binary(opcode, key=b"", extras=b"", value=b"", opaque=0):
    return struct.pack("!BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, len(extras) + len(key) + len(value), opaque, 0) + extras + key + value


def rounds(parts, answer, count):
    """Median and 90th percentile in seconds."""
    c, times = Connection(), []
    for _ in range(ROUNDS):
        got, seconds = c.ask(parts, count)
        assert got.startswith(answer), got[:80]
        times.append(seconds)
    c.socket.close()
    times.sort()
    return statistics.median(times), times[int(ROUNDS * 0.9)]


def measure(name, parts, answer, count=None):
    """The answer's beginning is known, its length always. The best of three, as others use these cores, too: what
    a delayed acknowledgement costs, it costs each time."""
    with checks(name):
        for _ in range(3):
            median, high = rounds(parts, answer, count or len(answer))
            print(f"# {name}: median {median * 1e3:.2f} ms, p90 {high * 1e3:.2f} ms", flush=True)
            if median < BOUND and high < 4 * BOUND:
                return
        raise AssertionError(f"median {median * 1e3:.2f} ms, p90 {high * 1e3:.2f} ms")


large = body(20_000)
if protocol == "resp":
    measure("command in two writes", [b"*3\r\n$3\r\nSET\r\n$6\r\nnagle1\r\n", b"$5\r\nhello\r\n"], b"+OK\r\n")
    measure("a pipeline in two writes", [b"*2\r\n$3\r\nGET\r\n$6\r\nnagle1\r\n", b"*1\r\n$4\r\nPING\r\n"], b"$5\r\nhello\r\n+PONG\r\n")
    measure("large value, header first", [b"*3\r\n$3\r\nSET\r\n$6\r\nnagle2\r\n$20000\r\n", large + b"\r\n"], b"+OK\r\n")
elif protocol == "text":
    measure("header and data in two writes", [b"set nagle1 0 0 5\r\n", b"hello\r\n"], b"STORED\r\n")
    measure("data and its end in two writes", [b"set nagle1 0 0 5\r\nhello", b"\r\n"], b"STORED\r\n")
    measure("set without reply, then get", [b"set nagle1 0 0 5 noreply\r\nhello\r\n", b"get nagle1\r\n"], b"VALUE nagle1 0 5\r\nhello\r\nEND\r\n")
    measure("large value, header first", [b"set nagle2 0 0 20000\r\n", large + b"\r\n"], b"STORED\r\n")
else:
    store = binary(1, b"nagle1", b"\0" * 8, b"hello")
    measure("header and body in two writes", [store[:24], store[24:]], b"\x81\x01", 24)
    measure("quiet get, then noop", [binary(13, b"nagle1"), binary(10)], b"\x81\x0d", 24 + 4 + 6 + 5 + 24)
    measure("quiet get of nothing, then noop", [binary(13, b"nagle-none"), binary(10)], b"\x81\x0a", 24)
checks.end()
