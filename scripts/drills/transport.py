"""Drills of TCP-lite against the kernel: long transfers over bad paths, in a lab of their own."""
import tcp_path
from kit import drill

MB = 1_000_000
# Loss each way; bytes each way, over how many connections, in values of how many bytes; what the kernel moves beside that.
# At 20 % each way both ends' timers grow to a minute and more, so there it is many short transfers.
LOSSES = (("0%", 100 * MB, 1, 250_000, 100 * MB), ("0.1%", 100 * MB, 1, 250_000, 100 * MB), ("1%", 100 * MB, 1, 250_000, 100 * MB),
          ("5%", 100 * MB, 10, 250_000, 50 * MB), ("20%", 2 * MB, 100, 10_000, 1 * MB))


def tell(d, what, node, kernel):
    d.tell(what, f"MB/s up, down: node {node[0] / MB:.2f}, {node[1] / MB:.2f}; kernel {kernel[0] / MB:.2f}, {kernel[1] / MB:.2f}; "
                 f"ratio {node[0] / kernel[0]:.2f}, {node[1] / kernel[1]:.2f}")


@drill("tcp-loss", "TCP moves up to 100 MB each way at 0 to 20 % loss, and over a path that delays and reorders, beside the kernel's own", 900)
def tcp_loss(d):
    if not tcp_path.available():
        d.check("memcached is there to compare with", False, "scripts/deps test")
        return
    with tcp_path.path("loss") as path:
        for loss, size, connections, value, beside in LOSSES:
            path.impair(loss)
            node, given_up = path.transfer("node", size, connections, value), path.given_up
            d.check(f"{size // MB} MB each way at {loss} loss, {connections} connections: every byte arrived", True)
            # A node gives up half a request that has not moved for a minute.
            d.check("connections given up on the way", given_up <= (connections if loss == "20%" else 0), given_up)
            tell(d, "goodput", node, path.transfer("kernel", beside, connections, value))
        path.impair(delay=(5, 2))
        node, kernel = path.transfer("node", 20 * MB), path.transfer("kernel", 20 * MB)
        d.check("20 MB each way, 5 ms and up to 2 ms more each way, reordered: every byte arrived", True)
        tell(d, "goodput", node, kernel)
