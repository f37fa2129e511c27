"""The native protocol once more, from doc/PROTOCOL.md, so that tests do not trust our own C."""
import os
import socket
import struct

PORT = 7411
GET, SET, DELETE, TOUCH, GAT, INCR, DECR, APPEND, PREPEND, META, PING, TOPOLOGY, STATS = range(1, 14)
UPLOAD_BEGIN, UPLOAD_CHUNK, UPLOAD_COMMIT, UPLOAD_ABORT, FLUSH = range(14, 19)
ADD, REPLACE, CAS, CREATE, RANGE = 1, 2, 4, 8, 16
OK, NOT_FOUND, EXISTS, NOT_STORED, TOO_LARGE, BAD_KEY, BAD_REQUEST, UNKNOWN_OP = range(8)
NOT_A_NUMBER, OUT_OF_MEMORY, BUSY, CHANGED, OUTCOME_UNKNOWN, WRONG_SLOT = range(8, 14)
UNPROVEN, STALE_BOOT, UNSUPPORTED_VERSION = 17, 18, 19
RESPONSE, AUTH, CHALLENGE = 1, 2, 4
SLOT_NONE = 0xffff
HEADER = struct.Struct("<HBBBBHQQQII")


def header(sequence, cookie, count=1, client=0, flags=0, version=1, magic=0x5253, epoch=0, window=0, error=0, boot=0):
    return HEADER.pack(magic, version, flags, count, error, boot, client, sequence, cookie, epoch, window)


def operation(op, key=b"", value=b"", extras=b"", flags=0, slot=None, reserved=0):
    if slot is None:
        slot = SLOT_NONE if op in range(GET, META + 1) or op == UPLOAD_BEGIN else 0
    return struct.pack("<BBHHBBI", op, flags, slot, len(key), len(extras), reserved, len(value)) + extras + key + value


def set_extras(client_flags=0, ttl_ms=0, version=None):
    return struct.pack("<IQ", client_flags, ttl_ms) + (b"" if version is None else struct.pack("<Q", version))


class Result:
    def __init__(self, data, at):
        self.op, self.status, self.index, extras_len, value_len, self.version = struct.unpack_from("<BBBBIQ", data, at)
        at += 16
        self.extras = data[at:at + extras_len]
        self.value = data[at + extras_len:at + extras_len + value_len]
        assert len(self.value) == value_len, "response cut short"
        self.end = at + extras_len + value_len


class Answer:
    """One response frame."""

    def __init__(self, data):
        magic, self.version, self.flags, count, self.error, reserved, self.client, self.sequence, self.cookie, \
            self.epoch, window = HEADER.unpack_from(data)
        assert magic == 0x5253 and self.flags & RESPONSE and reserved == 0 and window == 0
        self.len, self.results, at = len(data), [], HEADER.size
        for _ in range(count):
            self.results.append(Result(data, at))
            at = self.results[-1].end
        assert at == len(data), "bytes after the last result"


class Client:
    """Plain and patient: one operation at a time over a socket made by Lab.socket()."""

    def __init__(self, sock, host, port=PORT, timeout=1.0, tries=8):
        self.sock, self.tries = sock, tries
        sock.settimeout(timeout)
        sock.connect((host, port))
        self.id = int.from_bytes(os.urandom(8), "little") | 1
        self.sequence, self.cookie = 1, 0

    def frame(self, *operations, **fields):
        fields = {"client": self.id, "count": len(operations), **fields}
        return header(self.sequence, self.cookie, **fields) + b"".join(operations)

    def send(self, *operations, **fields):
        """One frame out and the next frame in; None when nothing comes."""
        payload = self.frame(*operations, **fields)
        if not self.cookie:
            payload = payload.ljust(HEADER.size, b"\0")
        self.sock.send(payload)
        return self.receive()

    def receive(self):
        try:
            answer = Answer(self.sock.recv(2048))
        except socket.timeout:
            return None
        self.cookie = answer.cookie or self.cookie
        return answer

    def call(self, op, key=b"", value=b"", extras=b"", flags=0, **fields):
        """Result of one operation, through challenges and lost frames."""
        for _ in range(self.tries):
            answer = self.send(operation(op, key, value, extras, flags), **fields)
            while answer and answer.sequence != self.sequence:
                answer = self.receive()  # late, of an earlier try
            if answer and answer.flags & CHALLENGE:
                continue
            if answer and answer.results:
                self.sequence += 1
                return answer.results[0]
            assert not answer or not answer.error, f"frame refused with {answer.error}"
        raise TimeoutError(f"no answer to operation {op} after {self.tries} tries")

    def set(self, key, value, ttl_ms=0, client_flags=0):
        result = self.call(SET, key, value, set_extras(client_flags, ttl_ms))
        assert result.status == OK, f"set: status {result.status}"
        return result.version

    def get(self, key):
        """Value, following ranges of one version; None when missing."""
        first = self.call(GET, key)
        if first.status == NOT_FOUND:
            return None
        assert first.status == OK, f"get: status {first.status}"
        total = struct.unpack("<II", first.extras)[1]
        value = first.value
        while len(value) < total:
            extras = struct.pack("<QII", first.version, len(value), total - len(value))
            more = self.call(GET, key, extras=extras, flags=RANGE)
            assert more.status == OK and more.value, f"range: status {more.status}"
            value += more.value
        return value

    def topology(self):
        """TOPOLOGY's value, all of it; None from a node that is joining."""
        value, total = b"", 1
        while len(value) < total:
            page = self.call(TOPOLOGY, extras=struct.pack("<I", len(value)))
            if page.status == BUSY:
                return None
            assert page.status == OK, f"topology: status {page.status}"
            total = struct.unpack("<I", page.extras)[0]
            value += page.value
        return value

    def stats(self, group=b""):
        """{name: text} of all lines."""
        lines, total = [], 1
        while len(lines) < total:
            result = self.call(STATS, group, extras=struct.pack("<I", len(lines)))
            assert result.status == OK, f"stats: status {result.status}"
            total = struct.unpack("<I", result.extras)[0]
            page = result.value.decode().splitlines()
            assert page or not total
            lines += page
        return dict(line.split(" ", 1) for line in lines)
