"""Bad input of any kind: a message that names it, a non-zero exit, and nothing changed."""

import pytest

from lab import BIN, Container


@pytest.fixture(scope="module")
def host(module_lab):
    host = module_lab.lan().host("a")
    host.launch("10.99.1.77")
    host.box = host.container("10.2.1.1/24")
    host.empty = Container(host, "empty", [])
    return host


def picture(host):
    """What the router and the kernel know, without what changes by itself."""
    report = host.report()["Router"]
    return (report["Targets"], sorted(p["Name"] for p in report["Peers"]), host.weave("ps"),
            sorted(host.links()), host.addresses("weave"), host.box.addresses("ethwe"),
            sorted(host.empty.links()), host.run("nft list ruleset"), host.pid)


# Arguments, exit code, what the message must contain.
COMMANDS = [
    (["nonsense"], 1, "nonsense"),
    ([], 1, "Usage"),
    (["--bogus", "status"], 1, "--bogus"),
    (["--run-dir"], 1, "--run-dir"),
    (["--run-dir", "relative", "status"], 1, "--run-dir"),
    (["status", "nonsense"], 1, "nonsense"),
    (["status", "--bogus"], 1, "--bogus"),
    (["dns-add", "10.2.1.9", "-h", "a..weave.local"], 1, "a..weave.local"),
    (["dns-add", "10.2.1.9", "-h", "elsewhere.org"], 1, "weave.local"),
    (["dns-add", "10.2.1.9"], 1, "sage"),
    (["dns-add", "nobody", "-h", "a.weave.local"], 1, "nobody"),
    (["dns-remove"], 1, "sage"),
    (["dns-lookup", "a.weave.local"], 1, "answered nowhere"),
    (["dns-args"], 1, "answered nowhere"),
    (["expose", "10.2.1.9/24", "-h", "elsewhere.org"], 1, "elsewhere.org"),
    (["connect"], 1, "sage"),
    (["connect", "--bogus", "10.0.0.1"], 1, "--bogus"),
    (["connect", "10.0.0.1:0"], 1, "10.0.0.1:0"),
    (["connect", "10.0.0.1:99999"], 1, "99999"),
    (["connect", "10.0.0.1:port"], 1, "10.0.0.1:port"),
    (["connect", "[fd00::1"], 1, "[fd00::1"),
    (["connect", "bad host"], 1, "bad host"),
    (["connect", ""], 1, ""),
    (["connect", "a" * 300], 1, "aaaa"),
    (["forget"], 1, "sage"),
    (["attach"], 1, "sage"),
    (["attach", "10.2.1.5/24"], 1, "container"),
    (["attach", "10.2.1.5/24", "no-such-netns"], 1, "no-such-netns"),
    (["attach", "10.2.1.5/24", "999999999"], 1, "999999999"),
    (["attach", "10.2.1.5/24", "/etc/passwd"], 1, "/etc/passwd"),
    (["attach", "10.2.1.5/24", "/no/such/file"], 1, "/no/such/file"),
    (["attach", "10.2.1.5/33", "EMPTY"], 1, "10.2.1.5/33"),
    (["attach", "10.2.1.256/24", "EMPTY"], 1, "10.2.1.256/24"),
    (["attach", "10.2.1.5", "EMPTY"], 1, "10.2.1.5"),
    (["attach", "10.2.1.5/", "EMPTY"], 1, "10.2.1.5/"),
    (["attach", "10.2.1.5/24x", "EMPTY"], 1, "10.2.1.5/24x"),
    (["attach", "0.0.0.0/0", "EMPTY"], 1, "0.0.0.0"),
    (["attach", "224.0.0.5/24", "EMPTY"], 1, "224.0.0.5"),
    (["attach", "127.0.0.5/8", "EMPTY"], 1, "127.0.0.5"),
    (["attach", "255.255.255.255/32", "EMPTY"], 1, "255.255.255.255"),
    (["attach", "ff02::5/64", "EMPTY"], 1, "ff02::5"),
    (["attach", "fd02::5/129", "EMPTY"], 1, "fd02::5/129"),
    (["attach", "net:10.2.1.5/24", "EMPTY"], 1, "net:10.2.1.0/24"),
    (["attach", "net:10.2.1.0/31", "EMPTY"], 1, "net:10.2.1.0/31"),
    (["attach", "net:10.2.1.0", "EMPTY"], 1, "net:10.2.1.0"),
    (["attach", "net:", "EMPTY"], 1, "net:"),
    (["attach", "net:default"], 1, "container"),
    (["attach", "10.2.1.1/24", "EMPTY"], 1, "10.2.1.1"),
    (["attach", "--bogus", "10.2.1.5/24", "EMPTY"], 1, "--bogus"),
    (["attach", "10.2.1.5/24", "OWN"], 1, ""),
    (["detach"], 1, "sage"),
    (["detach", "10.2.1.99/24", "BOX"], 1, "10.2.1.99"),
    (["detach", "10.2.1.1/24", "10.2.1.99/24", "BOX"], 1, "10.2.1.99"),
    (["expose", "10.2.1.5"], 1, "10.2.1.5"),
    (["expose", "10.2.1.5/99"], 1, "10.2.1.5/99"),
    (["expose", "10.2.1.1/24"], 1, "10.2.1.1"),
    (["expose", "--bogus", "10.2.1.5/24"], 1, "--bogus"),
    (["expose", "net:10.2.1.5/24"], 1, "net:10.2.1.0/24"),
    (["hide", "10.2.1.5"], 1, "10.2.1.5"),
    (["hide", "net:defaults"], 1, "net:defaults"),
    (["prime", "now"], 1, "now"),
    (["rmpeer"], 1, "sage"),
    (["rmpeer", "--bogus", "x"], 1, "--bogus"),
    (["report", "-f"], 1, "-f"),
    (["report", "-f", "{{.Nothing"], 1, ""),
    (["report", "-f", "{{end}}"], 1, ""),
    (["report", "nonsense"], 1, "nonsense"),
    (["stop", "nonsense"], 1, "nonsense"),
    (["reset", "--bogus"], 1, "--bogus"),
    (["ps", "--bogus"], 1, "--bogus"),
    (["run"], 1, "removed"),
    (["launch", "--bogus"], 1, "--bogus"),
    (["launch", "--port", "0"], 1, "--port"),
    (["launch", "--port", "70000"], 1, "70000"),
    (["launch", "--port"], 1, "--port"),
    (["launch", "--name", "zz"], 1, "zz"),
    (["launch", "--mtu", "12"], 1, "12"),
    (["launch", "--conn-limit", "-1"], 1, "--conn-limit"),
    (["launch", "--log-level", "loud"], 1, "loud"),
    (["launch", "--status-addr", "here"], 1, "here"),
    (["launch", "--weave-bridge", "a/b"], 1, "a/b"),
    (["launch", "--weave-bridge", "x" * 16], 1, "xxxx"),
    (["launch", "bad host"], 1, "bad host"),
    (["launch", "--password", ""], 1, "--password"),
]


@pytest.mark.parametrize("words, code, message", COMMANDS,
                         ids=[" ".join(w)[:40] or "nothing" for w, _, _ in COMMANDS])
def test_command(host, words, code, message):
    names = {"EMPTY": host.empty.name, "BOX": host.box.name, "OWN": host.name}
    before = picture(host)
    result = host.try_weave(*[names.get(w, w) for w in words])
    assert result.returncode == code, result
    assert result.stderr.strip(), "it says something"
    assert message in result.stderr
    assert not result.stdout
    assert "secret" not in result.stderr
    assert picture(host) == before


@pytest.mark.parametrize("variable, value", [("WEAVE_PORT", "x"), ("WEAVE_MTU", "1"),
                                             ("WEAVE_STATUS_ADDR", "x")])
def test_environment(lab, variable, value):
    host = lab.lan().host("a")
    result = host.try_weave("launch", env={variable: value})
    assert result.returncode == 1 and variable in result.stderr
    assert host.processes() == []


def test_daemon_by_hand(host):
    before = picture(host)
    result = host.try_run([str(BIN / "weaver"), "--bogus"])
    assert result.returncode == 1 and "--bogus" in result.stderr
    assert picture(host) == before
