"""The command line: what it prints, what it exits with, and that it says so in JSON, too."""
import json
import re

import pytest

OK, NO, USAGE, UNREACHABLE, REFUSED = 0, 1, 2, 3, 4


def run(lab, *arguments, **how):
    done = lab.cli(*arguments, check=False, **how)
    return done.returncode, done.stdout, done.stderr


def as_json(lab, command, *arguments):
    done = lab.cli(command, "-j", *arguments, check=False)
    return done.returncode, json.loads(done.stdout)


def test_set_get_delete(lab):
    assert run(lab, "set", "cli", "value") == (OK, "", "")
    assert run(lab, "get", "cli")[:2] == (OK, "value")
    assert run(lab, "del", "cli")[0] == OK
    assert run(lab, "del", "cli")[0] == NO
    status, out, err = run(lab, "get", "cli")
    assert (status, out) == (NO, "") and "no such key" in err


def test_values_from_stdin_and_file(lab, tmp_path):
    blob = bytes(range(256)) * 20
    (tmp_path / "blob").write_bytes(blob)
    assert lab.cli("set", "file", f"@{tmp_path}/blob").returncode == OK
    assert lab.cli("get", "file", text=False).stdout == blob
    assert lab.cli("set", "stdin", "-", text=False, input=blob).returncode == OK
    assert lab.cli("get", "stdin", text=False).stdout == blob
    assert run(lab, "set", "file", f"@{tmp_path}/gone")[0] == USAGE


def test_numbers(lab):
    run(lab, "set", "cli:n", "40")
    assert run(lab, "incr", "cli:n", "2")[:2] == (OK, "42\n")
    assert run(lab, "decr", "cli:n")[:2] == (OK, "41\n")
    assert run(lab, "incr", "cli:missing")[0] == NO
    run(lab, "set", "cli:text", "word")
    status, _, err = run(lab, "incr", "cli:text")
    assert status == REFUSED and "number" in err


def test_conditions(lab):
    run(lab, "del", "cli:c")
    assert run(lab, "set", "--replace", "cli:c", "1")[0] == NO
    assert run(lab, "set", "--add", "cli:c", "1")[0] == OK
    assert run(lab, "set", "--add", "cli:c", "2")[0] == NO
    version = as_json(lab, "get", "cli:c")[1]["version"]
    assert run(lab, "set", "--cas", version, "cli:c", "3")[0] == OK
    assert run(lab, "set", "--cas", version, "cli:c", "4")[0] == NO
    assert run(lab, "get", "cli:c")[1] == "3"


def test_ttl_and_meta(lab):
    run(lab, "set", "--ttl", "1h", "--flags", "7", "cli:m", "four")
    status, meta = as_json(lab, "meta", "cli:m")
    assert status == OK and meta["size"] == 4 and meta["flags"] == 7 and 3590_000 < meta["ttl_ms"] <= 3600_000
    run(lab, "touch", "cli:m")
    assert re.search(r"ttl +never", run(lab, "meta", "cli:m")[1])
    run(lab, "touch", "--ttl", "1ms", "cli:m")
    assert run(lab, "get", "cli:m")[0] == NO


def test_many_keys(lab):
    for n in range(5):
        run(lab, "set", f"cli:{n}", str(n))
    status, found = as_json(lab, "mget", *[f"cli:{n}" for n in range(5)], "cli:none")
    assert status == NO
    assert [f.get("value") for f in found] == ["0", "1", "2", "3", "4", None]


def test_stats_ping_workers_sockets(lab):
    status, stats = as_json(lab, "stats")
    assert status == OK and stats["rx_frames"] > 0 and stats["cmd_get"] > 0
    assert re.search(r"budget_bytes +67108864", run(lab, "stats", "store")[1])
    status, trips = as_json(lab, "ping", "3")
    assert status == OK and len(trips) == 3 and all(t["rtt_us"] < 1e6 for t in trips)
    assert run(lab, "workers")[0] == OK
    assert len(as_json(lab, "workers")[1]) == 1
    status, sockets = as_json(lab, "sockets")
    assert status == OK and any(s["service"] == "native" and s["local"].endswith(":7411") for s in sockets)


@pytest.mark.parametrize("arguments,word", [
    ((), "no command"),
    (("nonsense",), "nonsense"),
    (("set", "k"), "VALUE"),
    (("get", "k" * 251), "250"),
    (("get", ""), "250"),
    (("set", "--ttl", "soon", "k", "v"), "ttl"),
])
def test_bad_usage(lab, arguments, word):
    """Nothing is sent; the message names what was wrong."""
    status, out, err = run(lab, *arguments)
    assert status == USAGE and word in out + err


def test_a_value_over_the_limit(lab, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * ((1 << 20) + 1))
    status, _, err = run(lab, "set", "big", f"@{tmp_path}/big")
    assert status == USAGE and "1048576" in err


def test_nobody_there(lab):
    status, _, err = run(lab, "-H", "10.9.0.9", "-t", "300ms", "get", "k")
    assert status == UNREACHABLE and "10.9.0.9:7411" in err
    status, _, err = run(lab, "-H", "n99", "get", "k")
    assert status == UNREACHABLE and "n99" in err


def test_help_of_every_command(lab):
    listed = re.findall(r"^  ([a-z]+) ", run(lab, "--help")[1].split("Options")[0], re.M)
    assert {"get", "set", "del", "incr", "touch", "meta", "mget", "stats", "ping", "workers", "sockets"} <= set(listed)
    for command in listed:
        status, out, _ = run(lab, "help", command) if command != "help" else (OK, "usage", "")
        assert status == OK and "usage" in out, command
