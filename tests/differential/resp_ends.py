"""The two ends of a comparison over RESP: Redis 7.0, and a Slipring node; how to ask them, and how to read replies."""
import os
import shutil
import socket
import subprocess
import time

from ends import ROOT, free_port


def command(*args):
    """A command as clients send it."""
    parts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Closed(AssertionError):
    """The end closed the connection."""


class End:
    """A connection to one end."""

    def __init__(self, port):
        self.port, self.left = port, b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)

    def close(self):
        self.socket.close()

    def more(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise Closed(f"closed behind {self.left[-200:]!r}")
        self.left += data

    def line(self):
        while b"\r\n" not in self.left:
            self.more()
        line, _, self.left = self.left.partition(b"\r\n")
        return line

    def bytes(self, count):
        while len(self.left) < count:
            self.more()
        data, self.left = self.left[:count], self.left[count:]
        return data

    def reply(self):
        """One reply, whole, as its bytes."""
        line = self.line()
        out, kind = line + b"\r\n", line[:1]
        if kind in b"$=" and line[1:] != b"-1":
            return out + self.bytes(int(line[1:]) + 2)
        if kind in b"*~%>" and line[1:] != b"-1":
            return out + b"".join(self.reply() for _ in range(int(line[1:]) * (2 if kind == b"%" else 1)))
        assert kind in b"+-:$*_#,(", f"no reply begins like {line!r}"
        return out

    def ask(self, *args):
        self.socket.sendall(command(*args))
        return self.reply()

    def ask_all(self, commands):
        """Several commands at once, and the reply to each."""
        self.socket.sendall(b"".join(command(*args) for args in commands))
        return [self.reply() for _ in commands]

    def talk(self, text):
        """Bytes as they are, QUIT behind them, and all that is answered before the end closes."""
        self.socket.sendall(text + b"\r\nQUIT\r\n")
        try:
            while True:
                self.more()
        except (Closed, ConnectionError):
            out, self.left = self.left, b""
            return out


def start_redis(*options):
    """redis-server on loopback, without files."""
    program = shutil.which("redis-server", path=os.environ["PATH"] + ":/usr/bin:/usr/local/bin")
    assert program, "redis-server is not installed: scripts/deps test"
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen([program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                                    "--maxmemory-policy", "allkeys-lfu", "--databases", "1", "--dir", "/tmp", *options],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                End(port).close()
                return process, port
            except OSError:
                time.sleep(0.02)
                if process.poll() is not None:
                    break
        process.kill()
        process.wait()
    raise AssertionError("redis-server does not answer")


def start_node(*options):
    program = os.path.join(ROOT, os.environ.get("SLIPRING_BUILD", "build/release"), "tests/differential/resp_pipe")
    process = subprocess.Popen([program, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process, int(process.stdout.readline())


def start_workers(*options):
    """A node of several workers on the kernel's TCP: what other workers own is asked of them."""
    program = os.path.join(ROOT, os.environ.get("SLIPRING_BUILD", "build/release"), "tests/tools/loopback_node")
    for _ in range(50):
        port = free_port()  # the next one is a second node's, and may be anybody's
        process = subprocess.Popen([program, "--resp", str(port), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if process.stdout.readline().startswith(b"ready"):
            return process, port
        process.wait()
    raise AssertionError("loopback_node does not start")


class Pair:
    """Redis and a node, with a connection to each."""

    def __init__(self, redis_options=(), node_options=(), start=start_node):
        self.start = start
        self.redis_process, self.redis_port = start_redis(*redis_options)
        try:
            self.node_process, self.node_port = start(*node_options)
        except Exception:
            self.redis_process.kill()
            self.redis_process.wait()
            raise
        self.redis, self.node = End(self.redis_port), End(self.node_port)

    def renew(self):
        """Fresh connections."""
        self.redis.close()
        self.node.close()
        self.redis, self.node = End(self.redis_port), End(self.node_port)

    def both(self, *args):
        return self.redis.ask(*args), self.node.ask(*args)

    def close(self):
        self.redis.close()
        self.node.close()
        self.redis_process.kill()
        self.redis_process.wait()
        self.node_process.stdin.close()
        if self.start is start_workers:
            self.node_process.terminate()
        status = self.node_process.wait(10)
        assert status == 0, f"the node ended with {status}"
