"""Sealed data paths on a hostile network: somebody between the hosts who changes, drops, doubles,
delays and cuts packets, who listens, and who sends garbage of his own."""

import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time

import pytest

from lab import Host, Namespace, Pinger, iperf, mesh, transfer, wait_until

PASSWORD = "correct horse battery staple"
# Full runs by hand: GARBAGE=1000000, ATTACK_SECONDS=60.
GARBAGE = int(os.environ.get("GARBAGE", "100000"))
ATTACK_SECONDS = int(os.environ.get("ATTACK_SECONDS", "8"))
SEED = int(os.environ.get("WEAVE_SEED", "1"))

SECRET = b"attack at dawn!!"  # what containers say to each other
SEALED = 2  # the type of a datagram


def words(*ips):
    return b"".join(socket.inet_aton(ip) for ip in ips)


# What must never be seen on the underlay: words, inner addresses side by side as in IP and ARP.
PATTERNS = [SECRET, words("10.2.1.1", "10.2.1.2"), words("10.2.1.2", "10.2.1.1")]


class Middle:
    """Two hosts and, between them, somebody who runs attacker.py."""

    def __init__(self, lab, names=("a", "b"), number=1):
        self.space = Namespace(lab, f"mid{number}")
        self.hosts = []
        self.process = None
        for i, short in enumerate(names, 1):
            host = next((h for h in lab.hosts() if h.short == short), None) or Host(lab, short)
            name = f"eth{number}"
            self.space.run(["ip", "link", "add", f"m-{short}", "type", "veth", "peer", "name",
                            name, "netns", host.name])
            self.space.run(["ip", "link", "set", f"m-{short}", "up"])
            # Packets as they are on a wire: whole checksums, no super-frames.
            for place, port in ((self.space, f"m-{short}"), (host, name)):
                place.run(["ethtool", "-K", port, "gro", "off", "gso", "off", "tso", "off", "tx",
                           "off"])
            host.ips.append(f"10.97.{number}.{i}")
            host.run(["ip", "address", "add", f"10.97.{number}.{i}/24", "dev", name])
            host.run(["ip", "link", "set", name, "up"])
            self.hosts.append(host)
        self.ports = [f"m-{short}" for short in names]

    def start(self, percent, actions="all", patterns=PATTERNS):
        self.stop()
        program = pathlib.Path(__file__).with_name("attacker.py")
        self.process = self.space.start([sys.executable, program, *self.ports, percent, actions,
                                         SEED, *[p.hex() for p in patterns]])
        assert self.process.stdout.readline() == "ready\n"
        return self

    def stop(self):
        """What it did and saw."""
        if not self.process:
            return None
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        self.process = None
        return json.loads(out)


def speak(source, target, ip, stop):
    """UDP with the secret, both ways unanswered, until told to stop; also while nothing is up."""
    with source.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        while not stop.is_set():
            for size in (len(SECRET), 900, 4000):
                try:
                    s.sendto((SECRET * (size // len(SECRET) + 1))[:size], (ip, 9))
                except OSError:
                    pass  # the bridge may be gone for a moment
            time.sleep(0.005)


class Speakers:
    """Containers that talk all the time."""

    def __init__(self, *pairs):
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=speak, args=(x, y, y.ip, self._stop))
                         for x, y in pairs]

    def __enter__(self):
        for t in self._threads:
            t.start()

    def __exit__(self, *_):
        self._stop.set()
        for t in self._threads:
            t.join()


def assert_nothing_in_clear(seen):
    assert seen["packets"] > 30, "there was something to see"
    assert seen["clear"] == []
    types = set(seen["udp_types"])
    assert types == {str(SEALED)}, f"datagrams of types {seen['udp_types']}"


def drops(host):
    return {d["Reason"]: d["Count"] for d in host.report()["Router"]["Drops"]}


def refusals(*hosts):
    """Datagrams that do not open, wherever the flipped bit was: epoch, records, what must be zero."""
    return sum(drops(host)[k] for host in hosts for k in ("bad_seal", "bad_epoch", "bad_datagram"))


def launch_sealed(*hosts):
    for i, host in enumerate(hosts):
        host.launch("--password", PASSWORD, *([hosts[0].ip] if i else []))
    mesh(hosts)


def path_up(source, ip, seconds=20):
    wait_until(seconds, lambda: source.reaches(ip, wait=0.5), f"{source.short} pings {ip}")


@pytest.fixture
def pair(lab):
    """Two routers with a password, a container on each, and who sits between them."""
    middle = Middle(lab)
    a, b = middle.hosts
    middle.start(0)
    launch_sealed(a, b)
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    path_up(a.box, b.box.ip)
    yield middle, a, b
    middle.stop()


def test_connections_say_how_they_are_sealed(pair):
    _, a, b = pair
    for host in (a, b):
        attributes = host.connections()[0]["Attrs"]
        assert attributes["encrypted"] is True
        assert attributes["cipher"] in ("AES-256-GCM", "ChaCha20-Poly1305")
        assert attributes["epoch"] == 0
    # what the tag takes is not offered to containers
    assert a.box.ping(b.box.ip, size=1348, dont_fragment=True) == 3


def test_service_goes_on_under_attack(pair, say):
    middle, a, b = pair
    assert_nothing_in_clear(middle.stop())
    # A heartbeat that comes before the other end's SETUP meets no keys: half of all starts have one.
    before = refusals(a, b)
    middle.start(1)
    memory = [h.memory_kb() for h in (a, b)]
    pids = [h.pid for h in (a, b)]
    pinger = Pinger(a.box, b.box.ip)
    speed = iperf(a.box, b.box, b.box.ip, ATTACK_SECONDS)
    back = iperf(b.box, a.box, a.box.ip, ATTACK_SECONDS)
    transfer(a.box, b.box, b.box.ip, 2_000_000, limit=60)
    answered = len(pinger.stop().times)
    seen = middle.stop()
    assert_nothing_in_clear(seen)
    for host in (a, b):
        counted = drops(host)
        assert counted["bad_seal"] > 0 and counted["replay"] > 0, counted
        assert counted["not_sealed"] == 0, counted
    refused = refusals(a, b) - before
    assert refused <= seen["truncate"] + seen["modify"], "what nobody changed is taken"
    assert all(seen[action] > 0 for action in ("drop", "duplicate", "reorder", "truncate",
                                               "modify")), seen
    assert answered > 100
    assert [h.pid for h in (a, b)] == pids
    for host, kb in zip((a, b), memory):
        assert host.memory_kb() < kb + 6000, "memory stays flat"
    # in peace again all is well
    middle.start(0)
    path_up(a.box, b.box.ip)
    assert a.box.ping(b.box.ip, count=20) == 20
    say(f"1 % attacked: {seen['packets']} packets, iperf3 {speed / 1e6:.0f} and "
        f"{back / 1e6:.0f} Mbit/s, {answered} pings answered, drops {drops(b)['bad_seal']} "
        "unsealed")


def test_changed_control_messages_end_the_connection_and_it_comes_back(pair):
    middle, a, b = pair
    assert_nothing_in_clear(middle.stop())
    middle.start(100, "modify")
    with Speakers((a.box, b.box), (b.box, a.box)):
        wait_until(30, lambda: [c for h in (a, b) for c in h.connections()
                                if "changed on its way" in c["Info"]], "the change is noticed")
    assert_nothing_in_clear(middle.stop())
    middle.start(0)
    mesh([a, b], 30)
    path_up(a.box, b.box.ip)
    assert a.box.ping(b.box.ip, count=20) == 20


def test_the_underlay_shows_nothing_while_routers_come_and_go(lab):
    middle = Middle(lab)
    a, b = middle.hosts
    middle.start(0)
    launch_sealed(a, b)
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    with Speakers((a.box, b.box), (b.box, a.box)):
        path_up(a.box, b.box.ip)
        # killed and started again, in turn and both at once; told to stop; another password
        for ends in ([a], [b], [a, b]):
            for host in ends:
                host.kill()
            for host in ends:
                host.launch("--password", PASSWORD, *[h.ip for h in (a, b) if h is not host])
            path_up(a.box, b.box.ip, 30)
        b.weave("stop")
        b.launch("--password", "another one", a.ip)
        wait_until(20, lambda: [c for c in b.connections() if c["State"] != "established"
                                and "password" in c["Info"]], "the refusal is shown")
        assert not a.box.reaches(b.box.ip, wait=0.5)
        b.weave("stop")
        b.launch("--password", PASSWORD, a.ip)
        path_up(a.box, b.box.ip, 30)
        # the link goes away under it and comes back
        middle.space.run(["ip", "link", "set", middle.ports[1], "down"])
        wait_until(10, lambda: not a.box.reaches(b.box.ip, wait=0.3), "cut")
        middle.space.run(["ip", "link", "set", middle.ports[1], "up"])
        path_up(a.box, b.box.ip, 30)
    assert_nothing_in_clear(middle.stop())


def test_a_relay_seals_each_hop(lab):
    left, right = Middle(lab, ("a", "r"), 1), Middle(lab, ("r", "b"), 2)
    a, r = left.hosts
    b = right.hosts[1]
    left.start(0)
    right.start(0)
    r.launch("--password", PASSWORD, "--no-discovery")
    a.launch("--password", PASSWORD, "--no-discovery", left.hosts[1].ips[0])
    b.launch("--password", PASSWORD, "--no-discovery", r.ips[1])
    mesh([a, r])
    mesh([b, r])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    path_up(x, "10.2.1.2")
    with Speakers((x, y)):
        transfer(x, y, "10.2.1.2", 500_000)
        assert x.ping("10.2.1.2", size=8000) == 3
    assert_nothing_in_clear(left.stop())
    assert_nothing_in_clear(right.stop())


SPRAY = r"""
import os, random, socket, struct, sys
source, target, header, count, seed = sys.argv[1:]
count, header, r = int(count), bytes.fromhex(header), random.Random(int(seed))
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
counter = struct.unpack("!Q", header[8:16])[0]
noise = r.randbytes(1 << 20)
for i in range(count):
    at = r.randrange(len(noise) - 1500)
    body = noise[at:at + r.randrange(1, 1400)]
    kind = i % 4
    if kind == 1:  # right up to the seal
        body = header[:8] + struct.pack("!Q", counter + 1000 + i) + body
    elif kind == 2:  # of the next epoch
        body = bytes([header[0], (header[1] + 1) & 255]) + header[2:8] \
            + struct.pack("!Q", counter + 1000 + i) + body
    elif kind == 3:  # in clear
        body = b"\1\0\0\0" + header[4:16] + body
    udp = struct.pack("!HHHH", 6783, 6783, 8 + len(body), 0) + body
    ip = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                     socket.inet_aton(source), socket.inet_aton(target))
    try:
        s.sendto(ip + udp, (target, 0))
    except OSError:
        pass
"""


def test_garbage_with_right_headers_is_only_counted(lab, say):
    """From the address of the peer, with what an eavesdropper knows: index, epoch, counter."""
    lan = lab.lan()
    a, b, evil = lan.host("a"), lan.host("b"), lan.host("evil")
    launch_sealed(a, b)
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    path_up(a.box, b.box.ip)
    with lan.switch.capture("p-b", lambda f: f[23] == 17 and f[36:38] == b"\x1a\x7f"
                            and len(f) > 66) as capture:
        wait_until(20, lambda: capture.frames, "a datagram of b passes")
    header = capture.frames[0][42:58]
    assert header[0] == SEALED
    spray = lambda count: evil.run([sys.executable, "-c", SPRAY, b.ip, a.ip, header.hex(), count,
                                    SEED], limit=600)
    spray(2000)  # whatever is needed once
    memory, before = a.memory_kb(), drops(a)
    pinger = Pinger(b.box, a.box.ip, interval=0.05)
    start = time.monotonic()
    spray(GARBAGE)
    took = time.monotonic() - start
    answered = len(pinger.stop().times)
    after = drops(a)
    counted = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    assert a.memory_kb() < memory + 1000, "memory stays flat"
    for reason in ("bad_seal", "not_sealed", "bad_datagram"):
        assert counted.get(reason, 0) > GARBAGE / 20, counted
    assert sum(counted.values()) <= GARBAGE + 100, "nothing was taken for good"
    assert answered > 5
    assert a.is_meshed(b)
    assert a.box.ping(b.box.ip, count=20) == 20
    say(f"{GARBAGE} garbage datagrams in {took:.1f} s: {counted}, {answered} of about "
        f"{took / 0.05:.0f} pings answered, memory {memory} -> {a.memory_kb()} KB")
