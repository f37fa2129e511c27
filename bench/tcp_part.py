"""TCP: cycles of each stage in one process; and redis-benchmark against a node and against Redis on the same cable."""
import csv
import io
import json
import os
import subprocess
import time

from harness import ROOT, end, median, program, read, run_json, table, take_huge_pages, wait_for

STAGES = {
    "GET, RESP": [],
    "GET, RESP, checksums": ["--checksums"],
    "GET, RESP, pipeline of 16": ["--pipeline", "16"],
    "GET, memcached text": ["--protocol", "memcached"],
    "GET, RESP, 50000 connections": ["--connections", "50000"],
}
NODE, REDIS = "10.19.0.1", "10.19.0.2"


def stages(args, cpu, huge_pages):
    runs = {name: [] for name in STAGES}
    for _ in range(args.repeat):
        for name, options in STAGES.items():
            take_huge_pages(huge_pages)
            runs[name] += run_json(["taskset", "-c", cpu, program("bench/bench_tcp"), "--huge", "--keys", 200000,
                                    "--rounds", int(4000 * args.seconds), *options])
    rows = [["TSC cycles an operation over TCP, without a NIC"] + list(STAGES)]
    for stage in runs["GET, RESP"][0]["cycles_per_op"]:
        rows.append([stage] + [f"{median([r['cycles_per_op'][stage] for r in runs[name]]):.0f}" for name in STAGES])
    table(rows)
    return runs


def benchmark(lab, cpu, host, pipeline, requests):
    """One run of redis-benchmark: requests a second, p50 and p99 in ms."""
    out = subprocess.run([f"{ROOT}/scripts/lab", "exec", "taskset", "-c", str(cpu), "redis-benchmark", "-h", host, "-t", "get",
                          "-n", str(requests), "-c", "50", "-P", str(pipeline), "-d", "64", "-r", "100000", "--csv"],
                         env=lab.environment, text=True, capture_output=True, check=True, timeout=120).stdout
    row = next(csv.DictReader(io.StringIO(out)))
    return {"requests_per_s": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]), "p99_ms": float(row["p99_latency_ms"])}


def node_seconds(socket, cycles_hz):
    """Seconds that the node's worker was busy with work, by its own cycles."""
    stats = subprocess.run(["curl", "-s", "--unix-socket", socket, "http://n1/stats"], text=True, capture_output=True, check=True)
    return json.loads(stats.stdout)["counters"]["busy_cycles"] / cycles_hz


def redis_pid(lab):
    pids = subprocess.run(["ip", "netns", "pids", lab.environment["SLIPRING_LAB"] + "-n2"], text=True, capture_output=True).stdout
    return next((pid for pid in pids.split() if read(f"/proc/{pid}/comm").strip() == "redis-server"), None)


def process_seconds(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def beside_redis(args, lab_of, client_cpu, cycles_hz):
    runs = []
    with lab_of() as lab:
        redis = lab.serve("/dev/null", "redis-server", "--bind", REDIS, "--protected-mode", "no", "--save", "", "--appendonly", "no",
                          "--daemonize", "no")
        wait_for(lambda: redis_pid(lab), 5, "redis-server")
        time.sleep(0.3)
        pid = redis_pid(lab)
        socket = f"/run/slipring-lab/{lab.environment['SLIPRING_LAB']}/n1.sock"
        for _ in range(min(args.repeat, 3)):
            for pipeline, requests in ((1, 100000), (16, 500000)):
                for name, host in (("slipring", NODE), ("redis 7.0", REDIS)):
                    before = node_seconds(socket, cycles_hz) if host == NODE else process_seconds(pid)
                    run = benchmark(lab, client_cpu, host, pipeline, requests)
                    after = node_seconds(socket, cycles_hz) if host == NODE else process_seconds(pid)
                    runs.append({"server": name, "pipeline": pipeline, "requests": requests,
                                 "server_us_per_request": (after - before) / requests * 1e6, **run})
        end(redis)
    rows = [["redis-benchmark GET, 50 connections, over veth", "requests/s", "p50 ms", "p99 ms", "server's CPU us a request"]]
    for pipeline in (1, 16):
        for name in ("slipring", "redis 7.0"):
            same = [r for r in runs if r["server"] == name and r["pipeline"] == pipeline]
            rows.append([f"{name}, pipeline {pipeline}"] + [f"{median([r[key] for r in same]):.{digits}f}" for key, digits in (
                ("requests_per_s", 0), ("p50_ms", 3), ("p99_ms", 3), ("server_us_per_request", 2))])
    table(rows)
    return runs


def part_tcp(args, lab_of, server_cpu, client_cpu, huge_pages):
    inside = stages(args, server_cpu, huge_pages)
    return {"stages": inside, "runs": beside_redis(args, lab_of, client_cpu, inside["GET, RESP"][0]["tsc_hz"])}
