"""Redis clients as they are, against Redis 7.0 and against a node: both must do."""
import os
import re
import subprocess

import pytest

from clients import MODULES, PROGRAMS, REDIGO, have

HIREDIS = "/usr/include/hiredis/hiredis.h"

CLIENTS = {
    "redis-py": ("redis_py.py", ["python"], ["py:redis"]),
    "redis-py-hiredis": ("redis_py.py", ["hiredis"], ["py:redis", "py:hiredis"]),
    "node-redis-3": ("node_redis.js", ["3"], ["npm:redis"]),
    "node-redis-2": ("node_redis.js", ["2"], ["npm:redis"]),
    "ioredis": ("ioredis.js", ["ioredis"], ["npm:ioredis"]),
    "iovalkey": ("ioredis.js", ["iovalkey"], ["npm:iovalkey"]),
    "php-redis": ("php_client.php", ["redis"], ["php", "/usr/share/doc/php-redis"]),
    "redis-rb": ("ruby_client.rb", ["redis"], ["ruby", "/usr/share/doc/ruby-redis"]),
    "perl-redis": ("perl_client.pl", ["redis"], ["/usr/share/doc/libredis-perl"]),
    "redigo": ("redigo.go", [], ["go", REDIGO]),
    "django-redis": ("django_cache.py", ["django-redis"], ["py:django", "py:django_redis"]),
    "first-words": ("connects.py", [], []),
    "200-connections": ("many.py", ["resp"], []),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_client(end, client):
    program, arguments, wanted = CLIENTS[client]
    have(*wanted)
    end.program(program, "resp", *arguments, *(["oracle"] if client == "first-words" and end.kind == "oracle" else []))


def test_hiredis(end, tmp_path):
    have(HIREDIS, "gcc")
    program = str(tmp_path / "hiredis_client")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hiredis"], check=True, text=True, capture_output=True).stdout.split()
    subprocess.run(["gcc", "-Wall", "-Werror", "-O1", "-o", program, os.path.join(PROGRAMS, "hiredis_client.c"), *flags], check=True)
    end.program(program, "resp")


# --- redis-cli --------------------------------------------------------------------------

def cli(end, *arguments, **how):
    have("redis-cli")
    return end.run("redis-cli", "-h", "H", "-p", "R", *arguments, **how)


def test_cli_says_what_it_is_told(end):
    assert cli(end, "ping").stdout == "PONG\n"
    assert cli(end, "set", "cli", "one", "EX", "100").stdout == "OK\n"
    assert cli(end, "get", "cli").stdout == "one\n"
    assert cli(end, "--no-raw", "get", "cli-none").stdout == "(nil)\n"
    assert cli(end, "-x", "set", "cli", input="from standard input").stdout == "OK\n"
    assert cli(end, "--csv", "mget", "cli", "cli-none").stdout == '"from standard input",NULL\n'
    assert cli(end, "-r", "5", "incr", "cli-n").stdout.split() == ["1", "2", "3", "4", "5"]
    assert cli(end, "-n", "0", "del", "cli-n").stdout == "1\n"
    failed = cli(end, "-e", "incr", "cli", check=False)
    assert failed.returncode == 1 and "ERR value is not an integer" in failed.stdout + failed.stderr


def test_cli_with_resp3(end):
    assert cli(end, "-3", "set", "cli3", "v").stdout == "OK\n"
    assert cli(end, "-3", "--no-raw", "get", "cli3").stdout == '"v"\n'
    assert "proto" in cli(end, "-3", "hello").stdout
    assert cli(end, "-3", "--json", "mget", "cli3", "cli3-none").stdout.strip() == '["v",null]'


def test_cli_with_a_script_on_standard_input(end):
    said = cli(end, input="set cli-s 1\nincr cli-s\nnosuch\nget cli-s\nquit\n").stdout.splitlines()
    assert said[:2] == ["OK", "2"] and said[2].startswith("ERR unknown command") and "2" in said[3:], said


def test_cli_pipe(end):
    """Mass insertion: thousands of commands ahead of their replies."""
    text = "".join(f"*3\r\n$3\r\nSET\r\n${len(f'pipe{i}')}\r\npipe{i}\r\n$100\r\n{i:0100}\r\n" for i in range(5000))
    said = cli(end, "--pipe", input=text).stdout
    assert "errors: 0, replies: 5000" in said, said
    assert cli(end, "get", "pipe4999").stdout == f"{4999:0100}\n"


def test_cli_looks_around(end):
    cli(end, "set", "around", "x" * 50_000)
    assert stat_lines(end) >= 2
    low, high, average, count = cli(end, "--latency", "-i", "0.5", "--raw").stdout.split()
    assert int(count) >= 10 and float(average) < 50, (low, high, average, count)
    assert 'Biggest string found' in cli(end, "--bigkeys").stdout
    assert 'Biggest string found' in cli(end, "--memkeys").stdout
    assert "hot key" in cli(end, "--hotkeys").stdout.lower()
    assert cli(end, "--scan", "--pattern", "aroun?").stdout == "around\n"
    assert "redis_version" in cli(end, "info", "server").stdout


def stat_lines(end):
    said = end.run("timeout", "1", "stdbuf", "-oL", "redis-cli", "-h", "H", "-p", "R", "--stat", "-i", "0.2", check=False).stdout
    return len([line for line in said.splitlines() if re.match(r"\d+ ", line)])


# --- redis-benchmark --------------------------------------------------------------------

@pytest.mark.parametrize("arguments", (["-c", "50", "-n", "20000", "-P", "16"], ["-c", "200", "-n", "10000"]), ids=" ".join)
def test_benchmark(end, arguments):
    benchmark(end, arguments)


@pytest.mark.parametrize("arguments", (["-c", "20", "-n", "2000", "-d", "20000"], ["-c", "200", "-n", "50000", "-P", "100", "--threads", "2"]),
                         ids=" ".join)
def test_benchmark_of_large_values_and_long_pipelines(ends_session, arguments):
    """An MSET of ten such values is longer than the window that is offered at first."""
    benchmark(ends_session["node"], arguments)


def benchmark(end, arguments):
    have("redis-benchmark")
    done = end.run("redis-benchmark", "-h", "H", "-p", "R", "-q", "-r", "1000", "-t", "ping,set,get,incr,mset", *arguments)
    said = done.stdout.replace("\r", "\n")
    for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
        assert re.search(re.escape(name) + r": [\d.]+ requests per second", said), said[-500:]
    assert "ERR" not in said + done.stderr and "WARNING" not in said + done.stderr, done.stderr


# --- what stands between ----------------------------------------------------------------

def test_exporter(end):
    have("prometheus-redis-exporter", "curl")
    with end.background("prometheus-redis-exporter", "-redis.addr", f"redis://{end.host}:{end.port['resp']}",
                        "-web.listen-address", "127.0.0.1:9121", ready=lambda: end.listens(9121)):
        said = end.run("curl", "-sS", "http://127.0.0.1:9121/metrics").stdout
    figures = dict(re.findall(r"^(redis_\w+)(?:\{\})? (\S+)$", said, re.M))
    assert figures["redis_up"] == "1", said
    assert re.search(r'^redis_exporter_last_scrape_error\{err=""\} 0$', said, re.M), said
    for name in ("redis_connected_clients", "redis_memory_used_bytes", "redis_keyspace_hits_total", "redis_keyspace_misses_total",
                 "redis_commands_processed_total", "redis_evicted_keys_total", "redis_expired_keys_total", "redis_uptime_in_seconds"):
        assert float(figures[name]) >= 0, name
    assert re.search(r'^redis_instance_info\{.*redis_version="\d', said, re.M), "no redis_instance_info"


def test_nutcracker(end, tmp_path):
    have("nutcracker", "py:redis")
    config = tmp_path / "nutcracker.yml"
    config.write_text(f"redis:\n  listen: 127.0.0.1:22121\n  redis: true\n  hash: fnv1a_64\n  distribution: ketama\n  timeout: 5000\n"
                      f"  servers:\n   - {end.host}:{end.port['resp']}:1\n")
    with end.background("nutcracker", "-c", config, "-s", "22229", ready=lambda: end.listens(22121)):
        lines = end.run("/usr/bin/python3", "-B", os.path.join(PROGRAMS, "redis_py.py"), "127.0.0.1", 22121, "proxy", check=False).stdout
    assert "not ok" not in lines and "\nok " in lines, lines


def test_netcat_closes_its_half(end):
    """printf | nc: everything is answered after the client's FIN, and then the connection ends."""
    have("nc")
    asked = b"PING\r\nset nc 1\nincr nc\nGET nc\r\n*2\r\n$3\r\nGET\r\n$7\r\nnc-none\r\n"
    assert end.run("nc", "-N", "-w", "5", "H", "R", input=asked, text=False).stdout == b"+PONG\r\n+OK\r\n:2\r\n$1\r\n2\r\n$-1\r\n"


def test_netcat_waits_for_a_large_reply(end):
    """Redis forgets what it had not sent yet when the client's FIN comes; a node sends it."""
    have("nc", "redis-cli")
    cli(end, "-x", "set", "nc-large", input="y" * 1_000_000)
    whole = (b"$1000000\r\n" + b"y" * 1_000_000 + b"\r\n") * 5
    got = end.run("nc", "-N", "-w", "5", "H", "R", input=b"GET nc-large\r\n" * 5, text=False).stdout
    assert got == whole or end.kind == "oracle" and whole.startswith(got), len(got)


def test_modules_of_npm_are_those_of_the_lock_file():
    if not os.path.isdir(MODULES):
        pytest.skip("build/clients is not there: scripts/deps test")
    with open(os.path.join(PROGRAMS, "package-lock.json")) as ours, open(os.path.join(os.path.dirname(MODULES), "package-lock.json")) as theirs:
        assert ours.read() == theirs.read()
