#!/usr/bin/python3
"""Writes tests/vectors/ring.json from the Python implementation; C must agree (tests/unit/test_ring_vectors.c).

  tests/vectors/make_ring.py > tests/vectors/ring.json
"""
import json
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../lib/client/python"))
from slipring import ring  # noqa: E402

# Slots whose owners are written out; the digest is over all of them.
SHOWN = [0, 1, 2, 3, 4, 5, 6, 7, 4096, 8191, 12182, 16000, 16380, 16381, 16382, 16383]
TEXTS = ["n1", "n2", "n3", "node-a", "cache-17.example.net", "", "\u00e9"]
KEYS = ["123456789", "foo", "{user1000}.following", "{user1000}.followers", "foo{}{bar}", "foo{{bar}}zap", "", "greeting"]


def named(count, weights=(64,), racks=(0,), states=(ring.ALIVE,)):
    return [ring.Member(ring.member_id(f"n{i + 1}"), i, weights[i % len(weights)], racks[i % len(racks)],
                        states[i % len(states)]) for i in range(count)]


def by_hand():
    yield "one member", named(1), 3
    yield "as many members as owners", named(3), 3
    yield "three members", named(3), 2
    yield "five members", named(5), 3
    yield "six members", named(6), 3
    yield "six members, one owner", named(6), 1
    yield "seven members, five owners", named(7), 5
    yield "33 members", named(33), 3
    yield "weights", named(5, weights=(32, 64, 64, 128, 200)), 2
    yield "a weight above all others", named(4, weights=(64, 64, 64, 1000)), 2
    yield "weights to the limits", named(6, weights=(1, 65535, 7, 4096)), 3
    yield "three racks", named(6, racks=(1, 2, 3)), 3
    yield "five racks", named(10, racks=(10, 20, 30, 40, 50)), 3
    yield "racks of one, two and four", named(7, racks=(1, 2, 3, 3, 2, 3, 3)), 3
    yield "a heavy rack among four", named(5, weights=(64, 64, 64, 128, 128), racks=(1, 2, 3, 4, 4)), 3
    yield "two racks, three owners", named(6, racks=(1, 2)), 3
    yield "a small rack and a large one", named(6, racks=(1, 2, 2, 2, 2, 2)), 3
    yield "a level between whole weights", named(4, weights=(1,), racks=(1, 2, 2, 2)), 3
    yield "one rack", named(5, racks=(9,)), 3
    yield "some without a rack", named(8, racks=(0, 1, 1, 2), weights=(64, 32)), 4
    yield "all states", named(9, states=(1, 2, 3, 4, 5, 6)), 3
    yield "nobody owns", named(3, states=(ring.JOINING, ring.LEAVING, ring.LEFT)), 3
    yield "no members", [], 3


def at_random(count):
    draw = random.Random(20260101)
    for number in range(count):
        racks = draw.randint(1, 6) if draw.random() < 0.6 else 0
        heaviest = draw.choice((1, 4, 1000))
        yield f"random {number}", [
            ring.Member(draw.getrandbits(64), i, draw.randint(1, heaviest) if heaviest > 1 else 64,
                        draw.randint(1, racks) if racks and draw.random() < 0.95 else 0,
                        ring.ALIVE if draw.random() < 0.9 else draw.randint(1, 6))
            for i in range(draw.randint(1, 12))], draw.randint(1, 5)


def vector(name, members, replication):
    members = sorted(members, key=lambda m: m.id)
    table = ring.build(members, replication)
    slots, firsts = [0] * len(members), [0] * len(members)
    for slot in range(ring.SLOT_COUNT):
        for n, position in enumerate(table.owners(slot)):
            slots[position] += 1
            firsts[position] += n == 0
    return {"name": name, "replication": replication,
            "members": [[f"{m.id:016x}", m.index, m.weight, m.rack, m.state] for m in members],
            "topology_digest": f"{ring.topology_digest(members, replication):016x}",
            "capacities": table.capacities, "slots": slots, "firsts": firsts,
            "owners": {str(slot): table.owners(slot) for slot in SHOWN},
            "table_digest": f"{table.digest():016x}"}


def everything():
    return {
        "about": "Vectors of doc/RING.md. members: id (hex), index, weight, rack, state; owners are positions in members.",
        "member_ids": {text: f"{ring.member_id(text):016x}" for text in TEXTS},
        "slots": {key: ring.slot_of_key(key) for key in KEYS},
        "tables": [vector(*case) for case in list(by_hand()) + list(at_random(40))],
    }


def text(vectors):
    """One table a line, so that a difference shows which."""
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in vectors.items() if key != "tables"]
    tables = ",\n".join(json.dumps(table) for table in vectors["tables"])
    return "{\n" + ",\n".join(lines) + ',\n"tables": [\n' + tables + "\n]\n}\n"


if __name__ == "__main__":
    sys.stdout.write(text(everything()))
