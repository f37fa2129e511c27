"""TCP to the NIC, from the kernel's own TCP: the thinnest ways through, before clients with opinions."""
import contextlib
import errno
import re
import socket

import pytest

RESP, MEMCACHED = 6379, 11211


@contextlib.contextmanager
def connection(lab, port, timeout=5.0):
    sock = lab.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect((f"{lab.net}.0.1", port))
    with sock:
        yield sock


def read(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        assert part, f"ended after {data!r}"
        data += part
    return data


def ask(sock, text, answer):
    sock.sendall(text)
    assert read(sock, len(answer)) == answer


def test_resp_set_and_get(lab):
    with connection(lab, RESP) as sock:
        ask(sock, b"*3\r\n$3\r\nSET\r\n$3\r\ntcp\r\n$5\r\nhello\r\n", b"+OK\r\n")
        ask(sock, b"*2\r\n$3\r\nGET\r\n$3\r\ntcp\r\n", b"$5\r\nhello\r\n")
        ask(sock, b"PING\r\n", b"+PONG\r\n")


def test_memcached_set_and_get(lab):
    with connection(lab, MEMCACHED) as sock:
        ask(sock, b"set tcp2 7 0 5\r\nhello\r\nget tcp2\r\n", b"STORED\r\nVALUE tcp2 7 5\r\nhello\r\nEND\r\n")


def test_one_keyspace_for_all_protocols(lab):
    lab.client().set(b"tcp-shared", b"native")
    with connection(lab, RESP) as resp, connection(lab, MEMCACHED) as memcached:
        ask(resp, b"GET tcp-shared\r\n", b"$6\r\nnative\r\n")
        ask(memcached, b"append tcp-shared 0 0 2\r\n!!\r\n", b"STORED\r\n")
        ask(resp, b"GET tcp-shared\r\n", b"$8\r\nnative!!\r\n")
    assert lab.client().get(b"tcp-shared") == b"native!!"


def test_a_port_without_service_resets(lab):
    with pytest.raises(ConnectionRefusedError), connection(lab, 6380):
        pass


@pytest.mark.parametrize("size", (1, 1400, 1 << 16, 1 << 20))
def test_values_of_all_sizes_both_ways(lab, size):
    value = bytes(i * 7 % 251 for i in range(size))
    with connection(lab, RESP, timeout=20) as sock:
        ask(sock, b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n" % size + value + b"\r\n", b"+OK\r\n")
        ask(sock, b"GET large\r\n", b"$%d\r\n" % size + value + b"\r\n")
    with connection(lab, MEMCACHED, timeout=20) as sock:
        ask(sock, b"set large2 0 0 %d\r\n" % size + value + b"\r\n", b"STORED\r\n")
        ask(sock, b"get large2\r\n", b"VALUE large2 0 %d\r\n" % size + value + b"\r\nEND\r\n")


def test_half_close_is_answered_before_the_end(lab):
    """printf ... | nc: the client closes its side at once and still wants its answers."""
    with connection(lab, RESP) as sock:
        sock.sendall(b"SET half closed\r\nGET half\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read(sock, 17) == b"+OK\r\n$6\r\nclosed\r\n"[:17]
        assert sock.recv(100) == b""


def test_commands_in_single_bytes(lab):
    with connection(lab, RESP) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n":
            sock.sendall(bytes([byte]))
        assert read(sock, 9) == b"$3\r\nabc\r\n"


def test_limits_are_what_the_configuration_says(fresh):
    """Two answers to pings a second, one RST a second for a port that nobody listens on."""
    lab = fresh(settings={"icmp.echoes": 2, "icmp.unreachables": 1, "tcp.resets": 1})
    answered = int(re.search(r" (\d+) received", lab.exec("ping", "-nqc100", "-i0.02", "-W1", lab.address(), check=False).stdout)[1])
    assert 2 <= answered <= 6  # two seconds, or somewhat more on a busy machine
    refused = 0
    for _ in range(5):
        s = lab.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(.1)
        with contextlib.suppress(socket.timeout):
            refused += s.connect_ex((lab.address(), 9)) == errno.ECONNREFUSED
        s.close()
    counters = lab.counters()
    assert 1 <= refused <= 2 and counters["tcp_resets_held"] >= 3, (refused, counters["tcp_resets_held"])
    told = 0
    for _ in range(5):
        s = lab.udp(9, timeout=.1)
        s.send(b"anybody?")
        try:
            s.recv(100)
        except ConnectionRefusedError:
            told += 1
        except socket.timeout:
            pass
    assert 1 <= told <= 2
