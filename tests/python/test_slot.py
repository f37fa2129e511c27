"""slipring.ring, which needs no library, and the library compute the same slots."""
import os
import random
import subprocess

from conftest import ROOT
from slipring import ring

import slipring


def test_slots_in_python_are_those_in_c():
    draw = random.Random(7)
    keys = [bytes(draw.choices(b"{}ab\0\xff", k=draw.randint(1, 20))) for _ in range(5000)]
    keys += [os.urandom(draw.randint(1, slipring.KEY_MAX)) for _ in range(2000)]
    assert any(b"{" in key and b"}" in key for key in keys)
    for key in keys:
        assert ring.slot_of_key(key) == slipring.slot(key), key
    assert slipring.slot("{tag}a") == slipring.slot("tag") == ring.slot_of_key("b{tag}")


def test_the_ring_needs_no_library():
    code = "from slipring import ring; print(ring.slot_of_key('foo'))"
    done = subprocess.run(["/usr/bin/python3", "-B", "-c", code], text=True, capture_output=True, check=True,
                          env={"PYTHONPATH": os.path.join(ROOT, "lib/client/python"), "SLIPRING_LIBRARY": "/nonexistent"})
    assert done.stdout == "12182\n"
