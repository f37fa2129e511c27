"""TCP-lite against the kernel's TCP over a path that loses, delays and reorders; beside it the kernel's own over the same path."""
import pytest

import rack
import tcp_path


@pytest.fixture(scope="module")
def path():
    if not tcp_path.available():
        pytest.skip("memcached is not installed: scripts/deps test")
    with tcp_path.path() as it:
        yield it


@pytest.fixture(autouse=True)
def healed(path):
    yield
    path.lab("heal")


# At 20 % each way most time is spent in timeouts, the kernel's and ours.
@pytest.mark.parametrize("loss,size", [("0%", 20_000_000), ("0.1%", 5_000_000), ("1%", 3_000_000), ("5%", 1_000_000), ("20%", 20_000)])
def test_every_byte_arrives_at_a_loss_of(path, loss, size):
    path.impair(loss)
    ours = path.transfer("node", size)
    assert path.given_up == 0
    print(f"loss {loss} each way, MB/s up and down: node {ours[0] / 1e6:.3f} {ours[1] / 1e6:.3f}")
    if loss != "20%":
        kernel = path.transfer("kernel", size)
        print(f"the kernel's own over the same path: {kernel[0] / 1e6:.3f} {kernel[1] / 1e6:.3f}")


def test_every_byte_arrives_over_a_path_that_delays_and_reorders(path):
    path.impair(delay=(5, 2))
    ours = path.transfer("node", 1_000_000)
    print(f"5 ms and up to 2 ms more each way, MB/s up and down: node {ours[0] / 1e6:.3f} {ours[1] / 1e6:.3f}")


ENDS = ("closed", "resets_in", "timed_out", "idle", "aborted", "no_memory", "limit")


def test_every_connection_has_ended(path):
    path.transfer("node", 1000)

    def all_ended():
        figures = path.lab.counters()
        return figures["tcp_accepted"] > 0 and figures["tcp_accepted"] == sum(figures["tcp_" + end] for end in ENDS)
    rack.wait_for(all_ended, 10, "as many connections have ended as were accepted")
