"""A node that demands the shared key: who has it is served, who has not gets nothing at all."""
import os

import pytest

from rack import wait_for


@pytest.fixture
def keys(tmp_path):
    """Files of the right key and of another one, readable by their owner only."""
    made = {}
    for name in ("right", "wrong"):
        path = tmp_path / name
        path.write_text(os.urandom(32).hex() + "\n")
        path.chmod(0o600)
        made[name] = str(path)
    return made


def test_require_auth(fresh, keys):
    lab = fresh(settings={"native.shared_key_file": keys["right"], "native.require_auth": "true", "echo.port": 7})
    assert lab.cli("-K", keys["right"], "set", "secret", "kept").returncode == 0
    assert lab.cli("-K", keys["right"], "get", "secret").stdout == "kept"
    for arguments in (["-K", keys["wrong"]], []):
        assert lab.cli("-t", "300ms", *arguments, "get", "secret", check=False).returncode == 3
    stats = lab.cli("-K", keys["right"], "stats", "drops").stdout
    assert int(stats.split("drop_native_auth")[1].split()[0]) >= 2


def test_an_optional_key(fresh, keys):
    """With a key but no demand for it both are served; a wrong tag is still dropped."""
    lab = fresh(settings={"native.shared_key_file": keys["right"]})
    lab.cli("-K", keys["right"], "set", "k", "v")
    assert lab.client().get(b"k") == b"v"
    before = lab.counters()["drop_native_auth"]
    assert lab.cli("-K", keys["wrong"], "-t", "300ms", "get", "k", check=False).returncode == 3
    wait_for(lambda: lab.counters()["drop_native_auth"] > before, 2, "drop_native_auth")


def test_large_values_with_tags(fresh, keys, tmp_path):
    """A tag takes 16 bytes of each frame: ranges and chunks still meet."""
    lab = fresh(settings={"native.shared_key_file": keys["right"], "native.require_auth": "true"})
    value = os.urandom(300_001)
    (tmp_path / "value").write_bytes(value)
    lab.cli("-K", keys["right"], "set", "large", f"@{tmp_path}/value")
    assert lab.cli("-K", keys["right"], "get", "large", text=False).stdout == value
