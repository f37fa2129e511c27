"""The ring in Python: the slot of a key, and which nodes own a slot.

It computes what the nodes compute (doc/RING.md), so a client knows a key's owners
without asking. No dependencies; a table of 5 nodes takes about 0.3 s, so keep it as
long as the topology's epoch stays.

    members = [Member(member_id("n1")), Member(member_id("n2")), Member(member_id("n3"))]
    table = build(members, replication=2)
    first, second = (members[p] for p in table.owners(slot_of_key(b"greeting")))
"""
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

SLOT_COUNT = 16384
REPLICATION_MAX = 5
MEMBERS_MAX = 1024
WEIGHT_DEFAULT = 64
ALIVE, SUSPECTED, DEAD, JOINING, LEAVING, LEFT = range(1, 7)

_MASK32, _MASK64 = (1 << 32) - 1, (1 << 64) - 1
_CAPACITY = Fraction(102, 100)


# --- slots -----------------------------------------------------------------------

def _crc16_table():
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
        table.append(crc)
    return table


_CRC16 = _crc16_table()


def slot_of_key(key):
    """0..16383: CRC-16/XMODEM of the key, or of its {tag}, as in Redis Cluster."""
    key = key.encode() if isinstance(key, str) else bytes(key)
    start = key.find(b"{")
    end = key.find(b"}", start + 1) if start >= 0 else -1
    part = key[start + 1:end] if end > start + 1 else key
    crc = 0
    for byte in part:
        crc = (crc << 8 & 0xffff) ^ _CRC16[crc >> 8 ^ byte]
    return crc % SLOT_COUNT


# --- members ---------------------------------------------------------------------

def _mix(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & _MASK64
    z = (z ^ z >> 27) * 0x94d049bb133111eb & _MASK64
    return z ^ z >> 31


def member_id(text):
    """The id of a node: FNV-1a (64 bits) of the node id's UTF-8 text, mixed; never 0."""
    value = 0xcbf29ce484222325
    for byte in text.encode() if isinstance(text, str) else text:
        value = (value ^ byte) * 0x100000001b3 & _MASK64
    return _mix(value) or 1


@dataclass(frozen=True)
class Member:
    """A member of a topology, as the wire has it."""
    id: int
    index: int = 0
    weight: int = WEIGHT_DEFAULT
    rack: int = 0
    state: int = ALIVE

    @property
    def owns(self):
        return ALIVE <= self.state <= DEAD


class Table:
    """Owners of every slot, best first, as positions in `members` (ascending by id)."""

    def __init__(self, members, rows, capacities):
        self.members, self.capacities = members, capacities
        self._rows = rows

    def owners(self, slot):
        """Positions of the slot's owners; the first is asked first."""
        return self._rows[slot]

    def owners_of_key(self, key):
        """Members that own the key's slot."""
        return [self.members[p] for p in self._rows[slot_of_key(key)]]

    def digest(self):
        """64 bits, as ring_table_digest() in C."""
        digest = _digest_add(len(self._rows[0]), SLOT_COUNT)
        for row in self._rows:
            for position in row:
                digest = _digest_add(digest, position)
        return digest


def _digest_add(digest, word):
    return _mix((digest ^ word) + 0x9e3779b97f4a7c15 & _MASK64)


def topology_digest(members, replication):
    """64 bits over replication and members, as ring_topology_digest() in C."""
    digest = _digest_add(replication, len(members))
    for member in sorted(members, key=lambda m: m.id):
        digest = _digest_add(digest, member.id)
        digest = _digest_add(digest, member.rack << 32 | member.index << 16 | member.weight)
        digest = _digest_add(digest, member.state)
    return digest


def _check(members, replication):
    if not 1 <= replication <= REPLICATION_MAX:
        raise ValueError(f"replication {replication} is not 1 to {REPLICATION_MAX}")
    if len(members) > MEMBERS_MAX:
        raise ValueError(f"{len(members)} members, at most {MEMBERS_MAX}")
    if len({m.id for m in members}) != len(members):
        raise ValueError("two members have one id")
    for member in members:
        if not 1 <= member.weight <= 65535:
            raise ValueError(f"weight {member.weight} is not 1 to 65535")
        if not ALIVE <= member.state <= LEFT:
            raise ValueError(f"unknown state {member.state}")


# --- scores ----------------------------------------------------------------------

def _logarithms():
    """2^26 * log2(1 + i / 256) for i = 0..256, bit by bit: squaring doubles a logarithm."""
    table = []
    for i in range(256):
        x, value = (256 + i) << 23, 0
        for _ in range(26):
            square = x * x
            bit = square >> 63
            value = value << 1 | bit
            x = square >> 31 + bit
        table.append(value)
    return table + [1 << 26]


_LOG = _logarithms()


def _draw(slot_base, low, high):
    """22 bits for a slot and a member."""
    x = slot_base + low & _MASK32
    x = (x ^ x >> 16) * 0x7feb352d & _MASK32
    x = ((x ^ x >> 15) + high & _MASK32) * 0x846ca68b & _MASK32
    return (x ^ x >> 16) >> 10


def _cost(draw, inverse):
    """-log2 of the draw, times 2^32 / weight; the least is the best."""
    draw = draw << 10 | 1023
    zeros = 32 - draw.bit_length()
    mantissa = draw << zeros
    i, within = mantissa >> 23 & 255, mantissa >> 10 & 8191
    log2 = (zeros + 1 << 26) - _LOG[i] - ((_LOG[i + 1] - _LOG[i]) * within >> 13)
    return log2 * inverse


# --- fair shares -----------------------------------------------------------------

class _Shares:
    """Who competes, for how much: section 3 of doc/RING.md."""

    def __init__(self, members, replication):
        self.members = members
        self.owning = [p for p, m in enumerate(members) if m.owns]
        self.rack = {p: ("rack", members[p].rack) if members[p].rack else ("alone", p) for p in self.owning}
        self.rack_weight = {}
        for p in self.owning:
            self.rack_weight[self.rack[p]] = self.rack_weight.get(self.rack[p], 0) + members[p].weight
        self.owner_count = min(replication, len(self.owning))
        self.distinct = len(self.rack_weight) >= self.owner_count
        if self.owning:
            self._find_level()

    def _full(self, threshold):
        """Full vessels above a threshold, and the weight of the others."""
        if self.distinct:
            weights = list(self.rack_weight.values())
            return sum(w > threshold for w in weights), sum(w for w in weights if w <= threshold)
        full = sum(w <= threshold for w in self.rack_weight.values())
        others = [self.members[p].weight for p in self.owning if self.rack_weight[self.rack[p]] > threshold]
        return full + sum(w > threshold for w in others), sum(w for w in others if w <= threshold)

    def _find_level(self):
        low, high = 1, sum(self.rack_weight.values())
        while low < high:
            middle = (low + high + 1) // 2
            full, free = self._full(middle)
            if full * middle + free >= self.owner_count * middle:
                low = middle
            else:
                high = middle - 1
        self.threshold = low
        full, free = self._full(low)
        self.level = Fraction(self.owner_count - full, free) if free else None

    def share(self, position):
        """The part of all slots that a member should own, as a fraction."""
        weight, rack_weight = self.members[position].weight, self.rack_weight[self.rack[position]]
        if rack_weight > self.threshold if self.distinct else rack_weight <= self.threshold:
            return Fraction(weight, rack_weight)
        if not self.distinct and weight > self.threshold:
            return Fraction(1)
        return weight * self.level

    def capacity(self, position, divisor=1):
        return min(SLOT_COUNT, ceil(_CAPACITY * SLOT_COUNT * self.share(position) / divisor))


# --- the table -------------------------------------------------------------------

class _Builder:
    """One slot after the other: section 4 of doc/RING.md."""

    def __init__(self, members, replication):
        self.shares = shares = _Shares(members, replication)
        self.rack = shares.rack
        self.racks = list(shares.rack_weight)
        self.left = {p: shares.capacity(p) for p in shares.owning}
        self.first_left = {p: shares.capacity(p, shares.owner_count) for p in shares.owning}
        self.rack_left = dict.fromkeys(self.racks, 0)
        for p in shares.owning:
            self.rack_left[self.rack[p]] += self.left[p]
        self.halves = {p: (members[p].id & _MASK32, members[p].id >> 32, (1 << 32) // members[p].weight)
                       for p in shares.owning}
        self.one_weight = len({members[p].weight for p in shares.owning}) <= 1

    def ranking(self, slot):
        """Members with room, best first. The order of draws is that of costs where weights are the same."""
        base = _mix(slot + 1) & _MASK32
        if self.one_weight:
            ranked = [(-_draw(base, self.halves[p][0], self.halves[p][1]), p) for p, left in self.left.items() if left]
        else:
            ranked = [(_cost(_draw(base, self.halves[p][0], self.halves[p][1]), self.halves[p][2]), p)
                      for p, left in self.left.items() if left]
        return [p for _, p in sorted(ranked)]

    def unit_left(self, position):
        return self.rack_left[self.rack[position]] if self.shares.distinct else self.left[position]

    def forced(self, remaining):
        """How many owners must be critical ones."""
        units = self.rack_left.values() if self.shares.distinct else self.left.values()
        useful = sum(min(left, remaining) for left in units)
        critical = sum(left >= remaining for left in units)
        return max(0, remaining * self.shares.owner_count + critical - useful)

    def allowed(self, rack, chosen, remaining):
        """Whether a rack may own the slot (once more)."""
        times = sum(self.rack[p] == rack for p in chosen)
        if times == 0:
            return True
        missing = len(self.racks) - len({self.rack[p] for p in chosen})
        if self.shares.distinct or len(chosen) + missing >= self.shares.owner_count:
            return False
        own = [left for p, left in self.left.items() if self.rack[p] == rack]
        return any(left >= remaining for left in own) or times + remaining <= sum(own)

    def owners(self, slot):
        remaining, chosen = SLOT_COUNT - slot, []
        ranking = self.ranking(slot)
        forced = self.forced(remaining)
        while len(chosen) < self.shares.owner_count:
            chosen.append(next(p for p in ranking if p not in chosen
                               and (len(chosen) >= forced or self.unit_left(p) >= remaining)
                               and self.allowed(self.rack[p], chosen, remaining)))
        chosen.sort(key=ranking.index)
        first = next((p for p in chosen if self.first_left[p]), None)
        if first is not None:
            chosen.remove(first)
            chosen.insert(0, first)
            self.first_left[first] -= 1
        for p in chosen:
            self.left[p] -= 1
            self.rack_left[self.rack[p]] -= 1
        return chosen


def build(members, replication):
    """The table of a topology: owners of 16384 slots, as positions in the members sorted by id."""
    members = sorted(members, key=lambda m: m.id)
    _check(members, replication)
    builder = _Builder(members, replication)
    capacities = [builder.left.get(p, 0) for p in range(len(members))]
    return Table(members, [builder.owners(slot) for slot in range(SLOT_COUNT)], capacities)
