"""Bytes over TCP between the kernel and a node, beside the same between two kernels: one lab, one path, the same loss."""
import concurrent.futures
import contextlib
import hashlib
import os
import random
import socket
import subprocess
import time

import rack

MEMCACHED = 11211
VALUE = 250_000
KEYS = 4


class Path:
    """Two ends of one client: "node" is n1, "kernel" a memcached in n2's place. Both are behind the switch that loses."""

    def __init__(self, lab):
        self.lab = lab
        self.given_up = 0  # connections of the last transfer that were ended before their time
        self.ends = {"node": lab.address("n1"), "kernel": lab.address("n2")}

    def connect(self, end, timeout=120.0):
        for attempt in range(4):  # a handshake may meet bad luck, too
            sock = self.lab.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.settimeout(timeout)
            try:
                sock.connect((self.ends[end], MEMCACHED))
                break
            except TimeoutError:
                sock.close()
                if attempt == 3:
                    raise
        return sock

    def impair(self, loss="0%", delay=None):
        """loss: each way, of both ends. delay: (milliseconds, jitter in milliseconds, which reorders)."""
        self.lab("heal")
        for node in ("n1", "n2"):
            if loss != "0%":
                self.lab("loss", node, loss)
            if delay:
                self.lab("delay", node, delay[0], delay[1])

    def transfer(self, end, size, connections=1, value=VALUE):
        """Stores `size` bytes and fetches as many, over so many connections at once; compares. Bytes a second: (up, down)."""
        flows = [Flow(self, end, i, size // connections, value) for i in range(connections)]
        rates = []
        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            for step in (Flow.store, Flow.fetch):
                begin = time.monotonic()
                moved = sum(pool.map(step, flows))
                rates.append(moved / (time.monotonic() - begin))
        for flow in flows:
            flow.sock.close()
        self.given_up = sum(flow.given_up for flow in flows)
        return rates


class Flow:
    """One connection: values of its own, KEYS of them in turn. One that was given up is opened anew, and counted."""

    def __init__(self, path, end, number, size, value):
        self.path, self.end, self.number, self.given_up = path, end, number, 0
        self.values = [random.Random(f"{number} {i}").randbytes(min(size, value)) for i in range(KEYS)]
        self.count = max(1, size // value)
        self.sock = None  # connected by its own thread: over a bad path that takes seconds

    def connect(self):
        self.sock = self.path.connect(self.end)
        self.stream = self.sock.makefile("rb")

    def each(self, step):
        moved = 0
        if not self.sock:
            self.connect()
        for i in range(self.count):
            while True:
                try:
                    step(b"%d-%d" % (self.number, i % KEYS), self.values[i % KEYS])
                    break
                except (ConnectionError, TimeoutError):
                    self.given_up += 1
                    assert self.given_up < 10, f"{self.end}: a connection was given up ten times"
                    self.sock.close()
                    self.connect()
            moved += len(self.values[i % KEYS])
        return moved

    def store_one(self, key, value):
        self.sock.sendall(b"set %b 0 0 %d\r\n%b\r\n" % (key, len(value), value))
        self.expect(self.stream.readline(), b"STORED\r\n")

    def fetch_one(self, key, value):
        self.sock.sendall(b"get %b\r\n" % key)
        self.expect(self.stream.readline(), b"VALUE %b 0 %d\r\n" % (key, len(value)))
        got = self.stream.read(len(value))
        if len(got) < len(value):
            raise ConnectionResetError
        assert hashlib.sha256(got).digest() == hashlib.sha256(value).digest(), f"{self.end}: other bytes came back"
        self.expect(self.stream.readline() + self.stream.readline(), b"\r\nEND\r\n")

    def expect(self, said, wish):
        if said == b"":
            raise ConnectionResetError
        assert said == wish, f"{self.end}: {said!r}, not {wish!r}"

    def store(self):
        return self.each(self.store_one)

    def fetch(self):
        return self.each(self.fetch_one)


@contextlib.contextmanager
def path(suffix="p", **settings):
    """A lab with both ends."""
    with rack.lab(suffix, nodes=2, no_huge=True, settings={"memory": "64M", **settings}) as lab:
        lab("kill", "n2", "-9")
        space = f"{lab.name}-n2"
        subprocess.run(["ip", "-n", space, "addr", "add", f"{lab.address('n2')}/24", "dev", "e0"], check=True)
        for name in (space, f"{lab.name}-client"):  # else the switch would lose 64 KB at a time
            subprocess.run(["ip", "netns", "exec", name, "ethtool", "-K", "e0", "tso", "off", "gso", "off"], check=True,
                           capture_output=True)
        # A veth's checksums are left to whom it may concern; what the relay of `lab delay` carries has then a wrong one.
        subprocess.run(["ip", "netns", "exec", space, "ethtool", "-K", "e0", "tx", "off"], check=True, capture_output=True)
        # A server that takes notice of loss, as we do: BBR, which the client has, does not.
        subprocess.run(["ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno"], check=True)
        server = subprocess.Popen(["ip", "netns", "exec", space, "memcached", "-u", "root", "-m", "64", "-t", "1", "-U", "0",
                                   "-l", lab.address("n2"), "-p", str(MEMCACHED)], stderr=subprocess.DEVNULL)
        try:
            it = Path(lab)

            def up():
                with contextlib.suppress(OSError), contextlib.closing(it.connect("kernel", 1.0)):
                    return True
            rack.wait_for(up, 10, "memcached listens")
            yield it
        finally:
            server.terminate()
            server.wait(10)


def available():
    return any(os.access(os.path.join(folder, "memcached"), os.X_OK) for folder in ("/usr/bin", "/usr/local/bin"))
