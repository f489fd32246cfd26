"""Results as a run would write them, with values that a test chooses."""


def machine(commit="aaaa"):
    return {"date": "2026-01-02T03:04:05+00:00", "cpu": "Test CPU", "cpus": 2, "kernel": "6.0-test",
            "weave": "weave 3.0.0", "commit": commit, "iperf3": "iperf 3.12", "load": 0.1}


METRICS = {"gbps": {"title": "throughput", "unit": "Gbit/s", "better": "higher"},
           "cpu_s_per_gb": {"title": "processor time, all hosts", "unit": "s/GB",
                            "better": "lower"},
           "kpps": {"title": "datagrams received", "unit": "k/s", "better": "higher"},
           "p50_us": {"title": "median", "unit": "µs", "better": "lower"},
           "p90_us": {"title": "90 %", "unit": "µs", "better": "lower"},
           "p99_us": {"title": "99 %", "unit": "µs", "better": "lower"},
           "p999_us": {"title": "99.9 %", "unit": "µs", "better": "lower"},
           "rss_mb": {"title": "resident", "unit": "MB", "better": "lower"}}

MODES = {"host": "host to host, no overlay", "vxlan": "bridge + VXLAN", "fastdp": "weave fastdp",
         "sleeve": "weave sleeve"}


def traffic(values, commit="aaaa"):
    """'values': {(mode, measure, metric): [one for each round]}."""
    runs = {}
    for (mode, measure, metric), row in values.items():
        for number, value in enumerate(row, 1):
            if value is not None:
                runs.setdefault((number, mode, measure), {})[metric] = value
    modes = list(dict.fromkeys(mode for mode, _, _ in values))
    measures = list(dict.fromkeys(measure for _, measure, _ in values))
    return {"schema": 1, "kind": "traffic", "slices": [machine(commit)],
            "place": "namespaces of one machine", "settings": {"seconds": 1, "congestion": "cubic"},
            "baseline": "vxlan",
            "profiles": {"veth": {"title": "MTU 1500, all offloads", "mtu": 1500, "nic": False,
                                  "loss": 0, "delay_ms": 0, "longer": 1}},
            "modes": {m: {"title": MODES[m], "group": "kernel" if m in ("host", "vxlan") else
                          "weave", "sealed": False, "version": "v"} for m in modes},
            "state": {"veth": {m: {"status": "measured", "reason": "", "mtu": 1450}
                               for m in modes}},
            "measures": {m: f"measure {m}" for m in measures}, "metrics": METRICS,
            "runs": [{"profile": "veth", "mode": mode, "measure": measure, "round": number,
                      "slice": 0, "metrics": metrics, "raw": {}}
                     for (number, mode, measure), metrics in sorted(runs.items())]}


def micro(values, commit="aaaa"):
    """'values': {name: (instructions, [ns of each round])}."""
    return {"schema": 1, "kind": "micro", "slices": [machine(commit)],
            "runs": [{"name": name, "instructions": instructions, "ns": ns}
                     for name, (instructions, ns) in values.items()]}
