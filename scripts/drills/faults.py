"""Nodes that die, stop and come back; networks that are cut and lose."""
import os
import re
import signal
import time

from kit import DELAY, drill  # first: it finds the others
from cluster import DEAD, SUSPECTED, VISIBLE, WHOLE


def kill(d, node):
    """Without a word, and without the lab's own waiting; returns when it happened on the watch's clock."""
    os.kill(d.lab.pid(node), signal.SIGKILL)
    return d.watch.now()


def owners(lab, node):
    return {m["node_id"] for m in lab.get(node, "/cluster/ring")["members"] if m["first_slots"]}


@drill("kill", "kill -9 of a node, and its return", 25)
def kill_nine(d):
    rest, boot = d.others("n3"), d.watch.boot("n1", "n3")
    epoch = d.lab.status("n1")["epoch"]
    at = kill(d, "n3")
    d.sees("all others suspect it (or know better)", rest, "n3", ("Suspected", "Dead"), at, SUSPECTED)
    d.sees("all others call it dead", rest, "n3", ("Dead",), at, DEAD)
    d.check("it still owns its slots", "n3" in owners(d.lab, "n1") and d.lab.status("n1")["epoch"] == epoch)
    took = d.until(lambda: all(owners(d.lab, n) == set(rest) for n in rest), DELAY + DEAD)
    d.within(f"its slots move, after the delay of {DELAY} s", took, DELAY + DEAD)
    d.check("one epoch, one table", len(d.lab.epochs(rest)) == 1, sorted(d.lab.epochs(rest)))
    begin = d.watch.now()
    d.lab("start", "n3")
    back = d.until(lambda: all(d.watch.believed(n, "n3") == "Alive" and d.watch.boot(n, "n3") != boot for n in d.nodes), VISIBLE)
    d.within("all see it alive, from the start of its process", back and d.watch.now() - begin, VISIBLE)
    d.settles("it owns slots again, everywhere")
    d.nobody_dead(at, ("n3",))


def stop(d, seconds):
    """SIGSTOP for so long: afterwards it is back with the same life, and it accused nobody."""
    rest, boot, pid = d.others("n4"), d.watch.boot("n1", "n4"), d.lab.pid("n4")
    at = d.watch.now()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
        dead = [n for n in rest if d.watch.believed(n, "n4") == "Dead"]
    finally:
        os.kill(pid, signal.SIGCONT)
    woken = d.watch.now()
    if seconds >= SUSPECTED:
        d.within("the others noticed", d.watch.await_all(rest, "n4", ("Suspected", "Dead"), at, 0), SUSPECTED)
    if seconds >= DEAD:
        d.check("at the end all called it dead", len(dead) == len(rest), ", ".join(dead))
    took = d.until(lambda: all(d.watch.believed(n, "n4") == "Alive" for n in d.nodes), VISIBLE)
    d.within("awake: all see it alive", took, VISIBLE)
    d.settles("one cluster, one table")
    time.sleep(1)  # what it might say in its first confusion arrives by then
    accused = [pair for pair in d.watch.accused(("Suspected", "Dead"), woken) if pair[1] != "n4"]
    d.check("the one that slept accused nobody", not accused, ", ".join(f"{a} says {b}" for a, b in accused))
    d.check("it is the same life", all(d.watch.boot(n, "n4") == boot for n in d.nodes) and d.lab.pid("n4") == pid)
    d.nobody_dead(at, ("n4",))


for duration in (0.5, 2, 10, 60):
    drill(f"stop-{duration:g}", f"SIGSTOP of a node for {duration:g} s", duration + 10)(
        lambda d, duration=duration: stop(d, duration))


@drill("partition", "three nodes and two cut apart, then healed", 25)
def partition(d):
    three, two = ["n1", "n2", "n3"], ["n4", "n5"]
    epoch = d.lab.status("n1")["epoch"]
    at = d.watch.now()
    d.lab("partition", ",".join(three), ",".join(two))
    for node in two:
        d.sees(f"the three call {node} dead", three, node, ("Dead",), at, DEAD)
    for node in three:
        d.sees(f"the two call {node} dead", two, node, ("Dead",), at, DEAD)
    took = d.until(lambda: all(owners(d.lab, n) == set(three) for n in three), DELAY + DEAD)
    d.within(f"the three take over the slots, after the delay of {DELAY} s", took, DELAY + DEAD)
    d.check("the two decided nothing", {d.lab.status(n)["epoch"] for n in two} == {epoch})
    at = d.watch.now()
    d.lab("heal")
    took = d.until(lambda: all(d.watch.believed(a, b) == "Alive" for a in d.nodes for b in d.nodes), VISIBLE)
    d.within("healed: all see all alive", took, VISIBLE)
    d.settles("one epoch, one table")
    d.check("the epoch rose", min(e for e, _ in d.lab.epochs()) > epoch)
    d.nobody_dead(at + VISIBLE)


@drill("mute", "nothing of what a node says reaches anybody, but it hears all", 25)
def mute(d):
    rest = d.others("n2")
    at = d.watch.now()
    d.lab("cut", "n2", ",".join(rest))
    d.sees("all others call it dead", rest, "n2", ("Dead",), at, DEAD)
    d.nobody_dead(at, ("n2",))
    at = d.watch.now()
    d.lab("heal")
    d.sees("healed: all others see it alive", rest, "n2", ("Alive",), at, VISIBLE)
    d.settles("one cluster, one table")


def dropped(lab):
    """Frames that the switch was told to lose, since the rules were made."""
    rules = lab("in", "sw", "nft", "list", "table", "bridge", "lab").stdout
    return sum(map(int, re.findall(r"counter packets (\d+)", rules)))


def undisturbed(d, seconds, words):
    """For so long nobody is called dead, and the table of slots stays, though frames are lost."""
    before, at = d.lab.epochs(), d.watch.now()
    time.sleep(seconds)
    d.check("frames were lost", dropped(d.lab) > 5 * seconds, dropped(d.lab))
    d.nobody_dead(at)
    d.check("the table of slots stayed", d.lab.epochs() == before, sorted(d.lab.epochs()))
    suspected = d.watch.accused(("Suspected",), at)
    d.tell(f"suspected meanwhile ({words})", ", ".join(f"{b} by {a}" for a, b in suspected) or "nobody")


@drill("oneway", "frames from one node to one other are lost, the other way they pass", 20)
def oneway(d):
    d.lab("cut", "n2", "n4")
    undisturbed(d, 12, "others vouch for it")
    d.lab("heal")
    d.settles("healed: one cluster, one table", VISIBLE)


@drill("link", "the link between two nodes is cut", 20)
def link(d):
    d.lab("partition", "n2", "n4")
    undisturbed(d, 12, "others vouch for both")
    d.lab("heal")
    d.settles("healed: one cluster, one table", VISIBLE)


@drill("loss", "every tenth frame between nodes is lost", 40)
def loss(d):
    for node in d.nodes:
        d.lab("loss", node, "5.13%")  # out of one port and into another: 10 % in all
    undisturbed(d, 30, "refuted at once")
    d.lab("heal")
    d.settles("healed: one cluster, one table", VISIBLE)


@drill("rolling", "every node in turn is stopped and started", 60)
def rolling(d):
    epochs, worst = [d.lab.status("n1")["epoch"]], 0
    at = d.watch.now()
    for node in d.nodes:
        boot = d.watch.boot(d.others(node)[0], node)
        d.lab("kill", node)
        begin = d.watch.now()
        d.lab("start", node)
        took = d.until(lambda: all(d.watch.boot(n, node) != boot and d.watch.believed(n, node) == "Alive"
                                   for n in d.others(node)), VISIBLE)
        d.check(f"{node} is back", took is not None)
        worst = max(worst, d.watch.now() - begin)
        d.settles(f"{node} owns slots again, everywhere")
        epochs.append(d.lab.status("n1")["epoch"])
    d.within("longest time from the start of a process until all saw it alive", worst, VISIBLE)
    d.check("epochs only rose", epochs == sorted(epochs), epochs)
    d.nobody_dead(at)  # who stops in order says goodbye


@drill("whole", "all nodes are killed at once and started again", 30)
def whole(d):
    epoch = d.lab.status("n1")["epoch"]
    for node in d.nodes:
        kill(d, node)
    begin = d.watch.now()
    d.lab("start", "n4", "n1", "n5", "n3", "n2")
    d.settles("all ready, one table", WHOLE)
    d.tell("from the first start", f"{d.watch.now() - begin:.2f} s")
    d.check("the epoch did not fall", d.lab.status("n1")["epoch"] > epoch, f"{epoch}, then {d.lab.status('n1')['epoch']}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(d, seconds):
    """Nothing happens, and nobody looks: what five nodes take of the machine, and that they are at rest."""
    d.watch.end()
    time.sleep(1)
    before, spent, table = d.lab.versions(), [cpu_seconds(d.lab.pid(n)) for n in d.nodes], d.lab.epochs()
    sent = [d.lab.metrics(n)["gossip"]["bytes_out"] for n in d.nodes]
    begin = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begin
    spent = [cpu_seconds(d.lab.pid(n)) - s for n, s in zip(d.nodes, spent)]
    sent = [d.lab.metrics(n)["gossip"]["bytes_out"] - s for n, s in zip(d.nodes, sent)]
    share = sum(spent) / took / os.cpu_count()
    d.check("five idle nodes take at most 5 % of the machine", share <= 0.05,
            f"{share:.2%} of {os.cpu_count()} cores over {took:.0f} s; a node {max(spent) / took:.2%} of a core at most")
    d.tell("gossip, bytes a node sends a second", f"{sum(sent) / took / len(sent):.0f}")
    d.check("no state of any member changed", not d.moved(before), d.moved(before))
    d.check("the table stayed", d.lab.epochs() == table)


for duration in (30, 600):
    drill(f"idle-{duration}", f"nothing, for {duration} s", duration + 3)(lambda d, duration=duration: idle(d, duration))
