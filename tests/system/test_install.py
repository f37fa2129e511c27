"""make install and uninstall into a staging directory."""
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def make(target, stage):
    done = subprocess.run(["make", "-s", target, f"DESTDIR={stage}"], cwd=ROOT, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(stage):
    return sorted(os.path.relpath(os.path.join(folder, name), stage)
                  for folder, _, names in os.walk(stage) for name in names)


def test_what_is_installed_is_removed_again_but_for_the_configuration(tmp_path):
    stage = tmp_path / "stage"
    make("install", stage)
    there = files(stage)
    for wanted in ("usr/local/sbin/slipringd", "usr/local/bin/slipring", "usr/local/include/slipring.h",
                   "usr/local/lib/libslipring.so.0", "usr/local/lib/pkgconfig/slipring.pc",
                   "usr/local/share/man/man8/slipringd.8", "usr/local/share/man/man5/slipring.yaml.5",
                   "usr/local/share/slipring/drivers-config/af_xdp.yaml", "etc/systemd/system/slipring.service",
                   "usr/local/share/bash-completion/completions/slipring", "usr/local/share/zsh/site-functions/_slipring",
                   "etc/slipring/slipring.yaml"):
        assert wanted in there
    unit = (stage / "etc/systemd/system/slipring.service").read_text()
    assert "ExecStart=/usr/local/sbin/slipringd --config /etc/slipring/slipring.yaml" in unit
    profiles = {**os.environ, "SLIPRING_PROFILES": str(stage / "usr/local/share/slipring/drivers-config")}
    config = stage / "etc/slipring/slipring.yaml"
    refused = subprocess.run([stage / "usr/local/sbin/slipringd", "--check-config", "--config", config],
                             env=profiles, text=True, capture_output=True)
    assert refused.returncode == 2 and "ipv4: not given" in refused.stderr  # it must be edited first
    config.write_text(config.read_text().replace("#ipv4", "ipv4").replace("#interfaces", "interfaces"))
    edited = subprocess.run([stage / "usr/local/sbin/slipringd", "--check-config", "--config", config],
                            env=profiles, text=True, capture_output=True)
    assert edited.returncode == 0, edited.stderr
    mine = config.read_text()
    make("install", stage)
    assert config.read_text() == mine  # an existing configuration is not touched
    make("uninstall", stage)
    assert files(stage) == ["etc/slipring/slipring.yaml"]


PREFIX = "/usr/local"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image")
    make("install", root)
    return str(root)


def test_an_application_builds_against_it(image, tmp_path):
    """By pkg-config, with the shared library and with the static one."""
    env = {**os.environ, "PKG_CONFIG_PATH": f"{image}{PREFIX}/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": image}
    for mode, extra in (("shared", []), ("static", ["--static"])):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *extra, "slipring"], env=env, text=True,
                               capture_output=True, check=True).stdout.split()
        if mode == "static":
            flags = [f if f != "-lslipring" else "-l:libslipring.a" for f in flags]
        program = tmp_path / mode
        subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", os.path.join(ROOT, "doc/examples/hello.c"), "-o", program, *flags],
                       check=True)
        needed = subprocess.run(["objdump", "-p", program], text=True, capture_output=True, check=True).stdout
        assert ("libslipring.so.0" in needed) == (mode == "shared")


def test_the_python_package_is_where_python_looks_and_finds_the_library_beside_it(image):
    [package] = [f for f in files(image) if f.endswith("dist-packages/slipring/__init__.py")]
    folder = os.path.dirname(os.path.dirname("/" + package))
    looked = subprocess.run(["/usr/bin/python3", "-c", "import site; print(*site.getsitepackages(), sep='\\n')"], text=True,
                            capture_output=True, check=True).stdout.splitlines()
    assert folder in looked
    env = {k: v for k, v in os.environ.items() if k not in ("SLIPRING_LIBRARY", "LD_LIBRARY_PATH")}
    done = subprocess.run(["/usr/bin/python3", "-B", "-c", "import slipring; print(slipring.slot('foo'), slipring.__file__)"],
                          env={**env, "PYTHONPATH": image + folder}, text=True, capture_output=True)
    assert done.stdout.split() == ["12182", f"{image}/{package}"], done.stderr


def test_only_our_names_are_exported(image):
    for arguments, file in ((["-D", "--defined-only"], "libslipring.so.0"), (["-g", "--defined-only"], "libslipring.a")):
        out = subprocess.run(["nm", *arguments, f"{image}{PREFIX}/lib/{file}"], text=True, capture_output=True, check=True).stdout
        names = re.findall(r"^[0-9a-f]+ [BDRTVW] (\S+)", out, re.M)
        assert names and not [n for n in names if not n.startswith("slipring_")], file


def test_manual_pages_name_their_programs(image):
    pages = [f for f in files(image) if "/share/man/" in f]
    assert pages
    for page in pages:
        with open(os.path.join(image, page)) as f:
            text = f.read()
        assert ".TH" in text and os.path.basename(page).rpartition(".")[0] in text
