"""Many connections at once to a node on loopback, RESP and memcached side by side: under the address sanitizer in `make asan`.

Each client knows what every one of its replies must be, to the byte, as its keys are its own. Some read late, some
close behind a pipeline, some vanish in the middle of a command. The node must end well, too, with nothing lost or left.
"""
import os
import random
import selectors
import socket
import struct
import subprocess
import time

import pytest

from conftest import BUILD

CLIENTS, PIPELINES, PATIENCE = 48, 4000, 60
SIZES = (0, 1, 10, 100, 1023, 1024, 2047, 2048, 5000, 20000, 70000, 200000)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, nodes, *options):
        program = os.path.join(BUILD, "tests/tools/loopback_node")
        for _ in range(20):  # a second node's port is the next one, and may be anybody's
            resp, memcached = free_port(), free_port()
            self.process = subprocess.Popen([program, "--resp", str(resp), "--memcached", str(memcached), "--nodes", str(nodes),
                                             *map(str, options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if self.process.stdout.readline().startswith(b"ready"):
                self.ports = {Resp: [resp + i for i in range(nodes)], Memcached: [memcached + i for i in range(nodes)]}
                return
            self.process.wait()
        raise AssertionError("loopback_node does not start")

    def stop(self):
        self.process.terminate()
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(20) == 0


class Speaker:
    """Commands of one client and what must be answered; `held` is what its keys hold."""

    def __init__(self, rng, name):
        self.random, self.name, self.held = rng, name, {}

    def key(self):
        return b"%s-%d" % (self.name, self.random.randrange(12))

    def value(self):
        size = self.random.choice(SIZES[:8] if self.random.random() < .8 else SIZES)
        return bytes((97 + self.random.randrange(26),)) * size

    def command(self):
        return self.random.choice(self.kinds)(self)


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def array(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Resp(Speaker):
    def set(self):
        key, value = self.key(), self.value()
        self.held[key] = value
        return array(b"SET", key, value), b"+OK\r\n"

    def get(self):
        key = self.key()
        return array(b"GET", key), bulk(self.held.get(key))

    def mget(self):
        keys = [self.key() for _ in range(self.random.randint(2, 8))]
        return array(b"MGET", *keys), b"*%d\r\n" % len(keys) + b"".join(bulk(self.held.get(key)) for key in keys)

    def append(self):
        key, value = self.key(), self.value()[:300]
        self.held[key] = self.held.get(key, b"") + value
        return array(b"APPEND", key, value), b":%d\r\n" % len(self.held[key])

    def delete(self):
        keys = {self.key() for _ in range(self.random.randint(1, 4))}
        there = [key for key in keys if self.held.pop(key, None) is not None]
        return array(b"DEL", *keys), b":%d\r\n" % len(there)

    def count(self):
        key = b"%s-count" % self.name
        self.held[key] = b"%d" % (int(self.held.get(key, b"0")) + 3)
        return array(b"INCRBY", key, b"3"), b":%s\r\n" % self.held[key]

    def transaction(self):
        tag = b"{%s}" % self.name
        value, former = self.value(), self.held.get(tag)
        self.held[tag] = value
        return (b"MULTI\r\n" + array(b"GET", tag) + array(b"SET", tag, value) + array(b"STRLEN", tag) + b"EXEC\r\n",
                b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n" + bulk(former) + b"+OK\r\n:%d\r\n" % len(value))

    def wrong(self):
        return b"PING\r\n" + array(b"GET"), b"+PONG\r\n-ERR wrong number of arguments for 'get' command\r\n"
    kinds = (set, set, set, get, get, mget, append, delete, count, transaction, wrong)


class Memcached(Speaker):
    def set(self):
        key, value = self.key(), self.value()
        self.held[key] = value
        if self.random.random() < .3:
            return b"set %s 7 0 %d noreply\r\n%s\r\n" % (key, len(value), value), b""
        return b"set %s 7 0 %d\r\n%s\r\n" % (key, len(value), value), b"STORED\r\n"

    def get(self):
        keys = [self.key() for _ in range(self.random.randint(1, 6))]
        found = b"".join(b"VALUE %s 7 %d\r\n%s\r\n" % (key, len(self.held[key]), self.held[key]) for key in keys if key in self.held)
        return b"get %s\r\n" % b" ".join(keys), found + b"END\r\n"

    def meta_get(self):
        key = self.key()
        value = self.held.get(key)
        return b"mg %s v f\r\n" % key, b"EN\r\n" if value is None else b"VA %d f7\r\n%s\r\n" % (len(value), value)

    def meta_set(self):
        key, value = self.key(), self.value()
        self.held[key] = value
        return b"ms %s %d F7 k\r\n%s\r\n" % (key, len(value), value), b"HD k%s\r\n" % key

    def delete(self):
        key = self.key()
        there = self.held.pop(key, None) is not None
        return b"delete %s\r\n" % key, b"DELETED\r\n" if there else b"NOT_FOUND\r\n"

    def count(self):
        key = b"%s-count" % self.name
        number = int(self.held.get(key, b"-3")) + 3
        self.held[key] = b"%d" % number
        return b"ma %s N0 D3 v\r\n" % key, b"VA %d\r\n%d\r\n" % (len(b"%d" % number), number)

    def wrong(self):
        return b"set %s 0 0 nothing\r\nmn\r\n" % self.key(), b"CLIENT_ERROR bad command line format\r\nMN\r\n"
    kinds = (set, set, get, get, meta_get, meta_set, delete, count, wrong)


class Client:
    """A connection, and the pipeline that is under way on it."""

    def __init__(self, server, selector, rng, number):
        self.kind = rng.choice((Resp, Memcached))
        self.speaker = self.kind(rng, b"c%d" % number)
        self.random, self.selector = rng, selector
        self.socket = socket.create_connection(("127.0.0.1", rng.choice(server.ports[self.kind])), 10)
        self.socket.setblocking(False)
        self.to_send, self.wanted, self.got = b"", b"", b""
        self.late, self.over = 0.0, False
        self.last = self.finished = False  # the pipeline is the last one; all of it is sent, and the end said
        selector.register(self.socket, selectors.EVENT_READ, self)

    def begin(self):
        commands = [self.speaker.command() for _ in range(self.random.choice((1, 1, 2, 5, 20, 60)))]
        self.to_send, self.wanted = (b"".join(part) for part in zip(*commands))
        self.got = b""
        self.late = time.monotonic() + .02 if self.random.random() < .1 else 0
        ending = self.random.random()
        if ending < .03:  # half a pipeline, and gone
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", self.random.random() < .5, 0))
            self.write(self.to_send[:self.random.randrange(len(self.to_send))])
            self.end()
        else:
            self.last = ending < .08
            self.write(b"")

    def write(self, data):
        try:
            if data:
                self.socket.send(data)
            while self.to_send and not data:
                self.to_send = self.to_send[self.socket.send(self.to_send):]
        except BlockingIOError:
            pass
        if self.last and not self.to_send and not self.finished:
            self.socket.shutdown(socket.SHUT_WR)
            self.finished = True
        if not self.over:
            self.selector.modify(self.socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self.to_send else 0), self)

    def step(self, events):
        if events & selectors.EVENT_WRITE:
            self.write(b"")
        if events & selectors.EVENT_READ and time.monotonic() > self.late:
            chunk = self.socket.recv(1 << 20)
            self.got += chunk
            assert self.wanted.startswith(self.got), self.complaint()
            if not chunk:
                assert self.finished and self.got == self.wanted, "closed: " + self.complaint()
                self.end()

    def complaint(self):
        at = len(os.path.commonprefix((self.wanted, self.got)))
        return f"{self.kind.__name__} {self.speaker.name}: at {at} {self.got[at:at + 100]!r} for {self.wanted[at:at + 100]!r}"

    def is_idle(self):
        return not self.over and not self.last and not self.to_send and self.got == self.wanted

    def end(self):
        if not self.over:
            self.over = True
            self.selector.unregister(self.socket)
            self.socket.close()


@pytest.mark.parametrize("nodes, options", ((1, ("--workers", 1)), (1, ("--workers", 3)), (2, ("--workers", 2)),
                                            (2, ("--workers", 2, "--portions", 3000))),
                         ids=("one_worker", "three_workers", "two_nodes", "two_nodes_in_portions"))
def test_many_clients_at_once(nodes, options):
    seed = int(os.environ.get("SLIPRING_SEED") or random.SystemRandom().randrange(10**9))
    print(f"SLIPRING_SEED={seed}")
    rng, number, pipelines = random.Random(seed), 0, 0
    server, selector, clients = Server(nodes, *options, "--seed", seed), selectors.DefaultSelector(), []
    end = time.monotonic() + PATIENCE
    try:
        while clients or pipelines < PIPELINES:
            assert time.monotonic() < end, "\n".join(client.complaint() for client in clients)
            while len(clients) < CLIENTS and pipelines < PIPELINES:
                clients.append(Client(server, selector, random.Random(f"{seed} {number}"), number))
                number += 1
            for client in [client for client in clients if client.is_idle()]:
                if pipelines < PIPELINES:
                    client.begin()
                    pipelines += 1
                else:
                    client.end()
            clients = [client for client in clients if not client.over]
            for key, events in selector.select(.01):
                key.data.step(events)
            clients = [client for client in clients if not client.over]
    finally:
        for client in clients:
            client.end()
        server.stop()
    assert number > CLIENTS  # some have gone, and others come
