"""Where a Slipring node answers otherwise than memcached 1.6.18, on purpose.

doc/COMPATIBILITY.md explains each; a test compares the names. Replies are regular
expressions, matched in full.
"""
from dataclasses import dataclass


@dataclass
class Deviation:
    name: str
    text: bytes               # the request
    memcached: bytes          # its reply; None: cannot be asked safely
    slipring: bytes           # ours
    before: tuple = ()        # requests that make the state
    tcp: bool = False         # ask memcached over TCP: over UDP it would lose its place
    udp_only: bool = False    # does not hold over TCP


TOO_MANY = rb"SERVER_ERROR too many operations in one datagram\r\n"

DEVIATIONS = [
    Deviation("version-text", b"version\r\n", rb"VERSION 1\.6\.18\r\n", rb"VERSION 1\.6\.18-slipring-[0-9.]+\r\n"),
    Deviation("cas-is-a-version", b"gets a\r\n", rb"VALUE a 0 1 \d{1,9}\r\nx\r\nEND\r\n", rb"VALUE a 0 1 \d{18,20}\r\nx\r\nEND\r\n",
              (b"set a 0 0 1\r\nx\r\n",)),
    Deviation("touch-renews-cas", b"mg a c\r\ntouch a 100\r\nmg a c\r\n", rb"HD (c\d+)\r\nTOUCHED\r\nHD \1\r\n",
              rb"HD (c\d+)\r\nTOUCHED\r\nHD (?!\1)c\d+\r\n", (b"set a 0 0 1\r\nx\r\n",)),
    Deviation("ttl-shown-after-touch", b"mg a t T100\r\n", rb"HD t-1\r\n", rb"HD t100\r\n", (b"set a 0 0 1\r\nx\r\n",)),
    Deviation("truncated-data", b"set a 0 0 10\r\nabc\r\n", b"", rb"CLIENT_ERROR bad data chunk\r\n", tcp=True, udp_only=True),
    Deviation("oversized-data", b"set a 0 0 2000000\r\nabc\r\n", b"", rb"SERVER_ERROR object too large for cache\r\n", tcp=True, udp_only=True),
    Deviation("operations-limit", b"get" + b" a" * 65 + b"\r\n", rb"(VALUE a 0 1\r\nx\r\n){65}END\r\n", TOO_MANY,
              (b"set a 0 0 1\r\nx\r\n",), udp_only=True),
    Deviation("operations-limit-of-commands", b"mn\n" * 66, rb"(MN\r\n){66}", rb"(MN\r\n){64}" + TOO_MANY, udp_only=True),
    Deviation("no-binary", b"\x80\x0b" + b"\0" * 8 + b"\0\0\0\x0a" + b"\0" * 10, rb"\x81\x0b.*1\.6\.18", rb"ERROR\r\n", tcp=True, udp_only=True),
    Deviation("quit-ends-the-datagram", b"mn\r\nquit\r\nmn\r\n", rb"MN\r\n", rb"MN\r\n", tcp=True, udp_only=True),
    Deviation("padding-is-certain", b"mg a v\r\ndecr a 1\r\nget a\r\n", rb"VA 2\r\n10\r\n9\r\nVALUE a 0 1\r\n9\r\nEND\r\n",
              rb"VA 2\r\n10\r\n9\r\nVALUE a 0 2\r\n9 \r\nEND\r\n", (b"set a 0 0 2\r\n10\r\n",)),
    Deviation("meta-error-changes-nothing", b"mg a T-1 O" + b"o" * 32 + b"\r\nmg a\r\n", rb"CLIENT_ERROR opaque token too long\r\nEN\r\n",
              rb"CLIENT_ERROR opaque token too long\r\nHD\r\n", (b"set a 0 0 1\r\nx\r\n",)),
    Deviation("flush-in-the-past", b"flush_all 2592001\r\nget a\r\n", rb"OK\r\nVALUE a 0 1\r\nx\r\nEND\r\n", rb"OK\r\nEND\r\n",
              (b"set a 0 0 1\r\nx\r\n",)),
    Deviation("text-after-a-number", b"incr a 1\r\n", rb"6\r\n",
              rb"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", (b"set a 0 0 3\r\n5 x\r\n",)),
    Deviation("stats-reset", b"stats reset\r\n", rb"RESET\r\n", rb"SERVER_ERROR statistics cannot be reset\r\n"),
    Deviation("stats-detail", b"stats detail on\r\nstats detail off\r\n", rb"OK\r\nOK\r\n",
              rb"(SERVER_ERROR statistics by key prefix are not kept\r\n){2}"),
    Deviation("stats-of-slabs", b"stats slabs\r\nstats items\r\nstats sizes\r\nstats conns\r\n", rb"STAT .*END\r\n",
              rb"STAT active_slabs 0\r\nSTAT total_malloced \d+\r\nEND\r\nEND\r\nSTAT sizes_status disabled\r\nEND\r\nEND\r\n"),
    Deviation("cachedump-is-empty", b"stats cachedump 1 0\r\n", rb"(ITEM a .*)?END\r\n", rb"END\r\n", (b"set a 0 0 1\r\nx\r\n",)),
    Deviation("administration", b"slabs automove 1\r\ncache_memlimit 64\r\nlru_crawler tocrawl 0\r\n",
              rb"(OK\r\n){3}", rb"(ERROR\r\n){3}"),
    Deviation("watch", b"watch fetchers\r\n", None, rb"SERVER_ERROR there is no log to watch\r\n"),
    Deviation("debug-figures", b"me a\r\n", rb"ME a exp=-1 la=0 cas=\d+ fetch=no cls=1 size=\d\d\r\n",
              rb"ME a exp=-1 la=0 cas=\d+ fetch=no cls=0 size=2\r\n", (b"set a 0 0 1\r\n5\r\n",)),
    Deviation("meta-binary-key", b"mg YQ== b v\r\n", rb"VA 1\r\n5\r\n", rb"CLIENT_ERROR invalid flag\r\n", (b"set a 0 0 1\r\n5\r\n",), udp_only=True),
    Deviation("bad-key-keeps-replies", b"mg a\r\nget " + b"k" * 251 + b"\r\n", rb"CLIENT_ERROR bad command line format\r\n",
              rb"EN\r\nCLIENT_ERROR bad command line format\r\n"),
    Deviation("bad-key-spares-the-others", b"gat 2592001 a " + b"k" * 251 + b"\r\nget a\r\n",
              rb"CLIENT_ERROR bad command line format\r\nEND\r\n",
              rb"CLIENT_ERROR bad command line format\r\nVALUE a 0 1\r\nx\r\nEND\r\n", (b"set a 0 0 1\r\nx\r\n",)),
]

# Over TCP besides those above; asked in one piece.
STREAM_DEVIATIONS = [
    Deviation("binary-key-shown", b"mg foo k\r\n", rb"HD kZm9v b\r\n", rb"HD kfoo\r\n", (b"ms Zm9v 1 b\r\nx\r\n",)),
    Deviation("line-length", b"x" * 3000 + b"\r\n", rb"ERROR\r\n", rb"\(closed\)\r\n"),
    Deviation("get-line-length", b"get " + b"k " * 600000 + b"\r\n", None, rb"\(closed\)\r\n"),
]

# In packets; a test of test_memcached_binary.py each, of the same name.
BINARY_DEVIATIONS = ["unknown-packet-in-step", "bad-packet-keeps-replies", "statistics-stay"]
