"""Values of every kind through the client library, over links that lose, delay and reorder."""
import os

import pytest

import native

MIB = 1 << 20


def round_trip(lab, tmp_path, size, key="large"):
    value = os.urandom(size)
    (tmp_path / "in").write_bytes(value)
    lab.cli("-t", "20s", "set", key, f"@{tmp_path}/in")
    assert lab.cli("-t", "20s", "get", key, text=False).stdout == value


@pytest.mark.parametrize("size", [0, 1, 1399, 1400, 1401, 1412, 1413, 2048, 65535, 65536, MIB - 1, MIB])
def test_sizes_around_every_edge(lab, tmp_path, size):
    round_trip(lab, tmp_path, size)


@pytest.mark.parametrize("percent", [0, 1, 5])
def test_a_mebibyte_at_loss(lab, tmp_path, percent):
    """The nft rule on the switch drops this share of frames, each way."""
    lab("loss", "n1", f"{percent}%")
    for n in range(3):
        round_trip(lab, tmp_path, MIB, f"loss:{n}")
    if percent:
        rules = lab("in", "sw", "nft", "list", "table", "bridge", "lab").stdout
        lost = [int(w.split()[0]) for w in rules.split("packets ")[1:]]
        assert len(lost) == 2 and all(n > 0 for n in lost), "the link lost nothing:\n" + rules


def test_a_mebibyte_over_a_slow_link_that_reorders(lab, tmp_path):
    lab("delay", "n1", "2", "2")
    round_trip(lab, tmp_path, MIB)


def test_a_partition_heals(lab):
    lab("partition", "n1", "client")
    assert lab.cli("-t", "300ms", "get", "k", check=False).returncode == 3
    lab("heal")
    lab.cli("set", "k", "v")


def test_lost_answers_do_not_repeat_writes(lab):
    """At most once: 300 increments over a link that loses a fifth each way make exactly 300."""
    client = lab.client(timeout=0.05, tries=100)
    client.set(b"once", b"0")
    lab("loss", "n1", "20%")
    for _ in range(300):
        result = client.call(native.INCR, b"once", extras=(1).to_bytes(8, "little"))
        assert result.status == native.OK
    lab("heal")
    assert client.get(b"once") == b"300"


def test_any_bytes_are_a_key(lab):
    """Length 1 and 250, blanks, zeros, all 256 octets; the value follows its own key."""
    client = lab.client()
    keys = [bytes([n]) for n in range(256)] + [b"k" * 250, b"\0" * 250, b" a b ", bytes(range(6, 256))]
    for n, key in enumerate(keys):
        client.set(key, b"%d" % n)
    assert all(client.get(key) == b"%d" % n for n, key in enumerate(keys))
