"""The page of a result: one HTML file that needs nothing else, and the small picture.  Pure."""

from . import charts, result, stats
from .charts import Bar, Panel, Row, escape

TWINS = (("tcp1", "gbps", "cpu_s_per_gb"), ("tcp4", "gbps", "cpu_s_per_gb"),
         ("tcp32", "gbps", "cpu_s_per_gb"), ("tcp-both", "gbps", "cpu_s_per_gb"),
         ("pps64", "kpps", "cpu_us_per_packet"))
SINGLES = (("udp-best", "gbps"), ("tcp-crr", "per_second"), ("memory", "rss_mb"),
           ("tcp1", "retransmits_per_gb"))
LATENCIES = ("tcp-rr", "tcp-rr-pinned", "udp-rr")
SAYS = {
    ("tcp1", "gbps"): "One connection, container to container on another host.",
    ("pps64", "kpps"): "Small packets show the cost of each one: sender and receiver have a "
                       "processor each.",
    ("udp-best", "gbps"): "Found by halving an interval of rates.",
    ("tcp-crr", "per_second"): "Connect, one byte there and back, close; one after the other.",
    ("memory", "rss_mb"): "The daemon that carries the frames, resident, after measuring.",
}


class View:
    """One profile of a result, as charts want it."""

    def __init__(self, r, profile, local=False):
        self.result, self.profile = r, profile
        self.base = "local-bridge" if local else r["baseline"]
        self.line = None if local else "host"
        self.modes = [m for m in r["modes"] if m.startswith("local-") == local
                      and result.usable(r, profile, m)]
        self.cells = {}
        for row in result.rows(r):
            if row["profile"] == profile and row["mode"] in self.modes:
                self.cells.setdefault((row["measure"], row["metric"]), {})[row["mode"]] = row
        self.rows = self._rows()

    def _rows(self):
        """Kernel, weave, then the others, the fastest first."""
        tcp = self.cells.get(("tcp1", "gbps")) or next(iter(self.cells.values()), {})

        def order(mode):
            about = self.result["modes"][mode]
            peer = about["group"] == "peer"
            return peer, -tcp.get(mode, {"median": 0})["median"] if peer else 0
        return [Row(m, self.result["modes"][m]["title"], self.result["modes"][m]["sealed"])
                for m in sorted(self.modes, key=order)]

    def tip(self, row):
        about = self.result["modes"][row["mode"]]
        unit = self.result["metrics"][row["metric"]]["unit"]
        words = (f"{about['title']}: median {result.number(row['median'])} {unit}, "
                 f"{result.number(row['min'])} to {result.number(row['max'])} in {row['count']} "
                 "rounds")
        if "ratio_median" in row:
            words += (f"; {row['ratio_median']:.2f}x ({row['ratio_min']:.2f} to "
                      f"{row['ratio_max']:.2f}) {self.result['modes'][self.base]['title']}")
        return words

    def panel(self, measure, metric, title=None, clip=False):
        found = self.cells.get((measure, metric))
        if not found:
            return None
        bars = {m: Bar(r["median"], r["min"], r["max"], r.get("ratio_median")
                       if m != self.base else None, self.tip(r)) for m, r in found.items()}
        about = self.result["metrics"][metric]
        line_title = "no overlay"
        return Panel(title or self.result["measures"][measure], about["unit"], bars, self.line,
                     line_title, charts.clip_for(bars, self.base) if clip else None)

    def percentiles(self, measure):
        out = {}
        for key, _, _ in charts.MARKS:
            for mode, row in self.cells.get((measure, key), {}).items():
                out.setdefault(mode, {})[key] = row["median"]
        return {m: v for m, v in out.items() if len(v) == len(charts.MARKS)}

    def ratio(self, mode, measure, metric):
        return self.cells.get((measure, metric), {}).get(mode, {}).get("ratio_median")

    def to_another(self, mode, other, measure, metric):
        """Median ratio of two modes, round by round."""
        mine, theirs = (result.by_round(self.result, self.profile, m, measure, metric)
                        for m in (mode, other))
        found = list(stats.ratios(mine, theirs).values())
        return stats.median(found) if found else None


def figure(title, says, *drawings, wide=True):
    """One drawing, or a wide and a narrow one of which the page shows what fits."""
    body = (f'<div class="wide">{drawings[0]}</div><div class="narrow">{drawings[1]}</div>'
            if len(drawings) == 2 else drawings[0])
    words = f"<p>{escape(says)}</p>" if says else ""
    return (f'<figure class="{"full" if wide else "half"}"><figcaption><h3>{escape(title[:1].upper() + title[1:])}</h3>'
            f"{words}</figcaption>{body}</figure>")


def twin(view, measure, metric, cost):
    first = view.panel(measure, metric,
                       "throughput" if metric == "gbps" else "received")
    if not first:
        return ""
    second = view.panel(measure, cost, "CPU", clip=True)
    panels = [p for p in (first, second) if p]
    title = view.result["measures"][measure]
    return figure(title, SAYS.get((measure, metric), ""), charts.wide(view.rows, panels, title),
                  charts.narrow(view.rows, panels, title))


def latencies(view, measure):
    values = view.percentiles(measure)
    if not values:
        return ""
    title = view.result["measures"][measure]
    return figure(title, "One byte there and back, one after the other. Logarithmic.",
                  charts.latency(view.rows, values, title),
                  charts.latency(view.rows, values, title, width=390, names=0))


def single(view, measure, metric):
    if (measure, metric) not in view.cells:
        return ""
    about = view.result["metrics"][metric]
    panel = view.panel(measure, metric, about["title"], clip=about["better"] == "lower")
    return figure(view.result["measures"][measure], SAYS.get((measure, metric), ""),
                  charts.narrow(view.rows, [panel], view.result["measures"][measure]), wide=False)


def not_measured(r, profile):
    items = "".join(f"<li><b>{escape(r['modes'][m]['title'])}</b> {s['status']}: "
                    f"{escape(s['reason'])}</li>"
                    for m, s in r["state"].get(profile, {}).items() if s["status"] != "measured")
    return f'<ul class="missing">{items}</ul>' if items else ""


def numbers(r, profile):
    """The table with all of them, folded."""
    lines = []
    last = None
    for row in result.rows(r):
        if row["profile"] != profile:
            continue
        metric = r["metrics"][row["metric"]]
        if last != (row["measure"], row["metric"]):
            last = row["measure"], row["metric"]
            lines.append(f'<tr class="head"><th colspan="5">{escape(r["measures"][row["measure"]])}:'
                         f' {escape(metric["title"])}, {escape(metric["unit"])}</th></tr>')
        ratio = (f"{row['ratio_median']:.3f} <small>({row['ratio_min']:.2f}–"
                 f"{row['ratio_max']:.2f})</small>" if "ratio_median" in row else "")
        lines.append(f"<tr><td>{escape(r['modes'][row['mode']]['title'])}</td>"
                     f"<td>{result.number(row['median'])}</td><td>{result.number(row['min'])}–"
                     f"{result.number(row['max'])}</td><td>{row['count']}</td><td>{ratio}</td></tr>")
    return ('<details><summary>All numbers</summary><div class="scroll"><table><tr><th>mode</th>'
            "<th>median</th><th>min–max</th><th>rounds</th><th>ratio to the baseline, same round"
            f"</th></tr>{''.join(lines)}</table></div></details>")


def section(r, profile):
    about = r["profiles"][profile]
    out = [f'<section id="{escape(profile)}"><h2>{escape(about["title"])}</h2>']
    if about.get("status") == "skipped":
        return "".join([*out, f'<p class="missing">Skipped: {escape(about["reason"])}.</p>',
                        "</section>"])
    for view, title in ((View(r, profile), None),
                        (View(r, profile, True), "Two containers on one host")):
        if not view.modes:
            continue
        if title:
            out.append(f"<h2 class=sub>{title}</h2>")
        out.append('<div class="figures">')
        out += [twin(view, *t) for t in TWINS]
        out += [latencies(view, m) for m in LATENCIES]
        out += [single(view, *s) for s in SINGLES]
        out.append("</div>")
    return "".join([*out, not_measured(r, profile), numbers(r, profile), "</section>"])


# --- the first thing that is seen ----------------------------------------------------------------

def best_peer(view, sealed, measure="tcp1", metric="gbps"):
    found = [(row["median"], mode) for mode, row in view.cells.get((measure, metric), {}).items()
             if view.result["modes"][mode]["group"] == "peer"
             and view.result["modes"][mode]["sealed"] == sealed]
    return max(found)[1] if found else None


def headlines(r, profile):
    """(number, of what, against what): only what was measured here."""
    view = View(r, profile)
    base = r["modes"].get(r["baseline"], {}).get("title", r["baseline"])
    out = []
    for mode, measure, metric, words in (
            ("fastdp", "tcp1", "gbps", "TCP throughput"),
            ("fastdp", "tcp1", "cpu_s_per_gb", "CPU time for a gigabyte (less is better)"),
            ("fastdp", "pps64", "kpps", "64-byte packets a second"),
            ("fastdp-relay", "pps64", "kpps", "64-byte packets a second"),
            ("sleeve", "tcp1", "gbps", "TCP throughput"),
            ("sleeve-sealed", "tcp1", "gbps", "TCP throughput")):
        value = view.ratio(mode, measure, metric)
        if value is not None:
            out.append((f"{value:.2f}×", r["modes"][mode]["title"], f"{words}, to {base}"))
    for mode, sealed in (("sleeve", False), ("sleeve-sealed", True)):
        other = best_peer(view, sealed)
        value = view.to_another(mode, other, "tcp1", "gbps") if other else None
        if value is not None:
            out.append((f"{value:.1f}×" if value < 10 else f"{value:.0f}×",
                        r["modes"][mode]["title"],
                        f"TCP throughput, to {r['modes'][other]['title']}, the fastest other "
                        f"{'encrypted' if sealed else 'plain'} user-space overlay here"))
    return out


def span(values):
    low, high = min(values), max(values)
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"


def about(r):
    """What it was measured on, as (name, value)."""
    m, slices = r["slices"][-1], r["slices"]
    days = sorted({s["date"][:10] for s in slices})
    commits = list(dict.fromkeys(s["commit"] for s in slices))
    rounds = {}
    for run in r["runs"]:
        rounds.setdefault((run["profile"], run["measure"]), set()).add(run["round"])
    counts = sorted({len(v) for v in rounds.values()})
    out = sum(map(result.is_disturbed, r["runs"]))
    return [("processor", f"{m['cpu']}, {m['cpus']} CPUs"), ("kernel", f"Linux {m['kernel']}"),
            ("version", f"{m['weave']} ({', '.join(commits)})"),
            ("hosts", r["place"]), ("date", " to ".join(dict.fromkeys((days[0], days[-1])))),
            ("rounds", " to ".join(str(c) for c in dict.fromkeys((counts[0], counts[-1])))
             if counts else "0"),
            ("each", f"{r['settings']['seconds']} s, TCP {r['settings']['congestion']}, "
                     f"{m['iperf3'].split(' (')[0]}"),
            ("load before", span([s["load"] for s in slices])),
            ("runs left out", f"{out} of {len(r['runs'])}, others used the processors")]


PAGE_STYLE = """
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:clamp(26px,5vw,40px);line-height:1.15;margin:.2em 0 .3em;letter-spacing:-.02em}
h2{font-size:22px;margin:52px 0 12px;letter-spacing:-.01em}h2.sub{font-size:19px;margin-top:36px}
h3{font-size:17px;margin:0}p{margin:.3em 0}figcaption p,.lead{color:var(--soft)}
figcaption{margin-bottom:14px}figcaption p{font-size:14px}
.heads{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:26px 0}
.heads div{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:14px 16px}
.heads b{display:block;font-size:32px;line-height:1.1;letter-spacing:-.02em;color:var(--weave)}
.heads strong{display:block;font-size:14.5px;margin-top:6px}
.heads span{display:block;font-size:13px;line-height:1.35;color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:8px 22px;margin:18px 0;
font-size:14px}dt{color:var(--faint);font-size:12px}dd{margin:0}
.figures{display:grid;grid-template-columns:repeat(2,1fr);gap:16px}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:18px 20px 14px;min-width:0}.full{grid-column:1/-1}svg{display:block;width:100%;height:auto}
.half svg{max-width:430px}.narrow{display:none}
.missing{color:var(--soft);font-size:14px;padding-left:18px}
details{margin-top:14px;font-size:14px}summary{cursor:pointer;color:var(--weave)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--rule);
font-variant-numeric:tabular-nums;white-space:nowrap}tr.head th{padding-top:14px}
small{color:var(--soft)}nav{display:flex;flex-wrap:wrap;gap:6px 10px;margin:18px 0;font-size:14px}
nav a{color:var(--weave);text-decoration:none;border:1px solid var(--rule);border-radius:20px;
padding:3px 12px;background:var(--card)}
@media(max-width:720px){main{padding:18px 14px 40px}.figures{grid-template-columns:1fr}
figure{padding:14px}.wide{display:none}.narrow{display:block}.half svg{max-width:none}
.heads,dl{grid-template-columns:repeat(2,1fr)}.heads b{font-size:26px}}
"""

METHOD = """Bars are medians over rounds, their whiskers the smallest and the largest round; × is the
median of the ratios to {base} in the same round. In each round every mode has its turn at every
measure. The dashed line is the host's own network. A lock: encrypted. Runs during
which others used more than a tenth of the processors are left out. Broken bars do not fit the
panel. Before and after measuring, packets were captured where they arrive, to see that each mode
carries them in the way it claims. All hosts share the processors of one machine, so a slow overlay
shows what it costs."""


def page(r):
    base = r["modes"].get(r["baseline"], {}).get("title", r["baseline"])
    profiles = list(r["profiles"])
    heads = "".join(f"<div><b>{escape(n)}</b><strong>{escape(what)}</strong><span>{escape(words)}"
                    "</span></div>"
                    for n, what, words in (headlines(r, profiles[0]) if profiles else []))
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in about(r))
    links = "".join(f'<a href="#{escape(p)}">{escape(r["profiles"][p]["title"])}</a>'
                    for p in profiles) if len(profiles) > 1 else ""
    versions = sorted({m["version"] for m in r["modes"].values() if m["group"] == "peer"})
    others = f"<p class=lead>Others: {escape(', '.join(versions))}.</p>" if versions else ""
    method = METHOD if r["place"].startswith("namespaces") else METHOD.rpartition(" All hosts")[0]
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>weave: benchmark</title>
<style>{charts.STYLE}{PAGE_STYLE}</style></head><body><main>
<h1>Container network benchmark</h1>
<p class=lead>weave's ways to carry packets from container to container, beside the host's own
network, {escape(base)}{" and packaged overlays" if versions else ""}.</p>
<div class="heads">{heads}</div><dl>{facts}</dl>
<details><summary>How to read this</summary><p class=lead>{escape(method.format(base=base))}</p>
{others}</details><nav>{links}</nav>
{"".join(section(r, p) for p in profiles)}
</main></body></html>
"""


def picture(r, profile, modes=None):
    """For the README: throughput, processor time and small packets of the modes that matter."""
    view = View(r, profile)
    wanted = modes or ["host", "vxlan", "fastdp", "fastdp-relay", "fastdp-sealed", "sleeve",
                       "sleeve-sealed", best_peer(view, False), best_peer(view, True),
                       "wireguard-go"]
    rows = [row for row in view.rows if row.mode in wanted]
    panels = [view.panel("tcp1", "gbps", "TCP, 1 stream"),
              view.panel("tcp1", "cpu_s_per_gb", "CPU", clip=True),
              view.panel("pps64", "kpps", "64-byte packets")]
    for panel in filter(None, panels):
        panel.bars = {m: b for m, b in panel.bars.items() if m in {row.mode for row in rows}}
    return charts.wide(rows, [p for p in panels if p], "throughput, processor time and packets",
                       style=charts.STYLE)
