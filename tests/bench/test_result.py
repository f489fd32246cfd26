"""The statistics of rounds, the file of results, its tables."""

import csv
import io
import json

import pytest

import canned
from harness import result, stats


def test_ratios_are_of_the_same_round():
    # The machine is twice as fast in round 2: the ratio does not change with it.
    assert stats.ratios({1: 8.0, 2: 16.0, 3: 9.0}, {1: 10.0, 2: 20.0}) == {1: 0.8, 2: 0.8}
    assert stats.ratios({1: 8.0}, {1: 0.0}) == {}


def test_quantile_is_linear():
    assert stats.quantile([0.0, 10.0], 0.5) == 5
    assert stats.quantile([1.0, 2.0, 4.0], 1) == 4
    assert stats.quantile([3.0], 0.3) == 3


def test_bootstrap_holds_the_true_ratio_and_repeats():
    old, new = [10.0, 10.2, 9.9, 10.1, 10.0], [5.0, 5.1, 4.9, 5.0, 5.05]
    at, low, high = stats.bootstrap_ratio(old, new)
    assert at == 0.5 and 0.47 < low < 0.5 < high < 0.53
    assert stats.bootstrap_ratio(old, new) == (at, low, high)
    noisy = [4.0, 10.0, 16.0, 7.0, 12.0]
    _, low, high = stats.bootstrap_ratio(noisy, noisy)
    assert low < 0.7 and high > 1.4


def test_rows_have_medians_and_ratios():
    r = canned.traffic({("vxlan", "tcp1", "gbps"): [10, 20, 10],
                        ("fastdp", "tcp1", "gbps"): [12, 22, 13]})
    row = next(x for x in result.rows(r) if x["mode"] == "fastdp")
    assert (row["median"], row["min"], row["max"], row["count"]) == (13, 12, 22, 3)
    assert row["ratio_median"] == pytest.approx(1.2)    # not 13 / 10
    assert (row["ratio_min"], row["ratio_max"]) == (pytest.approx(1.1), pytest.approx(1.3))


def test_what_failed_is_in_no_table():
    r = canned.traffic({("vxlan", "tcp1", "gbps"): [10], ("fastdp", "tcp1", "gbps"): [99]})
    r["state"]["veth"]["fastdp"] = {"status": "failed", "reason": "went by sleeve"}
    assert [x["mode"] for x in result.rows(r)] == ["vxlan"]
    text = result.to_text(r)
    assert "weave fastdp: failed: went by sleeve" in text and "99" not in text


def test_what_was_disturbed_is_in_no_table_but_counted():
    r = canned.traffic({("vxlan", "tcp1", "gbps"): [10, 20, 30]})
    r["runs"][2]["disturbed"] = 0.4
    assert next(result.rows(r))["max"] == 20
    assert "1 of 3 runs are left out" in result.to_text(r)


def test_a_mode_without_the_baseline_has_no_ratio():
    r = canned.traffic({("fastdp", "tcp1", "gbps"): [12]})
    assert "ratio_median" not in next(result.rows(r))
    assert "12.0" in result.to_text(r)


def test_csv_has_every_row():
    r = canned.traffic({("vxlan", "tcp1", "gbps"): [10], ("vxlan", "tcp1", "cpu_s_per_gb"): [0.5],
                        ("fastdp", "tcp1", "gbps"): [12.5]})
    read = list(csv.DictReader(io.StringIO(result.to_csv(r))))
    assert [(x["mode"], x["metric"], x["median"], x["unit"]) for x in read] == [
        ("vxlan", "gbps", "10", "Gbit/s"), ("fastdp", "gbps", "12.5", "Gbit/s"),
        ("vxlan", "cpu_s_per_gb", "0.5", "s/GB")]
    assert read[1]["ratio_median"] == "1.25"


def test_a_result_survives_the_disk(tmp_path):
    r = canned.traffic({("vxlan", "tcp1", "gbps"): [10, 11]})
    result.save(r, tmp_path / "new" / "r.json")
    assert result.load(tmp_path / "new" / "r.json") == r
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["r.json"]


@pytest.mark.parametrize("text,says", [
    (None, "No such file"), ("{", "is not JSON"), ("[]", "is not a result"),
    ('{"machine": 1}', "is not a result"), ('{"schema": 99}', "schema 99")])
def test_what_is_no_result_is_refused(tmp_path, text, says):
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(result.Unusable, match=says):
        result.load(path)


def test_raw_runs_are_one_line_each(tmp_path):
    r = canned.traffic({("vxlan", "tcp1", "gbps"): [10, 11]})
    result.save(r, tmp_path / "r.json")
    lines = [x for x in (tmp_path / "r.json").read_text().splitlines() if '"round"' in x]
    assert len(lines) == 2 and json.loads(lines[0].strip().rstrip(","))["metrics"] == {"gbps": 10}
