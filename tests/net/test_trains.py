"""Frames of 64 KB through sleeve: every byte arrives, whatever is lost; checksums are right.

WEAVE_TRANSFER_MB sets the size of the large transfers (200).
"""

import contextlib
import hashlib
import ipaddress
import json
import os
import random
import socket
import struct
import threading

import pytest

from checksum import ones_sum
from lab import mesh, transfer, wait_until

TRANSFER_MB = int(os.environ.get("WEAVE_TRANSFER_MB", "200"))
SOL_UDP, UDP_SEGMENT = 17, 103
PACKET_AUXDATA, TP_STATUS_CSUMNOTREADY = 8, 8


def on_a_wire(host):
    """Its packets as they are on a wire, so that rules of the switch see each one."""
    name = next(n for n in host.links() if n.startswith("eth"))
    host.run(["ethtool", "-K", name, "gro", "off", "gso", "off", "tso", "off",
              "tx-udp-segmentation", "off"])


def pair(lab, *options, lan=None, boxes=("10.2.1.1/24", "fd02::1/64", "10.2.1.2/24", "fd02::2/64"),
         wire=False):
    lan = lan or lab.lan()
    a, b = lan.host("a"), lan.host("b")
    if wire:
        on_a_wire(a)
        on_a_wire(b)
    a.launch("--no-fastdp", *options)
    b.launch("--no-fastdp", *options, a.ip)
    mesh([a, b])
    x, y = a.container(*boxes[:2]), b.container(*boxes[2:])
    wait_until(15, lambda: x.reaches(y.ip), "ping")
    return lan, a, b, x, y


def stream(client, server, ip, megabytes, limit=120):
    """Like lab.transfer, for more than one wants to hold in memory: blocks from a seed, digests
    compared."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    listener = server.socket(family, socket.SOCK_STREAM)
    sender = client.socket(family, socket.SOCK_STREAM)
    block = random.Random(megabytes).randbytes(1 << 20)
    sent, received = hashlib.blake2b(), hashlib.blake2b()
    with listener, sender:
        listener.bind((ip, 0))
        listener.listen(1)
        listener.settimeout(limit)
        sender.settimeout(limit)
        sender.connect((ip, listener.getsockname()[1]))
        receiver, _ = listener.accept()

        def send():
            with contextlib.suppress(OSError):
                for i in range(megabytes):
                    part = i.to_bytes(8, "big") + block[8:]
                    sent.update(part)
                    sender.sendall(part)
                sender.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        size = 0
        with receiver:
            receiver.settimeout(limit)
            while chunk := receiver.recv(1 << 18):
                received.update(chunk)
                size += len(chunk)
        thread.join()
    assert size == megabytes << 20
    assert sent.digest() == received.digest()


@pytest.mark.parametrize("options", [(), ("--password", "p")], ids=["clear", "sealed"])
def test_every_byte_arrives(lab, options):
    _, _, _, x, y = pair(lab, *options)
    stream(x, y, "10.2.1.2", TRANSFER_MB)
    stream(y, x, "fd02::1", TRANSFER_MB // 4)


@pytest.mark.parametrize("options", [(), ("--password", "p")], ids=["clear", "sealed"])
def test_loss(lab, options):
    """One datagram of a hundred lost, each way."""
    lan, _, b, x, y = pair(lab, *options, wire=True)
    lan.rule("ip protocol udp udp dport 6783 numgen random mod 100 < 1 drop")
    stream(x, y, "10.2.1.2", 20)
    stream(y, x, "fd02::1", 10)


def test_vlan_tags(lab):
    _, _, _, x, y = pair(lab)
    if x.try_run("ip link add link ethwe name v1 type vlan id 1").returncode:
        pytest.skip("this kernel has no VLAN interfaces (tests/vm has)")
    for box, n in ((x, 1), (y, 2)):
        box.run("ip link add link ethwe name v5 type vlan id 5")
        box.run(f"ip address add 10.9.0.{n}/24 dev v5")
        box.run(f"ip address add fd09::{n}/64 dev v5 nodad")
        box.run("ip link set v5 up")
    wait_until(5, lambda: x.reaches("10.9.0.2"), "ping")
    transfer(x, y, "10.9.0.2", 5_000_000)
    transfer(y, x, "fd09::1", 5_000_000)


@pytest.mark.parametrize("mtu", [9000, 1431, 65535])
def test_sizes_of_the_underlay(lab, mtu):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    lan.switch.run(f"ip link set sw mtu {mtu}")
    for host in (a, b):
        lan.switch.run(f"ip link set p-{host.short} mtu {mtu}")
        host.run(f"ip link set eth{lan.number} mtu {mtu}")
    a.launch("--no-fastdp")
    b.launch("--no-fastdp", a.ip)
    mesh([a, b])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(15, lambda: x.reaches("10.2.1.2"), "ping")
    transfer(x, y, "10.2.1.2", 5_000_000)
    transfer(y, x, "10.2.1.1", 5_000_000)


def test_through_a_relay(lab):
    lan = lab.lan()
    a, b, c = lan.host("a"), lan.host("b"), lan.host("c")
    lan.cut(a, c)
    b.launch("--no-fastdp", "--password", "p")
    a.launch("--no-fastdp", "--password", "p", b.ip)
    c.launch("--no-fastdp", "--password", "p", b.ip)
    mesh([a, b])
    mesh([b, c])
    x, y = a.container("10.2.1.1/24"), c.container("10.2.1.2/24")
    wait_until(15, lambda: x.reaches("10.2.1.2"), "ping")
    transfer(x, y, "10.2.1.2", 20_000_000)


@pytest.mark.parametrize("kinds", [("pcap", "vnet"), ("vnet", "pcap"), ("pcap", "pcap")],
                         ids="-".join)
def test_ports_of_both_kinds_talk(lab, kinds):
    """At a port without offloads the router finishes what others left undone."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--no-fastdp", f"--capture={kinds[0]}")
    b.launch("--no-fastdp", f"--capture={kinds[1]}", a.ip)
    mesh([a, b])
    x, y = a.container("10.2.1.1/24", "fd02::1/64"), b.container("10.2.1.2/24", "fd02::2/64")
    wait_until(15, lambda: x.reaches("10.2.1.2"), "ping")
    transfer(x, y, "10.2.1.2", 5_000_000)
    transfer(x, y, "fd02::2", 2_000_000)
    transfer(y, x, "10.2.1.1", 5_000_000)


def test_kind_can_change(lab):
    """A router started again with the other kind of port replaces the port."""
    a = lab.lan().host("a")
    for kind, links in (("pcap", {"vethwe-bridge", "vethwe-pcap"}), ("vnet", {"vethwe-bridge"}),
                        ("pcap", {"vethwe-bridge", "vethwe-pcap"})):
        a.launch(f"--capture={kind}")
        assert {n for n in a.links() if n.startswith("vethwe")} == links
        assert f"via {kind}" in a.weave("report")
        a.weave("stop")
    a.weave("reset", "--force")
    assert not [n for n in a.links() if n.startswith("vethwe")]
    refused = a.try_weave("launch", "--capture=tap")
    assert refused.returncode and "vnet or pcap" in refused.stderr


# --- checksums -----------------------------------------------------------------------------------

def wrong_checksum(frame):
    """Why this frame's checksums are not right, or None."""
    at = 14
    kind = frame[12:14]
    if kind == b"\x08\x00":
        header = (frame[at] & 15) * 4
        if ones_sum(frame[at:at + header]) != 0xffff:
            return "IPv4 header"
        packet = frame[at:at + int.from_bytes(frame[at + 2:at + 4], "big")]
        protocol, pseudo = packet[9], packet[12:20]
    elif kind == b"\x86\xdd":
        header = 40
        packet = frame[at:at + 40 + int.from_bytes(frame[at + 4:at + 6], "big")]
        protocol, pseudo = packet[6], packet[8:40]
    else:
        return None
    if protocol not in (6, 17):
        return None
    body = packet[header:]
    total = ones_sum(pseudo + struct.pack(">II", len(body), protocol) + body)
    return None if total == 0xffff else f"protocol {protocol}, {len(frame)} bytes"


class Checker:
    """Looks at what comes to an interface; use it with `with`."""

    def __init__(self, namespace, interface):
        def open_socket():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            s.setsockopt(263, PACKET_AUXDATA, 1)
            s.bind((interface, 3))
            s.settimeout(0.1)
            return s
        self.count = self.large = self.undone = 0
        self.wrong = []
        self._socket = namespace.inside(open_socket)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            try:
                frame, extra, _, address = self._socket.recvmsg(70000, 256)
            except socket.timeout:
                continue
            if address[2] == socket.PACKET_OUTGOING:
                continue
            self.count += 1
            self.large += len(frame) > 1514
            status = next((struct.unpack_from("=I", data)[0] for level, kind, data in extra
                           if (level, kind) == (263, PACKET_AUXDATA)), 0)
            # The kernel itself says that nobody has needed this checksum yet.
            if status & TP_STATUS_CSUMNOTREADY:
                self.undone += 1
            elif why := wrong_checksum(frame):
                self.wrong.append(why)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._socket.close()


def send_segmented(client, server, ip, sizes=(1000, 333, 1200)):
    """UDP that leaves the process as one and the wire as many; all datagrams must come."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    receiver = server.socket(family, socket.SOCK_DGRAM)
    sender = client.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((ip, 0))
        receiver.settimeout(5)
        for size in sizes:
            data = os.urandom(size * 20 + 7)
            sender.setsockopt(SOL_UDP, UDP_SEGMENT, size)
            sender.sendto(data, receiver.getsockname()[:2])
            got = [receiver.recv(65536) for _ in range(21)]
            assert [len(part) for part in got] == [size] * 20 + [7]
            assert b"".join(got) == data


def watch_bridge(host):
    host.run("nft add table bridge seen")
    host.run("nft add chain bridge seen f { type filter hook forward priority 0 ; }")
    host.run("nft add rule bridge seen f meta l4proto tcp counter")


def crossed_bridge(host):
    """TCP packets, since it is watched."""
    rules = json.loads(host.run("nft -j list table bridge seen"))["nftables"]
    return next(e["counter"]["packets"] for r in rules if "rule" in r
                for e in r["rule"]["expr"] if "counter" in e)


@pytest.mark.parametrize("options", [("--no-fastdp",), ("--password", "p")],
                         ids=["no-fastdp", "no-esp"])
def test_past_the_bridge(lab, options):
    """Between a container and the router's port, with programs of the kernel; also after the
    router's death."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch(*options)
    b.launch(*options, a.ip)
    mesh([a, b])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24", "fd02::2/64")
    wait_until(15, lambda: x.reaches(y.ip), "ping")
    if any(c["Overlay"] != "sleeve" for c in a.connections()):
        pytest.skip("this kernel has ESP, so the frames go by fastdp")
    for host in (a, b):
        watch_bridge(host)
    transfer(x, y, y.ip, 3_000_000)
    transfer(y, x, x.ip, 3_000_000)
    assert [crossed_bridge(host) for host in (a, b)] == [0, 0]
    b.kill()
    b.launch(*options, a.ip)
    mesh([a, b])
    wait_until(15, lambda: x.reaches(y.ip), "ping")
    # While it was away, nobody knew where the other end lives.
    before = [crossed_bridge(host) for host in (a, b)]
    transfer(x, y, y.ip, 3_000_000)
    assert [crossed_bridge(host) for host in (a, b)] == before
    # Whom the router has not attached is only known to the bridge.
    plain, _ = plain_box(b, "10.2.1.3/24")
    wait_until(15, lambda: x.reaches("10.2.1.3"), "ping")
    transfer(x, plain, "10.2.1.3", 3_000_000)
    assert crossed_bridge(b) > 10


def plain_box(host, *addresses):
    """A container at the bridge that was not attached by the router, and its port."""
    mtu = host.links()["weave"]["mtu"]
    box = host.container()
    host.run(["ip", "link", "add", "plain", "mtu", mtu, "type", "veth", "peer", "name", "ethwe",
              "mtu", mtu, "netns", box.name])
    for address in addresses:
        box.run(["ip", "address", "add", address, "dev", "ethwe",
                 *(["nodad"] if ":" in address else [])])
    box.run("ip link set ethwe up")
    host.run("ip link set plain master weave up")
    return box, "plain"


@pytest.mark.parametrize("whole", [True, False], ids=["offloads", "no-offloads"])
def test_checksums_in_the_container(lab, whole):
    """With offloads the container takes large frames, as from its own host; without, its kernel cuts
    and sums up what we handed over, and every packet must be right."""
    _, _, b, x, y = pair(lab)
    if not whole:
        # The router's programs reach into containers past the port's offloads; this one is
        # the bridge's alone.
        b.weave("detach", "10.2.1.2/24", "fd02::2/64", y.name)
        y, port = plain_box(b, "10.2.1.2/24", "fd02::2/64")
        b.run(["ethtool", "-K", port, "tx", "off", "tso", "off", "gso", "off",
               "tx-udp-segmentation", "off"])
    with Checker(y, "ethwe") as seen:
        transfer(x, y, "10.2.1.2", 5_000_000)
        transfer(x, y, "fd02::2", 2_000_000)
        send_segmented(x, y, "10.2.1.2")
        send_segmented(x, y, "fd02::2")
        assert x.ping("10.2.1.2") == 3
    assert seen.count > (40 if whole else 4000)
    assert not seen.wrong, (len(seen.wrong), seen.wrong[:5])
    if whole:
        assert seen.large and seen.undone
    else:
        assert not seen.large and not seen.undone


def test_odd_frames_pass(lab):
    """What is neither TCP nor UDP, or lies about itself, passes as it is or not at all."""
    _, a, b, x, y = pair(lab)
    mac = y.links()["ethwe"]["address"].replace(":", "")
    own = x.links()["ethwe"]["address"].replace(":", "")
    head = bytes.fromhex(mac + own)
    frames = [head + b"\x88\xb5" + os.urandom(n) for n in (0, 1, 46, 1000, 1376)]
    source, target = (ipaddress.ip_address(i).packed for i in ("10.2.1.1", "10.2.1.2"))
    # TCP whose header is longer than the packet.
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack(">H", ones_sum(ip) ^ 0xffff) + ip[12:]
    frames.append(head + b"\x08\x00" + ip + bytes(12) + b"\xf0" + bytes(7))
    with y.capture("ethwe", lambda f: f[6:12] == bytes.fromhex(own)) as seen:
        for frame in frames:
            x.send_frame("ethwe", frame)
        wait_until(5, lambda: all(any(f[:len(frame)] == frame for f in seen.frames)
                                  for frame in frames), "all frames")
