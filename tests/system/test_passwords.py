"""Passwords of Redis and memcached clients, through the daemon: who has none gets nothing, who has it gets all."""
import os
import struct

import pytest

import test_tcp

RESP_PASSWORD, USER, PASSWORD = "open sesame", "rider", "s3cret"


def secret(path, text, mode=0o600):
    path.write_text(text + "\n")
    os.chmod(path, mode)
    return path


@pytest.fixture
def guarded(fresh, tmp_path):
    return fresh(settings={"resp.password_file": secret(tmp_path / "resp", RESP_PASSWORD),
                           "memcached.password_file": secret(tmp_path / "memcached", f"{USER}:{PASSWORD}")})


def test_redis_clients_authenticate(guarded):
    with test_tcp.connection(guarded, test_tcp.RESP) as sock:
        test_tcp.ask(sock, b"GET k\r\n", b"-NOAUTH Authentication required.\r\n")
        test_tcp.ask(sock, b"AUTH wrong\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
        test_tcp.ask(sock, b'AUTH "%s"\r\n' % RESP_PASSWORD.encode(), b"+OK\r\n")
        test_tcp.ask(sock, b"SET k v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n")
    assert guarded.exec("redis-cli", "-h", "n1", "--no-auth-warning", "-a", RESP_PASSWORD, "get", "k").stdout == "v\n"


def binary(opcode, key=b"", value=b""):
    return struct.pack("!BBHBBHIIQ", 0x80, opcode, len(key), 0, 0, 0, len(key) + len(value), 7, 0) + key + value


def answer(sock):
    head = test_tcp.read(sock, 24)
    _, opcode, _, _, _, status, length, _, _ = struct.unpack("!BBHBBHIIQ", head)
    return opcode, status, test_tcp.read(sock, length) if length else b""


def test_memcached_clients_authenticate(guarded):
    get, auth, auth_error = 0x00, 0x21, 0x20
    with test_tcp.connection(guarded, test_tcp.MEMCACHED) as sock:
        sock.sendall(binary(get, b"k"))
        assert answer(sock)[:2] == (get, auth_error)
        assert sock.recv(1) == b""  # as memcached does
    with test_tcp.connection(guarded, test_tcp.MEMCACHED) as sock:
        sock.sendall(binary(auth, b"PLAIN", b"\0%s\0wrong" % USER.encode()))
        assert answer(sock)[:2] == (auth, auth_error)
    with test_tcp.connection(guarded, test_tcp.MEMCACHED) as sock:
        sock.sendall(binary(auth, b"PLAIN", f"\0{USER}\0{PASSWORD}".encode()))
        assert answer(sock)[:2] == (auth, 0)
        sock.sendall(binary(get, b"k"))
        assert answer(sock)[:2] == (get, 1)  # authenticated: there is no such key


def test_a_password_that_others_can_read_stops_the_start(fresh, tmp_path):
    loose = secret(tmp_path / "loose", RESP_PASSWORD, mode=0o644)
    with pytest.raises(AssertionError, match="resp.password_file"):
        fresh(settings={"resp.password_file": loose})


def test_text_clients_are_refused_when_a_password_is_set(guarded):
    with test_tcp.connection(guarded, test_tcp.MEMCACHED) as sock:
        sock.sendall(b"get k\r\n")
        data = b""
        while part := sock.recv(100):
            data += part
        assert b"VALUE" not in data and b"END" not in data
