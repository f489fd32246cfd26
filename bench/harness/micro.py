"""make microbench: runs bench/micro, counts instructions with callgrind, writes a result."""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from . import ROOT, machine, result, stats

PROGRAM = ROOT / os.environ.get("BUILD", "build") / "release" / "bench" / "micro" / "micro"


def times(rounds):
    """({name: [ns of each round]}, {name: bytes})."""
    out = subprocess.run([PROGRAM, "time", str(rounds)], check=True, capture_output=True,
                         text=True).stdout
    found, sizes = {}, {}
    for line in map(json.loads, out.splitlines()):
        found.setdefault(line["name"], []).append(line["ns"])
        sizes[line["name"]] = line["size"]
    return found, sizes


def dumped(text):
    """(the case that was dumped, its instructions), of one file of callgrind's."""
    name = re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE)
    total = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
    return (name.group(1), int(total.group(1))) if name and total else None


def instructions():
    """{name: instructions of one operation}, or None and why not."""
    if not shutil.which("valgrind"):
        return None, "valgrind is not installed"
    with tempfile.TemporaryDirectory() as folder:
        # Nothing of the surroundings, so that it repeats.
        done = subprocess.run(["valgrind", "--tool=callgrind",
                               f"--callgrind-out-file={folder}/out", PROGRAM, "count"],
                              capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        if done.returncode:
            return None, f"callgrind ended with {done.returncode}: {done.stderr[-200:]}"
        counts = {line["name"]: line["count"] for line in map(json.loads, done.stdout.splitlines())}
        totals = dict(filter(None, (dumped(f.read_text()) for f in pathlib.Path(folder).iterdir())))
    found = {n: totals[n] / c for n, c in counts.items() if n in totals}
    return (found, None) if found else (None, "the program was built without valgrind's headers")


def line(run):
    fast = stats.median(run["ns"])
    rate = f"{run['size'] * 8 / fast:7.2f} Gbit/s" if run["size"] >= 64 else ""
    counted = f"{run['instructions']:14,.1f}" if run["instructions"] else f"{'-':>14}"
    return f"{run['name']:48} {fast:14,.1f} {min(run['ns']):14,.1f} {counted}  {rate}"


def main(arguments=None):
    p = argparse.ArgumentParser(prog="bench/microbench", description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--no-instructions", action="store_true", help="without callgrind: faster")
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "bench" / "micro.json")
    o = p.parse_args(arguments)
    subprocess.run(["make", "-s", "-C", ROOT, PROGRAM.relative_to(ROOT)], check=True)
    m = machine.describe()
    machine.print_machine(m)
    found, sizes = times(o.rounds)
    counted, why = (None, "not asked for") if o.no_instructions else instructions()
    if why:
        print(f"instructions are skipped: {why}\n", file=sys.stderr)
    runs = [{"name": n, "instructions": (counted or {}).get(n), "ns": ns, "size": sizes[n]}
            for n, ns in found.items()]
    print(f"{'one operation':48} {'ns, median':>14} {'ns, best':>14} {'instructions':>14}")
    for run in runs:
        print(line(run))
    result.save({"schema": result.SCHEMA, "kind": "micro", "slices": [m], "runs": runs}, o.out)
    print(f"\nwritten: {o.out}")
    return 0
