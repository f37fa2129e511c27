"""What the Python clients share: `with checks("name"):` is one check, told on standard output as one line.

Every program of this folder is called as PROGRAM HOST PORT [OPTION]... and says
  client NAME VERSION
  ok CHECK  |  not ok CHECK: why
so that whoever runs it can tell an unwilling client from a client that was never there. The
programs know nothing of what answers: the tests run them against Redis or memcached and against a node."""
import contextlib
import functools
import sys
import threading
import time
import traceback

SIZES = (0, 1, 100, 1400, 1461, 16384, 65536, 300_000, 1 << 20)


class Checks:
    def __init__(self, client, version):
        self.failed = 0
        print("client", client, version, flush=True)

    @contextlib.contextmanager
    def __call__(self, name):
        begin = time.monotonic()
        try:
            yield
            print("ok", name, f"({time.monotonic() - begin:.2f} s)", flush=True)
        except Exception as error:  # whatever a client throws, the next check shall run
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)
            line = next((f.lineno for f in reversed(where) if f.filename.endswith(sys.argv[0])), 0)
            print(f"not ok {name}: line {line}: {type(error).__name__}: {str(error)[:300]}", flush=True)

    def end(self):
        sys.exit(1 if self.failed else 0)


def raises(kind, call, *arguments, text=""):
    """The error that a call must throw, which says `text`."""
    try:
        answer = call(*arguments)
    except kind as error:
        assert text.lower() in str(error).lower(), f"said {error!r} instead of {text!r}"
        return error
    raise AssertionError(f"no error but {answer!r}")


def together(work, count):
    """work(0), work(1), ... in threads of their own; the first of their errors is this one's."""
    wrong = []

    def one(number):
        try:
            work(number)
        except Exception as error:
            wrong.append(error)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    if wrong:
        raise wrong[0]


@functools.lru_cache(maxsize=256)
def unit(seed):
    return bytes((i * 7 + seed * 13 + i // 251) & 255 for i in range(4096)) + b"\r\nEND\r\n\0$-1\r\n"


def body(size, seed=1):
    """Bytes of every value, among them CR LF and zero, other ones for another seed."""
    some = unit(seed & 255)
    return (some * (size // len(some) + 1))[:size]
