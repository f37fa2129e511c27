"""libslipring over the lab's link: the examples run."""
import os

import pytest

BUILD = os.environ.get("SLIPRING_BUILD") or os.path.join(os.path.dirname(__file__), "../../build/release")


@pytest.mark.parametrize("example,line", [
    ("hello", "hello, world"),
    ("batch", "1000 stored, 1000 read back"),
    ("counter", "visit number 1"),
])
def test_example(lab, example, line):
    lab.cli("del", "visits", check=False)
    assert line in lab.exec(f"{BUILD}/examples/{example}").stdout
