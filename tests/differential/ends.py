"""The two ends of a comparison: memcached, and a Slipring node; and how to ask them."""
import os
import shutil
import socket
import struct
import subprocess
import time

HEADER = struct.Struct(">HHHH")
SENTINEL = b"mn\r\n"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Silence(AssertionError):
    """A reply that did not come, or came too late."""


class UdpEnd:
    """Asks over UDP with memcached's frame header, and puts a reply's datagrams together."""

    def __init__(self, address, timeout=2.0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.connect(address)
        self.socket.settimeout(timeout)
        self.address = address
        self.last_id = 0

    def close(self):
        self.socket.close()

    def send(self, text):
        self.last_id = (self.last_id + 1) % 65536
        self.socket.send(HEADER.pack(self.last_id, 0, 1, 0) + text)
        return self.last_id

    def receive(self, what):
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            raise Silence(f"no answer of {type(self).__name__} to {what!r}") from None
        assert len(data) >= HEADER.size, data
        return HEADER.unpack_from(data) + (data[HEADER.size:],)


class Memcached(UdpEnd):
    """memcached 1.6.18. It numbers every response of a request apart, so only what a
    further request answers tells that a reply has ended."""

    def ask(self, text):
        asked = self.send(text)
        sentinel = self.send(SENTINEL)
        reply = b""
        while True:
            request_id, _, _, _, body = self.receive(text)
            if request_id == sentinel:
                assert body == b"MN\r\n", body
                return reply
            assert request_id == asked, "memcached answered another request"
            reply += body

    def ask_tcp(self, text):
        """One connection for one request: what memcached answers before its end of input."""
        with socket.create_connection(self.address) as tcp:
            tcp.settimeout(5)
            tcp.sendall(text)
            tcp.shutdown(socket.SHUT_WR)
            reply = b""
            while chunk := tcp.recv(65536):
                reply += chunk
        return reply


class Node(UdpEnd):
    """A Slipring node: every reply is one run of datagrams, numbered and full but the last.

    patience: seconds to wait after a silent request. Another worker may execute it, and
    what is asked next at this one would overtake it."""

    def __init__(self, address, patience=0.0):
        super().__init__(address)
        self.patience = patience

    def ask(self, text, expect=True):
        asked = self.send(text)
        return self.collect(asked, text) if expect else self.hear_nothing(asked, text)

    def collect(self, asked, text):
        parts, total = {}, None
        while total is None or len(parts) < total:
            request_id, sequence, of, reserved, body = self.receive(text)
            assert request_id == asked, f"late or foreign reply {body!r}"
            assert reserved == 0 and sequence < of and sequence not in parts
            assert total in (None, of) and 0 < len(body) <= 1392
            total, parts[sequence] = of, body
        assert all(len(parts[i]) == 1392 for i in range(total - 1))
        return b"".join(parts[i] for i in range(total))

    def hear_nothing(self, asked, text):
        sentinel = self.send(SENTINEL)
        request_id, _, _, _, body = self.receive(text)
        assert (request_id, body) == (sentinel, b"MN\r\n"), f"{text!r} was to be silent, answered {body!r}"
        time.sleep(self.patience)
        return b""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1]


def start_memcached():
    """memcached on loopback, TCP and UDP on one port that was free a moment ago. Without its
    LRU thread: references held there make the width of a decremented number a matter of time."""
    program = shutil.which("memcached", path=os.environ["PATH"] + ":/usr/bin:/usr/local/bin")
    assert program, "memcached is not installed: scripts/deps test"
    for _ in range(5):
        port = str(free_port())
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = subprocess.Popen([program, "-l", "127.0.0.1", "-p", port, "-U", port, "-t", "1", "-m", "64",
                                    "-o", "no_lru_maintainer,no_lru_crawler", *user],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = Memcached(("127.0.0.1", int(port)), timeout=0.2)
        for _ in range(50):
            try:
                end.send(SENTINEL)
                end.receive(SENTINEL)
                drain(end)
                end.socket.settimeout(2.0)
                return process, end
            except (Silence, ConnectionError):
                time.sleep(0.02)
                if process.poll() is not None:
                    break
        end.close()
        process.kill()
        process.wait()
    raise AssertionError("memcached does not answer")


def drain(end):
    """Takes what earlier attempts to say hello have left behind."""
    end.socket.settimeout(0.1)
    try:
        while True:
            end.receive(b"")
    except Silence:
        return None


def start_node(workers):
    program = os.path.join(ROOT, os.environ.get("SLIPRING_BUILD", "build/release"), "tests/differential/memcached_pipe")
    process = subprocess.Popen([program, "-w", str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = int(process.stdout.readline())
    return process, Node(("127.0.0.1", port))


class Pair:
    """memcached and a node, started here or, when `target` is given, running elsewhere."""

    def __init__(self, workers, target=None):
        self.workers, self.target = workers, target
        self.start()

    def start(self):
        self.memcached_process, self.memcached = start_memcached()
        if self.target:
            host, _, port = self.target.rpartition(":")
            self.node_process, self.node = None, Node((host, int(port)), patience=0.003)
        else:
            self.node_process, self.node = start_node(self.workers)

    def close(self):
        self.memcached.close()
        self.node.close()
        self.memcached_process.kill()
        self.memcached_process.wait()
        if self.node_process:
            self.node_process.stdin.close()
            status = self.node_process.wait(10)
            assert status == 0, f"memcached_pipe ended with {status}"

    def restart(self):
        """Both empty again, whatever state one of them was in."""
        try:
            self.close()
        finally:
            self.start()
