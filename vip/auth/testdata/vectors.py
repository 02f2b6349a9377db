#!/usr/bin/env python3
"""Prints vectors.txt: trailers of draft-cassen-vrrp-auth-hmac, made without the
code under test. The draft's own vectors are whole adverts: see vip/vrrp.

Columns: name, key, key id, pseudo header, message, seconds, fraction, counter,
trailer; everything but the names and decimal numbers in hex.
"""
import hashlib
import hmac
import socket
import struct


def trailer(key, key_id, pseudo, message, seconds, fraction, counter):
    head = struct.pack("!BBHIHH", 1, key_id, 0, seconds, fraction, counter)
    tag = hmac.new(key, pseudo + message + head + bytes(16), hashlib.sha256).digest()
    return head + tag[:16]


def row(name, key, key_id, pseudo, message, seconds, fraction, counter):
    made = trailer(key, key_id, pseudo, message, seconds, fraction, counter)
    print(name, key.hex(), key_id, pseudo.hex(), message.hex(), seconds, fraction, counter, made.hex())


def pseudo(family, version, vrid, source):
    af = socket.AF_INET if family == 4 else socket.AF_INET6
    return struct.pack("!BBBB16s", family, version, vrid, 0, socket.inet_pton(af, source))


def v4(a):
    return socket.inet_pton(socket.AF_INET, a)


def v6(a):
    return socket.inet_pton(socket.AF_INET6, a)


short, long = bytes(range(32)), bytes(range(100, 164))
# Adverts have their checksum read as 0.
row("v3_ipv4", short, 1, pseudo(4, 3, 51, "192.0.2.1"),
    struct.pack("!BBBBHH", 0x31, 51, 150, 1, 10, 0) + v4("192.0.2.100"), 1782432000, 0x8000, 0)
row("v2_ipv4", short, 255, pseudo(4, 2, 7, "198.51.100.10"),
    struct.pack("!BBBBBBH", 0x21, 7, 0, 1, 0, 1, 0) + v4("198.51.100.1") + bytes(8), 1782432001, 1, 2)
row("v3_ipv6", long, 2, pseudo(6, 3, 52, "fe80::1"),
    struct.pack("!BBBBHH", 0x31, 52, 255, 2, 100, 0) + v6("fe80::100") + v6("2001:db8::100"), 0xFFFFFFFF, 0xFFFF, 0xFFFF)
row("other_pseudo_header", long[:33], 9, b"conversation", b"", 0, 0, 1)
