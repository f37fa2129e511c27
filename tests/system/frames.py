"""Frames by hand, so that they can be wrong."""
import socket
import struct

BROADCAST = b"\xff" * 6
NODE_MAC = bytes.fromhex("020000090001")
CLIENT_MAC = bytes.fromhex("0200000900fe")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(payload, ethertype=0x0800, source=CLIENT_MAC, target=NODE_MAC):
    return target + source + struct.pack("!H", ethertype) + payload


def ipv4(payload, source, target, protocol=17, version=4, words=5, total=None, flags=0, ttl=64, bad_sum=False, options=b"",
         ident=7):
    total = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", version << 4 | words + len(options) // 4, 0, total, ident, flags, ttl, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target) + options
    right = checksum(head) ^ (0x5555 if bad_sum else 0)
    return head[:10] + struct.pack("!H", right) + head[12:] + payload


def udp(payload, source, target, port, source_port=40000, length=None, bad_sum=False):
    length = 8 + len(payload) if length is None else length
    head = struct.pack("!HHH", source_port, port, length)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 17, length)
    total = checksum(pseudo + head + b"\0\0" + payload) or 0xffff
    return head + struct.pack("!H", total ^ (0x5555 if bad_sum else 0)) + payload


def icmp_echo(payload=b"ping", kind=8, bad_sum=False):
    head = struct.pack("!BBHHH", kind, 0, 0, 7, 1)
    right = checksum(head + payload) ^ (0x5555 if bad_sum else 0)
    return head[:2] + struct.pack("!H", right) + head[4:] + payload


def arp(source, target, op=1, hardware=1, source_mac=CLIENT_MAC):
    return struct.pack("!HHBBH", hardware, 0x0800, 6, 4, op) + source_mac + socket.inet_aton(source) + bytes(6) + \
        socket.inet_aton(target)
