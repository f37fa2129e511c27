"""Switch, cables and faults of scripts/lab."""
import contextlib
import json
import os
import re

from lab_machine import (CLIENT, CLONE_NEWNET, NET, NET6, ROOT, RUN, call, end, helper_pid, helper_start, hosts_text, ip_batch,
                         libc, namespace, namespaces, read_json, run, switch_port, write)
from lab_ports import first_ports

# Inside the lab's namespaces only: no IPv6 chatter (but the client's e0 with --ipv6), and a switch that passes broken IP on.
NAMESPACE_SYSCTLS = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}

# --- network ---------------------------------------------------------------------

def prepare_namespace(name):
    run("ip", "netns", "add", name)
    pid = os.fork()
    if pid == 0:
        try:
            with open(f"/run/netns/{name}") as f:
                call(libc.setns(f.fileno(), CLONE_NEWNET), "setns")
            for setting, value in NAMESPACE_SYSCTLS.items():
                with contextlib.suppress(OSError), open(f"/proc/sys/net/{setting}", "w") as f:
                    f.write(value)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    run("ip", "-n", name, "link", "set", "lo", "up")


def build_switch(ipv6):
    prepare_namespace(namespace("sw"))
    prepare_namespace(namespace("client"))
    sw, client = namespace("sw"), namespace("client")
    ip_batch(["link add br0 type bridge mcast_snooping 0", "link add br1 type bridge mcast_snooping 0",
              "link set br0 up", "link set br1 up"], sw)
    connect(client, "pc", "cc", CLIENT, 1)
    ip_batch([f"addr add {NET}.0.{CLIENT}/24 dev e0", f"addr add {NET}.1.{CLIENT}/24 dev ctl0"], client)
    if ipv6:
        run("ip", "netns", "exec", client, "sysctl", "-qw", "net.ipv6.conf.e0.accept_dad=0", "net.ipv6.conf.e0.accept_ra=0",
            "net.ipv6.conf.e0.disable_ipv6=0")
        ip_batch([f"addr add {NET6}::{CLIENT:x}/64 dev e0 nodad"], client)


def connect(netns, data, control, octet, queues):
    """Two cables from a namespace to the switch: e0 for data, ctl0 for the control plane."""
    sw, many = namespace("sw"), f"numtxqueues {queues} numrxqueues {queues}"
    ip_batch([
        f"link add {data} netns {sw} {many} type veth peer name e0 netns {netns} {many}",
        f"link add {control} netns {sw} type veth peer name ctl0 netns {netns}"])
    ip_batch([f"link set e0 address 02:00:00:09:00:{octet:02x} up", "link set ctl0 up"], netns)
    ip_batch([f"link set {data} master br0 up", f"link set {control} master br1 up"], sw)
    # A kernel sender over veth leaves its checksum to a NIC that is not there, and
    # merges frames, and keeps a VLAN tag beside the frame: an AF_XDP or AF_PACKET
    # receiver would see neither sum, nor frames, nor tag.
    run("ip", "netns", "exec", sw, "ethtool", "-K", data,
        "tx", "off", "tso", "off", "gso", "off", "gro", "off", "txvlan", "off", "tx-vlan-stag-hw-insert", "off")


def build_node(index, workers):
    name = namespace(f"n{index}")
    prepare_namespace(name)
    connect(name, f"p{index}", f"c{index}", index, workers)
    ip_batch([f"addr add {NET}.1.{index}/24 dev ctl0"], name)


def build_network(count, workers, cluster=None, ipv6=False):
    os.makedirs(RUN, exist_ok=True)
    have = namespaces()
    state = {"workers": workers, "nodes": 0, "ports": first_ports(), "cluster": cluster, "ipv6": ipv6}
    if namespace("sw") not in have:
        write(f"{RUN}/lab.json", json.dumps(state))
        build_switch(ipv6)
    for i in range(1, count + 1):
        if namespace(f"n{i}") not in have:
            build_node(i, workers)
    count = max(count, sum(1 for n in namespaces() if re.search(r"-n\d+$", n)))
    write(f"{RUN}/lab.json", json.dumps({**state, "nodes": count}))
    # In place: running commands have this very file bound over /etc/hosts.
    with open(f"{RUN}/hosts", "w") as f:
        f.write(hosts_text(count, ipv6))


def network_is_whole():
    """Every namespace the state file names, and the switch's ports, are there."""
    state = read_json(f"{RUN}/lab.json", None)
    if state is None:
        return not namespaces()
    want = {namespace("sw"), namespace("client")} | {namespace(f"n{i + 1}") for i in range(state["nodes"])}
    if set(namespaces()) != want:
        return False
    links = run("ip", "-n", namespace("sw"), "-br", "link", check=False).stdout
    ports = ["pc", "cc"] + [f"{c}{i + 1}" for i in range(state["nodes"]) for c in "pc"]
    return all(re.search(rf"^{p}@", links, re.M) for p in ports)


# --- impairments -----------------------------------------------------------------

def impairments():
    """cut: pairs between which nothing passes; oneway: [from, to]; loss and delay by node."""
    return {**no_impairments(), **read_json(f"{RUN}/impairments.json", {})}


def no_impairments():
    return {"cut": [], "oneway": [], "loss": {}, "delay": {}}


def apply_impairments(state):
    """Writes the switch's whole rule set at once. Hooks on a node's own e0 would see
    nothing: XDP comes before them."""
    rules = []
    for a, b in state["cut"]:
        a, b = switch_port(a, state["delay"]), switch_port(b, state["delay"])
        rules += [f'iifname "{a}" oifname "{b}" counter drop', f'iifname "{b}" oifname "{a}" counter drop']
    for a, b in state["oneway"]:
        rules.append(f'iifname "{switch_port(a, state["delay"])}" oifname "{switch_port(b, state["delay"])}" counter drop')
    for node, percent in state["loss"].items():
        share = "counter drop" if percent == 100 else f"numgen random mod 100000 < {round(percent * 1000)} counter drop"
        port = switch_port(node, state["delay"])
        rules += [f'iifname "{port}" {share}', f'oifname "{port}" {share}']
    body = "\n".join(["type filter hook forward priority 0; policy accept;"] + rules)
    table = f"table bridge lab\ndelete table bridge lab\ntable bridge lab {{\nchain impair {{\n{body}\n}}\n}}\n"
    run("ip", "netns", "exec", namespace("sw"), "nft", "-f", "-", text=table)
    write(f"{RUN}/impairments.json", json.dumps(state))


def relay_pid(node):
    return helper_pid(f"{node}.relay.json", "lab-relay")


def relay_stop(node):
    """Puts the node's port back on the bridge."""
    pid, index = relay_pid(node), node[1:]
    if pid:
        end(pid)
    with contextlib.suppress(OSError):
        os.unlink(f"{RUN}/{node}.relay.json")
    sw = namespace("sw")
    run("ip", "-n", sw, "link", "del", f"r{index}", check=False)
    run("ip", "-n", sw, "link", "set", f"p{index}", "master", "br0", check=False)


def relay_start(node, delay_ms, jitter_ms):
    """p1 leaves the bridge; the relay carries its frames to r1, which is on it."""
    index, sw = node[1:], namespace("sw")
    relay_stop(node)
    ip_batch([f"link set p{index} nomaster", f"link add r{index} type veth peer name d{index}",
              f"link set r{index} master br0 up", f"link set d{index} up"], sw)
    run("ip", "netns", "exec", sw, "ethtool", "-K", f"r{index}", "tx", "off", "tso", "off", "gso", "off")
    helper_start(sw, [f"{ROOT}/scripts/lab-relay", f"p{index}", f"d{index}", str(delay_ms), str(jitter_ms)],
                 f"{node}.relay", "lab-relay")
