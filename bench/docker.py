#!/usr/bin/env python3
"""What the plugin adds to the start of a container, beside the engine's own bridge networks.

	/usr/bin/python3 bench/docker.py [--rounds 20] [--out bench/results/docker.json]

One host with a real engine, a router and the plugin.  Rounds alternate between the networks; the
plugin's part is the time of its calls RequestAddress, CreateEndpoint and Join, as weave-plugin
logs them: from the request's first byte to its answer, with the way to the router and its disk.
"""

import argparse
import json
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "docker"))
import engines  # noqa: E402

CALLS = ("IpamDriver.RequestAddress", "NetworkDriver.CreateEndpoint", "NetworkDriver.Join")


def plugin_times(host, since):
    """Milliseconds of each call logged behind 'since', and where the log ends now."""
    text = (host.run_dir / "plugin.log").read_text()
    found = re.findall(r"(\w+\.\w+): 200 in ([\d.]+) ms", text[since:])
    return {call: sum(float(ms) for name, ms in found if name == call) for call in CALLS}, len(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out")
    options = parser.parse_args()
    reason = engines.why_not()
    if reason:
        sys.exit(f"no Docker engine can run here: {reason}")
    engines.net_lab.install_cleanup()
    # A network that a user made gets a resolver from the engine, the default bridge none.
    starts = {"bridge": [], "users-bridge": [], "weave": []}
    parts = {call: [] for call in CALLS}
    with engines.EngineLab() as lab:
        host = lab.engine_host(lab.lan(), "b")
        host.start_engine()
        host.load_image()
        host.run_dir.mkdir(exist_ok=True)
        host.start_plugin()
        host.launch()
        host.wait_default_network()
        host.docker("network", "create", "users-bridge")
        _, at = plugin_times(host, 0)
        for i in range(-1, options.rounds):  # the first one warms up
            for network in starts:
                begun = time.monotonic()
                host.run_container(f"{network}{i}", network=network)
                seconds = time.monotonic() - begun
                times, at = plugin_times(host, at)
                if i >= 0:
                    starts[network].append(seconds * 1000)
                if i >= 0 and network == "weave":
                    for call in CALLS:
                        parts[call].append(times[call])
                host.docker("rm", "-f", f"{network}{i}")
                _, at = plugin_times(host, at)
    sums = [sum(values) for values in zip(*parts.values())]
    result = {
        "rounds": options.rounds,
        "docker_run_ms": {k: round(statistics.median(v), 1) for k, v in starts.items()},
        "plugin_ms": {"median": round(statistics.median(sums), 2), "min": round(min(sums), 2),
                      "max": round(max(sums), 2)},
        "calls_ms": {k: round(statistics.median(v), 2) for k, v in parts.items()},
    }
    print(json.dumps(result, indent=1))
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
