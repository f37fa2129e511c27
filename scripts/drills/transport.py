"""Drills of TCP-lite against the kernel: long transfers over bad paths, in a lab of their own."""
import tcp_path
from kit import drill

MB = 1_000_000
# Loss each way, and how much is sent and fetched by the node, and by the kernel's own TCP over the same path.
LOSSES = (("0%", 100 * MB, 100 * MB), ("0.1%", 100 * MB, 100 * MB), ("1%", 100 * MB, 100 * MB), ("5%", 100 * MB, 20 * MB),
          ("20%", 10 * MB, 2 * MB))


def tell(d, what, node, kernel):
    d.tell(what, f"MB/s up, down: node {node[0] / MB:.2f}, {node[1] / MB:.2f}; kernel {kernel[0] / MB:.2f}, {kernel[1] / MB:.2f}; "
                 f"ratio {node[0] / kernel[0]:.2f}, {node[1] / kernel[1]:.2f}")


@drill("tcp-loss", "TCP moves up to 100 MB each way at 0 to 20 % loss, and over a path that delays and reorders, beside the kernel's own", 900)
def tcp_loss(d):
    if not tcp_path.available():
        d.check("memcached is there to compare with", False, "scripts/deps test")
        return
    with tcp_path.path("loss") as path:
        for loss, ours, theirs in LOSSES:
            path.impair(loss)
            node, kernel = path.transfer("node", ours), path.transfer("kernel", theirs)
            tell(d, f"{ours // MB} MB each way, loss {loss}", node, kernel)
            if loss in ("0%", "0.1%", "1%"):
                d.check(f"at {loss} goodput is at least half of the kernel's", min(node[0] / kernel[0], node[1] / kernel[1]) >= 0.5)
            else:
                d.check(f"at {loss} every byte arrived", True)
        path.impair(delay=(5, 2))
        node, kernel = path.transfer("node", 20 * MB), path.transfer("kernel", 20 * MB)
        tell(d, "20 MB each way, 5 ms and up to 2 ms more each way, reordered", node, kernel)
        d.check("over delay and reordering every byte arrived", True)
