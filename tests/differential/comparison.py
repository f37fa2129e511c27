"""One conversation held with both ends, what they said differently, and the least of it that still shows."""
import re

import pytest

from replies import CasValues, compare

# What was answered before a write that another worker executes has this much room.
NO_ROOM = b"SERVER_ERROR out of memory writing response\r\n"
TRAVELLING_MAX = 16384 - 256


class Comparison:
    """One conversation held with both ends from an empty cache."""

    def __init__(self, memcached, node):
        self.memcached, self.node = memcached, node
        self.cas = CasValues()
        self.ask(b"flush_all\r\n")

    def ask(self, text, ours=None):
        theirs = self.memcached.ask(text)
        reply = self.node.ask(ours or text, expect=bool(theirs))
        if not (NO_ROOM in reply and len(theirs) > TRAVELLING_MAX):
            compare(theirs, reply, self.cas)

    def refresh(self, keys):
        """Learns both sides' present CAS values of keys."""
        for key in keys:
            if key and not re.search(rb"[ \n\0]", key) and len(key) <= 250:
                self.ask(b"gets " + key + b"\r\n")
        self.cas.touched.clear()

    def datagram(self, commands):
        text = b"".join(c.text for c in commands)
        ours = text
        for command in commands:
            if command.cas_key:
                self.refresh([command.cas_key])
                theirs = self.cas.of_key.get(command.cas_key, b"999")
                text = text.replace(b"%CAS%", theirs)
                ours = ours.replace(b"%CAS%", self.cas.node_of.get(theirs, b"999"))
        touched = [key for command in commands for key in command.touches]
        self.cas.touched.update(touched)
        self.ask(text, ours)
        self.refresh(dict.fromkeys(touched))

    def hold(self, conversation):
        for datagram in conversation:
            self.datagram(datagram)


def difference(pair, conversation):
    """What is first said differently, or None; after a difference both start anew."""
    try:
        Comparison(pair.memcached, pair.node).hold(conversation)
    except AssertionError as error:
        pair.restart()
        return error
    return None


def shortest(conversation, differs):
    """Leaves out datagrams, then commands, as long as the two still differ."""
    size = max(1, len(conversation) // 2)
    while size:
        at = 0
        while at < len(conversation):
            shorter = conversation[:at] + conversation[at + size:]
            if differs(shorter):
                conversation = shorter
            else:
                at += size
        size //= 2
    for i in range(len(conversation)):
        at = 0
        while at < len(conversation[i]) > 1:
            shorter = conversation[:i] + [conversation[i][:at] + conversation[i][at + 1:]] + conversation[i + 1:]
            if differs(shorter):
                conversation = shorter
            else:
                at += 1
    return conversation


def report(pair, seed, number, conversation, error):
    again = difference(pair, conversation)
    if again:
        conversation = shortest(conversation, lambda shorter: difference(pair, shorter))
        error = difference(pair, conversation) or again
    lines = "\n".join(repr(b"".join(c.text for c in datagram)) for datagram in conversation)
    origin = "" if again else " (not from an empty cache: it needs the conversations before it)"
    pytest.fail(f"seed {seed}, conversation {number}{origin}: {error}\n{lines}", pytrace=False)


def both(memcached, node, text):
    theirs = memcached.ask(text)
    compare(theirs, node.ask(text, expect=bool(theirs)), CasValues())
    return theirs
