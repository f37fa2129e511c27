"""What scripts/lab stands on: files, commands, namespaces, processes, huge pages."""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
LAB = os.environ.get("SLIPRING_LAB") or "slipring"
NET = os.environ.get("SLIPRING_LAB_SUBNET") or "10.9"
NET6 = "fd09"  # of the lab's IPv6 addresses, which are nobody else's (RFC 4193)
BUILD = os.path.realpath(os.environ.get("SLIPRING_BUILD") or os.path.join(ROOT, "build/release"))
TIMEOUT = float(os.environ.get("SLIPRING_LAB_TIMEOUT") or 30)
LABS = "/run/slipring-lab"
RUN = f"{LABS}/{LAB}"
CLIENT = 254  # last octet of the client's addresses
HUGE_COUNT = "/proc/sys/vm/nr_hugepages"

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 1 << 18, 2


class LabError(Exception):
    """Something the user should know; the text says what to do."""


# --- small tools -----------------------------------------------------------------

def run(*command, text=None, check=True):
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if check and done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done


def ip_batch(lines, netns=None):
    where = ("-n", netns) if netns else ()
    run("ip", *where, "-batch", "-", text="\n".join(lines) + "\n")


def read(path, default=""):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return default


def tail(path, count=15):
    return "\n".join("    " + l for l in read(path).splitlines()[-count:])


def write(path, text):
    """Whole or not at all: a crash leaves the former file."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


def read_json(path, default):
    try:
        return json.loads(read(path))
    except ValueError:
        return default


def call(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def enter(netns):
    """Moves this process into a namespace of the lab, with the lab's /etc/hosts and a
    /sys that shows the namespace's devices. To be called in a child."""
    with open(f"/run/netns/{netns}") as f:
        call(libc.setns(f.fileno(), CLONE_NEWNET), f"enter {netns}")
    call(libc.unshare(CLONE_NEWNS), "unshare")
    call(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    libc.umount2(b"/sys", MNT_DETACH)
    call(libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mount /sys")
    hosts = f"{RUN}/hosts".encode()
    if os.path.exists(hosts):
        call(libc.mount(hosts, b"/etc/hosts", None, MS_BIND, None), "bind /etc/hosts")


@contextlib.contextmanager
def lock(what=LAB):
    """One command changes a lab at a time, and one lab the machine (`what` empty): labs share its huge pages."""
    os.makedirs(LABS, exist_ok=True)
    with open(f"{LABS}/.lock", "w") as f:
        # A byte of the file for each name; of an open file, not of the process, so that both can be held.
        place = zlib.crc32(what.encode()) if what else 1 << 32
        fcntl.fcntl(f, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
        yield


# --- names -----------------------------------------------------------------------

def namespace(who):
    return f"{LAB}-{who}"


def namespaces():
    """Those of this lab that exist now, whatever the state files say."""
    ours = re.compile(re.escape(LAB) + r"-(sw|client|n[1-9][0-9]?)$")
    try:
        return sorted(n for n in os.listdir("/run/netns") if ours.match(n))
    except OSError:
        return []


def node_index(node):
    match = re.fullmatch(r"n?([1-9][0-9]?)", node)
    if not match or namespace(f"n{match[1]}") not in namespaces():
        raise LabError(f"no node '{node}' in lab '{LAB}'; `scripts/lab status` lists them")
    return int(match[1])


def switch_port(who, delayed):
    """The port that forwards a node's frames: behind the relay while there is a delay."""
    if who == "client":
        return "pc"
    return f"r{who[1:]}" if who in delayed else f"p{who[1:]}"


def hosts_text(count, ipv6):
    lines = ["127.0.0.1 localhost", f"{NET}.0.{CLIENT} client", f"{NET}.1.{CLIENT} client-ctl"]
    for i in range(1, count + 1):
        lines += [f"{NET}.0.{i} n{i}", f"{NET}.1.{i} n{i}-ctl"]
        if ipv6:
            lines += [f"{NET6}::{i:x} n{i}-v6"]
    return "\n".join(lines) + "\n"


# --- processes -------------------------------------------------------------------

def started_at(pid):
    """Start time of a process in ticks: with the pid it names a process for good."""
    stat = read(f"/proc/{pid}/stat")
    return int(stat.rpartition(")")[2].split()[19]) if stat else None


def is_ours(pid, comm):
    """A process by that name inside a namespace of this lab."""
    if read(f"/proc/{pid}/comm").strip() != comm:
        return False
    try:
        inode = os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return False
    return any(os.stat(f"/run/netns/{n}").st_ino == inode for n in namespaces())


def node_pid(node):
    """The running daemon of a node, or None; never someone else's process with its pid."""
    state = read_json(f"{RUN}/{node}.json", {})
    pid = state.get("pid")
    if pid and started_at(pid) == state.get("started") and is_ours(pid, "slipringd"):
        return pid
    return None


def wait_gone(pid, started, seconds):
    end = time.monotonic() + seconds
    while started is not None and started_at(pid) == started:
        stat = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if stat and stat[0] == "Z":
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def helper_pid(note, comm):
    """The running helper that a state file of this lab names, or None."""
    state = read_json(f"{RUN}/{note}", {})
    pid = state.get("pid")
    return pid if pid and started_at(pid) == state.get("started") and is_ours(pid, comm) else None


def helper_start(netns, command, name, comm):
    """A helper that says "relaying" once it works; noted in NAME.json, what it says in NAME.log."""
    log = f"{RUN}/{name}.log"
    with contextlib.suppress(OSError):
        os.unlink(log)
    pid = spawn(netns, command, log)
    started, end_at = started_at(pid), time.monotonic() + 5
    while "relaying" not in read(log) or not is_ours(pid, comm):
        if time.monotonic() > end_at or wait_gone(pid, started, 0):
            end(pid, signal.SIGKILL)
            raise LabError(f"{command[0]} did not start: {read(log).strip()}")
        time.sleep(0.01)
    write(f"{RUN}/{name}.json", json.dumps({"pid": pid, "started": started}))


def end(pid, number=signal.SIGTERM, seconds=10):
    started = started_at(pid)
    try:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)  # one that is stopped hears nothing else
    except ProcessLookupError:
        return
    if not wait_gone(pid, started, seconds):
        print(f"process {pid} did not stop within {seconds} s: SIGKILL", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid, started, 5)


def spawn(netns, command, log):
    """Starts a program of its own session in a namespace (None: here); returns its pid."""
    # The lab's own variables are not settings of the daemon.
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLIPRING_LAB")
           and k not in ("SLIPRING_HOST", "SLIPRING_BUILD")}

    def child():
        os.setsid()
        try:
            if netns:
                enter(netns)
        except OSError as problem:  # subprocess would tell no more than that there was one
            os.write(2, f"{problem}\n".encode())
            raise
    with open(log, "a") as out:
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    preexec_fn=child, env=env, cwd="/").pid
        except subprocess.SubprocessError:
            raise LabError(f"cannot start {command[0]} in {netns or 'this namespace'}:\n{tail(log)}")


# --- huge pages ------------------------------------------------------------------

def huge_ledger():
    """{"former": count before any lab, "labs": {lab: pages it added}}, without labs that are gone."""
    ledger = read_json(f"{LABS}/.huge", {"former": 0, "labs": {}})
    alive = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    ledger["labs"] = {lab: n for lab, n in ledger["labs"].items() if f"{lab}-sw" in alive}
    return ledger


def huge_free():
    match = re.search(r"HugePages_Free:\s+(\d+)", read("/proc/meminfo"))
    return int(match[1]) if match else 0


def huge_take(pages):
    """Reserves what is missing; False when the machine cannot give it. Under the machine's lock, until they are in use."""
    ledger = huge_ledger()
    if not ledger["labs"]:
        ledger["former"] = int(read(HUGE_COUNT, "0"))
    missing = pages - huge_free()
    if missing > 0:
        before = int(read(HUGE_COUNT, "0"))
        ledger["labs"][LAB] = ledger["labs"].get(LAB, 0) + missing
        write(f"{LABS}/.huge", json.dumps(ledger))  # first the note, then the deed
        try:
            with open(HUGE_COUNT, "w") as f:
                f.write(str(before + missing))
        except OSError:
            pass
    if huge_free() < pages:
        huge_return()
        return False
    return True


def huge_give():
    """Takes back what this lab added."""
    with lock(""):
        huge_return()


def huge_return():
    if not os.path.exists(f"{LABS}/.huge"):
        return
    ledger = huge_ledger()
    ledger["labs"].pop(LAB, None)
    count = ledger["former"] + sum(ledger["labs"].values())
    if int(read(HUGE_COUNT, "0")) > count:
        with open(HUGE_COUNT, "w") as f:
            f.write(str(count))
    if ledger["labs"]:
        write(f"{LABS}/.huge", json.dumps(ledger))
    else:
        os.unlink(f"{LABS}/.huge")


def size_mib(text):
    """A size as the configuration writes it, in MiB; one it may refuse counts as nothing."""
    match = re.fullmatch(r"(\d+)\s*([KMG]?)(i?B)?", text, re.I)
    return int(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[match[2].upper()] >> 20 if match else 0


def huge_pages_for(nodes, workers, memory):
    """2 MiB pages: for each node 24 MiB of rings and EAL's own, a sixth of the budget for
    tables, and 16 MiB a worker for its packet buffers."""
    return nodes * (12 + 8 * workers + -(-size_mib(memory) // 12))
