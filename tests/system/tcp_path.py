"""Bytes over TCP between the kernel and a node, beside the same between two kernels: one lab, one path, the same loss."""
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

    def transfer(self, end, size, seed=1):
        """Sends `size` bytes as values, fetches them again, compares. Bytes a second: (up, down)."""
        values, rates = [], []
        left, rng = size, random.Random(seed)
        while left > 0:
            values.append(rng.randbytes(min(left, VALUE)))
            left -= VALUE
        sent = hashlib.sha256(b"".join(values)).hexdigest()
        with contextlib.closing(self.connect(end)) as sock:
            stream = sock.makefile("rb")
            begin = time.monotonic()
            for i, value in enumerate(values):
                sock.sendall(b"set %d 0 0 %d\r\n%b\r\n" % (i % 40, len(value), value))
                answer = stream.readline()
                assert answer == b"STORED\r\n", f"{end}: set {i}: {answer!r}"
            rates.append(size / (time.monotonic() - begin))
            got, fetched = hashlib.sha256(), 0
            begin = time.monotonic()
            for i in range(max(0, len(values) - 40), len(values)):
                sock.sendall(b"get %d\r\n" % (i % 40))
                head = stream.readline()
                assert head == b"VALUE %d 0 %d\r\n" % (i % 40, len(values[i])), f"{end}: get {i}: {head!r}"
                got.update(stream.read(len(values[i])))
                fetched += len(values[i])
                assert stream.readline() == b"\r\n" and stream.readline() == b"END\r\n"
            rates.append(fetched / (time.monotonic() - begin))
        if len(values) <= 40:
            assert got.hexdigest() == sent, f"{end}: other bytes came back"
        else:
            assert got.hexdigest() == hashlib.sha256(b"".join(values[-40:])).hexdigest(), f"{end}: other bytes came back"
        return rates


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
