"""Fixtures of the system tests: one lab for most, and a picture of the machine from before."""
import os
import re
import subprocess

import pytest

import clients
import rack

ECHO = 7


def machine():
    """What a lab makes and must take away again."""
    links = re.findall(r"^\d+: ([^:@]+)", subprocess.run(["ip", "-o", "link"], text=True, capture_output=True).stdout, re.M)
    spaces = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    ours = [s for s in spaces if s.startswith(f"t{os.getpid()}")]
    runs = [d for d in os.listdir("/run/slipring-lab") if d[0] != "."] if os.path.isdir("/run/slipring-lab") else []
    return {"interfaces": sorted(links), "our namespaces": ours,
            "our run directories": [d for d in runs if d.startswith(f"t{os.getpid()}")],
            "other labs": [d for d in runs if not d.startswith(f"t{os.getpid()}")]}


def huge_page_count():
    with open("/proc/sys/vm/nr_hugepages") as f:
        return int(f.read())


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the system tests make network namespaces: run them as root")
    config.before, config.huge_pages_before = machine(), huge_page_count()


def pytest_collection_modifyitems(items):
    """The look at what is left comes last."""
    items.sort(key=lambda item: item.fspath.basename == "test_nothing_left.py")


@pytest.fixture(scope="session")
def rack_session():
    with rack.lab(settings={"echo.port": ECHO}) as lab:
        yield lab


@pytest.fixture
def lab(rack_session):
    """The common lab: one node, one worker, af_xdp. It must outlive each test."""
    pid = rack_session.pid()
    yield rack_session
    rack_session("heal")
    assert rack_session.pid() == pid, "the node did not survive:\n" + rack_session.log()[-3000:]


@pytest.fixture
def fresh():
    """Makes labs of the test's own: fresh(workers=2, settings={...}); each is down afterwards."""
    stack = []

    def make(**up):
        context = rack.lab(f"f{len(stack)}", **up)
        stack.append(context)
        return context.__enter__()
    yield make
    for context in reversed(stack):
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def ends_session():
    """The servers that real clients meet, in one lab: {"oracle": Redis and memcached, "node": ours with two workers}."""
    yield clients.shared.enter_context(clients.both(workers=2))
    clients.shared.close()


@pytest.fixture(params=("oracle", "node"))
def end(ends_session, request):
    """One of them; the node must outlive each test."""
    it = ends_session[request.param]
    pid = it.lab.pid()
    yield it
    assert it.lab.pid() == pid, "the node did not survive:\n" + it.lab.log()[-3000:]
