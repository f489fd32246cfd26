"""With a password, where the kernel has ESP: fastdp, sealed, and not one VXLAN packet in clear."""

import os
import re
import signal
import subprocess

from lab import mesh, transfer, wait_until
from test_stock_kernel import boxes, overlay

PASSWORD = "correct horse battery staple"


class Clear:
    """What a switch forwards that is VXLAN, and not ESP; a capture from before to after."""

    def __init__(self, lan, what="udp port 6784"):
        self.lan = lan
        self.what = what

    def __enter__(self):
        self.process = self.lan.switch.start(["tcpdump", "-n", "-i", "any", "-l", "--immediate-mode",
                                              self.what], stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE)
        line = self.process.stderr.readline()
        while "listening on" not in line:
            assert line, "tcpdump does not start"
            line = self.process.stderr.readline()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        output = self.process.communicate(timeout=20)[0]
        self.lines = [line for line in output.splitlines() if line.strip()]


def launch(*hosts, options=()):
    for host in hosts:
        host.launch("--password", PASSWORD, *options, *[h.ip for h in hosts if h is not host])
    mesh(hosts, seconds=60)


def on_fastdp(*hosts, seconds=40):
    for host in hosts:
        for peer in hosts:
            if peer is not host:
                wait_until(seconds, lambda: overlay(host, peer)[0] == "fastdp",
                           f"fastdp from {host.short} to {peer.short}: {overlay(host, peer)}")


def kernel_has(host):
    """(associations, policies) of a host."""
    count = lambda what: len(re.findall("^src ", host.run(["ip", "xfrm", what]), re.MULTILINE))
    return count("state"), count("policy")


def pair(lab, options=()):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    launch(a, b, options=options)
    on_fastdp(a, b)
    boxes(a, b)
    return lan, a, b


def test_all_traffic_is_esp(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    # From before the first packet to after the last.
    with Clear(lan) as clear, Clear(lan, "esp") as esp:
        launch(a, b)
        on_fastdp(a, b)
        boxes(a, b)
        assert a.box.ping(b.box.ip, count=10) == 10
        assert a.box.ping(b.box.ip, count=3, size=1376 - 28, dont_fragment=True) == 3
        transfer(a.box, b.box, b.box.ip, 2_000_000, limit=120)
        transfer(b.box, a.box, a.box.ip, 2_000_000, limit=120)
        # Somebody without the keys sends VXLAN from the address of a peer: refused, counted.
        forge(b, a)
        wait_until(20, lambda: drops(a, "not_sealed") >= 1, "forged VXLAN counted")
        a.weave("stop")
        wait_until(20, lambda: kernel_has(b)[0] == 0, "no associations with who left")
        a.box.try_run(["ping", "-c", "3", "-W", "1", b.box.ip])
        a.weave("reset", "--force")
        b.weave("reset", "--force")
        assert kernel_has(a) == kernel_has(b) == (0, 0), a.run("ip xfrm state")
    # The forged one (source port 49152, seen at both ports of the switch) is the proof that this
    # capture sees what is in clear.
    forged = [line for line in clear.lines if ".49152 >" in line]
    assert forged and len(forged) == len(clear.lines), clear.lines[:5]
    assert len(esp.lines) > 100


def forge(source, target):
    """One frame as a container of 'source' would send it, in VXLAN without ESP."""
    policies = source.run("ip xfrm policy")
    assert "dport 6784" in policies
    send = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 255);"
            "frame = bytes.fromhex('0200000000010200000000020800') + b'E' + bytes(45);"
            "vxlan = bytes.fromhex('0800000000000000') + frame;"
            "udp = bytes.fromhex('c0001a80') + (8 + len(vxlan)).to_bytes(2, 'big') + bytes(2);"
            "ip = b'E' + bytes(7) + bytes([64, 17]) + bytes(2)"
            " + socket.inet_aton(sys.argv[1]) + socket.inet_aton(sys.argv[2]);"
            "s.sendto(ip + udp + vxlan, (sys.argv[2], 0))")
    command = ["/usr/bin/python3", "-c", send, source.ip, target.ip]
    # Past IPsec's policies, as a raw socket has no ports, but not past the other lock.
    assert "PermissionError" in source.try_run(command).stderr
    source.run("nft delete table inet weave_sealed")
    source.run(command)


def drops(host, reason):
    return next(d["Count"] for d in host.report()["Router"]["Drops"] if d["Reason"] == reason)


def spis_out(host):
    """Of the policy that says by which association packets leave."""
    return set(re.findall(r"spi (0x[0-9a-f]+)", host.run("ip xfrm policy")))


def test_keys_change_under_traffic_without_loss(lab):
    lan, a, b = pair(lab, options=("--key-life", "2"))
    seen = set()
    with Clear(lan) as clear:
        with CountingPing(a.box, b.box.ip) as ping:
            def five():
                seen.update(spis_out(a))
                return len(seen) >= 5
            wait_until(60, five, f"five keys, seen {seen}", step=0.3)
            transfer(a.box, b.box, b.box.ip, 2_000_000, limit=120)
            transfer(b.box, a.box, a.box.ip, 2_000_000, limit=120)
        assert overlay(a, b)[0] == "fastdp", overlay(a, b)
        assert ping.lost == 0, f"{ping.lost} of {ping.sent}"
        # The daemon is frozen: nobody changes keys. The kernel ends them, and nothing is sent.
        os.kill(a.pid, signal.SIGSTOP)
        try:
            wait_until(90, lambda: kernel_has(a)[0] == 0, "the associations expire")
            assert a.box.try_run(["ping", "-c", "3", "-W", "1", b.box.ip]).returncode
        finally:
            os.kill(a.pid, signal.SIGCONT)
        mesh([a, b], seconds=60)
        on_fastdp(a, b)
        wait_until(30, lambda: a.box.reaches(b.box.ip), "ping again")
    assert not clear.lines, clear.lines[:5]


class CountingPing:
    """A ping each 50 ms, of which none may be lost."""

    def __init__(self, source, ip):
        self.process = source.start(["ping", "-n", "-q", "-i", "0.05", ip])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        output = self.process.communicate(timeout=20)[0]
        self.sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                                 output).groups())
        self.lost = self.sent - received


def test_killed_blocked_and_strangers(lab):
    lan, a, b = pair(lab)
    with Clear(lan) as clear:
        # Killed: the other end takes nothing any more, the kernel here sends ESP or nothing.
        a.kill()
        a.box.try_run(["ping", "-c", "5", "-i", "0.2", "-W", "1", b.box.ip])
        assert kernel_has(a)[1] >= 2
        a.launch("--password", PASSWORD, b.ip)
        mesh([a, b], seconds=60)
        on_fastdp(a, b)
        wait_until(30, lambda: a.box.reaches(b.box.ip), "ping after the restart")
        # What was of the life before is gone: out, this and the next in.
        wait_until(30, lambda: kernel_has(a)[0] <= 3, "only the new associations")
        # A firewall in between that lets no ESP through: sleeve; and back.
        rule = "ip protocol esp drop"
        lan.rule(rule)
        wait_until(40, lambda: overlay(a, b)[0] == "sleeve" and overlay(b, a)[0] == "sleeve",
                   f"sleeve: {overlay(a, b)}")
        assert "no answer" in overlay(a, b)[1]
        wait_until(20, lambda: a.box.reaches(b.box.ip), "ping by sleeve")
        lan.heal(rule)
        on_fastdp(a, b)
        # Somebody deletes all that IPsec knows, as other IPsec programs do at their start.
        a.run("ip xfrm state flush")
        wait_until(40, lambda: overlay(a, b)[0] == "sleeve", "sleeve without associations")
        wait_until(20, lambda: a.box.reaches(b.box.ip), "ping by sleeve")
        # Who has another password has nothing at all.
        c = lan.host("c")
        c.launch("--password", "another", a.ip)
        c.box = c.container("10.2.1.9/24")
        assert not c.box.reaches(b.box.ip)
        assert kernel_has(c) == (0, 0)
        # Without a password nothing of a life with one is taken over.
        b.kill()
        b.launch()
        assert kernel_has(b) == (0, 0)
    assert not clear.lines, clear.lines[:5]


def test_flushed_policies_let_nothing_out(lab):
    """Somebody deletes all IPsec policies of the host: the other lock holds, sleeve carries, and the
    next change of keys brings the kernel's path back."""
    lan, a, b = pair(lab, options=("--key-life", "20"))
    with Clear(lan) as clear:
        assert a.box.ping(b.box.ip, count=3) == 3
        for host, peer in ((a, b), (b, a)):
            host.run("ip xfrm policy flush")
            for _ in range(3):
                host.box.try_run(["ping", "-c", "5", "-i", "0.2", "-W", "1", peer.box.ip])
            wait_until(90, lambda: kernel_has(host)[1] >= 2, "policies again")
            on_fastdp(a, b, seconds=90)
            assert host.box.ping(peer.box.ip, count=3) == 3
        forge(b, a)  # that the capture sees what is in clear
        a.weave("reset", "--force")
        assert "sealed" not in a.run("nft list tables")
    forged = [line for line in clear.lines if ".49152 >" in line]
    assert forged and len(forged) == len(clear.lines), clear.lines[:5]


def test_relay_and_ipv6(lab):
    left, right = lab.lan(), lab.lan()
    a, r, c = left.host("a"), left.host("r"), right.host("c")
    right.join(r)
    with Clear(left) as clear_left, Clear(right) as clear_right:
        r.launch("--password", PASSWORD)
        a.launch("--password", PASSWORD, r.ip)
        c.launch("--password", PASSWORD, f"[{r.ips[3]}]")
        wait_until(60, lambda: r.is_meshed(a, c), "the relay has both")
        on_fastdp(a, r)
        on_fastdp(c, r)
        assert "fd99" in c.run("ip xfrm policy")
        a.box, c.box = a.container("10.2.1.1/24"), c.container("10.2.1.3/24")
        wait_until(60, lambda: a.box.reaches(c.box.ip), "ping through the relay")
        transfer(a.box, c.box, c.box.ip, 1_000_000, limit=120)
    assert not clear_left.lines and not clear_right.lines
