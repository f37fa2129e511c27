"""How the host reaches the control planes of a lab's nodes: ports, a token, sockets where people look for them."""
import contextlib
import os
import socket

from lab_machine import LAB, ROOT, RUN, LabError, end, helper_pid, helper_start, namespace, read, read_json, write

DEFAULT = LAB == "slipring"
CONTROL = "127.0.0.1:7480"  # inside the node's namespace, where nobody else is
TOKENS = "dev admin dev-token\nreader read dev-reader-token\n"  # of a lab: no secret
SOCKETS = "/run/slipring" if DEFAULT else RUN  # where people look for the nodes' control sockets


def first_ports():
    """Those of n1, [] for none: as the environment says, else as the lab was made, else the default lab's."""
    former = read_json(f"{RUN}/lab.json", {}).get("ports", [8081, 9081] if DEFAULT else [])
    said = os.environ.get("SLIPRING_LAB_PORTS")
    if not said:
        return former if said is None else []
    try:
        first = [int(port) for port in said.split(",")]
    except ValueError:
        first = []
    if len(first) != 2 or not all(1 <= port <= 65400 for port in first):
        raise LabError(f"SLIPRING_LAB_PORTS='{said}': two first ports, such as 8081,9081")
    return first


def ports_of(node):
    """The host's ports for a node: client API and management. []: this lab has none."""
    first = first_ports()
    return [port + int(node[1:]) - 1 for port in first]


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


def ports_start(node):
    ports, pid = ports_of(node), ports_pid(node)
    if pid:
        if read(f"/proc/{pid}/cmdline").split("\0")[-3:-1] == [str(port) for port in ports]:
            return
        end(pid)
    if not ports:
        return
    taken = [str(port) for port in ports if not is_free(port)]
    if taken:
        raise LabError(f"port {' and '.join(taken)} of 127.0.0.1 is taken by something else; SLIPRING_LAB_PORTS=18081,19081 "
                       "makes the lab begin at other ones, SLIPRING_LAB_PORTS= at none")
    helper_start(None, [f"{ROOT}/scripts/lab-ports", namespace(node), *map(str, ports)], f"{node}.ports", "lab-ports")


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
