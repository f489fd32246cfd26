"""Inside the emulated machine: runs the tests of tests/vm, one line "PASS name" or "FAIL name: why" each.

	/usr/bin/python3 tests/vm/guest.py [part of a name...]

A test is a function test_*(lab) of a file test_*.py, with a fresh laboratory (tests/net/lab.py)
each.  Not pytest: under emulation its start alone costs as much as several tests.
"""

import importlib
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "net")]

import lab as lab_module  # noqa: E402 (the path is needed first)


def tests(wanted):
    for file in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(file.stem)
        for name, test in vars(module).items():
            title = f"vm:{file.stem[5:]}:{name[5:]}"
            if name.startswith("test_") and (not wanted or any(w in title for w in wanted)):
                yield title, test


def run(title, test):
    start = time.monotonic()
    with lab_module.Lab() as lab:
        try:
            test(lab)
        except Exception as error:  # whatever it is, the next one runs
            print(f"FAIL {title}: {' '.join(str(error).split())[:500]}")
            print(traceback.format_exc())
            print(lab.describe(), flush=True)
            return
    print(f"PASS {title} ({time.monotonic() - start:.0f} s)", flush=True)


def main():
    lab_module.install_cleanup()
    for title, test in tests(sys.argv[1:]):
        run(title, test)


main()
