"""Broadcast and multicast reach each container exactly once, whatever the mesh looks like."""

import collections
import time

import pytest

from lab import ethernet, mesh, wait_until

LINKS = [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (1, 3)]  # cycles, and one that hangs on one link


@pytest.fixture(scope="module")
def partial(module_lab):
    lan = module_lab.lan()
    hosts = [lan.host(f"h{i}") for i in range(5)]
    for host in hosts:
        host.launch("--no-discovery")
    for i, j in LINKS:
        hosts[i].weave("connect", hosts[j].ip)
    for i, j in LINKS:
        mesh([hosts[i], hosts[j]])
    boxes = []
    for i, host in enumerate(hosts):
        boxes += [host.container(f"10.2.1.{10 * i + 1}/24"), host.container(f"10.2.1.{10 * i + 2}/24")]
    for box in boxes[1:]:
        wait_until(20, lambda: boxes[0].reaches(box.ip), f"{boxes[0].short} pings {box.ip}")
    digests = lambda: {h.report()["Router"]["Store"]["Digest"] for h in hosts}
    wait_until(20, lambda: len(digests()) == 1, "all stores are equal")
    return hosts, boxes


@pytest.mark.parametrize("target", ["ff:ff:ff:ff:ff:ff", "01:00:5e:01:02:03", "33:33:00:01:02:03"],
                         ids=["broadcast", "ipv4-multicast", "ipv6-multicast"])
@pytest.mark.parametrize("sender", [0, 4, 8])
def test_each_container_once(partial, target, sender):
    hosts, boxes = partial
    source = boxes[sender].links()["ethwe"]["address"]
    count = 20
    captures = [box.capture("ethwe", lambda f: f[12:14] == b"\x88\xb5") for box in boxes]
    for capture in captures:
        capture.__enter__()
    try:
        for i in range(count):
            frame = ethernet(target, source, 0x88b5, b"frame %03d" % i)
            boxes[sender].send_frame("ethwe", frame)
        others = [c for i, c in enumerate(captures) if i != sender]
        wait_until(5, lambda: all(len(c.frames) >= count for c in others), "all have got all")
        time.sleep(0.3)  # for what would come twice
    finally:
        for capture in captures:
            capture.__exit__()
    for i, capture in enumerate(captures):
        seen = collections.Counter(f[14:23] for f in capture.frames)
        assert set(seen.values()) == ({1} if i != sender else set()), f"{boxes[i].short}: {seen}"


def test_unknown_destination_is_flooded_and_learned(partial):
    """A MAC that nobody announced: a container moves its address by hand."""
    hosts, boxes = partial
    boxes[9].run("ip link set ethwe address 02:00:00:00:99:99")
    boxes[0].run("ip neigh flush all")
    wait_until(20, lambda: boxes[0].reaches(boxes[9].ip), "ping the new MAC")


def test_address_moves_to_another_host(partial):
    """The same MAC and IP appear behind another router: a virtual machine that migrated."""
    hosts, boxes = partial
    old, new = boxes[2], boxes[6]
    mac = "02:00:00:00:77:77"
    for box in (old, new):
        box.run(["ip", "link", "add", "mv", "link", "ethwe", "address", mac, "type", "macvlan",
                 "mode", "bridge"])
    old.run("ip addr add 10.3.1.1/24 dev mv")
    old.run("ip link set mv up")
    boxes[0].run("ip addr add 10.3.1.9/24 dev ethwe")
    wait_until(10, lambda: boxes[0].reaches("10.3.1.1"), "ping at the old place")
    old.run("ip link del mv")
    new.run("ip addr add 10.3.1.1/24 dev mv")
    new.run("ip link set mv up")
    wait_until(20, lambda: new.reaches("10.3.1.9"), "it talks from the new place")
    wait_until(10, lambda: boxes[0].reaches("10.3.1.1"), "ping at the new place")
