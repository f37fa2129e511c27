"""A lab for tests: its own name, its own namespaces, down again whatever happens."""
import contextlib
import ctypes
import os
import queue
import socket
import subprocess
import threading
import time

import native

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAB = os.path.join(ROOT, "scripts/lab")
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Maker:
    """A thread that sits in a namespace and makes sockets there for everyone else."""

    def __init__(self, netns):
        self.netns, self.wanted, self.made = netns, queue.Queue(), queue.Queue()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with open(f"/run/netns/{self.netns}") as f:
            if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
                self.made.put(OSError(ctypes.get_errno(), f"setns {self.netns}"))
                return
        while arguments := self.wanted.get():
            try:
                self.made.put(socket.socket(*arguments))
            except OSError as error:
                self.made.put(error)

    def make(self, *arguments):
        self.wanted.put(arguments)
        made = self.made.get(timeout=10)
        if isinstance(made, OSError):
            raise made
        return made

    def end(self):
        """The thread leaves, or the namespace would live on."""
        self.wanted.put(None)


class Lab:
    def __init__(self, name):
        self.name, self.makers = name, {}
        self.net = os.environ.get("SLIPRING_TEST_SUBNET", "10.9")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SLIPRING_")}
        self.env.update(SLIPRING_LAB=name, SLIPRING_LAB_SUBNET=self.net)
        if "SLIPRING_BUILD" in os.environ:
            self.env["SLIPRING_BUILD"] = os.environ["SLIPRING_BUILD"]

    def __call__(self, *arguments, check=True, timeout=60, **how):
        how = {"text": True, "capture_output": True, **how}
        done = subprocess.run([LAB, *map(str, arguments)], env=self.env, timeout=timeout, **how)
        if check and done.returncode:
            raise AssertionError(f"lab {' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def exec(self, *command, **how):
        return self("exec", *command, **how)

    def cli(self, *arguments, **how):
        return self.exec("slipring", *arguments, **how)

    def log(self, node="n1"):
        return self("logs", node).stdout

    def pid(self, node="n1"):
        """Of the daemon; None when it is not running."""
        out = subprocess.run(["ip", "netns", "pids", f"{self.name}-{node}"], text=True, capture_output=True).stdout
        for pid in out.split():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "slipringd":
                    return int(pid)
        return None

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, protocol=0, where="client"):
        """A socket that lives in a namespace of the lab."""
        if where not in self.makers:
            self.makers[where] = Maker(f"{self.name}-{where}")
        return self.makers[where].make(family, kind, protocol)

    def address(self, node="n1"):
        return f"{self.net}.0.{node[1:]}"

    def client(self, node="n1", port=native.PORT, **how):
        return native.Client(self.socket(), self.address(node), port, **how)

    def udp(self, port, node="n1", timeout=1.0):
        s = self.socket()
        s.settimeout(timeout)
        s.connect((self.address(node), port))
        return s

    def counters(self, node="n1"):
        """Every numeric statistic of a node."""
        return {k: int(v) for k, v in self.client(node).stats().items() if v.isdigit()}

    def counters_of_workers(self, node="n1"):
        """[{name: figure}] of each worker."""
        found = {}
        for name, text in self.client(node).stats(b"workers").items():
            worker, _, rest = name.partition("_")
            if worker.startswith("worker") and text.isdigit():
                found.setdefault(int(worker[6:]), {})[rest] = int(text)
        return [found[i] for i in sorted(found)]


@contextlib.contextmanager
def lab(suffix="", **up):
    """A lab with one node, or as up(**up) says: nodes, workers, profile, settings {key: value}."""
    it = Lab(f"t{os.getpid()}{suffix}")
    settings = up.pop("settings", {})
    arguments = [f"--{k.replace('_', '-')}" + ("" if v is True else f"={v}") for k, v in up.items()]
    arguments += [f"--set={k}={v}" for k, v in settings.items()]
    try:
        it("up", *arguments)
        yield it
    finally:
        for maker in it.makers.values():
            maker.end()
        it("down", "--wipe", check=False)


def wait_for(condition, seconds=5.0, what="condition"):
    """Polls until it holds; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)
