"""lib/client/python/slipring/ring.py against tests/vectors/ring.json and the rules of doc/RING.md."""
import json
import os
import sys

import pytest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "lib/client/python"))
from slipring import ring  # noqa: E402

with open(os.path.join(ROOT, "tests/vectors/ring.json")) as f:
    VECTORS = json.load(f)


def members_of(vector):
    return [ring.Member(int(id, 16), *rest) for id, *rest in vector["members"]]


def named(count, **how):
    return [ring.Member(ring.member_id(f"n{i + 1}"), i, **how) for i in range(count)]


@pytest.mark.parametrize("vector", VECTORS["tables"], ids=lambda v: v["name"])
def test_tables_are_those_of_the_vectors(vector):
    members = members_of(vector)
    table = ring.build(reversed(members), vector["replication"])
    assert table.members == members
    assert table.capacities == vector["capacities"]
    for slot, owners in vector["owners"].items():
        assert table.owners(int(slot)) == owners
    for key, first_only in (("slots", False), ("firsts", True)):
        counts = [0] * len(members)
        for slot in range(ring.SLOT_COUNT):
            for position in table.owners(slot)[:1 if first_only else None]:
                counts[position] += 1
        assert counts == vector[key]
    assert f"{table.digest():016x}" == vector["table_digest"]
    assert f"{ring.topology_digest(members, vector['replication']):016x}" == vector["topology_digest"]


def test_ids_are_those_of_the_vectors():
    assert {text: f"{ring.member_id(text):016x}" for text in VECTORS["member_ids"]} == VECTORS["member_ids"]


def test_slots_are_those_of_the_vectors():
    assert {key: ring.slot_of_key(key) for key in VECTORS["slots"]} == VECTORS["slots"]
    assert ring.slot_of_key(b"foo") == ring.slot_of_key("foo") == 12182


def test_owners_of_a_key_are_members():
    members = named(4)
    table = ring.build(members, 2)
    owners = table.owners_of_key("greeting")
    assert len(set(owners)) == 2 and set(owners) <= set(members)
    assert owners == table.owners_of_key("other {greeting}")


@pytest.mark.parametrize("members, replication, problem", [
    (named(3), 0, "replication 0"), (named(3), 6, "replication 6"),
    (named(2) + named(1), 2, "one id"), (named(2, weight=0), 2, "weight 0"), (named(2, weight=65536), 2, "weight 65536"),
    (named(2, state=7), 2, "unknown state"), (named(1025), 2, "1025 members"),
])
def test_what_makes_no_sense_is_refused(members, replication, problem):
    with pytest.raises(ValueError, match=problem):
        ring.build(members, replication)
