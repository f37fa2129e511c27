"""What real clients' TCP does to a node: Nagle's algorithm, small packets, a password, loss."""
import re
import struct
import subprocess

import pytest

import clients
from clients import SPYMEMCACHED, End, have, is_there


@pytest.mark.parametrize("protocol,family", (("resp", "resp"), ("memcached", "text"), ("memcached", "binary")), ids=("resp", "text", "binary"))
def test_a_client_that_writes_twice_does_not_wait(end, protocol, family):
    """Below 5 ms a request with Nagle's algorithm on. Redis and memcached over the kernel take 40 ms, which
    shows that the measurement can fail."""
    if end.kind == "node":
        end.program("delays.py", protocol, family)
    else:
        done = end.run("/usr/bin/python3", "-B", f"{clients.PROGRAMS}/delays.py", end.host, end.port[protocol], family, "6", check=False)
        assert re.search(r"^not ok .*median [34]\d\.", done.stdout, re.M), done.stdout


@pytest.fixture
def mtu(ends_session):
    """Sets the MTU of the client's interface."""
    lab = ends_session["node"].lab

    def to(size):
        subprocess.run(["ip", "-n", f"{lab.name}-client", "link", "set", "e0", "mtu", str(size)], check=True)
    yield to
    to(1500)


@pytest.mark.parametrize("size", (576, 1280, 1400, 1500))
def test_packets_of_every_size(ends_session, mtu, size):
    mtu(size)
    ends_session["node"].program("sizes.py", "resp", "resp")
    ends_session["node"].program("sizes.py", "memcached", "text")


def test_values_pass_a_link_that_loses(fresh):
    """One packet of a hundred lost each way: slower, but every byte."""
    lab = fresh(settings=clients.settings(), no_huge=True)
    end = End(lab, "node", lab.address())
    lab("loss", "n1", "1%")
    end.program("many.py", "resp", "resp", "50", timeout=100)
    end.program("many.py", "memcached", "text", "50", timeout=100)


def test_clients_with_a_password(fresh, tmp_path):
    """AUTH for Redis's clients; who has no password is refused."""
    have("py:redis", "npm:redis", "npm:ioredis")
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text("open-sesame\n")
    lab = fresh(settings=clients.settings(**{"resp.password_file": secret}), no_huge=True)
    end = End(lab, "node", lab.address())
    end.program("redis_py.py", "resp", "python", "password=open-sesame")
    end.program("node_redis.js", "resp", "3", "password=open-sesame")
    end.program("ioredis.js", "resp", "ioredis", "password=open-sesame")
    end.program("connects.py", "resp", "password=open-sesame")
    refused = end.run("redis-cli", "-h", "H", "-p", "R", "get", "k", check=False)
    assert "NOAUTH Authentication required." in refused.stdout + refused.stderr
    assert end.run("redis-cli", "-h", "H", "-p", "R", "--no-auth-warning", "-a", "open-sesame", "ping").stdout == "PONG\n"
    wrong = end.run("redis-cli", "-h", "H", "-p", "R", "--no-auth-warning", "-a", "guess", "ping", check=False)
    assert "WRONGPASS" in wrong.stdout + wrong.stderr


def test_binary_clients_with_a_password(fresh, tmp_path):
    """SASL PLAIN; without it, and over the text protocol, nobody is served."""
    have("npm:memjs", "ruby", "/usr/share/doc/ruby-dalli", "py:pylibmc")
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text("cache:open-sesame\n")
    lab = fresh(settings=clients.settings(**{"memcached.password_file": secret}), no_huge=True)
    end = End(lab, "node", lab.address())
    end.program("memjs.js", "memcached", "cache:open-sesame")
    end.program("ruby_client.rb", "memcached", "dalli", "cache:open-sesame")
    end.program("pylibmc_client.py", "memcached", "binary", "cache:open-sesame")
    if is_there("javac") and is_there(SPYMEMCACHED):
        end.program("Spymemcached.java", "memcached", "binary", "cache:open-sesame")
    for opcode, key, value in ((0, b"k", b""), (0x21, b"PLAIN", b"\0cache\0guess")):
        asked = struct.pack("!BBHBBHIIQ", 0x80, opcode, len(key), 0, 0, 0, len(key) + len(value), 0, 0) + key + value
        said = end.run("nc", "-N", "-w", "2", "H", "M", input=asked, text=False, check=False).stdout
        assert said[:2] == bytes((0x81, opcode)) and said[6:8] == b"\0\x20", said  # authentication failed
    said = end.run("nc", "-N", "-w", "2", "H", "M", input=b"get k\r\n", text=False, check=False).stdout
    assert b"VALUE" not in said and said != b"END\r\n", said
