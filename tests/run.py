#!/usr/bin/env python3
"""Runs the tests, part by part, and ends with one line: "N passed, N failed[, N skipped]".

	python3 tests/run.py all               what must be true now: all of the below but soak
	python3 tests/run.py unit [pattern]    cmocka programs under gcc, clang with ASan+UBSan, TSan
	python3 tests/run.py sim | soak        the simulator: --ci, or --soak for SOAK_SECONDS
	python3 tests/run.py fuzz [pattern]    corpus replay, then FUZZ_SECONDS of search per target
	python3 tests/run.py net [pytest args] real routers in network namespaces (root)
	python3 tests/run.py vm [names]        the same on Debian's kernel in an emulated machine (tests/vm);
	                                       some minutes, so "all" runs a sample
	python3 tests/run.py bench             the benchmark's own statistics, tables and page
	python3 tests/run.py docker [pytest args]  real Docker engines, two and more (root)
	python3 tests/run.py lint              tools/lint

Environment: BUILD (build), BIN (bin), JOBS (number of cores), NET_JOBS (two more), FUZZ_SECONDS (3),
SOAK_SECONDS (3600), VARIANT (of the programs that sim, soak and net drive: asan, clang, tsan).  Exit status 0 only when something ran and nothing failed.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = os.environ.get("BUILD", "build")
JOBS = int(os.environ.get("JOBS", os.cpu_count() or 1))
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "3"))
# What sim and net drive. The simulator's own variant is the release with more optimization.
VARIANT = os.environ.get("VARIANT", "")
SOAK_SECONDS = int(os.environ.get("SOAK_SECONDS", "3600"))
NET_JOBS = int(os.environ.get("NET_JOBS", JOBS + 2))
NET_LONG = ("test_fastdp.py", "test_ipam.py", "test_bench.py", "test_hostile.py", "test_dns.py")

# What a hung program may cost, in seconds.
LIMIT = {"release": 90, "clang": 90, "asan": 300, "tsan": 300}
OUTPUT_LINES = 60  # of a failing program


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def ok(self, count=1):
        self.passed += count

    def bad(self, what, output=""):
        self.failed += 1
        say(f"FAIL {what}")
        lines = output.rstrip().splitlines()
        if len(lines) > OUTPUT_LINES:
            lines = [f"... ({len(lines) - OUTPUT_LINES} lines left out)"] + lines[-OUTPUT_LINES:]
        for line in lines:
            say(f"    {line}")

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def skip(self, what, reason):
        self.skipped += 1
        say(f"SKIP {what}: {reason}")


def say(line):
    print(line, flush=True)


def clean_environment():
    """Ours without what make tells its children: a nested make has its own jobs and variables."""
    leave_out = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "VARIANT", "BUILD", "BIN"}
    return {k: v for k, v in os.environ.items() if k not in leave_out}


def run(command, limit, env=None, log=None):
    """(exit status, output) of a program that is killed with its children after 'limit' seconds;
    status None = it took too long.  'log' is called with each line as it comes."""
    process = subprocess.Popen(command, cwd=ROOT, env=env or clean_environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True)
    RUNNING.add(process)
    timer = concurrent.futures.Future()

    def expire():
        try:
            timer.result(limit)
        except concurrent.futures.TimeoutError:
            end_group(process)
            return True
        return False

    lines = []
    with concurrent.futures.ThreadPoolExecutor(1) as watch:
        expired = watch.submit(expire)
        for line in process.stdout:
            lines.append(line)
            if log:
                log(line.rstrip("\n"))
        status = process.wait()
        timer.set_result(None)
    RUNNING.discard(process)
    return (None if expired.result() else status), "".join(lines)


RUNNING = set()


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def on_signal(number, _frame):
    # pytest removes its namespaces when it is asked to end; give it the time.
    for process in list(RUNNING):
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 20
    for process in list(RUNNING):
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            end_group(process)
    os._exit(128 + number)


def make(variant, *targets):
    # Without -B or clean: what is built stays.  -k: one broken program hides no other.
    command = ["make", "-s", "--no-print-directory", "-k", f"-j{JOBS}", f"BUILD={BUILD}",
               f"VARIANT={variant}", *targets]
    if variant == "release" and "BIN" in os.environ:
        command.append(f"BIN={os.environ['BIN']}")
    return run(command, 900)


def explain(status):
    if status is None:
        return "took too long"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


# --- unit ----------------------------------------------------------------------------------------

TAP = re.compile(r"^(not )?ok \d+(?: -)? ?(.*?)\s*$", re.MULTILINE)


def unit_sources(pattern):
    found = sorted(ROOT.glob("tests/unit/*/test_*.c")) + sorted(ROOT.glob("tests/prop/*/prop_*.c"))
    return [s.relative_to(ROOT) for s in found if pattern in str(s)]


def count_tap(tally, name, status, output):
    """cmocka prints a TAP line for each test; a program that dies before its end lacks some."""
    failed = passed = 0
    for bad, title in TAP.findall(output):
        if bad:
            failed += 1
        elif "# SKIP" in title.upper():
            tally.skip(f"{name}: {title}", "the program says so")
        else:
            passed += 1
    tally.ok(passed)
    if failed or status != 0:
        tally.bad(f"{name}: {failed} of {failed + passed} tests failed, {explain(status)}", output)
        tally.failed += max(0, failed - 1)
    elif passed == 0:
        tally.ok()  # a program that is one test


# They start threads only through net_announce, which lets one close a socket: nothing is shared.
WITHOUT_SHARING = ("test_bridge_io", "test_monitor_io", "test_attach_io", "test_expose_io")


def uses_threads(program):
    if program.name in WITHOUT_SHARING:
        return False
    symbols = subprocess.run(["nm", "-u", str(program)], capture_output=True, text=True)
    return "pthread_create" in symbols.stdout


def run_unit_variant(tally, variant, sources):
    targets = [f"{BUILD}/{variant}/{s.with_suffix('')}" for s in sources]
    status, output = make(variant, *targets)
    if status != 0:
        tally.bad(f"unit[{variant}]: build, {explain(status)}", output)
    env = clean_environment()
    env["CMOCKA_MESSAGE_OUTPUT"] = "TAP"
    env["ASAN_OPTIONS"] = "abort_on_error=1:detect_stack_use_after_return=1"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1"
    if variant != "release":
        env["WEAVE_TESTS_AGAIN"] = "1"  # tests/budget.h

    def one(target):
        program = ROOT / target
        if not program.exists():
            return None
        # Sanitizers of this age do not know how far newer kernels spread addresses.
        prefix = ["setarch", "-R"] if variant in ("asan", "tsan") else []
        start = time.monotonic()
        result = run([*prefix, str(program)], LIMIT[variant], env)
        times.append((time.monotonic() - start, target.split("/", 2)[-1]))
        return result

    times = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for target, result in zip(targets, pool.map(one, targets)):
            if result is None:
                continue  # the failed build was counted
            count_tap(tally, f"unit[{variant}] {target.split('/', 2)[-1]}", *result)
    slow = [f"{name} {seconds:.0f} s" for seconds, name in sorted(times)[:-4:-1] if seconds > 5]
    if slow:
        say(f"unit[{variant}]: slowest: {', '.join(slow)}")


def part_unit(tally, arguments):
    pattern = arguments[0] if arguments else ""
    sources = unit_sources(pattern)
    for variant in ("release", "asan"):
        before = tally.passed
        start = time.monotonic()
        run_unit_variant(tally, variant, sources)
        say(f"unit[{variant}]: {tally.passed - before} passed, {time.monotonic() - start:.0f} s")
    threaded = [s for s in sources
                if uses_threads(ROOT / BUILD / "release" / s.with_suffix(""))]
    if threaded:
        run_unit_variant(tally, "tsan", threaded)
    if not pattern:
        part_layers(tally)


def count_pass_lines(tally, part, status, output):
    """Tools of ours print "PASS name" and "FAIL name: why"."""
    passed = len(re.findall(r"^PASS ", output, re.MULTILINE))
    failed = re.findall(r"^FAIL (.*)$", output, re.MULTILINE)
    for what, reason in re.findall(r"^SKIP ([^:\n]*(?::[^ \n]+)?):? ?(.*)$", output, re.MULTILINE):
        tally.skip(what, reason)
    tally.ok(passed)
    tally.failed += len(failed)
    if not failed and status != 0:
        tally.bad(f"{part}: {explain(status)}", output)
    elif not failed and not passed:
        tally.bad(f"{part}: nothing ran", output)


def print_unless_skip(line):
    if not line.startswith("SKIP "):  # the tally prints those
        say(line)


def part_layers(tally):
    status, output = make("release", "layers")
    for line in output.splitlines():
        if line.startswith("FAIL ") or status != 0:
            say(line)
    count_pass_lines(tally, "layers", status, output)


# --- simulator -----------------------------------------------------------------------------------

def run_simulator(tally, limit, *arguments, variant=VARIANT or "sim"):
    status, output = make(variant, "simulate")
    program = ROOT / BUILD / variant / "simulate"
    if status != 0 or not program.exists():
        tally.bad(f"sim: build, {explain(status)}", output)
        return
    status, output = run([str(program), *arguments, "--jobs", str(JOBS)], limit,
                         log=print_unless_skip)
    count_pass_lines(tally, "sim", status, output)


def part_sim(tally, _arguments):
    run_simulator(tally, 1500, "--ci")
    if not VARIANT:
        # The same object under the sanitizers: fewer and smaller runs, all of the code.
        run_simulator(tally, 300, "--seeds", "1-20", "--peers", "12", variant="asan")


def part_soak(tally, _arguments):
    run_simulator(tally, SOAK_SECONDS + 600, "--soak", "--seconds", str(SOAK_SECONDS))


# --- fuzz ----------------------------------------------------------------------------------------

def fuzz_one(target):
    """Lines for one fuzz target: the kept inputs first, then a short search for new ones."""
    name = target.name.removeprefix("fuzz_")
    corpus = ROOT / "tests/fuzz/corpus" / name
    found = ROOT / BUILD / "asan" / "fuzz-found" / name
    found.mkdir(parents=True, exist_ok=True)
    corpora = [str(corpus)] if corpus.is_dir() else []
    env = clean_environment()
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    base = ["setarch", "-R", str(target), "-timeout=10", "-rss_limit_mb=1024", "-verbosity=0",
            "-print_final_stats=0", f"-artifact_prefix={found}/crash-"]
    results = []
    if corpora:
        results.append((f"fuzz:{name}:corpus", *run([*base, "-runs=0", *corpora], 120, env)))
    with tempfile.TemporaryDirectory(prefix="weave-fuzz-") as scratch:
        search = [*base, f"-max_total_time={FUZZ_SECONDS}", "-max_len=4096", scratch, *corpora]
        results.append((f"fuzz:{name}", *run(search, FUZZ_SECONDS + 60, env)))
    return results


def part_fuzz(tally, arguments):
    pattern = arguments[0] if arguments else ""
    sources = [s for s in sorted(ROOT.glob("tests/fuzz/fuzz_*.c")) if pattern in s.name]
    targets = [ROOT / BUILD / "asan/tests/fuzz" / s.stem for s in sources]
    status, output = make("asan", *[str(t.relative_to(ROOT)) for t in targets])
    if status != 0:
        tally.bad(f"fuzz: build, {explain(status)}", output)
    built = [t for t in targets if t.exists()]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for results in pool.map(fuzz_one, built):
            for name, status, output in results:
                if status == 0:
                    tally.ok()
                    say(f"PASS {name}")
                else:
                    tally.bad(f"{name}: {explain(status)}", output)


# --- end to end ----------------------------------------------------------------------------------

PYTEST_TOTAL = re.compile(r"^-+ generated xml|"
                          r"^=*\s*(no tests ran|\d+ (passed|failed|skipped|error)).* in [\d.]+s")


def run_pytest(arguments, log=None):
    """A Tally of one pytest process, and its output; 'log' is called with each line."""
    tally = Tally()
    report = pathlib.Path(tempfile.mkdtemp(prefix="weave-net-")) / "report.xml"
    command = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs",
               "--tb=short", f"--junitxml={report}", *arguments]
    env = clean_environment()
    for name in ("BUILD", "BIN"):
        if name in os.environ:
            env[name] = os.environ[name]
    if VARIANT:
        env.setdefault("BIN", f"{BUILD}/{VARIANT}/bin")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    status, output = run(command, 900, env, log)
    try:
        suites = xml.etree.ElementTree.parse(report).getroot().iter("testsuite")
        counts = [(int(s.get("tests")), int(s.get("failures")), int(s.get("errors")),
                   int(s.get("skipped"))) for s in suites]
    except (OSError, xml.etree.ElementTree.ParseError):
        tally.bad(f"pytest: no report, {explain(status)}")
        return tally, output
    finally:
        shutil.rmtree(report.parent, ignore_errors=True)
    for tests, failures, errors, skipped in counts:
        tally.ok(max(0, tests - failures - errors - skipped))
        tally.failed += failures + errors
        tally.skipped += skipped  # -rs has printed why
    if status != 0 and not tally.failed:
        tally.bad(f"pytest: {explain(status)}")
    return tally, output


def say_unless_total(line):
    if line and not PYTEST_TOTAL.match(line):
        say(line)


def part_net(tally, arguments):
    if os.geteuid() != 0:
        tally.bad("net: needs root, to make network namespaces")
        return
    status, output = make(VARIANT or "release", "all")
    if status != 0:
        tally.bad(f"net: build, {explain(status)}", output)
        return
    if arguments:
        tally.add(run_pytest(arguments, say_unless_total)[0])
        return
    # They wait most of their time, each in namespaces of its own: several files at once, the
    # longest first.
    files = sorted(ROOT.glob("tests/net/test_*.py"), key=lambda f: (f.name not in NET_LONG,
                                                                    -f.stat().st_size))
    with concurrent.futures.ThreadPoolExecutor(NET_JOBS) as pool:
        started = {pool.submit(run_file, f): f for f in files}
        for future in concurrent.futures.as_completed(started):
            own, output, seconds = future.result()
            say(f"net: {started[future].name}: {own.passed} passed, {own.failed} failed, "
                f"{seconds:.0f} s")
            for line in output.splitlines():
                if own.failed or not re.fullmatch(r"[.s]*\s*(\[ *\d+%\])?", line):
                    say_unless_total(line)
            tally.add(own)


def part_docker(tally, arguments):
    """The engines' hosts are separate, but the work is the processors': one file after another."""
    status, output = make(VARIANT or "release", "all")
    if status != 0:
        tally.bad(f"docker: build, {explain(status)}", output)
        return
    own, output = run_pytest(arguments or ["tests/docker"], say_unless_total)
    tally.add(own)


def run_file(file):
    start = time.monotonic()
    own, output = run_pytest([str(file.relative_to(ROOT))])
    return own, output, time.monotonic() - start


# --- emulated machine ----------------------------------------------------------------------------

VM_SECONDS = 600


def part_vm(tally, arguments):
    status, output = make(VARIANT or "release", "all")
    if status != 0:
        tally.bad(f"vm: build, {explain(status)}", output)
        return
    env = clean_environment()
    env["BUILD"] = BUILD
    env["VM_SECONDS"] = str(VM_SECONDS)
    if "BIN" in os.environ or VARIANT:
        env["BIN"] = os.environ.get("BIN") or f"{BUILD}/{VARIANT}/bin"
    status, output = run(["/usr/bin/python3", "tests/vm/vm.py", "/usr/bin/python3",
                          "tests/vm/guest.py", *arguments], VM_SECONDS + 120, env, say_unless_boot)
    if status == 3:  # no such machine here
        tally.skip("vm", output.strip().splitlines()[-1])
    else:
        count_pass_lines(tally, "vm", status, output)


def say_unless_boot(line):
    if not re.match(r"\[ *\d+\.\d+\] ", line):
        say(line)


def part_bench(tally, arguments):
    # Nothing else builds these, and what they use changes.
    status, output = make("release", "programs-bench")
    if status == 0:
        status, output = run([f"{BUILD}/release/bench/micro/micro", "time", "1"], 120)
    tally.ok() if status == 0 else tally.bad(f"bench: programs, {explain(status)}", output)
    tally.add(run_pytest(arguments or ["tests/bench"], say_unless_total)[0])


# --- lint ----------------------------------------------------------------------------------------

def part_lint(tally, _arguments):
    # It runs beside the end-to-end tests, which wait most of their time, and must not slow them.
    status, output = run(["nice", "-n", "19", "sh", "tools/lint"], 900, log=print_unless_skip)
    count_pass_lines(tally, "lint", status, output)


PARTS = {"lint": part_lint, "unit": part_unit, "sim": part_sim, "fuzz": part_fuzz,
         "net": part_net, "bench": part_bench, "vm": part_vm, "docker": part_docker,
         "soak": part_soak}
# Those in one list run side by side.  More of that saves nothing: beside each other all parts keep
# two processors busy all the time, take as long, and the emulated machine starves.
# The emulated machine has one processor, and beside it engines wait for their containers.
ALL = [["unit"], ["bench"], ["lint", "net"], ["sim"], ["fuzz"], ["vm", "docker"]]
# Of what costs more than its share of the 15 minutes; the whole: make test-vm.
SAMPLES = {"vm": ["esp:all_traffic", "stock_kernel:fastdp"]}


def run_part(tally, part, arguments):
    say(f"--- {part}")
    start = time.monotonic()
    own = Tally()
    PARTS[part](own, arguments)
    if not own.passed and not own.failed and not own.skipped:
        own.bad(f"{part}: nothing ran")
    tally.add(own)
    return f"{part} {time.monotonic() - start:.0f} s"


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    if what != "all" and what not in PARTS:
        print(__doc__, file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    tally = Tally()
    times = []
    arguments = {what: sys.argv[2:]} if what != "all" else SAMPLES
    for together in ALL if what == "all" else [[what]]:
        with concurrent.futures.ThreadPoolExecutor(len(together)) as pool:
            times += pool.map(lambda part: run_part(tally, part, arguments.get(part, [])),
                              together)
    say(f"--- time: {', '.join(times)}")
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    say(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
