"""Where a Slipring node answers otherwise than Redis 7.0, on purpose.

doc/COMPATIBILITY.md explains each; a test compares the names. Replies are regular expressions, matched in full.
"""
from dataclasses import dataclass


@dataclass
class Deviation:
    name: str
    args: tuple               # the command
    redis: bytes
    slipring: bytes
    before: tuple = ()        # commands that make the state


UNKNOWN = rb"-ERR unknown command .*"
COUNT = "return redis.call('incrby', KEYS[1], ARGV[1])"

DEVIATIONS = [
    Deviation("version", ("INFO", "server"), rb".*redis_version:7\.0\.15\r\n.*", rb".*redis_version:7\.2\.4\r\nslipring_version:.*"),
    Deviation("empty-key", ("SET", "", "x"), rb"\+OK\r\n", rb"-ERR key is empty or longer than 8192 bytes\r\n"),
    Deviation("key-of-8192", ("SET", "k" * 8193, "x"), rb"\+OK\r\n", rb"-ERR key is empty or longer than 8192 bytes\r\n"),
    Deviation("value-of-1-mib", ("SETRANGE", "a", 1 << 20, "x"), rb":1048577\r\n",
              rb"-ERR string exceeds maximum allowed size \(proto-max-bulk-len\)\r\n"),
    Deviation("expiry-of-48-bits", ("PEXPIRETIME", "a"), rb":500000000000000\r\n", rb":281474976710655\r\n",
              (("SET", "a", "x", "PXAT", "500000000000000"),)),
    Deviation("watch-missing", ("EXEC",), rb"\*-1\r\n", rb"\*1\r\n\+PONG\r\n",
              (("WATCH", "nothing"), ("SET", "nothing", "x"), ("DEL", "nothing"), ("MULTI",), ("PING",))),
    Deviation("encoding-by-value", ("OBJECT", "ENCODING", "a"), rb"\$3\r\nraw\r\n", rb"\$6\r\nembstr\r\n",
              (("SET", "a", "x"), ("APPEND", "a", "y"))),
    Deviation("memory-usage", ("MEMORY", "USAGE", "a"), rb":\d+\r\n", rb":58\r\n", (("SET", "a", "x"),)),
    Deviation("freq-0-to-3", ("OBJECT", "FREQ", "a"), rb":[1-9]\d*\r\n", rb":[0-3]\r\n", (("SET", "a", "x"),)),
    Deviation("msetnx-64", ("MSETNX", *[f"m{i}" for i in range(130)]), rb":1\r\n", rb"-ERR too many keys for MSETNX: 64 at most\r\n"),
    Deviation("watch-64", ("WATCH", *[f"m{i}" for i in range(65)]), rb"\+OK\r\n", rb"-ERR too many keys watched: 64 at most\r\n"),
    Deviation("scripts", ("EVAL", "return 1", "0"), rb":1\r\n", rb"-ERR scripts are not run, .*"),
    Deviation("script-errors", ("EVAL", COUNT, "1", "a", "1"), rb"-ERR value is not an integer or out of range script: .*",
              rb"-ERR value is not an integer or out of range\r\n", (("SET", "a", "x"),)),
    Deviation("script-numbers", ("EVAL", COUNT, "1", "a", "1"), rb":9007199254740992\r\n", rb":9007199254740993\r\n",
              (("SET", "a", "9007199254740992"),)),
    Deviation("config-set", ("CONFIG", "SET", "maxmemory", "0"), rb"\+OK\r\n", rb"-ERR settings stand in the node's configuration.*"),
    Deviation("resetstat", ("CONFIG", "RESETSTAT"), rb"\+OK\r\n", rb"-ERR counters are never reset\r\n"),
    Deviation("setinfo", ("CLIENT", "SETINFO", "LIB-NAME", "x"), rb"-ERR unknown subcommand 'SETINFO'.*", rb"\+OK\r\n"),
    Deviation("kill-others", ("CLIENT", "KILL", "ID", "999999"), rb":0\r\n", rb"-ERR only a connection's own id can be named\r\n"),
    Deviation("cluster-of-one", ("CLUSTER", "MYID"), rb"-ERR This instance has cluster support disabled\r\n", rb"\$40\r\n[0-9a-f]{40}\r\n"),
    Deviation("readonly", ("READONLY",), rb"-ERR This instance has cluster support disabled\r\n", rb"\+OK\r\n"),
    Deviation("debug", ("DEBUG", "JMAP"), rb"-ERR DEBUG command not allowed\..*", rb"-ERR DEBUG command not allowed\r\n"),
    Deviation("hashes", ("HSET", "h", "f", "v"), rb":1\r\n", UNKNOWN),
    Deviation("lists", ("LPUSH", "l", "v"), rb":1\r\n", UNKNOWN),
    Deviation("sets", ("SADD", "s", "v"), rb":1\r\n", UNKNOWN),
    Deviation("sorted-sets", ("ZADD", "z", "1", "v"), rb":1\r\n", UNKNOWN),
    Deviation("streams", ("XADD", "x", "1-1", "f", "v"), rb"\$3\r\n1-1\r\n", UNKNOWN),
    Deviation("geo", ("GEOADD", "g", "1", "1", "v"), rb":1\r\n", UNKNOWN),
    Deviation("hyperloglog", ("PFADD", "p", "v"), rb":1\r\n", UNKNOWN),
    Deviation("bitmaps", ("SETBIT", "bits", "1", "1"), rb":0\r\n", UNKNOWN),
    Deviation("pub-sub", ("PUBLISH", "c", "v"), rb":0\r\n", UNKNOWN),
    Deviation("blocking", ("BLPOP", "none", "0.01"), rb"\*-1\r\n", UNKNOWN),
    Deviation("rename", ("RENAME", "a", "b"), rb"\+OK\r\n", UNKNOWN, (("SET", "a", "x"),)),
    Deviation("copy", ("COPY", "a", "b"), rb":1\r\n", UNKNOWN, (("SET", "a", "x"),)),
    Deviation("dump", ("DUMP", "a"), rb"\$\d+\r\n.*", UNKNOWN, (("SET", "a", "x"),)),
    Deviation("sort", ("SORT", "none"), rb"\*0\r\n", UNKNOWN),
    Deviation("lcs", ("LCS", "a", "b"), rb"\$0\r\n\r\n", UNKNOWN),
    Deviation("functions", ("FUNCTION", "LIST"), rb"\*0\r\n", UNKNOWN),
    Deviation("acl", ("ACL", "WHOAMI"), rb"\$7\r\ndefault\r\n", UNKNOWN),
    Deviation("modules", ("MODULE", "LIST"), rb"\*0\r\n", UNKNOWN),
    Deviation("monitor", ("MONITOR", "x"), rb"-ERR wrong number of arguments for 'monitor' command\r\n", UNKNOWN),
    Deviation("persistence", ("LASTSAVE",), rb":\d+\r\n", UNKNOWN),
    Deviation("replication", ("REPLICAOF", "NO", "ONE"), rb"\+OK.*", UNKNOWN),
    Deviation("swapdb", ("SWAPDB", "0", "0"), rb"\+OK\r\n", UNKNOWN),
]
