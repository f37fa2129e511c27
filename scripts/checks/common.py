"""What the checks share: where the tree is, how a finding is told."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else \
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
TOP = ("app", "lib", "bench", "tests", "scripts", "drivers-config", "doc", ".ci")
findings = []


def files(*suffixes, top=TOP):
    """Paths relative to the root, without what was built or fuzzed."""
    found = []
    for folder in top:
        for where, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = sorted(f for f in folders if f not in ("__pycache__", "corpus", "build"))
            found += [os.path.relpath(os.path.join(where, n), ROOT) for n in sorted(names)
                      if n.endswith(suffixes) or not suffixes]
    return found


def read(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        return f.read()


def report(path, line, problem, mend):
    findings.append(f"{path}:{line}: {problem}\n    {mend}" if line else f"{path}: {problem}\n    {mend}")


def run(*command, **how):
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, **how)


def close():
    """Exit status of the check: 1 when it found something."""
    print("\n".join(findings), end="\n" if findings else "")
    sys.exit(bool(findings))


def layers():
    """lib/LAYERS as {folder: {"may": set, "foreign": [prefix], "pure": bool, "leaves": {file: [prefix]}}}."""
    table = {}
    for number, line in enumerate(read("lib/LAYERS").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [c.strip() for c in line.split("|")]
        if len(cells) != 4:
            report("lib/LAYERS", number, "not four columns", "write: folder | may include | foreign headers | purity")
            continue
        row = {"may": set(cells[1].split()) | {cells[0]}, "foreign": cells[2].split(),
               "pure": "pure" in cells[3].split(), "leaves": {}}
        for word in cells[3].split():
            if word.startswith("leaf:"):
                name, _, prefix = word[5:].partition("=")
                row["leaves"][name] = [prefix] if prefix else row["foreign"]
        if row["leaves"]:  # then its foreign headers are for the leaves alone
            row["foreign"] = [f for f in row["foreign"] if not any(f in p for p in row["leaves"].values())]
        table[cells[0]] = row
    return table
