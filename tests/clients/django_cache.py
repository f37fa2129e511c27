"""Django's cache framework: django_cache.py HOST PORT pymemcache|pylibmc|django-redis [cluster] [HOST:PORT]...

What applications do with it: the cache's own interface, sessions, pages and fragments. Further servers share the keys with the
first; a cluster's node lists only its own keys."""
import os
import sys
import time

import django
from django.conf import settings

from checks import SIZES, Checks, body, raises, together

host, port, how, cluster = sys.argv[1], int(sys.argv[2]), sys.argv[3], "cluster" in sys.argv[4:]
servers = [f"{host}:{port}", *(a for a in sys.argv[4:] if ":" in a)]
P = f"dj-{how}-{os.getpid()}"
REDIS = how == "django-redis"
CONNECTIONS = 200

if REDIS:
    one = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"redis://{host}:{port}/0",
           "OPTIONS": {"CONNECTION_POOL_KWARGS": {"max_connections": CONNECTIONS, "socket_timeout": 10}}}
    caches_of = {"default": one, "compressed": {**one, "OPTIONS": {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}}}
else:
    name = {"pymemcache": "PyMemcacheCache", "pylibmc": "PyLibMCCache"}[how]
    caches_of = {"default": {"BACKEND": f"django.core.cache.backends.memcached.{name}", "LOCATION": servers}}
for one in caches_of.values():
    one["KEY_PREFIX"] = P
settings.configure(CACHES=caches_of, SECRET_KEY="known to all", SESSION_ENGINE="django.contrib.sessions.backends.cache", ALLOWED_HOSTS=["*"],
                   ROOT_URLCONF=__name__, TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402: settings come first
from django.core.cache import cache, caches  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import Context, Template  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.views.decorators.cache import cache_page  # noqa: E402
if REDIS:
    from django_redis import get_redis_connection

urlpatterns = ()
checks = Checks(f"django/{how}", django.get_version())


def basics():
    with checks("set get delete"):
        cache.set("a", "one")
        assert cache.get("a") == "one" and "a" in cache and cache.delete("a") and not cache.delete("a")
        assert cache.get("a") is None and cache.get("a", "other") == "other" and "a" not in cache
    with checks("kinds of values"):
        for value in (7, -7, 1 << 40, True, None, "ключ", b"\0\r\n\xff", 1.5, [1, {"two": (3,)}]):
            cache.set("kind", value)
            assert cache.get("kind", "none") == value, value
    for size in SIZES:
        with checks(f"value of {size} B"):
            value = body(min(size, (1 << 20) - 100))  # pickled it has some bytes more
            cache.set("l", value)
            assert cache.get("l") == value
    with checks("add get_or_set pop versions"):
        assert cache.add("x", 1) and not cache.add("x", 2) and cache.get("x") == 1
        assert cache.get_or_set("y", lambda: "made") == "made" and cache.get_or_set("y", "other") == "made"
        cache.set("v", "first", version=1)
        cache.set("v", "second", version=2)
        assert cache.get("v") == "first" and cache.get("v", version=2) == "second"
        assert cache.incr_version("v", delta=2) == 3 and cache.get("v") is None and cache.get("v", version=3) == "first"
    with checks("set_many get_many delete_many"):
        many = {f"m{i}": f"value {i}" for i in range(200)}
        assert not cache.set_many(many) and cache.get_many([*many, "none"]) == many
        cache.delete_many(many)
        assert cache.get_many(many) == {}
    with checks("get_many of large values"):
        large = {f"b{i}": body(200_000, i) for i in range(10)}
        cache.set_many(large)
        assert cache.get_many(large) == large
    with checks("incr and decr"):
        cache.set("n", 10)
        assert cache.incr("n") == 11 and cache.incr("n", 5) == 16 and cache.decr("n", 6) == 10 and cache.get("n") == 10
        raises(ValueError, cache.incr, "none")
        assert cache.get("none") is None
        if REDIS:
            assert cache.decr("n", 30) == -20 and cache.incr("n", 1 << 40) == (1 << 40) - 20


def timeouts():
    with checks("timeouts and touch"):
        cache.set("e0", 1, 0)
        cache.set("e1", 1, -1)
        assert cache.get("e0") is None and cache.get("e1") is None
        cache.set("e4", 1, timeout=None)
        assert cache.touch("e4", 100) and not cache.touch("none", 100) and cache.get("e4") == 1
        for name in ("e2", "e3"):
            cache.set(name, 1, 0.1 if REDIS else 1)
        assert cache.touch("e3", 100)


def what_has_expired(since):
    with checks("what has expired"):
        time.sleep(max(0, since + (0.15 if REDIS else 2.1) - time.monotonic()))
        assert cache.get("e2") is None and cache.get("e3") == 1


def framework():
    with checks("sessions"):
        session = SessionStore()
        session["user"] = {"name": "ключ", "visits": 1}
        session.set_expiry(100)
        session.save()
        again = SessionStore(session.session_key)
        assert again["user"] == {"name": "ключ", "visits": 1} and again.exists(session.session_key)
        again["user"]["visits"] = 2
        again.cycle_key()
        assert not SessionStore().exists(session.session_key) and SessionStore(again.session_key)["user"]["visits"] == 2
        again.flush()
        assert SessionStore(session.session_key).get("user") is None
    with checks("a page"):
        made = []

        @cache_page(100)
        def view(request):
            made.append(request.path)
            return HttpResponse(body(50_000), content_type="text/plain")
        for _ in range(3):
            got = view(RequestFactory().get(f"/{P}"))
            assert got.content == body(50_000) and "max-age=100" in got["Cache-Control"]
        assert len(made) == 1, made
    with checks("a fragment"):
        fragment = Template("{% load cache %}{% cache 100 part who %}hello {{ word }}{% endcache %}")
        assert fragment.render(Context({"who": P, "word": "first"})) == "hello first"
        assert fragment.render(Context({"who": P, "word": "second"})) == "hello first"
        assert fragment.render(Context({"who": "other" + P, "word": "second"})) == "hello second"


def of_redis():
    """What django-redis adds."""
    with checks("ttl expire persist"):
        cache.set("t", 1, 100)
        assert 98 <= cache.ttl("t") <= 100 and cache.persist("t") and cache.ttl("t") is None and cache.ttl("none") == 0
        assert cache.expire("t", 50) and 48 <= cache.ttl("t") <= 50 and cache.pexpire("t", 20_000) and 19_000 < cache.pttl("t") <= 20_000
        cache.set("t", 2, nx=True)
        assert cache.get("t") == 1
        assert cache.incr("t") == 2 and 0 < cache.pttl("t") <= 20_000
    with checks("incr with and without the key"):
        assert cache.incr("made", ignore_key_check=True) == 1 and cache.incr("made", 4) == 5
        cache.set("text", "word")
        raises(TypeError, cache.incr, "text")
        assert cache.get("text") == "word"
    with checks("twenty threads count"):
        cache.set("all", 0)
        together(lambda _: [cache.incr("all") for _ in range(20)], 20)
        assert cache.get("all") == 400, cache.get("all")
    if not cluster:
        with checks("keys iter_keys delete_pattern"):
            cache.set_many({f"p{i}": i for i in range(300)})
            names = {f"p{i}" for i in range(300)}
            assert set(cache.keys("p*")) == names and set(cache.iter_keys("p*", itersize=50)) == names
            assert cache.delete_pattern("p*", itersize=100) == 300 and cache.keys("p*") == []
    with checks("lock"):
        with cache.lock("lock", timeout=10):
            assert not cache.lock("lock", timeout=10).acquire(blocking=False)
        assert cache.get("lock") is None
    with checks("compressed"):
        caches["compressed"].set("z", "z" * 500_000)
        assert caches["compressed"].get("z") == "z" * 500_000


def many_connections():
    if REDIS:
        with checks("a pool is filled"):
            pool = get_redis_connection().connection_pool
            taken = [pool.get_connection("PING") for _ in range(CONNECTIONS)]
            for one in taken:
                one.send_command("PING")
            assert {one.read_response() for one in taken} == {b"PONG"}
            for one in taken:
                pool.release(one)
    with checks(f"{CONNECTIONS} threads"):
        gate = []

        def work(number):
            cache.set(f"c{number}", number)  # a connection of the thread's own, or with Redis one of the pool's
            gate.append(1)
            deadline = time.monotonic() + 20
            while len(gate) < CONNECTIONS and time.monotonic() < deadline:
                time.sleep(0.005)
            for i in range(5):
                cache.set(f"c{number}", f"{number}-{i}")
                assert cache.get(f"c{number}") == f"{number}-{i}"
            cache.close()
        together(work, CONNECTIONS)
        assert len(gate) == CONNECTIONS
    with checks("reconnect"):
        for i in range(20):
            cache.close()
            cache.set("again", i)
            assert cache.get("again") == i


timeouts()
begin = time.monotonic()
for part in (basics, framework, *([of_redis] if REDIS else []), many_connections):
    part()
if how != "pylibmc" and len(servers) == 1:  # the wait is the same with the others
    what_has_expired(begin)
with checks("clear"):
    cache.set("gone", 1)
    cache.clear()
    assert cache.get("gone") is None
checks.end()
