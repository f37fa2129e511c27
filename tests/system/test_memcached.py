"""memcached's UDP protocol, from a client that only knows memcached."""
import socket
import struct

import pytest

import native

PORT = 11211


class Memcached:
    def __init__(self, lab, timeout=1.0):
        self.sock, self.id = lab.udp(PORT, timeout=timeout), 0

    def ask(self, text):
        """Reply of one command line, datagrams put in order."""
        self.id = (self.id + 1) & 0xffff
        self.sock.send(struct.pack("!HHHH", self.id, 0, 1, 0) + text)
        parts, count = {}, 1
        while len(parts) < count:
            data = self.sock.recv(2048)
            number, sequence, count, reserved = struct.unpack_from("!HHHH", data)
            assert number == self.id and reserved == 0 and sequence < count and len(data) <= 1472
            parts[sequence] = data[8:]
        return b"".join(parts[i] for i in range(count))


def test_set_and_get(lab):
    m = Memcached(lab)
    assert m.ask(b"set mc 5 0 5\r\nhello\r\n") == b"STORED\r\n"
    assert m.ask(b"get mc\r\n") == b"VALUE mc 5 5\r\nhello\r\nEND\r\n"
    assert m.ask(b"delete mc\r\n") == b"DELETED\r\n"
    assert m.ask(b"get mc\r\n") == b"END\r\n"


def test_both_protocols_see_one_store(lab):
    m, n = Memcached(lab), lab.client()
    n.set(b"shared", b"native", client_flags=3)
    assert m.ask(b"get shared\r\n") == b"VALUE shared 3 6\r\nnative\r\nEND\r\n"
    m.ask(b"append shared 0 0 2\r\n!!\r\n")
    assert n.get(b"shared") == b"native!!"


def test_large_reply_comes_in_many_datagrams(lab):
    value = bytes(i % 251 for i in range(100_000))
    lab.client().set(b"large", value[:1000])
    n = lab.client()
    for at in range(1000, len(value), 1000):  # grown by append: one request is one datagram
        assert n.call(native.APPEND, b"large", value[at:at + 1000]).status == native.OK
    assert Memcached(lab).ask(b"get large\r\n") == b"VALUE large 0 100000\r\n" + value + b"\r\nEND\r\n"


@pytest.mark.parametrize("command,reply", [
    (b"nonsense\r\n", b"ERROR\r\n"),
    (b"get " + b"k" * 251 + b"\r\n", b"CLIENT_ERROR"),
    (b"incr missing 1\r\n", b"NOT_FOUND\r\n"),
    (b"mn\r\n", b"MN\r\n"),
    (b"mg missing v\r\n", b"EN\r\n"),
    (b"version\r\n", b"VERSION "),
])
def test_replies_to_odd_commands(lab, command, reply):
    assert Memcached(lab).ask(command).startswith(reply)


def test_a_foreign_network_is_not_answered(lab):
    """Only allow-listed sources: an address outside gets silence, not an error to reflect."""
    s = lab.socket()
    s.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT: the address is not on the interface
    s.bind(("10.200.0.1", 0))
    s.settimeout(0.3)
    s.connect((lab.address(), PORT))
    s.send(struct.pack("!HHHH", 1, 0, 1, 0) + b"version\r\n")
    with pytest.raises(socket.timeout):
        s.recv(2048)
