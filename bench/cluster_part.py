"""Five nodes in the lab: what idling costs, how soon a death is noticed, how long a new table takes to be everywhere."""
import os
import signal
import sys
import time

from harness import ROOT, BenchError, median, table

sys.path.insert(0, os.path.join(ROOT, "tests/system"))
import cluster  # noqa: E402
import rack  # noqa: E402

NODES = [f"n{i + 1}" for i in range(5)]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(lab, seconds):
    """Nobody asks anything: bytes and packets a node sends a second, and CPU."""
    def sample():
        gossip = [lab.metrics(node)["gossip"] for node in NODES]
        return (time.monotonic(), sum(cpu_seconds(lab.pid(node)) for node in NODES), sum(g["bytes_out"] for g in gossip),
                sum(g["packets_out"] for g in gossip))
    time.sleep(1)
    before = sample()
    time.sleep(seconds)
    took, cpu, sent, packets = (b - a for a, b in zip(before, sample()))
    return {"seconds": round(took, 2), "cpu_of_a_core_per_node": cpu / took / len(NODES),
            "cpu_of_machine": cpu / took / os.cpu_count(), "gossip_bytes_per_s": sent / took / len(NODES),
            "gossip_packets_per_s": packets / took / len(NODES)}


def first(events, at_ms, **wanted):
    """Milliseconds from then until the first event like this; a node that tells of none measures nothing."""
    for event in events:
        if event["time_ms"] >= at_ms and all(event[key] == value for key, value in wanted.items()):
            return event["time_ms"] - at_ms
    raise BenchError(f"no event {wanted}")


def death(lab):
    """One node killed and started again; times as the others told them, ms."""
    rest = [node for node in NODES if node != "n3"]
    (former, _), = lab.epochs()
    at = int(time.time() * 1000)
    os.kill(lab.pid("n3"), signal.SIGKILL)
    time.sleep(3)
    lab("start", "n3")
    rack.wait_for(lambda: len(now := lab.epochs()) == 1 and min(now)[0] > former and lab.settled(), 30, "a new epoch everywhere")
    told = {node: lab.events(node, at) for node in NODES}
    epochs = [e["epoch"] for e in told["n1"] if e["event"] == "epoch"]
    seen = [next(e["time_ms"] for e in told[node] if e["event"] == "epoch" and e["epoch"] == epochs[-1]) for node in NODES]
    alive = max(at + first(told[node], at, event="restarted", node_id="n3") for node in rest)
    return {"suspected_ms": max(first(told[node], at, event="state", node_id="n3", status="Suspected") for node in rest),
            "dead_ms": max(first(told[node], at, event="state", node_id="n3", status="Dead") for node in rest),
            "epoch_from_first_to_last_node_ms": max(seen) - min(seen), "epoch_after_return_ms": max(seen) - alive}


def part_cluster(args):
    with cluster.cluster("bench", nodes=len(NODES)) as lab:
        lab.await_settled(60)
        resting = idle(lab, max(5, 5 * args.seconds))
        deaths = [death(lab) for _ in range(min(args.repeat, 5))]
    table([["five idle nodes", ""],
           ["gossip, bytes a node sends a second", f"{resting['gossip_bytes_per_s']:.0f}"],
           ["gossip, packets a node sends a second", f"{resting['gossip_packets_per_s']:.0f}"],
           ["CPU, of a core, a node", f"{resting['cpu_of_a_core_per_node']:.2%}"],
           ["CPU, of the machine, all five", f"{resting['cpu_of_machine']:.2%} (aim 5 %)"]])
    rows = [["a node killed and started, ms", "median", "worst"]]
    for name, text in (("suspected_ms", "until all others suspect it"), ("dead_ms", "until all others call it dead"),
                       ("epoch_after_return_ms", "from its return until all have the new table"),
                       ("epoch_from_first_to_last_node_ms", "of these, from the first node to the last")):
        values = [d[name] for d in deaths]
        rows.append([text, f"{median(values):.0f}", f"{max(values):.0f}"])
    table(rows)
    return {"idle": resting, "deaths": deaths}
