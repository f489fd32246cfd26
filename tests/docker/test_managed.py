"""The managed plugin (v2): `make plugin`, `docker plugin create` and `enable`."""

import subprocess

import pytest

import engines
from engines import net_lab


@pytest.fixture(scope="module")
def host(possible):
    with engines.EngineLab() as lab:
        own = lab.engine_host(lab.lan(), "m")
        own.start_engine()
        yield own


def test_a_managed_plugin(host):
    folder = host.root / "bundle"
    subprocess.run(["sh", str(net_lab.ROOT / "packaging/plugin/build"), str(net_lab.BIN),
                    str(folder)], check=True)
    host.docker("plugin", "create", "weave", folder)
    assert "weave:latest" in host.docker("plugin", "ls")
    host.docker("plugin", "enable", "weave")
    try:
        line = host.docker("plugin", "ls", "--format", "{{.Name}} {{.Enabled}}")
        assert line == "weave:latest true"
    finally:
        host.try_docker("plugin", "disable", "-f", "weave")
        host.try_docker("plugin", "rm", "-f", "weave")
