"""memcached 1.6.18 and a Slipring node over TCP: the same commands, text and meta, and the same replies.

The node reads its connections in random portions. Conversations print their seed; one that fails is cut down.
"""
import base64
import random
import re
import shutil
import subprocess

import pytest

import streams
from comparison import both, difference, report
from conversations import LETTERS, Command, Talker
from deviations import DEVIATIONS, STREAM_DEVIATIONS


class StreamTalker(Talker):
    """What only goes over streams: values of any size, gets of many keys, base64 keys."""

    def text_value(self):
        if self.random.random() < .1:
            size = self.random.choice((1020, 1023, 1024, 1025, 2047, 2048, 5000, 70000))
            return self.random.choice(LETTERS[:9]).to_bytes(1, "big") * size
        return super().text_value()

    def keys(self):
        if self.random.random() < .1:
            return [self.key() for _ in range(self.random.choice((23, 24, 60, 63, 64, 65, 130)))]
        return super().keys()

    def meta_flags(self, letters):
        flags = super().meta_flags(letters)
        return flags + [b"b"] if self.random.random() < .1 else flags

    def coded(self, command):
        """With flag b the key is base64: mostly it is good."""
        line, end, rest = command.text.partition(b"\n")
        words = line.split(b" ")
        if b"b" not in [word.rstrip(b"\r") for word in words[2:]]:
            return command
        # Keys of their own: memcached shows a key as it was stored, the node as it is asked for (binary-key-shown). What
        # N makes, and what was appended to, memcached does not remember as stored in base64: such items have keys apart,
        # which are never shown.
        forgotten = any(re.match(rb"N|M[APap]\r?$", word) for word in words[2:])
        shown = not forgotten and self.random.random() < .7
        key = (b"b64" if shown else b"n64") + words[1][:170]
        words[1] = base64.b64encode(key) if self.random.random() < .9 else key
        if not shown:
            words = words[:2] + [word for word in words[2:] if word.rstrip(b"\r") != b"k"]
        return Command(b" ".join(words) + end + rest, command.cas_key and key, tuple(key for _ in command.touches))

    def valid(self):
        return self.coded(super().valid())

    def malformed(self):
        """None with flag b, and none that has lost it: that would store one of the keys above as it stands."""
        while True:
            command = super().malformed()
            if not re.search(rb" b|[bn]64", command.text.partition(b"\n")[0]):
                return command

    def datagram(self):
        """Items that replies wait with are counted otherwise there (padding-is-certain): numbers come first."""
        commands = super().datagram()
        for at, command in enumerate(commands):
            if at and re.match(rb" *(incr|decr|ma) ", command.text, re.I):
                return commands[:at]
        return commands

    def conversation(self):
        return [batch for batch in (self.datagram() for _ in range(30)) if batch]


pair, hasty = streams.fixtures(streams.TextEnd)


@pytest.fixture
def memcached(pair):
    return pair.memcached


@pytest.fixture
def node(pair):
    return pair.node


def test_random_conversations(pair, request):
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(10**9) if seed is None else seed
    count = request.config.getoption("--conversations") // 2
    commands = 0
    for i in range(count):
        conversation = StreamTalker(random.Random(f"{seed} {i}")).conversation()
        commands += sum(len(batch) for batch in conversation)
        error = difference(pair, conversation)
        if error:
            report(pair, seed, i, conversation, error)
    print(f"seed {seed}: {count} conversations, {commands} commands")


@pytest.mark.parametrize("size", (1023, 1024, 4096, 65536, 1048000))
def test_large_values(hasty, size):
    memcached, node = hasty.memcached, hasty.node
    value = bytes(random.choices(b"abc\r\n", k=size))
    text = b"flush_all\r\nset v 1 0 %d\r\n%s\r\nget v\r\ngets v v\r\nappend v 0 0 3\r\nxyz\r\nmg v s v\r\n" % (size, value)
    reply = both(memcached, node, text.replace(b"gets", b"get"))
    assert len(reply) > 4 * size
    both(memcached, node, b"ms v %d c q\r\n%s\r\nmg v s h\r\nms v %d k O7 MA\r\n%s\r\nmg v s\r\n" % (size // 2, value[:size // 2], size // 3, value[:size // 3]))
    both(memcached, node, b"set v 0 0 %d\r\n%sxy\r\nmn\r\nadd v 0 0 %d noreply\r\n%s\r\nreplace v 0 0 %d\r\n%s\r\nmg v s\r\n" % (size, value, size, value, size, value))


@pytest.mark.parametrize("command", (b"set v 0 0 %d", b"set v 0 0 %d noreply", b"add w 0 0 %d", b"append v 0 0 %d", b"ms v %d", b"ms v %d q MA",
                                     b"cas v 0 0 %d 1", b"ms v %d Fx"))
def test_values_that_are_too_large(hasty, command):
    memcached, node = hasty.memcached, hasty.node
    for size in (1048577, 3000000):
        value = b"mn\r\n" * (size // 4 + 1)
        both(memcached, node, b"flush_all\r\nset v 0 0 1\r\nx\r\n" + command % size + b"\r\n" + value[:size] + b"\r\nget v\r\nmn\r\n")


def test_a_get_of_very_many_keys(memcached, node):
    both(memcached, node, b"flush_all\r\n" + b"".join(b"set key%d %d 0 4 noreply\r\n%04d\r\n" % (i, i, i) for i in range(0, 3000, 3)))
    reply = both(memcached, node, b"get " + b" ".join(b"key%d" % i for i in range(3000)) + b"\r\n")
    assert reply.count(b"VALUE") == 1000
    both(memcached, node, b"get " + b" ".join(b"key%d" % i for i in range(1500)) + b" " + b"k" * 251 + b"\r\nmn\r\n")


def test_many_commands_at_once(memcached, node):
    text = b"".join(b"set k%d 0 0 2\r\n%02d\r\nget k%d none\r\nincr k%d 1\r\n" % (i, i % 90, i, i) for i in range(2000))
    both(memcached, node, b"flush_all\r\n" + text)


@pytest.mark.parametrize("text", (b"mn\r\nquit\r\nmn\r\n", b"GET / HTTP/1.1\r\n", b"x" * 3000, b" " * 101 + b"get " + b"x" * 3000, b"get " + b"x" * 200000 + b"\r\n", b"mn\r\nset k 0 0 10\r\nabc",
                                  b"set k 0 0 70000\r\nabc", b"mn\r\nget k", b"\r\n", b"mn", b"set k 0 0 2000000\r\nabc", b"ms k 2000000\r\nabc", b"ms k 5 MX\r\nabc",
                                  b"mn\r\nset k 0 0 2000000\r\n" + b"x" * 2000001, b""))
def test_how_connections_end(memcached, node, text):
    """A value that is not wanted is answered behind its last byte, and so not at all here."""
    assert memcached.until_closed(text) == node.until_closed(text)


def test_keys_in_base64(memcached, node):
    for text in (b"ms Zm9v 2 b\r\nhi\r\nmg Zm9v b v\r\nmg foo v\r\nmg Zm9v b k\r\n", b"mg YQ b\r\nmg YQ= b\r\nmg ==== b\r\nmg !!!! b\r\n",
                 b"mg Y!WJ$j b k\r\nmg YQ==YQ== b k\r\nmd Zm9v b k O1\r\nmd Zm9v b q k\r\n", b"ma bg== b N0 J5 v k\r\nma bg== b v k O3\r\nget n\r\n",
                 b"me Zm9 b\r\nme\r\nme " + b"k" * 251 + b"\r\n", b"mg %s b\r\n" % base64.b64encode(b"k" * 187)):
        both(memcached, node, b"flush_all\r\n" + text)


@pytest.mark.parametrize("deviation", [deviation for deviation in DEVIATIONS if not deviation.udp_only] + STREAM_DEVIATIONS,
                         ids=lambda deviation: deviation.name)
def test_deviations_are_what_the_table_says(hasty, deviation):
    for text in (b"flush_all\r\n",) + deviation.before:
        hasty.memcached.ask(text), hasty.node.ask(text)
    if deviation.memcached is not None:
        reply = hasty.memcached.ask(deviation.text)
        assert re.fullmatch(deviation.memcached, reply, re.S), reply
    reply = hasty.node.ask(deviation.text)
    assert re.fullmatch(deviation.slipring, reply, re.S), reply


def test_memccapable_finds_no_fault(hasty):
    """libmemcached's own test of servers, text and binary."""
    if not shutil.which("memccapable"):
        pytest.skip("libmemcached-tools is not installed")
    host, port = hasty.node.address
    done = subprocess.run(["memccapable", "-h", host, "-p", str(port)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "All tests passed" in done.stdout, done.stdout
