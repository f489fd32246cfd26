"""Fixtures.  A lab lives as long as its module, unless a test asks for its own."""

import pytest

import lab as lab_module


def pytest_configure(config):
    lab_module.install_cleanup()


@pytest.fixture
def lab():
    with lab_module.Lab() as own:
        yield own


@pytest.fixture(scope="module")
def module_lab():
    with lab_module.Lab() as shared:
        yield shared


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    # Labs are still open when this is called for the test itself, and for a fixture that failed.
    if report.failed and call.when in ("setup", "call"):
        for lab in lab_module.Lab.open_labs:
            report.sections.append((f"routers of {lab.prefix}", lab.describe()))


@pytest.fixture
def say(capsys):
    """Prints a line into the output of a run that captures output: measured numbers."""
    def show(text):
        with capsys.disabled():
            print(f"\n    {text}", end="", flush=True)
    return show
