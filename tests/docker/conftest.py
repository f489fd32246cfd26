"""Fixtures: two hosts with an engine, a router and the default network, as long as a module."""

import concurrent.futures

import pytest

import engines
from engines import RANGES, net_lab


def pytest_configure(config):
    net_lab.install_cleanup()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.when in ("setup", "call"):
        for lab in net_lab.Lab.open_labs:
            report.sections.append((f"hosts of {lab.prefix}", lab.describe()))


@pytest.fixture
def say(capsys):
    def show(text):
        with capsys.disabled():
            print(f"\n    {text}", end="", flush=True)
    return show


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = engines.why_not()
    if reason:
        pytest.skip(f"no Docker engine can run here: {reason}")


@pytest.fixture(scope="module")
def pair(possible):
    """Hosts a and b with engines and routers that are connected."""
    with engines.EngineLab() as lab:
        lan = lab.lan()
        hosts = [lab.engine_host(lan, short) for short in "ab"]
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
        for host in hosts:
            host.wait_default_network()
        yield hosts


@pytest.fixture(autouse=True)
def tidy(request):
    """No test finds containers or networks of another."""
    yield
    if "pair" not in request.fixturenames:
        return

    def tidy_up(host):
        names = host.docker("ps", "-aq").split()
        if names:
            host.docker("rm", "-f", *names)
        for name in host.docker("network", "ls", "-q", "--filter", "type=custom").split():
            if host.docker("network", "inspect", "-f", "{{.Name}}", name) not in (
                    "weave", "docker_gwbridge"):
                host.docker("network", "rm", name)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(tidy_up, request.getfixturevalue("pair")))
