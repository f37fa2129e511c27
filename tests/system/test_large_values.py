"""Values of a megabyte out of an AF_PACKET node, whose frames refer to the items: every byte arrives, and every item is let go of."""
import concurrent.futures
import contextlib
import hashlib
import random
import socket

import pytest

import rack

RESP, MEMCACHED = 6379, 11211
LEN = 1 << 20
GHOST = 200  # last octet of an address that the client has for a while


@pytest.fixture(scope="module")
def lab():
    with rack.lab("v", profile="af_packet", no_huge=True, settings={"memory": "64M"}) as it:
        yield it


@pytest.fixture(autouse=True)
def healed(lab):
    pid = lab.pid()
    yield
    lab("heal")
    assert lab.pid() == pid, "the node did not survive:\n" + lab.log()[-3000:]


def bytes_of(seed, length=LEN):
    return random.Random(seed).randbytes(length)


@contextlib.contextmanager
def connection(lab, port, source=None):
    with lab.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(120)
        if source:
            sock.bind((source, 0))
        sock.connect((lab.address(), port))
        yield sock


def store(lab, key, value):
    with connection(lab, MEMCACHED) as sock:
        sock.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
        assert sock.makefile("rb").readline() == b"STORED\r\n"


def get_memcached(stream, sock, key, length):
    sock.sendall(b"get %s\r\n" % key)
    assert stream.readline() == b"VALUE %s 0 %d\r\n" % (key, length)
    value = stream.read(length)
    assert stream.readline() + stream.readline() == b"\r\nEND\r\n"
    return value


def get_resp(stream, sock, key, length):
    sock.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key))
    assert stream.readline() == b"$%d\r\n" % length
    value = stream.read(length)
    assert stream.readline() == b"\r\n"
    return value


GETS = {MEMCACHED: get_memcached, RESP: get_resp}


def fetch(lab, port, key, value, times):
    """SHA-256, as a client would that had asked for a file; the kernel's TCP has looked at each segment's own checksum."""
    wish = hashlib.sha256(value).digest()
    with connection(lab, port) as sock:
        stream = sock.makefile("rb")
        for _ in range(times):
            assert hashlib.sha256(GETS[port](stream, sock, key, len(value))).digest() == wish


def all_let_go(lab):
    """Nothing is replaced and kept: neither a connection nor a frame has a pin left."""
    rack.wait_for(lambda: lab.counters()["retired"] == 0, 10, "replaced items are freed")


def test_the_node_says_that_it_refers(lab):
    worker, = (line.split() for line in lab.cli("workers").stdout.splitlines()[1:])
    assert "referred" in worker
    assert "worker 0: large values are sent from where they stand" in lab.log()


@pytest.mark.parametrize("loss", ["0%", "1%", "5%"])
@pytest.mark.parametrize("port", [MEMCACHED, RESP], ids=["memcached", "resp"])
def test_every_byte_of_a_megabyte_arrives(lab, port, loss):
    values = {b"%d-%d" % (port, i): bytes_of(f"{port} {i}") for i in range(3)}
    for key, value in values.items():
        store(lab, key, value)
    if loss != "0%":
        lab("loss", "n1", loss)
    before = lab.counters()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda key: fetch(lab, port, key, values[key], 3 if loss != "5%" else 1), values))
    lab("heal")
    after = lab.counters()
    grown = {name: after[name] - before[name] for name in ("tx_referred", "tcp_segments_out", "tcp_retransmits", "tcp_timeouts")}
    print(loss, grown)
    if loss == "0%":
        assert grown["tx_referred"] > 9 * (LEN // 1460 - 3)
    else:
        assert grown["tcp_retransmits"] > 0 and grown["tx_referred"] > 100
    assert after["drop_tx_chain"] == 0
    for key in values:
        store(lab, key, b"small")
    all_let_go(lab)


def test_odd_lengths_and_pipelines_arrive(lab):
    """Values of every remainder to the segments' length, many in one reply: referred bytes begin at odd places."""
    sizes = [2047, 2048, 2049, 3001, 4097, 5555, 10001, 65537]
    for size in sizes:
        store(lab, b"odd%d" % size, bytes_of(size, size))
    before = lab.counters()["tx_referred"]
    with connection(lab, MEMCACHED) as sock:
        stream = sock.makefile("rb")
        sock.sendall(b"get " + b" ".join(b"odd%d" % size for size in sizes * 10) + b"\r\n")
        for size in sizes * 10:
            assert stream.readline() == b"VALUE odd%d 0 %d\r\n" % (size, size)
            assert stream.read(size) == bytes_of(size, size)
            assert stream.readline() == b"\r\n"
        assert stream.readline() == b"END\r\n"
    assert lab.counters()["tx_referred"] - before > 100


def test_a_value_that_is_replaced_on_its_way_arrives_as_it_was(lab):
    old, new = bytes_of("old"), bytes_of("new")
    store(lab, b"moving", old)
    with connection(lab, MEMCACHED) as sock:
        stream = sock.makefile("rb")
        sock.sendall(b"get moving\r\n")
        assert stream.readline() == b"VALUE moving 0 %d\r\n" % LEN
        for i in range(20):
            store(lab, b"moving", new[i:])
        assert stream.read(LEN) == old
        assert stream.readline() + stream.readline() == b"\r\nEND\r\n"
    all_let_go(lab)


def test_a_client_that_vanishes_holds_no_item(lab):
    """Its address is gone amid its transfers: nobody answers, neither ACK nor RST. The first timeout copies, and the items are free."""
    ghost = f"{lab.net}.0.{GHOST}"
    lab.exec("ip", "addr", "add", f"{ghost}/24", "dev", "e0")
    for i in range(8):
        store(lab, b"ghost%d" % i, bytes_of(f"ghost {i}"))
    before = lab.counters()
    with contextlib.ExitStack() as open_ones:
        for i in range(8):
            sock = open_ones.enter_context(connection(lab, MEMCACHED, ghost))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.sendall(b"get ghost%d\r\n" % i)
            assert sock.recv(10000)[:10] == b"VALUE ghos"
        lab.exec("ip", "addr", "del", f"{ghost}/24", "dev", "e0")
        rack.wait_for(lambda: lab.counters()["tcp_timeouts"] >= before["tcp_timeouts"] + 8, 30, "each of them has timed out")
        for i in range(8):
            store(lab, b"ghost%d" % i, b"small")
        all_let_go(lab)
        assert lab.counters()["tx_referred"] > before["tx_referred"]


def test_datagrams_refer_too(lab):
    """The native protocol: a value that fits a frame, and one below the least, which is copied."""
    for length, least in ((1000, 0), (1024, 1), (1300, 1)):
        value = bytes_of(length, length)
        before = lab.counters()["tx_referred"]
        client = lab.client()
        client.set(b"native", value)
        assert client.get(b"native") == value
        referred = lab.counters()["tx_referred"] - before
        assert referred >= least and (least or referred == 0), (length, referred)
        store(lab, b"native", b"small")
    all_let_go(lab)


def test_the_client_library_gets_a_megabyte(lab):
    """Range by range, each as long as a frame."""
    value = bytes_of("library")
    store(lab, b"library", value)
    before = lab.counters()["tx_referred"]
    done = lab.exec("slipring", "get", "library", text=False)
    assert done.stdout.rstrip(b"\n") == value.rstrip(b"\n")
    assert lab.counters()["tx_referred"] - before > 700


def test_what_another_node_answers_arrives_too():
    """A node asks another for its keys. Such answers stand in a slot or a block, and are copied; its own keys' are referred to."""
    with rack.lab("vc", cluster=True, nodes=2, profile="af_packet", no_huge=True, settings={"memory": "64M"}) as lab:
        client, values = lab.client(), {b"of-either-%d" % i: bytes_of(i, 1300) for i in range(20)}
        for key, value in values.items():
            client.set(key, value)
        for key, value in values.items():
            assert client.get(key) == value
        for i in range(4):
            store(lab, b"large-%d" % i, bytes_of(i))
            fetch(lab, MEMCACHED, b"large-%d" % i, bytes_of(i), 2)
            fetch(lab, RESP, b"large-%d" % i, bytes_of(i), 2)
            store(lab, b"large-%d" % i, b"small")
        for node in ("n1", "n2"):
            figures = lab.counters(node)
            assert figures["items"] > 0 and figures["drop_tx_chain"] == 0
            rack.wait_for(lambda: lab.counters(node)["retired"] == 0, 10, f"replaced items of {node} are freed")
        assert lab.counters()["tx_referred"] > 700
