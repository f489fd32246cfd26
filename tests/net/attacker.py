#!/usr/bin/env python3
"""Somebody on the path between two hosts: forwards frames between two interfaces and does with some
what the network never should.  Run inside the namespace in the middle; see Middle in test_sealed.py.

	attacker.py <interface> <interface> <percent> <actions> <seed> [<hex pattern>...]

Of all IPv4 packets, 'percent' meet one of the actions, of "all" or a comma list: drop, duplicate, reorder (goes after the next one, or
after 20 ms), truncate, modify (a flipped bit).  Lengths and checksums are put right afterwards, so
that a kernel takes what comes out: only the programs at the ends can tell.  Looks into every frame
for the patterns.  Says on stdout "ready" at once, and at SIGTERM what it did, as JSON.
"""

import json
import random
import select
import signal
import socket
import struct
import sys

from checksum import checksum

ETH_P_ALL = 3
IPV4 = b"\x08\x00"
TCP, UDP = 6, 17
SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>
HOLD_S = 0.02


class Packet:
    """An Ethernet frame with an IPv4 packet that is no fragment and carries TCP or UDP."""

    def __init__(self, frame):
        self.frame = frame
        self.ip_size = (frame[14] & 15) * 4
        self.protocol = frame[23]
        self.total = struct.unpack_from("!H", frame, 16)[0]
        self.l4 = 14 + self.ip_size
        if self.protocol == TCP:
            self.payload = self.l4 + (frame[self.l4 + 12] >> 4) * 4
        else:
            self.payload = self.l4 + 8
        self.end = 14 + self.total

    def payload_size(self):
        return self.end - self.payload

    def rebuild(self, payload):
        """The frame with another payload, as its sender might have made it."""
        head = bytearray(self.frame[:self.payload])
        l4_size = self.payload - self.l4 + len(payload)
        struct.pack_into("!H", head, 16, self.ip_size + l4_size)
        struct.pack_into("!H", head, 24, 0)
        struct.pack_into("!H", head, 24, checksum(bytes(head[14:self.l4])))
        pseudo = bytes(head[26:34]) + struct.pack("!BBH", 0, self.protocol, l4_size)
        field = self.l4 + (16 if self.protocol == TCP else 6)
        if self.protocol == UDP:
            struct.pack_into("!H", head, self.l4 + 4, l4_size)
        struct.pack_into("!H", head, field, 0)
        total = checksum(pseudo + bytes(head[self.l4:]) + payload)
        struct.pack_into("!H", head, field, total or 0xffff)
        return bytes(head) + payload


def parse(frame):
    if len(frame) < 34 or frame[12:14] != IPV4 or frame[14] >> 4 != 4:
        return None
    if struct.unpack_from("!H", frame, 20)[0] & 0x3fff or frame[23] not in (TCP, UDP):
        return None
    packet = Packet(frame)
    return packet if packet.payload <= packet.end <= len(frame) else None


class Attacker:
    ACTIONS = ("drop", "duplicate", "reorder", "truncate", "modify")

    def __init__(self, interfaces, percent, actions, seed, patterns):
        self.sockets = [self.open(i) for i in interfaces]
        self.percent = percent
        self.actions = self.ACTIONS if actions == "all" else actions.split(",")
        self.random = random.Random(seed)
        self.patterns = patterns
        self.held = None
        self.counts = dict.fromkeys(("packets", "udp_types", *self.ACTIONS), 0)
        self.counts["udp_types"] = {}
        self.clear = []
        self.running = True

    @staticmethod
    def open(interface):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        s.bind((interface, ETH_P_ALL))
        s.setblocking(False)
        return s

    def look(self, frame, packet):
        self.counts["packets"] += 1
        for pattern in self.patterns:
            if pattern in frame:
                self.clear.append(frame.hex())
        if packet and packet.protocol == UDP and packet.payload_size():
            types = self.counts["udp_types"]
            key = str(frame[packet.payload])
            types[key] = types.get(key, 0) + 1

    def attack(self, out, frame, packet):
        """Does one of the five; true when the frame needs no forwarding any more."""
        action = self.random.choice(self.actions)
        size = packet.payload_size()
        if action in ("truncate", "modify") and not size:
            return False
        payload = bytearray(frame[packet.payload:packet.end])
        self.counts[action] += 1
        if action == "duplicate":
            self.send(out, frame)
            return False
        if action == "reorder":
            self.release()
            self.held = (out, frame)
        elif action == "truncate":
            self.send(out, packet.rebuild(bytes(payload[:self.random.randrange(size)])))
        elif action == "modify":
            payload[self.random.randrange(size)] ^= 1 << self.random.randrange(8)
            self.send(out, packet.rebuild(bytes(payload)))
        return True

    @staticmethod
    def send(out, frame):
        try:
            out.send(frame)
        except OSError:
            pass  # full, or the other end is gone: lost

    def release(self):
        if self.held:
            self.send(*self.held)
            self.held = None

    def forward(self, number):
        """One frame that came in at an interface; false when there is none."""
        try:
            frame, address = self.sockets[number].recvfrom(70000)
        except (BlockingIOError, OSError):
            return False
        if address[2] == socket.PACKET_OUTGOING:
            return True
        packet = parse(frame)
        self.look(frame, packet)
        out = self.sockets[1 - number]
        if packet and self.random.random() * 100 < self.percent and \
                self.attack(out, frame, packet):
            return True
        self.send(out, frame)
        self.release()
        return True

    def run(self):
        while self.running:
            try:
                readable, _, _ = select.select(self.sockets, [], [], HOLD_S)
            except InterruptedError:
                continue
            if not readable:
                self.release()
            for s in readable:
                number = self.sockets.index(s)
                for _ in range(64):
                    if not self.forward(number):
                        break

    def stop(self, *_):
        self.running = False


def main():
    one, other, percent, actions, seed, *patterns = sys.argv[1:]
    attacker = Attacker((one, other), float(percent), actions, int(seed),
                        [bytes.fromhex(p) for p in patterns])
    signal.signal(signal.SIGTERM, attacker.stop)
    print("ready", flush=True)
    attacker.run()
    print(json.dumps({**attacker.counts, "clear": attacker.clear[:5]}), flush=True)


if __name__ == "__main__":
    main()
