"""The last test: whatever the others did, the machine is as it was."""
import os
import re
import subprocess

import clients
from conftest import huge_page_count, machine
from rack import lab, wait_for


def daemons_of_this_run():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                line = f.read()
        except OSError:
            continue
        if f"/slipring-lab/t{os.getpid()}" in line:
            found.append(f"{pid}: {line}")
    return found


def ledger():
    """Labs that say they hold huge pages."""
    try:
        with open("/run/slipring-lab/.huge") as f:
            return re.findall(r'"(t%d\w*)"' % os.getpid(), f.read())
    except OSError:
        return []


def test_nothing_is_left(request, rack_session):
    """No namespace, interface, process, run directory or huge page of these tests, once the common lab is down."""
    for maker in rack_session.makers.values():
        maker.end()
    rack_session("down", "--wipe")
    clients.shared.close()
    before = request.config.before
    ours = [k for k in before if k != "other labs"]
    wait_for(lambda: all(machine()[k] == before[k] for k in ours), 3, f"before {before}\nafter {machine()}")
    assert daemons_of_this_run() == []
    assert ledger() == []
    if request.config.before["other labs"] == [] == machine()["other labs"]:  # else they may have added some meanwhile
        assert huge_page_count() == request.config.huge_pages_before


def test_a_crashed_lab_is_cleaned_up():
    """Its state files lost, its switch cut, its node killed: down still takes all of it away."""
    with lab("crash", nodes=2) as it:
        subprocess.run(["rm", "-rf", f"/run/slipring-lab/{it.name}"], check=True)
        it("in", "sw", "ip", "link", "del", "p2")
        it("down")
        assert not [n for n in os.listdir("/run/netns") if n.startswith(it.name + "-")]
    assert daemons_of_this_run() == []
