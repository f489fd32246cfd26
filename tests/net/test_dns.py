"""WeaveDNS with dig as the client: what Weave Net's own smoke tests 200 to 295 look at, and more.

Containers here are namespaces without a host name of their own, so their names come by dns-add;
names of Docker containers are the business of the tests with engines.  A container reaches DNS at
an exposed address of its host.
"""

import os
import socket
import struct
import threading
import time

import pytest

from lab import Container, mesh, wait_until

DOMAIN = "weave.local"


def dig(at, server, *question, limit=15):
    """The lines that dig prints; +short unless the question says otherwise."""
    options = [] if any(q.startswith("+") and "short" in q for q in question) else ["+short"]
    out = at.try_run(["dig", f"@{server}", "+tries=2", "+time=3", *options, *question], limit=limit)
    return sorted(line for line in out.stdout.splitlines() if line and not line.startswith(";;"))


def ask(at, server, *question, limit=15):
    """All that dig says."""
    return at.run(["dig", f"@{server}", "+tries=2", "+time=3", *question], limit=limit)


def rcode(text):
    return text.split("status: ")[1].split(",")[0]


def serve(host, number=1):
    """Exposes an address, on which DNS is answered at once."""
    address = f"10.2.{number}.254"
    host.weave("expose", f"{address}/16")
    host.dns = address
    return address


def names(host):
    return [tuple(line.split()[:2]) for line in host.weave("status", "dns").splitlines()]


@pytest.fixture
def lan(lab):
    return lab.lan()


@pytest.fixture
def host(lan):
    h = lan.host("a")
    h.launch("--resolv-conf", "")
    serve(h)
    return h


@pytest.fixture
def three(lan):
    hosts = [lan.host(x) for x in "abc"]
    for n, h in enumerate(hosts, 1):
        h.launch("--resolv-conf", "", *[o.ip for o in hosts[:n - 1]])
    mesh(hosts)
    for n, h in enumerate(hosts, 1):
        serve(h, n)
    return hosts


def test_names_on_one_host(host):  # 200, 240
    c, d = host.container("10.2.1.1/16"), host.container("10.2.1.2/16", "fd00::2/64")
    host.weave("dns-add", c.name, "-h", f"seeone.{DOMAIN}")
    host.weave("dns-add", d.name, "-h", f"seetwo.{DOMAIN}.")
    assert dig(c, host.dns, f"seetwo.{DOMAIN}") == ["10.2.1.2"]
    assert dig(c, host.dns, "AAAA", f"seetwo.{DOMAIN}") == ["fd00::2"]
    assert dig(d, host.dns, f"seeone.{DOMAIN}") == ["10.2.1.1"]
    assert dig(host, host.dns, f"seeone.{DOMAIN}") == ["10.2.1.1"]
    # One of several addresses, addresses of no container, and away again.
    host.weave("dns-add", "10.2.1.77", c.name, "-h", f"other.{DOMAIN}")
    host.weave("dns-add", "10.2.1.88", "10.2.1.89", "-h", f"extern.{DOMAIN}")
    assert dig(c, host.dns, f"other.{DOMAIN}") == ["10.2.1.77"]
    assert dig(c, host.dns, f"extern.{DOMAIN}") == ["10.2.1.88", "10.2.1.89"]
    assert ("extern", "10.2.1.88") in names(host) and ("seetwo", "fd00::2") in names(host)
    host.weave("dns-remove", "10.2.1.88", "-h", f"extern.{DOMAIN}")
    assert dig(c, host.dns, f"extern.{DOMAIN}") == ["10.2.1.89"]
    host.weave("dns-remove", c.name)
    assert dig(d, host.dns, f"other.{DOMAIN}") == [] == dig(d, host.dns, f"seeone.{DOMAIN}")
    assert host.weave("dns-lookup", f"seetwo.{DOMAIN}").split() == ["10.2.1.2", "fd00::2"]
    assert host.weave("dns-lookup", "seetwo").split() == ["10.2.1.2", "fd00::2"]
    assert host.weave("dns-lookup", "nobody") == ""
    assert host.weave("dns-args") == f"--dns={host.dns} --dns-search={DOMAIN}."


def test_exposed_addresses_have_names(host):  # 200
    c = host.container("10.2.1.1/16")
    host.weave("expose", "10.2.9.9/16", "-h", f"gateway.{DOMAIN}")
    assert dig(c, "10.2.9.9", f"gateway.{DOMAIN}") == ["10.2.9.9"]
    host.weave("hide", "10.2.9.9/16")
    assert dig(c, host.dns, f"gateway.{DOMAIN}") == []
    assert host.status("dns")["Addresses"] == [f"{host.dns}:53"], "it listens there no more"


def test_dockers_bridge_is_where_containers_ask(lan):
    h = lan.host("a")
    h.launch("--resolv-conf", "")
    assert "Address: none" in h.weave("status")
    # Docker may come later, and go.
    h.run("ip link add docker0 type bridge")
    h.run("ip address add 172.30.1.1/24 dev docker0")
    box = Container(h, "dockers", [])
    h.run(["ip", "link", "add", "d1", "type", "veth", "peer", "name", "eth0", "netns", box.name])
    h.run("ip link set d1 master docker0 up")
    h.run("ip link set docker0 up")
    box.run("ip address add 172.30.1.7/24 dev eth0")
    box.run("ip link set eth0 up")
    wait_until(25, lambda: h.status("dns")["Addresses"] == ["172.30.1.1:53"], "it answers there")
    h.weave("dns-add", "10.2.1.1", "-h", f"x.{DOMAIN}")
    assert h.weave("dns-lookup", "x") == "10.2.1.1\n"
    for transport in ("+notcp", "+tcp"):
        assert dig(box, "172.30.1.1", transport, f"x.{DOMAIN}") == ["10.2.1.1"]
        assert dig(h, "172.30.1.1", transport, f"x.{DOMAIN}") == ["10.2.1.1"]
    assert h.weave("dns-args") == f"--dns=172.30.1.1 --dns-search={DOMAIN}."
    h.run("ip link del docker0")
    wait_until(25, lambda: h.status("dns")["Addresses"] == [], "it answers there no more")


def test_without_dns(lan):  # 205, 280
    h = lan.host("a")
    h.launch("--no-dns")
    c = h.container("10.2.1.1/16")
    assert h.weave("dns-args") == ""
    for command in (["dns-add", c.name, "-h", f"x.{DOMAIN}"], ["dns-lookup", "x"],
                    ["status", "dns"]):
        assert h.try_weave(*command).returncode == 4, "as Weave Net: 404 of the daemon"
    assert "Service: dns" not in h.weave("status")
    h.weave("expose", "10.2.1.254/16")
    assert not h.open_port(53)


def test_names_across_hosts(three):  # 210
    containers = [h.container(f"10.2.{n}.1/16") for n, h in enumerate(three, 1)]
    for h, c in zip(three, containers):
        h.weave("dns-add", c.name, "-h", f"web.{DOMAIN}")
    everywhere = [f"10.2.{n}.1" for n in (1, 2, 3)]
    for h, c in zip(three, containers):
        wait_until(10, lambda: dig(c, h.dns, f"web.{DOMAIN}") == everywhere, "all three addresses")
    # Containers die and come again, five times.
    for _ in range(5):
        containers[1].delete()
        wait_until(10, lambda: dig(containers[0], three[0].dns, f"web.{DOMAIN}")
                   == ["10.2.1.1", "10.2.3.1"], "the dead one's name is gone")
        containers[1] = three[1].container("10.2.2.1/16")
        three[1].weave("dns-add", containers[1].name, "-h", f"web.{DOMAIN}")
        wait_until(10, lambda: dig(containers[0], three[0].dns, f"web.{DOMAIN}") == everywhere,
                   "it is back")
    assert len(names(three[2])) == 3


def test_no_stale_names_after_a_partition(three):  # 215
    a, b, c = three
    inside = a.container("10.2.1.1/16")
    for h, n in ((a, 1), (b, 2), (c, 3)):
        h.weave("dns-add", f"10.2.{n}.50", "-h", f"host{n}.{DOMAIN}")
        h.weave("dns-add", f"10.2.{n}.51", "-h", f"doomed{n}.{DOMAIN}")
    wait_until(10, lambda: len(names(a)) == 6, "all know all")
    c.lab.lans[0].partition([a, b], [c])
    wait_until(30, lambda: len(names(a)) == 4 and len(names(c)) == 2,
               "names of peers out of reach are not given out")
    assert dig(inside, a.dns, f"host3.{DOMAIN}") == []
    c.weave("dns-remove", "10.2.3.51", "-h", f"doomed3.{DOMAIN}")
    a.weave("dns-remove", "10.2.1.51", "-h", f"doomed1.{DOMAIN}")
    c.lab.lans[0].heal()
    wait_until(60, lambda: len(names(a)) == 4 and len(names(c)) == 4, "they meet again")
    for h in three:
        assert [n for n, _ in names(h)] == ["doomed2", "host1", "host2", "host3"]
    assert dig(inside, a.dns, f"host3.{DOMAIN}") == ["10.2.3.50"]


@pytest.mark.parametrize("given, domain", [("foo.bar.", "foo.bar"), ("foo.bar", "foo.bar")])
def test_another_domain(lan, given, domain):  # 220, 225
    h = lan.host("a")
    h.launch("--dns-domain", given, "--resolv-conf", "", "--dns-ttl", "30")
    serve(h)
    c = h.container("10.2.1.1/16")
    h.weave("dns-add", c.name, "-h", f"name.{domain}")
    h.weave("dns-add", c.name, "-h", f"name.sub.{domain}")
    assert dig(c, h.dns, f"name.{domain}") == ["10.2.1.1"]
    assert dig(c, h.dns, f"name.sub.{domain}") == ["10.2.1.1"]
    assert dig(c, h.dns, "+search", f"+domain=sub.{domain}", "name") == ["10.2.1.1"]
    assert rcode(ask(c, h.dns, f"sub.{domain}")) == "NOERROR", "there is something below it"
    assert f"{domain}." in h.weave("status") and "30\tIN\tA" in ask(c, h.dns, f"name.{domain}")
    assert h.weave("dns-args").endswith(f"--dns-search={domain}.")
    assert h.try_weave("dns-add", c.name, "-h", f"x.{DOMAIN}").returncode == 1


def test_unqualified_names(host):  # 230
    c = host.container("10.2.1.1/16")
    host.weave("dns-add", c.name, "-h", f"short.{DOMAIN}")
    assert dig(c, host.dns, "short") == ["10.2.1.1"]
    assert dig(c, host.dns, "+search", f"+domain={DOMAIN}", "short") == ["10.2.1.1"]
    assert rcode(ask(c, host.dns, "nobody")) == "NXDOMAIN"
    assert rcode(ask(c, host.dns, "short", "MX")) == "NOERROR"


def test_case_is_kept_and_means_nothing(host):  # 245
    c, d = host.container("10.2.1.1/16"), host.container("10.2.1.2/16")
    host.weave("dns-add", c.name, "-h", f"SeeOne.{DOMAIN}")
    host.weave("dns-add", d.name, "-h", f"seeone.Weave.LOCAL")
    for spelling in ("seeone.weave.local", "SEEONE.WEAVE.LOCAL", "sEEoNe.wEaVe.LoCaL", "SeeOne"):
        text = ask(c, host.dns, spelling)
        assert sorted(dig(c, host.dns, spelling)) == ["10.2.1.1", "10.2.1.2"]
        answers = [line for line in text.splitlines() if "IN\tA\t" in line]
        assert all(line.startswith(spelling + ".") for line in answers), "as it was asked"
    assert dig(c, host.dns, "-x", "10.2.1.1") == ["SeeOne.weave.local."]
    # The same name in other letters is the same name.
    host.weave("dns-add", c.name, "-h", f"SEEONE.{DOMAIN}")
    assert len(names(host)) == 2
    host.weave("dns-remove", c.name, "-h", f"seeone.{DOMAIN}")
    assert dig(c, host.dns, f"SEEone.{DOMAIN}") == ["10.2.1.2"]


def test_negative_answers(host):  # 250
    c = host.container("10.2.1.1/16")
    host.weave("dns-add", c.name, "-h", f"seeone.{DOMAIN}")
    for kind in ("MX", "AAAA", "TXT", "TYPE65"):
        text = ask(c, host.dns, kind, f"seeone.{DOMAIN}")
        assert rcode(text) == "NOERROR" and "ANSWER: 0" in text and "SOA" in text
    text = ask(c, host.dns, f"seetwo.{DOMAIN}")
    assert rcode(text) == "NXDOMAIN" and f"{DOMAIN}.\t\t1\tIN\tSOA" in text and " aa " in text
    assert rcode(ask(c, host.dns, f"seetwo.{DOMAIN}", "MX")) == "NXDOMAIN"
    assert rcode(ask(c, host.dns, f"a.seeone.{DOMAIN}")) == "NXDOMAIN"
    assert rcode(ask(c, host.dns, "invalid")) == "NXDOMAIN"
    assert "SOA" in ask(c, host.dns, DOMAIN, "SOA").split("ANSWER SECTION")[1]
    # What is no question that we serve.
    assert rcode(ask(c, host.dns, "+norecurse", "example.org")) == "REFUSED"
    assert rcode(ask(c, host.dns, "-c", "CH", "version.bind", "TXT")) == "REFUSED"
    assert rcode(ask(c, host.dns, "+opcode=UPDATE", DOMAIN)) == "NOTIMP"
    assert rcode(ask(c, host.dns, "+edns=1", "+noednsneg", f"seeone.{DOMAIN}")) == "BADVERS"
    assert sorted(dig(c, host.dns, "ANY", "+notcp", f"seeone.{DOMAIN}")) == ["10.2.1.1"]


def test_names_outlive_the_router(host, lan):  # 255
    c, d = host.container("10.2.1.1/16"), host.container("10.2.1.2/16")
    other = lan.host("b")
    other.launch("--resolv-conf", "", host.ip)
    mesh([host, other])
    serve(other, 2)
    for box, name in ((c, "kept"), (c, "removed"), (d, "dead")):
        host.weave("dns-add", box.name, "-h", f"{name}.{DOMAIN}")
    host.weave("dns-add", "10.2.1.99", "-h", f"extern.{DOMAIN}")
    host.weave("dns-remove", c.name, "-h", f"removed.{DOMAIN}")
    wait_until(10, lambda: len(names(other)) == 3, "the other knows them")
    for stop in (lambda: host.weave("stop"), host.kill):
        stop()
        d.delete()
        host.launch("--resolv-conf", "", other.ip)
        assert names(host) == [("extern", "10.2.1.99"), ("kept", "10.2.1.1")]
        wait_until(10, lambda: dig(c, host.dns, f"kept.{DOMAIN}") == ["10.2.1.1"], "answers again")
        assert dig(c, host.dns, f"removed.{DOMAIN}") == []
        wait_until(10, lambda: len(names(other)) == 2, "what died meanwhile is taken back at once")
        assert dig(other, other.dns, f"dead.{DOMAIN}") == []


def test_names_go_with_the_container(host):  # 260
    c, d = host.container("10.2.1.1/16"), host.container("10.2.1.2/16")
    host.weave("dns-add", d.name, "-h", f"seeone.{DOMAIN}")
    assert dig(c, host.dns, f"seeone.{DOMAIN}") == ["10.2.1.2"]
    d.delete()
    wait_until(10, lambda: dig(c, host.dns, f"seeone.{DOMAIN}") == [], "it is gone")
    d = host.container("10.2.1.3/16", "10.2.1.4/16")
    host.weave("dns-add", d.name, "-h", f"seeone.{DOMAIN}")
    assert dig(c, host.dns, f"seeone.{DOMAIN}") == ["10.2.1.3", "10.2.1.4"]
    host.weave("detach", "10.2.1.3/16", d.name)
    assert dig(c, host.dns, f"seeone.{DOMAIN}") == ["10.2.1.4"]
    host.weave("detach", d.name)
    assert dig(c, host.dns, f"seeone.{DOMAIN}") == []


def test_reverse_names(host):  # 265
    c = host.container("10.2.1.1/16")
    for name in ("one", "two", "three"):
        host.weave("dns-add", "10.2.1.9", "-h", f"{name}.{DOMAIN}")
        assert dig(c, host.dns, "-x", "10.2.1.9") == [f"{name}.{DOMAIN}."]
        host.weave("dns-remove", "10.2.1.9")
    host.weave("dns-add", "fd00::9", "-h", f"six.{DOMAIN}")
    assert dig(c, host.dns, "-x", "fd00::9") == [f"six.{DOMAIN}."]
    assert rcode(ask(c, host.dns, "-x", "10.2.1.9")) == "SERVFAIL", "nobody to ask"


def test_the_name_of_a_process(host):  # 270, 280
    box = Container(host, "named", [])
    for options, expected in (([], ["10.2.1.5"]), (["--without-dns"], [])):
        sleeper = box.start(["unshare", "--uts", "sh", "-c",
                             f"hostname own.{DOMAIN}; echo ready; exec sleep 60"])
        assert sleeper.stdout.readline().strip() == "ready"
        host.weave("attach", "10.2.1.5/16", *options, sleeper.pid)
        assert dig(host, host.dns, f"own.{DOMAIN}") == expected
        host.weave("detach", sleeper.pid)
        assert dig(host, host.dns, f"own.{DOMAIN}") == []
        sleeper.kill()
        sleeper.wait()


def test_large_answers(host):  # 295
    c = host.container("10.2.1.1/16")
    addresses = sorted(f"10.2.7.{n}" for n in range(1, 51))
    host.weave("dns-add", *addresses, "-h", f"large.{DOMAIN}")
    for options in ([], ["+tcp"], ["+bufsize=700"], ["+tcp", "+bufsize=700"], ["+noedns"]):
        assert dig(c, host.dns, *options, f"large.{DOMAIN}") == addresses, options
    for size, most in ((["+noedns"], 512), (["+bufsize=700"], 700), (["+bufsize=9000"], 1232)):
        text = ask(c, host.dns, "+ignore", *size, f"large.{DOMAIN}")
        assert int(text.split("MSG SIZE  rcvd: ")[1].split()[0]) <= most
        assert (" tc " in text) == (most < 900)
    orders = {tuple(ask(c, host.dns, "+short", f"large.{DOMAIN}").split()) for _ in range(5)}
    assert len(orders) > 1, "shuffled"


# --- other resolvers -----------------------------------------------------------------------------

class Resolver:
    """A resolver that answers as it is told: 'answer(query, name, kind, tcp)' gives messages."""

    def __init__(self, namespace, ip, answer=None, tcp=True):
        self.asked = []
        self.answer = answer or (lambda r, q, name, kind, tcp: [reply(q, a(name, "192.0.2.1"))])
        self.udp = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((ip, 53))
        self.sockets = [self.udp]
        self.threads = [threading.Thread(target=self._udp, daemon=True)]
        if tcp:
            self.tcp = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.tcp.bind((ip, 53))
            self.tcp.listen()
            self.sockets.append(self.tcp)
            self.threads.append(threading.Thread(target=self._tcp, daemon=True))
        for s in self.sockets:
            s.settimeout(0.1)
        self.open = True
        for t in self.threads:
            t.start()

    def _messages(self, query, tcp):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        name = ".".join(labels)
        self.asked.append((name, kind, tcp))
        return self.answer(self, query, name, kind, tcp)

    def _udp(self):
        while self.open:
            try:
                query, client = self.udp.recvfrom(65535)
            except socket.timeout:
                continue
            except OSError:
                return
            for message in self._messages(query, False):
                self.udp.sendto(message, client)

    def _tcp(self):
        while self.open:
            try:
                s, _ = self.tcp.accept()
            except socket.timeout:
                continue
            except OSError:
                return
            with s:
                s.settimeout(2)
                size = struct.unpack("!H", s.recv(2))[0]
                for message in self._messages(s.recv(size), True):
                    s.sendall(struct.pack("!H", len(message)) + message)

    def close(self):
        self.open = False
        for t in self.threads:
            t.join()
        for s in self.sockets:
            s.close()


def question_end(query):
    at = 12
    while query[at]:
        at += 1 + query[at]
    return at + 5


def a(name, ip, ttl=30):
    return b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, ttl, 4) + socket.inet_aton(ip)


def reply(query, *answers, rcode=0, identity=None, tc=False, question=None):
    flags = 0x8180 | (0x0200 if tc else 0) | rcode
    head = (identity or query[:2]) + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0)
    return head + (question or query[12:question_end(query)]) + b"".join(answers)


@pytest.fixture
def world(lan):
    """A host whose resolvers are at 10.99.1.2 and 10.99.1.3, of which nobody runs yet."""
    h, one, two = lan.host("a"), lan.host("r"), lan.host("s")
    conf = h.lab.dir / "resolv.conf"
    conf.write_text(f"# the host's\nnameserver {one.ip}\nnameserver {two.ip}\nsearch x.org\n")
    h.launch("--resolv-conf", str(conf), "--dns-fallback-timeout", "2s")
    serve(h)
    box = h.container("10.2.1.1/16")
    running = []

    def run(where, *args, **options):
        running.append(Resolver(where, where.ip, *args, **options))
        return running[-1]
    yield h, one, two, box, run, conf
    for r in running:
        r.close()


def counter(host, name):
    return host.status("dns")["Counters"][name]


def test_other_names_are_asked_for_elsewhere(world):  # 205, 290
    host, one, two, box, run, conf = world
    r = run(one)
    assert host.status("dns")["Upstream"] == [one.ip, two.ip]
    text = ask(box, host.dns, "wWw.Example.org")
    assert "wWw.Example.org.\t30\tIN\tA\t192.0.2.1" in text.replace("\t\t", "\t")
    assert rcode(text) == "NOERROR" and " ra" in text and " aa" not in text
    ask(box, host.dns, "example.org", "MX")
    ask(box, host.dns, "-x", "192.0.2.7")
    assert r.asked == [("wWw.Example.org", 1, False), ("example.org", 15, False),
                       ("7.2.0.192.in-addr.arpa", 12, False)]
    # Kept for a while, in whatever spelling; names of ours are nobody else's business.
    assert dig(box, host.dns, "www.example.ORG") == ["192.0.2.1"]
    assert dig(box, host.dns, f"nobody.{DOMAIN}") == [] == dig(box, host.dns, "nobody")
    assert len(r.asked) == 3 and counter(host, "cached") == 1
    # The file may change at any time, also by being replaced.
    fresh = conf.with_suffix(".new")
    fresh.write_text(f"nameserver {two.ip}\n")
    fresh.rename(conf)
    s = run(two, lambda r, q, name, kind, tcp: [reply(q, a(name, "192.0.2.2"))])
    wait_until(10, lambda: dig(box, host.dns, "www.example.org") == ["192.0.2.2"],
               "the other resolver is asked")
    assert host.status("dns")["Upstream"] == [two.ip] and s.asked


def test_one_resolver_is_enough(world):
    host, one, two, box, run, _ = world
    # Nobody at all: an answer all the same, and soon.
    begin = time.monotonic()
    assert rcode(ask(box, host.dns, "a.example")) == "SERVFAIL"
    assert time.monotonic() - begin < 10
    # One that says nothing, and one that refuses.
    run(one, lambda *_: [])
    s = run(two)
    assert dig(box, host.dns, "b.example") == ["192.0.2.1"] and s.asked
    s.answer = lambda r, q, name, kind, tcp: [reply(q, rcode=5)]
    assert rcode(ask(box, host.dns, "c.example")) == "REFUSED", "what one said is better than nothing"


def test_large_answers_of_others(world):
    host, one, _, box, run, _ = world

    def large(r, q, name, kind, tcp):
        answers = [a(name, f"192.0.2.{n}") for n in range(1, 100)]
        return [reply(q, *answers)] if tcp else [reply(q, *answers[:20], tc=True)]
    r = run(one, large)
    assert len(dig(box, host.dns, "large.example")) == 99
    assert [tcp for _, _, tcp in r.asked] == [False, True]
    # From what is kept, cut to what the asker takes.
    text = ask(box, host.dns, "+noedns", "+ignore", "large.example")
    assert " tc " in text and "ANSWER: 0" in text or "ANSWER: 20" in text


def test_forged_answers_are_not_taken(world):
    host, one, two, box, run, _ = world

    def forger(r, q, name, kind, tcp):
        other = b"\x05wrong\x07example\x00\x00\x01\x00\x01"
        wrong_id = struct.pack("!H", struct.unpack("!H", q[:2])[0] ^ 1)
        bad = a(name, "203.0.113.66")
        return [reply(q, bad, identity=wrong_id), reply(q, bad, question=other), b"",
                reply(q, bad)[:-3], q, reply(q, a(name, "192.0.2.1"))]
    run(one, forger)
    assert dig(box, host.dns, "real.example") == ["192.0.2.1"]
    assert counter(host, "forged") == 5


def test_a_flood_of_forged_answers_ends_the_try(world):
    host, one, two, box, run, _ = world
    run(one, lambda r, q, name, kind, tcp: [b"\0" * 12] * 50 + [reply(q, a(name, "203.0.113.66"))])
    run(two)
    assert dig(box, host.dns, "real.example") == ["192.0.2.1"], "the second resolver's"
    assert 16 <= counter(host, "forged") <= 32


def test_questions_under_way_are_asked_once(world):
    host, one, _, box, run, _ = world
    gate = threading.Event()

    def slow(r, q, name, kind, tcp):
        gate.wait(5)
        return [reply(q, a(name, "192.0.2.1"))]
    r = run(one, slow)
    digs = [box.start(["dig", f"@{host.dns}", "+short", "+tries=1", "+time=5", "Same.example"])
            for _ in range(20)]
    wait_until(5, lambda: counter(host, "udp") >= 20, "all have asked")
    gate.set()
    assert [d.communicate(timeout=10)[0] for d in digs] == 20 * ["192.0.2.1\n"]
    assert 1 <= len(r.asked) <= 2, "at most a second try"


def test_a_loop_of_resolvers_ends(lan):
    a_host, b_host = lan.host("a"), lan.host("b")
    for h, other in ((a_host, b_host), (b_host, a_host)):
        conf = h.lab.dir / f"resolv-{h.short}"
        conf.write_text(f"nameserver {other.ip}\nnameserver {h.ip}\n")
        h.launch("--resolv-conf", str(conf), "--dns-listen-address", h.ip,
                 "--dns-listen-address", "127.0.0.1:5353")
    assert rcode(ask(a_host, a_host.ip, "loop.example")) in ("SERVFAIL", "REFUSED")
    questions = counter(a_host, "udp") + counter(b_host, "udp")
    assert questions < 10 and counter(a_host, "loops") + counter(b_host, "loops") >= 1
    assert dig(a_host, "127.0.0.1", "-p", "5353", "nobody") == []


# --- who may ask, and how much -------------------------------------------------------------------

def test_strangers_get_no_answer(lan):
    host, near = lan.host("a"), lan.host("b")
    host.launch("--dns-listen-address", ":53", "--resolv-conf", "")
    host.weave("dns-add", "10.2.1.1", "-h", f"x.{DOMAIN}")
    assert dig(near, host.ip, f"x.{DOMAIN}") == ["10.2.1.1"], "a neighbour"
    assert dig(near, host.ip6, f"x.{DOMAIN}") == ["10.2.1.1"]
    assert dig(host, "127.0.0.1", f"x.{DOMAIN}") == ["10.2.1.1"]
    # From outside of all networks of this host, though a route leads there.
    near.run("ip address add 192.0.2.5/32 dev lo")
    host.run(f"ip route add 192.0.2.5/32 via {near.ip}")
    for transport in ("+notcp", "+tcp"):
        out = near.try_run(["dig", f"@{host.ip}", "-b", "192.0.2.5", "+tries=1", "+time=1",
                            transport, f"x.{DOMAIN}"])
        assert out.returncode != 0
    assert counter(host, "strangers") >= 2


def test_connections_are_bounded(host):
    c = host.container("10.2.1.1/16")
    host.weave("dns-add", c.name, "-h", f"x.{DOMAIN}")

    def connect():
        s = c.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(5)
        s.connect((host.dns, 53))
        return s
    held = [connect() for _ in range(40)]
    refused = [s for s in held if is_closed(s, 0.05)]
    assert len(refused) == 8, "32 of one address"
    assert dig(host, host.dns, "+tcp", f"x.{DOMAIN}") == ["10.2.1.1"], "others are served"
    kept = next(s for s in held if s not in refused)
    query = b"\1\2\1\0\0\1\0\0\0\0\0\0\1x\5weave\5local\0\0\1\0\1"
    message = struct.pack("!H", len(query)) + query
    # Cut anywhere, and many at once: answers in their order.
    for byte in (message + message + message)[:-5]:
        kept.sendall(bytes([byte]))
    kept.sendall(message[-5:] + message * 20)
    got = b""
    while len(got) < 23 * (2 + len(query) + 16):
        got += kept.recv(65536)
    assert got.count(socket.inet_aton("10.2.1.1")) == 23
    kept.sendall(b"\xff\xff" + b"x" * 100)
    assert is_closed(kept), "no question is that long"
    for s in held:
        s.close()


def is_closed(s, seconds=1):
    s.settimeout(seconds)
    try:
        return s.recv(1) == b""
    except socket.timeout:
        return False
    except ConnectionResetError:
        return True


def test_garbage_is_survived(host):
    c = host.container("10.2.1.1/16")
    host.weave("dns-add", c.name, "-h", f"x.{DOMAIN}")
    s = c.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.2)
    s.connect((host.dns, 53))
    query = b"\1\2\1\0\0\1\0\0\0\0\0\0\1x\5weave\5local\0\0\1\0\1"
    for size in range(len(query)):
        s.send(query[:size])
    for at in range(len(query)):
        for value in (0, 0x3f, 0xc0, 0xff):
            s.send(query[:at] + bytes([value]) + query[at + 1:])
    s.send(query + b"x" * 5000)
    s.send(os.urandom(4096))
    assert dig(c, host.dns, f"x.{DOMAIN}") == ["10.2.1.1"]
    assert host.is_running() and counter(host, "refused") > 10
    # Answers are never answered.
    before = counter(host, "local") + counter(host, "refused")
    s.send(query[:2] + b"\x81\x80" + query[4:])
    assert dig(c, host.dns, f"x.{DOMAIN}") == ["10.2.1.1"]
    assert counter(host, "local") + counter(host, "refused") == before + 1
    s.close()
