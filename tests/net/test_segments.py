"""Networks apart from each other: the same MACs and addresses in three of them, forged frames."""

import json
import socket
import struct
import time

import pytest

from lab import CommandFailed, Lab, ethernet, mesh, wait_until

NETWORKS = ["weave", "red", "blue"]
NUMBERS = {"weave": 0, "red": 0xd41c02, "blue": 0xb7eebf}
MACS = {"a": "02:00:00:00:aa:01", "b": "02:00:00:00:bb:02"}
IPS = {"a": "10.2.1.1", "b": "10.2.1.2"}
BROADCAST = "ff:ff:ff:ff:ff:ff"
MARKER_TYPE = 0x88b5  # local experimental 1
QUIET = 0.5  # how long nothing may come after what must come has come


def mac(text):
    return bytes(int(part, 16) for part in text.split(":"))


def mac_of(host, interface):
    return json.loads(host.run(["ip", "-json", "link", "show", "dev", interface]))[0]["address"]


def attach(host, network):
    """A container in that network, whose MAC and address are those of the others of its host."""
    box = host.container()
    args = ["attach", f"{IPS[host.short]}/24", "--network", network, box.name]
    host.weave(*args)
    box.run("ip link set ethwe down")
    box.run(f"ip link set ethwe address {MACS[host.short]}")
    box.run("ip link set ethwe up")
    host.weave(*args)  # looks at it anew
    return box


@pytest.fixture(scope="module", params=["fastdp", "sleeve"])
def world(request):
    """a and b hear each other only through r, which has none of the further networks."""
    options = ["--no-discovery", *(["--no-fastdp"] if request.param == "sleeve" else [])]
    with Lab() as lab:
        lan = lab.lan()
        r, a, b = lan.host("r"), lan.host("a"), lan.host("b")
        r.launch(*options)
        a.launch(*options, r.ip)
        b.launch(*options, r.ip)
        mesh([a, r])
        mesh([b, r])
        for host in (a, b):
            wait_until(10, lambda: host.connections()[0]["Overlay"] == request.param,
                       request.param)
            for network in NETWORKS[1:]:
                host.weave("network", "create", network)
            host.boxes = {network: attach(host, network) for network in NETWORKS}
        for host in (a, b):
            wait_until(10, lambda: sees_both(host, a, b), "both have both networks")
        for network in NETWORKS:
            wait_until(10, lambda: a.boxes[network].reaches(IPS["b"]), f"ping in {network}")
        a.overlay = request.param
        yield a, b, r


def sees_both(host, a, b):
    others = {"a": "b", "b": "a"}[host.short]
    networks = {n["Name"]: n for n in host.status("networks")}
    return all(others in [p["Nickname"] for p in networks[name]["Peers"]]
               for name in NETWORKS[1:])


def test_status(world):
    a, b, r = world
    for host in (a, b):
        networks = {n["Name"]: n for n in host.status("networks")}
        assert list(networks) == sorted(NETWORKS, key=NUMBERS.get)
        for name, n in networks.items():
            assert n["Segment"] == NUMBERS[name]
            assert n["Open"] and not n["Contested"] and n["Containers"] == 1
        assert networks["red"]["Bridge"] == "weave-d41c02"
    names = [n["Name"] for n in r.status("networks") if not n["Open"]]
    assert sorted(names) == ["blue", "red"]
    text = a.weave("status", "networks")
    assert "red" in text and "weave-d41c02, 1 container here" in text


def test_each_network_works(world):
    a, b, _ = world
    for network in NETWORKS:
        assert a.boxes[network].ping(IPS["b"], count=20, interval=0.01) == 20
        assert b.boxes[network].ping(IPS["a"], count=20, interval=0.01) == 20


class Markers:
    """Hears marked frames in every container."""

    def __init__(self, *hosts):
        self.captures = {}
        for host in hosts:
            for network, box in host.boxes.items():
                self.captures[host.short, network] = box.capture(
                    "ethwe", lambda frame: b"marker-" in frame)

    def __enter__(self):
        for capture in self.captures.values():
            capture.__enter__()
        return self

    def __exit__(self, *args):
        for capture in self.captures.values():
            capture.__exit__(*args)

    def places(self, marker):
        return sorted(place for place, capture in self.captures.items()
                      if any(marker in frame for frame in capture.frames))


def forged(marker):
    """Frames that a container may write, by what they try."""
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(MACS["a"]) + \
        socket.inet_aton(IPS["a"]) + bytes(6) + socket.inet_aton(IPS["b"])
    return {
        "unicast": ethernet(MACS["b"], MACS["a"], MARKER_TYPE, marker),
        "broadcast": ethernet(BROADCAST, MACS["a"], MARKER_TYPE, marker),
        "multicast": ethernet("33:33:00:00:00:01", MACS["a"], MARKER_TYPE, marker),
        "unknown": ethernet("02:00:00:00:cc:03", MACS["a"], MARKER_TYPE, marker),
        "another's source": ethernet(BROADCAST, "02:00:00:00:dd:04", MARKER_TYPE, marker),
        "arp": ethernet(BROADCAST, MACS["a"], 0x0806, arp + marker),
        "vlan": ethernet(BROADCAST, MACS["a"], 0x8100, struct.pack("!HH", 7, MARKER_TYPE) + marker),
    }


def test_forged_frames_stay_inside(world):
    a, b, _ = world
    with Markers(a, b) as markers:
        sent = []
        for network in NETWORKS:
            for kind in forged(b""):
                marker = f"marker-{network}-{kind};".encode()
                frame = forged(marker + bytes(64))[kind]
                # Twice: the first of a source may teach only.
                for _ in range(2):
                    a.boxes[network].send_frame("ethwe", frame)
                sent.append((network, kind, marker))
        heard = ("unicast", "broadcast", "multicast", "unknown", "another's source")
        for network, kind, marker in sent:
            if kind in heard:
                wait_until(5, lambda: ("b", network) in markers.places(marker),
                           f"{kind} arrives in {network}")
        time.sleep(QUIET)
        for network, kind, marker in sent:
            assert [p for p in markers.places(marker) if p[1] != network] == [], (network, kind)


def vxlan(number, inner):
    return struct.pack("!II", 0x08000000, number << 8) + inner


def test_vxlan_of_strangers_is_not_heard(world):
    """From a host of the underlay that is no peer, and from inside a container."""
    a, b, r = world
    with Markers(a, b) as markers:
        evil = a.lab.lans[0].host("evil")
        numbers = [NUMBERS["red"], NUMBERS["blue"], 0, 5]
        with evil.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for number in numbers:
                inner = ethernet(MACS["b"], MACS["a"], MARKER_TYPE, b"marker-evil" + bytes(64))
                s.sendto(vxlan(number, inner), (b.ip, 6784))
        # A container writes the whole packet, to the host behind its bridge.
        for network in NETWORKS[1:]:
            box = a.boxes[network]
            bridge = {"red": "weave-d41c02", "blue": "weave-b7eebf"}[network]
            target = mac_of(a, bridge)
            inner = ethernet(MACS["b"], MACS["a"], MARKER_TYPE, b"marker-inside" + bytes(64))
            for number in numbers:
                payload = vxlan(number, inner)
                udp = struct.pack("!HHHH", 4789, 6784, 8 + len(payload), 0) + payload
                for source in (IPS["a"], r.ip):
                    for to in (a.ip, b.ip):
                        ip = ip_header(source, to, 17, len(udp))
                        box.send_frame("ethwe", ethernet(target, MACS["a"], 0x0800, ip + udp))
        time.sleep(QUIET)
        assert markers.places(b"marker-evil") == []
        assert markers.places(b"marker-inside") == []


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ip_header(source, target, protocol, size):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size, 1, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def test_host_does_not_route_between_networks(world):
    """The host forwards and is exposed on the default network: no way from red to it."""
    a, b, _ = world
    a.sysctl("net.ipv4.ip_forward", 1)
    a.weave("expose", "10.2.1.100/24")
    target = mac_of(a, "weave-d41c02")
    try:
        with Markers(a, b) as markers:
            for source in (IPS["a"], "10.2.1.77", "198.51.100.9"):
                data = struct.pack("!HHHH", 1000, 1000, 8 + 32, 0) + b"marker-routed".ljust(32)
                packet = ip_header(source, IPS["b"], 17, len(data)) + data
                a.boxes["red"].send_frame("ethwe", ethernet(target, MACS["a"], 0x0800, packet))
            time.sleep(QUIET)
            assert markers.places(b"marker-routed") == []
        assert not a.boxes["red"].reaches("10.2.1.100")
    finally:
        a.weave("hide", "10.2.1.100/24")


def refused(host, *args):
    with pytest.raises(CommandFailed) as error:
        host.weave(*args)
    return error.value.result.stderr


def test_numbers_are_refused_when_taken(world):
    a, b, r = world
    text = refused(a, "network", "create", "crimson", "--number", NUMBERS["red"])
    assert "crimson" in text and "that of red here" in text and "another name" in text
    text = refused(r, "network", "create", "crimson", "--number", NUMBERS["red"])
    assert "that of red at peer" in text
    assert "open under number" in refused(a, "network", "create", "red", "--number", 77)
    assert "no name of a network" in refused(a, "network", "create", "a b")
    assert "default one" in refused(a, "network", "rm", "weave")
    assert "containers are attached" in refused(a, "network", "rm", "red")
    assert "not open here" in refused(a, "network", "rm", "green")
    box = a.container()
    assert "not open here" in refused(a, "attach", "10.2.1.9/24", "--network", "green", box.name)
    assert not [n for n in a.status("networks") if n["Name"] in ("crimson", "green")]


def test_killed_router_finds_its_networks(world):
    a, b, r = world
    a.kill()
    a.launch("--no-discovery", *(["--no-fastdp"] if a.overlay == "sleeve" else []), r.ip)
    networks = {n["Name"]: n for n in a.status("networks")}
    assert [networks[name]["Containers"] for name in NETWORKS] == [1, 1, 1]
    for network in NETWORKS:
        wait_until(10, lambda: a.boxes[network].reaches(IPS["b"]), f"ping in {network}")
    for network in NETWORKS:
        assert a.boxes[network].ping(IPS["b"], count=20, interval=0.01) == 20


def test_lost_bridge_comes_back(world):
    a, b, _ = world
    a.run("ip link del weave-d41c02")
    wait_until(10, lambda: a.boxes["red"].reaches(IPS["b"]), "ping in red")
    assert a.boxes["blue"].ping(IPS["b"], count=5, interval=0.01) == 5


def test_detach_rm_and_reset(world):
    a, b, _ = world
    b.weave("detach", "--network", "red", b.boxes["red"].name)
    b.weave("network", "rm", "red")
    assert "weave-d41c02" not in b.links()
    wait_until(10, lambda: not [p for n in a.status("networks") if n["Name"] == "red"
                                for p in n["Peers"]], "a has heard of it")
    b.weave("reset", "--force")
    assert [name for name in b.links() if name.startswith(("weave", "vethw"))] == []


def test_networks_that_were_opened_apart_stay_apart():
    """Both routers mean another network by one number before they meet."""
    with Lab() as lab:
        lan = lab.lan()
        a, b = lan.host("a"), lan.host("b")
        a.launch()
        b.launch()
        for host, name in ((a, "crimson"), (b, "carmine")):
            host.weave("network", "create", name, "--number", 4711)
            host.boxes = {name: attach(host, name)}
        a.weave("connect", b.ip)
        mesh([a, b])
        for host in (a, b):
            wait_until(10, lambda: host.status("networks")[-1]["Contested"], "seen by both")
        with Markers(a, b) as markers:
            for kind, frame in forged(b"marker-apart" + bytes(64)).items():
                a.boxes["crimson"].send_frame("ethwe", frame)
            time.sleep(QUIET)
            assert [p for p in markers.places(b"marker-apart") if p[0] == "b"] == []
        assert not a.boxes["crimson"].reaches(IPS["b"])


def test_fifty_networks_idle(say):
    """What they cost is printed; that they all are there and work is asserted."""
    with Lab() as lab:
        lan = lab.lan()
        a, b = lan.host("a"), lan.host("b")
        a.launch()
        b.launch(a.ip)
        mesh([a, b])
        before = a.memory_kb()
        begin = time.monotonic()
        for i in range(50):
            a.weave("network", "create", f"net-{i}")
        opened = time.monotonic() - begin
        for i in range(50):
            b.weave("network", "create", f"net-{i}")
        wait_until(20, lambda: len([n for n in a.status("networks") if n["Peers"]]) == 50, "all")
        after = a.memory_kb()
        cpu, begin = a.cpu_seconds(), time.monotonic()
        time.sleep(2)
        idle = (a.cpu_seconds() - cpu) / (time.monotonic() - begin)
        say(f"50 networks: {opened * 20:.0f} ms each to open, {(after - before) / 50:.0f} KB each, "
            f"{100 * idle:.1f} % of a core idle")
        for host in (a, b):
            host.boxes = {"net-49": attach(host, "net-49")}
        wait_until(10, lambda: a.boxes["net-49"].reaches(IPS["b"]), "ping")
        a.kill()
        begin = time.monotonic()
        a.launch(b.ip)
        say(f"found again within {1000 * (time.monotonic() - begin):.0f} ms")
        assert len(a.status("networks")) == 51
        wait_until(10, lambda: a.boxes["net-49"].reaches(IPS["b"]), "ping")
