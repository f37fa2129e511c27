"""The same commands to memcached 1.6.18 and to a Slipring node, and the same replies.

Random conversations print their seed; one that fails is cut down to the shortest that
still does. What differs on purpose is in DEVIATIONS and in doc/COMPATIBILITY.md, and
is tested for being there.

    make differential
    /usr/bin/python3 -m pytest tests/differential --target 10.77.0.11:11211 --seed 7
"""
import random
import re
import time

import pytest

import ends
from comparison import both, difference, report, shortest
from conversations import Command, Talker
from deviations import BINARY_DEVIATIONS, DEVIATIONS, STREAM_DEVIATIONS


@pytest.fixture(scope="module", params=(1, 3), ids=("one_worker", "three_workers"))
def pair(request):
    target = request.config.getoption("--target")
    if target and request.param != 1:
        pytest.skip("the target has the workers it has")
    pair = ends.Pair(request.param, target)
    yield pair
    pair.close()


@pytest.fixture
def memcached(pair):
    return pair.memcached


@pytest.fixture
def node(pair):
    return pair.node


def test_random_conversations(pair, request):
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(10**9) if seed is None else seed
    count = request.config.getoption("--conversations")
    commands = 0
    for i in range(count):
        conversation = Talker(random.Random(f"{seed} {i}")).conversation()
        commands += sum(len(datagram) for datagram in conversation)
        error = difference(pair, conversation)
        if error:
            report(pair, seed, i, conversation, error)
    print(f"seed {seed}: {count} conversations, {commands} commands")


def test_a_failing_conversation_is_cut_down():
    """The shrinking itself: of 40 datagrams the two that matter remain."""
    conversation = Talker(random.Random(1)).conversation()
    first, last = Command(b"first"), Command(b"last")
    conversation[7] = conversation[7] + [first]
    conversation[30] = [last] + conversation[30]
    calls = []

    def differs(some):
        calls.append(some)
        flat = [command for datagram in some for command in datagram]
        return first in flat and last in flat and flat.index(first) < flat.index(last)

    assert shortest(conversation, differs) == [[first], [last]]


def test_values_of_many_datagrams(memcached, node):
    both(memcached, node, b"flush_all\r\nset big 3 0 1000\r\n" + b"0123456789" * 100 + b"\r\n")
    for _ in range(300):
        both(memcached, node, b"append big 0 0 1300\r\n" + bytes(random.choices(b"abc\r\n", k=1300)) + b"\r\n")
    assert len(both(memcached, node, b"get big\r\n")) == 391000 + 27
    both(memcached, node, b"mn\r\nget big absent big\r\nmg big s v k\r\nmn\r\n")


def test_what_was_read_travels_with_a_write(memcached, node):
    """Values read before writes that other workers execute; up to 16 kB of them."""
    both(memcached, node, b"flush_all\r\n")
    keys = [b"r%d" % i for i in range(12)]
    for key in keys:
        both(memcached, node, b"set %s 0 0 1000\r\n" % key + key[-1:] * 1000 + b"\r\n")
    both(memcached, node, b"get " + b" ".join(keys) + b"\r\n" + b"".join(b"touch %s 1000\r\n" % key for key in keys))
    both(memcached, node, b"gat 1000 " + b" ".join(keys) + b"\r\nmn\r\n")
    both(memcached, node, b"get " + b" ".join(keys * 5) + b"\r\nmn\r\n")


@pytest.mark.parametrize("size", (0, 1, 1364, 1365, 1366, 1367, 1368, 1369, 1370, 2760))
def test_replies_that_end_where_a_datagram_does(memcached, node, size):
    both(memcached, node, b"flush_all\r\nset v 0 0 %d\r\n" % min(size, 1300) + b"x" * min(size, 1300) + b"\r\n")
    while size > 1300:
        size -= min(size - 1300, 1300)
        both(memcached, node, b"append v 0 0 1\r\ny\r\n" * 60)
    both(memcached, node, b"get v\r\n")


def test_many_commands_of_one_datagram(memcached, node):
    both(memcached, node, b"flush_all\r\n" + b"".join(b"set a%d 0 0 1\r\n%d\r\n" % (i, i % 10) for i in range(60)))
    both(memcached, node, b"get " + b" ".join(b"a%d" % i for i in range(64)) + b"\r\n")
    both(memcached, node, b"mn\n" * 64)


def test_the_reference_answers(memcached, node):
    """What clients are known to send, and what they take the answers for."""
    compared = (b"flush_all\r\n", b"set a 16 0 1 \r\nx\r\n", b"get a \r\n", b"get a\n", b"GET a\r\n", b"get\r\n",
                b"get " + b"k" * 251 + b"\r\n", b"set k 0 0 3\r\nabcd\r\n", b"set k 0 2678400 1\r\nx\r\nget k\r\n",
                b"add e 0 2678400 0\r\n\r\nadd e 0 2678400 0\r\n\r\nget e\r\n",
                b"set k 4294967295 -1 1\r\nx\r\nget k\r\n", b"incr none 1\r\n", b"incr a 1\r\n",
                b"set n 0 0 20\r\n18446744073709551615\r\nincr n 1\r\nget n\r\n",
                b"set n 0 0 2\r\n10\r\ndecr n 1\r\nget n\r\ndecr n 100\r\nget n\r\n", b"verbosity\r\n", b"verbosity 1\r\nverbosity 0\r\n",
                b"flush_all noreply\r\n", b"flush_all -1\r\n", b"mn\r\n", b"mg foo\r\n", b"mg foo v\r\n",
                b"mg miss v q\r\nmn\r\n", b"ms foo 2 T0 F5\r\nhi\r\n", b"mg foo s v f t k O123 q\r\n",
                b"set k 0 0 1 noreply\r\n1\r\nget k\r\n", b"stats nothing\r\n", b"stats cachedump 63 0\r\n",
                b"stats cachedump 64 0\r\n", b"stats cachedump x 0\r\n", b"stats cachedump 1\r\n", b"stats detail\r\n",
                b"stats detail x\r\n", b"stats detail dump\r\n", b"shutdown\r\n", b"get a b\r\nget " + b"k" * 251 + b" a\r\n",
                b"get a " + b"k" * 251 + b"\r\nmn\r\n")
    for text in compared:
        both(memcached, node, text)


def test_stats_are_names_and_values(node):
    known = node.ask(b"stats\r\n").decode().splitlines()
    assert known[-1] == "END"
    assert all(re.fullmatch(r"STAT [a-z_]+ \S+", line) for line in known[:-1]), known
    names = {line.split()[1] for line in known[:-1]}
    wanted = "uptime time version bytes curr_items total_items cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses " \
        "delete_hits delete_misses incr_hits decr_misses cas_hits cas_badval touch_hits evictions limit_maxbytes"
    assert not set(wanted.split()) - names
    settings = node.ask(b"stats settings\r\n").decode().splitlines()
    assert settings[-1] == "END" and len(settings) > 3
    assert all(re.fullmatch(r"STAT [a-z_]+ \S+", line) for line in settings[:-1])
    hits = "get_hits"
    count = [int(line.split()[2]) for line in known if line.startswith(f"STAT {hits} ")][0]
    node.ask(b"set counted 0 0 1\r\nx\r\nget counted\r\nget counted\r\n")
    again = node.ask(b"stats\r\n").decode().splitlines()
    assert f"STAT {hits} {count + 2}" in again


def test_expiry_in_real_time(memcached, node):
    """memcached's clock ticks once a second: asked well before and well after."""
    both(memcached, node, b"flush_all\r\nset a 0 2 1\r\nx\r\nset b 0 100 1\r\ny\r\ntouch b 2\r\nset c 0 2 1\r\nz\r\n"
         b"touch c 0\r\nset d 0 %d 1\r\nw\r\nms e 1 T2\r\ne\r\n" % (time.time() + 2))
    both(memcached, node, b"get a b c d\r\nmg e v\r\n")
    time.sleep(3.2)
    assert both(memcached, node, b"get a b c d\r\nmg e v\r\n") == b"VALUE c 0 1\r\nz\r\nEND\r\nEN\r\n"


def test_a_flush_with_a_delay(memcached, node):
    both(memcached, node, b"flush_all\r\nset a 0 0 1\r\nx\r\nflush_all 2\r\nget a\r\n")
    time.sleep(3.2)
    assert both(memcached, node, b"get a\r\nset a 0 0 1\r\nx\r\nget a\r\n") == b"END\r\nSTORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.name)
def test_deviations_are_what_the_table_says(memcached, node, deviation):
    for text in (b"flush_all\r\n",) + deviation.before:
        memcached.ask(text), node.ask(text)
    if deviation.memcached is not None:
        ask = memcached.ask_tcp if deviation.tcp else memcached.ask
        reply = ask(deviation.text)
        assert re.fullmatch(deviation.memcached, reply, re.S), reply
    reply = node.ask(deviation.text, expect=deviation.slipring != b"")
    assert re.fullmatch(deviation.slipring, reply, re.S), reply


def test_the_document_lists_the_same_deviations():
    with open(f"{ends.ROOT}/doc/COMPATIBILITY.md") as file:
        listed = re.findall(r"^\| `([a-z-]+)` \|", file.read(), re.M)
    assert sorted(listed) == sorted([deviation.name for deviation in DEVIATIONS + STREAM_DEVIATIONS] + BINARY_DEVIATIONS)


def test_a_frame_that_claims_several_datagrams_goes_unanswered(node):
    node.socket.send(ends.HEADER.pack(77, 0, 2, 0) + b"mn\r\n")
    node.socket.send(b"\0\1\0\0\0\1\0\0")
    node.socket.send(b"\0\1\0")
    node.socket.send(ends.HEADER.pack(78, 0, 1, 0) + b"get no_line_end")
    assert node.ask(b"mn\r\n") == b"MN\r\n"
