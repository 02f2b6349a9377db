#!/usr/bin/env python3
"""Prints vectors.txt: adverts made without the code under test, both checksum
dialects, with and without the trailer of draft-cassen-vrrp-auth-hmac.

The draft's text was not at hand. What its appendix signs is known from others
who test by it, and the appendix rows are made from that here; the results are
the same as theirs.

Columns: name, source, destination, dialect (plain or pseudo), version, VRID,
priority, interval in ms, addresses, key id and time of signing in s (0@0 for
unsigned), payload in hex. The key is 00 01 … 1f; half a second is added.
"""
import hashlib
import hmac
import ipaddress
import struct

KEY = bytes(range(32))


def ones(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def row(name, source, destination, dialect, version, vrid, priority, ms, addresses, key_id, seconds):
    src, dst = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    ips = b"".join(ipaddress.ip_address(a).packed for a in addresses)
    timing = struct.pack("!BB", 0, ms // 1000) if version == 2 else struct.pack("!H", ms // 10)
    head = struct.pack("!BBBB", version << 4 | 1, vrid, priority, len(addresses)) + timing
    rest = ips + (bytes(8) if version == 2 else b"")
    trailer = b""
    if key_id:
        trailer = struct.pack("!BBHIHH", 1, key_id, 0, seconds, 0x8000, 0)
        conversation = struct.pack("!BBBB16s", src.version, version, vrid, 0, src.packed)
        tag = hmac.new(KEY, conversation + head + b"\0\0" + rest + trailer + bytes(16), hashlib.sha256).digest()
        trailer += tag[:16]
    over = head + b"\0\0" + rest
    if src.version == 6:
        over += trailer
        over += src.packed + dst.packed + struct.pack("!I3xB", len(head) + 2 + len(rest) + len(trailer), 112)
    elif dialect == "pseudo" and version == 3:
        over += src.packed + dst.packed + struct.pack("!xBH", 112, len(head) + 2 + len(rest))
    payload = head + struct.pack("!H", ones(over)) + rest + trailer
    print(name, source, destination, dialect, version, vrid, priority, ms, ",".join(addresses), "%d@%d" % (key_id, seconds), payload.hex())


for key_id, seconds, tail in ((0, 0, ""), (7, 1782432000, "_signed")):
    for dialect in ("plain", "pseudo"):
        row("v3_ipv4_" + dialect + tail, "192.0.2.1", "224.0.0.18", dialect, 3, 51, 150, 100, ["192.0.2.100", "192.0.2.101"], key_id, seconds)
    row("v3_ipv4_unicast" + tail, "198.51.100.10", "192.0.2.10", "plain", 3, 255, 0, 40950, ["203.0.113.9"], key_id, seconds)
    row("v3_ipv6" + tail, "fe80::1", "ff02::12", "plain", 3, 52, 255, 10, ["fe80::100", "2001:db8::100"], key_id, seconds)
    row("v2" + tail, "192.0.2.1", "224.0.0.18", "plain", 2, 1, 100, 255000, ["192.0.2.100", "198.51.100.7", "203.0.113.1"], key_id, seconds)
row("appendix_ipv4", "198.51.100.10", "192.0.2.10", "plain", 3, 51, 200, 1000, ["192.0.2.100"], 1, 0x68000000)
row("appendix_ipv6", "fe80::10", "fe80::20", "plain", 3, 51, 200, 1000, ["fe80::100"], 1, 0x68000000)
