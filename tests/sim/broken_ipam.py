"""Breaks one rule of IPAM after the other in a scratch copy and counts the red runs of the simulator.

    python3 tests/sim/broken_ipam.py FOLDER [NAME...] [--seeds 1-500] [--removals]

FOLDER becomes the copy (and keeps its build). For docs/why/ipam-proof.md; a rule whose place in the
sources has changed is reported as not found, so that this cannot rot unseen.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# name: what is broken, file, text, by what it is replaced
RULES = {
    "merge": ("merge: epochs do not count", "ipam/ring.c",
              "int c = order(a->epoch, b->epoch);", "int c = 0;"),
    "send": ("sync before send: gifts and gossip leave at once", "ipam/outgoing.c",
             "push(hold && o->ticket > o->saved ?", "push(type == IPAM_ANSWER && hold && o->ticket > o->saved ?"),
    "ready": ("in sync: ready as soon as there is a ring", "ipam/allocator.c",
              "return i->ring_id && i->peers.in_sync &&", "return i->ring_id &&"),
    "nobody": ("in sync: with nobody", "ipam/peers.c",
               "return all && (p->met_any || mono_reached(i->now, p->sync_due));", "return true;"),
    "anything": ("in sync: a neighbour that has said anything will do", "ipam/peers.c",
                 "if (n->met || (n->said && n->state.ring_id != i->ring_id))", "if (n->said)"),
    "answer": ("rmpeer: confirmed without an answer", "ipam/takeover.c",
               "if (ask_all(i, t) && has_room(i, t))", "if ((ask_all(i, t) || 1) && has_room(i, t))"),
    "mark": ("rmpeer: a mark does not keep what is marked from use", "ipam/takeover.c",
             "return m->epoch == run->epoch && m->counter == run->counter;",
             "return m->epoch == run->epoch && m->counter == run->counter + 1;"),
    "f14": ("rmpeer: who has answered is not asked about what is taken later (F14)",
            "ipam/takeover.c", "if (taken)\n\t\task_anew(i, t);", "(void)taken;"),
    "f15": ("rmpeer: who has no ring declines (F15)", "ipam/allocator.c",
            "m->type == MESSAGE_TAKEOVER && !i->ring_id;", "false;"),
    "f16": ("rmpeer: what a lost store said counts (F16)", "ipam/peers.c",
            "if (p->store_id && p->store_id != store_id)", "if (0)"),
    "f17": ("rmpeer: a living victim out of reach is not waited for (F17)", "ipam/takeover.c",
            "static void note_awaited(struct ipam *i)\n{",
            "static void note_awaited(struct ipam *i)\n{\n"
            "\tfor (struct list *l = i->takeovers.list.next; l != &i->takeovers.list; l = l->next)\n"
            "\t\tpeers_note_removed(i, list_entry(l, struct takeover, link)->victim);"),
    "vote": ("vote: whoever leads has won", "ipam/vote.c",
             "best - second > tally->unseen)", "best > second)"),
}


def build(copy):
    made = subprocess.run(["make", "-s", "VARIANT=sim", "simulate"], cwd=copy, text=True,
                          capture_output=True, check=False)
    if made.returncode:
        sys.exit(made.stdout + made.stderr)


def run(copy, course, seeds):
    """(number of red runs, first red seed, what it said)"""
    simulate = copy / "build/sim/simulate"
    text = subprocess.run([simulate, course, "--seeds", seeds], text=True, check=False,
                          capture_output=True).stdout
    red = sorted((int(seed), said) for seed, said in 
                 re.findall(r"^FAIL \w+-(\d+): (.*) \(replay", text, re.M))
    count = int(re.search(r"^RUNS \d+ passed \d+ failed (\d+)", text, re.M).group(1))
    return count, *(red[0] if red else ("-", ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", default="1-500")
    parser.add_argument("--removals", action="store_true")
    parser.add_argument("rules", nargs="*", metavar="NAME", help=", ".join(RULES))
    options = parser.parse_args()
    copy = options.folder
    course = "--removals" if options.removals else "--ipam"
    # With new times: what an interrupted run has built is built again.
    shutil.copytree(ROOT, copy, copy_function=shutil.copy, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("build", ".git"))
    print("| broken | first red seed | red | by |\n|---|---|---|---|")
    for name in options.rules or RULES:
        what, file, text, instead = RULES[name]
        path = copy / file
        whole = path.read_text()
        if whole.count(text) != 1:
            sys.exit(f"{name}: {file} does not say just once: {text}")
        path.write_text(whole.replace(text, instead))
        build(copy)
        count, first, said = run(copy, course, options.seeds)
        print(f"| {what} | {first} | {count} | {said[:150]} |", flush=True)
        path.write_text(whole)


if __name__ == "__main__":
    main()
