"""Two hundred connections that work at the same time, on plain sockets: many.py HOST PORT resp|text|binary [connections]

Each has a key of its own, sets it and gets it back, a few requests ahead of the replies; some go and come again."""
import asyncio
import os
import struct
import sys
import time

from checks import Checks, body

host, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
COUNT, ROUNDS, AHEAD = int(sys.argv[4]) if len(sys.argv) > 4 else 200, 6, 5
checks = Checks(f"sockets/{protocol}", sys.version.split()[0])


def bulk(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


class Resp:
    def store(self, key, value):
        return bulk(b"SET", key, value), b"+OK\r\n"

    def fetch(self, key, value):
        return bulk(b"GET", key), b"$%d\r\n%b\r\n" % (len(value), value)


class Text:
    def store(self, key, value):
        return b"set %b 0 100 %d\r\n%b\r\n" % (key, len(value), value), b"STORED\r\n"

    def fetch(self, key, value):
        return b"get %b\r\n" % key, b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (key, len(value), value)


class Binary:
    def store(self, key, value):
        return (struct.pack("!BBHBBHIIQ", 0x80, 1, len(key), 8, 0, 0, 8 + len(key) + len(value), 7, 0) + struct.pack("!II", 0, 100) + key + value,
                struct.pack("!BBHBBHII", 0x81, 1, 0, 0, 0, 0, 0, 7))  # and 8 bytes of cas, which nobody knows before

    def fetch(self, key, value):
        return (struct.pack("!BBHBBHIIQ", 0x80, 0, len(key), 0, 0, 0, len(key), 9, 0) + key,
                struct.pack("!BBHBBHII", 0x81, 0, 0, 4, 0, 0, 4 + len(value), 9))


speak = {"resp": Resp, "text": Text, "binary": Binary}[protocol]()


async def expect(reader, answer, value):
    got = await reader.readexactly(len(answer))
    assert got == answer, f"{got[:80]!r} instead of {answer[:80]!r}"
    if protocol == "binary":
        await reader.readexactly(8)
        if value is not None:
            assert await reader.readexactly(4 + len(value)) == b"\0\0\0\0" + value


async def one(index, gate):
    key = b"many-%b-%d-%d" % (protocol.encode(), os.getpid(), index)
    reader, writer = await asyncio.open_connection(host, port)
    gate.append(1)
    while len(gate) < COUNT:  # nobody begins before all are connected
        await asyncio.sleep(0.005)
    for turn in range(ROUNDS):
        values = [body(10 + (index * 37 + turn * 11 + i * 501) % 3000, index + i) for i in range(AHEAD)]
        asked = [pair for value in values for pair in (speak.store(key, value) + (None,), speak.fetch(key, value) + (value,))]
        writer.write(b"".join(request for request, _, _ in asked))
        for _, answer, value in asked:
            await expect(reader, answer, value)
        if index % 10 == turn:
            writer.close()
            await writer.wait_closed()
            reader, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()


async def everyone():
    gate = []
    await asyncio.wait_for(asyncio.gather(*(one(i, gate) for i in range(COUNT))), 30)


begin = time.monotonic()
with checks(f"{COUNT} connections at the same time"):
    asyncio.run(everyone())
print(f"# {COUNT * ROUNDS * AHEAD * 2 / (time.monotonic() - begin):.0f} operations a second")
checks.end()
