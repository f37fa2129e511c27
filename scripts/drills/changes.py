"""Nodes that come and go as they should."""
from kit import drill  # first: it finds the others
from cluster import DEAD, VISIBLE, WHOLE

JOIN = 2  # seconds until everybody counts a new node, as promised: no leniency


def add_sixth(d):
    """Starts n6 and waits until all count six; False when that failed."""
    begin = d.watch.now()
    d.lab("add", "n6", "--no-wait")
    started = d.watch.now()
    six = d.nodes + ["n6"]
    took = d.until(lambda: all(d.lab.status(n)["node_count"] == 6 for n in six), VISIBLE)
    d.tell("from the start of its process until it was up", f"{started - begin:.2f} s")
    d.within("all six count six nodes", took, JOIN)
    return d.settles("it owns slots, everywhere", nodes=six, alive=six)


def end_sixth(d):
    if d.lab.pid("n6"):
        d.lab("kill", "n6")


@drill("join", "a sixth node joins", 20)
def join(d):
    before, epoch, at = d.lab.slots("n1"), d.lab.status("n1")["epoch"], d.watch.now()
    try:
        if not add_sixth(d):
            return
        after = d.lab.slots("n1")
        moved = [slot for slot in range(len(before)) if before[slot] != after[slot]]
        taken = sum(owner == "n6" for owner in after)
        d.check("it has its share", 0.95 <= taken / len(after) * 6 <= 1.02, f"{taken} of {len(after)} slots")
        d.check("hardly more moved than that", len(moved) <= 1.05 * taken, f"{len(moved)} slots")
        d.check("the epoch rose", d.lab.status("n1")["epoch"] > epoch)
        d.nobody_dead(at)
    finally:
        end_sixth(d)
    d.within("it is stopped: slots return", d.until(lambda: d.lab.settled(d.nodes), WHOLE), WHOLE)


@drill("leave", "a sixth node is drained, leaves, and comes again", 40)
def leave(d):
    five = d.nodes
    try:
        if not add_sixth(d):
            return
        at = d.watch.now()
        d.lab.post("n6", "/cluster/drain")
        took = d.until(lambda: all("n6" not in d.lab.slots(n) for n in five), WHOLE)
        d.within("drained: it owns nothing any more, in everybody's table", took, WHOLE)
        d.check("it lives and answers", d.lab.http("n6", "GET", "/healthz")[0] == 200)
        d.check("and is not ready for new clients", d.lab.http("n6", "GET", "/readyz")[0] == 503)
        d.lab.post("n6", "/cluster/leave")
        took = d.until(lambda: all(d.lab.states(n).get("n6") == "Left" for n in five), WHOLE)
        d.within("it left, and all know", took, WHOLE)
        d.check("all count five nodes", {d.lab.status(n)["node_count"] for n in five} == {5})
        d.nobody_dead(at)
        end_sixth(d)
        d.settles("the five are at rest", nodes=five, alive=five)
        d.lab("start", "n6")
        took = d.until(lambda: d.lab.settled(five + ["n6"]), VISIBLE)
        d.within("started again it is a member again", took, VISIBLE)
    finally:
        end_sixth(d)
    d.within("it is stopped: slots return", d.until(lambda: d.lab.settled(d.nodes), WHOLE + DEAD), WHOLE + DEAD)
