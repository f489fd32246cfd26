"""The page and the picture: whole, from nowhere else, and with the numbers of the result."""

import html.parser
import re
import xml.etree.ElementTree

import canned
from harness import charts, report


def sample(**more):
    values = {}
    for i, mode in enumerate(("host", "vxlan", "fastdp", "sleeve")):
        values[mode, "tcp1", "gbps"] = [20.0 - 3 * i, 21.0 - 3 * i, 19.0 - 3 * i]
        values[mode, "tcp1", "cpu_s_per_gb"] = [1.0 + i, 1.1 + i, 40.0 if i == 3 else 1.2 + i]
        values[mode, "pps64", "kpps"] = [100.0, 101.0, 99.0]
        for n, metric in enumerate(("p50_us", "p90_us", "p99_us", "p999_us")):
            values[mode, "tcp-rr", metric] = [20.0 * (i + 1) * 2 ** n] * 3
    values["sleeve", "memory", "rss_mb"] = [18.5, 18.5, 18.6]
    values.update(more)
    return canned.traffic(values)


class Balance(html.parser.HTMLParser):
    VOID = {"meta", "br", "rect", "line", "circle", "path", "link"}

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_is_whole_and_needs_nothing_else():
    page = report.page(sample())
    balance = Balance()
    balance.feed(page)
    assert not balance.wrong and not balance.open
    assert not [x for x in balance.links if not x.startswith("#")]
    assert "url(" not in page and "@import" not in page
    # The name space of SVG is no address that is fetched.
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_every_drawing_is_well_formed_and_inside_its_frame():
    drawings = re.findall(r"<svg.*?</svg>", report.page(sample()), re.DOTALL)
    assert len(drawings) >= 6
    for text in drawings:
        root = xml.etree.ElementTree.fromstring(text)
        _, _, width, height = map(float, root.get("viewBox").split())
        for element in root.iter():
            for name, limit in (("x", width), ("cx", width), ("x2", width), ("y", height),
                                ("cy", height), ("y2", height)):
                if element.get(name) and "g" not in element.tag[-1]:
                    assert -0.1 <= float(element.get(name)) <= limit + 0.1, (element.attrib, text)


def test_the_page_says_what_was_measured_and_on_what():
    page = report.page(sample())
    for words in ("Test CPU, 2 CPUs", "Linux 6.0-test", "MTU 1500, all offloads", "2026-01-02",
                  "aaaa", "TCP cubic", "weave fastdp"):
        assert words in page
    # fastdp 14 to vxlan 17, in each round: 14/17, 15/18, 13/16
    assert "0.82×" in page
    assert page.count("no overlay") >= 4


def test_the_page_says_what_is_missing_and_why():
    r = sample()
    r["state"]["veth"]["sleeve"] = {"status": "failed", "reason": "went <another> way"}
    page = report.page(r)
    assert "went &lt;another&gt; way" in page and "<another>" not in page
    assert ">11.0<" in report.page(sample()) and ">11.0<" not in page
    r["profiles"]["delay10"] = {"title": "slow", "status": "skipped", "reason": "no netem"}
    assert "Skipped: no netem." in report.page(r)


def test_zeroes_have_a_page_too():
    r = canned.traffic({(m, "tcp1", "gbps"): [0.0, 0.0] for m in ("host", "vxlan", "fastdp")})
    assert "</html>" in report.page(r)


def test_an_empty_result_has_a_page_too():
    r = canned.traffic({})
    r["profiles"], r["state"] = {}, {}
    assert "</html>" in report.page(r)


def test_headlines_are_measured_or_absent():
    assert ("0.82×", "weave fastdp", "TCP throughput, to bridge + VXLAN") in report.headlines(
        sample(), "veth")
    assert report.headlines(canned.traffic({("vxlan", "tcp1", "gbps"): [1]}), "veth") == []


def test_the_picture_stands_alone():
    text = report.picture(sample(), "veth")
    root = xml.etree.ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and "prefers-color-scheme" in text
    # Every colour that is used is defined.
    assert set(re.findall(r"var\((--\w+)\)", text)) <= set(re.findall(r"(--\w+):", charts.STYLE))
    for mode in ("vxlan", "fastdp"):
        assert charts.COLOURS[mode] in text


def test_far_longer_bars_are_broken_so_that_short_ones_show():
    bars = {m: charts.Bar(v, v, v) for m, v in (("vxlan", 1.0), ("fastdp", 0.8), ("sleeve", 40.0))}
    clip = charts.clip_for(bars, "vxlan")
    assert 1.0 < clip < 4
    assert charts.clip_for({"vxlan": bars["vxlan"], "fastdp": bars["fastdp"]}, "vxlan") is None


def test_the_axis_of_latencies_has_round_numbers():
    assert charts.grid(8, 120) == [10, 20, 50, 100]
    assert charts.microseconds(2000) == "2 ms"
