#!/usr/bin/env python3
"""Prints vectors.txt: signed heartbeats, made without the code under test.

Columns: name, source, destination, cluster, datagram in hex. The test has the
messages by name. They are signed under key id 7 by 00 01 … 1f at 1782432000.5 s.
"""
import hashlib
import hmac
import ipaddress
import struct

KEY = bytes(range(32))


def sixteen(text):
    a = ipaddress.ip_address(text)
    return a.packed if a.version == 6 else bytes(10) + b"\xff\xff" + a.packed


def name(text):
    return bytes([len(text)]) + text.encode()


def field(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def row(title, source, destination, cluster, rest):
    size = 10 + len(name(cluster)) + len(rest)
    body = b"SLHB" + struct.pack("!BBBBH", 1, 1, 1, 0, size) + name(cluster) + rest
    head = struct.pack("!BBHIHH", 1, 7, 0, 1782432000, 0x8000, 0)
    pseudo = b"sluice heartbeat" + sixteen(source) + sixteen(destination) + name(cluster)
    tag = hmac.new(KEY, pseudo + body + head + bytes(16), hashlib.sha256).digest()[:16]
    print(title, source, destination, cluster, (body + head + tag).hex())


row("least", "169.254.1.1", "169.254.1.0", "c",
    struct.pack("!QQQQ", 1, 1, 0, 0) + bytes(8) + bytes([0, 0, 0, 0, 0, 0]) + name("n"))
row("full", "fe80::1", "fe80::2", "inside-and-outside",
    struct.pack("!QQQQ", 0x0102030405060708, 1000, 3, 42) + bytes(range(8)) + bytes([2, 200, 150, 0]) + struct.pack("!H", 0b101111)
    + name("fw-a") + field(1, bytes([1, 2, 0])) + field(2, b"v1.2 (test)")
    + field(4, struct.pack("!II", 7, 0x01020304))
    + field(5, struct.pack("!I", 287500))
    + field(3, struct.pack("!QQIQB", 0x1112131415161718, 999, 100250, 0xF0000000000000FF, 64)))
