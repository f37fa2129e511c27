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


def beside_direct(args):
    """Round trips and busy cycles of both nodes' workers and cores, through real NICs of the lab; and what the
    scheduler gave their threads."""
    runs = []
    with cluster.cluster("bf", nodes=3) as lab:
        lab.await_settled(60)
        for client in ("spins", "sleeps"):
            out = lab.exec(program("bench/bench_forward"), "--server", lab.address("n1"), "--owner", lab.address("n2"),
                           "--seconds", args.seconds / 4, "--turns", max(3, args.repeat), "--client", client, "--pids",
                           f"{lab.pid('n1')},{lab.pid('n2')}", timeout=300).stdout
            runs += [json.loads(line) for line in out.splitlines()]
    rows = [["GET at n1: client, window", "ops/s", "p50 us", "p99 us", "cycles, least", "median", "lost"]]
    for r in runs:
        rows.append([f"{r['mode']}: {r['client']}, {r['window']}", f"{r['ops_per_s']:.0f}", f"{r['latency_us']['p50']:.1f}",
                     f"{r['latency_us']['p99']:.1f}", r["busy_cycles"]["min"], r["busy_cycles"]["median"], r["lost"]])
    table(rows)
    threads = list(runs[0]["threads"])
    rows = [["us an operation: on a CPU + waiting for one"] + threads]
    for r in runs:
        rows.append([f"{r['mode']}: {r['client']}, {r['window']}"] + [
            f"{t['run_us']:.1f} + {t['wait_us']:.1f} ({t['slices']:.2f})" for t in r["threads"].values()])
    table(rows)
    return runs


def part_forward(args, judge):
    inside, least = hops(args)
    judge("cycles of a forwarded GET over both nodes, loaded, without NICs", least, 2500)
    runs = beside_direct(args)
    by = {(r["mode"], r["window"]): r["latency_us"]["p99"] for r in runs}
    judge("p99 of a forwarded GET, of a direct one's (the largest window)",
          by[("forwarded", runs[-1]["window"])] / by[("direct", runs[-1]["window"])], 2)
    return {"hops": inside, "runs": runs}
