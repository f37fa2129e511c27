"""A lab whose nodes are a cluster: asking them, and watching what they believe of each other."""
import contextlib
import http.client
import json
import os
import socket
import threading
import time

import rack

# What the simulator holds the cluster to, in seconds; the lab shares two cores among five nodes,
# the tests and whatever else runs, and may take five times as long.
LENIENCY = 5
SUSPECTED, DEAD, VISIBLE, WHOLE = 0.3 * LENIENCY, 1 * LENIENCY, 2 * LENIENCY, 5 * LENIENCY


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Asker:
    """One kept connection to one node's control socket; not for several threads."""

    def __init__(self, path, timeout):
        self.connection = UnixConnection(path, timeout)

    def __call__(self, method, path, body=None, headers=None):
        """(status, headers, bytes); OSError or HTTPException when there is no answer."""
        for last in (False, True):
            try:
                self.connection.request(method, path, body, headers or {})
                answer = self.connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException) as problem:
                self.connection.close()
                # A kept connection that the node closed meanwhile is no answer; a silent node is one.
                if last or isinstance(problem, (socket.timeout, ConnectionRefusedError, FileNotFoundError)):
                    raise

    def close(self):
        self.connection.close()


class Cluster(rack.Lab):
    def nodes(self):
        """Those that run."""
        with open(f"/run/slipring-lab/{self.name}/lab.json") as f:
            count = json.load(f)["nodes"]
        return [node for node in (f"n{i + 1}" for i in range(count)) if self.pid(node)]

    def socket_path(self, node):
        return f"/run/slipring-lab/{self.name}/{node}.sock"

    def http(self, node, method, path, body=None, headers=None, timeout=5):
        """(status, headers, bytes)"""
        asker = Asker(self.socket_path(node), timeout)
        try:
            return asker(method, path, body, headers)
        finally:
            asker.close()

    def get(self, node, path, timeout=5):
        """The object at a path that must be there."""
        status, _, body = self.http(node, "GET", path, timeout=timeout)
        assert status == 200, f"{node} GET {path}: {status} {body[:200]}"
        return json.loads(body)

    def post(self, node, path, body=None):
        status, _, answer = self.http(node, "POST", path, json.dumps(body) if body is not None else None)
        assert status in (200, 202), f"{node} POST {path}: {status} {answer[:200]}"
        return json.loads(answer)

    def status(self, node):
        return self.get(node, "/cluster/status")

    def states(self, node):
        """{member: status} as this node sees it, itself among them."""
        return {m["node_id"]: m["status"] for m in self.get(node, "/cluster/members")["members"]}

    def epochs(self, nodes=None):
        """{(epoch, digest of the table)}: one of them when all agree."""
        rings = [self.get(node, "/cluster/ring") for node in nodes or self.nodes()]
        return {(ring["epoch"], ring["table_digest"]) for ring in rings}

    def slots(self, node):
        """First owner of each slot by name."""
        ring = self.get(node, "/cluster/ring?slots=true")
        names = [m["node_id"] for m in ring["members"]]
        return [names[position] for position in ring["slots"][0]]

    def versions(self, nodes=None):
        """The membership version of each node."""
        return {node: self.get(node, "/cluster/members")["version"] for node in nodes or self.nodes()}

    def events(self, node, since_ms=0):
        """What the node has told of, since then by the wall clock."""
        status, _, body = self.http(node, "GET", "/cluster/events?since=0&follow=false")
        assert status == 200, f"{node} /cluster/events: {status}"
        told = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {\"sequence\"")]
        return [event for event in told if event["time_ms"] >= since_ms]

    def metrics(self, node):
        return self.get(node, "/dist/metrics")

    def settled(self, nodes=None, alive=None):
        """Every node is ready, sees just these alive, and all have one table with just these as owners."""
        nodes = nodes or self.nodes()
        alive = set(alive or nodes)
        try:
            for node in nodes:
                if self.http(node, "GET", "/readyz")[0] != 200:
                    return False
                if {m for m, status in self.states(node).items() if status == "Alive"} != alive:
                    return False
            if len(self.epochs(nodes)) != 1:
                return False
            return {m["node_id"] for m in self.get(nodes[0], "/cluster/ring")["members"] if m["first_slots"]} == alive
        except (OSError, http.client.HTTPException):
            return False

    def await_settled(self, seconds=WHOLE, nodes=None, alive=None):
        """Seconds that it took."""
        begin = time.monotonic()
        rack.wait_for(lambda: self.settled(nodes, alive), seconds, "one cluster, one table")
        return time.monotonic() - begin


class Watch:
    """Looks at what every node believes, all the time: `changes` holds (seconds since the beginning, observer,
    member, former status or None, status). A node that does not answer believes nothing meanwhile."""

    def __init__(self, cluster, nodes, every=0.03):
        self.cluster, self.every, self.begin, self.begin_ms = cluster, every, time.monotonic(), time.time() * 1000
        self.lock, self.changes, self.seen, self.ending = threading.Lock(), [], {}, threading.Event()
        self.threads = [threading.Thread(target=self.look, args=(node,), daemon=True) for node in nodes]
        for thread in self.threads:
            thread.start()

    def look(self, observer):
        ask = Asker(self.cluster.socket_path(observer), 1)
        while not self.ending.wait(self.every):
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                status, _, body = ask("GET", "/cluster/members")
                if status == 200:
                    self.note(observer, json.loads(body)["members"])
        ask.close()

    def note(self, observer, members):
        now = time.monotonic() - self.begin
        with self.lock:
            for m in members:
                life = (m["status"], m["boot"])
                former = self.seen.get((observer, m["node_id"]))
                if former != life:
                    self.seen[observer, m["node_id"]] = life
                    self.changes.append((now, observer, m["node_id"], former[0] if former else None, m["status"]))

    def now(self):
        return time.monotonic() - self.begin

    def believed(self, observer, member):
        with self.lock:
            return self.seen.get((observer, member), (None, None))[0]

    def boot(self, observer, member):
        with self.lock:
            return self.seen.get((observer, member), (None, None))[1]

    def when(self, observer, member, statuses, since):
        """When the observer first held one of these of the member; None: not yet."""
        with self.lock:
            for at, who, whom, _, status in self.changes:
                if at >= since and (who, whom) == (observer, member) and status in statuses:
                    return at - since
        return None

    def await_all(self, observers, member, statuses, since, seconds):
        """Seconds until the last of the observers held one of these; None when some did not in time."""
        end = time.monotonic() + seconds
        while True:
            times = [self.when(observer, member, statuses, since) for observer in observers]
            if None not in times:
                return max(times)
            if time.monotonic() > end:
                return None
            time.sleep(0.01)

    def accused(self, statuses, since=0, but=()):
        """[(observer, member)]: who was held for one of these, except of the members in `but`, however shortly: as
        was seen from here, and as the nodes that live told."""
        with self.lock:
            found = {(who, whom) for at, who, whom, _, status in self.changes if at >= since and status in statuses}
        for who in self.cluster.nodes():
            with contextlib.suppress(OSError, http.client.HTTPException):
                found |= {(who, event["node_id"]) for event in self.cluster.events(who, self.begin_ms + since * 1000)
                          if event["event"] == "state" and event["status"] in statuses}
        return sorted(pair for pair in found if pair[1] not in but)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(5)


@contextlib.contextmanager
def cluster(suffix="", nodes=5, settings=None, arguments=()):
    """A cluster of its own name, down again whatever happens."""
    it = Cluster(f"t{os.getpid()}{suffix}")
    try:
        it("up", "--cluster", "--nodes", nodes, "--no-huge", *arguments,
           *(f"--set={k}={v}" for k, v in (settings or {}).items()), timeout=120)
        yield it
    finally:
        for maker in it.makers.values():
            maker.end()
        it("down", "--wipe", check=False)
