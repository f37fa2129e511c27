"""slipring top: figures that agree with what was done, a screen that fits, a terminal left as it was found."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from conftest import BUILD

import slipring

PROGRAM = os.path.join(BUILD, "slipring")


def run(port, *arguments, **how):
    return subprocess.run([PROGRAM, "-H", f"127.0.0.1:{port}", "top", *arguments], text=True, capture_output=True,
                          timeout=30, **how)


class Terminal:
    """slipring top on a terminal of its own."""

    def __init__(self, port, *arguments, rows=24, columns=80):
        self.ours, self.theirs = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen([PROGRAM, "-H", f"127.0.0.1:{port}", *arguments], stdin=self.theirs, stdout=self.theirs,
                                        stderr=self.theirs, start_new_session=True)
        self.drawn = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds, until=None):
        """What is drawn within a time, or until it matches."""
        drawn, end = b"", time.monotonic() + seconds
        while time.monotonic() < end and not (until and re.search(until, drawn, re.S)):
            if select.select([self.ours], [], [], 0.05)[0]:
                drawn += os.read(self.ours, 65536)
        self.drawn += drawn
        return drawn

    def end(self):
        status = self.process.wait(10)
        self.read(0.2)
        after = termios.tcgetattr(self.theirs)
        os.close(self.ours)
        os.close(self.theirs)
        assert after == self.before
        assert self.drawn.startswith(b"\x1b[?1049h\x1b[?25l") and self.drawn.endswith(b"\x1b[?25h\x1b[?1049l")
        return status


def test_figures_are_those_of_what_was_done(start):
    node = start("--workers", 2)
    wanted = {"operations_per_second": 700, "gets_per_second": 400, "sets_per_second": 300}
    with slipring.Cache("127.0.0.1", node.port) as cache:
        process = subprocess.Popen([PROGRAM, "-H", f"127.0.0.1:{node.port}", "top", "--json", "--interval", "300ms"],
                                   stdout=subprocess.PIPE, text=True)
        first = json.loads(process.stdout.readline())
        assert first["operations_per_second"] == 0 and first["hit_ratio"] is None
        cache.mset({f"k{i}": b"v" for i in range(300)})
        cache.mget([f"k{i}" for i in range(400)])
        seen = []
        while not seen or seen[-1]["operations_per_second"] or sum(f["operations_per_second"] for f in seen) == 0:
            seen.append(json.loads(process.stdout.readline()))
        process.terminate()
        process.communicate(timeout=10)
    for name, count in wanted.items():
        assert sum(f[name] * f["interval_seconds"] for f in seen) == pytest.approx(count, abs=0.5)
        assert sum(w[name] * f["interval_seconds"] for f in seen for w in f["workers"]) == pytest.approx(count, abs=0.5)
    assert min(f["hit_ratio"] for f in seen if f["hit_ratio"] is not None) < 1
    last = seen[-1]
    assert last["items"] == 300 and len(last["workers"]) == 2 and 0.29 < last["interval_seconds"] < 30
    assert 0 < last["memory_ratio"] < 1 and last["version"] and last["drops"] == {}


def test_once_and_without_a_terminal_it_prints_plain_tables(node):
    done = run(node.port, "--once", "-i", "100ms")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert re.match(rf"slipring 127\.0\.0\.1:{node.port}  version \S+  up 0d \d\d:\d\d:\d\d  epoch 1  workers 2\n", done.stdout)
    assert re.search(r"^Memory +[\d.]+ MiB of 64\.0 MiB \([\d.]+ %\)  items \d+", done.stdout, re.M)
    assert re.findall(r"^([01]) ", done.stdout, re.M) == ["0", "1"]
    process = subprocess.Popen([PROGRAM, "-H", f"127.0.0.1:{node.port}", "top", "-i", "100ms", "-j"], stdout=subprocess.PIPE,
                               text=True)
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0 and all("workers" in line for line in lines)


@pytest.mark.parametrize("how", ["ctrl-c", "q", "terminated"])
def test_the_terminal_is_left_as_it_was_found(node, how):
    terminal = Terminal(node.port, "top", "-i", "100ms")
    assert b"WORKER" in terminal.read(5, until=rb"WORKER")
    assert termios.tcgetattr(terminal.theirs) != terminal.before
    if how == "terminated":
        terminal.process.terminate()
    elif how == "q":
        os.write(terminal.ours, b"q")
    else:
        terminal.process.send_signal(signal.SIGINT)  # it has no controlling terminal to make it of ^C
    assert terminal.end() == 0


def test_the_screen_fits_the_terminal_and_follows_it(node):
    terminal = Terminal(node.port, "top", "-i", "10m", rows=5, columns=30)
    terminal.read(5, until=rb"\[\?25l")
    terminal.process.send_signal(signal.SIGWINCH)  # nothing yet to draw again, and no harm done
    assert b"slipring" in terminal.read(5, until=rb"slipring")  # however long the interval
    os.write(terminal.ours, b"q")
    assert terminal.end() == 0
    terminal = Terminal(node.port, "top", "-i", "200ms", rows=5, columns=30)
    narrow = terminal.read(5, until=rb"\x1b\[H.*\x1b\[J.*\x1b\[H").split(b"\x1b[H")[1].partition(b"\x1b[J")[0]
    lines = [re.sub(rb"\x1b\[\w+|\r", b"", line) for line in narrow.split(b"\n")]
    assert len(lines) == 5 and max(map(len, lines)) == 30
    terminal.resize(40, 120)
    terminal.process.send_signal(signal.SIGWINCH)
    wide = terminal.read(5, until=rb"SLEEPS/S")
    assert b"SLEEPS/S" in wide
    os.write(terminal.ours, b"q")
    assert terminal.end() == 0


def test_a_node_that_is_away_is_said_and_found_again(start):
    node = start()
    terminal = Terminal(node.port, "top", "-i", "100ms", "-t", "200ms")
    terminal.read(5, until=rb"WORKER")
    node.process.send_signal(signal.SIGSTOP)
    assert b"no answer from 127.0.0.1" in terminal.read(5, until=rb"no answer")
    node.process.send_signal(signal.SIGCONT)
    back = terminal.read(5, until=rb"\x1b\[Hslipring 127[^\x1b]*epoch 1[^H]*WORKER")
    assert b"WORKER" in back
    os.write(terminal.ours, b"q")
    assert terminal.end() == 0


def test_nobody_there(node):
    done = run(1, "--once", "-t", "200ms")
    assert done.returncode == 3 and done.stdout == "" and "127.0.0.1:1" in done.stderr
    for arguments, word in ((["-i", "50ms"], "not a time from 100ms to 1h"), (["x"], "takes no arguments")):
        done = run(node.port, *arguments)
        assert done.returncode == 2 and word in done.stderr
