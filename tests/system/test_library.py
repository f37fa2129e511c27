"""libslipring over the lab's link: the examples run."""
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLIPRING_BUILD") or os.path.join(ROOT, "build/release")


@pytest.mark.parametrize("example,line", [
    ("hello", "hello, world"),
    ("batch", "1000 stored, 1000 read back"),
    ("counter", "visit number 1"),
])
def test_example(lab, example, line):
    lab.cli("del", "visits", check=False)
    assert line in lab.exec(f"{BUILD}/examples/{example}").stdout


def test_python(lab):
    """The package over a real link, values of many frames included."""
    code = ("import slipring\n"
            "with slipring.Cache('n1') as cache:\n"
            "    cache.set('py', bytes(range(256)) * 4096, ttl=60)\n"
            "    assert cache['py'] == bytes(range(256)) * 4096\n"
            "    cache.mset({f'py:{i}': b'v' * i for i in range(1000)}, ttl=60)\n"
            "    found = cache.mget(f'py:{i}' for i in range(1000))\n"
            "    print(len(found), sum(map(len, found.values())), cache.incr('py:n', initial=7, ttl=60), len(cache.topology().ports))\n")
    done = lab.exec("env", f"PYTHONPATH={ROOT}/lib/client/python", f"SLIPRING_LIBRARY={BUILD}/libslipring.so.0",
                    "/usr/bin/python3", "-B", "-c", code)
    assert done.stdout == "1000 499500 7 1\n"
