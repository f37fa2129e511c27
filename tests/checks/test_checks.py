"""Every check finds the bad sample made for it, and leaves a good one alone."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECKS = os.path.join(ROOT, "scripts/checks")
LAYERS = """base |      |          | pure
net  | base |          | pure
seal | base | sodium.h | pure  leaf:seal.c
io   | base | rte_     | impure
"""
GOOD = {
    "lib/LAYERS": LAYERS,
    "lib/base/size.h": "/*\n * size.h - sizes.\n */\n#include <stdint.h>\n\nint size_of(uint32_t n);\n",
    "lib/base/size.c": '#include "base/size.h"\n\nint\nsize_of(uint32_t n)\n{\n\treturn (int)n + 1;\n}\n',
    "lib/seal/seal.c": "#include <sodium.h>\n",
    "lib/io/port.c": "#include <rte_mbuf.h>\n#include <unistd.h>\n",
    "Makefile": "check: all ## look\n",
    "README.md": "See lib/base/size.h, [sizes](lib/base/size.c), lib/base/size.{c,h} and `make check`.\n",
}


@pytest.fixture
def tree(tmp_path):
    def make(**changed):
        for path, text in {**GOOD, **changed.get("files", {})}.items():
            where = tmp_path / path
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_text(text)
        return tmp_path
    return make


def check(name, root, **env):
    done = subprocess.run([os.path.join(CHECKS, name), str(root)], text=True, capture_output=True,
                          env={**os.environ, **env})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["layers", "length", "headers", "docs", "words"])
def test_good_tree_passes(tree, name):
    assert check(name, tree()) == (0, "")


@pytest.mark.parametrize("path,text,expected", [
    ("lib/base/up.c", '#include "net/net.h"\n', "base may not include net"),
    ("lib/net/dpdk.c", "#include <rte_mbuf.h>\n", "foreign to net"),
    ("lib/seal/other.c", "#include <sodium.h>\n", "foreign to seal"),
    ("lib/net/clock.c", "#include <time.h>\n", "in the pure folder net"),
    ("lib/net/app.c", '#include "slipringd/worker.h"\n', "is not in lib/"),
    ("lib/extra/x.c", "\n", "no line in lib/LAYERS"),
])
def test_layers(tree, path, text, expected):
    status, said = check("layers", tree(files={path: text}))
    assert status == 1 and expected in said and path in said


@pytest.mark.parametrize("path,text,expected", [
    ("lib/base/long.c", "int\nlong_one(void)\n{\n" + "\tg();\n" * 69 + "}\n", "long_one has 71 lines"),
    ("lib/base/long.c", "/* */\n" * 901, "901 lines, at most 900"),
    ("tests/long.py", "def long_one():\n" + "    g()\n" * 70, "long_one has 71 lines"),
])
def test_length(tree, path, text, expected):
    status, said = check("length", tree(files={path: text}))
    assert status == 1 and expected in said


@pytest.mark.parametrize("text,expected", [
    ("/*\n * needs.h - x\n */\nuint32_t f(void);\n", "does not compile alone"),
    ("int f(void);\n", "does not open with its name"),
])
def test_headers(tree, text, expected):
    status, said = check("headers", tree(files={"lib/base/needs.h": text}))
    assert status == 1 and expected in said


@pytest.mark.parametrize("text,expected", [
    ("See lib/base/gone.h.\n", "names lib/base/gone.h"),
    ("See [it](doc/GONE.md).\n", "names doc/GONE.md"),
    ("See lib/base/size.{c,py}.\n", "does not exist"),
    ("Run `make tea`.\n", "`make tea`"),
])
def test_docs(tree, text, expected):
    status, said = check("docs", tree(files={"README.md": text}))
    assert status == 1 and expected in said


@pytest.mark.parametrize("text,expected", [
    ("/* TO" + "DO: more */\n", "says TO" + "DO"), ("int a; \n", "blank at the end")])
def test_words(tree, text, expected):
    status, said = check("words", tree(files={"lib/base/w.c": text}))
    assert status == 1 and expected in said


@pytest.mark.parametrize("text,expected", [
    ("#include <time.h>\nlong f(void);\nlong\nf(void)\n{\n\treturn time(0);\n}\n", "refers to time"),
    ("int f(void);\nint\nf(void)\n{\n\tstatic int n;\n\treturn n++;\n}\n", "writable data in .bss"),
    ("int counter = 3;\n", "in .data: counter"),
    ("_Thread_local int mine;\n", "in .tbss: mine"),
    ("const int fixed = 3;\nint f(int);\nint\nf(int i)\n{\n\treturn i + fixed;\n}\n", None),
])
def test_purity(tree, text, expected):
    root = tree(files={"lib/base/size.c": text})
    os.makedirs(root / "pure/base")
    subprocess.run(["gcc", "-O1", "-c", root / "lib/base/size.c", "-o", root / "pure/base/size.o"], check=True)
    status, said = check("purity", root, SLIPRING_PURE="pure")
    assert (status, said) == (0, "") if expected is None else status == 1 and expected in said


def test_purity_wants_objects(tree):
    assert check("purity", tree(), SLIPRING_PURE="nowhere")[0] == 1


def test_checks_do_not_write_into_the_tree(tree):
    check("layers", tree())
    assert not os.path.exists(os.path.join(CHECKS, "__pycache__"))


def test_tally_adds_up_and_is_honest(tmp_path):
    """A target that fails without counting is a failure in the sum, and in the exit status."""
    (tmp_path / "Makefile").write_text(
        "good:\n\t@echo '3 0 1 good' >>$$SLIPRING_COUNTS\nbroken:\n\t@false\n")
    run_all = os.path.join(ROOT, "scripts/run-all")
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MAKE")}

    def tally(*targets):
        done = subprocess.run([run_all, *targets], cwd=tmp_path, env=env, text=True, capture_output=True)
        return done.returncode, done.stdout.splitlines()[-1]
    assert tally("good") == (0, "3 passed, 0 failed, 1 skipped")
    assert tally("good", "broken") == (1, "3 passed, 1 failed, 1 skipped")
    assert tally("broken", "good")[0] == 1


def test_run_tests_counts_crashes(tmp_path):
    """A program that dies before cmocka speaks is one failure, not silence."""
    (tmp_path / "dies").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "dies").chmod(0o755)
    done = subprocess.run([os.path.join(ROOT, "scripts/run-tests"), tmp_path / "dies"], text=True, capture_output=True,
                          env={k: v for k, v in os.environ.items() if k != "SLIPRING_COUNTS"})
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_run_tests_side_by_side_counts_each(tmp_path, jobs):
    """Whichever ends first, every program is counted, and what failed is printed in one piece."""
    lines = {"good": "[       OK ] a\n[       OK ] b\n", "slow": "[       OK ] c\n", "bad": "[       OK ] d\n[  FAILED  ] e\n"}
    for name, said in lines.items():
        (tmp_path / f"{name}.txt").write_text(said)
        (tmp_path / name).write_text(f"#!/bin/sh\n[ {name} != slow ] || sleep 0.2\ncat $0.txt\n[ {name} != bad ]\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([os.path.join(ROOT, "scripts/run-tests"), *(tmp_path / name for name in ("slow", "good", "bad"))],
                          text=True, capture_output=True,
                          env={**{k: v for k, v in os.environ.items() if k != "SLIPRING_COUNTS"}, "TEST_JOBS": jobs})
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "4 passed, 1 failed, 0 skipped", done.stdout
    assert lines["bad"] + "  FAIL  bad\n" in done.stdout and "  ok    slow (1)\n" in done.stdout


@pytest.mark.parametrize("status,last", [("0", "2 passed, 0 failed, 0 skipped"), ("77", "1 passed, 1 failed, 0 skipped")])
def test_run_fuzz_counts_each(tmp_path, status, last):
    """A fuzzer that finds something fails the run, and is named with the way to replay it."""
    for name, ends in ("fuzz_sample_good", "0"), ("fuzz_sample_other", status):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {ends}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([os.path.join(ROOT, "scripts/run-fuzz"), "0", *map(str, sorted(tmp_path.iterdir()))],
                          text=True, capture_output=True, env={k: v for k, v in os.environ.items() if k != "SLIPRING_COUNTS"})
    for name in "fuzz_sample_good", "fuzz_sample_other":
        shutil.rmtree(os.path.join(ROOT, "build/fuzz-corpus", name))
    assert done.returncode == (status != "0") and done.stdout.splitlines()[-1] == last
    assert status == "0" or f"replay with {tmp_path}/fuzz_sample_other FILE" in done.stdout


def test_deps_lists_what_build_links():
    """Every -l of the build has a package behind it that scripts/deps installs."""
    if not shutil.which("dpkg"):
        pytest.skip("needs dpkg")
    listed = set(subprocess.run([os.path.join(ROOT, "scripts/deps"), "--list", "test"], text=True,
                                capture_output=True, check=True).stdout.split())
    with open(os.path.join(ROOT, "scripts/build.mk")) as f:
        words = f.read().split()
    libc = {"m", "dl", "pthread", "atomic", "rt"}
    for library in {w[2:] for w in words if w.startswith("-l") and w[2:3].isalpha()} - libc:
        path = f"/usr/lib/x86_64-linux-gnu/lib{library}.so"
        package = subprocess.run(["dpkg", "-S", path], text=True, capture_output=True, check=True).stdout.split(":")[0]
        package = {"libpcap0.8-dev": "libpcap-dev"}.get(package, package)
        assert package in listed, f"-l{library} needs {package}"


@pytest.mark.parametrize("body,expected", [
    ("role_worker_begin();\n\tio_wait(port, mailbox, 1);", None),
    ("role_main_begin();\n\tio_wait(port, mailbox, 1);", "requires holding role 'role_worker'"),
    ("io_stop();", "requires holding role 'role_main'"),
])
def test_roles(tmp_path, body, expected):
    """clang refuses a call from the wrong thread's function."""
    (tmp_path / "sample.c").write_text(
        f'#include "io/io.h"\nvoid f(struct port *port, struct mailbox *mailbox);\nvoid\n'
        f"f(struct port *port, struct mailbox *mailbox)\n{{\n\t(void)port, (void)mailbox;\n\t{body}\n}}\n")
    done = subprocess.run(["clang", "-fsyntax-only", "-std=gnu11", "-D_GNU_SOURCE", "-Wthread-safety", "-Werror",
                           "-I" + os.path.join(ROOT, "lib"), tmp_path / "sample.c"], text=True, capture_output=True)
    assert done.returncode == (1 if expected else 0) and (expected or "") in done.stderr, done.stderr
