"""Routers with passwords: who gets in, what is said about the others, and what can be seen between."""

import contextlib
import os
import pathlib
import re
import socket
import struct
import threading
import time

from lab import wait_until

SECRET = "correct horse battery staple"
MARK = b"inner-bytes-of-a-container"


class Underlay:
    """All frames that pass the switch of 'lan' from or to its hosts."""

    def __init__(self, lan):
        self.captures = [lan.switch.capture(f"p-{h.short}") for h in lan.hosts]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        for capture in self.captures:
            self.stack.enter_context(capture)
        return self

    def __exit__(self, *_):
        self.stack.close()

    def frames(self):
        return [f for c in self.captures for f in c.frames]

    def saw(self, what):
        return any(what in frame for frame in self.frames())


def talk(sender, receiver, count=20):
    """Datagrams with MARK from container to container; how many came."""
    inbox = receiver.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbox.bind((receiver.ip, 5000))
    inbox.settimeout(0.5)
    outbox = sender.socket(socket.AF_INET, socket.SOCK_DGRAM)
    came = 0
    for _ in range(count):
        outbox.sendto(MARK * 3, (receiver.ip, 5000))
        with contextlib.suppress(socket.timeout):
            came += inbox.recv(4096) == MARK * 3
    inbox.close()
    outbox.close()
    return came


def connection(host, number=0):
    return host.connections()[number]


def error_of(host, peer_ip=None):
    """The text of status about a connection that failed."""
    for c in host.connections():
        if c["State"] in ("failed", "retrying") and c["Error"] and \
                (peer_ip is None or c["Address"].startswith(peer_ip)):
            return c["Error"]
    return ""


def metric(host, name):
    text = host.run("curl -s http://127.0.0.1:6784/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith((name + " ", name + "{")))


def test_nothing_of_containers_or_hosts_is_seen_between(lab):
    lan = lab.lan()
    a, b = lan.host("aliceblue"), lan.host("bisque")
    with Underlay(lan) as seen:
        a.launch("--password", SECRET)
        b.launch("--password", SECRET, a.ip)
        wait_until(10, lambda: a.is_meshed(b) and b.is_meshed(a), "the two are connected")
        c, d = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
        wait_until(10, lambda: c.reaches(d.ip), "containers reach each other")
        assert talk(c, d) >= 19
        # While the connection goes and comes, too.
        for _ in range(3):
            stop = c.start(["ping", "-n", "-q", "-i", "0.01", "-p", MARK[:16].hex(), d.ip])
            b.weave("stop")
            b.launch("--password", SECRET, a.ip)
            wait_until(10, lambda: c.reaches(d.ip), "containers reach each other again")
            stop.terminate()
            stop.wait()
        talk(c, d)
    assert len(seen.frames()) > 100
    for what in (MARK[:8], b"aliceblue", b"bisque", SECRET.encode()):
        assert not seen.saw(what), what
    # The same without a password, so that the check can fail.
    with Underlay(lan) as seen:
        for host, peers in ((a, []), (b, [a.ip])):
            host.weave("stop")
            host.launch(*peers)
        wait_until(10, lambda: c.reaches(d.ip), "containers reach each other in clear")
        talk(c, d)
    for what in (MARK[:8], b"aliceblue", b"bisque"):
        assert seen.saw(what), what


def test_status_says_what_is_encrypted_and_how(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--password", SECRET)
    b.launch("--password", SECRET, a.ip)
    wait_until(10, lambda: a.is_meshed(b) and b.is_meshed(a), "the two are connected")
    for host in (a, b):
        assert re.search(r"Encryption: enabled", host.weave("status"))
        line = host.weave("status", "connections")
        assert re.search(r"established encrypted   sleeve .* encrypted=true cipher=\S+ mtu=\d+",
                         line), line
        attributes = connection(host)["Attrs"]
        assert attributes["encrypted"] is True
        assert attributes["cipher"] in ("AES-256-GCM", "ChaCha20-Poly1305")
        report = host.report()
        assert report["Router"]["Encryption"] is True
        assert SECRET not in host.weave("report") and SECRET not in host.log()
        text = host.run("curl -s http://127.0.0.1:6784/metrics")
        assert 'weave_connections{state="established",type="sleeve",encryption="yes"} 1' in text


def test_the_password_is_in_no_list_of_processes(lab, tmp_path):
    lan = lab.lan()
    a = lan.host("a")
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    ways = [(("--password", SECRET), {}), ((f"--password={SECRET}",), {}),
            ((), {"WEAVE_PASSWORD": SECRET}), (("--password-file", str(file)), {}),
            (("--password-file", str(file)), {"WEAVE_PASSWORD": "something else"})]
    for args, env in ways:
        result = a.try_weave("launch", *args, env=env)
        assert result.returncode == 0, result.stderr
        for what in ("cmdline", "environ"):
            text = pathlib.Path(f"/proc/{a.pid}/{what}").read_bytes()
            assert SECRET.encode() not in text, (args, env, what)
            assert b"something else" not in text
        assert "Encryption: enabled" in a.weave("status")
        assert SECRET not in a.log()
        a.weave("stop")


def test_weaver_itself_wipes_its_arguments(lab):
    """Without `weave launch`, as a service manager would start it."""
    from lab import BIN
    lan = lab.lan()
    a = lan.host("a")
    a.start([BIN / "weaver", "--run-dir", a.run_dir, "--state-dir", a.state_dir,
             f"--password={SECRET}"], env={**os.environ, "WEAVE_PASSWORD": "hush"},
            stdout=(lab.dir / "out").open("w"))
    wait_until(10, lambda: "Encryption: enabled" in a.weave("status"), "the router answers")
    for what in ("cmdline", "environ"):
        text = pathlib.Path(f"/proc/{a.pid}/{what}").read_bytes()
        assert SECRET.encode() not in text and b"hush" not in text, (what, text)


MISTAKES = [
    (("--password", ""), {}, "the password is empty"),
    (("--password", "x" * 1025), {}, "longer than 1024 bytes"),
    (("--password-file", "/no/such/file"), {}, "cannot open /no/such/file: No such file"),
    (("--password-file", "/proc/self/mem"), {}, "cannot be read"),
    (("--password-file", "EMPTY"), {}, "the password is empty"),
    (("--password-file", "LONG"), {}, "longer than 1024 bytes"),
    (("--password-file", "ZERO"), {}, "zero byte"),
    (("--password-file", "THREE"), {}, "more than 2 lines"),
    (("--password", "x", "--password-file", "GOOD"), {}, "give one of"),
    (("--trusted-subnets", "10.0.0.0/8,here"), {}, "'here' is not"),
    ((), {"WEAVE_PASSWORD": "x" * 1025}, "longer than 1024 bytes"),
]


def test_mistakes_are_named_and_start_nothing(lab, tmp_path):
    lan = lab.lan()
    a = lan.host("a")
    for name, content in (("EMPTY", b"\n"), ("LONG", b"y" * 1025), ("ZERO", b"a\0b"),
                          ("THREE", b"a\nb\nc\n"), ("GOOD", b"fine")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    for args, env, message in MISTAKES:
        args = [str(tmp_path / w) if w.isupper() else w for w in args]
        result = a.try_weave("launch", *args, env=env)
        assert result.returncode == 1, args
        assert message in result.stderr, (args, result.stderr)
        assert "xx" not in result.stderr and "yy" not in result.stderr
        assert not a.is_running()


def test_a_file_that_others_may_read_is_warned_of(lab, tmp_path):
    lan = lab.lan()
    a = lan.host("a")
    file = tmp_path / "password"
    file.write_text("old\r\nnew\n")
    for mode, warned in ((0o644, True), (0o600, False)):
        file.chmod(mode)
        a.launch("--password-file", file)
        assert (f"others than its owner may read {file}" in a.log()) == warned
        a.weave("stop")
        (a.run_dir / "weaver.log").unlink()


def test_a_wrong_password_is_told_apart_from_a_broken_network(lab):
    lan = lab.lan()
    a, b, c, d = (lan.host(name) for name in "abcd")
    with Underlay(lan) as seen:
        a.launch("--password", SECRET)
        b.launch("--password", "wrong one", a.ip)
        c.launch(a.ip)
        d.launch("--password", SECRET, "10.99.1.77")
        wait_until(10, lambda: error_of(b, a.ip), "b says why it is refused")
        wait_until(10, lambda: error_of(c, a.ip), "c says why it is refused")
        wait_until(10, lambda: error_of(d), "d says that nobody is there")
        assert error_of(b) == "the other end says: passwords differ"
        assert "password" in error_of(c)
        assert "password" not in error_of(d)
        # And so does a, about both.
        texts = wait_until(10, lambda: len({x["Error"] for x in a.connections()}) >= 2 and
                           "\n".join(x["Error"] for x in a.connections()), "a says so too")
        assert "passwords differ" in texts
        assert "a password is set here, but not at the other end" in texts
        assert re.search(r"<- 10\.99\.1\.2:\d+ +failed +passwords differ",
                         a.weave("status", "connections"))
        assert metric(a, "weave_authentication_failures_total") >= 2
        assert a.established() == b.established() == c.established() == []
    assert not seen.saw(SECRET.encode()) and not seen.saw(b"wrong one")


def test_data_is_in_clear_only_where_both_trust_the_network(lab):
    lan = lab.lan()
    a, b, c = lan.host("antique"), lan.host("beige"), lan.host("cornsilk")
    trust = ("--password", SECRET, "--trusted-subnets", "10.99.0.0/16,fd99::/16")
    with Underlay(lan) as seen:
        a.launch(*trust)
        b.launch(*trust, a.ip)
        wait_until(10, lambda: a.is_meshed(b), "the two are connected")
        ca, cb = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
        wait_until(10, lambda: ca.reaches(cb.ip), "containers reach each other")
        assert talk(ca, cb) >= 19
    assert seen.saw(MARK)
    assert not seen.saw(b"antique") and not seen.saw(b"beige")
    line = a.weave("status", "connections")
    assert re.search(r"unencrypted (sleeve|fastdp) .* trusted=true", line), line
    assert re.search(r"TrustedSubnets: 10\.99\.0\.0/16, fd99::/16", a.weave("status"))
    # One that does not trust us back is sealed.
    with Underlay(lan) as seen:
        c.launch("--password", SECRET, a.ip)
        wait_until(10, lambda: c.is_meshed(a), "c is connected")
        cc = c.container("10.2.1.3/24")
        wait_until(10, lambda: ca.reaches(cc.ip), "containers reach each other")
        assert talk(ca, cc) >= 19
    assert not seen.saw(MARK)
    assert connection(c)["Attrs"].get("encrypted") is True


class Ping:
    """Pings every 20 ms in the background; afterwards how many of them had no answer."""

    def __init__(self, source, ip):
        self.process = source.start(["ping", "-n", "-i", "0.02", ip], stdout=-1)

    def lost(self):
        self.process.send_signal(2)
        out, _ = self.process.communicate(timeout=10)
        sent = int(re.search(r"(\d+) packets transmitted", out).group(1))
        came = {int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", out)}
        assert sent > 50
        # The last ones may have been on their way when it was stopped.
        under_way = sent - max(came)
        assert under_way <= 5
        return sent - len(came) - under_way


def rotate(host, secret=None, *args):
    """`weave password rotate`; the secret by standard input."""
    command = ["rotate", *args] if secret is None else ["rotate", "--password-file", "-"]
    import subprocess
    return subprocess.run(host.command(host.weave_command("password", *command)),
                          input=secret, capture_output=True, text=True, timeout=30)


def test_a_network_changes_its_password_while_it_works(lab, tmp_path):
    lan = lab.lan()
    hosts = [lan.host(name) for name in ("a", "b", "c")]
    a, b, c = hosts
    new = tmp_path / "new"
    new.write_text("the new one\n")
    new.chmod(0o600)
    for host in hosts:
        host.launch("--password", SECRET, *([] if host is a else [a.ip]))
    wait_until(10, lambda: all(len(h.established()) == 2 for h in hosts), "a mesh of three")
    ca, cb = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: ca.reaches(cb.ip), "containers reach each other")
    before = a.report()["Router"]["TerminationCount"]
    assert a.weave("password") == "One password is accepted.\n"
    with Underlay(lan) as seen:
        ping = Ping(ca, cb.ip)
        # By file on one, by standard input on the others, in any order.
        result = rotate(b, "the new one\n")
        assert result.returncode == 0, result.stderr
        assert "still accepted" in result.stdout
        text = b.weave("password")
        assert "Two passwords are accepted" in text
        assert re.search(r"2 peers have not yet: \S+\((a|c)\), \S+\((a|c)\)", text), text
        assert "the password is being changed: 2 connections rest" in b.weave("status")
        # Too early: nobody else has it.
        result = rotate(b, None, "--finish")
        assert result.returncode == 1 and "would cut off 2 peers" in result.stderr
        a.weave("password", "rotate", "--password-file", new)
        wait_until(10, lambda: "1 peer has proved to know the new one" in a.weave("password"),
                   "a and b have proved it to each other")
        assert rotate(c, "the new one").returncode == 0
        for host in hosts:
            wait_until(10, lambda h=host: "0 peers have not yet" in h.weave("password"),
                       "all have proved it")
        # A host that is launched meanwhile with either is let in.
        for secret in (SECRET, "the new one"):
            d = lan.host(f"d{len(lan.hosts)}")
            d.launch("--password", secret, a.ip)
            wait_until(10, lambda: d.is_meshed(*hosts), "it is let in")
            d.weave("stop")
        wait_until(10, lambda: all(len(h.established()) == 2 for h in hosts), "three again")
        ended = a.report()["Router"]["TerminationCount"]
        for host in hosts:
            result = rotate(host, None, "--finish")
            assert result.returncode == 0, result.stderr
        assert a.weave("password") == "One password is accepted.\n"
        assert a.report()["Router"]["TerminationCount"] == ended
        assert ended - before == 2  # the two guests
        assert ping.lost() == 0
    for what in (SECRET.encode(), b"the new one"):
        assert not seen.saw(what)
        assert what.decode() not in a.log() + b.log() + c.log()
    # The old one is worth nothing now.
    d = lan.host("late")
    d.launch("--password", SECRET, a.ip)
    assert wait_until(10, lambda: error_of(d), "it is refused") == \
        "the other end says: passwords differ"


def copies_in_memory(pid, secret):
    """Where in the memory of a process a secret stands: the names of its mappings."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, access, _, _, _, *name = line.split(maxsplit=5)
            if access[0] != "r" or name and name[0].startswith("[v"):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            memory.seek(start)
            with contextlib.suppress(OSError):
                data = memory.read(end - start)
                found += [(access, *(n.strip() for n in name))] * data.count(secret)
    return found


def test_passwords_stand_in_guarded_memory_only(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    # Long enough that no buffer takes it at once, and the same when it is encoded.
    first, second = "first" + 40 * "-long-secret", "second" + 40 * "-other-secret"
    a.launch("--password", first)
    b.launch("--password", first, a.ip)
    wait_until(10, lambda: a.is_meshed(b), "the two are connected")
    assert rotate(a, second).returncode == 0
    assert rotate(b, second).returncode == 0
    wait_until(10, lambda: "1 peer has proved" in a.weave("password"), "b has it")
    for secret in (first, second):
        # The beginning, too: a part of it is as good for a guess.
        assert copies_in_memory(a.pid, secret.encode()) == [("r--p",)]
        assert copies_in_memory(a.pid, secret[:24].encode()) == [("r--p",)]
    assert rotate(a, None, "--finish").returncode == 0
    assert copies_in_memory(a.pid, first[:24].encode()) == []


def test_a_change_can_be_taken_back_or_forced(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--password", SECRET)
    b.launch("--password", SECRET, a.ip)
    wait_until(10, lambda: a.is_meshed(b) and b.is_meshed(a), "the two are connected")
    assert rotate(a, "mistyped").returncode == 0
    assert "is changing its password already" in rotate(a, "another").stderr
    assert "preferred one already" in rotate(a, "mistyped").stdout
    assert "Only the former password" in rotate(a, None, "--cancel").stdout
    assert "nothing to end" in rotate(a, None, "--finish").stdout
    assert a.established() == ["b"]
    # b does not follow, and is cut off in the end.
    assert rotate(a, "the new one").returncode == 0
    result = rotate(a, None, "--finish", "--force")
    assert result.returncode == 0 and "Only the new password" in result.stdout
    wait_until(10, lambda: a.established() == [] and b.established() == [], "b is cut off")
    assert "password" in wait_until(10, lambda: error_of(b), "b says why")
    assert rotate(b, "the new one").returncode == 0
    wait_until(15, lambda: a.is_meshed(b) and b.is_meshed(a), "b has followed")
    for secret, message in (("", "is empty"), ("\n", "is empty"), ("x" * 1025, "longer than"),
                            ("a\0b", "zero byte")):
        result = rotate(b, secret)
        assert result.returncode == 1 and message in result.stderr, (secret, result.stderr)
    c = lan.host("c")
    c.launch()
    assert "No password is set" in c.weave("password")
    result = rotate(c, "x")
    assert result.returncode == 1 and "runs without a password" in result.stderr
    # Not on the read-only address.
    code = b.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                  "http://127.0.0.1:6784/password"])
    assert code == "403"


def ethernet(source, target, payload):
    return bytes.fromhex(target.replace(":", "") + source.replace(":", "")) + b"\x08\x00" + payload


def ipv4(source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    total = (total >> 16) + (total & 0xffff)
    total = ~((total >> 16) + total) & 0xffff
    return head[:10] + struct.pack("!H", total) + head[12:] + payload


def udp(port, payload):
    return struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload


def mac_of(place, interface):
    return place.links()[interface]["address"]


def test_nothing_in_clear_is_let_in(lab):
    """VXLAN from anywhere, also in the name of a peer: nothing of it gets to a container."""
    lan = lab.lan()
    a, b, evil = lan.host("a"), lan.host("b"), lan.host("evil")
    a.launch("--password", SECRET)
    b.launch("--password", SECRET, a.ip)
    wait_until(10, lambda: a.is_meshed(b) and b.is_meshed(a), "the two are connected")
    ca, cb = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: ca.reaches(cb.ip), "containers reach each other")
    box = next(name for name in ca.links() if name != "lo").split("@")[0]

    def inner(source):
        return ethernet(source, mac_of(ca, box), ipv4(cb.ip, ca.ip, 17, udp(5000, MARK * 2)))

    with ca.capture(box) as heard:
        for outer in (evil.ip, b.ip):
            for vni in (0, 1, 0xffffff):
                for source in (mac_of(cb, box), "02:00:00:00:00:99"):
                    vxlan = struct.pack("!II", 0x08000000, vni << 8) + inner(source)
                    evil.send_frame("eth1", ethernet(mac_of(evil, "eth1"), mac_of(a, "eth1"),
                                                     ipv4(outer, a.ip, 17, udp(6784, vxlan))))
        # What comes later and is let in says that all before it has had its chance.
        assert talk(cb, ca) >= 19
    came = [frame for frame in heard.frames if MARK in frame]
    assert came and not [frame for frame in came if MARK * 2 in frame and MARK * 3 not in frame]


# --- garbage -------------------------------------------------------------------------------------

# The whole of it by hand: WEAVE_GARBAGE=100000 python3 tests/run.py net tests/net/test_password.py
GARBAGE = int(os.environ.get("WEAVE_GARBAGE", "8000"))
AT_ONCE = 40
# A valid share (of the draft's vectors), so that answering costs the router what it costs most.
SHARE = bytes.fromhex("d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157")


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def garbage(number):
    """What the connection of that number says."""
    keys = tlv(9, b"\1") + tlv(10, SHARE) + tlv(11, os.urandom(16))
    hello = b"weave\3\3" + struct.pack("!IB", len(keys) + 1, 1) + keys
    return [os.urandom(40), b"weave\3\3" + os.urandom(200), hello, hello,
            hello + struct.pack("!IB", 33, 3) + os.urandom(32), b"weave\1\2", b"", hello[:30],
            b"weave\3\3\0\0\7\377\1" + bytes(2000)][number % 9]


def pour(place, ip, count, stop):
    """Connections that talk garbage, AT_ONCE of them at any time; how many there were."""
    def body():
        open_ones, done = [], 0
        while done < count and not stop.is_set():
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            with contextlib.suppress(OSError):
                s.settimeout(5)
                s.connect((ip, 6783))
                s.sendall(garbage(done))
            open_ones.append(s)
            done += 1
            if len(open_ones) >= AT_ONCE:
                open_ones.pop(0).close()
        for s in open_ones:
            s.close()
        return done
    return place.inside(body)


def test_garbage_disturbs_nobody_and_costs_no_memory(lab, say):
    lan = lab.lan()
    a, b, evil = lan.host("a"), lan.host("b"), lan.host("evil")
    a.launch("--password", SECRET)
    b.launch("--password", SECRET, a.ip)
    wait_until(10, lambda: a.is_meshed(b) and b.is_meshed(a), "the two are connected")
    ca, cb = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: ca.reaches(cb.ip), "containers reach each other")
    stop = threading.Event()
    pour(evil, a.ip, GARBAGE // 10, stop)  # what it takes once it has taken
    before_kb, before_s, begin = a.memory_kb(), a.cpu_seconds(), time.monotonic()
    ping = Ping(ca, cb.ip)
    counts = []
    thread = threading.Thread(target=lambda: counts.append(pour(evil, a.ip, GARBAGE, stop)))
    thread.start()
    try:
        # An honest router at the very address from which all that comes gets in.
        evil.launch("--password", SECRET, a.ip)
        wait_until(30, lambda: evil.is_meshed(a), "the honest one is in")
        assert thread.is_alive(), "it was over before the honest one came"
        while thread.is_alive():
            assert "Encryption: enabled" in a.weave("status")
            assert a.is_running()
            thread.join(0.5)
    finally:
        stop.set()
        thread.join()
    took, cpu = time.monotonic() - begin, a.cpu_seconds() - before_s
    grown = a.memory_kb() - before_kb
    say(f"{counts[0]} garbage connections in {took:.1f} s: {cpu:.2f} s CPU "
        f"({1e6 * cpu / counts[0]:.0f} us each), {grown} kB more memory")
    assert counts[0] == GARBAGE
    assert ping.lost() == 0
    assert a.established() == ["b", "evil"]
    assert grown < 4096
    report = a.report()["Router"]["AuthenticationFailures"]
    assert report["Puzzles"] > 0
    assert [s["Address"] for s in report["Addresses"]] == [evil.ip]
    assert metric(a, "weave_authentication_failures_total") > 0
    assert "handshakes from " + evil.ip in a.weave("status")
    # One line a second at most.
    lines = [line for line in a.log().splitlines() if "failed" in line and "address=<-" in line]
    assert len(lines) <= took + 12
