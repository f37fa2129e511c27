"""Random conversations: valid commands, odd ones, and malformed ones.

What COMPATIBILITY.md lists as different is kept out: those have cases of their own.
A conversation is a list of datagrams, a datagram a list of commands.
"""
import re
import time
from dataclasses import dataclass

NUMBER_KEYS = [b"n0", b"n1", b"n2"]
TEXT_KEYS = [b"k0", b"k1", b"k2", b"k3", b"\x10\x10x", "ключ".encode(), b"tab\tkey", b"cr\rkey", b"noreply", b"L" * 250]
LETTERS = b"abcdefghijklmnopqrstuvwxyz._/"
STORES = (b"set", b"add", b"replace", b"append", b"prepend", b"cas", b"ms")
DATAGRAM_MAX = 1464  # what a frame of 1500 bytes leaves behind the headers


@dataclass
class Command:
    text: bytes          # %CAS% stands for a CAS value
    cas_key: bytes = None
    touches: tuple = ()  # keys whose CAS value the node renews and memcached keeps

    def forgets(self):
        """A get with a key too long: memcached drops the replies before it that still wait."""
        return re.search(rb"^ *b?gets? .*[^ ]{251}", self.text, re.M | re.S) is not None


class Talker:
    def __init__(self, random):
        self.random = random

    def key(self):
        return self.random.choice(TEXT_KEYS + NUMBER_KEYS)

    def keys(self):
        return [self.key() for _ in range(self.random.randint(1, 5))]

    def text_value(self):
        kind = self.random.randrange(6)
        if kind == 0:
            return b""
        if kind == 1:  # anything at all; no '-', for which memcached searches behind large numbers
            body = bytes(self.random.randrange(256) for _ in range(self.random.randint(0, 60)))
            return b"~" + body.replace(b"-", b"_")
        if kind == 2:
            return b"~\r\nget k0\r\nEND\r\n"
        size = self.random.choice((3, 20, 300, 900))
        body = bytes(self.random.choice(LETTERS) for _ in range(self.random.randint(1, size)))
        return b"~" if body in (b"ma", b"me", b"lru") else body  # commands, once a line before them is bent

    def number(self):
        edges = (0, 1, 9, 10, 11, 99, 100, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
        return str(self.random.choice(edges) if self.random.random() < .6 else self.random.randrange(10**6)).encode()

    def exptime(self):
        """None that runs out while the conversation lasts."""
        return self.random.choice((b"0", b"0", b"0", b"0", b"1000", b"2592000", b"2592001", b"2678400", b"-1",
                                   str(int(time.time()) + 5000).encode()))

    def flags(self):
        return self.random.choice((b"0", b"0", b"1", b"16", b"4294967295"))

    def noreply(self):
        return b" noreply" if self.random.random() < .15 else b""

    def end(self):
        return self.random.choice((b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b" \r\n"))

    def get(self):
        name = self.random.choice((b"get", b"get", b"gets", b"bget"))
        return Command(b" ".join([name] + self.keys()) + self.end())

    def gat(self):
        name, keys = self.random.choice((b"gat", b"gats")), self.keys()
        return Command(b" ".join([name, self.exptime()] + keys) + self.end(), touches=tuple(keys))

    def touch(self):
        key = self.key()
        return Command(b"touch %s %s%s" % (key, self.exptime(), self.noreply()) + self.end(), touches=(key,))

    def store(self):
        if self.random.random() < .4:
            key, value = self.random.choice(NUMBER_KEYS), self.number()
            name = self.random.choice((b"set", b"set", b"add", b"replace"))
        else:
            key, value = self.random.choice(TEXT_KEYS), self.text_value()
            name = self.random.choice((b"set", b"set", b"add", b"replace", b"append", b"prepend"))
        line = b"%s %s %s %s %d%s" % (name, key, self.flags(), self.exptime(), len(value), self.noreply())
        return Command(line + self.end() + value + b"\r\n")

    def cas(self):
        key, value = self.random.choice(TEXT_KEYS), self.text_value()
        cas = self.random.choice((b"%CAS%", b"%CAS%", b"%CAS%", b"0", b"1234567"))
        line = b"cas %s %s %s %d %s%s" % (key, self.flags(), self.exptime(), len(value), cas, self.noreply())
        return Command(line + self.end() + value + b"\r\n", cas_key=key)

    def arithmetic(self):
        key = self.random.choice(NUMBER_KEYS * 3 + TEXT_KEYS)
        name = self.random.choice((b"incr", b"decr"))
        return Command(b"%s %s %s%s" % (name, key, self.number(), self.noreply()) + self.end())

    def delete(self):
        tail = self.random.choice((b"", b"", b" 0", b" noreply", b" 0 noreply", b" 5", b" 00", b" 5 noreply", b" 0 0"))
        return Command(b"delete " + self.key() + tail + self.end())

    def meta_flags(self, letters):
        flags = self.random.sample(letters, self.random.randint(0, min(5, len(letters))))
        opaque = b"O" + b"x" * self.random.choice((0, 1, 5, 31, 31, 32))
        return [opaque if flag == b"O" else flag for flag in flags]

    def meta_get(self):
        flags, key, touches = self.meta_flags([b"k", b"s", b"t", b"c", b"v", b"v", b"f", b"O", b"q", b"u", b"h", b"l"]), self.random.choice(TEXT_KEYS), ()
        flags = [flag for flag in flags if len(flag) <= 32]  # an error, before which memcached has acted
        if b"t" not in flags and self.random.random() < .2:
            flags.insert(self.random.randint(0, len(flags)), b"T" + self.exptime())
            touches = (key,)
        elif self.random.random() < .3:
            # No R that comes close to a T given elsewhere.
            flags.append(self.random.choice((b"N0", b"N500", b"N-1", b"R30", b"R3000", b"R1000000", b"R0", b"R-1")))
            if flags[-1][:1] == b"N":  # t in front of it shows no expiry yet
                flags = [flag for flag in flags if flag != b"t"]
        return Command(b" ".join([b"mg", key] + flags) + self.end(), touches=touches)

    def meta_set(self):
        key, value = self.random.choice(TEXT_KEYS), self.text_value()
        flags = self.meta_flags([b"k", b"c", b"O", b"q", b"T" + self.exptime(), b"F" + self.flags(), b"s", b"I"])
        mode = self.random.choice((b"", b"", b"S", b"E", b"A", b"P", b"R", b"e", b"X"))
        if mode:
            flags.append(b"M" + mode)
        cas_key = None
        if self.random.random() < .2:
            flags.append(self.random.choice((b"C%CAS%", b"C%CAS%", b"C0", b"C1" if b"I" in flags else b"C77777777")))
            cas_key = key
        return Command(b" ".join([b"ms", key, str(len(value)).encode()] + flags) + self.end() + value + b"\r\n", cas_key)

    def meta_arithmetic(self):
        key = self.random.choice(NUMBER_KEYS * 3 + TEXT_KEYS)
        flags = self.meta_flags([b"k", b"O", b"q", b"v", b"v", b"t", b"c", b"D" + self.number(), b"J" + self.number(), b"N0", b"N500"])
        flags = [flag for flag in flags if len(flag) <= 32]
        mode = self.random.choice((b"", b"", b"", b"I", b"D", b"+", b"-", b"i", b"X"))
        if mode:
            flags.append(b"M" + mode)
        if self.random.random() < .1:
            flags.append(b"T" + self.random.choice((b"0", b"1000")))
        if self.random.random() < .2:
            flags.append(self.random.choice((b"C%CAS%", b"C%CAS%", b"C0", b"C77777777")))
        if any(flag[:1] in (b"T", b"N") for flag in flags):
            flags = [flag for flag in flags if flag != b"t"]
        return Command(b" ".join([b"ma", key] + flags) + self.end(), cas_key=key)

    def meta_delete(self):
        key, flags = self.key(), self.meta_flags([b"k", b"O", b"q", b"I"])
        if self.random.random() < .3:
            flags.append(self.random.choice((b"C%CAS%", b"C0", b"C77777777")))
        return Command(b" ".join([b"md", key] + flags) + self.end(), cas_key=key)

    def small(self):
        text = self.random.choice((b"mn", b"mn", b"version", b"verbosity 0", b"verbosity 0 noreply", b"verbosity",
                                   b"verbosity x", b"verbosity 0 1", b"", b" ", b"x", b"get", b"gat 0", b"gat x k0",
                                   b"GET k0", b"Set k0 0 0 1", b"mz k0", b"shutdown", b"incr", b"touch k0", b"mg", b"ms",
                                   b"ms k0", b"md", b"ma", b"me", b"getx k0", b"sets k0", b"gets", b"delete"))
        return Command(text + self.end())

    def flush(self):
        return Command(self.random.choice((b"flush_all", b"flush_all 0", b"flush_all -1", b"flush_all noreply",
                                           b"flush_all 0 noreply", b"flush_all x", b"flush_all x noreply",
                                           b"flush_all 0 0 0")) + self.end())

    def malformed(self):
        """A command whose line is bent: memcached's and our idea of where that leads must agree."""
        while True:
            command = self.valid()
            line, _, rest = command.text.partition(b"\n")
            if line[:3] in (b"gat", b"flu") or (line[:3] == b"mg " and (b" T" in line or b" N" in line)):  # these act before, or after, an error
                continue
            if line[:3] == b"ma ":
                continue
            words = line.rstrip(b"\r ").split(b" ")
            self.bend(words)
            bent = Command(b" ".join(words) + self.end() + rest, command.cas_key, command.touches)
            if re.match(rb" *mg .* O[^ ]{32}", bent.text, re.S):  # as above
                continue
            if not starves(bent.text) and not expires_soon(bent.text):
                return bent

    def bend(self, words):
        odd = (b"", b"", b"-1", b"1x", b"x1", b"noreply", b"K" * 251, b"K" * 250, b"4294967296", b"4294967297", b"-2147483648",
               b"2147483647", b"18446744073709551615", b"18446744073709551616", b"-18446744073709551615", b"+500",
               b"\t500", b"500\t", b"500\tx", b"0x10", b"a\0b", b"!", b"q", b"q", b"v", b"Fx", b"Cx", b"Tx", b"M", b"MAB", b"Jx",
               b"Dx", b"O" * 32, b"O" * 33, b"\x7f", b"\xff")
        for _ in range(self.random.randint(1, 2)):
            at = self.random.randrange(len(words)) if words else 0
            change = self.random.randrange(5)
            if change == 0 and words:
                del words[at]
            elif change == 1 and words:
                words[at] = self.random.choice(odd)
            elif change == 2 and words:  # the name only: a flag of the other case may be one not known here
                words[0] = words[0].swapcase()
            else:
                words.insert(at + 1, self.random.choice(odd))

    def valid(self):
        kinds = (self.get, self.gat, self.touch, self.store, self.arithmetic, self.delete, self.meta_get, self.meta_set,
                 self.meta_delete, self.meta_arithmetic, self.cas)
        return self.random.choices(kinds, (18, 3, 4, 28, 10, 6, 16, 10, 5, 5, 5))[0]()

    def command(self):
        kinds = (self.valid, self.small, self.flush, self.malformed)
        return self.random.choices(kinds, (78, 6, 1, 15))[0]()

    def datagram(self):
        """Commands of one datagram. One with a CAS value stands alone: it needs the present one."""
        commands = []
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 4, 6, 10))):
            command = self.command()
            size = sum(len(c.text) for c in commands) + len(command.text)
            if size > DATAGRAM_MAX - 20 or (commands and (command.cas_key or command.forgets())):
                break
            commands.append(command)
            if command.cas_key:
                break
        return commands

    def conversation(self):
        return [datagram for datagram in (self.datagram() for _ in range(40)) if datagram]


def int32(word):
    """A number as memcached takes it: what does not fit is cut to 32 bits; 0 when it is none."""
    number = re.match(rb"[\t\v\f\r]*([+-]?\d+)", word)
    return (int(number[1]) + 2**31) % 2**32 - 2**31 if number else 0


def expires_soon(text):
    """Whether an expiry time may run out while the conversation lasts (4294967297 is one second): memcached's clock
    ticks once a second, so which of the two forgets first is a matter of luck."""
    words = [w for w in text.partition(b"\n")[0].split(b"\0")[0].split(b" ") if w]
    name = words[0] if words else b""
    place = 2 if name == b"touch" else 3 if name in STORES and name != b"ms" else None
    times = [words[place]] if place and len(words) > place else []
    if name == b"ms":
        times = [w[1:] for w in words[2:] if w[:1] == b"T"]
    return any(0 < int32(w) < 60 for w in times)


def starves(text):
    """Whether some line may ask for more data than follows it: memcached would wait for it
    in the datagrams to come, header and all."""
    at = 0
    while (end := text.find(b"\n", at)) >= 0:
        words = [w for w in text[at:end].split(b"\0")[0].split(b" ") if w]
        at = end + 1
        place = 2 if words[:1] == [b"ms"] else 4
        if words and words[0] in STORES and len(words) > place:
            size = int32(words[place])
            if size + 2 > len(text) - at or b"%" in words[place]:
                return True
    return False
