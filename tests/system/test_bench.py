"""The benchmarks run, answer with right values, and leave the machine as it was. No figure is judged here."""
import json
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HUGE = "/proc/sys/vm/nr_hugepages"


def pages():
    with open(HUGE) as f:
        return int(f.read())


@pytest.fixture(scope="module")
def programs():
    subprocess.run(["make", "-s", "bench-programs"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def bench(part, *arguments):
    done = subprocess.run([f"{ROOT}/bench/run", part, "--seconds", "0.2", "--repeat", "1", "--no-history", *arguments],
                          text=True, capture_output=True, timeout=240)
    if "more huge pages" in done.stderr or "free huge pages" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(text):
    """{first cell: other cells}; cells stand two blanks apart."""
    split = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.startswith("  ")]
    return {cells[0]: cells[1:] for cells in split}


def test_pipeline_tells_every_stage(programs):
    before = pages()
    table = rows(bench("pipeline"))
    for stage in ("net_input", "serve_parse", "serve_run", "serve_compose", "net_output", "all"):
        assert len(table[stage]) == len(table["cycles an operation"])
    assert pages() == before


def test_transport_answers_every_load_with_right_values(programs):
    before = pages()
    table = rows(bench("transport"))
    wrong = table["over vhost, window closed"].index("wrong")
    for load in ("GET", "GET, Zipf 0.99", "GET, 16 a frame", "SET", "10 % SET, Zipf 0.99"):
        assert float(table[load][0]) > 0 and table[load][wrong] == "0"
    assert pages() == before


def test_tcp_answers_every_load_with_right_values(programs):
    """The generator's own TCP against a node over vhost, and over veth against a node, Redis and memcached."""
    before = pages()
    table = rows(bench("tcp"))
    for load in ("GET, RESP", "GET, memcached text", "GET, RESP, pipeline of 16", "SET, RESP", "connection, GET, end"):
        other = "memcached" if "memcached" in load else "redis-server"
        for name, wrong in ((load, "TCP over vhost, connections 256"), (f"{load}: slipring", "one client over veth, 64 connections"),
                            (f"{load}: {other}", "one client over veth, 64 connections")):
            assert float(table[name][0]) > 0 and table[name][table[wrong].index("wrong")] == "0", name
    assert pages() == before


def test_round_trips_over_the_lab(programs):
    table = rows(bench("pingpong"))
    for trip in ("bare, spinning", "GET, spinning", "bare, blocking", "GET, blocking"):
        assert float(table[trip][0].split()[0]) > 0


def test_a_run_is_remembered_with_its_machine(programs, tmp_path):
    environment = dict(os.environ, SLIPRING_BENCH_HISTORY=str(tmp_path))
    subprocess.run([f"{ROOT}/bench/run", "callgrind", "--seconds", "0.1"], check=True, env=environment,
                   stdout=subprocess.DEVNULL, timeout=240)
    with open(tmp_path / "callgrind.jsonl") as f:
        record = json.loads(f.readline())
    assert record["instructions_per_op"]["get"] > 100
    assert record["machine"]["cores"] == os.cpu_count() and record["machine"]["kernel"]
    assert record["software"]["compiler"] and record["date"] and record["command"].startswith("bench/run callgrind")


def test_an_unknown_part_is_refused(programs):
    done = subprocess.run([f"{ROOT}/bench/run", "nonsense"], text=True, capture_output=True)
    assert done.returncode == 2 and "transport" in done.stderr


def test_tails_tell_both_ways_of_every_kind(programs):
    table = rows(bench("tails"))
    lens = len(table["cycles a frame: copied, referred; bytes of the item"])
    kinds = [cells for name, cells in table.items() if "items, checksum" in name]
    assert len(kinds) == 8
    for cells in kinds:
        assert len(cells) == lens and all(int(figure) > 0 for cell in cells for figure in cell.split())
