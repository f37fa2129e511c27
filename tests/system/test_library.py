"""libslipring over the lab's link: the examples run, and a get costs little more than a bare ping-pong."""
import json
import os

import pytest

from conftest import ECHO

BUILD = os.environ.get("SLIPRING_BUILD") or os.path.join(os.path.dirname(__file__), "../../build/release")


@pytest.mark.parametrize("example,line", [
    ("hello", "hello, world"),
    ("batch", "1000 stored, 1000 read back"),
    ("counter", "visit number 1"),
])
def test_example(lab, example, line):
    lab.cli("del", "visits", check=False)
    assert line in lab.exec(f"{BUILD}/examples/{example}").stdout


@pytest.mark.parametrize("wait", ["sleep", "spin"])
def test_a_get_is_at_most_1_3_times_a_bare_ping_pong(lab, wait, record_property):
    """Rounds of both alternate over the same veth to the same node, so load hits both alike."""
    arguments = ["30", "spin"] if wait == "spin" else ["30"]
    done = lab.exec(f"{BUILD}/tests/tools/pingpong", "n1", "7411", ECHO, *arguments)
    figures = json.loads(done.stdout)
    for name, value in figures.items():
        record_property(name, value)
    assert figures["ratio"] <= 1.3, figures
