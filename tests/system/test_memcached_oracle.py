"""A node on the lab's link and memcached 1.6.18 hold the same conversations."""
import pytest

import rack


@pytest.mark.parametrize("workers", (1, 3))
def test_a_node_answers_as_memcached(fresh, workers):
    """The differential test, from the client's namespace; with three workers, writes travel."""
    lab = fresh(workers=workers)
    done = lab.exec("/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/differential",
                    f"--target={lab.address()}:11211", "--conversations=30", cwd=rack.ROOT, timeout=180, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
