"""Ten thousand source addresses: no state per peer, each is served."""
import socket
import struct

import native


def test_ten_thousand_addresses(lab):
    """Each writes and reads its own key from its own address, with its own cookie."""
    lab.exec("ip", "route", "replace", "local", "10.64.0.0/16", "dev", "lo")  # all of them are ours
    lab.client().set(b"warm", b"up")  # the neighbour entry exists
    wrong = []
    for n in range(10_000):
        s = lab.socket()
        s.bind((socket.inet_ntoa(struct.pack("!I", (10 << 24 | 64 << 16) + 1 + n)), 0))
        client = native.Client(s, lab.address())
        key, value = b"source:%d" % n, b"%d" % (n * 7919)
        client.set(key, value)
        if client.get(key) != value:
            wrong.append(n)
        s.close()
    assert not wrong
    lab.exec("ip", "route", "del", "local", "10.64.0.0/16", "dev", "lo")
