"""The managed plugin (v2): `make plugin`, `docker plugin create`, and a network of it."""

import subprocess

import pytest

import engines
from engines import IMAGE, net_lab, wait_until


@pytest.fixture(scope="module")
def host(possible):
    with engines.EngineLab() as lab:
        own = lab.engine_host(lab.lan(), "m")
        own.start_engine()
        own.load_image()
        yield own


def test_a_managed_plugin(host):
    folder = host.root / "bundle"
    subprocess.run(["sh", str(net_lab.ROOT / "packaging/plugin/build"), str(net_lab.BIN),
                    str(folder)], check=True)
    host.docker("plugin", "create", "weave", folder)
    assert "weave:latest" in host.docker("plugin", "ls")
    host.docker("plugin", "enable", "weave")
    try:
        host.docker("network", "create", "-d", "weave:latest", "--ipam-driver", "weave:latest",
                    "--subnet", "10.50.0.0/16", "-o", "works.weave.segment=default", "managed")
        for name in ("m1", "m2"):
            host.run_container(name, network="managed")
        ip = host.address("m2", "managed")
        assert ip.startswith("10.50.")
        wait_until(15, lambda: host.pings("m1", ip), "containers of a managed plugin")
        host.docker("rm", "-f", "m1", "m2")
        host.docker("network", "rm", "managed")
    finally:
        host.try_docker("plugin", "disable", "-f", "weave")
        host.try_docker("plugin", "rm", "-f", "weave")
