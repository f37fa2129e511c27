"""Reply text as records, and when two of them say the same.

Normalised: CAS values, which each side makes in its own way, must agree in which of
them are equal; seconds to live may differ by one, since a second may begin between the
two questions, and memcached's be two more: its clock is the second in which it was started, and
whole seconds since, so of a moment given by date it is up to two behind. The version line must begin alike. All else
is compared as it is.
"""
import re


class Different(AssertionError):
    pass


def records(reply):
    """[(words of a line), data or None]: VALUE and VA lines carry their data block."""
    found, at = [], 0
    while at < len(reply):
        end = reply.find(b"\r\n", at)
        if end < 0:
            return found + [([b"?", reply[at:]], None)]
        words = reply[at:end].split(b" ")
        at, data = end + 2, None
        size = {b"VALUE": 3, b"VA": 1}.get(words[0])
        if size is not None and len(words) > size and words[size].isdigit():
            data = reply[at:at + int(words[size]) + 2]
            at += len(data)
        found.append((words, data))
    return found


class CasValues:
    """Which CAS value of memcached's stands for which of the node's."""

    def __init__(self):
        self.node_of = {}
        self.of_key = {}    # key -> memcached's last value seen by gets
        self.touched = set()  # keys whose value the node may have renewed and memcached not

    def pair(self, memcached, node, key):
        known, before = self.node_of.get(memcached), self.of_key.get(key)
        if before not in (None, memcached) and self.node_of[before] == node:
            raise Different(f"the node's CAS value {node!r} did not change")
        if known in (None, node):
            pass
        elif not (key in self.touched if key else self.touched):
            raise Different(f"CAS value {node!r} where {known!r} was to stay")
        self.node_of[memcached] = node
        if key:
            self.of_key[key] = memcached


def same_word(name, at, ours, theirs, cas, key):
    if name == b"VALUE" and at == 4:
        cas.pair(theirs, ours, key)
    elif name in (b"VA", b"HD", b"EX", b"NS", b"NF") and theirs[:1] == ours[:1] == b"c" and theirs[1:].isdigit():
        cas.pair(theirs[1:], ours[1:], None)
    elif name in (b"VA", b"HD") and re.fullmatch(rb"[tl]\d+", theirs) and re.fullmatch(rb"[tl]\d+", ours) and theirs[:1] == ours[:1]:
        if not -1 <= int(theirs[1:]) - int(ours[1:]) <= 2:
            raise Different(f"{theirs!r} and {ours!r} seconds to live")
    elif name == b"VERSION":
        if not ours.startswith(theirs):
            raise Different("version")
    elif ours != theirs:
        raise Different(f"{theirs!r} and {ours!r}")


def compare(memcached, node, cas):
    """Raises Different unless both replies say the same."""
    theirs, ours = records(memcached), records(node)
    for (their_words, their_data), (our_words, our_data) in zip(theirs, ours):
        if len(their_words) != len(our_words) or their_data != our_data:
            raise Different(f"{their_words} {their_data!r} and {our_words} {our_data!r}")
        key = their_words[1] if their_words[0] == b"VALUE" else None
        for at, (word, other) in enumerate(zip(our_words, their_words)):
            same_word(their_words[0], at, word, other, cas, key)
    if len(theirs) != len(ours):
        raise Different(f"{len(theirs)} records and {len(ours)}")
