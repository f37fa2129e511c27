"""Strangers on the cluster's own network: a wrong key, old packets, noise, and more work than there is room for."""
import os
import random
import socket
import struct
import time

from kit import drill  # first: it finds the others

import native
from cluster import VISIBLE
from frames import CLIENT_MAC, ethernet, ipv4, udp

PEER_PORT = 7946
PROBE = 0.25  # seconds that a probe's answer may take on a machine that is busy all over
ETH_P_ALL, OUTGOING = 3, 4


def mac_of(node):
    return bytes.fromhex("0200000900") + bytes([int(node[1:])])


def capture(lab, node, count, seconds=10):
    """UDP payloads and (source, target address) of packets that a node sent to its peers, as the switch saw them."""
    s = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL), where="sw")
    s.bind((f"p{node[1:]}", ETH_P_ALL))
    s.settimeout(1)
    found, end = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        try:
            frame, (_, _, kind, _, _) = s.recvfrom(4096)
        except socket.timeout:
            continue
        if kind == OUTGOING or len(frame) < 42 or frame[12:14] != b"\x08\0" or frame[23] != 17:
            continue
        port, length = struct.unpack_from("!HH", frame, 36)
        if port == PEER_PORT:
            found.append((frame[42:34 + length], socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])))
    s.close()
    return found


def injector(lab):
    """A raw socket on the client's cable."""
    s = lab.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind(("e0", 0))
    return s


def peer_frame(payload, source, target, source_mac=CLIENT_MAC):
    node = f"n{target.rpartition('.')[2]}"
    return ethernet(ipv4(udp(payload, source, target, PEER_PORT, PEER_PORT), source, target), target=mac_of(node),
                    source=source_mac)


def refused(lab, nodes):
    """{reason: packets}, summed."""
    total = {}
    for node in nodes:
        for reason, count in lab.metrics(node)["refused"].items():
            total[reason] = total.get(reason, 0) + count
    return total


def growth(before, after):
    return {reason: after[reason] - before[reason] for reason in after if after[reason] != before[reason]}


@drill("wrong-key", "a node with another cluster key knocks", 12)
def wrong_key(d):
    path = f"/run/slipring-lab/{d.lab.name}/wrong.key"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
        f.write(os.urandom(32).hex() + "\n")
    versions, before, table = d.lab.versions(d.nodes), refused(d.lab, d.nodes), d.lab.epochs(d.nodes)
    try:
        d.lab("add", "n6", "--no-wait", "--set", f"cluster.key_file={path}")
        time.sleep(4)
        d.check("nobody took it in", {d.lab.status(n)["node_count"] for n in d.nodes} == {5})
        d.check("it is not ready, and says so", d.lab.http("n6", "GET", "/readyz")[0] == 503)
        d.check("it sees none of them", [m for m, s in d.lab.states("n6").items() if s == "Alive" and m != "n6"] == [])
        grown = growth(before, refused(d.lab, d.nodes))
        d.check("its packets were refused by name", grown.get("key_unknown", 0) + grown.get("forged", 0) > 0, grown)
        d.check("no state of any member changed", not d.moved(versions), d.moved(versions))
        d.check("the table stayed", d.lab.epochs(d.nodes) == table)
    finally:
        if d.lab.pid("n6"):
            d.lab("kill", "n6")
        os.unlink(path)


@drill("replay", "packets between nodes are recorded and sent again", 20)
def replay(d):
    packets = capture(d.lab, "n2", 200)
    if not d.check("packets of n2 were recorded", len(packets) >= 50, len(packets)):
        return
    versions, before, at = d.lab.versions(), refused(d.lab, d.nodes), d.watch.now()
    out = injector(d.lab)
    for payload, source, target in packets:
        out.send(peer_frame(payload, source, target))
        time.sleep(0.002)
    time.sleep(0.5)
    grown = growth(before, refused(d.lab, d.nodes))
    d.check("each was refused as a replay", grown == {"replayed": len(packets)}, grown)
    d.check("no state of any member changed", not d.moved(versions), d.moved(versions))
    # Now with the sender's MAC, too, which misleads the switch: frames for n2 go astray until it speaks again.
    for payload, source, target in packets:
        out.send(peer_frame(payload, source, target, mac_of("n2")))
        time.sleep(0.002)
    time.sleep(1)
    again = growth(before, refused(d.lab, d.nodes))
    d.check("and so with the sender's MAC", set(again) == {"replayed"} and again["replayed"] > 1.9 * len(packets), again)
    out.close()
    d.nobody_dead(at)
    d.settles("one cluster, one table", VISIBLE)


def garbage(packets, dice):
    """(payload, source, target) that must not be believed: noise, cut short, bits changed, too long, other versions."""
    payload, source, target = dice.choice(packets)
    kind = dice.randrange(5)
    if kind == 0:
        return dice.randbytes(dice.randrange(1472)), source, target
    if kind == 1:
        return payload[:dice.randrange(len(payload))], source, target
    changed = bytearray(payload)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    if kind == 2:
        return bytes(changed), source, target
    if kind == 3:
        return payload + dice.randbytes(dice.randrange(1, 1472 - len(payload))), source, target
    return bytes([dice.randrange(256)]) + payload[1:8] + dice.randbytes(16) + payload[24:], source, target


def pour(seconds, rate, frames, send):
    """So many of the frames a second, in bursts of a millisecond; returns how many."""
    sent, begin = 0, time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        while sent < now * rate:
            send(frames[sent % len(frames)])
            sent += 1
        time.sleep(0.001)
    return sent


@drill("garbage", "ten seconds of noise on the gossip port of every node", 25)
def garbage_flood(d):
    seed = int.from_bytes(os.urandom(3), "little")
    dice = random.Random(seed)
    d.tell("seed", seed)
    packets = [packet for node in d.nodes for packet in capture(d.lab, node, 40)]
    if not d.check("packets of all were recorded", len(packets) >= 100, len(packets)):
        return
    frames = [peer_frame(*garbage(packets, dice)) for _ in range(5000)]
    versions, before, at = d.lab.versions(), refused(d.lab, d.nodes), d.watch.now()
    table, out = d.lab.epochs(), injector(d.lab)
    sent = pour(10, 15000, frames, out.send)
    time.sleep(1)
    grown = growth(before, refused(d.lab, d.nodes))
    d.tell("sent", f"{sent} frames, {sent / 10:.0f} a second; refused: {grown}")
    d.check("refused by several names", {"malformed", "forged", "replayed"} <= set(grown), grown)
    d.check("most arrived", sum(grown.values()) > sent / 2, f"{sum(grown.values()) / sent:.0%}")
    d.nobody_dead(at)
    d.check("the table stayed", d.lab.epochs() == table)
    d.check("no state of any member changed", not d.moved(versions), d.moved(versions))
    d.check("all answer", all(d.lab.http(n, "GET", "/readyz")[0] == 200 for n in d.nodes))
    out.close()


def flood(lab, node, seconds):
    """A child that asks a node for keys of all nodes, 16 a frame, as fast as it can; returns its pid."""
    client = lab.client(node)
    client.call(native.PING)  # brings the cookie
    frames = []
    for i in range(64):
        operations = [native.operation(native.GET, b"flood:%d:%d" % (i, n)) for n in range(16)]
        client.sequence += 1
        frames.append(client.frame(*operations))
    pid = os.fork()
    if pid:
        return pid
    try:
        end = time.monotonic() + seconds
        client.sock.settimeout(0)
        while time.monotonic() < end:
            for frame in frames:
                try:
                    client.sock.send(frame)
                    client.sock.recv(2048)
                except OSError:
                    pass
    finally:
        os._exit(0)


@drill("data-flood", "two clients ask for keys of all nodes as fast as they can", 25)
def data_flood(d):
    before, versions, at = d.lab.epochs(), d.lab.versions(), d.watch.now()
    received = sum(d.lab.counters(n)["rx_frames"] for n in d.nodes)
    children = [flood(d.lab, "n1", 10), flood(d.lab, "n2", 10)]
    highest, ordered, begin_ms = 0, 0, time.time() * 1000
    while d.watch.now() < at + 10:
        for node in d.others("n1"):
            d.lab.post("n1", "/cluster/probe", {"node_id": node})
            ordered += 1
        for node in d.nodes:
            peers = d.lab.get(node, "/cluster/heartbeat")["peers"]
            highest = max([highest] + [peer["phi"] for peer in peers])
        time.sleep(0.5)
    for pid in children:
        os.waitpid(pid, 0)
    d.tell("frames the nodes took meanwhile", sum(d.lab.counters(n)["rx_frames"] for n in d.nodes) - received)
    threshold = d.lab.get("n1", "/cluster/heartbeat")["phi_threshold"]
    # Five nodes and two flooders share the cores: what the kernel drops while a worker waits for one is gossip, too.
    d.tell("highest phi", f"{highest:.2f} of {threshold:g}")
    d.settles("every suspicion was taken back", 5)
    d.nobody_dead(at)
    d.check("the table stayed", d.lab.epochs() == before)
    d.tell("changes of members' states", d.moved(versions) or "none")
    probed = sorted(e["duration_ms"] for e in d.lab.events("n1", begin_ms) if e["event"] == "probed")
    # One that is ordered anew before it was answered is one.
    if d.check("nine of ten ordered probes were answered", ordered > 20 and len(probed) >= 0.9 * ordered, f"{len(probed)} of {ordered}"):
        d.tell("median answer to a probe", f"{probed[len(probed) // 2]:.2f} ms")
        d.within("slowest answer to a probe", probed[-1] / 1000, PROBE)
