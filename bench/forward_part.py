"""A forwarded GET: cycles of each hop in one process, and beside an owner-direct one in a cluster of three nodes."""
import json
import os
import sys

from harness import ROOT, median, program, run_json, table

sys.path.insert(0, os.path.join(ROOT, "tests/system"))
import cluster  # noqa: E402


def hops(args):
    """Medians over the runs of each figure, by batch."""
    runs = [r for _ in range(args.repeat) for r in run_json([program("bench/bench_hops"), "--rounds", 10000])]
    rows = [["forwarded GET, cycles over both nodes"]]
    of = {b: [r for r in runs if r["batch"] == b] for b in dict.fromkeys(r["batch"] for r in runs)}
    rows[0] += [f"batch of {b}" for b in of]
    for hop in runs[0]["hops"]:
        rows.append([hop] + [f"{median([r['hops'][hop] for r in same]):.0f}" for same in of.values()])
    rows.append(["all"] + [f"{median([r['cycles_per_get']['p50'] for r in same]):.0f}" for same in of.values()])
    table(rows)
    return runs, min(median([r["cycles_per_get"]["p50"] for r in same]) for same in of.values())


def beside_direct(args, core, clients):
    """Round trips and busy cycles of both nodes' workers and cores, through real NICs of the lab, the core on worker 0's
    thread or on one of its own; and what the scheduler gave their threads."""
    runs = []
    with cluster.cluster("bf", nodes=3, settings={"cluster.core": core}) as lab:
        lab.await_settled(60)
        for client in clients:
            out = lab.exec(program("bench/bench_forward"), "--server", lab.address("n1"), "--owner", lab.address("n2"),
                           "--seconds", args.seconds / 4, "--turns", max(3, args.repeat), "--client", client, "--pids",
                           f"{lab.pid('n1')},{lab.pid('n2')}", timeout=300).stdout
            runs += [{"core": core, **json.loads(line)} for line in out.splitlines()]
    return runs


def name_of(r):
    return f"{r['mode']}: core on {r['core']}, client {r['client']}, {r['window']}"


def show(runs):
    rows = [["GET at n1, window", "ops/s", "p50 us", "p99 us", "cycles, least", "median", "lost"]]
    for r in runs:
        rows.append([name_of(r), f"{r['ops_per_s']:.0f}", f"{r['latency_us']['p50']:.1f}", f"{r['latency_us']['p99']:.1f}",
                     r["busy_cycles"]["min"], r["busy_cycles"]["median"], r["lost"]])
    table(rows)
    rows = [["us an operation: on a CPU + waiting for one (times put on one)"] + list(runs[0]["threads"])]
    for r in runs:
        rows.append([name_of(r)] + [f"{t['run_us']:.1f} + {t['wait_us']:.1f} ({t['slices']:.2f})" for t in r["threads"].values()])
    table(rows)


def part_forward(args, judge):
    inside, least = hops(args)
    judge("cycles of a forwarded GET over both nodes, loaded, without NICs", least, 2500)
    runs = beside_direct(args, "worker", ("sleeps", "spins")) + beside_direct(args, "thread", ("sleeps",))
    show(runs)
    by = {(r["core"], r["client"], r["window"], r["mode"]): r["latency_us"]["p99"] for r in runs}
    for key in dict.fromkeys((r["core"], r["client"], r["window"]) for r in runs if r["core"] == "worker"):
        judge(f"p99 of a forwarded GET, of a direct one's, client {key[1]}, window {key[2]}",
              by[(*key, "forwarded")] / by[(*key, "direct")], 2)
    return {"hops": inside, "runs": runs}
