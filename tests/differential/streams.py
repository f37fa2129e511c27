"""The two ends of a comparison over TCP, and how to ask them in text and in packets."""
import os
import random
import socket
import struct
import subprocess

import pytest

import ends

HEADER = struct.Struct(">BBHBBHIIQ")  # magic, opcode, key, extras, data type, status, body, opaque, CAS
CLOSED = b"(closed)\r\n"


class TextEnd:
    """One connection, made anew when the other side has closed it. A question that no command is mistaken
    for tells where the answers end."""

    def __init__(self, address, timeout=5.0):
        self.address, self.timeout = address, timeout
        self.socket, self.count = None, 0

    def connect(self):
        self.close()
        self.socket = socket.create_connection(self.address, self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def send(self, data):
        """Whoever closes early may not take it all."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, socket.timeout):
            pass

    def receive(self):
        try:
            return self.socket.recv(1 << 20)
        except ConnectionError:
            return b""

    def ask(self, text, expect=True):
        del expect
        if not self.socket:
            self.connect()
        self.count += 1
        question, answer = b"mg end-of-question-%d k\r\n" % self.count, b"EN kend-of-question-%d\r\n" % self.count
        self.send(text + question)
        parts, tail = [], b""
        while not tail.endswith(answer):
            try:
                chunk = self.receive()
            except socket.timeout:
                raise ends.Silence(f"no end of the answer to {text[:300]!r}: {b''.join(parts)[:300]!r}") from None
            if not chunk:
                self.close()
                return b"".join(parts) + CLOSED
            parts.append(chunk)
            tail = (tail + chunk)[-64:]
        return b"".join(parts)[:-len(answer)]

    def until_closed(self, data):
        """On a connection of its own: all that is answered before both sides have closed."""
        self.connect()
        self.send(data)
        self.socket.shutdown(socket.SHUT_WR)
        reply = b""
        while chunk := self.receive():
            reply += chunk
        self.close()
        return reply


def packet(opcode, key=b"", extras=b"", value=b"", opaque=0, cas=0, **wrong):
    """A request; keywords replace lengths and magic."""
    return HEADER.pack(wrong.get("magic", 0x80), opcode, wrong.get("key_len", len(key)), wrong.get("extras_len", len(extras)), 0, 0,
                       wrong.get("body_len", len(key) + len(extras) + len(value)), opaque, cas) + extras + key + value


class BinaryEnd(TextEnd):
    """The same in packets; a NOOP tells where the answers end. An answer is a list of
    (opcode, status, opaque, CAS, extras, key, value)."""

    def ask(self, data, expect=True):
        del expect
        if not self.socket:
            self.connect()
            self.rest = b""
        self.count += 1
        mark = 0xffff0000 + self.count % 65536
        self.send(data + packet(0x0a, opaque=mark))
        answers = []
        while True:
            while (found := self.take()) is None:
                try:
                    chunk = self.receive()
                except socket.timeout:
                    raise ends.Silence(f"no end of the answer to {data[:300]!r}: {answers}") from None
                if not chunk:
                    self.close()
                    return answers + [CLOSED]
                self.rest += chunk
            if found[0] == 0x0a and found[2] == mark:
                return answers
            answers.append(found)

    def take(self):
        if len(self.rest) < HEADER.size:
            return None
        magic, opcode, key_len, extras_len, kind, status, body_len, opaque, cas = HEADER.unpack_from(self.rest)
        assert magic == 0x81 and kind == 0, self.rest[:24]
        if len(self.rest) < HEADER.size + body_len:
            return None
        body = self.rest[HEADER.size:HEADER.size + body_len]
        self.rest = self.rest[HEADER.size + body_len:]
        return (opcode, status, opaque, cas, body[:extras_len], body[extras_len:extras_len + key_len], body[extras_len + key_len:])


def start_node(workers, *options):
    program = os.path.join(ends.ROOT, os.environ.get("SLIPRING_BUILD", "build/release"), "tests/tools/loopback_node")
    for _ in range(5):
        port = ends.free_port()
        process = subprocess.Popen([program, "--workers", str(workers), "--memcached", str(port), *options],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if process.stdout.readline().startswith(b"ready"):
            return process, ("127.0.0.1", port)
        process.wait()
    raise AssertionError("loopback_node does not start")


class Pair:
    """memcached and a node, each spoken to over one connection; `end` makes them. The node is started here or, when
    `target` is given, running elsewhere."""

    def __init__(self, end, workers, portions, seed, target=None, nodes=1):
        self.end, self.target, self.options = end, target, (workers, "--portions", str(portions), "--seed", str(seed), "--nodes", str(nodes))
        self.start()

    def start(self):
        self.memcached_process, udp = ends.start_memcached()
        udp.close()
        if self.target:
            host, _, port = self.target.rpartition(":")
            self.node_process, address = None, (host, int(port))
        else:
            self.node_process, address = start_node(*self.options)
        self.memcached, self.node = self.end(udp.address), self.end(address)

    def close(self):
        self.memcached.close()
        self.node.close()
        self.memcached_process.kill()
        self.memcached_process.wait()
        if self.node_process:
            self.node_process.terminate()
            status = self.node_process.wait(10)
            assert status == 0, f"loopback_node ended with {status}"

    def restart(self):
        try:
            self.close()
        finally:
            self.start()


def fixtures(end):
    """The fixtures `pair` and `hasty` of a module whose ends are these."""
    @pytest.fixture(scope="module", params=((1, 100000), (1, 30), (3, 30), (2, 300, 3)),
                    ids=("one_worker", "small_portions", "three_workers", "three_nodes"))
    def pair(request):
        seed = request.config.getoption("--seed") or random.SystemRandom().randrange(10**9)
        target = request.config.getoption("--target")
        if target and request.param != (1, 100000):
            pytest.skip("the target reads as it reads")
        made = Pair(end, request.param[0], request.param[1], seed, target, *request.param[2:])
        yield made
        made.close()

    @pytest.fixture(scope="module")
    def hasty(request):
        """In small portions a large value takes seconds, and shows nothing that a smaller one does not."""
        made = Pair(end, 2, 300000, 1, request.config.getoption("--target"))
        yield made
        made.close()
    return pair, hasty
