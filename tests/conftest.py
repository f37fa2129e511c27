"""Adds what pytest counted to the tally of `make test` (scripts/run-all)."""
import os


def pytest_terminal_summary(terminalreporter):
    path = os.environ.get("SLIPRING_COUNTS")
    if not path:
        return
    stats = terminalreporter.stats
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    with open(path, "a") as f:
        f.write(f"{len(stats.get('passed', []))} {failed} {len(stats.get('skipped', []))} "
                f"{os.environ.get('SUITE', 'pytest')}\n")
