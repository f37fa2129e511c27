"""doc/COMPATIBILITY.md names the clients that the tests run, and no others."""
import os
import re

import rack
import test_clients_cluster
import test_clients_memcached
import test_clients_redis


def test_the_table_is_what_runs():
    with open(os.path.join(rack.ROOT, "doc/COMPATIBILITY.md")) as f:
        table = f.read().split("# Clients that are tested", 1)[1]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[5])}
    run = {*test_clients_redis.CLIENTS, *test_clients_memcached.CLIENTS, *test_clients_cluster.CLIENTS, "hiredis"}
    assert named == run, (named - run, run - named)
