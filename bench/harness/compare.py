"""What got slower between two results, beyond noise.

Of each number the ratio new / old of the medians over rounds is taken, with its 99 % confidence
interval by bootstrap.  Slower (or faster) is what lies beyond 1 with the whole interval and with
the ratio itself by more than a threshold.  Traffic is compared by its ratios to the baseline of the
same round, which drift less than the machine does; the baseline itself, and all with 'absolute',
by its own values.  Instructions are counted, not measured: there the threshold alone decides, and
CPU time is judged only where nobody counted, and with 'absolute'.
"""

import argparse
import dataclasses
import sys

from . import result, stats

ROUNDS_MIN = 3
PERCENTILES_SHY = ("p99_us", "p999_us", "retransmits_per_gb")   # too rare to judge by


@dataclasses.dataclass
class Verdict:
    name: str
    verdict: str        # "slower", "faster", "same", "unknown", "new", "gone"
    ratio: float = 1.0  # new to old; of what is better when higher, or its inverse: see 'better'
    low: float = 1.0
    high: float = 1.0
    old: float = 0.0
    new: float = 0.0
    note: str = ""


def judge(name, old, new, better, threshold):
    """Of the values of rounds, old and new."""
    if min(len(old), len(new)) < ROUNDS_MIN:
        return Verdict(name, "unknown", note=f"fewer than {ROUNDS_MIN} rounds")
    if not stats.median(old) or min(old) <= 0:
        return Verdict(name, "unknown", note="the old value is zero")
    ratio, low, high = stats.bootstrap_ratio(old, new)
    verdict = "same"
    if ratio < 1 - threshold and high < 1:
        verdict = "slower" if better == "higher" else "faster"
    elif ratio > 1 + threshold and low > 1:
        verdict = "faster" if better == "higher" else "slower"
    return Verdict(name, verdict, ratio, low, high, stats.median(old), stats.median(new))


def values_of(r, profile, mode, measure, metric, absolute):
    values = result.by_round(r, profile, mode, measure, metric)
    base = result.base_of(mode, r["baseline"])
    if absolute or mode == base:
        return list(values.values())
    against = result.by_round(r, profile, base, measure, metric)
    # What the baseline has not got (a daemon's memory) stands for itself.
    return list(stats.ratios(values, against).values()) if against else list(values.values())


def traffic(old, new, threshold, absolute):
    cells = list(dict.fromkeys([*result.cells(old), *result.cells(new)]))
    for profile, measure, metric in cells:
        if metric in PERCENTILES_SHY:
            continue
        for mode in dict.fromkeys([*old["modes"], *new["modes"]]):
            name = f"{profile} {mode} {measure} {metric}"
            before, after = (values_of(r, profile, mode, measure, metric, absolute)
                             for r in (old, new))
            if not before and not after:
                continue
            if not after:
                state = new["state"].get(profile, {}).get(mode, {})
                yield Verdict(name, "gone", note=": ".join(
                    filter(None, (state.get("status"), state.get("reason")))))
            elif not before:
                yield Verdict(name, "new")
            else:
                better = new["metrics"].get(metric) or old["metrics"][metric]
                verdict = judge(name, before, after, better["better"], threshold)
                if mode == result.base_of(mode, new["baseline"]) and not absolute:
                    # Everything else stands beside it; alone it tells of the machine.
                    verdict.note = "baseline: not judged"
                    verdict.verdict = "same"
                yield verdict


def micro(old, new, threshold, absolute):
    before, after = ({run["name"]: run for run in r["runs"]} for r in (old, new))
    for name in dict.fromkeys([*before, *after]):
        a, b = before.get(name), after.get(name)
        if not a or not b:
            yield Verdict(name, "gone" if a else "new")
            continue
        counted = a.get("instructions") and b.get("instructions")
        if counted:
            ratio = b["instructions"] / a["instructions"]
            verdict = ("slower" if ratio > 1 + threshold else
                       "faster" if ratio < 1 - threshold else "same")
            yield Verdict(f"{name} instructions", verdict, ratio, ratio, ratio, a["instructions"],
                          b["instructions"])
        if absolute or not counted:
            yield judge(f"{name} ns", a["ns"], b["ns"], "lower", max(threshold, 0.1))


def compare(old, new, threshold=0.05, absolute=False):
    if old["kind"] != new["kind"]:
        raise result.Unusable(f"one is a {old['kind']} result, the other a {new['kind']} result")
    if old["kind"] == "traffic" and old["baseline"] != new["baseline"]:
        raise result.Unusable(f"their baselines differ: {old['baseline']}, {new['baseline']}")
    return list((traffic if old["kind"] == "traffic" else micro)(old, new, threshold, absolute))


def warnings(old, new):
    a, b = old["slices"][-1], new["slices"][-1]
    for what in ("cpu", "cpus", "kernel", "iperf3"):
        if a[what] != b[what]:
            yield f"measured on different machines: {what} {a[what]}, {b[what]}"
    for what in ("place", "settings"):
        if old.get(what) != new.get(what):
            yield f"measured differently: {what} {old.get(what)}, {new.get(what)}"


def main(arguments=None):
    p = argparse.ArgumentParser(prog="bench/compare", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="Exit status: 0 nothing got slower, 1 something did, 2 these "
                                       "cannot be compared.")
    p.add_argument("old", help="result of bench/run or make microbench")
    p.add_argument("new")
    p.add_argument("--threshold", type=float, default=5, metavar="PERCENT",
                   help="smaller changes are not told (5)")
    p.add_argument("--absolute", action="store_true",
                   help="compare values, not ratios to the baseline: only on a quiet machine")
    p.add_argument("--all", action="store_true", help="print what stayed the same too")
    o = p.parse_args(arguments)
    try:
        old, new = result.load(o.old), result.load(o.new)
        found = compare(old, new, o.threshold / 100, o.absolute)
    except result.Unusable as reason:
        print(f"bench/compare: {reason}", file=sys.stderr)
        return 2
    for text in warnings(old, new):
        print(f"warning: {text}")
    for wanted in ("slower", "faster", "gone", "new", "unknown", "same"):
        for v in found:
            if v.verdict != wanted or (wanted in ("same", "new") and not o.all):
                continue
            detail = (f"{v.ratio:.3f}x ({v.low:.3f} to {v.high:.3f})  {result.number(v.old)} -> "
                      f"{result.number(v.new)}" if v.old else "")
            print(f"{wanted:8} {v.name:48} {detail} {v.note}".rstrip())
    counts = {w: sum(v.verdict == w for v in found) for w in ("slower", "faster", "same")}
    compared = sum(counts.values())
    print(f"{compared} compared: " + ", ".join(f"{n} {w}" for w, n in counts.items()))
    if not compared:
        print("bench/compare: nothing to compare: they share no measurement with "
              f"{ROUNDS_MIN} rounds each", file=sys.stderr)
        return 2
    return 1 if counts["slower"] else 0
