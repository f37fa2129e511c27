"""What makes the nodes of a lab a cluster: key, seeds, and waiting until they agree."""
import http.client
import json
import os
import socket
import time

from lab_machine import LAB, NET, RUN, TIMEOUT, LabError, read_json, tail, write

PORT = 7946
SEEDS_MAX = 5  # nodes that found the cluster; the same list on every node


def cluster_state():
    """{"seeds": [...], "rf": N} of a lab whose nodes are a cluster, else None."""
    return read_json(f"{RUN}/lab.json", {}).get("cluster")


def cluster_make(count, replication):
    """What lab.json keeps of a cluster that begins with so many nodes."""
    return {"seeds": [f"n{i}@{NET}.0.{i}:{PORT}" for i in range(1, min(count, SEEDS_MAX) + 1)], "rf": replication}


def key_file():
    """Drawn when the lab's first node asks; it lives until `down --wipe`."""
    path = f"{RUN}/cluster.key"
    if not os.path.exists(path):
        os.close(os.open(path + ".new", os.O_CREAT | os.O_WRONLY, 0o600))
        write(path, os.urandom(32).hex() + "\n")
    return path


def cluster_settings():
    """What a daemon must be told to be a node of this lab's cluster."""
    state = cluster_state()
    if not state:
        return {}
    return {"state_dir": f"{RUN}/state", "cluster.enabled": "true", "cluster.name": LAB, "cluster.key_file": key_file(),
            "cluster.seed_nodes": "[" + ", ".join(f'"{seed}"' for seed in state["seeds"]) + "]",
            "cluster.replication_factor": state["rf"]}


def place_environment(node):
    """A daemon started by hand in a node's place needs to say no more than who it is and whom it joins."""
    settings = {"interfaces": "e0", "ipv4": f"{NET}.0.{node[1:]}/24", "float_lcores": "true", "memory": "64M",
                "huge_pages": "no", "state_dir": f"{RUN}/state", "cluster.enabled": "true", "cluster.name": LAB,
                "cluster.key_file": key_file()}
    return {"SLIPRING_" + key.upper().replace(".", "__"): value for key, value in settings.items()}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(node, path, timeout=2):
    """(status, object) of a request to a node's control socket; (0, None) when it does not answer."""
    connection = UnixConnection(f"{RUN}/{node}.sock", timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


def trouble(node, count):
    """Why a node does not see a settled cluster of so many nodes; None when it does."""
    status, ready = ask(node, "/readyz")
    if status != 200:
        return f"{node} is not ready: {', '.join(ready['reasons']) if ready else 'no answer'}"
    status, seen = ask(node, "/cluster/status")
    alive = 1 + sum(peer["status"] == "Alive" for peer in seen["peers"]) if seen else 0
    if alive != count:
        return f"{node} sees {alive} of {count} nodes alive"
    return None


def await_cluster(nodes, count):
    """Until each of the nodes is ready and sees so many nodes alive."""
    end_at = time.monotonic() + TIMEOUT
    for node in nodes:
        while problem := trouble(node, count):
            if time.monotonic() > end_at:
                raise LabError(f"no cluster after {TIMEOUT:.0f} s: {problem}\n{tail(f'{RUN}/{node}.log')}")
            time.sleep(0.02)
