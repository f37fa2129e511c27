"""memcached 1.6.18 and a Slipring node over TCP in the binary protocol: the same packets, and the same answers."""
import random
import struct
import time

import pytest

import streams
from replies import CasValues, Different
from streams import CLOSED, packet

QUIET = {0x00: 0x09, 0x01: 0x11, 0x02: 0x12, 0x03: 0x13, 0x04: 0x14, 0x05: 0x15, 0x06: 0x16, 0x08: 0x18, 0x0c: 0x0d, 0x0e: 0x19, 0x0f: 0x1a,
         0x1d: 0x1e, 0x23: 0x24}
KEYS = [b"k0", b"k1", b"k2", b"n0", b"n1", b"with blank", b"\0\xff\n", b"L" * 250]
NEVER = 0xffffffff


class Talker:
    """Random packets. cas: a key whose CAS value is to stand in the packet; None: none."""

    def __init__(self, rng):
        self.random = rng
        self.opaque = 0

    def expiry(self):
        return self.random.choice((0, 0, 0, 1000, 2592000, 2592001, int(time.time()) + 5000))

    def value(self):
        kind = self.random.randrange(10)
        if kind < 3:
            return str(self.random.choice((0, 1, 9, 10, 99, 2**32, 2**62))).encode()  # above 2^63 memcached searches for a minus sign behind the item
        if kind == 3:
            return b"~" * self.random.choice((0, 1, 1000, 1023, 1024, 3000, 70000))
        return b"~" + bytes(self.random.randrange(256) for _ in range(self.random.randrange(40))).replace(b"-", b"_")

    def one(self):
        opcode = self.random.choice((0x00, 0x0c, 0x00, 0x0c, 0x01, 0x01, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0e, 0x0f, 0x1c, 0x1d, 0x23,
                                     0x0a, 0x0b, 0x08, 0x1b, 0x20))
        key, cas = self.random.choice(KEYS), None
        if opcode in (0x05, 0x06):  # numbers with text behind them are told apart (text-after-a-number)
            key = self.random.choice((b"n0", b"n1"))
        elif opcode in (0x0e, 0x0f) and key[:1] == b"n":
            key = b"k0"
        # The CAS value of this very key: another key may have the same one here (cas-is-a-version).
        if opcode in (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0e, 0x0f) and self.random.random() < .25:
            cas = self.random.choice((key, key, 2**40))
        fields = {"key": key, "extras": b"", "value": b""}
        if opcode in (0x01, 0x02, 0x03):
            fields.update(extras=struct.pack(">II", self.random.choice((0, 1, NEVER)), self.expiry()), value=self.value())
        elif opcode in (0x0e, 0x0f):
            fields.update(value=self.value())
        elif opcode in (0x05, 0x06):
            fields.update(extras=struct.pack(">QQI", self.random.choice((0, 1, 5, 2**32, 2**64 - 1)), self.random.choice((0, 7, 2**62)),
                                             self.random.choice((0, 0, 1000, NEVER, NEVER))))
        elif opcode in (0x1c, 0x1d, 0x23):
            fields.update(extras=struct.pack(">I", self.expiry()))
        elif opcode in (0x08, 0x0a, 0x0b, 0x20, 0x1b):
            fields.update(key=b"", extras=b"\0\0\0\0" if opcode == 0x08 and self.random.random() < .5 else b"")
        if opcode in QUIET and self.random.random() < .3:
            opcode = QUIET[opcode]
        self.opaque += 1
        return opcode, fields, cas

    def malformed(self):
        """Lengths that do not fit: most of these end the connection."""
        opcode, fields, cas = self.one()
        change = self.random.choice(("extras", "key", "opcode", "body", "long"))
        if opcode in (0x1b, 0x20) or change == "opcode":  # of others memcached skips more than there is (unknown-packet-in-step)
            return self.random.choice((0x1f, 0x25, 0x40, 0xff)), {"key": b"", "value": b"x" * self.random.choice((0, 5, 2000))}, None
        if change == "extras" and opcode not in (0x08, 0x18):  # dates long ago: flush-in-the-past
            fields["extras"] = b"\1" * self.random.choice((0, 3, 4, 8, 20, 21))
        elif change in ("extras", "key"):
            fields["key"] = b""
        elif change == "body":
            waits = opcode in (0x0e, 0x0f, 0x19, 0x1a)  # with 3 bytes a value is to come, and both say nothing
            fields["body_len"] = self.random.choice((0, 1) if waits else (0, 1, 3))
        else:
            fields["key"] = b"K" * 251
        return opcode, fields, cas

    def conversation(self):
        """Batches; a packet with a CAS value stands alone, one that may end the connection is the last of its batch."""
        batches = []
        for _ in range(40):
            batch = []
            for _ in range(self.random.choice((1, 1, 2, 5, 20, 80))):
                bad = self.random.random() < .03
                one = (self.opaque + 1,) + (self.malformed() if bad else self.one())
                # Items that replies wait with are counted otherwise there (padding-is-certain).
                if batch and (one[3] is not None or one[1] in (0x05, 0x06, 0x15, 0x16)):
                    break
                batch.append(one)
                if bad or one[3] is not None:
                    break
            batches.append(batch)
        return batches


class Comparison:
    def __init__(self, pair):
        self.memcached, self.node = pair.memcached, pair.node
        self.cas, self.touched = CasValues(), set()
        self.ask(packet(0x08))

    def same(self, theirs, ours):
        if theirs == CLOSED or ours == CLOSED:
            if theirs != ours:
                raise Different(f"{theirs!r} and {ours!r}")
            return
        if theirs[:3] + theirs[4:6] != ours[:3] + ours[4:6] or (theirs[0] != 0x0b and theirs[6] != ours[6]):
            raise Different(f"{theirs!r:.300} and {ours!r:.300}")
        if bool(theirs[3]) != bool(ours[3]):
            raise Different(f"CAS {theirs[3]} and {ours[3]}")
        if theirs[3]:
            # Touched items have a new CAS value here, and the old one there (touch-renews-cas).
            self.cas.touched = {None} if self.touched else set()
            self.cas.pair(theirs[3], ours[3], None)

    def ask(self, theirs, ours=None):
        answers, others = self.memcached.ask(theirs), self.node.ask(ours or theirs)
        if answers[-1:] == [CLOSED] == others[-1:] and len(answers) < len(others):
            others = others[:len(answers) - 1] + [CLOSED]  # memcached drops replies that wait (bad-packet-keeps-replies)
        for one, other in zip(answers, others):
            self.same(one, other)
        if len(answers) != len(others):
            raise Different(f"{answers!r:.300} and {others!r:.300}")
        return answers

    def batch(self, packets):
        theirs = ours = b""
        for opaque, opcode, fields, cas in packets:
            values = (0, 0) if cas is None else (cas, cas)
            if isinstance(cas, bytes):
                values = self.present(cas) or (2**40, 2**40)
            theirs += packet(opcode, opaque=opaque, cas=values[0], **fields)
            ours += packet(opcode, opaque=opaque, cas=values[1], **fields)
            self.touched |= {fields.get("key")} if opcode in (0x1c, 0x1d, 0x1e, 0x23, 0x24) else set()
        self.ask(theirs, ours)

    def present(self, key):
        """Both sides' CAS values of a key."""
        ask = packet(0x00, key)
        theirs, ours = self.memcached.ask(ask), self.node.ask(ask)
        self.same(theirs[0], ours[0])
        return (theirs[0][3], ours[0][3]) if theirs[0][1] == 0 else None

    def hold(self, conversation):
        for batch in conversation:
            self.batch(batch)


pair, hasty = streams.fixtures(streams.BinaryEnd)


def test_random_conversations(pair, request):
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(10**9) if seed is None else seed
    count, packets = request.config.getoption("--conversations") // 2, 0
    for i in range(count):
        conversation = Talker(random.Random(f"{seed} {i}")).conversation()
        packets += sum(len(batch) for batch in conversation)
        comparison = Comparison(pair)
        for at, batch in enumerate(conversation):
            try:
                comparison.batch(batch)
            except AssertionError as error:
                pair.restart()
                pytest.fail(f"seed {seed}, conversation {i}, batch {at}: {error}\n{batch!r:.2000}", pytrace=False)
    print(f"seed {seed}: {count} conversations, {packets} packets")


def both(pair, data):
    return Comparison(pair).ask(data)


def test_values_that_are_large_and_too_large(hasty):
    pair = hasty
    for size in (1024, 25000, 65536, 1048000, 1048577, 3000000):
        value = bytes(random.choices(range(256), k=1000)) * (size // 1000 + 1)
        value = value[:size]
        both(pair, packet(0x01, b"v", b"\0" * 8, b"x") + packet(0x01, b"v", b"\0\0\0\5\0\0\0\0", value, 7) + packet(0x0c, b"v", opaque=8))
        both(pair, packet(0x01, b"v", b"\0" * 8, b"x") + packet(0x11, b"v", b"\0" * 8, value, 7) + packet(0x0e, b"v", b"", value[:600000], 9)
             + packet(0x12, b"w", b"\0" * 8, value, 7) + packet(0x03, b"z", b"\0" * 8, value, 7) + packet(0x00, b"v", opaque=8))


def test_how_connections_end(pair):
    for data in (packet(0x07), packet(0x17), packet(0x07, b"key"), packet(0x0a, magic=0x81), packet(0x00, b"k") + b"x" * 30, packet(0x0a)[:23],
                 packet(0x01, b"k", b"\0" * 8, b"v")[:-1], packet(0x01, b"k", b"\0" * 8, b"v" * 2000)[:-1], packet(0x00), packet(0x0a, b"k"),
                 packet(0x01, b"k", b"\0" * 8, b"v" * 2000000)[:-1], packet(0x0e, b"k", b"", b"v" * 2000000)[:-1], packet(0x60, b"k", b"", b"v" * 9)[:-1],
                 packet(0x1c, b"k", b"\0\0\0\0", b"more" * 6), packet(0x10, b"settings", b"x")):
        theirs, ours = pair.memcached.until_closed(packet(0x0a, opaque=5) + data), pair.node.until_closed(packet(0x0a, opaque=5) + data)
        assert theirs == ours, data


def stats_of(end, group=b""):
    answers = end.ask(packet(0x10, group))
    assert answers[-1][5:] == (b"", b"") and all(answer[1] == 0 for answer in answers)
    return {answer[5]: answer[6] for answer in answers[:-1]}


def test_statistics(pair):
    ours, theirs = stats_of(pair.node), stats_of(pair.memcached)
    assert len(set(ours) & set(theirs)) > 30 and ours[b"version"].startswith(b"1.6.18-")
    assert not {b"uptime", b"time", b"curr_connections", b"total_connections", b"bytes", b"curr_items", b"cmd_get"} - set(ours)
    assert not {b"maxbytes", b"maxconns", b"lru_crawler"} - set(stats_of(pair.node, b"settings"))
    assert not set(stats_of(pair.node, b"settings")) - set(stats_of(pair.memcached, b"settings"))
    assert pair.node.ask(packet(0x10, b"nothing"))[0][1] == pair.memcached.ask(packet(0x10, b"nothing"))[0][1] == 1


def test_unknown_packet_in_step(pair):
    """memcached skips a whole body behind extras and key, and so what follows them."""
    data = packet(0x40, b"key", b"1234", b"value", 1) + packet(0x0a, opaque=2) + packet(0x0b, opaque=3)
    assert [answer[:3] for answer in pair.node.ask(data)] == [(0x40, 0x81, 1), (0x0a, 0, 2), (0x0b, 0, 3)]
    assert pair.memcached.ask(data)[-1] == CLOSED


def test_bad_packet_keeps_replies(pair):
    data = packet(0x01, b"k", b"\0" * 8, b"x", 1) + packet(0x0a, magic=0x81)
    assert pair.memcached.until_closed(data) == b""
    assert len(pair.node.until_closed(data)) == 24


def test_statistics_stay(pair):
    for group in (b"reset", b"detail on", b"detail off"):
        assert pair.memcached.ask(packet(0x10, group))[0][1] == 0
        assert pair.node.ask(packet(0x10, group))[0][1] == 0x83


@pytest.fixture(scope="module")
def guarded():
    process, address = streams.start_node(1, "--memcached-password", "ada:lovelace")
    yield address
    process.terminate()
    assert process.wait(10) == 0


def test_who_may_come_in(guarded):
    end = streams.BinaryEnd(guarded)
    end.connect()
    end.rest = b""
    end.send(packet(0x20) + packet(0x0b) + packet(0x21, b"PLAIN", b"", b"\0ada\0wrong", 4) + packet(0x21, b"PLAIN", b"", b"\0ada\0lovelace", 5)
             + packet(0x0a, opaque=6))
    answers = []
    while len(answers) < 5:
        found = end.take()
        if found is None:
            end.rest += end.receive()
        else:
            answers.append((found[0], found[1], found[6]))
    assert answers[0] == (0x20, 0, b"PLAIN") and answers[1][:2] == (0x0b, 0)
    assert answers[2:] == [(0x21, 0x20, b"Auth failure."), (0x21, 0, b"Authenticated"), (0x0a, 0, b"")]
    assert end.ask(packet(0x01, b"k", b"\0" * 8, b"v")) != [CLOSED]
    for secret in (b"\0ada\0lovelace2", b"\0ada\0", b"\0bob\0lovelace", b"ada:lovelace", b"", b"\0\0", b"x" * 1000, b"x" * 2000):
        other = streams.BinaryEnd(guarded)
        reply = other.until_closed(packet(0x21, b"PLAIN", b"", secret) + packet(0x00, b"k", opaque=3))
        assert b"Authenticated" not in reply and reply.endswith(b"Auth failure.")
    other = streams.BinaryEnd(guarded)
    reply = other.until_closed(packet(0x21, b"PLAIN") + packet(0x22, b"PLAIN", b"", b"\0ada\0lovelace") + packet(0x0a))
    assert b"\0\x21" in reply[:24] and b"Authenticated" in reply and len(reply) == 24 + 24 + 13 + 24
    assert streams.TextEnd(guarded).until_closed(b"mn\r\n") == b""
    assert other.until_closed(packet(0x22, b"PLAIN", b"", b"\0ada\0lovelace")).endswith(b"Auth failure.")
    assert b"Auth failure." in other.until_closed(packet(0x0a) + packet(0x0a))
