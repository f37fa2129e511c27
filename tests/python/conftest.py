"""A node on loopback for the tests of the Python package and of the command line."""
import os
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("SLIPRING_BUILD") or "build/release")
# A sanitizer's library cannot be loaded into this Python: then another build's is named.
os.environ.setdefault("SLIPRING_LIBRARY", os.path.join(BUILD, "libslipring.so.0"))
sys.path.insert(0, os.path.join(ROOT, "lib/client/python"))


class Node:
    """tests/tools/loopback_node with a link as bad as its options say."""

    def __init__(self, *options):
        self.process = subprocess.Popen([os.path.join(BUILD, "tests/tools/loopback_node"), *map(str, options)],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def stop(self):
        self.process.terminate()
        self.process.stdout.close()
        assert self.process.wait(10) == 0


class Nodes:
    """Several nodes in one process, a cluster n1, n2, ..., told by orders what to do (loopback_node.c)."""

    def __init__(self, count, *options):
        self.process = subprocess.Popen([os.path.join(BUILD, "tests/tools/loopback_node"), "--nodes", str(count),
                                         *map(str, options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = [int(port) for port in self.process.stdout.readline().split()[1:]]

    def order(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def stop(self):
        self.process.terminate()
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(10) == 0


@pytest.fixture
def nodes():
    """Three nodes with two workers each."""
    nodes = Nodes(3, "--workers", 2)
    yield nodes
    nodes.stop()


@pytest.fixture(scope="session")
def node():
    """A good link and two workers; shared, so tests use keys of their own."""
    node = Node("--workers", 2)
    yield node
    node.stop()


@pytest.fixture
def start():
    """start("--loss", 5): a node of the test's own."""
    nodes = []

    def start_one(*options):
        nodes.append(Node(*options))
        return nodes[-1]

    yield start_one
    for one in nodes:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture
def cache(node):
    import slipring
    with slipring.Cache("127.0.0.1", node.port) as cache:
        yield cache
