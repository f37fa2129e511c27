"""Clients that others wrote, run in the lab's client namespace: against the server they know, and against a node."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import rack

PROGRAMS = os.path.join(rack.ROOT, "tests/clients")
MODULES = os.path.join(rack.ROOT, "build/clients/node_modules")
PATH = os.environ["PATH"] + ":/usr/sbin:/usr/bin:/usr/local/bin"
RUNNERS = {".py": ["/usr/bin/python3", "-B"], ".js": ["node"], ".rb": ["ruby"], ".php": ["php"], ".pl": ["perl"]}
BUILT = os.path.join(rack.ROOT, "build/clients")
GOPATH = "/usr/share/gocode"
GOMEMCACHE, REDIGO = (f"{GOPATH}/src/github.com/{name}" for name in ("bradfitz/gomemcache", "gomodule/redigo"))
SPYMEMCACHED = "/usr/share/java/spymemcached.jar"
SETTINGS = {"memory": "128M"}


def is_there(what):
    """Of a program, Python's module (py:), node's (npm:) or a file."""
    kind, _, name = what.rpartition(":")
    if kind == "py":
        return os.path.isdir(f"/usr/lib/python3/dist-packages/{name}") or os.path.exists(f"/usr/lib/python3/dist-packages/{name}.py")
    if kind == "npm":
        return shutil.which("node") and os.path.isdir(os.path.join(MODULES, name))
    return os.path.exists(name) if name.startswith("/") else shutil.which(name, path=PATH)


def have(*wanted):
    """Skips the test, naming what is not here."""
    for what in wanted:
        if not is_there(what):
            pytest.skip(f"{what} is not installed: scripts/deps test")


def compiled(target, sources, command, **env):
    """Runs the compiler unless `target` is there and no older than its sources; nothing is fetched."""
    paths = [os.path.join(PROGRAMS, name) for name in sources]
    if not os.path.exists(target) or os.path.getmtime(target) < max(map(os.path.getmtime, paths)):
        os.makedirs(BUILT, exist_ok=True)
        done = subprocess.run([*command, *paths], env={**os.environ, "PATH": PATH, **env}, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return target


def runner(name):
    """The command that runs a program of tests/clients."""
    stem, kind = os.path.splitext(name)
    if kind == ".go":
        target = os.path.join(BUILT, stem)
        return [compiled(target, [name, "checks.go"], ["go", "build", "-o", target], GO111MODULE="off", GOPATH=GOPATH, GOFLAGS="",
                         GOCACHE=os.path.join(BUILT, "go-cache"))]
    if kind == ".java":
        compiled(os.path.join(BUILT, f"{stem}.class"), [name], ["javac", "-nowarn", "-d", BUILT, "-cp", SPYMEMCACHED])
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{BUILT}:{SPYMEMCACHED}", stem]
    return [*RUNNERS.get(kind, []), name if name.startswith("/") else os.path.join(PROGRAMS, name)]


def settings(**more):
    return {**SETTINGS, **more}


class End:
    """A server under test: `host` as seen from the client's namespace of a lab, and two ports."""

    def __init__(self, lab, kind, host, resp=6379, memcached=11211):
        self.lab, self.kind, self.host, self.port = lab, kind, host, {"resp": resp, "memcached": memcached}

    def __repr__(self):
        return self.kind

    def run(self, *command, timeout=60, check=True, **how):
        """A command in the client's namespace; H, R and M in it stand for host and the two ports."""
        names = {"H": self.host, "R": str(self.port["resp"]), "M": str(self.port["memcached"])}
        words = [names.get(w, re.sub(r"\b[HRM]\b(?=:)|(?<=:)[RM]\b", lambda m: names[m.group()], w)) for w in map(str, command)]
        how = {"text": True, "capture_output": True, **how}
        # Not by scripts/lab, whose names of hosts nobody needs here: it takes longer to start than most clients run.
        done = subprocess.run(["ip", "netns", "exec", f"{self.lab.name}-client", *words], timeout=timeout, env={**self.lab.env, "PATH": PATH}, **how)
        assert not check or done.returncode == 0, f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def program(self, name, protocol, *arguments, timeout=60):
        """A program of tests/clients; what it found wrong is the failure."""
        done = self.run(*runner(name), self.host, self.port[protocol], *arguments, timeout=timeout, check=False)
        lines = done.stdout.splitlines()
        bad = [line for line in lines if line.startswith("not ok")]
        assert not bad and done.returncode == 0, "\n".join(bad) or f"status {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
        assert any(line.startswith("ok ") for line in lines), done.stdout + done.stderr
        return lines

    @contextlib.contextmanager
    def background(self, *command, ready=None, seconds=10):
        """A server beside the test, in the client's namespace, until `ready()` holds; ended with the block."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(["ip", "netns", "exec", f"{self.lab.name}-client", *map(str, command)],
                                       stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                def up():
                    log.seek(0)
                    assert process.poll() is None, f"{command[0]} ended at once: {log.read()[-1000:]}"
                    return ready is None or ready()
                rack.wait_for(up, seconds, f"{command[0]} is ready")
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def listens(self, port):
        """True when someone on loopback of the client's namespace accepts."""
        sock = self.lab.socket(kind=1)
        try:
            return sock.connect_ex(("127.0.0.1", port)) == 0
        finally:
            sock.close()


@contextlib.contextmanager
def oracle(lab, resp=6379, memcached=11211):
    """Redis and memcached on loopback of the client's namespace; None for one that is not installed."""
    end = End(lab, "oracle", "127.0.0.1", resp, memcached)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if shutil.which("redis-server", path=PATH):
            stack.enter_context(end.background("redis-server", "--port", resp, "--bind", "127.0.0.1", "--save", "", "--dir", folder,
                                               "--maxmemory-policy", "allkeys-lfu", ready=lambda: end.listens(resp)))
        if shutil.which("memcached", path=PATH):
            stack.enter_context(end.background("memcached", "-l", "127.0.0.1", "-p", memcached, "-u", "nobody", "-I", "2m",
                                               ready=lambda: end.listens(memcached)))
        yield end


shared = contextlib.ExitStack()  # what lives as long as the session, or until the look at what is left


@contextlib.contextmanager
def both(suffix="c", **up):
    """{"oracle": End, "node": End} in one lab of its own; the node is the lab's n1."""
    with rack.lab(suffix, settings=settings(**up.pop("settings", {})), no_huge=True, **up) as lab, oracle(lab) as known:
        yield {"oracle": known, "node": End(lab, "node", lab.address())}
