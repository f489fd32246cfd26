"""The file of results: JSON with every run, and what is worked out of it.

	schema    1
	kind      "traffic" (bench/run) or "micro" (make microbench)
	slices    [machine as in machine.describe()]: one for each call of bench/run that added to it
	place     "namespaces of one machine" or the two hosts
	settings  seconds, congestion: of every measurement
	baseline  the mode that ratios are to
	profiles  {name: {title, mtu, nic, loss, delay_ms, longer: times settings.seconds}}, and
	          status: "skipped", reason if it cannot be had here
	modes     {name: {title, group, sealed, version}}
	state     {profile: {mode: {status, reason, mtu}}}
	          status: measured; skipped (cannot be done here); failed (the reason says what; its
	          runs, if any, are not to be used and no table shows them)
	measures  {name: title}
	metrics   {name: {title, unit, better}}
	runs      [{profile, mode, measure, round, slice, metrics: {metric: number}, raw, disturbed}]
	          disturbed: part of all processors' time that went to others meanwhile; above
	          'tolerated' (DISTURBED_MAX) no table shows the run; or {..., error} when that one measurement failed
	          Runs of one profile with the same round stand side by side in time.

A micro result has runs [{name, instructions, ns: [a value for each round], size?}] instead of
profiles, modes, state, measures and metrics.
"""

import csv
import io
import json
import os
import pathlib

from . import stats

SCHEMA = 1
DISTURBED_MAX = 0.1


class Unusable(Exception):
    """This file is no result, or not one that fits; the text says why."""


def load(path):
    try:
        found = json.loads(pathlib.Path(path).read_text())
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Unusable(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict) or "schema" not in found:
        raise Unusable(f"{path} is not a result of this harness")
    if found["schema"] != SCHEMA:
        raise Unusable(f"{path} has schema {found['schema']}, this harness reads {SCHEMA}")
    return found


def save(result, path):
    """Whole or not at all; a run in a line, so that git can show what changed."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {k: v for k, v in result.items() if k != "runs"}
    text = json.dumps(head, indent=1)[:-2] + ',\n "runs": [\n'
    text += ",\n".join("  " + json.dumps(run) for run in result["runs"]) + "\n ]\n}\n"
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)


def usable(result, profile, mode):
    return result["state"].get(profile, {}).get(mode, {}).get("status") == "measured"


def is_disturbed(run):
    return run.get("disturbed", 0) > run.get("tolerated", DISTURBED_MAX)


def by_round(result, profile, mode, measure, metric):
    """{round: value} of a mode that was measured; empty for one that failed."""
    if not usable(result, profile, mode):
        return {}
    return {r["round"]: r["metrics"][metric] for r in result["runs"]
            if r["profile"] == profile and r["mode"] == mode and r["measure"] == measure
            and metric in r.get("metrics", {}) and not is_disturbed(r)}


def cells(result):
    """Every (profile, measure, metric) that was measured, in the order of the result."""
    seen = {}
    for run in result["runs"]:
        for metric in run.get("metrics", {}):
            seen.setdefault((run["profile"], run["measure"], metric))
    order = list(result["profiles"]), list(result["measures"]), list(result["metrics"])
    return sorted(seen, key=lambda c: tuple(o.index(x) for o, x in zip(order, c)))


def rows(result, baseline=None):
    """A dict for each profile, measure, metric and mode: median, min, max, count over rounds, and
    the same of the ratio to the baseline of the same round."""
    baseline = baseline or result["baseline"]
    for profile, measure, metric in cells(result):
        for mode in result["modes"]:
            values = by_round(result, profile, mode, measure, metric)
            if not values:
                continue
            base = by_round(result, profile, base_of(mode, baseline), measure, metric)
            ratio = list(stats.ratios(values, base).values())
            yield {"profile": profile, "measure": measure, "metric": metric, "mode": mode,
                   **stats.summary(list(values.values())),
                   **({f"ratio_{k}": v for k, v in stats.summary(ratio).items()}
                      if ratio else {})}


def base_of(mode, baseline):
    """Two containers of one host compare with a bridge there."""
    return "local-bridge" if mode.startswith("local-") else baseline


FIELDS = ["profile", "measure", "metric", "unit", "mode", "median", "min", "max", "count",
          "ratio_median", "ratio_min", "ratio_max", "ratio_count"]


def to_csv(result):
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows(result):
        writer.writerow({**{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()},
                         "unit": result["metrics"][row["metric"]]["unit"]})
    return out.getvalue()


def number(value):
    """Three digits that mean something."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


# What a terminal shows of a measure; everything is in the CSV.
HEADLINES = (("tcp1", "gbps"), ("tcp1", "cpu_s_per_gb"), ("tcp4", "gbps"), ("tcp32", "gbps"),
             ("tcp-both", "gbps"), ("udp-best", "gbps"), ("pps64", "kpps"), ("tcp-rr", "p50_us"),
             ("tcp-rr", "p99_us"), ("tcp-rr-pinned", "p50_us"), ("udp-rr", "p50_us"),
             ("tcp-crr", "per_second"), ("memory", "rss_mb"))
COLUMNS = 5


def table(result, profile, columns):
    heads = [f"{measure} {result['metrics'][metric]['unit']}" for measure, metric in columns]
    lines = [f"  {'':26}" + "".join(f"{head:>20}" for head in heads)]
    found = {(r["mode"], r["measure"], r["metric"]): r for r in rows(result)
             if r["profile"] == profile}
    for mode in result["modes"]:
        texts = []
        for measure, metric in columns:
            row = found.get((mode, measure, metric))
            ratio = f"{row['ratio_median']:7.2f}x" if row and "ratio_median" in row else " " * 8
            texts.append(f"{number(row['median']) if row else '-':>12}{ratio}")
        if any(text.strip() != "-" for text in texts):
            lines.append(f"  {result['modes'][mode]['title']:26}" + "".join(texts))
    return lines


def to_text(result):
    """For a terminal: medians, and the median ratio to the baseline of the same round."""
    lines = []
    measured = set(cells(result))
    for profile, about in result["profiles"].items():
        lines += ["", about["title"]]
        columns = [h for h in HEADLINES if (profile, *h) in measured]
        for at in range(0, len(columns), COLUMNS):
            lines += [*table(result, profile, columns[at:at + COLUMNS]), ""]
        if about.get("status") == "skipped":
            lines.append(f"  skipped: {about['reason']}")
        for mode, state in result["state"].get(profile, {}).items():
            if state["status"] != "measured":
                lines.append(f"  {result['modes'][mode]['title']}: {state['status']}: "
                             f"{state['reason']}")
    base = result["modes"].get(result["baseline"], {}).get("title", result["baseline"])
    out = sum(map(is_disturbed, result["runs"]))
    if out:
        lines.append(f"{out} of {len(result['runs'])} runs are left out: others used too "
                     "much of the processors meanwhile")
    return "\n".join([*lines, "", f"medians over rounds; x: to {base} in the same round"])
