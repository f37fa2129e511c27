"""The control plane of real nodes: tokens, TLS, client certificates, and what stops the start."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
import yaml

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


def test_the_openapi_document_is_the_same_as_yaml(http_node):
    status, _, text = http_node("GET", "/openapi.yaml")
    assert status == 200 and yaml.safe_load(text) == http_node.json("GET", "/openapi.json")[1]


def test_the_reference_is_what_the_daemon_prints():
    printed = subprocess.run([DAEMON, "--dump-http-md"], text=True, capture_output=True, check=True).stdout
    with open(f"{ROOT}/doc/HTTP.md") as f:
        assert f.read() == printed


# --- the cache over HTTP ---------------------------------------------------------------------

class Http:
    """Requests on a node's control socket."""

    def __init__(self, node):
        self.path = f"{node.run_dir}/{node.node}.sock"

    def __call__(self, method, url, body=None, **headers):
        """(status, headers, body as bytes)"""
        connection = http.client.HTTPConnection("n1", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(self.path)
        try:
            connection.request(method, url, body, {k.replace("_", "-"): v for k, v in headers.items()})
        except BrokenPipeError:
            pass  # refused by its header; the answer is there
        reply = connection.getresponse()
        got = reply.status, reply.headers, reply.read()
        connection.close()
        return got

    def json(self, method, url, body=None, **headers):
        status, _, text = self(method, url, None if body is None else json.dumps(body), **headers)
        return status, json.loads(text)


@pytest.fixture(params=["e0", "e0,e1"], ids=["one worker", "two workers"])
def http_node(request, start):
    node = start("--interfaces", request.param, "--workers", str(request.param.count(",") + 1), "--memory", "64M").ready()
    yield Http(node)
    assert node.stop() == 0


def test_any_bytes_up_to_a_mebibyte_under_any_key(http_node):
    random = Random(7)
    for size in (0, 1, 100, 1300, 1372, 1388, 1389, 1400, 1408, 1409, 5000, 65536, 1048575, 1048576):
        value = random.randbytes(size)
        key = random.randbytes(random.randrange(1, 60))
        url = "/v1/cache/" + urllib.parse.quote(key, safe="")
        status, headers, text = http_node("PUT", url, value, Slipring_Flags="4294967295")
        assert status == 200 and headers["ETag"] == '"%s"' % json.loads(text)["version"]
        status, got, text = http_node("GET", url)
        assert (status, text) == (200, value), size
        assert (got["ETag"], got["Slipring-Flags"], got["Slipring-TTL-Ms"]) == (headers["ETag"], "4294967295", None)
        status, got, text = http_node("HEAD", url)
        assert (status, got["Content-Length"], got["ETag"], text) == (200, str(size), headers["ETag"], b"")
    assert http_node("PUT", "/v1/cache/k", b"x" * 1048577)[0] == 413
    assert http_node("PUT", "/v1/cache/" + "k" * 250, b"v")[0] == 200
    assert http_node.json("PUT", "/v1/cache/" + "k" * 251, 1) == (400, {
        "code": "bad_key", "error": "the key must be 1..250 bytes, percent-encoded"})
    assert http_node("PUT", "/v1/cache/a%2", b"v")[0] == 400
    assert http_node("PUT", "/v1/cache/", b"v")[0] == 404


def test_time_to_live_conditions_and_deletion(http_node):
    url = "/v1/cache/k"
    assert http_node.json("GET", url)[1]["code"] == "not_found"
    assert http_node("DELETE", url)[0] == 404
    assert http_node("PUT", url, b"1", If_None_Match="*", Slipring_TTL_Ms="60000")[0] == 200
    assert http_node("PUT", url, b"2", If_None_Match="*")[0] == 412
    _, headers, body = http_node("GET", url)
    assert body == b"1" and 50000 < int(headers["Slipring-TTL-Ms"]) <= 60000
    old = headers["ETag"]
    assert http_node("PUT", url, b"3", If_Match=old)[0] == 200
    status, body = http_node.json("PUT", url, "4", If_Match=old)
    assert (status, body["code"]) == (412, "exists")
    assert http_node("PUT", url, b"x" * 100000, If_Match=old)[0] == 412
    assert http_node("DELETE", url, If_Match=old)[0] == 412
    assert http_node.json("DELETE", url) == (200, {"deleted": True})
    assert http_node("PUT", url, b"short", Slipring_TTL_Ms="50")[0] == 200
    time.sleep(0.1)
    assert http_node("GET", url)[0] == 404
    for bad in ({"Slipring_TTL_Ms": "-1"}, {"Slipring_TTL_Ms": "9" * 19}, {"Slipring_Flags": "4294967296"}, {"If_Match": "5"},
                {"If_Match": '"0"'}, {"If_None_Match": '"5"'}, {"If_None_Match": "*", "If_Match": '"5"'}):
        assert http_node.json("PUT", url, "v", **bad)[1]["code"] == "bad_request", bad


def test_items_as_json_are_as_the_document_says(http_node):
    members = http_node.json("GET", "/openapi.json")[1]["paths"]["/v1/cache/{key}"]["get"]["responses"]["200"]
    members = members["content"]["application/json"]["schema"]["properties"]
    http_node("PUT", "/v1/cache/%FF", b"\xc3\xa4\0", Slipring_Flags="5", Slipring_TTL_Ms="100000")
    status, item = http_node.json("GET", "/v1/cache/%FF", Accept="application/json")
    assert status == 200 and set(item) == set(members)
    assert (item["key"], item["key_encoding"], item["value"], item["encoding"], item["flags"]) == \
        ("/w==", "base64", "\xe4\0", "utf-8", 5)
    http_node("PUT", "/v1/cache/k", b"\xff\xfe")
    item = http_node.json("GET", "/v1/cache/k", Accept="application/json")[1]
    assert (item["value"], item["encoding"], item["ttl_ms"]) == ("//4=", "base64", None)


def test_batches_answer_item_by_item(http_node):
    items = [{"key": f"k{i}", "value": f"v{i}", "flags": i, "ttl_ms": 1000000} for i in range(100)]
    items += [{"key": "big", "value": "x" * 200000}, {"key": "/w==", "key_encoding": "base64", "value": "AAE=", "encoding": "base64"}]
    bad = [{"key": "a"}, {"value": "b"}, {"key": 5, "value": "c"}, {"key": "d", "value": "e", "ttl_ms": -1}, "f",
           {"key": "g", "value": "A", "encoding": "base64"}, {"key": "h", "value": "i", "encoding": "rot13"}]
    status, reply = http_node.json("POST", "/v1/cache/batch/put", {"items": items[:50] + bad + items[50:] + [{"key": "", "value": ""}]})
    assert status == 200
    states = [i["status"] for i in reply["items"]]
    assert states == ["ok"] * 50 + ["bad_request"] * len(bad) + ["ok"] * 52 + ["bad_key"]
    status, reply = http_node.json("POST", "/v1/cache/batch/get", {"items": [{"key": i["key"], "key_encoding": i.get(
        "key_encoding", "utf-8")} for i in items] + [{"key": "missing"}]})
    assert status == 200 and reply["items"][-1]["status"] == "not_found"
    for want, got in zip(items, reply["items"]):
        assert (got["value"], got["flags"]) == (want["value"] if want["key"] != "/w==" else "\0\1", want.get("flags", 0))
    assert http_node("GET", "/v1/cache/%FF")[2] == b"\0\1"
    reply = http_node.json("POST", "/v1/cache/batch/delete", {"items": [{"key": "k1"}, {"key": "missing"}]})[1]
    assert [i["status"] for i in reply["items"]] == ["ok", "not_found"]
    for body in ({}, {"items": []}, {"items": [{"key": "k"}] * 257}, []):
        assert http_node("POST", "/v1/cache/batch/get", json.dumps(body))[0] == 400
    assert http_node("POST", "/v1/cache/batch/get", "{")[0] == 400
    for i in range(3):
        assert http_node("PUT", f"/v1/cache/m{i}", b"x" * 1000000)[0] == 200
    reply = http_node.json("POST", "/v1/cache/batch/get", {"items": [{"key": f"m{i}"} for i in range(3)]})[1]
    assert [i["status"] for i in reply["items"]] == ["ok", "ok", "too_large"], "a reply is bounded"


def test_clear_empties_every_shard(http_node):
    for i in range(20):
        http_node("PUT", f"/v1/cache/k{i}", b"v")
    status, body = http_node.json("POST", "/v1/cache/clear")
    assert status == 200 and body["cleared"] is True and body["absent"] == []
    assert [http_node("GET", f"/v1/cache/k{i}")[0] for i in range(20)] == [404] * 20


def test_many_callers_at_once_each_read_what_they_wrote(http_node):
    def work(number):
        random, wrong = Random(number), 0
        for i in range(30):
            value = random.randbytes(random.choice((10, 1000, 5000, 300000)))
            url = f"/v1/cache/w{number}-{i % 3}"
            wrong += http_node("PUT", url, value)[0] != 200 or http_node("GET", url)[2] != value
        return wrong
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


def test_a_node_that_was_stopped_for_a_while_answers_or_says_timeout_and_goes_on(start):
    node = start("--interfaces", "e0").ready()
    ask_node = Http(node)
    assert ask_node("PUT", "/v1/cache/k", b"v")[0] == 200
    os.kill(node.process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask_node, "GET", "/v1/cache/k")
        time.sleep(1.5)
        os.kill(node.process.pid, signal.SIGCONT)
        assert pending.result()[0] in (200, 504)
    assert ask_node("GET", "/v1/cache/k")[2] == b"v"
    assert node.stop() == 0
