"""The Internet checksum (RFC 1071)."""

import struct


def ones_sum(data):
    """The one's complement sum of 16-bit words; 0xffff over what holds a right checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def checksum(data):
    return ~ones_sum(data) & 0xffff
