"""Drills of TCP-lite against the kernel: long transfers over bad paths, in a lab of their own."""
import tcp_path
from kit import drill

MB = 1_000_000
# Loss each way, connections that share the 100 MB (where each waits for timeouts most of the time, there are many), and
# how much the kernel moves beside that, which takes it longer than a drill may at 20 %.
LOSSES = (("0%", 1, 100 * MB), ("0.1%", 1, 100 * MB), ("1%", 1, 100 * MB), ("5%", 10, 50 * MB), ("20%", 40, 2 * MB))
BYTES = 100 * MB


def tell(d, what, node, kernel):
    d.tell(what, f"MB/s up, down: node {node[0] / MB:.2f}, {node[1] / MB:.2f}; kernel {kernel[0] / MB:.2f}, {kernel[1] / MB:.2f}; "
                 f"ratio {node[0] / kernel[0]:.2f}, {node[1] / kernel[1]:.2f}")


@drill("tcp-loss", "TCP moves up to 100 MB each way at 0 to 20 % loss, and over a path that delays and reorders, beside the kernel's own", 900)
def tcp_loss(d):
    if not tcp_path.available():
        d.check("memcached is there to compare with", False, "scripts/deps test")
        return
    with tcp_path.path("loss") as path:
        for loss, connections, beside in LOSSES:
            path.impair(loss)
            node, given_up = path.transfer("node", BYTES, connections), path.given_up
            d.check(f"100 MB each way at {loss} loss, {connections} connections: every byte arrived", True)
            # At 20 % both ends' timeouts grow to a minute now and then, and a node gives up half a request after one.
            d.check("connections given up on the way", given_up <= (connections if loss == "20%" else 0), given_up)
            tell(d, "goodput", node, path.transfer("kernel", beside, connections))
        path.impair(delay=(5, 2))
        node, kernel = path.transfer("node", 20 * MB), path.transfer("kernel", 20 * MB)
        d.check("20 MB each way, 5 ms and up to 2 ms more each way, reordered: every byte arrived", True)
        tell(d, "goodput", node, kernel)
