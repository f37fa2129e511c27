"""slipring import and export: many keys through files, pipes and a bad link; and where it says to go on."""
import base64
import json
import os
import pty
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import BUILD

import slipring

OK, NO, USAGE, UNREACHABLE, REFUSED, UNKNOWN = range(6)
PROGRAM = os.path.join(BUILD, "slipring")


def run(port, *arguments, data=None, text=True):
    done = subprocess.run([PROGRAM, "-H", f"127.0.0.1:{port}", *map(str, arguments)], input=data, text=text,
                          capture_output=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def record(key, value, **more):
    def member(name, data):
        try:
            return {name: data.decode()}
        except UnicodeDecodeError:
            return {f"{name}_base64": base64.b64encode(data).decode()}
    return json.dumps({**member("key", key), **member("value", value), **more}) + "\n"


@pytest.fixture
def fill(tmp_path, cache):
    """Records in a file, of all kinds: texts, octets, empty, large."""
    draw = random.Random(11)
    values = {f"file:{i}".encode(): draw.randbytes(draw.randint(0, 2000)) for i in range(500)}
    values |= {b"file:text": "Grüße\n\0\"".encode(), b"file:empty": b"", b"file:\0\xff": b"\xff",
               b"file:large": draw.randbytes(1 << 20), b"file:wide": b"\0" * (1 << 20)}
    (tmp_path / "in").write_text("".join(record(k, v, flags=i, ttl_ms=3600_000 + i) for i, (k, v) in enumerate(values.items())))
    return values, tmp_path


def test_what_goes_in_comes_out(node, cache, fill):
    values, folder = fill
    status, out, err = run(node.port, "import", folder / "in")
    assert (status, out, err) == (OK, f"{len(values)} stored\n", "")
    assert cache.mget(values) == values
    meta = cache.meta(b"file:text")
    assert meta.flags == 500 and 3590 < meta.ttl <= 3600.5
    (folder / "keys").write_text("".join(key.hex() + "\n" for key in values))
    status, first, _ = run(node.port, "export", "--hex", folder / "keys")
    assert status == OK
    lines = [json.loads(line) for line in first.splitlines()]
    assert [line.get("key", "").encode() or base64.b64decode(line["key_base64"]) for line in lines] == list(values)  # in order
    assert [line.get("flags", 0) for line in lines] == list(range(len(values)))
    assert all(3590_000 < line["ttl_ms"] <= 3600_505 for line in lines)
    for key in values:
        cache.delete(key)
    status, out, _ = run(node.port, "import", "-", data=first)
    assert status == OK and cache.mget(values) == values


def test_the_python_json_of_an_export_is_the_values(node, cache, fill):
    """Not only our own importer reads it."""
    values, folder = fill
    cache.mset(values)
    (folder / "keys").write_text("".join(key.hex() + "\n" for key in values))
    lines = [json.loads(line) for line in run(node.port, "export", "--hex", folder / "keys")[1].splitlines()]
    found = [line["value"].encode() if "value" in line else base64.b64decode(line["value_base64"], validate=True) for line in lines]
    assert found == list(values.values())
    assert all("ttl_ms" not in line and "flags" not in line for line in lines)  # they never expire


def test_over_a_bad_link(start, tmp_path):
    port = start("--loss", 10, "--duplicate", 10, "--reorder", 10, "--workers", 2).port
    values = {f"k{i}".encode(): os.urandom(i) for i in range(1000)} | {b"large": os.urandom(1 << 20)}
    (tmp_path / "in").write_text("".join(record(k, v) for k, v in values.items()))
    assert run(port, "-t", "30s", "import", tmp_path / "in")[:2] == (OK, "1001 stored\n")
    (tmp_path / "keys").write_bytes(b"\n".join(values))
    status, out, _ = run(port, "-t", "30s", "export", tmp_path / "keys")
    assert status == OK and len(out.splitlines()) == 1001
    with slipring.Cache("127.0.0.1", port, timeout=30) as cache:
        assert cache.mget(values) == values


def test_add_leaves_what_is_there(node, cache):
    cache.set("add:1", b"mine")
    cache.mget(["add:2"]) and cache.delete("add:2")
    status, out, _ = run(node.port, "import", "--add", "-", data=record(b"add:1", b"x") + record(b"add:2", b"x"))
    assert (status, out) == (OK, "1 stored, 1 were there\n")
    assert cache.get("add:1") == b"mine" and cache.get("add:2") == b"x"


def test_missing_keys_are_named(node, cache):
    cache.set("there", b"1")
    status, out, err = run(node.port, "export", "-", data="nowhere\n\nthere\nnor here\n")
    assert status == NO and json.loads(out) == {"key": "there", "value": "1"}
    assert err == "slipring: standard input:1: no such key: nowhere\nslipring: standard input:4: no such key: nor here\n"


@pytest.mark.parametrize("line,why", [
    ("nonsense", "not JSON"), ("{", "not JSON"), ("[]", "not an object"), ('"text"', "not JSON"),
    ("{}", "no key"), ('{"key":"a"}', "no value"), ('{"value":"a"}', "no key"), ('{"key":"","value":"a"}', "the key is empty"),
    ('{"key":5,"value":"a"}', "key: not a string"), ('{"key":"a","key_base64":"YQ==","value":""}', "both key and key_base64"),
    ('{"key_base64":"*","value":""}', "key_base64: not base64"), ('{"key_base64":"YQ","value":""}', "not base64"),
    ('{"key":"a","value":"","ttl":5}', '"ttl" is none of key, key_base64, value'),
    ('{"key":"a","value":"","ttl_ms":0}', "ttl_ms: 0"), ('{"key":"a","value":"","ttl_ms":-1}', "ttl_ms: not a whole number"),
    ('{"key":"a","value":"","ttl_ms":3153600000001}', "ttl_ms: not a whole number from 0 to 3153600000000"),
    ('{"key":"a","value":"","flags":4294967296}', "flags: not a whole number"),
    ('{"key":"a","value":"","flags":"1"}', "flags: not a whole number"), ('{"key":"a","key":"b","value":""}', "not JSON"),
    ('{"key":"%s","value":""}' % ("k" * 251), "the key has 251 bytes; the limit is 250"),
    ('{"key":"a","value":"%s"}' % ("v" * (1 << 20) + "v"), "the value has 1048577 bytes"),
    ('{"key":"a","value_base64":"%s"}' % base64.b64encode(b"v" * ((1 << 20) + 1)).decode(), "over 1048576 bytes"),
    ("x" * (9 << 20), "a line over 8388608 bytes"), ("{\"key\":\"\\ud800\",\"value\":\"\"}", "not JSON"),
], ids=lambda text: text[:30])
def test_a_line_that_cannot_be_read_is_named(node, cache, line, why):
    """What stood before it is stored, nothing behind it, and with --from it goes on."""
    keys = [f"bad:{i}" for i in range(6)]
    cache.run([slipring.Operation(slipring.Op.DELETE, key) for key in keys])
    good = [record(key.encode(), b"v") for key in keys]
    data = "".join(good[:3]) + line + "\n" + "".join(good[3:])
    status, out, err = run(node.port, "import", "-", data=data)
    assert status == USAGE and out == "" and err.startswith(f"slipring: standard input:4: ") and why in err
    assert err.endswith("; 3 stored, all lines before this one among them. Go on with --from 4\n")
    assert set(cache.mget(keys)) == set(keys[:3])
    status, out, _ = run(node.port, "import", "-", "--from", 5, data=data if len(line) < 1 << 20 else "\n" * 4 + "".join(good[3:]))
    assert (status, out) == (OK, "3 stored\n") and set(cache.mget(keys)) == set(keys)


def test_it_goes_on_where_a_node_was_lost(start, tmp_path):
    """The line told is honest: all lines before it are there."""
    node = start("--workers", 2)
    count = 60000
    (tmp_path / "in").write_text("".join(record(b"k%d" % i, b"v" * 300) for i in range(1, count + 1)))
    process = subprocess.Popen([PROGRAM, "-H", f"127.0.0.1:{node.port}", "-t", "500ms", "-j", "import", "--window", "8",
                                tmp_path / "in"],
                               stdout=subprocess.PIPE, text=True)
    with slipring.Cache("127.0.0.1", node.port, timeout=30) as cache:
        while cache.stats("store")["items"] < 500:
            time.sleep(0.001)
        node.process.send_signal(signal.SIGSTOP)
        told = json.loads(process.communicate(timeout=30)[0])
        node.process.send_signal(signal.SIGCONT)
        assert process.returncode == told["exit"] and told["exit"] in (UNREACHABLE, UNKNOWN)
        assert told["status"] in ("timeout", "outcome_unknown")
        line = told["line"]
        assert 1 < line <= count and told["stored"] >= line - 1
        assert len(cache.mget([f"k{i}" for i in range(1, line)])) == line - 1
        status, out, _ = run(node.port, "import", "--from", line, tmp_path / "in")
        assert (status, out) == (OK, f"{count - line + 1} stored\n")
        assert len(cache.mget([f"k{i}" for i in range(1, count + 1)])) == count


def test_ctrl_c_tells_where_to_go_on(node, cache):
    cache.run([slipring.Operation(slipring.Op.DELETE, f"int:{i}") for i in range(10)])
    process = subprocess.Popen([PROGRAM, "-H", f"127.0.0.1:{node.port}", "import", "-"], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdin.write("".join(record(b"int:%d" % i, b"v") for i in range(10)))
    process.stdin.flush()
    while len(cache.mget([f"int:{i}" for i in range(10)])) < 10:  # a pipe that pauses holds nothing back
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=10)[1]
    assert process.returncode == 130
    assert err == ("slipring: standard input:11: interrupted; 10 stored, all lines before this one among them. "
                   "Go on with --from 11\n")
    assert len(cache.mget([f"int:{i}" for i in range(10)])) == 10


def test_export_stops_and_tells_where(node):
    status, out, err = run(node.port, "export", "-", data="a\n" + "k" * 251 + "\n")
    assert status == USAGE and "standard input:2: the key has 251 bytes; keys have 1 to 250" in err
    status, out, err = run(node.port, "export", "--hex", "-", data="0g\n")
    assert status == USAGE and "standard input:1: with --hex" in err
    status, out, err = run(1, "-t", "200ms", "export", "-", data="a\nb\n")
    assert status == UNREACHABLE and out == "" and "standard input:1: " in err and "Go on with --from 1" in err
    with open("/dev/full", "w") as full:
        cached = subprocess.run([PROGRAM, "-H", f"127.0.0.1:{node.port}", "set", "full", "v" * 9999], check=True)
        done = subprocess.run([PROGRAM, "-H", f"127.0.0.1:{node.port}", "export", "-"], input="full\n", text=True,
                              stdout=full, stderr=subprocess.PIPE)
    assert cached.returncode == OK and done.returncode == REFUSED and "cannot write the output" in done.stderr


def test_files_that_are_not_there(node):
    for command in ("import", "export"):
        status, _, err = run(node.port, command, "/nonexistent")
        assert status == USAGE and "/nonexistent: No such file" in err
        status, _, err = run(node.port, command, "/tmp")
        assert status == USAGE and "Is a directory" in err


def test_a_bar_on_a_terminal_only(node, tmp_path):
    (tmp_path / "in").write_text("".join(record(b"bar:%d" % i, b"v" * 500) for i in range(20000)))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([PROGRAM, "-H", f"127.0.0.1:{node.port}", "import", tmp_path / "in"], stdout=subprocess.PIPE,
                               stderr=theirs, text=True)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end has closed
            break
        drawn += part
    out = process.communicate(timeout=30)[0]
    os.close(ours)
    assert out == "20000 stored\n" and process.returncode == OK
    shares = [int(n) for n in re.findall(rb"\r\[#* *\] +(\d+) %", drawn)]
    assert shares and shares == sorted(shares)
    assert drawn.endswith(b"\r\x1b[K")  # and is taken away
