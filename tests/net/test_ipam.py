"""Addresses by themselves: unique everywhere, at once, kept over crashes; what happens at the edges.

The numbers are those of Weave Net's smoke tests that these stand for.
"""

import http.client
import ipaddress
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from lab import Container, mesh, wait_until

GRACE = 30  # seconds that a dead container keeps its addresses
SMALL = "10.32.0.0/26"


def box(host, *wants, launched=True):
    """A container, attached with these wants (none: the default)."""
    host.containers += 1
    c = Container(host, f"{host.short}c{host.containers}", [])
    if launched:
        attach(c, *wants)
    return c


def attach(c, *wants, limit=30):
    c.cidrs = []
    c.attach_output = c.host.weave("attach", *wants, c.name, limit=limit)
    c.cidrs = c.addresses("ethwe")
    assert sorted(c.attach_output.split()) == sorted(a.split("/")[0] for a in c.cidrs)
    return c


def pair(lab, *options, **kw):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch(*options)
    b.launch(*options, a.ip)
    mesh([a, b])
    return lan, a, b


def status_ipam(host):
    return host.weave("status", "ipam")


def owned(host):
    """Nickname -> number of addresses it owns, as this host sees it."""
    found = {}
    for line in status_ipam(host).splitlines():
        m = re.match(r"\S+\((\S+)\)\s+(\d+) IPs", line)
        if m:
            found[m.group(1)] = found.get(m.group(1), 0) + int(m.group(2))
    return found


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("weave")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


def form(host, method, path, **fields):
    return call(host, method, path + "?" + urllib.parse.urlencode(fields))


def call(host, method, path):
    connection = UnixConnection(host.run_dir / "weave.sock")
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# --- the usual way --------------------------------------------------------------------------------

def test_lowest_first_and_reachable_across_hosts(lab):
    """100: addresses out of the default range, an explicit subnet, and a given one."""
    _, a, b = pair(lab)
    # The range is split in order of the peers' names, and only its own ends are left out.
    c1, c2, c3 = box(a), box(b), box(a)
    assert sorted(c1.cidrs + c2.cidrs) == ["10.32.0.1/12", "10.40.0.0/12"]
    assert ipaddress.ip_address(c3.ip) == ipaddress.ip_address(c1.ip) + 1
    wait_until(10, lambda: c1.reaches(c2.ip) and c2.reaches(c3.ip), "ping between default ones")
    d1, d2 = box(a, "net:10.33.7.0/24"), box(b, "net:10.33.7.0/24")
    assert {d.cidrs[0].split("/")[1] for d in (d1, d2)} == {"24"} and d1.ip != d2.ip
    wait_until(10, lambda: d1.reaches(d2.ip), "ping within the subnet")
    # The same container asks again: the same addresses.
    assert a.weave("attach", c1.name).split() == [c1.ip]
    assert c1.cidrs == c1.addresses("ethwe")


@pytest.mark.parametrize("first", ["a", "b"])
def test_either_host_may_be_the_first_to_ask(lab, first):
    """One is launched alone, the other with it as its peer: each has its own number of voters."""
    _, a, b = pair(lab, "--ipalloc-range", SMALL)
    one, other = (a, b) if first == "a" else (b, a)
    c1, c2 = box(one), box(other)
    assert c1.ip != c2.ip
    wait_until(10, lambda: c1.reaches(c2.ip), "ping")


def test_dual_stack(lab):
    _, a, b = pair(lab, "--ipalloc-range", "10.32.0.0/16", "--ipalloc-range", "fd07::/64")
    c1, c2 = box(a), box(b)
    for c in (c1, c2):
        assert [":" in cidr for cidr in c.cidrs] == [False, True]
    wait_until(10, lambda: c1.reaches(c2.cidrs[0].split("/")[0]), "ping")
    wait_until(10, lambda: c1.reaches(c2.cidrs[1].split("/")[0]), "ping6")


def test_an_address_moves_at_once(lab):
    """300: given back here, taken there, and reachable without waiting for any cache."""
    _, a, b = pair(lab, "--ipalloc-range", SMALL)
    watcher, c1 = box(b), box(a)
    ip = c1.cidrs[0]
    wait_until(10, lambda: watcher.reaches(c1.ip), "ping")
    assert a.weave("detach", c1.name).split() == [c1.ip]
    assert "ethwe" not in c1.links()
    c2 = box(a)
    assert c2.cidrs == [ip]
    wait_until(3, lambda: watcher.reaches(c2.ip), "ping to the new holder")


def test_many_forms_of_address(lab):
    """500: several at a time; ps and DNS show them; detach, expose and hide take the same forms."""
    host = lab.lan().host("a")
    host.launch("--ipalloc-default-subnet", "10.32.1.0/24", "--dns-listen-address", "127.0.0.1:53")
    c = box(host, "10.2.1.1/24", "ip:10.2.2.1/24", "net:10.32.2.0/24", "net:default")
    assert c.cidrs == ["10.2.1.1/24", "10.2.2.1/24", "10.32.2.1/24", "10.32.1.1/24"]
    assert host.weave("ps", c.name).split()[2:] == c.cidrs
    host.weave("dns-add", c.name, "-h", "multi.weave.local")
    assert sorted(host.weave("dns-lookup", "multi").split()) == sorted(c.attach_output.split())
    assert host.weave("detach", "net:default", "ip:10.2.2.1/24", c.name).split() == [
        "10.32.1.1", "10.2.2.1"]
    assert c.addresses("ethwe") == ["10.2.1.1/24", "10.32.2.1/24"]
    assert sorted(host.weave("dns-lookup", "multi").split()) == ["10.2.1.1", "10.32.2.1"]
    assert host.weave("expose").split() == ["10.32.1.1"]
    assert host.weave("expose", "net:10.32.2.0/24", "10.2.1.9/24").split() == ["10.32.2.2",
                                                                               "10.2.1.9"]
    assert host.addresses("weave") == ["10.32.1.1/24", "10.32.2.2/24", "10.2.1.9/24"]
    assert host.weave("expose").split() == ["10.32.1.1"]  # again
    assert host.weave("hide", "net:default").split() == ["10.32.1.1"]
    assert host.weave("hide", "net:default") == ""
    assert sorted(host.weave("hide").split()) == ["10.2.1.9", "10.32.2.2"]
    assert host.addresses("weave") == []
    # Each of these is refused whole.
    before = host.weave("ps")
    for bad in ("net:10.32.2.0", "net:10.32.2.1/24", "net:10.32.2.0/31", "net:10.64.0.0/24",
                "net:", "ip:10.32.1.1", "net:default/24"):
        refused = host.try_weave("attach", "10.2.7.7/24", bad, c.name)
        assert refused.returncode == 1 and refused.stderr, bad
    taken = box(host)
    refused = host.try_weave("attach", f"ip:{taken.cidrs[0]}", "net:10.32.3.0/24", c.name)
    assert refused.returncode == 1 and taken.ip in refused.stderr
    assert host.weave("ps", c.name) == before
    assert "10.32.3" not in call(host, "GET", "/ip")[1]


def test_hide_takes_only_what_is_named(lab):
    host = lab.lan().host("a")
    host.launch()
    host.weave("expose", "net:default", "net:10.33.0.0/24")
    before = host.addresses("weave")
    assert host.weave("hide", "net:10.40.0.0/24") == ""
    assert host.weave("hide", "net:10.40.0.0/24", "net:10.41.0.0/24", "10.2.1.1/24") == ""
    assert host.addresses("weave") == before
    assert host.weave("hide", "net:10.40.0.0/24", "net:10.33.0.0/24").split() == ["10.33.0.1"]
    assert host.addresses("weave") == before[:1]


def holders(host):
    owned = json.loads(call(host, "GET", "/ip")[1])["owned"]
    return {row["containerid"]: row["addrs"] for row in owned}


def test_one_container_by_two_names(lab):
    """A namespace has the identity under which it was attached first: whose the addresses are must
    not depend on how a later command names it."""
    host = lab.lan().host("a")
    host.launch("--ipalloc-default-subnet", "10.32.0.0/16")
    c = box(host)
    inside = c.start("sleep 1000")
    # nsenter has to get there first.
    wait_until(5, lambda: same_network(inside.pid, c), "the process is in the container")
    assert host.weave("attach", "net:10.33.0.0/24", inside.pid).split() == ["10.33.0.1"]
    assert host.weave("ps", inside.pid) == host.weave("ps", c.name) != ""
    assert holders(host) == {c.name: ["10.32.0.1/16", "10.33.0.1/16"]}
    assert host.weave("detach", "net:default", inside.pid).split() == ["10.32.0.1"]
    assert holders(host) == {c.name: ["10.33.0.1/16"]}
    assert host.weave("detach", inside.pid).split() == ["10.33.0.1"]
    assert holders(host) == {}


def same_network(pid, namespace):
    return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(namespace.path).st_ino


def test_detach_takes_all_or_nothing(lab):
    """What is on the interface, what is only held, and what is neither."""
    host = lab.lan().host("a")
    host.launch()
    c, other = box(host), box(host, "10.32.0.200/12")
    assert call(host, "PUT", f"/ip/{c.name}/10.32.0.9/12")[0] == 204
    for foreign in ("10.32.0.200/12", "10.32.0.77/12"):
        refused = host.try_weave("detach", c.cidrs[0], "10.32.0.9/12", foreign, c.name)
        assert refused.returncode == 1 and foreign in refused.stderr
    assert c.addresses("ethwe") == c.cidrs
    assert holders(host) == {c.name: [c.cidrs[0], "10.32.0.9/12"], other.name: other.cidrs}
    assert host.weave("detach", c.cidrs[0], "10.32.0.9/12", c.name).split() == [c.ip, "10.32.0.9"]
    assert holders(host) == {other.name: other.cidrs}
    # Not attached, but held: the same words, and the subnet that is named only.
    assert call(host, "PUT", "/ip/program/10.32.0.9/12")[0] == 204
    assert call(host, "PUT", "/ip/program/10.33.0.9/12")[0] == 204
    assert host.try_weave("detach", "net:10.34.0.0/24", "program").returncode == 1
    assert host.weave("detach", "net:10.33.0.0/24", "program").split() == ["10.33.0.9"]
    assert holders(host)["program"] == ["10.32.0.9/12"]
    assert host.weave("detach", "program").split() == ["10.32.0.9"]
    assert host.try_weave("detach", "program").returncode == 1
    # Removed from an interface where it never belonged, it stays whose it is.
    other.run("ip addr add 10.32.0.50/12 dev ethwe")
    assert call(host, "PUT", "/ip/program/10.32.0.50/12")[0] == 204
    host.weave("detach", "10.32.0.50/12", other.name)
    assert holders(host)["program"] == ["10.32.0.50/12"]


def test_a_failed_attach_keeps_nothing(lab):
    host = lab.lan().host("a")
    host.launch()
    dead, keeps = box(host), box(host)
    host.run(f"ip netns del {dead.name}")
    wait_until(5, lambda: "of dead containers" in status_ipam(host), "its interface is gone")
    host.run(f"ip netns add {dead.name}")
    dead.run("ip link add ethwe type veth peer name other")  # so it cannot be attached
    for name in (dead.name, "stranger"):
        status, text = form(host, "POST", "/attach", id=name, netns=dead.path)
        assert status >= 400 and "ethwe" in text
    assert holders(host) == {dead.name: dead.cidrs, keeps.name: keeps.cidrs}
    # And it was not taken for alive again.
    wait_until(GRACE + 10, lambda: list(holders(host)) == [keeps.name], "it is free")


def test_many_at_once(lab):
    """All that wait for the ring are attached when it comes, each with an address of its own."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    vote = ("--ipalloc-range", "10.32.0.0/24", "--ipalloc-init", "consensus=2")
    a.launch(*vote)
    boxes = [box(a, launched=False) for _ in range(25)]
    waiting = [a.start(a.weave_command("attach", c.name)) for c in boxes]
    wait_until(20, lambda: len(a.report()["IPAM"]["PendingAllocates"] or []) == len(boxes),
               "all wait")
    b.launch(*vote, a.ip)
    waiting[7].terminate()
    assert waiting.pop(7).wait(5) != 0
    assert [w.wait(60) for w in waiting] == [0] * len(waiting)
    gone = boxes.pop(7)
    cidrs = {cidr for c in boxes for cidr in c.addresses("ethwe")}
    assert len(cidrs) == len(boxes)
    assert set(holders(a)) - {gone.name} == {c.name for c in boxes}
    assert "ethwe" not in gone.links()


def test_without_ipam(lab):
    host = lab.lan().host("a")
    host.launch("--ipalloc-range", "")
    c = box(host, launched=False)
    refused = host.try_weave("attach", c.name)
    assert refused.returncode == 1 and "address" in refused.stderr
    assert host.try_weave("attach", "net:default", c.name).returncode == 1
    assert host.try_weave("status", "ipam").returncode == 4
    assert host.try_weave("prime").returncode == 4
    assert call(host, "GET", "/ip/x")[0] == 404
    attach(c, "10.2.1.1/24")


def test_the_range_must_not_hide_the_hosts_networks(lab):
    host = lab.lan().host("a")
    host.run("ip route add 10.40.0.0/24 dev eth1")
    refused = host.try_weave("launch")
    assert refused.returncode == 1
    assert "10.32.0.0/12" in refused.stderr and "10.40.0.0/24" in refused.stderr
    assert not host.is_running() and "weave" not in host.links()
    host.launch("--ipalloc-range", "10.32.0.0/12")  # a person who insists is only warned
    assert "10.40.0.0/24" in host.log()


# --- waiting --------------------------------------------------------------------------------------

def test_detach_and_hide_never_wait(lab):
    """510; and out of the range everything works without a ring, too."""
    host = lab.lan().host("a")
    host.launch("--ipalloc-init", "consensus=3")
    c = box(host, "10.2.1.1/24")
    assert host.weave("expose", "10.2.1.2/24", limit=5).split() == ["10.2.1.2"]
    assert host.weave("hide", limit=5).split() == ["10.2.1.2"]
    assert host.weave("detach", c.name, limit=5).split() == ["10.2.1.1"]
    assert host.try_weave("detach", "net:default", c.name, limit=5).returncode == 1
    assert host.weave("hide", "net:default", limit=5) == ""
    assert "idle" in host.weave("status")


def test_who_goes_away_is_not_served(lab):
    """A client that ends while it waits leaves nothing behind when the ring comes."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--ipalloc-range", SMALL, "--ipalloc-init", "consensus=2")
    c = box(a, launched=False)
    waiting = a.start(a.weave_command("attach", c.name))
    wait_until(5, lambda: a.report()["IPAM"]["PendingAllocates"], "the request waits")
    waiting.terminate()
    waiting.wait(5)
    wait_until(5, lambda: not a.report()["IPAM"]["PendingAllocates"], "it does not wait any more")
    b.launch("--ipalloc-range", SMALL, "--ipalloc-init", "consensus=2", a.ip)
    mesh([a, b])
    a.weave("prime")
    assert call(a, "GET", "/ip")[1].count("addrs") == 0
    assert "ethwe" not in c.links()


def test_observers_cannot_vote(lab):
    """340"""
    lan = lab.lan()
    a, b, o = lan.host("a"), lan.host("b"), lan.host("o")
    vote = ("--ipalloc-range", SMALL, "--ipalloc-init", "consensus=2")
    a.launch(*vote)
    o.launch("--ipalloc-range", SMALL, "--ipalloc-init", "observer", a.ip)
    mesh([a, o])
    c = box(o, launched=False)
    waiting = o.start(o.weave_command("attach", c.name))
    time.sleep(3)  # nothing may happen, which has no condition to wait for
    assert waiting.poll() is None
    b.launch(*vote, a.ip)
    assert waiting.wait(20) == 0
    assert c.addresses("ethwe")


def test_observers_can_call_an_election(lab):
    """350"""
    lan = lab.lan()
    a, b, o = lan.host("a"), lan.host("b"), lan.host("o")
    vote = ("--ipalloc-range", SMALL, "--ipalloc-init", "consensus=2")
    a.launch(*vote)
    b.launch(*vote, a.ip)
    o.launch("--ipalloc-range", SMALL, "--ipalloc-init", "observer", a.ip)
    mesh([a, b, o])
    assert "idle" in a.weave("status")
    box(o)
    wait_until(10, lambda: "ready" in a.weave("status"), "a has a ring")
    assert set(owned(a)) >= {"a", "b"}


# --- crashes and restarts -------------------------------------------------------------------------

def test_addresses_survive_a_restart(lab):
    """370, 310: nothing is issued twice; a container that died while we were down frees its own;
    the host's own address stays."""
    lan, a, b = pair(lab, "--ipalloc-range", SMALL)
    c1, gone, c2 = box(a), box(a), box(b)
    exposed = a.weave("expose").split()
    a.kill()
    gone.delete()
    lab.namespaces.remove(gone)
    a.launch("--ipalloc-range", SMALL, b.ip)
    assert a.addresses("weave")[0].split("/")[0] == exposed[0]
    c3 = box(a)
    assert c3.ip not in (c1.ip, gone.ip, c2.ip, *exposed)
    assert a.weave("attach", c1.name).split() == [c1.ip]
    wait_until(GRACE + 10, lambda: gone.name not in call(a, "GET", "/ip")[1], "it is free again")
    c4 = box(a)
    assert c4.ip == gone.ip
    wait_until(10, lambda: c4.reaches(c2.ip), "ping")


def test_a_container_that_comes_back_keeps_its_address(lab):
    host = lab.lan().host("a")
    host.launch("--ipalloc-range", SMALL)
    c, path = box(host), f"{host.short}c1"
    ip = c.cidrs
    c.delete()
    lab.namespaces.remove(c)
    wait_until(5, lambda: c.name not in host.weave("ps"), "its interface is gone")
    again = Container(host, path, [])
    assert attach(again).cidrs == ip


def test_claims_after_the_loss_of_the_state(lab):
    """320: a router whose disk is gone finds its containers' addresses on the bridge and gets them
    back; nobody else gets them meanwhile."""
    lan, a, b = pair(lab, "--ipalloc-range", SMALL)
    c1, c2 = box(a), box(b)
    b.kill()
    for file in b.state_dir.glob("ipam.db*"):
        file.unlink()
    b.launch("--ipalloc-range", SMALL, a.ip)
    mesh([a, b])
    # Its old self owns the space; the live address is disputed until that is taken over.
    assert c2.ip in call(b, "GET", "/ip")[1]
    a.weave("rmpeer", b.report()["Router"]["Name"], limit=60)
    wait_until(30, lambda: "disputed" not in status_ipam(b), "b has its address back")
    others = [box(h) for h in (a, b) for _ in range(5)]
    assert len({c.ip for c in (c1, c2, *others)}) == 12
    wait_until(10, lambda: c1.reaches(c2.ip), "ping")


def test_alone_and_without_a_state_only_given_addresses_come(lab):
    """320: who has lost its disk and is alone waits with what it would have to choose; with nothing
    else; and goes on as soon as one is back who knows."""
    _, a, b = pair(lab, "--ipalloc-range", SMALL)
    c1, c2 = box(a), box(b)
    a.kill()
    b.kill()
    for file in b.state_dir.glob("ipam.db*"):
        file.unlink()
    b.launch("--ipalloc-range", SMALL, a.ip)
    c3 = box(b, launched=False)
    waiting = b.start(b.weave_command("attach", c3.name))
    wait_until(10, lambda: b.report()["IPAM"]["PendingAllocates"], "the request waits")
    given = attach(box(b, launched=False), "10.2.1.1/24", limit=5)
    assert given.ip == "10.2.1.1" and waiting.poll() is None
    a.launch("--ipalloc-range", SMALL)
    assert waiting.wait(60) == 0
    (cidr,) = c3.addresses("ethwe")
    assert cidr not in (*c1.cidrs, *c2.cidrs)
    wait_until(20, lambda: c1.reaches(cidr.split("/")[0]), "ping")


def test_a_damaged_store_is_set_aside(lab):
    lan, a, b = pair(lab, "--ipalloc-range", SMALL)
    c1 = box(a)
    a.kill()
    db = a.state_dir / "ipam.db"
    content = bytearray(db.read_bytes())
    for at in range(100, len(content), 997):
        content[at] ^= 0x55
    db.write_bytes(content)
    a.launch("--ipalloc-range", SMALL, b.ip)
    assert (a.state_dir / "ipam.db.damaged").exists()
    assert "damaged" in a.log()
    assert c1.ip in call(a, "GET", "/ip")[1]
    mesh([a, b])


def test_a_full_disk_stops_addresses_only(lab):
    host = lab.lan().host("a")
    host.state_dir.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", host.state_dir], check=True)
    try:
        host.launch("--ipalloc-range", "10.32.0.0/16")
        c = box(host)
        filler = host.state_dir / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass  # full
        refused = None

        def is_refused():
            nonlocal refused
            for n in range(50):
                refused = call(host, "POST", f"/ip/fill{time.monotonic_ns()}-{n}")
                if refused[0] != 200:
                    return True
            return False

        wait_until(30, is_refused, "an allocation is refused")
        assert refused[0] == 500 and "durable" in refused[1]
        assert host.weave("attach", "10.2.1.1/24", c.name)  # the rest goes on
        assert "disk" in host.weave("status").lower()
        filler.unlink()
        wait_until(20, lambda: call(host, "POST", "/ip/afterwards")[0] == 200, "it works again")
        host.kill()
        host.launch("--ipalloc-range", "10.32.0.0/16")
        assert call(host, "GET", "/ip/afterwards")[1].strip()
    finally:
        if host.is_running():
            host.kill()
        subprocess.run(["umount", "-l", host.state_dir], check=False)


def test_killed_a_hundred_times_while_giving_out(lab, say):
    """Whatever was answered is held after the crash, by the one it was answered to."""
    host = lab.lan().host("a")
    host.launch("--ipalloc-range", "10.32.0.0/16")
    host.weave("prime")
    answered, stop, number = {}, threading.Event(), iter(range(10 ** 9))
    lock = threading.Lock()

    def ask():
        while not stop.is_set():
            with lock:
                name = f"k{next(number)}"
            try:
                status, text = call(host, "POST", f"/ip/{name}")
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)
                continue
            if status == 200:
                with lock:
                    answered[name] = text.strip()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(100):
            before = len(answered)
            wait_until(10, lambda: len(answered) > before, "addresses are given out")
            host.kill()
            host.launch("--ipalloc-range", "10.32.0.0/16")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert len(set(answered.values())) == len(answered)
    for name, cidr in answered.items():
        assert call(host, "GET", f"/ip/{name}")[1].strip() == cidr
    say(f"{len(answered)} addresses answered over 100 kills, none lost, none doubled")


# --- several hosts --------------------------------------------------------------------------------

VOTE_OF_THREE = ("--ipalloc-range", SMALL, "--ipalloc-init", "consensus=3")


def three_owners(lab):
    """Hosts a, b and c with space each, and a container on each."""
    lan = lab.lan()
    hosts = [lan.host(short) for short in "abc"]
    for n, host in enumerate(hosts):
        host.launch(*VOTE_OF_THREE, *(h.ip for h in hosts[:n][:1]))
    mesh(hosts)
    boxes = [box(h) for h in hosts]
    wait_until(10, lambda: all(set(owned(h)) == {"a", "b", "c"} for h in hosts),
               "all own something, and know it")
    return hosts, boxes


def test_space_of_a_dead_host_comes_back(lab):
    """335: taken over by one, learned by the third."""
    (a, b, c), _ = three_owners(lab)
    b.kill()
    wait_until(30, lambda: "unreachable" in status_ipam(a) and "unreachable" in status_ipam(c),
               "b is missed")
    assert re.match(r"\d+ IPs taken over from ", a.weave("rmpeer", "b", limit=60))
    assert "b" not in owned(a)
    wait_until(10, lambda: "b" not in owned(c) and sum(owned(c).values()) == 64, "c learns of it")
    # All of it can be used.
    for _ in range(20):
        box(a)
    # A living peer is not removed by accident.
    refused = a.try_weave("rmpeer", "c")
    assert refused.returncode == 1 and "reset" in refused.stderr
    assert a.try_weave("rmpeer", "nobody").returncode == 1


def test_a_removal_waits_for_all_or_is_forced(lab):
    """Who is away might live on what is taken: it is named, and waited for, unless a person insists."""
    (a, b, c), boxes = three_owners(lab)
    b.kill()
    c.kill()
    wait_until(30, lambda: status_ipam(a).count("unreachable") == 2, "b and c are missed")
    waiting = a.start(a.weave_command("rmpeer", "b"))
    wait_until(10, lambda: "waiting for c" in a.weave("status"), "c is waited for")
    assert waiting.poll() is None
    # Taken, but not used yet: the rest of a's own goes out, and no more.
    free = owned(a)["a"]
    assert re.match(r"\d+ IPs taken over from ", a.weave("rmpeer", "b", "--force", limit=60))
    assert waiting.wait(10) == 0
    assert "waiting for" not in a.weave("status")
    c.launch(*VOTE_OF_THREE, a.ip)
    mesh([a, c])
    wait_until(10, lambda: owned(c) == owned(a) and "b" not in owned(c), "c learns of it")
    assert owned(a)["a"] == free
    others = [box(h) for h in (a, c) for _ in range(5)]
    assert len({x.ip for x in (boxes[0], boxes[2], *others)}) == 12


def test_rolling_reset(lab):
    """330: each in turn hands over what it has, and comes back as somebody new."""
    lan, a, b = pair(lab, "--ipalloc-range", SMALL)
    for h in (a, b):
        box(h).delete()
    wait_until(20, lambda: set(owned(a)) == {"a", "b"}, "both own something")
    for h, other in ((a, b), (b, a)):
        h.weave("reset", "--force", limit=60)
        assert not h.is_running() and "weave" not in h.links()
        wait_until(10, lambda: owned(other) == {other.short: 64}, "the other has all")
        h.launch("--ipalloc-range", SMALL, other.ip)
        mesh([a, b])
        c1, c2 = box(h), box(other)
        assert c1.ip != c2.ip
        wait_until(10, lambda: c1.reaches(c2.ip), "ping")


def test_two_rings_meet(lab):
    """360: different seeds; both say so, and traffic goes on."""
    lan = lab.lan()
    a, b, c = lan.host("a"), lan.host("b"), lan.host("c")
    a.launch("--name", "::1", "--ipalloc-init", "seed=::1,::2")
    b.launch("--name", "::2", "--ipalloc-init", "seed=::1,::2", a.ip)
    c.launch("--name", "::3", "--ipalloc-init", "seed=::2,::3")
    mesh([a, b])
    c1, c2 = box(a), box(c)
    c.weave("connect", a.ip)
    mesh([a, b, c])
    for h in (a, c):
        wait_until(10, lambda: "another ring" in (status_ipam(h) + h.weave("status")).lower(),
                   "the other ring is named")
    assert all(h.is_running() for h in (a, b, c))
    a.weave("attach", "10.2.1.1/24", c1.name)
    c.weave("attach", "10.2.1.2/24", c2.name)
    wait_until(10, lambda: c1.reaches("10.2.1.2"), "traffic")


def test_seeds_need_nobody(lab):
    """380: two that were never connected give out different addresses, then meet."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    seed = ("--ipalloc-init", "seed=::1,::2", "--ipalloc-range", SMALL)
    a.launch("--name", "::1", *seed)
    b.launch("--name", "::2", *seed)
    c1, c2 = box(a), box(b)
    assert c1.ip != c2.ip
    b.weave("connect", a.ip)
    mesh([a, b])
    wait_until(10, lambda: c1.reaches(c2.ip), "ping")
    assert owned(a) == {"a": 32, "b": 32}


def test_another_range_starts_anew_and_comes_back(lab):
    """362"""
    host = lab.lan().host("a")
    host.launch("--ipalloc-range", "10.32.0.0/24")
    c1 = box(host)
    host.weave("stop")
    host.launch("--ipalloc-range", "10.138.0.0/16")
    assert attach(box(host, launched=False)).cidrs == ["10.138.0.1/16"]
    host.weave("stop")
    host.launch("--ipalloc-range", "10.32.0.0/24")
    assert box(host).ip not in (c1.ip,)
    assert c1.ip in call(host, "GET", "/ip")[1]


def test_a_new_name_is_a_new_peer(lab):
    """390, 380: what the old name owned is not this one's."""
    host = lab.lan().host("a")
    host.launch("--name", "::1", "--ipalloc-range", SMALL)
    box(host).delete()
    host.weave("stop")
    host.launch("--name", "::2", "--ipalloc-range", SMALL)
    assert "another name" in host.log() or "was peer" in host.log()
    assert box(host).ip == "10.32.0.1"


def test_space_is_asked_for_when_there_is_none(lab):
    """A peer without space gets some; the last address of all goes out; then it is said."""
    lan, a, b = pair(lab, "--ipalloc-range", "10.32.0.0/27")
    a.weave("prime")
    b.weave("prime")
    got = set()
    for n in range(30):
        status, text = call(b if n % 3 else a, "POST", f"/ip/x{n}")
        assert status == 200, text
        got.add(text.strip())
    assert len(got) == 30
    status, text = call(b, "POST", "/ip/onemore")
    assert status == 500 and "all are in use" in text
    back = call(a, "GET", "/ip/x0")[1].strip()
    assert call(a, "DELETE", "/ip/x0")[0] == 204
    wait_until(10, lambda: call(b, "POST", "/ip/onemore")[0] == 200, "what was given back goes out")
    assert call(b, "GET", "/ip/onemore")[1].strip() == back


# --- the HTTP interface ---------------------------------------------------------------------------

def test_http_interface(lab):
    host = lab.lan().host("a")
    host.launch("--ipalloc-default-subnet", "10.32.1.0/24")
    assert call(host, "GET", "/ipinfo/defaultsubnet") == (200, "10.32.1.0/24")
    assert call(host, "GET", "/ip/c1") == (200, "")
    assert call(host, "POST", "/ip/c1")[1].strip() == "10.32.1.1/24"
    assert call(host, "POST", "/ip/c1")[1].strip() == "10.32.1.1/24"
    assert call(host, "POST", "/ip/c1/10.32.2.0/24")[1].strip() == "10.32.2.1/24"
    assert call(host, "GET", "/ip/c1")[1].split() == ["10.32.1.1/24"]
    assert call(host, "GET", "/ip/c1/10.32.2.0/24")[1].split() == ["10.32.2.1/24"]
    assert call(host, "PUT", "/ip/c2/10.32.1.7/24")[0] == 204
    status, text = call(host, "PUT", "/ip/c3/10.32.1.7/24")
    assert status == 400 and "c2" in text
    for bad in ("10.32.2.1/24", "10.32.2.0/31", "10.64.0.0/24", "x/24", "10.32.2.0/99"):
        assert call(host, "POST", f"/ip/c1/{bad}")[0] == 400, bad
    assert call(host, "DELETE", "/ip/c1/10.32.1.99")[0] == 400
    assert call(host, "DELETE", "/ip/c1/10.32.1.1")[0] == 204
    assert call(host, "DELETE", "/ip/c1")[0] == 204
    assert call(host, "DELETE", "/ip/c1")[0] == 400
    assert call(host, "GET", "/ring")[0] == 200
    everything = call(host, "GET", "/ip")[1]
    assert "c2" in everything and "10.32.1.7" in everything and "c1" not in everything


def test_reset_leaves_nothing(lab):
    host = lab.lan().host("a")
    host.launch("--ipalloc-range", SMALL)
    box(host)
    refused = host.try_weave("reset", limit=60)
    assert refused.returncode == 1 and "in use" in refused.stderr and host.is_running()
    host.weave("reset", "--force", limit=60)
    assert not host.is_running()
    assert not host.state_dir.exists() or not list(host.state_dir.iterdir())
