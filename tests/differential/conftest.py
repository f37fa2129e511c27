"""Options of the differential tests: what is compared, and how much of it."""
import os


def pytest_addoption(parser):
    group = parser.getgroup("memcached differential")
    group.addoption("--target", default=os.environ.get("SLIPRING_TARGET"), metavar="HOST:PORT",
                    help="a node that runs already; default: memcached_pipe with one worker and with three")
    group.addoption("--seed", type=int, default=None, help="seed of the random conversations (printed by each run)")
    group.addoption("--conversations", type=int, default=80, help="random conversations (about 100 commands each)")


def pytest_configure(config):
    config.addinivalue_line("markers", "of_a_node: not for a cluster")
