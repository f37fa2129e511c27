"""The control plane of real nodes: tokens, TLS, client certificates, and what stops the start."""
import json
import shutil
import subprocess

import pytest

from nodes import DAEMON, ROOT, connect, netns, start  # noqa: F401

PORT = 7480
TOKENS = "reader read read-token\nboss admin boss-token\nmachine write -\n"


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(TOKENS)
    path.chmod(0o600)
    return str(path)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path):
    """ca.pem; server, machine and stranger as NAME.pem and NAME.key; alien is of another authority."""
    def authority(name):
        openssl(tmp_path, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(name, by="ca"):
        openssl(tmp_path, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (tmp_path / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl(tmp_path, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key",
                "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem")
    authority("ca")
    authority("other")
    for name in ("server", "machine", "stranger"):
        issue(name)
    issue("alien", "other")
    return tmp_path


def loopback_up(netns):
    subprocess.run(["ip", "-n", netns, "link", "set", "lo", "up"], check=True)


def ask(netns, path, *arguments, scheme="http"):
    """Status and body of a request from within the namespace; status 0 when there is no answer."""
    done = subprocess.run(["ip", "netns", "exec", netns, "curl", "-sS", "-m", "10", "-w", "\n%{http_code}", *map(str, arguments),
                           f"{scheme}://127.0.0.1:{PORT}{path}"], text=True, capture_output=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.startswith(("{", "[")) else body


def bearer(token):
    return "-H", f"Authorization: Bearer {token}"


def test_tokens_over_tcp_and_the_socket_beside_it(start, netns, tokens):
    loopback_up(netns)
    node = start("--interfaces", "e0", "--control.listen", f"127.0.0.1:{PORT}", "--control.tokens-file", tokens).ready()
    assert ask(netns, "/healthz")[0] == 200
    assert ask(netns, "/stats")[0] == 401
    assert ask(netns, "/stats", *bearer("read-tokem"))[0] == 401
    status, body = ask(netns, "/stats", *bearer("read-token"))
    assert status == 200 and body["node"] == "n1"
    status, body = ask(netns, "/log-level", *bearer("read-token"), "-X", "PUT", "-d", "debug")
    assert (status, body["code"]) == (403, "forbidden")
    assert ask(netns, "/log-level", *bearer("boss-token"), "-X", "PUT", "-d", "warn") == (200, {"level": "warn"})
    assert ask(netns, "/healthz", "-H", "Host: evil.example")[1]["code"] == "unknown_host"
    assert node.get("/v1/me") == {"name": "uid:0", "by": "unix", "scope": "admin"}
    assert {s["protocol"] for s in node.get("/sockets")} == {"udp", "unix", "tcp"}
    assert node.stop() == 0


def test_tls_and_client_certificates(start, netns, tokens, certificates):
    def client(name, *more):
        return ("--cacert", certificates / "ca.pem", "--cert", certificates / f"{name}.pem",
                "--key", certificates / f"{name}.key", *more)
    loopback_up(netns)
    node = start("--interfaces", "e0", "--control.listen", f"127.0.0.1:{PORT}", "--control.tokens-file", tokens,
                 "--control.tls-cert", str(certificates / "server.pem"), "--control.tls-key", str(certificates / "server.key"),
                 "--control.tls-client-ca", str(certificates / "ca.pem")).ready()
    assert ask(netns, "/v1/me")[0] == 0, "it speaks no clear text"
    status, body = ask(netns, "/v1/me", "--cacert", certificates / "ca.pem", *bearer("boss-token"), scheme="https")
    assert (status, body["code"]) == (401, "no_certificate")
    status, body = ask(netns, "/v1/me", *client("machine"), scheme="https")
    assert (status, body) == (200, {"name": "machine", "by": "certificate", "scope": "write"})
    status, body = ask(netns, "/log-level", *client("machine", "-X", "PUT", "-d", "info"), scheme="https")
    assert (status, body["code"]) == (403, "forbidden")
    status, body = ask(netns, "/v1/me", *client("stranger"), scheme="https")
    assert (status, body["code"]) == (403, "forbidden")
    status, body = ask(netns, "/v1/me", *client("stranger", *bearer("read-token")), scheme="https")
    assert (status, body["name"]) == (200, "reader")
    status, body = ask(netns, "/v1/me", *client("alien", *bearer("boss-token")), scheme="https")
    assert status in (0, 401), body
    assert ask(netns, "/healthz", *client("machine", "--tls-max", "1.1"), scheme="https")[0] == 0
    assert node.stop() == 0


@pytest.mark.parametrize("arguments, why", [
    (["--control.listen", "127.0.0.1:7480"], "control.tokens_file is empty"),
    (["--control.listen", "10.1.2.3:7480", "--control.tokens-file", "{tokens}"], "tokens would travel in clear text"),
    (["--control.listen", "n1:7480", "--control.tokens-file", "{tokens}"], "is not an address and port"),
    (["--control.listen", "127.0.0.1:70000", "--control.tokens-file", "{tokens}"], "is not an address and port"),
    (["--control.tls-cert", "x"], "a certificate needs its key"),
    (["--control.tls-client-ca", "x"], "clients show certificates only over TLS"),
])
def test_an_unsafe_configuration_is_refused_before_anything_starts(arguments, why, tokens):
    done = subprocess.run([DAEMON, "--ipv4", "10.9.0.1/24", *[a.format(tokens=tokens) for a in arguments]],
                          text=True, capture_output=True)
    assert done.returncode == 2 and why in done.stderr, done.stderr


def test_files_that_are_not_what_they_should_be_stop_the_start(start, tokens, certificates):
    def refused(*arguments):
        return start("--interfaces", "e0", "--control.listen", f"127.0.0.1:{PORT}", *map(str, arguments)).refused()
    good = "--control.tokens-file", tokens
    open_file = certificates / "open"
    open_file.write_text(TOKENS)
    open_file.chmod(0o644)
    assert "others may read it (mode 0644)" in refused("--control.tokens-file", open_file)
    assert "No such file" in refused("--control.tokens-file", certificates / "none")
    server = "--control.tls-cert", certificates / "server.pem"
    (certificates / "machine.key").chmod(0o600)
    assert "control.tls_cert and control.tls_key: " in refused(*good, *server, "--control.tls-key", certificates / "machine.key")
    (certificates / "server.key").chmod(0o640)
    assert "others may read it (mode 0640)" in refused(*good, *server, "--control.tls-key", certificates / "server.key")
    (certificates / "server.key").chmod(0o600)
    assert "control.tls_client_ca: " in refused(*good, *server, "--control.tls-key", certificates / "server.key",
                                                "--control.tls-client-ca", tokens)


def test_a_port_in_use_stops_the_start(start, netns, tokens):
    loopback_up(netns)
    listen = "--control.listen", f"127.0.0.1:{PORT}", "--control.tokens-file", tokens
    start("--interfaces", "e0", *listen).ready()
    assert "cannot listen on 127.0.0.1:7480" in start("--interfaces", "e1", *listen, node="n2").refused()


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_own_tool_finds_nothing_wrong_with_metrics(start):
    node = start("--interfaces", "e0").ready()
    text = subprocess.run(["curl", "-sS", "--unix-socket", f"{node.run_dir}/n1.sock", "http://n1/metrics"], check=True,
                          capture_output=True).stdout
    subprocess.run(["promtool", "check", "metrics"], input=text, check=True, timeout=60)
    assert node.stop() == 0


def test_the_reference_is_what_the_daemon_prints():
    printed = subprocess.run([DAEMON, "--dump-http-md"], text=True, capture_output=True, check=True).stdout
    with open(f"{ROOT}/doc/HTTP.md") as f:
        assert f.read() == printed
