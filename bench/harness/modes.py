"""The ways to carry a frame from a container on one host to one on another.

A mode builds a Scene on a place's hosts.  To add one: a function that takes a place and returns a
Scene, and a row in MODES; say in its Expect what must be seen on the wire, so that it is checked.
"""

import dataclasses
import re
import subprocess
import typing

import lab

VXLAN_ROOM = 50     # outer Ethernet, IPv4, UDP and VXLAN headers
SETTLE = 20         # seconds within which an overlay must have found its way


@dataclasses.dataclass
class Expect:
    """What carries the containers' packets on the underlay, as the receiving host sees it."""
    protocol: str       # "udp", "tcp", "esp", "icmp": outermost after IP; "nothing" must be seen
    port: typing.Optional[int] = None   # the destination's
    clear: bool = True          # whether the payload can be read
    source: typing.Optional[str] = None     # the sender's address, where it says something


@dataclasses.dataclass
class Scene:
    client: lab.Namespace       # where the measuring starts
    server: lab.Namespace
    ip: str                     # the server's, to be measured
    hosts: list                 # the client's first, the server's last
    mtu: int                    # of the containers
    expect: Expect
    device: str                 # of the last host, where its underlay comes in, and
    direction: str = "in"       # what is looked at there
    daemons: typing.Callable = list     # -> [(host, pid)] of the processes that carry frames
    close: typing.Callable = lambda: None   # for a place where the next mode needs the hosts


class Unavailable(Exception):
    """This mode cannot be measured here; the text says why."""


@dataclasses.dataclass(frozen=True)
class Mode:
    name: str
    title: str
    build: typing.Callable
    group: str = "weave"        # "kernel", "weave" or "peer": its colour
    sealed: bool = False
    hosts: int = 2
    tools: tuple = ()           # programs that must be there
    version: typing.Optional[tuple] = None  # the command that tells it


def bottom(hosts):
    """The device of the last host that leads to the one before it."""
    return hosts[-1].device_to[hosts[-2].ips[-1]]


# --- the kernel alone ----------------------------------------------------------------------------

def build_host(place):
    a, b = hosts = place.hosts(2)
    return Scene(a, b, b.ip, hosts, place.mtu, Expect("icmp"), bottom(hosts))


def remove_links(hosts, *names):
    def close():
        for host in hosts:
            for name in names:
                host.try_run(["ip", "link", "del", name])
    return close


def build_vxlan(place):
    """As flannel does, and Docker's overlay but for its extra bridge port: a bridge, a VXLAN device
    in it that knows its peer."""
    a, b = hosts = place.hosts(2)
    mtu = place.mtu - VXLAN_ROOM
    boxes = []
    for host, other, last in ((a, b, 1), (b, a, 2)):
        host.run("ip link add wbbr type bridge stp_state 0 forward_delay 0")
        host.run(["ip", "link", "set", "wbbr", "mtu", mtu, "up"])
        host.run(["ip", "link", "add", "wbvx", "type", "vxlan", "id", "42", "dstport", "4789",
                  "local", host.ip, "remote", other.ip, "dev", host.device_to[other.ip],
                  "nolearning"])
        host.run(["ip", "link", "set", "wbvx", "master", "wbbr", "mtu", mtu, "up"])
        box, port = host.plain_box(f"10.3.1.{last}/24", mtu)
        host.run(["ip", "link", "set", port, "master", "wbbr"])
        boxes.append(box)
    return Scene(*boxes, "10.3.1.2", hosts, mtu, Expect("udp", 4789), bottom(hosts),
                 close=remove_links(hosts, "wbvx", "wbbr"))


# --- weave ---------------------------------------------------------------------------------------

def overlay(host):
    return [c["Overlay"] for c in host.connections() if c["State"] == "established"]


def routers(hosts):
    return lambda: [(h, h.pid) for h in hosts]


def stop_routers(hosts):
    def close():
        for host in hosts:
            host.try_weave("reset", "--force")
    return close


def mtu_of(box):
    return box.links()["ethwe"]["mtu"]


def launch(hosts, *options):
    """Each knows the one before it; only neighbours connect."""
    for host in hosts:
        running = host.try_run(["sh", "-c", "ss -Hltn 'sport = :6783'"]).stdout.strip()
        if running:
            raise Unavailable(f"a router runs on {host.short} already (TCP 6783 is taken)")
    hosts[0].launch("--no-discovery", *options)
    for before, host in zip(hosts, hosts[1:]):
        host.launch("--no-discovery", *options, before.ips[-1])


def weave_scene(place, hosts, wanted, expect):
    first, last = hosts[0], hosts[-1]
    for host in hosts:
        lab.wait_until(SETTLE, lambda: set(overlay(host)) == {wanted},
                       f"all connections of {host.short} use {wanted}")
    client, server = first.container("10.2.1.1/24"), last.container("10.2.1.2/24")
    return Scene(client, server, "10.2.1.2", hosts, mtu_of(server), expect, bottom(hosts),
                 daemons=routers(hosts), close=stop_routers(hosts))


def build_fastdp(place):
    hosts = place.hosts(2)
    launch(hosts, "--mtu", place.mtu - VXLAN_ROOM)
    return weave_scene(place, hosts, "fastdp", Expect("udp", 6784, source=hosts[0].ip))


def build_relay(place):
    hosts = place.hosts(3)
    launch(hosts, "--mtu", place.mtu - VXLAN_ROOM)
    return weave_scene(place, hosts, "fastdp", Expect("udp", 6784, source=hosts[1].ips[-1]))


def offers(option):
    """Whether this weaver has that option."""
    out = subprocess.run([str(lab.BIN / "weaver"), "--help"], capture_output=True, text=True)
    return bool(re.search(rf"^\s*{option}\b", out.stdout + out.stderr, re.MULTILINE))


def sleeve(*options, sealed=False, pcap=False):
    def build(place):
        hosts = place.hosts(2)
        launch(hosts, "--no-fastdp", *options)
        for host in hosts if offers("--capture") else []:
            if ("vethwe-pcap" in host.links()) != pcap:
                raise RuntimeError(f"{host.short} captures {'not ' if pcap else ''}by pcap")
        return weave_scene(place, hosts, "sleeve", Expect("udp", 6783, clear=not sealed))
    return build


def build_sleeve_pcap(place):
    if not offers("--capture"):
        raise Unavailable("this weaver has one way to capture: see sleeve")
    return sleeve("--capture", "pcap", pcap=True)(place)


def build_fastdp_sealed(place):
    hosts = place.hosts(2)
    launch(hosts, "--password", "bench", "--mtu", place.mtu - VXLAN_ROOM - 40)
    reasons = {c["NotBetter"] for h in hosts for c in lab.wait_until(
        SETTLE, lambda: [c for c in h.connections() if c["State"] == "established"],
        "a connection") if c["Overlay"] != "fastdp" and c["NotBetter"]}
    esp = hosts[0].try_run("ip xfrm state")
    if esp.returncode or reasons:
        for host in hosts:
            host.try_weave("stop")
        raise Unavailable("no encrypted fastdp here: "
                          + (", ".join(sorted(reasons)) or "this kernel has no ESP"))
    return weave_scene(place, hosts, "fastdp", Expect("esp", clear=False))


def build_docker(place):
    """Docker's overlay driver wants two engines that are joined to a swarm: not set up here."""
    engines = [h.try_run(["docker", "info", "-f", "{{.Swarm.LocalNodeState}}"])
               for h in place.hosts(2)]
    if any(e.returncode for e in engines):
        raise Unavailable("no Docker engine answers")
    raise Unavailable("this harness does not join Docker engines to a swarm; 'vxlan' is the same "
                      "data path")


# --- two containers of one host ------------------------------------------------------------------

def build_local_bridge(place):
    host = place.hosts(1)[0]
    host.run("ip link add wbbr type bridge stp_state 0 forward_delay 0")
    host.run(["ip", "link", "set", "wbbr", "mtu", place.mtu, "up"])
    boxes = []
    for last in (1, 2):
        box, port = host.plain_box(f"10.3.1.{last}/24", place.mtu)
        host.run(["ip", "link", "set", port, "master", "wbbr"])
        boxes.append(box)
    return Scene(*boxes, "10.3.1.2", [host], place.mtu, Expect("icmp"), port, "out",
                 close=remove_links([host], "wbbr"))


def build_local_fastdp(place):
    host = place.hosts(1)[0]
    launch([host], "--mtu", place.mtu)
    client, server = (host.container(f"10.2.1.{last}/24") for last in (1, 2))
    number = server.links()["ethwe"]["link_index"]
    port = next(n for n, link in host.links().items() if link["ifindex"] == number)
    # What the programs hand over from container to container, the host's ends never see.
    return Scene(client, server, "10.2.1.2", [host], place.mtu, Expect("nothing"), port, "out",
                 daemons=routers([host]), close=stop_routers([host]))


MODES = {m.name: m for m in (
    Mode("host", "host to host, no overlay", build_host, "kernel"),
    Mode("vxlan", "bridge + VXLAN", build_vxlan, "kernel"),
    Mode("fastdp", "weave fastdp", build_fastdp),
    Mode("fastdp-relay", "weave fastdp, relayed", build_relay, hosts=3),
    Mode("sleeve", "weave sleeve", sleeve()),
    Mode("sleeve-pcap", "weave sleeve, pcap", build_sleeve_pcap),
    Mode("sleeve-sealed", "weave sleeve, encrypted",
         sleeve("--password", "bench", sealed=True), sealed=True),
    Mode("fastdp-sealed", "weave fastdp, encrypted", build_fastdp_sealed, sealed=True),
    Mode("docker-overlay", "Docker overlay", build_docker, "peer", tools=("docker",)),
    Mode("local-bridge", "one host, bridge", build_local_bridge, "kernel", hosts=1),
    Mode("local-fastdp", "one host, weave fastdp", build_local_fastdp, hosts=1),
)}
BASIC = [n for n, m in MODES.items() if m.hosts > 1 and m.group != "peer"]
