"""Where benchmarks run: a node on a vhost port with our generator at its other end, and a lab of one node."""
import os
import re
import subprocess
import time

from harness import BUILD, ROOT, BenchError, program, read, run_json, start, take_huge_pages, wait_for

SERVER_CPU, CLIENT_CPU = 0, 1
HUGE_PAGES = 160  # a server of KEYS keys takes 60, the generator 30; asked for anew at each start
KEYS, VALUE = 1000000, 64
EAL = ["--no-pci", "--no-telemetry", "--in-memory", "--iova-mode=va"]


class Vhost:
    """A server on a vhost port, and our generator on the virtio_user port at its other end."""

    def __init__(self, folder):
        self.folder, self.socket = folder, f"{folder}/port"

    def generate(self, *options):
        command = [program("bench/bench_generator"), "--lcores", f"0@{CLIENT_CPU}", *EAL, "--single-file-segments",
                   "--log-level=error", "--vdev", f"net_virtio_user0,path={self.socket},queues=1,queue_size=1024",
                   "--", *options]
        for tries in range(3):
            try:
                take_huge_pages(HUGE_PAGES // 4)
                return run_json(command)[0]
            except BenchError as error:
                # On a busy machine the other end may listen before it is ready to negotiate.
                if "port does not start" not in str(error) or tries == 2:
                    raise
                time.sleep(1)

    def await_socket(self):
        wait_for(lambda: os.path.exists(self.socket), 10, "the vhost socket")
        time.sleep(0.3)

    def forget_socket(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)


SERVER_YAML = """node_id: bench
profile: vhost
interfaces: [{socket}]
ipv4: 10.9.0.1/24
workers: 1
worker_cpus: [{cpu}]
control_cpu: {control}
idle: busy
memory: 512M
items_max: {items}
expected_item_size: 80
huge_pages: "yes"
echo:
  port: 7
run_dir: {folder}
"""


def start_slipring(vhost):
    take_huge_pages(HUGE_PAGES)
    vhost.forget_socket()
    config, log = f"{vhost.folder}/slipringd.yaml", f"{vhost.folder}/slipringd.log"
    with open(config, "w") as f:
        f.write(SERVER_YAML.format(socket=vhost.socket, cpu=SERVER_CPU, control=CLIENT_CPU,
                                   items=int(KEYS * 1.2), folder=vhost.folder))
    process = start([program("slipringd"), "--config", config], log, limit=300)
    try:
        wait_for(lambda: re.search(r"\bready\b", read(log)) or process.poll() is not None, 15, "slipringd")
        vhost.await_socket()
    except BenchError as error:
        raise BenchError(f"{error}\n{read(log)[-800:]}") from None
    return process


class Lab:
    """A node of ours at .1 and empty namespaces from .2 on for the kernel's stack or a generator, on one switch."""

    def __init__(self, *settings, empty=1):
        self.settings, self.empty = LAB_SETTINGS + settings, range(2, 2 + empty)
        self.environment = dict(os.environ, SLIPRING_LAB="slbench", SLIPRING_LAB_SUBNET="10.19", SLIPRING_BUILD=BUILD)

    def call(self, *command, check=True):
        done = subprocess.run([f"{ROOT}/scripts/lab", *map(str, command)], text=True, capture_output=True,
                              env=self.environment)
        if check and done.returncode:
            raise BenchError(f"scripts/lab {' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def __enter__(self):
        self.call("down", "--wipe", check=False)
        self.call("up", "--empty", self.empty[-1])
        for i in self.empty:
            self.call("in", f"n{i}", "ip", "addr", "add", f"10.19.0.{i}/24", "dev", "e0")
        self.call("start", "n1", *[w for s in self.settings for w in ("--set", s)])
        return self

    def __exit__(self, *_):
        self.call("down", "--wipe", check=False)

    def client(self, *command, limit=120):
        return run_json([f"{ROOT}/scripts/lab", "exec", "taskset", "-c", CLIENT_CPU, *command], limit=limit,
                        env=self.environment)

    def serve(self, log, *command, node="n2"):
        return start([f"{ROOT}/scripts/lab", "in", node, "taskset", "-c", SERVER_CPU, *command], log,
                     env=self.environment)

    def generate(self, *options, server="10.19.0.1"):
        return run_json([f"{ROOT}/scripts/lab", "in", "n2", program("bench/bench_generator"), "--lcores",
                         f"0@{CLIENT_CPU}", *EAL, "--log-level=error", "--vdev", "net_af_xdp0,iface=e0,busy_budget=0",
                         "--", "--server", server, "--client", "10.19.0.2", "--checksums", *options],
                        env=self.environment)[0]


LAB_SETTINGS = ("idle=busy", "float_lcores=false", f"worker_cpus=[{SERVER_CPU}]", f"control_cpu={CLIENT_CPU}",
                "memory=256M", "memcached.udp=true", "memcached.allow=[10.19.0.0/24]", "echo.port=7")
