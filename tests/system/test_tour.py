"""doc/TOUR.md, walked: each command of its console blocks is run in one shell, in order, and must print what the page shows.

`…` stands for anything within a line, a line of only `…` for any number of lines. The tour needs the default lab
and its ports; where they are in use it is skipped.
"""
import os
import re
import signal
import subprocess
import threading
import uuid

import pytest

from rack import ROOT

TOUR = os.path.join(ROOT, "doc/TOUR.md")
LONGEST = 90  # seconds for one command


def steps():
    """[(line, command, [expected lines])]"""
    found, inside = [], False
    with open(TOUR) as f:
        for number, line in enumerate(f.read().splitlines(), 1):
            if line.startswith("```"):
                inside = line == "```console"
            elif inside and line.startswith("$ "):
                found.append((number, line[2:], []))
            elif inside and line.startswith("> "):
                found[-1] = (found[-1][0], found[-1][1] + "\n" + line[2:], [])
            elif inside and found:
                found[-1][2].append(line)
    return found


def pattern(expected):
    """A regular expression for the output."""
    text = ""
    for line in expected:
        if line.strip() == "…":
            text += r"(?:.*\n)*"
        else:
            text += r".*?".join(re.escape(part) for part in line.split("…")) + r"\n"
    return text


class Shell:
    """One bash that remembers variables and background jobs."""

    def __init__(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPRING_", "MAKE", "MFLAGS"))}
        if "SLIPRING_BUILD" in os.environ:
            env["SLIPRING_BUILD"] = os.environ["SLIPRING_BUILD"]
        self.process = subprocess.Popen(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env, start_new_session=True)

    def run(self, command):
        """What it prints, and its status."""
        mark = uuid.uuid4().hex
        late = threading.Timer(LONGEST, os.killpg, (self.process.pid, signal.SIGKILL))
        late.start()
        try:
            return self.converse(command, mark)
        finally:
            late.cancel()

    def converse(self, command, mark):
        self.process.stdin.write(f"{command}\nprintf '\\n{mark} %d\\n' $?\n")
        self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            if line.startswith(mark):
                text = "".join(said)
                return text[:-1] if text.endswith("\n") else text, int(line.split()[1])
            said.append(line)
        raise AssertionError(f"the shell ended, or {LONGEST} s were over, during: {command}\n{''.join(said)}")

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture
def shell():
    if any(n.startswith("slipring-") for n in (os.listdir("/run/netns") if os.path.isdir("/run/netns") else [])):
        pytest.skip("the default lab is in use")
    shell = Shell()
    try:
        yield shell
    finally:
        shell.end()
        subprocess.run([os.path.join(ROOT, "scripts/lab"), "down", "--wipe"], capture_output=True)


def test_the_tour_holds(shell):
    assert len(steps()) > 20
    for number, command, expected in steps():
        said, _ = shell.run(command)
        said += "" if said.endswith("\n") or not said else "\n"
        assert re.fullmatch(pattern(expected), said), \
            f"doc/TOUR.md:{number}: $ {command}\nshown:\n" + "\n".join(expected) + f"\nfound:\n{said}"


def test_a_step_that_says_something_else_is_found():
    """The comparison itself: neither another word nor a line more or less passes."""
    shown = ["{", '  "epoch": …,', "…", "}"]
    assert re.fullmatch(pattern(shown), '{\n  "epoch": 17,\n  "a": 1,\n  "b": 2\n}\n')
    assert re.fullmatch(pattern(shown), '{\n  "epoch": 17,\n}\n')
    assert not re.fullmatch(pattern(shown), '{\n  "epoch": 17\n}\n')
    assert not re.fullmatch(pattern(shown), '{\n  "epoch": 17,\n}\nmore\n')
    assert not re.fullmatch(pattern(["world"]), "wor.d\n") and not re.fullmatch(pattern([]), "surprise\n")
