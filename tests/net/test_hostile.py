"""Peers that send garbage, half a frame, nothing, or never read; and datagrams from nobody.

The router stays up, its memory stays flat, other peers are not disturbed, and it says why it ended
a connection: to the other side, in the log and, for addresses that it dials, in its status."""

import contextlib
import os
import socket
import struct
import threading
import time

import pytest

from lab import mesh, wait_until

HELLO, CLOSE, HEARTBEAT, ENTRIES = 1, 2, 4, 5


def frame(kind, body):
    return struct.pack("!IB", len(body) + 1, kind) + body


def tlv(number, value):
    return struct.pack("!BH", number, len(value)) + value


def hello(name=bytes.fromhex("7a0000000001"), generation=1, instance=os.urandom(8), port=6783):
    return frame(HELLO, tlv(1, name) + tlv(2, b"fake") + tlv(3, struct.pack("!Q", generation))
                 + tlv(4, instance) + tlv(5, os.urandom(8)) + tlv(6, struct.pack("!H", port))
                 + tlv(7, b"\1") + tlv(9, b"\0"))


PREAMBLE = b"weave\3\3"


class FakePeer:
    """A TCP connection to a router from a program of our own."""

    def __init__(self, place, ip):
        self.socket = place.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.settimeout(15)
        self.socket.connect((ip, 6783))
        self.buffer = b""

    def send(self, data):
        with contextlib.suppress(OSError):  # it may have closed already
            self.socket.sendall(data)
        return self

    def take(self, size):
        while len(self.buffer) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self.buffer += chunk
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read_frame(self):
        size, kind = struct.unpack("!IB", self.take(5))
        return kind, self.take(size - 1)

    def expect_close(self):
        """The reason with which the other side ends this, or "" when it just ends."""
        try:
            if self.take(7)[:5] != b"weave":
                raise AssertionError("no preamble")
            while True:
                kind, body = self.read_frame()
                if kind == CLOSE:
                    return body[4:].decode(errors="replace")
        except (EOFError, ConnectionError):
            return ""

    def establish(self, **options):
        self.send(PREAMBLE + hello(**options))
        assert self.take(7)[:5] == b"weave"
        kind, _ = self.read_frame()
        assert kind == HELLO
        return self

    def close(self):
        self.socket.close()


@pytest.fixture(scope="module")
def world(module_lab):
    lan = module_lab.lan()
    a, b, evil = lan.host("a"), lan.host("b"), lan.host("evil")
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: a.box.reaches(b.box.ip), "ping")
    return a, b, evil


@pytest.fixture
def checked(world):
    """After each attack the router must be what it was."""
    a, b, evil = world
    pid, connections, memory = a.pid, a.connections(), a.memory_kb()
    instance = a.report()["Router"]["UID"]
    yield a, b, evil
    assert a.pid == pid and a.is_running()
    assert a.report()["Router"]["UID"] == instance
    assert a.memory_kb() < memory + 6000, "memory stays flat"
    assert a.box.ping(b.box.ip, count=10) == 10
    assert a.is_meshed(b)
    assert len(connections) >= 1


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": b"\0" * 1000,
    "random": bytes(range(256)) * 8,
    "other-magic": b"waeve\3\3" + b"x" * 100,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_instead_of_a_preamble(checked, kind):
    a, b, evil = checked
    peer = FakePeer(evil, a.ip).send(GARBAGE[kind])
    start = time.monotonic()
    peer.expect_close()
    assert time.monotonic() - start < 11
    assert a.established() == ["b"]
    assert evil.ip in a.log()


def test_only_old_protocol_versions(checked):
    a, _, evil = checked
    # A peer of those versions could not read our CLOSE: it gets our preamble, and the end.
    reason = FakePeer(evil, a.ip).send(b"weave\1\2").expect_close()
    assert reason == "" or "version" in reason
    wait_until(2, lambda: "version" in a.weave("status", "connections"), "status says why")


HALF = {
    "huge-length": struct.pack("!IB", 0xffffffff, HELLO) + b"x" * 100,
    "zero-length": struct.pack("!I", 0) + b"x" * 100,
    "unknown-type-first": frame(99, b"x"),
    "entries-before-hello": frame(ENTRIES, b"\0" * 60),
    "empty-hello": frame(HELLO, b""),
    "cut-tlv": frame(HELLO, b"\1\0\6abc"),
    "zero-name": hello(name=b"\0" * 6),
    "generation-too-large": hello(generation=1 << 62),
    "control-characters": frame(HELLO, hello()[5:].replace(b"fake", b"\x1b[2J")),
}


@pytest.mark.parametrize("kind", HALF)
def test_wrong_hello_is_refused_with_a_reason(checked, kind):
    a, _, evil = checked
    reason = FakePeer(evil, a.ip).send(PREAMBLE + HALF[kind]).expect_close()
    assert reason, "the reason is told"
    assert a.established() == ["b"]
    assert "\x1b" not in a.log() + a.weave("status", "connections")


def test_half_a_hello_and_silence(checked):
    """The handshake ends after ten seconds, and does not keep anything meanwhile."""
    a, _, evil = checked
    peer = FakePeer(evil, a.ip).send(PREAMBLE + hello()[:20])
    start = time.monotonic()
    peer.socket.settimeout(20)
    peer.expect_close()
    assert 5 < time.monotonic() - start < 15


def test_many_silent_connections(checked):
    """At most 64 in handshake at once: the oldest goes, and real peers still come in."""
    a, b, evil = checked
    peers = []
    for _ in range(300):
        with contextlib.suppress(OSError):
            peers.append(FakePeer(evil, a.ip))
    assert a.is_running()
    c = next((h for h in a.lab.hosts() if h.short == "c"), None) or a.lab.lans[0].host("c")
    c.launch(a.ip)
    mesh([a, c], 30)
    c.weave("reset")
    for peer in peers:
        peer.close()


WRONG_AFTER_HELLO = {
    "unknown-type": frame(200, b"x" * 10),
    "second-hello": hello(),
    "short-heartbeat": frame(HEARTBEAT, b"x"),
    "garbage-entries": frame(ENTRIES, os.urandom(500)),
    "too-long": struct.pack("!IB", 65537, ENTRIES),
}


@pytest.mark.parametrize("kind", WRONG_AFTER_HELLO)
def test_wrong_frame_after_the_handshake(checked, kind):
    a, _, evil = checked
    peer = FakePeer(evil, a.ip).establish()
    peer.send(WRONG_AFTER_HELLO[kind])
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            number, body = peer.read_frame()
            if number == CLOSE:
                assert len(body) > 4
                break
    wait_until(5, lambda: not [c for c in a.connections() if c["NickName"] == "fake"
                               and c["State"] in ("established", "pending")], "the connection is gone")


def test_names_itself_like_the_router(checked):
    a, b, evil = checked
    own = bytes.fromhex(a.report()["Router"]["Name"].replace(":", ""))
    reason = FakePeer(evil, a.ip).send(PREAMBLE + hello(name=own)).expect_close()
    assert reason
    assert a.is_meshed(b)


def test_silent_after_the_handshake(checked):
    """No echo of a heartbeat for ten seconds: dead."""
    a, _, evil = checked
    peer = FakePeer(evil, a.ip).establish()
    start = time.monotonic()
    peer.socket.settimeout(30)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            kind, body = peer.read_frame()
            if kind == CLOSE:
                assert len(body) > 4
    assert time.monotonic() - start < 20


def test_peer_that_never_reads(checked):
    """It keeps sending; what we owe it costs no memory and no time of others."""
    a, b, evil = checked
    before = a.memory_kb()
    peer = FakePeer(evil, a.ip)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.send(PREAMBLE + hello())
    boxes = []
    for i in range(20):
        boxes.append(b.container(f"10.2.3.{i + 1}/24"))
        assert a.box.reaches(b.box.ip)
    for box in boxes:
        b.weave("detach", box.name)
        box.delete()
    assert a.memory_kb() < before + 4000
    wait_until(30, lambda: not [c for c in a.connections() if c["NickName"] == "fake"
                                and c["State"] in ("established", "pending")], "it was given up")
    peer.close()


def test_flood_of_connections(checked):
    """Open, send a little, reset: a thousand times."""
    a, _, evil = checked
    linger = struct.pack("ii", 1, 0)
    for i in range(1000):
        with contextlib.suppress(OSError):
            peer = FakePeer(evil, a.ip)
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.send(PREAMBLE[:i % 8] if i % 3 else os.urandom(i % 200))
            peer.close()
    assert len(os.listdir(f"/proc/{a.pid}/fd")) < 200
    assert len(a.log()) < 2_000_000


def test_garbage_datagrams(checked):
    a, b, evil = checked
    with evil.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for i in range(20000):
            s.sendto(os.urandom(i % 1400), (a.ip, 6783))
    drops = {d["Reason"]: d["Count"] for d in a.report()["Router"]["Drops"]}
    assert sum(drops.values()) > 0, "they are counted"
    assert a.is_meshed(b)


def test_replayed_and_mangled_datagrams(checked):
    """What really went over the wire, sent again by a stranger, whole, cut and with bits turned."""
    a, b, evil = checked
    with a.capture("eth1", lambda f: f[12:14] == b"\x08\x00" and f[23] == 17) as capture:
        a.box.ping(b.box.ip, count=20, interval=0.01)
        wait_until(2, lambda: len(capture.frames) >= 10, "some were captured")
    payloads = [f[42:] for f in capture.frames]
    before = {d["Reason"]: d["Count"] for d in a.report()["Router"]["Drops"]}
    with evil.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, \
            a.box.capture("ethwe", lambda f: f[12:14] == b"\x08\x00") as seen:
        for payload in payloads:
            s.sendto(payload, (a.ip, 6783))
            for cut in range(0, len(payload), 7):
                s.sendto(payload[:cut], (a.ip, 6783))
            for i in range(min(len(payload), 40)):
                s.sendto(payload[:i] + bytes([payload[i] ^ 0x41]) + payload[i + 1:], (a.ip, 6783))
        time.sleep(0.5)
        assert not seen.frames, "nothing of it reached a container"
    after = {d["Reason"]: d["Count"] for d in a.report()["Router"]["Drops"]}
    assert sum(after.values()) > sum(before.values())


def listen(place, answer):
    """A server on 6783 that sends 'answer' to whoever connects; stops when it is closed."""
    listener = place.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((place.ip, 6783))
    listener.listen(5)
    kept = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                kept.append(connection)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener, kept


@pytest.mark.parametrize("answer, word", [
    (b"weave\1\2", "version"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "weave"),
    (PREAMBLE + frame(CLOSE, struct.pack("!HH", 1, 14) + b"closed for tea"), "closed for tea"),
], ids=["version", "not-weave", "told"])
def test_status_says_why_a_target_fails(checked, answer, word):
    a, _, evil = checked
    listener, kept = listen(evil, answer)
    try:
        a.weave("connect", evil.ip)

        def shown():
            mine = [c for c in a.connections() if c["Address"].startswith(f"{evil.ip}:")]
            return any(word in str(c["Error"]) for c in mine)

        wait_until(10, shown, f"status connections shows '{word}'")
        assert word in a.weave("status", "connections")
    finally:
        a.weave("forget", evil.ip)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in kept:
            connection.close()


def test_api_gets_garbage(checked):
    a, _, _ = checked
    for data in (b"\0" * 5000, b"GET " + b"/x" * 100000, b"POST /connect HTTP/1.1\r\n"
                 b"Content-Length: 99999999999\r\n\r\n", b"BREW /pot HTTP/1.1\r\n\r\n"):
        for family, address in ((socket.AF_UNIX, str(a.run_dir / "weave.sock")),
                                (socket.AF_INET, ("127.0.0.1", 6784))):
            with a.socket(family, socket.SOCK_STREAM) as s, contextlib.suppress(OSError):
                s.settimeout(2)
                s.connect(address)
                s.sendall(data)
                s.recv(100)
    silent = [a.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(50)]
    for s in silent:
        with contextlib.suppress(OSError):
            s.settimeout(2)
            s.connect(("127.0.0.1", 6784))
    assert a.weave("status")  # over the other listener
    for s in silent:
        s.close()
