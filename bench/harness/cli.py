"""bench/run: measures, writes the result, its tables and its page."""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

import lab
from . import ROOT, machine, measures, modes, peers, place, remote, report, result, rounds

DESCRIPTION = """Compares the ways in which weave carries containers' packets, with each other, with the host's own
network, with a bridge and VXLAN device as flannel has it, and with other overlays that are
installed.  Hosts are namespaces of this machine, without a way out; or two real ones: --host."""

INSIDE = "WEAVE_BENCH_INSIDE"   # set once we are in a network namespace of our own


def names(known, default):
    def parse(text):
        found = []
        for word in text.replace(",", " ").split():
            expanded = {"all": list(known), "default": default}.get(word, [word])
            for name in expanded:
                if name not in known:
                    raise argparse.ArgumentTypeError(
                        f"'{name}' is none of: {', '.join(known)}, all, default")
                found.append(name)
        return list(dict.fromkeys(found))
    return parse


def parse(arguments):
    packaged = {n for names_of in peers.NAMES.values() for n in names_of}
    modes_known = [n for n in modes.MODES if n not in packaged]
    p = argparse.ArgumentParser(prog="bench/run", description=DESCRIPTION,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--full", action="store_true",
                   help="all modes, measures and profiles, 5 rounds of 2 s; takes hours")
    p.add_argument("--modes", type=names(modes_known, modes.BASIC), metavar="NAME,...",
                   help=f"of: {', '.join(modes_known)} (default: {','.join(modes.BASIC)})")
    p.add_argument("--peers", default=os.environ.get("BENCH_PEERS", ""), metavar="NAME,...",
                   help=f"packaged overlays besides, those that are installed of: "
                        f"{', '.join(peers.NAMES)}, all (default: $BENCH_PEERS)")
    p.add_argument("--measures", type=names(measures.MEASURES, measures.QUICK), metavar="NAME,...",
                   help=f"of: {', '.join(measures.MEASURES)} (default: "
                        f"{','.join(measures.QUICK)})")
    p.add_argument("--profiles", type=names(place.PROFILES, ["veth"]), metavar="NAME,...",
                   help=f"what joins the hosts: {', '.join(place.PROFILES)} (default: veth)")
    p.add_argument("--rounds", type=int, help="5 unless told")
    p.add_argument("--seconds", type=int, help="of each measurement (1; 2 with --full)")
    p.add_argument("--congestion", default="cubic", help="TCP's congestion control (cubic)")
    p.add_argument("--baseline", default="vxlan", help="the mode that ratios are to (vxlan)")
    p.add_argument("--tolerate", type=float, default=100 * result.DISTURBED_MAX, metavar="PERCENT",
                   help="of the processors that others may use meanwhile; what was disturbed more "
                        "is repeated, then left out (10; 100: whatever comes)")
    p.add_argument("--budget", type=float, metavar="SECONDS",
                   help="begin no round that would end later than this")
    p.add_argument("--out", type=pathlib.Path, metavar="FILE",
                   default=ROOT / "build" / "bench" / "result.json",
                   help="JSON; CSV and HTML are written beside it (build/bench/result.json)")
    p.add_argument("--append", action="store_true",
                   help="add rounds to the file that is there: a long run in slices")
    p.add_argument("--host", action="append", default=[], metavar="[USER@]HOST[=IP]",
                   help="twice: real hosts to measure between, by ssh as root (or with sudo that "
                        "asks for no password); IP: where the other one reaches it")
    p.add_argument("--ssh", default="ssh", metavar="COMMAND",
                   help="how to reach them, with options (ssh)")
    p.add_argument("--list", action="store_true", help="say what there is, and end")
    o = p.parse_args(arguments)
    if len(o.host) not in (0, 2):
        p.error("--host is given twice, or not at all")
    if o.host and o.profiles:
        p.error("--profiles are for namespaces; real hosts are measured as they are")
    if o.baseline not in modes.MODES:
        p.error(f"--baseline: '{o.baseline}' is no mode")
    if min(n for n in (o.rounds, o.seconds, 1) if n is not None) < 1:
        p.error("--rounds and --seconds are at least 1")
    everything = o.full
    o.modes = o.modes or (list(modes_known) if everything else modes.BASIC)
    if o.host:
        o.modes = [m for m in o.modes if not m.startswith("local-")]
    o.measures = o.measures or list(measures.MEASURES if everything else measures.QUICK)
    o.profiles = o.profiles or (list(place.PROFILES) if everything else ["veth"])
    o.rounds = o.rounds or 5
    o.seconds = o.seconds or (2 if everything else 1)
    wanted = o.peers.replace(",", " ").split()
    for name in list(peers.NAMES) if wanted == ["all"] else wanted:
        if name not in peers.NAMES:
            p.error(f"--peers: '{name}' is none of: {', '.join(peers.NAMES)}, all")
        o.modes += [m for m in peers.NAMES[name] if m not in o.modes]
    return o


def show_list():
    for title, rows in (("modes", modes.MODES), ("measures", measures.MEASURES),
                        ("profiles", place.PROFILES)):
        print(f"{title}:")
        for row in rows.values():
            print(f"  {row.name:16} {row.title}")


def own_network():
    """Into a network namespace without a way out; the hosts are namespaces beside it."""
    if os.environ.get(INSIDE):
        return
    os.environ[INSIDE] = "1"
    # sys.argv[0] is bench/run, which finds this package again.
    os.execvp("unshare", ["unshare", "--net", "--", sys.executable, *sys.argv])


def begin(o, where, facts=None):
    """The result to add to; 'facts' of other machines than this one."""
    if o.append and o.out.exists():
        found = result.load(o.out)
        if found["settings"] != {"seconds": o.seconds, "congestion": o.congestion} \
                or found["place"] != where or found["baseline"] != o.baseline:
            raise result.Unusable(f"{o.out} was measured otherwise: {found['settings']}, "
                                  f"{found['place']}, to {found['baseline']}")
    else:
        found = {"schema": result.SCHEMA, "kind": "traffic", "slices": [], "place": where,
                 "settings": {"seconds": o.seconds, "congestion": o.congestion},
                 "baseline": o.baseline, "profiles": {}, "modes": {}, "state": {}, "measures": {},
                 "metrics": {}, "runs": []}
    m = {**machine.describe(), **(facts or {})}
    machine.print_machine(m)
    if found["slices"] and found["slices"][0]["cpu"] != m["cpu"]:
        raise result.Unusable(f"{o.out} was measured on another machine: "
                              f"{found['slices'][0]['cpu']}")
    if found["slices"] and found["slices"][-1]["commit"] != m["commit"]:
        print(f"note: earlier rounds are of commit {found['slices'][-1]['commit']}")
    found["slices"].append(m)
    for name in o.modes:
        mode = modes.MODES[name]
        found["modes"].setdefault(name, {"title": mode.title, "group": mode.group,
                                         "sealed": mode.sealed, "version": m["weave"]
                                         if mode.group == "weave" else
                                         machine.first_line(*mode.version)
                                         if mode.version else f"Linux {m['kernel']}"})
    for known, kept in ((measures.MEASURES, "measures"), (modes.MODES, "modes")):
        found[kept] = {n: found[kept].get(n) or known[n].title for n in known
                       if n in found[kept] or (kept == "measures" and n in o.measures)}
    found["metrics"] = {n: vars(m) for n, m in measures.METRICS.items()}
    return found


def interrupted(number, _frame):
    # A second one must not interrupt the cleaning.
    for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def finish(found, path):
    if not found["runs"] and not found["state"]:
        return
    result.save(found, path)
    path.with_suffix(".csv").write_text(result.to_csv(found))
    path.with_suffix(".html").write_text(report.page(found))
    print(result.to_text(found))
    print(f"\nwritten: {path}, .csv and .html beside it")


def measure_here(o, until):
    found = begin(o, "namespaces of one machine")
    run = start(o, found, until)
    try:
        for name in o.profiles:
            with lab.Lab() as laboratory, \
                    place.LocalPlace(laboratory, place.PROFILES[name]) as where:
                run.profile(where)
    finally:
        finish(found, o.out)
    return found


def measure_between(o, until):
    with lab.Lab() as laboratory, remote.RemotePlace(laboratory, o.host, o.ssh) as where:
        found = begin(o, " and ".join(h.machine for h in where.pair), where.facts())
        run = start(o, found, until)
        try:
            run.profile(where)
        finally:
            finish(found, o.out)
    return found


def start(o, found, until):
    return rounds.Run(found, measures.Settings(o.seconds, o.congestion, o.tolerate / 100), o.modes, o.measures,
                      o.rounds, until, lambda text: print(text, flush=True))


def main(arguments=None):
    o = parse(arguments)
    if o.list:
        show_list()
        return 0
    if not o.host:
        machine.need_root()
        own_network()
    if subprocess.run(["make", "-s", "-C", ROOT, "all", place.PROBE.relative_to(ROOT)],
                      check=False).returncode:
        sys.exit("bench/run: the programs do not build")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupted)
    until = time.monotonic() + o.budget if o.budget else None
    try:
        found = (measure_between if o.host else measure_here)(o, until)
    except (result.Unusable, remote.Unreachable) as reason:
        sys.exit(f"bench/run: {reason}")
    failed = [f"{p} {m}" for p, states in found["state"].items() for m, s in states.items()
              if s["status"] == "failed"]
    return 1 if failed else 0
