"""memcached clients as they are, over TCP, against memcached 1.6.18 and against a node: both must do."""
import os
import re
import shutil

import pytest

from clients import GOMEMCACHE, PATH, PROGRAMS, SPYMEMCACHED, have

CLIENTS = {
    "pymemcache": ("pymemcache_client.py", [], ["py:pymemcache"]),
    "python-memcached": ("python_memcache.py", [], ["py:memcache"]),
    "pylibmc-text": ("pylibmc_client.py", [], ["py:pylibmc"]),
    "pylibmc-binary": ("pylibmc_client.py", ["binary"], ["py:pylibmc"]),
    "php-memcached-text": ("php_client.php", ["memcached-text"], ["php", "/usr/share/doc/php-memcached"]),
    "php-memcached-binary": ("php_client.php", ["memcached-binary"], ["php", "/usr/share/doc/php-memcached"]),
    "dalli": ("ruby_client.rb", ["dalli"], ["ruby", "/usr/share/doc/ruby-dalli"]),
    "memjs": ("memjs.js", [], ["npm:memjs"]),
    "memcached-npm": ("memcached_npm.js", [], ["npm:memcached"]),
    "cache-memcached-fast": ("perl_client.pl", ["memcached"], ["/usr/share/doc/libcache-memcached-fast-perl"]),
    "gomemcache": ("gomemcache.go", [], ["go", GOMEMCACHE]),
    "spymemcached-text": ("Spymemcached.java", ["text"], ["javac", SPYMEMCACHED]),
    "spymemcached-binary": ("Spymemcached.java", ["binary"], ["javac", SPYMEMCACHED]),
    "django-pymemcache": ("django_cache.py", ["pymemcache"], ["py:django", "py:pymemcache"]),
    "django-pylibmc": ("django_cache.py", ["pylibmc"], ["py:django", "py:pylibmc"]),
    "200-connections-text": ("many.py", ["text"], []),
    "200-connections-binary": ("many.py", ["binary"], []),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_client(end, client):
    program, arguments, wanted = CLIENTS[client]
    have(*wanted)
    end.program(program, "memcached", *arguments)


# --- libmemcached's tools ---------------------------------------------------------------

def tool(end, name, *arguments, **how):
    """memcp, or memccp as Debian names it."""
    program = next((p for p in (f"memc{name}", f"mem{name}") if shutil.which(p, path=PATH)), None)
    if not program:
        pytest.skip("libmemcached-tools is not installed: scripts/deps test")
    return end.run(program, *arguments, **how)


@pytest.mark.parametrize("binary", (False, True), ids=("text", "binary"))
def test_libmemcached_tools(end, tmp_path, binary):
    how = ["--servers=H:M"] + (["--binary"] if binary else [])
    path = tmp_path / f"lib-{binary}-{os.getpid()}"
    path.write_text("from a file\n" * 5000)
    tool(end, "ping", how[0])
    tool(end, "cp", *how, path)
    assert tool(end, "cat", *how, path.name).stdout.strip() == path.read_text().strip()
    tool(end, "exist", *how, path.name)
    tool(end, "touch", *how, "--expire=100", path.name)
    said = tool(end, "stat", *how).stdout
    assert re.search(r"curr_items\S*\s+\d+", said) and re.search(r"version\S*\s+1\.", said), said
    if not binary:
        tool(end, "dump", *how, check=False, timeout=10)
    tool(end, "rm", *how, path.name)
    assert tool(end, "exist", *how, path.name, check=False).returncode != 0
    assert tool(end, "rm", *how, path.name, check=False).returncode != 0
    tool(end, "flush", *how)


@pytest.mark.parametrize("which", ("-a", "-b"), ids=("text", "binary"))
def test_memcapable(end, which):
    """libmemcached's own examination of a server."""
    done = tool(end, "capable", "-h", "H", "-p", "M", which, "-t", "5", check=False)
    assert done.returncode == 0 and "All tests passed" in done.stdout, "\n".join(
        line for line in (done.stdout + done.stderr).splitlines() if "[pass]" not in line)


@pytest.mark.parametrize("binary", (False, True), ids=("text", "binary"))
def test_memslap(end, binary):
    for kind in ("set", "get", "mget"):
        done = tool(end, "slap", "--servers=H:M", f"--test={kind}", "--concurrency=20", "--execute-number=200", "--initial-load=200",
                    "--tcp-nodelay", *(["--binary"] if binary else []))
        assert "rror" not in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", ([], ["-B"], ["-d", "20"]), ids=("text", "binary", "multi-get"))
def test_memaslap(end, arguments):
    """200 connections, each value verified."""
    done = tool(end, "aslap", "-s", "H:M", "-T", "2", "-c", "200", "-x", "20000", "-v", "1", "-X", "500", *arguments)
    figures = dict(re.findall(r"^(\w+): (\d+)", done.stdout, re.M))
    assert figures["get_misses"] == figures["verify_misses"] == figures["verify_failed"] == "0", done.stdout
    assert int(figures["cmd_get"]) > 10_000, done.stdout


# --- what stands between ----------------------------------------------------------------

NGINX = """
{load}
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 200; }}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 2m; client_body_buffer_size 2m;
  upstream cache {{ server {host}:{port}; keepalive 8; }}
  server {{
    listen 127.0.0.1:8480;
    location /plain/ {{ set $memcached_key $uri; memcached_pass cache; memcached_buffer_size 64k; }}
    {memc}
  }}
}}
"""
MEMC = "location /memc/ { set $memc_key $uri; memc_pass cache; memc_buffer_size 64k; }"
MEMC_MODULE = "/usr/lib/nginx/modules/ngx_http_memc_module.so"


def test_nginx(end, tmp_path):
    have("nginx", "curl")
    memc = os.path.exists(MEMC_MODULE)
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(load=f"load_module {MEMC_MODULE};" if memc else "", memc=MEMC if memc else "", dir=tmp_path,
                                   host=end.host, port=end.port["memcached"]))

    def curl(path, *arguments, **how):
        return end.run("curl", "-sS", "-w", "\n%{http_code}", *arguments, f"http://127.0.0.1:8480{path}", **how).stdout

    with end.background("nginx", "-c", config, "-e", tmp_path / "error.log", "-p", tmp_path, ready=lambda: end.listens(8480)):
        large = "<html>" + "z" * 300_000
        end.run("/usr/bin/python3", "-c", "import sys, pymemcache.client.base as b; c = b.Client((sys.argv[1], int(sys.argv[2])), default_noreply=False);"
                "c.set('/plain/a', 'page'); c.set('/plain/l', '<html>' + 'z' * 300000)", "H", "M")
        assert curl("/plain/a") == "page\n200"
        assert curl("/plain/none").endswith("\n404")
        assert curl("/plain/l") == large + "\n200"
        for _ in range(5):
            assert curl("/plain/a") == "page\n200"
        if memc:
            assert curl("/memc/a", "-X", "PUT", "-d", "stored").endswith("\n201")
            assert curl("/memc/a") == "stored\n200"
            assert curl("/memc/a", "-X", "DELETE").endswith("\n200")
            assert curl("/memc/a").endswith("\n404")


def test_nutcracker(end, tmp_path):
    have("nutcracker", "py:pymemcache")
    config = tmp_path / "nutcracker.yml"
    config.write_text(f"memcached:\n  listen: 127.0.0.1:22122\n  hash: fnv1a_64\n  distribution: ketama\n  timeout: 5000\n"
                      f"  servers:\n   - {end.host}:{end.port['memcached']}:1\n")
    with end.background("nutcracker", "-c", config, "-s", "22228", "-m", "16384", ready=lambda: end.listens(22122)):
        lines = end.run("/usr/bin/python3", "-B", os.path.join(PROGRAMS, "pymemcache_client.py"), "127.0.0.1", 22122, "proxy", check=False).stdout
    assert "not ok" not in lines and "\nok " in lines, lines


# What prometheus/memcached_exporter reads of `stats`; Debian has no package of it.
EXPORTED = """pid uptime time version curr_connections total_connections cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses
  delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits touch_misses
  bytes_read bytes_written limit_maxbytes threads bytes curr_items total_items evictions reclaimed""".split()


def test_statistics_are_three_words_a_line(end):
    """What the exporter's parser demands, group by group."""
    have("nc")
    for group in ("", " settings", " items", " slabs", " sizes", " conns"):
        said = end.run("nc", "-N", "-w", "5", "H", "M", input=f"stats{group}\r\n".encode(), text=False).stdout.decode()
        assert said.endswith("END\r\n"), (group, said)
        if group == " conns" and end.kind == "oracle":
            continue  # memcached's own has states of several words
        for line in said.splitlines()[:-1]:
            assert re.fullmatch(r"STAT \S+ \S+", line), (group, line)
    said = end.run("nc", "-N", "-w", "5", "H", "M", input=b"stats\r\n", text=False).stdout.decode()
    figures = dict(line.split()[1:] for line in said.splitlines()[:-1])
    assert not [name for name in EXPORTED if name not in figures]
    assert all(re.fullmatch(r"\d+", figures[name]) for name in EXPORTED if name != "version"), figures


def test_netcat_closes_its_half(end):
    """printf | nc: everything is answered after the client's FIN, and then the connection ends."""
    have("nc")
    asked = b"set nc 5 0 2\r\nhi\r\nget nc\r\nget nc\nincr nc 1\r\ndelete nc\r\nnosuch\r\nmn\r\n"
    said = end.run("nc", "-N", "-w", "5", "H", "M", input=asked, text=False).stdout
    assert said == b"STORED\r\n" + b"VALUE nc 5 2\r\nhi\r\nEND\r\n" * 2 + b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n" \
        b"DELETED\r\nERROR\r\nMN\r\n"


def test_netcat_waits_for_a_large_reply(end):
    have("nc")
    value = b"y" * 1_000_000
    asked = b"set nc-large 0 0 1000000\r\n" + value + b"\r\n" + b"get nc-large\r\n" * 5
    said = end.run("nc", "-N", "-w", "5", "H", "M", input=asked, text=False).stdout
    assert said == b"STORED\r\n" + (b"VALUE nc-large 0 1000000\r\n" + value + b"\r\nEND\r\n") * 5, len(said)
