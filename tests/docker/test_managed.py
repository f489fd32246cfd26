"""The managed plugin (v2): `make plugin`, `docker plugin create` and `enable`."""

import subprocess

import pytest

import engines
from engines import net_lab, wait_until


@pytest.fixture(scope="module")
def hosts(possible):
    with engines.EngineLab() as lab:
        lan = lab.lan()
        own = [lab.engine_host(lan, short) for short in "mn"]
        for host in own:
            host.start_engine(wait=False)
        for host in own:
            host.wait_engine()
            host.load_image()
        yield own


def install(host, *peers):
    folder = host.root / "bundle"
    subprocess.run(["sh", str(net_lab.ROOT / "packaging/plugin/build"), str(net_lab.BIN),
                    str(folder)], check=True)
    host.docker("plugin", "create", "weave", folder)
    assert "weave:latest" in host.docker("plugin", "ls")
    host.docker("plugin", "set", "weave", f"EXTRA_ARGS={' '.join(peers)}")
    host.docker("plugin", "enable", "weave")
    line = host.docker("plugin", "ls", "--format", "{{.Name}} {{.Enabled}}")
    assert line == "weave:latest true"


def test_a_managed_plugin_carries_containers(hosts):
    """The router is inside the plugin; nothing of weave is installed on the hosts."""
    m, n = hosts
    install(m)
    install(n, m.ip)
    for host in hosts:
        wait_until(20, lambda: host.try_docker(
            "network", "create", "-d", "weave:latest", "--ipam-driver", "weave:latest", "--subnet",
            "10.32.7.0/24", "-o", "works.weave.segment=managed", "managed").returncode == 0,
            "a network")
        host.run_container(f"in-{host.short}", network="managed")
    where = {host: host.address(f"in-{host.short}", "managed") for host in hosts}
    assert where[m] != where[n]
    wait_until(20, lambda: m.pings("in-m", where[n]) and n.pings("in-n", where[m]), "across hosts")
    for host in hosts:
        host.docker("rm", "-f", f"in-{host.short}")
        host.docker("network", "rm", "managed")
        host.docker("plugin", "disable", "weave")
        host.docker("plugin", "rm", "weave")
        assert "weave" not in host.docker("plugin", "ls")
