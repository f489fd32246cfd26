"""A run: what is measured, in which order, and what becomes of modes that cannot be."""

import contextlib
import types

import pytest

import canned
from harness import measures, modes, path, result, rounds
from harness.place import Profile


class Place:
    profile = Profile("veth", "test")
    exclusive = False
    hosts_max = 2

    def has(self, tool):
        return tool != "absent"

    def why_not(self):
        return None

    def describe(self):
        return {"title": "test"}


def scene(log, name):
    return types.SimpleNamespace(client=types.SimpleNamespace(reaches=lambda ip: True), ip="1.2.3.4",
                                 mtu=1450, name=name, hosts=[], close=lambda: log.append(f"close {name}"))


@pytest.fixture
def world(monkeypatch):
    """Modes and a measure that only write down that they were called."""
    log = []

    def build(name):
        def body(place):
            log.append(f"build {name}")
            return scene(log, name)
        return body

    def unavailable(place):
        raise modes.Unavailable("no such kernel")

    def broken(place):
        raise AssertionError("router did not start\nand more")

    found = {"vxlan": modes.Mode("vxlan", "V", build("vxlan"), "kernel"),
             "fastdp": modes.Mode("fastdp", "F", build("fastdp")),
             "off": modes.Mode("off", "O", unavailable),
             "tool": modes.Mode("tool", "T", build("tool"), tools=("absent",)),
             "three": modes.Mode("three", "3", build("three"), hosts=3),
             "broken": modes.Mode("broken", "B", broken)}
    monkeypatch.setattr(modes, "MODES", found)
    monkeypatch.setattr(path, "wrong", lambda s: None)

    def measure(s, settings):
        log.append(f"measure {s.name}")
        return {"gbps": 1.0 + len(log)}, {}

    monkeypatch.setitem(measures.MEASURES, "m", measures.Measure("m", "M", measure))

    def run(*names, count=2, place=None, settings=measures.Settings(), **options):
        result = canned.traffic({})
        result["modes"] = {n: {"title": m.title} for n, m in found.items()}
        result["state"], result["profiles"] = {}, {}
        r = rounds.Run(result, settings, names, ["m"], count, say=lambda text: None,
                       **options)
        r.profile(place or Place())
        return result
    return types.SimpleNamespace(log=log, run=run, monkeypatch=monkeypatch)


def test_rounds_are_interleaved(world):
    result = world.run("vxlan", "fastdp")
    assert world.log == ["build vxlan", "build fastdp"] + ["measure vxlan", "measure fastdp"] * 2
    assert [(r["mode"], r["round"]) for r in result["runs"]] == [
        ("vxlan", 1), ("fastdp", 1), ("vxlan", 2), ("fastdp", 2)]


def test_real_hosts_carry_one_mode_at_a_time(world):
    place = Place()
    place.exclusive = True
    place.clear = lambda: world.log.append("clear")
    world.run("vxlan", "fastdp", place=place)
    visit = [["build vxlan", "measure vxlan", "close vxlan", "clear"],
             ["build fastdp", "measure fastdp", "close fastdp", "clear"]]
    assert world.log == (visit[0] + visit[1]) * 2


def test_what_cannot_be_is_skipped_and_says_why(world):
    result = world.run("vxlan", "off", "tool", "three", "broken")
    state = {n: (s["status"], s["reason"]) for n, s in result["state"]["veth"].items()}
    assert state == {"vxlan": ("measured", ""), "off": ("skipped", "no such kernel"),
                     "tool": ("skipped", "not installed: absent"),
                     "three": ("skipped", "needs 3 hosts"),
                     "broken": ("failed", "router did not start / and more")}
    assert {r["mode"] for r in result["runs"]} == {"vxlan"}


def test_the_wrong_way_is_not_measured(world):
    world.monkeypatch.setattr(path, "wrong",
                              lambda s: "went by sleeve" if s.name == "fastdp" else None)
    result = world.run("vxlan", "fastdp")
    assert result["state"]["veth"]["fastdp"]["status"] == "failed"
    assert "measure fastdp" not in world.log


def test_a_way_that_changed_meanwhile_spoils_its_runs(world):
    world.monkeypatch.setattr(path, "wrong", lambda s: "went by sleeve" if any(
        "measure" in line for line in world.log) and s.name == "fastdp" else None)
    result = world.run("vxlan", "fastdp")
    assert result["state"]["veth"]["fastdp"] == {
        "status": "failed", "reason": "after measuring: went by sleeve", "mtu": 1450}
    assert result["state"]["veth"]["vxlan"]["status"] == "measured"


def test_one_failed_measurement_costs_only_itself(world):
    def fails(s, settings):
        raise RuntimeError("iperf3: no route")
    world.monkeypatch.setitem(measures.MEASURES, "m", measures.Measure("m", "M", fails))
    result = world.run("vxlan", count=1)
    assert [r["error"] for r in result["runs"]] == ["iperf3: no route"]


def test_a_disturbed_measurement_is_done_again_and_the_calmer_one_kept(world):
    shares = iter([0.5, 0.3, 0.05])
    world.monkeypatch.setattr(rounds.cpu.Meter, "disturbed", lambda self, seconds: next(shares))
    runs = world.run("vxlan", count=2)["runs"]
    assert [(r["disturbed"], r["metrics"]["gbps"]) for r in runs] == [(0.3, 4.0), (0.05, 5.0)]


def test_what_is_tolerated_is_kept_at_once(world):
    shares = iter([0.5, 0.9, 0.8])
    world.monkeypatch.setattr(rounds.cpu.Meter, "disturbed", lambda self, seconds: next(shares))
    runs = world.run("vxlan", count=2, settings=measures.Settings(tolerate=0.6))["runs"]
    assert [(r["disturbed"], result.is_disturbed(r)) for r in runs] == [(0.5, False), (0.8, True)]


def test_no_round_begins_when_time_is_up(world):
    assert world.run("vxlan", until=0)["runs"] == []


def test_slices_add_rounds(world):
    result = world.run("vxlan", count=1)
    r = rounds.Run(result, measures.Settings(), ["vxlan"], ["m"], 1, say=lambda text: None)
    r.profile(Place())
    assert [run["round"] for run in result["runs"]] == [1, 2]


def test_lossy_profiles_measure_longer(world):
    seen = []
    world.monkeypatch.setitem(measures.MEASURES, "m", measures.Measure(
        "m", "M", lambda s, settings: (seen.append(settings.seconds) or {"gbps": 1.0}, {})))
    place = Place()
    place.profile = Profile("loss1", "lossy", loss=0.01)
    world.run("vxlan", count=1, place=place)
    assert seen == [4]


def test_options_are_checked_before_anything_is_made(capsys):
    from harness import cli
    for wrong in (["--modes", "vxlan,nosuch"], ["--measures", "x"], ["--rounds", "0"],
                  ["--baseline", "nosuch"]):
        with contextlib.suppress(SystemExit):
            cli.parse(wrong)
            pytest.fail(f"{wrong} was taken")
        assert "bench/run: error" in capsys.readouterr().err
