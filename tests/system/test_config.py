"""slipringd's configuration as an operator meets it: exit status, messages, what is printed."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAEMON = os.path.join(os.environ.get("SLIPRING_BUILD") or os.path.join(ROOT, "build/release"), "slipringd")
GOOD = "node_id: n7\nipv4: 10.9.0.7/24\ninterfaces: [e0]\nnative:\n  port: 7500\n"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "slipring.yaml"
        path.write_text(text)
        return str(path)
    return write


def slipringd(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SLIPRING_")}
    return subprocess.run([DAEMON, *arguments], env={**clean, **environment}, text=True, capture_output=True, timeout=20)


def test_a_good_file_is_valid(file):
    done = slipringd("--check-config", "--config", file(GOOD))
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is valid\n", "")


def test_every_mistake_is_told_with_its_line(file):
    path = file("node_id: n7\nipv4: 10.9.0.7\nworker: 2\nmemory: 64Q\nnative:\n  port: 70000\nnode_id: n8\n")
    done = slipringd("--check-config", "--config", path)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"{path}:{at}" for at in ("2:7", "3:1", "4:9", "6:9", "7:1")]
    assert "did you mean 'workers'?" in lines[1]
    assert "(allowed: 16M..1T, or 1%..100% of the RAM)" in lines[2]
    assert "(allowed: 1..65535)" in lines[3]
    assert "first in line 1" in lines[4]


def test_a_bad_configuration_does_not_start(file):
    done = slipringd("--config", file("workers: 0\n"))
    assert done.returncode == 2
    assert ":1:10: workers: 0 is out of range (allowed: 1..16)" in done.stderr


def test_a_missing_file_is_named():
    done = slipringd("--check-config", "--config", "/nonexistent/slipring.yaml")
    assert done.returncode == 2
    assert "/nonexistent/slipring.yaml: No such file or directory" in done.stderr


def test_an_unknown_profile_is_refused(file):
    done = slipringd("--check-config", "--config", file(GOOD), "--profile", "nosuch")
    assert done.returncode == 2
    assert "no file nosuch.yaml in drivers-config near the program or" in done.stderr


def test_a_broken_profile_is_refused_with_its_line(file, tmp_path):
    (tmp_path / "mine.yaml").write_text("driver: net_af_xdp\nrx_descriptors: many\n")
    done = slipringd("--check-config", "--config", file(GOOD), "--profile", "mine", SLIPRING_PROFILES=str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path}/mine.yaml:2:17: rx_descriptors: 'many' is not a whole number (allowed: 64..32768)" in done.stderr


def test_each_value_is_printed_with_its_origin(file):
    path = file(GOOD)
    done = slipringd("--print-config", "--config", path, "--workers", "2", SLIPRING_LOG_LEVEL="debug",
                     SLIPRING_NATIVE__REQUIRE_AUTH="no")
    assert done.returncode == 0, done.stderr
    origins = {}
    for line in done.stdout.splitlines():
        text, _, origin = line.partition("#")
        origins[" ".join(text.split())] = origin.strip()
    assert origins["node_id: n7"] == f"{path}:1:10"
    assert origins["port: 7500"] == f"{path}:5:9"
    assert origins["workers: 2"] == "--workers"
    assert origins["log_level: debug"] == "SLIPRING_LOG_LEVEL"
    assert origins["require_auth: false"] == "SLIPRING_NATIVE__REQUIRE_AUTH"
    assert origins["idle: adaptive"] == "default"


def test_what_is_printed_is_read_again(file):
    first = slipringd("--print-config", "--config", file(GOOD), "--memory", "1536M", "--memcached.udp",
                      "--memcached.allow", "10.0.0.0/8,fd00::/8")
    assert first.returncode == 0, first.stderr
    second = slipringd("--print-config", "--config", file(first.stdout))
    assert second.returncode == 0, second.stderr

    def values(text):
        return [line.split("#")[0].rstrip() for line in text.splitlines()]
    assert values(second.stdout) == values(first.stdout)


def test_a_stranger_in_the_environment_is_warned_of(file):
    done = slipringd("--check-config", "--config", file(GOOD), SLIPRING_WORKER="2")
    assert done.returncode == 0
    assert done.stderr == "slipringd: warning: environment: SLIPRING_WORKER is no key; did you mean SLIPRING_WORKERS?\n"


def test_the_file_may_be_named_by_the_environment(file):
    done = slipringd("--print-config", SLIPRING_CONFIG=file(GOOD))
    assert done.returncode == 0
    assert "node_id: n7" in done.stdout


def test_help_lists_every_key(file):
    text = slipringd("--help").stdout
    printed = slipringd("--print-config", "--config", file(GOOD)).stdout
    group, keys = "", []
    for line in printed.splitlines():
        name = line.split(":")[0]
        if line.split("#")[0].rstrip().endswith(":"):
            group = name + "."
        else:
            keys.append((group if name.startswith(" ") else "") + name.strip())
    assert len(keys) > 25
    for key in keys:
        assert f"--{key.replace('_', '-')} " in text, key
    assert slipringd("--version").stdout.startswith("slipringd ")


@pytest.mark.skipif(not shutil.which("scdoc"), reason="needs scdoc")
def test_the_manual_page_is_made_from_the_table():
    source = slipringd("--dump-config-scd")
    page = subprocess.run(["scdoc"], input=source.stdout, text=True, capture_output=True)
    assert page.returncode == 0, page.stderr
    assert "native.shared_key_file" in page.stdout.replace("\\&", "")


@pytest.mark.skipif(not shutil.which("scdoc"), reason="needs scdoc")
def test_the_daemons_manual_page_is_well_formed():
    with open(f"{ROOT}/doc/man/slipringd.8.scd") as f:
        page = subprocess.run(["scdoc"], stdin=f, text=True, capture_output=True)
    assert page.returncode == 0, page.stderr
