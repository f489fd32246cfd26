"""Whether containers' packets go the way that a mode claims: seen on the wire, before and after.

Pings with a known payload are sent, and what reaches the receiving host is captured.  All of them
must be in packets of the expected kind, with the payload to be read or not, and nowhere else.
"""

import re
import struct
import subprocess
import threading

PATTERN = bytes.fromhex("77656176652d62656e63682d70617468")  # "weave-bench-path"
PINGS = 8
PING_SIZE = 120
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp"}


def packets(pcap):
    """(protocol, source, destination port, frame) of each IPv4 packet in a capture."""
    if len(pcap) < 24:
        return
    order = "<" if pcap[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(pcap):
        size = struct.unpack_from(order + "I", pcap, at + 8)[0]
        frame = pcap[at + 16:at + 16 + size]
        at += 16 + size
        if len(frame) < 34 or frame[12:14] != b"\x08\x00" or frame[14] >> 4 != 4:
            continue
        start = 14 + (frame[14] & 15) * 4
        protocol = PROTOCOLS.get(frame[23], str(frame[23]))
        port = None
        if protocol in ("tcp", "udp") and len(frame) >= start + 4:
            port = struct.unpack_from("!H", frame, start + 2)[0]
        yield protocol, ".".join(str(b) for b in frame[26:30]), port, frame


def judge(seen, expect, count):
    """None when 'seen' is what is expected of 'count' pings, or what is wrong."""
    fits, readable, strays = 0, 0, []
    for protocol, source, port, frame in seen:
        shows = PATTERN in frame
        if protocol == expect.protocol and expect.port in (None, port) \
                and expect.source in (None, source):
            fits += len(frame) >= PING_SIZE
            readable += shows
        elif shows:
            strays.append(f"{protocol} to {port} from {source}")
    if expect.protocol == "nothing":
        return f"{len(strays)} of {count} pings went the long way" if strays else None
    wanted = f"{expect.protocol}" + (f" to port {expect.port}" if expect.port else "") \
        + (f" from {expect.source}" if expect.source else "")
    if strays:
        return f"{len(strays)} of {count} pings went another way: {strays[0]}, not {wanted}"
    if fits < count:
        return f"only {fits} packets by {wanted} for {count} pings"
    if expect.clear and readable < count:
        return f"only {readable} of {count} pings could be read in {wanted}"
    if not expect.clear and readable:
        return f"{readable} of {count} pings could be read in {wanted}: not encrypted"
    return None


class Capture:
    """What passes a device, from the moment that `with` is entered."""

    def __init__(self, host, device, direction):
        self.process = host.start(["tcpdump", "-n", "-p", "-i", device, "-Q", direction, "-U",
                                   "-w", "-", "--immediate-mode", "-s", "400", "-c", "4000"],
                                  stderr=subprocess.PIPE, text=False)
        self.data = b""
        self.reader = threading.Thread(target=self._read)

    def _read(self):
        self.data = self.process.stdout.read()

    def __enter__(self):
        said = []
        for line in self.process.stderr:
            said.append(line.decode(errors="replace").strip())
            if "listening on" in said[-1]:
                self.reader.start()
                return self
        raise RuntimeError(f"tcpdump: {' '.join(said)}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.reader.join(10)
        self.process.stderr.close()


def wrong(scene):
    """What is wrong with the way of this scene's packets, or None."""
    with Capture(scene.hosts[-1], scene.device, scene.direction) as capture:
        out = scene.client.try_run(["ping", "-n", "-q", "-c", PINGS, "-i", "0.02", "-W", "1", "-s",
                                    PING_SIZE, "-p", PATTERN.hex(), scene.ip]).stdout
    found = re.search(r"(\d+) received", out)
    answered = int(found.group(1)) if found else 0
    # Where packets get lost on purpose, some pings do.
    if answered < PINGS / 2:
        return f"{answered} of {PINGS} pings were answered"
    return judge(packets(capture.data), scene.expect, answered)
