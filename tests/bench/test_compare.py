"""What bench/compare calls slower, and what it does not."""

import random

import pytest

import canned
from harness import compare, micro, result


def rounds(middle, spread=0.01, count=7, seed=0):
    rng = random.Random(f"{middle} {seed}")
    return [middle * (1 + rng.uniform(-spread, spread)) for _ in range(count)]


def pair(old, new, metric="gbps", **more):
    """The same baseline in both, and fastdp as given."""
    out = []
    for seed, value in enumerate((old, new)):
        base = rounds(10.0, seed=seed)
        out.append(canned.traffic({("vxlan", "tcp1", metric): base,
                                   ("fastdp", "tcp1", metric): rounds(value, seed=seed, **more)}))
    return out


def verdict(found, mode="fastdp"):
    return next(v.verdict for v in found if f" {mode} " in v.name)


def test_slower_is_found_in_both_directions():
    assert verdict(compare.compare(*pair(12, 10))) == "slower"
    assert verdict(compare.compare(*pair(10, 12))) == "faster"
    assert verdict(compare.compare(*pair(1.0, 1.3, "cpu_s_per_gb"))) == "slower"
    assert verdict(compare.compare(*pair(1.3, 1.0, "cpu_s_per_gb"))) == "faster"


def test_what_is_within_the_threshold_is_the_same():
    assert verdict(compare.compare(*pair(12, 11.7))) == "same"
    assert verdict(compare.compare(*pair(12, 11.7), threshold=0.01)) == "slower"


def test_noise_is_not_slower():
    # A tenth less, but rounds that differ by half.
    assert verdict(compare.compare(*pair(12, 10.8, spread=0.5, count=5))) == "same"


def test_false_alarms_are_rare():
    alarms = 0
    for seed in range(60):
        old = rounds(10, 0.1, 5, f"a{seed}")
        new = rounds(10, 0.1, 5, f"b{seed}")
        alarms += compare.judge("x", old, new, "higher", 0.05).verdict != "same"
    assert alarms <= 3


def test_a_slow_machine_is_not_a_slow_program():
    old, new = pair(12, 12)
    for run in new["runs"]:
        run["metrics"]["gbps"] /= 3
    assert verdict(compare.compare(old, new)) == "same"
    assert verdict(compare.compare(old, new, absolute=True)) == "slower"
    # The baseline alone tells of the machine.
    assert verdict(compare.compare(old, new), "vxlan") == "same"


def test_too_few_rounds_are_unknown():
    assert verdict(compare.compare(*pair(12, 6, count=2))) == "unknown"


def test_what_is_not_there_any_more_is_said_with_the_reason():
    old, new = pair(12, 12)
    new["state"]["veth"]["fastdp"] = {"status": "failed", "reason": "went by sleeve"}
    gone = next(v for v in compare.compare(old, new) if v.verdict == "gone")
    assert gone.note == "failed: went by sleeve"


def test_instructions_repeat_so_the_threshold_decides():
    old = canned.micro({"merge": (1000, rounds(50)), "gone": (1, [1, 1, 1])})
    new = canned.micro({"merge": (1100, rounds(50, seed=1)), "new": (1, [1, 1, 1])})
    assert {v.name: v.verdict for v in compare.compare(old, new)} == {
        "merge instructions": "slower", "gone": "gone", "new": "new"}
    assert "merge ns" in {v.name for v in compare.compare(old, new, absolute=True)}


def test_time_is_judged_where_nobody_counted():
    old = canned.micro({"merge": (None, rounds(50))})
    new = canned.micro({"merge": (None, rounds(70, seed=1))})
    assert [(v.name, v.verdict) for v in compare.compare(old, new)] == [("merge ns", "slower")]


def test_callgrinds_dumps_are_read():
    text = "version: 1\ncreator: x\npid: 1\ndesc: Trigger: Client Request: store/merge-new\n" \
           "events: Ir\nsummary: 4200\nfn=(1) main\n1 5\ntotals: 4200\n"
    assert micro.dumped(text) == ("store/merge-new", 4200)
    # The dump at the program's end is of no case.
    assert micro.dumped(text.replace("Client Request: store/merge-new", "Program termination")) \
        is None


def test_kinds_and_baselines_must_fit():
    old, new = pair(12, 12)
    with pytest.raises(result.Unusable, match="traffic result, the other a micro"):
        compare.compare(old, canned.micro({}))
    new["baseline"] = "host"
    with pytest.raises(result.Unusable, match="baselines differ"):
        compare.compare(old, new)


@pytest.mark.parametrize("new,status", [(12, 0), (6, 1)])
def test_exit_status(tmp_path, capsys, new, status):
    for name, r in zip("ab", pair(12, new)):
        result.save(r, tmp_path / f"{name}.json")
    paths = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert compare.main(paths) == status
    assert f"2 compared: {status} slower" in capsys.readouterr().out


def test_what_cannot_be_compared_is_exit_status_2(tmp_path, capsys):
    result.save(canned.micro({}), tmp_path / "a.json")
    assert compare.main([str(tmp_path / "a.json"), str(tmp_path / "nosuch")]) == 2
    assert compare.main([str(tmp_path / "a.json")] * 2) == 2
    assert "No such file" in capsys.readouterr().err


def test_different_machines_are_warned_of(tmp_path, capsys):
    old, new = pair(12, 12)
    new["slices"][0]["cpu"] = "Other CPU"
    for name, r in (("a", old), ("b", new)):
        result.save(r, tmp_path / f"{name}.json")
    compare.main([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert "different machines: cpu Test CPU, Other CPU" in capsys.readouterr().out
