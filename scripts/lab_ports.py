"""How the host reaches a lab's nodes: ports of their control planes and of n1's data, a token, sockets where people look for them."""
import contextlib
import os
import socket

from lab_machine import LAB, NET, ROOT, RUN, LabError, end, helper_pid, helper_start, namespace, read, read_json, write

DEFAULT = LAB == "slipring"
CONTROL = "127.0.0.1:7480"  # inside the node's namespace, where nobody else is
DATA = ((2, 6379), (3, 11211))  # n1's RESP and memcached: which of the lab's ports leads there
TOKENS = "dev admin dev-token\nreader read dev-reader-token\n"  # of a lab: no secret
SOCKETS = "/run/slipring" if DEFAULT else RUN  # where people look for the nodes' control sockets


def first_ports():
    """Those of n1, [] for none: as the environment says, else as the lab was made, else the default lab's."""
    former = read_json(f"{RUN}/lab.json", {}).get("ports", [8081, 9081, 16379, 21211] if DEFAULT else [])
    said = os.environ.get("SLIPRING_LAB_PORTS")
    if not said:
        return former if said is None else []
    try:
        first = [int(port) for port in said.split(",")]
    except ValueError:
        first = []
    if len(first) not in (2, 4) or not all(1 <= port <= 65400 for port in first):
        raise LabError(f"SLIPRING_LAB_PORTS='{said}': two first ports, such as 8081,9081, and two more for n1's RESP and memcached, if any")
    return first


def ports_of(node):
    """The host's ports for a node: client API and management. []: this lab has none."""
    return [port + int(node[1:]) - 1 for port in first_ports()[:2]]


def data_ports():
    """The host's ports for n1's Redis and memcached clients; [] for none."""
    return first_ports()[2:]


def ways_of(node):
    """What lab-ports is told for a node's control plane."""
    return [f"{port}:{CONTROL}" for port in ports_of(node)]


def data_ways():
    return [f"{first_ports()[at]}:{NET}.0.1:{port}" for at, port in DATA] if data_ports() else []


def ports_settings(node):
    """What the daemon must be told for its ports to lead anywhere."""
    if not ports_of(node):
        return {}
    path = f"{RUN}/tokens"
    if not os.path.exists(path):
        os.close(os.open(path + ".new", os.O_CREAT | os.O_WRONLY, 0o600))
        write(path, TOKENS)
    return {"control.listen": CONTROL, "control.tokens_file": path}


def ports_pid(node):
    return helper_pid(f"{node}.ports.json", "lab-ports")


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def relay(netns, ways, note):
    """A lab-ports that carries just these ways, or none."""
    pid = helper_pid(f"{note}.json", "lab-ports")
    if pid:
        if read(f"/proc/{pid}/cmdline").split("\0")[-1 - len(ways):-1] == ways:
            return
        end(pid)
    if not ways:
        return
    taken = [way.split(":")[0] for way in ways if not is_free(int(way.split(":")[0]))]
    if taken:
        raise LabError(f"port {' and '.join(taken)} of 127.0.0.1 is taken by something else; SLIPRING_LAB_PORTS=18081,19081 "
                       "makes the lab begin at other ones, SLIPRING_LAB_PORTS= at none")
    helper_start(None, [f"{ROOT}/scripts/lab-ports", netns, *ways], note, "lab-ports")


def ports_start(node):
    relay(namespace(node), ways_of(node), f"{node}.ports")
    if node == "n1":
        relay(namespace("client"), data_ways(), "data.ports")


def link_socket(node):
    """/run/slipring/n1.sock leads to the default lab's n1, unless a node of this machine has that name."""
    if not DEFAULT:
        return
    os.makedirs(SOCKETS, exist_ok=True)
    path, target = f"{SOCKETS}/{node}.sock", f"{RUN}/{node}.sock"
    if os.path.islink(path):
        os.unlink(path)
    try:
        os.symlink(target, path)
    except FileExistsError:
        print(f"{path} belongs to another node; this lab's is {target}")


def unlink_sockets():
    if not DEFAULT or not os.path.isdir(SOCKETS):
        return
    for name in os.listdir(SOCKETS):
        path = f"{SOCKETS}/{name}"
        if os.path.islink(path) and os.readlink(path).startswith(RUN + "/"):
            os.unlink(path)
    with contextlib.suppress(OSError):  # not empty: others are at home there
        os.rmdir(SOCKETS)
