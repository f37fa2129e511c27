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
        self.ends = {"node": lab.address("n1"), "kernel": lab.address("n2")}

    def connect(self, end, timeout=120.0):
        sock = self.lab.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        for attempt in range(4):  # a handshake may meet bad luck, too
            try:
                sock.connect((self.ends[end], MEMCACHED))
                return sock
            except TimeoutError:
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

    def transfer(self, end, size, connections=1):
        """Stores `size` bytes and fetches as many, over so many connections at once; compares. Bytes a second: (up, down)."""
        flows = [Flow(self, end, i, size // connections) for i in range(connections)]
        rates = []
        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            for step in (Flow.store, Flow.fetch):
                begin = time.monotonic()
                moved = sum(pool.map(step, flows))
                rates.append(moved / (time.monotonic() - begin))
        for flow in flows:
            flow.sock.close()
        return rates


class Flow:
    """One connection: values of its own, KEYS of them in turn."""

    def __init__(self, path, end, number, size):
        self.end, self.number = end, number
        self.values = [random.Random(f"{number} {i}").randbytes(min(size, VALUE)) for i in range(KEYS)]
        self.count = max(1, size // VALUE)
        self.sock = path.connect(end)
        self.stream = self.sock.makefile("rb")

    def store(self):
        moved = 0
        for i in range(self.count):
            value = self.values[i % KEYS]
            self.sock.sendall(b"set %d-%d 0 0 %d\r\n%b\r\n" % (self.number, i % KEYS, len(value), value))
            answer = self.stream.readline()
            assert answer == b"STORED\r\n", f"{self.end}: set {i}: {answer!r}"
            moved += len(value)
        return moved

    def fetch(self):
        moved = 0
        for i in range(self.count):
            key, value = b"%d-%d" % (self.number, i % KEYS), self.values[i % KEYS]
            self.sock.sendall(b"get %b\r\n" % key)
            head = self.stream.readline()
            assert head == b"VALUE %b 0 %d\r\n" % (key, len(value)), f"{self.end}: get {i}: {head!r}"
            got = self.stream.read(len(value))
            assert hashlib.sha256(got).digest() == hashlib.sha256(value).digest(), f"{self.end}: other bytes came back"
            assert self.stream.readline() == b"\r\n" and self.stream.readline() == b"END\r\n"
            moved += len(value)
        return moved


@contextlib.contextmanager
def path(suffix="p", **settings):
    """A lab with both ends."""
    with rack.lab(suffix, nodes=2, no_huge=True, settings={"memory": "64M", **settings}) as lab:
        lab("kill", "n2", "-9")
        space = f"{lab.name}-n2"
        subprocess.run(["ip", "-n", space, "addr", "add", f"{lab.address('n2')}/24", "dev", "e0"], check=True)
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
