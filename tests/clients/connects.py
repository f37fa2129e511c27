"""What Redis clients say when they connect, sent byte for byte as recorded: connects.py HOST PORT [password=TEXT]

For clients that do not come with Debian or npm. Each conversation goes over a connection of its own, every
command is answered, and the connection lives on: a PING at the end says so."""
import socket
import sys

from checks import Checks

host, port = sys.argv[1], int(sys.argv[2])
password = next((a[9:] for a in sys.argv if a.startswith("password=")), None)
checks = Checks("first words", "as recorded")
MAY_FAIL = "CLIENT MAINT_NOTIFICATIONS"  # of newer servers than Redis 7; no client minds the error


class Wire:
    def __init__(self):
        self.socket = socket.create_connection((host, port), 5)
        self.file = self.socket.makefile("rb")

    def send(self, commands):
        """All in one segment, as pipelines do."""
        self.socket.sendall(b"".join(pack(c) for c in commands))

    def read(self):
        """A reply of RESP2 or RESP3; an error is a ValueError that is returned."""
        line = self.file.readline()
        assert line.endswith(b"\r\n"), f"closed after {line!r}"
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ValueError(rest.decode())
        if kind in b":(":
            return int(rest)
        if kind == b",":
            return float(rest)
        if kind == b"#":
            return rest == b"t"
        if kind == b"_":
            return None
        if kind in b"$=!":
            if rest == b"-1":
                return None
            text = self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
            return text[4:] if kind == b"=" else text
        if kind in b"*~>":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        assert kind == b"%", line
        return {self.read(): self.read() for _ in range(int(rest))}


def pack(command):
    words = [w.encode() if isinstance(w, str) else w for w in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


SETINFO = ["CLIENT SETINFO LIB-NAME x", "CLIENT SETINFO LIB-VER 1.2.3"]
MAINT = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip"
# Each inner list leaves in one segment.
CLIENTS = {
    "redis-py 5.2": [[SETINFO[0]], [SETINFO[1]]],
    "redis-py 8.1": [["HELLO 3"], [MAINT], [SETINFO[0]], [SETINFO[1]]],
    "redis-py cluster": [["CLUSTER SLOTS"], ["COMMAND"]],
    "go-redis 9": [["HELLO 3"], ["CLIENT SETNAME checks", "READONLY"], SETINFO, [MAINT]],
    "Jedis": [["HELLO 3"], SETINFO, ["SELECT 0"]],
    "Lettuce": [["HELLO 3"], ["SELECT 0"], ["CLIENT SETNAME checks"], SETINFO, [MAINT], ["CLUSTER NODES"], ["INFO"]],
    "StackExchange.Redis": [["HELLO 3 SETNAME checks"], ["CLIENT SETNAME checks", *SETINFO],
                            ["CONFIG GET slave-read-only", "CONFIG GET databases", "CONFIG GET timeout"], ["INFO replication", "INFO server"],
                            ["CLUSTER NODES"], ["GET __Booksleeve_TieBreak", "ECHO checks"]],
    "StackExchange.Redis without INFO": [["SET 4f1d9b0c-guid 1 PX 1 NX"], ["ECHO checks"]],
    "redis-cli -3": [["HELLO 3"], ["COMMAND DOCS"]],
    "redis-benchmark": [["CONFIG GET save", "CONFIG GET appendonly"]],
    "ioredis": [["hello 3"], SETINFO, ["info"]],
    "ioredis cluster": [["client setname ioredis-cluster(refresher)"], SETINFO, ["cluster SLOTS"], ["cluster INFO"]],
    "redis exporter": [["CLIENT SETNAME redis_exporter"], ["CONFIG GET *"], ["INFO ALL"], ["LATENCY LATEST"], ["SLOWLOG LEN"], ["SLOWLOG GET 1"]],
}
# Redis alone has no cluster, and 7.0 no CLIENT SETINFO; a node has both.
REDIS_REFUSES = ("This instance has cluster support disabled", "unknown subcommand 'SETINFO'")


def refused(command, answer):
    return isinstance(answer, ValueError) and not command.startswith(MAY_FAIL) and \
        not any(text in str(answer) for text in REDIS_REFUSES if "oracle" in sys.argv)


for client, segments in CLIENTS.items():
    with checks(client):
        wire = Wire()
        if password:
            wire.send([["AUTH", password]])
            assert wire.read() == "OK"
        for segment in segments:
            wire.send([command.split() for command in segment])
            for command in segment:
                answer = wire.read()
                assert not refused(command, answer), f"{command}: {answer}"
        wire.send([["PING"]])
        assert wire.read() == "PONG"
        wire.socket.close()
with checks("HELLO says who it is"):
    for version in ("2", "3"):
        wire = Wire()
        wire.send([["HELLO", version, *(["AUTH", "default", password] if password else [])]])
        hello = wire.read()
        hello = hello if version == "3" else dict(zip(hello[::2], hello[1::2]))
        assert hello["server"] == "redis" and hello["proto"] == int(version) and hello["role"] == "master" and hello["id"] > 0, hello
        assert hello["mode"] in ("standalone", "cluster") and hello["version"].count(".") == 2 and hello["modules"] == [], hello
    wire.send([["HELLO", "4"]])
    assert str(wire.read()).startswith("NOPROTO")
    wire.send([["PING"]])
    assert wire.read() == "PONG"
with checks("a byte at a time"):
    wire = Wire()
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if password:
        wire.send([["AUTH", password]])
        assert wire.read() == "OK"
    for byte in pack(["SET", "slow", "value"]) + pack(["GET", "slow"]):
        wire.socket.send(bytes([byte]))
    assert wire.read() == "OK" and wire.read() == "value"
with checks("bytes that are no command: an error, then the end"):
    wire = Wire()
    wire.socket.sendall(b"*1\r\n$-5\r\n")
    answer = wire.read()
    assert isinstance(answer, ValueError) and str(answer).startswith("ERR Protocol error"), answer
    assert wire.file.read() == b""
checks.end()
