"""TCP: cycles of each stage in one process; GETs and connections over vhost; one client against a node, Redis and memcached
over veth; and redis-benchmark against a node and Redis."""
import csv
import io
import json
import os
import subprocess
import tempfile
import time

from harness import ROOT, end, median, program, read, run_json, table, take_huge_pages, wait_for
from places import CLIENT_CPU, HUGE_PAGES, KEYS, SERVER_CPU, Lab, Vhost, start_slipring

STAGES = {
    "GET, RESP": [],
    "GET, RESP, checksums": ["--checksums"],
    "GET, RESP, pipeline of 16": ["--pipeline", "16"],
    "GET, memcached text": ["--protocol", "memcached"],
    "GET, RESP, 50000 connections": ["--connections", "50000"],
}
NODE, REDIS, FOREIGN = "10.19.0.1", "10.19.0.2", "10.19.0.3"


def stages(args):
    runs = {name: [] for name in STAGES}
    for _ in range(args.repeat):
        for name, options in STAGES.items():
            take_huge_pages(HUGE_PAGES)
            runs[name] += run_json(["taskset", "-c", SERVER_CPU, program("bench/bench_tcp"), "--huge", "--keys", 200000,
                                    "--rounds", int(4000 * args.seconds), *options])
    rows = [["TSC cycles an operation over TCP, without a NIC"] + list(STAGES)]
    for stage in runs["GET, RESP"][0]["cycles_per_op"]:
        rows.append([stage] + [f"{median([r['cycles_per_op'][stage] for r in runs[name]]):.0f}" for name in STAGES])
    table(rows)
    return runs


def benchmark(lab, host, pipeline, requests):
    """One run of redis-benchmark: requests a second, p50 and p99 in ms."""
    out = subprocess.run([f"{ROOT}/scripts/lab", "exec", "taskset", "-c", str(CLIENT_CPU), "redis-benchmark", "-h", host, "-t", "get",
                          "-n", str(requests), "-c", "50", "-P", str(pipeline), "-d", "64", "-r", "100000", "--csv"],
                         env=lab.environment, text=True, capture_output=True, check=True, timeout=120).stdout
    row = next(csv.DictReader(io.StringIO(out)))
    return {"requests_per_s": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]), "p99_ms": float(row["p99_latency_ms"])}


def node_seconds(socket, cycles_hz):
    """Seconds that the node's worker was busy with work, by its own cycles."""
    stats = subprocess.run(["curl", "-s", "--unix-socket", socket, "http://n1/stats"], text=True, capture_output=True, check=True)
    return json.loads(stats.stdout)["counters"]["busy_cycles"] / cycles_hz


def server_pid(lab, name, node="n2"):
    pids = subprocess.run(["ip", "netns", "pids", f"{lab.environment['SLIPRING_LAB']}-{node}"], text=True, capture_output=True).stdout
    return next((pid for pid in pids.split() if read(f"/proc/{pid}/comm").strip() == name), None)


def process_seconds(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def beside_redis(args, cycles_hz):
    runs = []
    with Lab() as lab:
        redis = lab.serve("/dev/null", "redis-server", "--bind", REDIS, "--protected-mode", "no", "--save", "", "--appendonly", "no",
                          "--daemonize", "no")
        wait_for(lambda: server_pid(lab, "redis-server"), 5, "redis-server")
        time.sleep(0.3)
        pid = server_pid(lab, "redis-server")
        socket = f"/run/slipring-lab/{lab.environment['SLIPRING_LAB']}/n1.sock"
        for _ in range(min(args.repeat, 3)):
            for pipeline, requests in ((1, 100000), (16, 500000)):
                for name, host in (("slipring", NODE), ("redis 7.0", REDIS)):
                    before = node_seconds(socket, cycles_hz) if host == NODE else process_seconds(pid)
                    run = benchmark(lab, host, pipeline, requests)
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


LOADS = {
    "GET, RESP": [],
    "GET, memcached text": ["--protocol", "memcached"],
    "GET, RESP, pipeline of 16": ["--ops", "16"],
    "GET, memcached text, pipeline of 16": ["--protocol", "memcached", "--ops", "16"],
    "SET, RESP": ["--set", "100"],
    "connection, GET, end": ["--mode", "connect"],
}


def over_vhost(args, judge):
    """Our generator's TCP at the other end of a vhost port: what a worker does in a second, and its busy cycles."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeat):
            vhost = Vhost(folder)
            process, loaded = start_slipring(vhost), []
            try:
                for name, options in LOADS.items():
                    run = vhost.generate("--mode", "tcp", "--connections", args.window, "--seconds", args.seconds, "--keys", KEYS,
                                         "--checksums", *options, *loaded)
                    runs.append({"load": name, **run})
                    loaded = ["--loaded"]
            finally:
                end(process)
    rows = [["TCP over vhost, connections " + str(args.window), "operations/s", "cycles each", "p50 us", "p99 us", "sent again", "wrong"]]
    of = {name: [r for r in runs if r["load"] == name] for name in LOADS}
    for name, same in of.items():
        rows.append([name, f"{median([r['ops_per_s'] for r in same]):.3g}",
                     f"{median([r['server']['busy_cycles_per_op'] for r in same]):.0f}"]
                    + [f"{median([r['latency_us'][p] for r in same]):.1f}" for p in ("p50", "p99")]
                    + [sum(r["lost"] for r in same), sum(r["wrong"] for r in same)])
    table(rows)
    judge("busy cycles of a GET over TCP", median([r["server"]["busy_cycles_per_op"] for r in of["GET, RESP"]]), 1700)
    for name, aim in (("GET, RESP", 1.5), ("GET, RESP, pipeline of 16", 4)):
        judge(f"million {name} a second", median([r["ops_per_s"] for r in of[name]]) / 1e6, aim, at_least=True)
    return runs


SERVERS = {
    "redis-server": ("--bind", FOREIGN, "--protected-mode", "no", "--save", "", "--appendonly", "no"),
    "memcached": ("-l", FOREIGN, "-t", "1", "-m", "512", "-u", "root", "-c", "20000"),
}


def one_client(args, cycles_hz):
    """The same generator over the same veth path against a node, and against one thread of Redis and of memcached on the
    kernel's TCP. Their CPU is their process's; what the kernel does for them in interrupts is not in it."""
    runs = []

    def ask(server, pid, *options):
        before = process_seconds(pid)
        run = lab.generate("--mode", "tcp", "--connections", 64, "--keys", 100000, *options,
                           *([] if server == "slipring" else ["--foreign"]), server=NODE if server == "slipring" else FOREIGN)
        cpu = run["server"]["busy_cycles_per_op"] / cycles_hz if "server" in run else (process_seconds(pid) - before) / run["results"]
        return {"server_name": server, "server_us_per_op": cpu * 1e6, **run}

    with Lab("memory=512M", f"items_max={int(KEYS * 1.2)}", "expected_item_size=80", empty=2) as lab:
        servers = {name: lab.serve("/dev/null", name, *options, node="n3") for name, options in SERVERS.items()}
        for name in servers:
            wait_for(lambda name=name: server_pid(lab, name, "n3"), 5, name)
        pids = {"slipring": server_pid(lab, "slipringd", "n1"), **{name: server_pid(lab, name, "n3") for name in servers}}
        time.sleep(0.3)
        for server, protocol in (("slipring", "resp"), ("redis-server", "resp"), ("memcached", "memcached")):
            ask(server, pids[server], "--protocol", protocol, "--seconds", 0.1)
        for _ in range(min(args.repeat, 3)):
            for load, options in LOADS.items():
                for server in ("slipring", "memcached" if "memcached" in load else "redis-server"):
                    runs.append({"load": load, **ask(server, pids[server], "--seconds", args.seconds, "--warm", 0, "--loaded", *options)})
        for process in servers.values():
            end(process)
    rows = [["one client over veth, 64 connections", "operations/s", "p50 us", "p99 us", "server's CPU us each", "sent again", "wrong"]]
    for load, server in dict.fromkeys((r["load"], r["server_name"]) for r in runs):
        same = [r for r in runs if (r["load"], r["server_name"]) == (load, server)]
        rows.append([f"{load}: {server}", f"{median([r['ops_per_s'] for r in same]):.3g}"]
                    + [f"{median([r['latency_us'][p] for r in same]):.1f}" for p in ("p50", "p99")]
                    + [f"{median([r['server_us_per_op'] for r in same]):.2f}", sum(r["lost"] for r in same),
                       sum(r["wrong"] for r in same)])
    table(rows)
    return runs


def part_tcp(args, judge):
    inside = stages(args)
    hz = inside["GET, RESP"][0]["tsc_hz"]
    return {"stages": inside, "vhost": over_vhost(args, judge), "one_client": one_client(args, hz), "runs": beside_redis(args, hz)}
