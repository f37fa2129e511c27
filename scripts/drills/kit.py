"""What cluster drills are made of: a registry, checks with a verdict, and helpers to disturb and to look."""
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
import cluster  # noqa: E402
from cluster import WHOLE  # noqa: E402

NODES = 5
DELAY = 3  # cluster.dead_delay of the drills' lab, in seconds: slots of the dead move sooner than by default
drills = {}  # name: (function, what happens, roughly how many seconds)


def drill(name, what, seconds):
    def register(function):
        drills[name] = (function, what, seconds)
        return function
    return register


class Drill:
    """One run of one drill: what it looks at, and what it found."""

    def __init__(self, lab):
        self.lab, self.failed, self.checked = lab, 0, 0
        self.nodes = [f"n{i + 1}" for i in range(NODES)]
        self.watch = cluster.Watch(lab, self.nodes)
        for observer in self.nodes:  # the picture that changes are changes of
            self.watch.await_all([observer], "n1", ("Alive",), 0, 10)

    def others(self, *but):
        return [node for node in self.nodes if node not in but]

    def check(self, what, fine, detail=""):
        self.checked += 1
        self.failed += not fine
        print(f"  {'ok  ' if fine else 'FAIL'}  {what}" + (f": {detail}" if detail != "" else ""), flush=True)
        return fine

    def within(self, what, seconds, bound):
        """A time that was measured, None when it never came."""
        text = "never" if seconds is None else f"{seconds:.2f} s"
        return self.check(what, seconds is not None and seconds <= bound, f"{text} (at most {bound:g})")

    def tell(self, what, text):
        print(f"        {what}: {text}", flush=True)

    def sees(self, what, observers, member, statuses, since, bound):
        """All observers hold one of the statuses of the member, in time."""
        return self.within(what, self.watch.await_all(observers, member, statuses, since, bound), bound)

    def until(self, condition, bound):
        """Seconds until it holds; None when it did not in time."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > bound:
                return None
            time.sleep(0.03)
        return time.monotonic() - begin

    def settles(self, what, bound=WHOLE, nodes=None, alive=None):
        return self.within(what, self.until(lambda: self.lab.settled(nodes, alive), bound), bound)

    def nobody_dead(self, since, but=()):
        accused = self.watch.accused(("Dead",), since, but)
        return self.check("nobody" + (" else" if but else "") + " was called dead", not accused,
                          ", ".join(f"{who} says {whom}" for who, whom in accused))

    def moved(self, before):
        """Members whose table of states moved since: {node: by how much}."""
        after = self.lab.versions(list(before))
        return {node: after[node] - before[node] for node in before if after[node] != before[node]}

    def end(self):
        self.watch.end()


def recover(lab):
    """Everything heals and everyone lives; a node that cannot join again ends the run."""
    lab("heal")
    for node in (f"n{i + 1}" for i in range(NODES)):
        if lab.pid(node):
            lab("resume", node)
        else:
            lab("start", node)
    lab.await_settled(60, alive=[f"n{i + 1}" for i in range(NODES)])


def run(names):
    """Drills one after another in one lab; True when every check of each held."""
    results = {}
    with cluster.cluster("drill", nodes=NODES, settings={"cluster.dead_delay": f"{DELAY}s"}) as lab:
        lab.await_settled(60)
        for name in names:
            function, what, _ = drills[name]
            begin = time.monotonic()
            print(f"{name}: {what}", flush=True)
            it = Drill(lab)
            try:
                function(it)
            except Exception as problem:  # a drill that breaks is one that failed
                it.check("the drill itself", False, f"{type(problem).__name__}: {problem}")
            it.end()
            results[name] = it.failed
            print(f"  {name}: {'held' if not it.failed else 'FAILED'}, {it.checked - it.failed} of {it.checked} checks, "
                  f"{time.monotonic() - begin:.0f} s", flush=True)
            try:
                recover(lab)
            except AssertionError as problem:
                results[name] += 1
                print(f"  FAIL  the cluster did not recover after {name}: {problem}", flush=True)
                break
    return results
