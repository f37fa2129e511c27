"""What bench/run stands on: processes that cannot outlive it, huge pages, the manifest, the history."""
import atexit
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("SLIPRING_BUILD") or "build/release")
HISTORY = os.environ.get("SLIPRING_BENCH_HISTORY") or os.path.join(ROOT, "bench/history")
HUGE_COUNT = "/proc/sys/vm/nr_hugepages"


class BenchError(Exception):
    """Something the user should know; the text says what to do."""


# --- processes -------------------------------------------------------------------

running = []


def program(name):
    path = os.path.join(BUILD, name)
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is not there: run `make bench-programs`")
    return path


def start(command, log=None, limit=600, **how):
    """A process of its own group, ended at our exit and after `limit` seconds in any case."""
    command = ["timeout", "-k", "2", str(limit)] + [str(c) for c in command]
    out = open(log, "w") if log else subprocess.PIPE
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT if log else subprocess.PIPE,
                               text=True, start_new_session=True, **how)
    if log:
        out.close()
    running.append(process)
    return process


def end(process, number=signal.SIGTERM, seconds=5):
    if process.poll() is None:
        os.killpg(process.pid, number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process in running:
        running.remove(process)


def end_all():
    for process in list(running):
        end(process, signal.SIGKILL)


def run_json(command, limit=120, **how):
    """Runs a benchmark program to its end; returns the JSON objects that it printed."""
    process = start(command, limit=limit, stdin=subprocess.DEVNULL, **how)
    out, err = process.communicate()
    running.remove(process)
    if process.returncode:
        said = "\n".join(err.strip().splitlines()[-3:])
        raise BenchError(f"{' '.join(map(str, command))}\n  ended with status {process.returncode}: {said}")
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def wait_for(condition, seconds, what):
    end_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end_at:
            raise BenchError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


# --- huge pages ------------------------------------------------------------------

pages = {"before": 0, "added": 0}


def read(path, default=""):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return default


def meminfo(name):
    match = re.search(rf"^{name}:\s+(\d+)", read("/proc/meminfo"), re.M)
    return int(match[1]) if match else 0


def write_huge_count(count):
    with open(HUGE_COUNT, "w") as f:
        f.write(str(count))


def take_huge_pages(count):
    """Makes `count` huge pages free; given back at our exit."""
    missing = count - meminfo("HugePages_Free")
    if missing <= 0:
        return
    before = int(read(HUGE_COUNT, "0"))
    try:
        write_huge_count(before + missing)
    except OSError as error:
        raise BenchError(f"needs {missing} more huge pages (root): {error}") from None
    pages["before"] = pages["before"] if pages["added"] else before
    pages["added"] += int(read(HUGE_COUNT)) - before
    if meminfo("HugePages_Free") < count:
        raise BenchError(f"needs {count} free huge pages of 2 MiB; the machine has no more to give")


def give_huge_pages():
    """Takes back what we added, but never below what was there: others add and take, too."""
    count = int(read(HUGE_COUNT, "0"))
    if pages["added"] > 0 and count > pages["before"]:
        write_huge_count(max(pages["before"], count - pages["added"]))
    pages["added"] = 0


def clean_up():
    end_all()
    give_huge_pages()


atexit.register(clean_up)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(1))


# --- manifest --------------------------------------------------------------------

def output(*command):
    try:
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu():
    fields = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", read("/proc/cpuinfo").split("\n\n")[0], re.M))
    names = ("model name", "cpu family", "model", "stepping", "microcode", "cache size", "cpu MHz")
    return {name.replace(" ", "_"): fields.get(name, "") for name in names}


# Of the kernel's command line only what bears on speed: the rest is the machine's own business.
SPEED_ARGUMENTS = ("mitigations", "isolcpus", "nohz", "nohz_full", "rcu_nocbs", "idle", "intel_idle.max_cstate",
                   "processor.max_cstate", "hugepages", "hugepagesz", "default_hugepagesz", "transparent_hugepage",
                   "preempt", "threadirqs", "iommu", "intel_iommu", "amd_iommu", "nosmt", "cpuidle.off", "maxcpus")


def kernel_arguments():
    return " ".join(a for a in read("/proc/cmdline").split() if a.split("=")[0] in SPEED_ARGUMENTS)


def mitigations():
    folder = "/sys/devices/system/cpu/vulnerabilities"
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {n: read(f"{folder}/{n}").strip() for n in names if "Not affected" not in read(f"{folder}/{n}")}


def machine():
    return {
        "cpu": cpu(), "cores": os.cpu_count(), "threads_per_core": output(
            "sh", "-c", "lscpu | awk -F: '/Thread/{print $2+0}'"),
        "caches": output("sh", "-c", "lscpu | awk -F: '/^L[123]/{gsub(/^ +/,\"\",$2); print $1\": \"$2}'").split("\n"),
        "hypervisor": output("sh", "-c", "lscpu | awk -F: '/Hypervisor/{gsub(/ /,\"\",$2); print $2}'"),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or "not visible",
        "kernel": platform.release(), "kernel_arguments": kernel_arguments(),
        "memory_mb": meminfo("MemTotal") // 1024, "huge_page_kb": meminfo("Hugepagesize"),
        "mitigations": mitigations(), "numa_nodes": len([d for d in os.listdir("/sys/devices/system/node")
                                                         if d.startswith("node")]),
    }


def software():
    return {
        "commit": output("git", "rev-parse", "HEAD"),
        "changed": bool(output("git", "status", "--porcelain", "--untracked-files=no")),
        "dpdk": output("pkg-config", "--modversion", "libdpdk"),
        "compiler": output("gcc", "--version").split("\n")[0],
        "memcached": output("memcached", "-V"),
    }


def manifest(part, seconds):
    return {
        "part": part, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join([os.path.relpath(sys.argv[0], ROOT)] + sys.argv[1:]), "interval_s": seconds,
        "load_before": os.getloadavg()[0], "machine": machine(), "software": software(),
    }


def append_history(part, record):
    os.makedirs(HISTORY, exist_ok=True)
    with open(f"{HISTORY}/{part}.jsonl", "a") as f:
        f.write(json.dumps(record, separators=(",", ":")) + "\n")


# --- figures ---------------------------------------------------------------------

def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values):
    """median (lowest..highest) as a text."""
    return f"{median(values):.4g} ({min(values):.4g}..{max(values):.4g})" if values else "-"


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))))
