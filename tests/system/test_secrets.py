"""Files of keys, tokens, certificates and passwords: --check-config finds in them what would stop a start."""
import os
import subprocess

import pytest

from nodes import DAEMON, netns, start  # noqa: F401
from test_api import certificates, tokens  # noqa: F401

KEY = "0123456789abcdef" * 4 + "\n"


def check(*arguments):
    done = subprocess.run([DAEMON, "--check-config", "--ipv4", "10.9.0.1/24", "--interfaces", "e0", *map(str, arguments)],
                          env={k: v for k, v in os.environ.items() if not k.startswith("SLIPRING_")},  # a test run sets some
                          text=True, capture_output=True, timeout=20)
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def secret(tmp_path):
    """Makes a file: secret(text, mode)."""
    def write(text, mode=0o600):
        path = tmp_path / f"secret{len(os.listdir(tmp_path))}"
        path.write_text(text)
        path.chmod(mode)
        return str(path)
    return write


LISTEN = "--control.listen", "127.0.0.1:7480"
CASES = {
    "--native.shared-key-file": ((), KEY, "abc\n", "must hold 64 hex digits"),
    "--resp.password-file": ((), "word\n", "two\nlines\n", "must hold one line of 1 to"),
    "--memcached.password-file": ((), "user:word\n", "word\n", "must hold USER:PASSWORD"),
    "--cluster.key-file": (("--cluster.enabled",), KEY, KEY[1:], "must hold 64 hex digits"),
    "--control.tokens-file": (LISTEN, "boss admin boss-token\n", "boss king boss-token\n", ":1: "),
}


@pytest.mark.parametrize("key", CASES)
def test_a_file_that_is_not_what_it_should_be_is_told_as_a_start_tells_it(key, start, secret, tmp_path):
    around, good, bad, why = CASES[key]
    assert check(*around, key, secret(good)) == (0, [])
    for path, reason in ((secret(good, 0o640), "others may read it (mode 0640): chmod 600"), (secret(bad), why),
                         (tmp_path / "none", "No such file or directory"), (tmp_path, "not a regular file")):
        status, lines = check(*around, key, path)
        assert status == 2 and len(lines) == 1 and reason in lines[0] and str(path) in lines[0], lines
        assert lines[0] == "slipringd: " + start("--interfaces", "e0", *around, key, str(path)).refused()


def test_certificates_are_looked_at_as_well(start, tokens, certificates):
    names = ("server", "machine")
    for name in names:
        (certificates / f"{name}.key").chmod(0o600)
    good = *LISTEN, "--control.tokens-file", tokens, "--control.tls-cert", certificates / "server.pem"
    for more, why in ((("--control.tls-key", certificates / "machine.key"), "control.tls_cert and control.tls_key: "),
                      (("--control.tls-key", certificates / "none"), "control.tls_key "),
                      (("--control.tls-key", certificates / "server.key", "--control.tls-client-ca", tokens), "control.tls_client_ca: ")):
        arguments = [str(a) for a in (*good, *more)]
        status, lines = check(*arguments)
        assert status == 2 and len(lines) == 1 and why in lines[0], lines
        assert lines[0] == "slipringd: " + start("--interfaces", "e0", *arguments).refused()
    assert check(*good, "--control.tls-key", certificates / "server.key", "--control.tls-client-ca", certificates / "ca.pem") == (0, [])


def test_every_file_is_told_at_once_and_none_that_a_start_would_not_read(secret, tmp_path):
    loose, none = secret(KEY, 0o644), str(tmp_path / "none")
    files = ("--native.shared-key-file", loose, "--resp.password-file", none, "--memcached.password-file", loose,
             "--cluster.key-file", none, "--cluster.previous-key-file", loose, "--control.tokens-file", none)
    tls = "--control.tls-cert", none, "--control.tls-key", loose, "--control.tls-client-ca", none
    status, lines = check(*files, *tls, *LISTEN, "--cluster.enabled")
    assert status == 2
    assert [line.split()[1] for line in lines] == [
        "native.shared_key_file", "resp.password_file", "memcached.password_file", "cluster.key_file", "cluster.previous_key_file",
        "control.tokens_file", "control.tls_cert", "control.tls_key", "control.tls_client_ca"]
    assert len(check(*files)[1]) == 3  # neither a cluster nor the control plane over TCP
