"""Restarts of router, engine and plugin in any order, under running containers."""

import os
import signal
import threading
import time

import pytest

import engines
from engines import IMAGE, IMAGE_NAMES, RANGES, CommandFailed, net_lab, wait_until


@pytest.fixture(scope="module")
def two(possible):
    """Hosts of this module's own, for engines are killed here."""
    with engines.EngineLab() as lab:
        lan = lab.lan()
        hosts = [lab.engine_host(lan, short) for short in "cd"]
        for host in hosts:
            host.start_engine(wait=False)
        for host in hosts:
            host.wait_engine()
            host.load_image()
        hosts[0].launch(*RANGES)
        hosts[1].launch(*RANGES, hosts[0].ip)
        net_lab.mesh(hosts)
        for host in hosts:
            host.weave("prime")
            host.wait_default_network()
        yield hosts


@pytest.fixture(autouse=True)
def tidy_two(request):
    yield
    for host in request.getfixturevalue("two"):
        if not host.is_running():
            host.launch("--resume", *RANGES)
        if not host.engine:
            host.start_engine()
        names = host.docker("ps", "-aq").split()
        if names:
            host.docker("rm", "-f", *names)
        wait_until(10, lambda: not host.endpoints(), "no endpoint is left")


def again(host):
    host.launch("--resume", *RANGES)


def lookup(host, name):
    """Addresses that the router knows for the name."""
    wanted = name if name.endswith(".weave.local") else f"{name}.weave.local"
    found = [line.split() for line in host.weave("status", "dns").splitlines()]
    return sorted(words[1] for words in found
                  if len(words) > 2 and f"{words[0]}.weave.local" == wanted
                  and ":" not in words[1])


def test_the_default_network_is_made_by_the_router(two):
    for host in two:
        text = host.docker("network", "inspect", "weave", "-f",
                           "{{.Driver}} {{range .IPAM.Config}}{{.Subnet}} {{end}}")
        assert text.split() == ["weavemesh", "10.32.0.0/12", "fd32::/64"]


def test_containers_are_known_by_name(two):
    c, d = two
    c.run_container("one", "--network-alias", "web", "--hostname", "first", "--domainname",
                    "weave.local", "--dns", f"172.30.{c.number}.1", image=IMAGE_NAMES)
    d.run_container("two", "--network-alias", "web")
    one, two_ = c.address("one"), d.address("two")
    wait_until(10, lambda: lookup(d, "one.weave.local") == [one], "name of the container")
    wait_until(10, lambda: lookup(c, "two") == [two_], "name on the other host")
    assert lookup(c, "first") == [one]
    wait_until(10, lambda: lookup(c, "web") == sorted([one, two_]), "alias of both")
    # As a program in a container does it: by the host's resolver, and Docker's in front of it.
    wait_until(10, lambda: c.exec("one", "getent", "ahostsv4", "two.weave.local").stdout.split()[0]
               == two_, "resolved in the container")
    assert c.exec("one", "ping", "-c", "1", "-W", "2", "two.weave.local").returncode == 0
    c.docker("rename", "one", "uno")
    wait_until(10, lambda: lookup(d, "uno") == [one] and not lookup(d, "one"), "renamed")
    # `weave ps` tells the container, not the endpoint.
    line = c.try_weave("ps", "uno", env={"DOCKER_HOST": c.api}).stdout.split()
    assert c.inspect("uno")["Id"].startswith(line[0]) and f"{one}/12" in line
    d.docker("rm", "-f", "two")
    wait_until(10, lambda: not lookup(c, "two") and lookup(c, "web") == [one], "name is gone")


def test_a_router_that_is_gone_blocks_nothing(two):
    c, d = two
    c.run_container("one")
    ip = c.address("one")
    c.kill()
    begun = time.monotonic()
    c.docker("rm", "-f", "one")
    assert time.monotonic() - begun < 10, "stopping waits for no router"
    with pytest.raises(CommandFailed, match="weave launch"):
        c.run_container("two")
    c.docker("rm", "-f", "two")
    again(c)
    # What was promised is done, before anything else.
    wait_until(10, lambda: not c.endpoints() and ip not in c.held(), "given back")
    c.run_container("three")


def test_a_router_that_hangs_blocks_nothing_for_long(two):
    c, d = two
    c.run_container("one")
    os.kill(c.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        c.docker("rm", "-f", "one")
        assert time.monotonic() - begun < 20
    finally:
        os.kill(c.pid, signal.SIGCONT)
    wait_until(15, lambda: not c.endpoints() and not c.held(), "given back")


def test_router_killed_under_running_containers(two):
    c, d = two
    c.run_container("one", "--network-alias", "al")
    d.run_container("two")
    ip = c.address("one")
    wait_until(10, lambda: d.pings("two", ip), "ping")
    wait_until(10, lambda: lookup(d, "al") == [ip], "alias")
    c.kill()
    again(c)
    wait_until(15, lambda: d.pings("two", ip), "ping after the restart")
    wait_until(15, lambda: lookup(d, "al") == [ip] and lookup(c, "one") == [ip], "names")
    assert ip in c.held() and c.address("one") == ip
    addresses = {ip, d.address("two")}
    for i in range(3):
        for host in two:
            host.run_container(f"new{i}")
            addresses.add(host.address(f"new{i}"))
    assert len(addresses) == 8, "nothing is given twice"


def test_plugin_killed_and_started_again(two):
    c, _ = two
    c.run_container("one")
    c.kill_plugin()
    c.start_plugin()
    c.run_container("two")
    c.docker("rm", "-f", "one", "two")
    wait_until(5, lambda: not c.held(), "given back")


def test_engine_stopped_and_started_with_a_restart_policy(two):
    c, d = two
    c.run_container("one", "--restart", "always")
    d.run_container("two")
    c.stop_engine()
    assert not c.endpoints()
    c.start_engine()
    wait_until(20, lambda: c.inspect("one")["State"]["Running"], "restarted")
    ip = c.address("one")
    wait_until(15, lambda: d.pings("two", ip), "ping")
    wait_until(15, lambda: lookup(d, "one") == [ip], "name of the new address")


def test_engine_killed(two):
    c, d = two
    c.run_container("one", "--restart", "always")
    d.run_container("two")
    c.kill_engine()
    c.start_engine(wait=False)
    assert c.wait_engine() < 15, "nothing waits for a plugin that is there"
    wait_until(30, lambda: c.inspect("one")["State"]["Running"] and c.address("one"), "restarted")
    wait_until(15, lambda: d.pings("two", c.address("one")), "ping")
    wait_until(15, lambda: len(c.endpoints()) == 1, "one endpoint")
    assert c.held() == [c.address("one"), c.address("one", six=True)]


def test_engine_and_router_killed(two):
    c, d = two
    c.run_container("one", "--restart", "always")
    c.kill()
    c.kill_engine()
    c.start_engine(wait=False)
    # No router: the engine must start all the same, though its container cannot.
    assert c.wait_engine() < 15
    again(c)
    c.docker("start", "one")
    d.run_container("two")
    wait_until(15, lambda: d.pings("two", c.address("one")), "ping")
    wait_until(15, lambda: len(c.endpoints()) == 1, "one endpoint")


def test_engine_killed_with_live_restore(two):
    c, d = two
    c.stop_engine()
    c.start_engine("--live-restore")
    c.run_container("one")
    d.run_container("two")
    ip = c.address("one")
    wait_until(10, lambda: d.pings("two", ip), "ping")
    c.kill_engine()
    assert d.pings("two", ip), "the container lives on"
    c.kill()
    again(c)
    wait_until(15, lambda: d.pings("two", ip), "and after a restart of the router, too")
    c.start_engine("--live-restore")
    assert c.inspect("one")["State"]["Running"] and c.address("one") == ip
    wait_until(15, lambda: lookup(d, "one") == [ip], "name")
    assert ip in c.held()
    c.docker("rm", "-f", "one")
    wait_until(10, lambda: ip not in c.held(), "given back")


def test_container_killed_while_it_is_attached(two):
    c, _ = two
    caught = 0
    for i in range(5):
        c.docker("create", "--name", f"k{i}", "--net", "weave", IMAGE, "sleep", "1000")
        starting = c.background("start", f"k{i}")
        while starting.poll() is None and not c.held():
            pass
        time.sleep(0.02 * i)
        caught += starting.poll() is None
        killer = threading.Thread(target=lambda: c.try_docker("rm", "-f", f"k{i}"))
        killer.start()
        starting.communicate(timeout=60)
        killer.join()
        c.try_docker("rm", "-f", f"k{i}")
    assert caught >= 2, "between its address and its start"
    wait_until(15, lambda: not c.endpoints() and not c.held(), "nothing is left")


def test_attach_a_container_of_docker(two):
    """`weave attach` beside Docker's own networks, by the container's name."""
    c, d = two
    c.docker("run", "-d", "--name", "plain", "--stop-timeout", 1, IMAGE, "sleep", "1000")
    d.run_container("two")
    env = {"DOCKER_HOST": c.api}
    both = c.try_weave("attach", "plain", env=env).stdout.strip()
    ip = both.split()[0]  # the other one is of IPv6
    wait_until(10, lambda: d.pings("two", ip), "ping")
    assert c.try_weave("detach", "plain", env=env).stdout.strip() == both
    # One that is on a network of ours as well keeps both interfaces apart.
    c.run_container("both")
    ip = c.try_weave("attach", "net:10.35.0.0/16", "both", env=env).stdout.strip()
    assert ip.startswith("10.35.") and c.address("both") != ip
    out = c.exec("both", "ip", "address").stdout
    assert "ethwe0" in out and "ethwe@" in out


def test_three_engines(two):
    """One network on three hosts.  The third was told of one other only; then a link breaks."""
    c, d = two
    e = c.lab.engine_host(c.lan, "e")
    e.start_engine()
    e.load_image()
    e.launch(*RANGES, d.ip)
    hosts = [c, d, e]
    net_lab.mesh(hosts)
    e.wait_default_network()
    for host in hosts:
        host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
                    "10.44.0.0/16", "three")
        host.run_container(f"at-{host.short}", network="three")
    where = {host: host.address(f"at-{host.short}", "three") for host in hosts}
    assert len(set(where.values())) == 3

    def all_reach_all():
        return all(host.pings(f"at-{host.short}", ip) for host in hosts for ip in where.values())

    wait_until(20, all_reach_all, "all reach all")
    for host in hosts:
        wait_until(10, lambda: lookup(host, "at-e") == [where[e]], "its name is known everywhere")
    c.lan.cut(c, e)
    wait_until(40, lambda: not c.is_meshed(e), "the direct link is gone")
    wait_until(20, all_reach_all, "all reach all by way of the second host")
    c.lan.heal()
    for host in hosts:
        host.docker("rm", "-f", f"at-{host.short}")
        host.docker("network", "rm", "three")
    e.stop_engine()
