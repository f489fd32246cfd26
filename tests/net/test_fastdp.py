"""fastdp: known unicast goes through the kernel alone; what is in its way is told, and sleeve carries."""

import ctypes
import ipaddress
import json
import platform
import signal
import socket
import struct
import threading
import time

import pytest

from lab import Pinger, ethernet, mesh, transfer, wait_until

VXLAN_PORT = 6784


def overlay(host, peer):
    """(overlay, reason) of the connection to that peer."""
    for c in host.connections():
        if c["NickName"] == peer.short and c["State"] == "established":
            return c["Overlay"], c.get("NotBetter") or ""
    return None, ""


def on_fastdp(*hosts, seconds=10):
    for host in hosts:
        for peer in hosts:
            if peer is not host:
                wait_until(seconds, lambda: overlay(host, peer)[0] == "fastdp",
                           f"fastdp from {host.short} to {peer.short}")


def on_sleeve(host, peer, reason, seconds=10):
    return wait_until(seconds, lambda: overlay(host, peer)[0] == "sleeve"
                      and reason in overlay(host, peer)[1] and overlay(host, peer)[1],
                      f"sleeve to {peer.short} because of '{reason}', not {overlay(host, peer)}")


def drops(host, reason):
    return next(d["Count"] for d in host.report()["Router"]["Drops"] if d["Reason"] == reason)


def mac(box):
    return box.links()["ethwe"]["address"]


def raw(text):
    return bytes.fromhex(text.replace(":", ""))


@pytest.fixture
def pair(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.lan = lan
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    on_fastdp(a, b)
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: a.box.reaches(b.box.ip), "ping")
    return a, b


def udp_ports(frame):
    """(protocol, target port) of an IPv4 or IPv6 frame; None for others."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800 and frame[23] == 17:
        return struct.unpack("!H", frame[36:38])[0]
    if kind == 0x86dd and frame[20] == 17:
        return struct.unpack("!H", frame[56:58])[0]
    return None


def underlay(host):
    return next(name for name in host.links() if name.startswith("eth"))


class Watch:
    """Datagrams that a host receives, by target port."""

    def __init__(self, host, port, keep=lambda frame: True):
        self.capture = host.capture(underlay(host),
                                    lambda f: udp_ports(f) == port and keep(f))

    def __enter__(self):
        self.capture.__enter__()
        return self

    def __exit__(self, *args):
        self.capture.__exit__(*args)

    @property
    def frames(self):
        return self.capture.frames


def test_traffic_goes_by_fastdp_in_rfc_7348(pair):
    a, b = pair
    with Watch(b, VXLAN_PORT) as vxlan, Watch(b, 6783) as sleeve:
        wait_until(5, lambda: a.box.reaches(b.box.ip), "ping")
        before = len(sleeve.frames)
        assert a.box.ping(b.box.ip, count=20) == 20
        wait_until(5, lambda: sum(f[50:56] == raw(mac(b.box)) for f in vxlan.frames) >= 20,
                   "20 pings as VXLAN")
    frame = next(f for f in vxlan.frames if f[50:56] == raw(mac(b.box)))
    # IPv4 without options, DF, hop limit, UDP without checksum; the I flag; segment 0
    assert frame[14] == 0x45 and frame[20] & 0x40 and frame[22] == 64 and frame[23] == 17
    assert struct.unpack("!HHH", frame[34:40])[1] == VXLAN_PORT
    assert frame[42:50] == bytes([8, 0, 0, 0, 0, 0, 0, 0])
    assert frame[56:62] == raw(mac(a.box))
    # Heartbeats only.
    assert len(sleeve.frames) - before < 15


def test_all_kinds_of_traffic(pair):
    a, b = pair
    transfer(a.box, b.box, b.box.ip, 20_000_000)
    transfer(b.box, a.box, a.box.ip, 20_000_000)
    for size in (1, 100, 1300, 1348, 1349, 3000, 20000):
        assert a.box.ping(b.box.ip, count=3, size=size) == 3, size
    # A packet of the full MTU that must not be cut.
    assert a.box.ping(b.box.ip, count=3, size=1376 - 28, dont_fragment=True) == 3
    # The next one sees a smaller MTU in the container already.
    assert a.box.ping(b.box.ip, count=1, size=1376 - 27, dont_fragment=True) == 0


def test_containers_of_one_host(pair):
    a, _b = pair
    other = a.container("10.2.1.3/24")
    wait_until(10, lambda: a.box.reaches(other.ip), "ping")
    transfer(a.box, other, other.ip, 20_000_000)
    assert a.box.ping(other.ip, count=10) == 10


def test_ipv6_inside(pair):
    a, b = pair
    a6, b6 = a.container("fd00:2::1/64"), b.container("fd00:2::2/64")
    wait_until(10, lambda: a6.reaches("fd00:2::2"), "ping")
    transfer(a6, b6, "fd00:2::2", 10_000_000)


def test_ipv6_underlay(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(f"[{a.ip6}]")
    mesh([a, b])
    on_fastdp(a, b)
    boxes = a.container("10.2.1.1/24", "fd00:2::1/64"), b.container("10.2.1.2/24", "fd00:2::2/64")
    wait_until(10, lambda: boxes[0].reaches("10.2.1.2"), "ping")
    wait_until(10, lambda: boxes[0].reaches("fd00:2::2"), "ping")
    with Watch(b, VXLAN_PORT, lambda f: f[12:14] == b"\x86\xdd") as vxlan:
        transfer(boxes[0], boxes[1], "10.2.1.2", 10_000_000)
        transfer(boxes[0], boxes[1], "fd00:2::2", 10_000_000)
        assert boxes[0].ping("10.2.1.2", count=5, size=1348) == 5
        wait_until(5, lambda: len(vxlan.frames) > 20, "VXLAN over IPv6")


def segmenting(host):
    """The underlay like a plain NIC: what leaves is segmented, what comes is joined."""
    host.run(["ethtool", "-K", underlay(host), "tso", "off", "gso", "off",
              "tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off",
              "gro", "on"])


def test_an_underlay_that_segments(pair):
    a, b = pair
    segmenting(a)
    segmenting(b)
    transfer(a.box, b.box, b.box.ip, 30_000_000)
    transfer(b.box, a.box, a.box.ip, 30_000_000)


def taken_by_device(host):
    """Bytes that came out of the VXLAN device, super-frames mostly: single packets go past it."""
    device = json.loads(host.run(["ip", "-j", "-s", "link", "show", "dev", f"vxlan-{VXLAN_PORT}"]))
    return device[0]["stats64"]["rx"]["bytes"]


@pytest.mark.parametrize("mine, other", [("10.2.1.11/24", "10.2.1.12/24"),
                                         ("fd02::1/64", "fd02::2/64")], ids=["ipv4", "ipv6"])
def test_super_frames_for_a_connection_go_past_the_device(lab, mine, other):
    """For a container's own TCP connection; they keep a mark of the tunnel (docs/why/fastdp.md)."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(f"[{a.ip6}]" if ":" in mine else a.ip)
    mesh([a, b])
    on_fastdp(a, b)
    x, y = a.container(mine), b.container(other)
    wait_until(10, lambda: x.reaches(y.ip), "ping")
    before = taken_by_device(b)
    transfer(x, y, y.ip, 20_000_000)
    assert taken_by_device(b) - before < 1_000_000


def test_super_frames_that_a_container_sends_on_go_by_the_device(pair):
    """Whoever segments them again must not find a mark of the tunnel on them."""
    a, b = pair
    router, inner = b.box, b.container()
    router.run(["ip", "link", "add", "inner", "type", "veth", "peer", "name", "eth0",
                "netns", inner.name])
    router.run("ethtool -K inner tso off gso off tx off")
    router.run("ip address add 10.5.0.1/24 dev inner")
    router.run("ip link set inner up")
    router.sysctl("net.ipv4.ip_forward", 1)
    inner.run("ip address add 10.5.0.2/24 dev eth0")
    inner.run("ip link set eth0 up")
    inner.run("ip route add default via 10.5.0.1")
    a.box.run(["ip", "route", "add", "10.5.0.0/24", "via", router.ip])
    wait_until(10, lambda: a.box.reaches("10.5.0.2"), "ping")
    before = taken_by_device(b)
    transfer(a.box, inner, "10.5.0.2", 20_000_000)
    assert taken_by_device(b) - before > 10_000_000
    transfer(inner, a.box, a.box.ip, 5_000_000)
    # By its published port, as Docker in a container does it.
    router.run("nft add table ip n")
    router.run("nft add chain ip n in { type nat hook prerouting priority dstnat ; }")
    router.run("nft add rule ip n in ip daddr 10.2.1.2 tcp dport 1-65535 dnat to 10.5.0.2")
    before = taken_by_device(b)
    send_to_published(a.box, inner, router.ip, 20_000_000)
    assert taken_by_device(b) - before > 10_000_000


def send_to_published(client, server, ip, size):
    """Like transfer(), to a server that has another address than the client knows."""
    data = bytes(range(256)) * (size // 256)
    with server.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, \
            client.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
        listener.bind(("0.0.0.0", 0))
        listener.listen(1)
        listener.settimeout(30)
        sender.settimeout(30)
        sender.connect((ip, listener.getsockname()[1]))
        receiver, _ = listener.accept()
        thread = threading.Thread(target=lambda: (sender.sendall(data),
                                                  sender.shutdown(socket.SHUT_WR)))
        thread.start()
        received = bytearray()
        with receiver:
            receiver.settimeout(30)
            while chunk := receiver.recv(1 << 16):
                received += chunk
        thread.join()
    assert received == data


def test_checksums_finished_in_software(pair):
    """Containers whose own offloads are off, on either side."""
    a, b = pair
    for box in (a.box, b.box):
        box.run("ethtool -K ethwe tx off rx off tso off gso off gro off")
    transfer(a.box, b.box, b.box.ip, 5_000_000)
    a.box.run("ethtool -K ethwe tx on tso on gso on")
    transfer(a.box, b.box, b.box.ip, 5_000_000)
    transfer(b.box, a.box, a.box.ip, 5_000_000)


# --- the choice, per connection ------------------------------------------------------------------

def test_switched_off_on_one_side(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--no-fastdp")
    b.launch(a.ip)
    mesh([a, b])
    on_sleeve(a, b, "switched off here (--no-fastdp)")
    on_sleeve(b, a, "the other end does not offer it")
    boxes = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: boxes[0].reaches("10.2.1.2"), "ping")
    transfer(*boxes, "10.2.1.2", 1_000_000)
    assert not [n for n in a.links() if n.startswith("vxlan")]


def test_never_in_clear_with_a_password(lab, tmp_path):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--password", "correct horse battery")
    b.launch("--password", "correct horse battery", a.ip)
    mesh([a, b])
    on_sleeve(a, b, "password")
    on_sleeve(b, a, "password")
    boxes = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    with Watch(b, VXLAN_PORT) as vxlan:
        wait_until(10, lambda: boxes[0].reaches("10.2.1.2"), "ping")
        transfer(*boxes, "10.2.1.2", 1_000_000)
        assert not vxlan.frames


def test_blocked_port_falls_back_and_comes_back(pair, say):
    a, b = pair
    pinger = Pinger(a.box, b.box.ip)
    wait_until(5, lambda: len(pinger.times) > 50, "pings are answered")
    a.lan.cut(a, b, f"udp dport {VXLAN_PORT}")
    on_sleeve(a, b, "no answer from UDP")
    on_sleeve(b, a, "no answer from UDP")
    wait_until(5, lambda: pinger.answers_after(time.time() - 0.2) > 5, "pings by sleeve")
    a.lan.heal()
    on_fastdp(a, b)
    healed = time.time()
    wait_until(5, lambda: pinger.answers_after(healed) > 50, "pings by fastdp")
    times = pinger.stop().times
    gap = pinger.longest_gap()
    say(f"silence {gap:.2f} s")
    assert gap < 2
    # Coming back costs nothing.
    after = [t for t in times if t > healed - 0.5]
    assert max(y - x for x, y in zip(after, after[1:])) < 0.5


def test_one_way_is_not_enough(pair):
    a, b = pair
    a.lan.cut_way(a, b, f"udp dport {VXLAN_PORT}")
    on_sleeve(a, b, "no answer from UDP", seconds=20)
    on_sleeve(b, a, "no answer from UDP", seconds=20)
    assert a.box.ping(b.box.ip, count=5) == 5
    a.lan.heal()
    on_fastdp(a, b)


def test_firewall_on_the_host_itself(pair):
    """What is sent and taken by hand goes past the host's firewall: the choice must not."""
    a, b = pair
    b.run("nft add table ip f")
    b.run("nft add chain ip f in { type filter hook input priority 0 ; }")
    b.run(f"nft add rule ip f in udp dport {VXLAN_PORT} drop")
    on_sleeve(a, b, "no answer from UDP", seconds=20)
    on_sleeve(b, a, "no answer from UDP", seconds=20)
    assert a.box.ping(b.box.ip, count=5) == 5
    transfer(a.box, b.box, b.box.ip, 1_000_000)
    b.run("nft delete table ip f")
    on_fastdp(a, b)


def test_smaller_packets_only(pair, say):
    """The underlay's MTU drops under way, silently."""
    a, b = pair
    pinger = Pinger(a.box, b.box.ip)
    wait_until(5, lambda: len(pinger.times) > 50, "pings are answered")
    a.lan.rule(f"udp dport {VXLAN_PORT} udp length > 1300 drop")
    reason = on_sleeve(a, b, "do not get through")
    assert "1376 bytes" in reason
    transfer(a.box, b.box, b.box.ip, 1_000_000)
    pinger.stop()
    say(f"silence of small packets {pinger.longest_gap():.2f} s")
    a.lan.heal()
    on_fastdp(a, b)


def test_another_port(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch("--port", "7000", f"{a.ip}:6783")
    mesh([a, b])
    on_sleeve(b, a, "the other end uses UDP port 6784 for it, we 7001")


# --- who lives where -----------------------------------------------------------------------------

def test_a_moved_container_is_found_at_once(lab, say):
    lan = lab.lan()
    a, b, c = lan.host("a"), lan.host("b"), lan.host("c")
    a.launch()
    b.launch(a.ip)
    c.launch(a.ip, b.ip)
    mesh([a, b, c])
    on_fastdp(a, b, c)
    box = a.container("10.2.1.1/24")
    first = b.container("10.2.1.2/24")
    wait_until(10, lambda: box.reaches("10.2.1.2"), "ping")
    address = mac(first)
    b.weave("detach", first.name)
    second = c.container()
    # The same MAC and IP on another host.
    c.weave("attach", "10.2.1.2/24", second.name)
    second.run(["ip", "link", "set", "ethwe", "address", address])
    start = time.monotonic()
    wait_until(10, lambda: second.reaches("10.2.1.1"), "the moved one reaches others")
    wait_until(10, lambda: box.reaches("10.2.1.2"), "and is reached")
    say(f"moved in {time.monotonic() - start:.2f} s")
    with Watch(c, VXLAN_PORT) as vxlan:
        wait_until(10, lambda: box.ping("10.2.1.2", count=5) == 5 and sum(
            f[50:56] == raw(address) for f in vxlan.frames) >= 5,
            "pings by fastdp to its new host")


def asks(ip):
    """Frames that ask who has this address: ARP requests, neighbour solicitations."""
    address = ipaddress.ip_address(ip).packed
    if len(address) == 4:
        return lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\1" and f[38:42] == address
    return lambda f: f[12:14] == b"\x86\xdd" and f[54:55] == b"\x87" and f[62:78] == address


@pytest.mark.parametrize("mine, other, bystander, unknown", [
    ("10.2.1.11/24", "10.2.1.12/24", "10.2.1.13/24", "10.2.1.99"),
    ("fd02::1/64", "fd02::2/64", "fd02::3/64", "fd02::99")], ids=["arp", "nd"])
def test_who_has_a_known_address_is_answered_on_the_spot(pair, mine, other, bystander, unknown):
    a, b = pair
    box, far, third = a.container(mine), b.container(other), b.container(bystander)
    target = other.split("/")[0]
    wait_until(10, lambda: box.reaches(target) and box.reaches(third.ip), "ping")
    with far.capture("ethwe", asks(target)) as asked, third.capture("ethwe", asks(unknown)) as heard:
        for _ in range(3):
            box.run("ip neigh flush dev ethwe")
            assert box.reaches(target)
        # Broadcasts go on as before: the last one is heard, so the first ones would have been.
        box.reaches(unknown)
        wait_until(10, lambda: heard.frames, "a question about an address that nobody has")
    broadcast = [f for f in asked.frames if f[0] & 1]
    assert not broadcast


def test_an_address_given_to_another_container(pair):
    a, b = pair
    first = b.container("10.2.1.30/24")
    wait_until(10, lambda: a.box.reaches("10.2.1.30"), "ping")
    b.weave("detach", "10.2.1.30/24", first.name)
    second = a.container("10.2.1.30/24")
    a.box.run("ip neigh flush dev ethwe")
    wait_until(10, lambda: a.box.reaches("10.2.1.30"), "ping the new one")
    assert second.ip == "10.2.1.30"
    wait_until(10, lambda: b.box.reaches("10.2.1.30"), "also from the other host")


def test_macs_that_the_bridge_learns(pair):
    """Somebody plugs an interface of his own into our bridge."""
    a, b = pair
    guest = a.container()
    a.run(["ip", "link", "add", "guest0", "mtu", 1376, "type", "veth", "peer", "name", "eth0",
           "mtu", 1376, "netns", guest.name])
    a.run("ip link set guest0 master weave up")
    guest.run("ip address add 10.2.1.9/24 dev eth0")
    guest.run("ip link set eth0 up")
    wait_until(10, lambda: guest.reaches(b.box.ip), "ping")
    wait_until(10, lambda: b.box.reaches("10.2.1.9"), "ping back")
    transfer(guest, b.box, b.box.ip, 2_000_000)
    transfer(b.box, guest, "10.2.1.9", 2_000_000)


def test_macs_behind_a_container(pair):
    """A bridge in a container, and somebody behind it: by fastdp once the MAC is known."""
    a, b = pair
    switch, inner = a.container("10.2.1.8/24"), a.container()
    switch.run("ip link add br1 type bridge")
    switch.run("ip link set br1 up")
    switch.run("ip link set ethwe master br1")
    switch.run(["ip", "link", "add", "p1", "type", "veth", "peer", "name", "eth0",
                "netns", inner.name])
    switch.run("ip link set p1 master br1 up")
    inner.run(["ip", "link", "set", "eth0", "mtu", container_mtu(switch), "up"])
    inner.run("ip address add 10.2.1.9/24 dev eth0")
    wait_until(10, lambda: inner.reaches(b.box.ip) and inner.reaches(a.box.ip), "ping")
    address = raw(inner.links()["eth0"]["address"])
    with Watch(b, VXLAN_PORT, lambda f: f[56:62] == address) as there, \
            Watch(a, VXLAN_PORT, lambda f: f[50:56] == address) as back:
        wait_until(10, lambda: b.box.ping("10.2.1.9", count=5) == 5
                   and len(there.frames) >= 5 and len(back.frames) >= 5, "by fastdp")
    for x, y, ip in ((inner, b.box, b.box.ip), (b.box, inner, "10.2.1.9"),
                     (inner, a.box, a.box.ip), (a.box, inner, "10.2.1.9")):
        transfer(x, y, ip, 5_000_000)


def test_expose(pair):
    a, b = pair
    a.weave("expose", "10.2.1.50/24")
    wait_until(10, lambda: b.box.reaches("10.2.1.50"), "container reaches the other host")
    wait_until(10, lambda: a.reaches(b.box.ip), "host reaches the container")
    assert b.box.ping("10.2.1.50", count=10) == 10


def test_an_exposed_hosts_own_traffic(pair):
    """By fastdp in both directions: to and from containers elsewhere, and to another exposed host."""
    a, b = pair
    other = a.container("10.2.1.3/24")
    a.weave("expose", "10.2.1.50/24")
    b.weave("expose", "10.2.1.51/24")
    bridge = raw(a.links()["weave"]["address"])
    wait_until(10, lambda: a.reaches(b.box.ip) and a.reaches("10.2.1.51") and a.reaches(other.ip),
               "the host reaches containers and the other host")
    for ip, target in ((b.box.ip, raw(mac(b.box))),
                       ("10.2.1.51", raw(b.links()["weave"]["address"]))):
        with Watch(b, VXLAN_PORT, lambda f: f[50:62] == target + bridge) as there, \
                Watch(a, VXLAN_PORT, lambda f: f[50:62] == bridge + target) as back:
            assert a.ping(ip, count=5) == 5
            wait_until(5, lambda: len(there.frames) >= 5 and len(back.frames) >= 5, "by fastdp")
    # Questions are answered on the spot: nobody else hears of them.
    with b.box.capture("ethwe", asks("10.2.1.51")) as asked:
        a.run("ip neigh flush dev weave")
        assert a.reaches("10.2.1.51")
        a.run("ip neigh flush dev weave")
        assert a.reaches("10.2.1.51")
    assert not [f for f in asked.frames if f[0] & 1]
    for x, y, ip in ((a, b.box, b.box.ip), (b.box, a, "10.2.1.50"), (a, b, "10.2.1.51"),
                     (other, a, "10.2.1.50"), (a, other, other.ip)):
        before = taken_by_device(y) if y is a or y is b else None
        transfer(x, y, ip, 10_000_000)
        if before is not None:
            assert taken_by_device(y) - before < 1_000_000
    for size in (1348, 1349, 3000, 20000):
        assert a.ping(b.box.ip, count=3, size=size) == 3, size
    # Hidden again it is not there for anybody.
    a.weave("hide", "10.2.1.50/24")
    wait_until(10, lambda: not b.box.reaches("10.2.1.50"), "hidden")


# --- MTU -----------------------------------------------------------------------------------------

def container_mtu(box):
    return box.links()["ethwe"]["mtu"]


def set_underlay_mtu(mtu, *hosts):
    lan = hosts[0].lan
    lan.switch.run(["ip", "link", "set", "sw", "mtu", mtu])
    for host in hosts:
        lan.switch.run(["ip", "link", "set", f"p-{host.short}", "mtu", mtu])
        host.run(["ip", "link", "set", underlay(host), "mtu", mtu])


def test_mtu_follows_the_underlay(pair):
    a, b = pair
    assert container_mtu(a.box) == 1376
    for mtu in (9000, 1400, 1500):
        set_underlay_mtu(mtu, a, b)
        for host in (a, b):
            wait_until(10, lambda: container_mtu(host.box) == mtu - 124, f"{mtu} - 124")
            assert host.links()["weave"]["mtu"] == mtu - 124
        on_fastdp(a, b)
        assert a.box.ping(b.box.ip, count=3, size=mtu - 124 - 28, dont_fragment=True) == 3
        assert a.box.ping(b.box.ip, count=3, wait=1, size=mtu - 124 - 27, dont_fragment=True) == 0
        transfer(a.box, b.box, b.box.ip, 10_000_000)
        transfer(b.box, a.box, a.box.ip, 10_000_000)
        fresh = a.container()
        a.weave("attach", f"10.2.1.{mtu % 7 + 40}/24", fresh.name)
        assert container_mtu(fresh) == mtu - 124


def test_mtu_follows_a_smaller_path(lab):
    """No interface of either host is small; a link between them is."""
    a, b = lab.routed_pair(1410)
    for host in (a, b):
        host.sysctl("net.ipv4.tcp_mtu_probing", 2)  # for the control connection
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    on_sleeve(a, b, "1376 bytes do not get through")
    wait_until(10, lambda: x.ping(y.ip, count=3, size=1348) == 3, "sleeve carries meanwhile")
    on_fastdp(a, b, seconds=40)
    # A veth takes four bytes more than it says, for a VLAN tag.
    assert container_mtu(x) == 1410 - 124 and 0 <= container_mtu(y) - (1410 - 124) <= 4
    transfer(x, y, y.ip, 5_000_000)


def test_mtu_by_hand_stays(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.lan = lan
    a.launch("--mtu", "1300")
    b.launch("--mtu", "1300", a.ip)
    mesh([a, b])
    on_fastdp(a, b)
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    assert container_mtu(x) == 1300
    set_underlay_mtu(9000, a, b)
    wait_until(10, lambda: "stays 1300" in a.log() and "stays 1300" in b.log(), "noticed")
    assert container_mtu(x) == 1300
    wait_until(10, lambda: x.reaches("10.2.1.2"), "ping")
    # The next life gives another; those who are there follow.
    for host, peer in ((a, b), (b, a)):
        host.weave("stop")
        host.launch("--mtu", "1450", peer.ip)
    mesh([a, b])
    on_fastdp(a, b)
    assert container_mtu(x) == 1450 and container_mtu(y) == 1450
    assert x.ping("10.2.1.2", count=3, size=1450 - 28, dont_fragment=True) == 3


# --- relays --------------------------------------------------------------------------------------

def test_relay_in_the_kernel(lab, say):
    lan = lab.lan()
    a, m, c = lan.host("a"), lan.host("m"), lan.host("c")
    m.launch("--no-discovery")
    a.launch("--no-discovery", m.ip)
    c.launch("--no-discovery", m.ip)
    mesh([a, m])
    mesh([m, c])
    on_fastdp(a, m)
    on_fastdp(m, c)
    x, y = a.container("10.2.1.1/24"), c.container("10.2.1.3/24")
    wait_until(10, lambda: x.reaches(y.ip), "ping through the relay")
    for_c = lambda f: f[50:56] == raw(mac(y))
    with Watch(m, VXLAN_PORT, for_c) as at_relay, Watch(c, VXLAN_PORT, for_c) as at_end:
        wait_until(10, lambda: x.ping(y.ip, count=5) == 5 and len(at_relay.frames) >= 5
                   and len(at_end.frames) >= 5, "pings by fastdp on both links")
        frame = at_end.frames[-1]
    # From the relay's address, with a smaller hop limit.
    assert frame[26:30] == ipaddress.ip_address(m.ip).packed and frame[22] == 60
    transfer(x, y, y.ip, 20_000_000)
    transfer(y, x, x.ip, 20_000_000)
    for size in (1000, 1348, 1349, 10000):
        assert x.ping(y.ip, count=3, size=size) == 3, size


def test_a_relay_of_smaller_frames(lab):
    """What the relay's own ways are not proved for goes through it by sleeve, which cuts it."""
    lan = lab.lan()
    a, m, c = lan.host("a"), lan.host("m"), lan.host("c")
    m.launch("--no-discovery", "--mtu", "1200")
    a.launch("--no-discovery", "--mtu", "1376", m.ip)
    c.launch("--no-discovery", "--mtu", "1376", m.ip)
    mesh([a, m])
    mesh([m, c])
    on_fastdp(a, m)
    on_fastdp(m, c)
    x, y, z = (h.container(f"10.2.1.{n}/24") for n, h in enumerate((a, m, c), 1))
    wait_until(10, lambda: x.reaches(z.ip), "ping through the relay")
    # Nothing larger than its own gets from the relay to its other side, but for the other side's
    # pings (VNI 0xffffff).
    lan.cut_way(m, c, f"udp dport {VXLAN_PORT} udp length > 1300 @th,96,24 0")
    for size in (100, 1170, 1200, 1348):
        wait_until(10, lambda: x.ping(z.ip, count=3, size=size) == 3, f"{size} bytes")
    transfer(x, z, z.ip, 2_000_000)
    transfer(z, x, x.ip, 2_000_000)
    # The relay's own containers have the short way.
    with Watch(c, VXLAN_PORT, lambda f: f[50:56] == raw(mac(z))) as direct:
        wait_until(10, lambda: y.ping(z.ip, count=5) == 5 and len(direct.frames) >= 5, "by fastdp")
    assert overlay(a, m) == ("fastdp", "")


def test_relay_over_several_hops_and_both_families(lab):
    """The links alternate between IPv4 and IPv6: what cannot be rewritten is wrapped anew."""
    lan = lab.lan()
    hosts = [lan.host(f"h{i}") for i in range(4)]
    for i, host in enumerate(hosts):
        before = hosts[i - 1] if i else None
        target = [f"[{before.ip6}]" if i % 2 else before.ip] if before else []
        host.launch("--no-discovery", *target)
    for left, right in zip(hosts, hosts[1:]):
        mesh([left, right])
        on_fastdp(left, right)
    x, y = hosts[0].container("10.2.1.1/24"), hosts[3].container("10.2.1.4/24")
    wait_until(10, lambda: x.reaches(y.ip), "ping over three hops")
    with Watch(hosts[3], VXLAN_PORT, lambda f: raw(mac(y)) in (f[50:56], f[70:76])) as seen:
        wait_until(10, lambda: x.ping(y.ip, count=5) == 5 and len(seen.frames) >= 5,
                   "pings by fastdp")
        transfer(x, y, y.ip, 5_000_000)
        transfer(y, x, x.ip, 5_000_000)


def test_a_closed_link_is_relayed_around(lab, say):
    lan = lab.lan()
    hosts = [lan.host(n) for n in "abc"]
    a, b, c = hosts
    a.launch()
    b.launch(a.ip)
    c.launch(a.ip, b.ip)
    mesh(hosts)
    on_fastdp(*hosts)
    x, y = a.container("10.2.1.1/24"), c.container("10.2.1.3/24")
    wait_until(10, lambda: x.reaches(y.ip), "ping")
    pinger = Pinger(x, y.ip)
    wait_until(5, lambda: len(pinger.times) > 50, "pings are answered")
    lan.cut(a, c)
    with Watch(b, VXLAN_PORT, lambda f: f[50:56] == raw(mac(y))) as relayed:
        wait_until(20, lambda: len(relayed.frames) > 50, "b's kernel relays")
    lan.heal()
    on_fastdp(a, c, seconds=60)
    with Watch(b, VXLAN_PORT, lambda f: f[50:56] == raw(mac(y))) as relayed:
        count = len(pinger.times)
        wait_until(10, lambda: len(pinger.times) > count + 50, "direct again")
        assert not relayed.frames
    pinger.stop()
    say(f"silence {pinger.longest_gap():.2f} s")
    assert pinger.longest_gap() < 3


def test_sleeve_in_the_middle_is_respected(lab):
    """Where one link of the way has no fastdp, sleeve relays all of it."""
    lan = lab.lan()
    a, m, c = lan.host("a"), lan.host("m"), lan.host("c")
    m.launch("--no-discovery")
    a.launch("--no-discovery", m.ip)
    c.launch("--no-discovery", "--no-fastdp", m.ip)
    mesh([a, m])
    mesh([m, c])
    on_fastdp(a, m)
    x, y = a.container("10.2.1.1/24"), c.container("10.2.1.3/24")
    wait_until(10, lambda: x.reaches(y.ip), "ping")
    transfer(x, y, y.ip, 2_000_000)
    transfer(y, x, x.ip, 2_000_000)
    assert drops(m, "no_data_path") == 0


# --- strangers and liars -------------------------------------------------------------------------

def vxlan_datagram(vni, frame):
    return struct.pack("!II", 0x08000000, vni << 8) + frame


def icmp_echo(source, target):
    icmp = struct.pack("!BBHHH", 8, 0, 0xf7ff - 1, 1, 0)
    total = 20 + len(icmp)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 1, 0,
                         ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed)
    words = sum(struct.unpack("!10H", header))
    words = (words & 0xffff) + (words >> 16)
    words = (words & 0xffff) + (words >> 16)
    return header[:10] + struct.pack("!H", ~words & 0xffff) + header[12:] + icmp


def send_vxlan(host, target, datagram):
    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(datagram, (target, VXLAN_PORT))
    host.inside(send)


def test_strangers_may_not_inject(pair):
    a, b = pair
    stranger = a.lan.host("stranger")
    marker = "02:00:00:00:be:ef"
    frame = ethernet(mac(b.box), marker, 0x0800, icmp_echo("10.2.1.77", b.box.ip))
    seen = lambda f: f[6:12] == raw(marker)
    before = drops(b, "bad_source")
    with b.box.capture("ethwe", seen) as box:
        send_vxlan(stranger, b.ip, vxlan_datagram(0, frame))
        wait_until(10, lambda: drops(b, "bad_source") > before, "the stranger is counted")
        # From a proven peer the same frame gets there.
        send_vxlan(a, b.ip, vxlan_datagram(0, frame))
        wait_until(5, lambda: box.frames, "the peer's frame")
    assert len(box.frames) == 1


def test_other_segments_and_spoofed_sources(lab):
    lan = lab.lan()
    a, b, c = lan.host("a"), lan.host("b"), lan.host("c")
    a.launch()
    b.launch(a.ip)
    c.launch(a.ip, b.ip)
    mesh([a, b, c])
    on_fastdp(a, b, c)
    boxes = {h: h.container(f"10.2.1.{n}/24") for n, h in enumerate((a, b, c), 1)}
    wait_until(10, lambda: boxes[a].reaches("10.2.1.2") and boxes[c].reaches("10.2.1.2"), "ping")
    target = mac(boxes[b])

    def refused(reason, datagram):
        before = drops(b, reason)
        with boxes[b].capture("ethwe", lambda f: f[23:24] == b"\x01" and
                              f[26:30] == bytes([10, 2, 1, 77])) as seen:
            send_vxlan(a, b.ip, datagram)
            wait_until(10, lambda: drops(b, reason) > before, f"{reason} is counted")
        assert not seen.frames

    def packet(source):
        return ethernet(target, source, 0x0800, icmp_echo("10.2.1.77", "10.2.1.2"))

    refused("unknown_segment", vxlan_datagram(5, packet("02:00:00:00:00:01")))
    # A container of c's, said by a; a container of b's own.
    refused("foreign_source", vxlan_datagram(0, packet(mac(boxes[c]))))
    refused("own_frame", vxlan_datagram(0, packet(target)))


def test_a_container_may_not_take_anothers_mac(pair):
    a, b = pair
    liar = a.container("10.2.1.3/24")
    before = drops(a, "foreign_source")
    wait_until(10, lambda: liar.reaches(b.box.ip), "ping")
    to_b = ethernet("02:00:00:00:12:34", mac(b.box), 0x0800, icmp_echo("10.2.1.77", b.box.ip))
    for _ in range(3):
        liar.send_frame("ethwe", to_b)
    wait_until(10, lambda: drops(a, "foreign_source") > before, "counted")
    wait_until(10, lambda: a.box.ping(b.box.ip, count=10) == 10, "b's container is still found")


# --- life and death ------------------------------------------------------------------------------

def programs(host, device):
    """Names of the kernel programs that see what comes in at this device: tcx, and clsact before it."""
    number = {"x86_64": 321, "aarch64": 280}[platform.machine()]  # bpf(2)

    def ask():
        ids = (ctypes.c_uint32 * 64)()
        # target, attach type (tcx ingress), flags, flags out, ids, count
        query = struct.pack("=IIIIQI4x", socket.if_nametoindex(device), 46, 0, 0,
                            ctypes.addressof(ids), len(ids)) + bytes(96)
        attr = ctypes.create_string_buffer(query, len(query))
        if ctypes.CDLL(None).syscall(number, 16, attr, 64) != 0:  # BPF_PROG_QUERY
            return []
        return list(ids[:struct.unpack_from("=I", attr, 24)[0]])

    names = [json.loads(host.run(["bpftool", "-j", "prog", "show", "id", i]))["name"]
             for i in host.inside(ask)]
    return " ".join(names) + host.run(["tc", "filter", "show", "dev", device, "ingress"])


def has_device(host):
    return any(n.startswith("vxlan") for n in host.links())


def test_flows_go_on_without_daemons(pair, say):
    a, b = pair
    pinger = Pinger(a.box, b.box.ip)
    wait_until(5, lambda: len(pinger.times) > 50, "pings are answered")
    a.kill()
    b.kill()
    time_dead = time.time()
    wait_until(20, lambda: pinger.answers_after(time_dead) > 300, "pings with no daemon at all")
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    on_fastdp(a, b)
    started = time.time()
    wait_until(10, lambda: pinger.answers_after(started) > 100, "pings after the restart")
    pinger.stop()
    say(f"longest silence {pinger.longest_gap() * 1000:.0f} ms")
    assert pinger.longest_gap() < 0.5


def test_what_goes_on_without_a_daemon_ends_with_rmpeer(lab):
    """On all hosts, not only where it was said."""
    lan = lab.lan()
    a, b, c = hosts = [lan.host(n) for n in "abc"]
    options = ("--ipalloc-range", "10.2.1.0/24", "--ipalloc-init", "consensus=3")
    a.launch(*options)
    b.launch(*options, a.ip)
    c.launch(*options, a.ip, b.ip)
    mesh(hosts)
    on_fastdp(*hosts)
    boxes = [h.container() for h in hosts]
    x, y, z = [h.weave("attach", box.name).strip() for h, box in zip(hosts, boxes)]
    wait_until(10, lambda: boxes[0].reaches(y) and boxes[2].reaches(y), "ping")
    pingers = [Pinger(boxes[0], y), Pinger(boxes[2], y)]
    b.kill()
    dead = time.time()
    for p in pingers:
        wait_until(20, lambda: p.answers_after(dead) > 100, "pings without a daemon")
    wait_until(30, lambda: "unreachable" in a.weave("status", "ipam"), "b is missed")
    a.weave("rmpeer", b.short, limit=60)
    for p in pingers:
        wait_until(20, lambda: p.answers_after(time.time() - 1) == 0, "no more")
        p.stop()
    assert boxes[0].reaches(z)
    # It is not the other end that ended it.
    assert "weave_underlay" in programs(b, underlay(b))


def sequence_gaps(client, server, ip, during):
    """UDP datagrams with numbers, one per millisecond, while 'during' runs; numbers that are lost."""
    port = 7777
    receiver = server.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    receiver.bind((ip, port))
    receiver.settimeout(1)
    sender = client.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stop = threading.Event()
    sent = [0]

    def send():
        while not stop.is_set():
            sender.sendto(struct.pack("!I", sent[0]), (ip, port))
            sent[0] += 1
            time.sleep(0.001)

    got = set()

    def receive():
        while True:
            try:
                got.add(struct.unpack("!I", receiver.recv(64))[0])
            except socket.timeout:
                return

    threads = [threading.Thread(target=send), threading.Thread(target=receive)]
    for t in threads:
        t.start()
    try:
        during()
    finally:
        stop.set()
        for t in threads:
            t.join()
        receiver.close()
        sender.close()
    return sent[0], sorted(set(range(sent[0])) - got)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_loses_no_packet(pair, say, number):
    a, b = pair

    def restart():
        for host in (a, b):
            peer = b if host is a else a
            host.kill(number)
            host.launch(peer.ip)
            mesh([a, b])
            on_fastdp(a, b)

    sent, lost = sequence_gaps(a.box, b.box, b.box.ip, restart)
    say(f"{sent} sent, {len(lost)} lost")
    assert sent > 200
    assert not lost


def test_a_container_that_went_while_no_daemon_was_there(pair):
    a, b = pair
    b.kill()
    b.box.delete()
    b.launch(a.ip)
    mesh([a, b])
    on_fastdp(a, b)
    fresh = b.container("10.2.1.2/24")
    wait_until(10, lambda: a.box.reaches(fresh.ip), "ping")


def test_reset_removes_everything(pair):
    a, b = pair
    assert has_device(a)
    assert "weave_underlay" in programs(a, underlay(a))
    a.weave("reset")
    assert not has_device(a)
    assert "weave" not in programs(a, underlay(a))
    assert sorted(a.links()) == sorted(["lo", underlay(a)])


def test_start_without_fastdp_removes_what_was_left(pair):
    a, b = pair
    a.kill()
    assert has_device(a)
    a.launch("--no-fastdp", b.ip)
    assert not has_device(a)
    assert "weave" not in programs(a, underlay(a))
    mesh([a, b])
    on_sleeve(b, a, "does not offer")
    wait_until(10, lambda: a.box.reaches(b.box.ip), "ping")


def test_a_password_ends_what_went_in_clear(pair):
    a, b = pair
    a.kill()
    b.kill()
    a.launch("--password", "correct horse battery")
    b.launch("--password", "correct horse battery", a.ip)
    with Watch(b, VXLAN_PORT) as vxlan:
        mesh([a, b])
        wait_until(10, lambda: a.box.reaches(b.box.ip), "ping")
        transfer(a.box, b.box, b.box.ip, 1_000_000)
        assert not vxlan.frames
    on_sleeve(a, b, "password")


def test_vxlan_device_deleted_under_us(pair):
    a, b = pair
    a.run(f"ip link del vxlan-{VXLAN_PORT}")
    wait_until(10, lambda: has_device(a), "device is back")
    on_fastdp(a, b)
    wait_until(10, lambda: a.box.ping(b.box.ip, count=5) == 5, "ping")
    transfer(a.box, b.box, b.box.ip, 2_000_000)


def test_host_changes_its_address(pair):
    a, b = pair
    old, new = b.ip, b.ip.rsplit(".", 1)[0] + ".99"
    eth = underlay(b)
    b.run(["ip", "address", "add", f"{new}/24", "dev", eth])
    b.run(["ip", "address", "del", f"{old}/24", "dev", eth])
    b.ips = [new] + b.ips[1:]
    b.weave("connect", a.ip)
    mesh([a, b], seconds=40)
    on_fastdp(a, b, seconds=30)
    wait_until(10, lambda: a.box.ping(b.box.ip, count=5) == 5, "ping")
