"""Charts as SVG, drawn by hand: bars with a line for the host's own network, and latencies.

Pure.  Colours are CSS variables (STYLE), so that one drawing suits light and dark.  'wide' drawings
have names on the left and panels side by side; 'narrow' ones have names above the bars and panels
one below the other, and suit a phone or half a page.
"""

import dataclasses
import html
import math
import typing

from .result import number

STYLE = """
:root{--paper:#fbfaf7;--card:#fff;--ink:#1c1f24;--soft:#5d6470;--faint:#9aa1ac;--rule:#e4e2dc;
--kernel:#8f97a3;--kernel2:#59616e;--weave:#1f6fd6;--weave2:#6aa6ee;--weave3:#0b8f83;
--weave4:#3fb8a8;--weave5:#7d5bd0;--peer:#d39a4c;--peer2:#b87326;--native:#c2364b}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1c2026;--ink:#eceff3;--soft:#a7afbb;
--faint:#727b88;--rule:#2c323a;--kernel:#7b8492;--kernel2:#a2abb8;--weave:#5ea2f5;--weave2:#3a6fb5;
--weave3:#33bfae;--weave4:#1f8276;--weave5:#a78bf0;--peer:#cf9a52;--peer2:#e5b77a;
--native:#ff7385}}
.halo{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
"""

COLOURS = {"host": "kernel", "vxlan": "kernel2", "fastdp": "weave", "fastdp-relay": "weave2",
           "fastdp-sealed": "weave5", "sleeve": "weave3", "sleeve-sealed": "weave4",
           "sleeve-pcap": "faint", "local-bridge": "kernel2", "local-fastdp": "weave"}
FONT = "font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\""
CARD_EDGE = 20
GLYPH = 0.56    # of the font's size: the width of a letter, about


def escape(text):
    return html.escape(str(text), quote=True)


def colour(mode, sealed):
    return f"var(--{COLOURS.get(mode) or ('peer2' if sealed else 'peer')})"


@dataclasses.dataclass
class Row:
    mode: str
    label: str
    sealed: bool = False

    @property
    def colour(self):
        return colour(self.mode, self.sealed)


@dataclasses.dataclass
class Bar:
    median: float
    low: float
    high: float
    ratio: typing.Optional[float] = None    # to the baseline, same round
    tip: str = ""


@dataclasses.dataclass
class Panel:
    title: str
    unit: str
    bars: dict                  # mode -> Bar
    line: typing.Optional[str] = None       # the mode that is drawn as a line too
    line_title: str = "no overlay"
    clip: typing.Optional[float] = None     # longer bars are broken there


@dataclasses.dataclass
class Text:
    size: float = 13
    weight: int = 400
    colour: str = "var(--ink)"
    anchor: str = "start"
    halo: bool = False  # legible over lines


SOFT = Text(12, colour="var(--soft)")


class Drawing:
    def __init__(self, width):
        self.width = width
        self.height = 0.0
        self.parts = []

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, words, style=Text(), then=None, then_style=None):
        """'then' follows in another style, wherever the font makes the first part end."""
        weight = f' font-weight="{style.weight}"' if style.weight != 400 else ""
        anchor = f' text-anchor="{style.anchor}"' if style.anchor != "start" else ""
        halo = ' class="halo"' if style.halo else ""
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{style.size:g}"{weight}{anchor}{halo} '
                 f'fill="{style.colour}">{escape(words)}'
                 + (f'<tspan dx="7" font-size="{then_style.size:g}" font-weight="400" '
                    f'fill="{then_style.colour}">{escape(then)}</tspan>' if then else "")
                 + "</text>")

    def rect(self, x, y, width, height, fill, extra=""):
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" '
                 f'rx="2" fill="{fill}"{extra}/>')

    def line(self, x1, y1, x2, y2, stroke, extra=""):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                 f'stroke="{stroke}"{extra}/>')

    def lock(self, x, y, size):
        """For what is encrypted."""
        self.add(f'<g transform="translate({x:.1f} {y:.1f}) scale({size / 12:.3f})" fill="none" '
                 'stroke="var(--soft)" stroke-width="1.4"><rect x="1.5" y="5.5" width="9" '
                 'height="6" rx="1.2" fill="var(--soft)"/><path d="M3.5 5.5V4a2.5 2.5 0 0 1 5 '
                 '0v1.5"/></g>')

    def svg(self, label, style=""):
        """With 'style' it stands alone: on a card of its own, for nobody knows what is behind."""
        edge = CARD_EDGE if style else 0
        card = (f'<style>{style}</style><rect x="{-edge}" y="{-edge}" rx="10" width="100%" '
                'height="100%" fill="var(--card)"/>') if style else ""
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-edge} {-edge} '
                f'{self.width + 2 * edge:g} {self.height + 2 * edge:g}" role="img" '
                f'aria-label="{escape(label)}" {FONT}>{card}{"".join(self.parts)}</svg>')


def wide_of(words, size):
    return len(words) * size * GLYPH


def scale_of(panel):
    """The value at a panel's right end."""
    longest = max(bar.high for bar in panel.bars.values()) or 1.0
    return min(longest, panel.clip) if panel.clip else longest


def clip_for(bars, base):
    """Where to break bars, so that those near the baseline can still be told apart: at four times
    the baseline, when others are far beyond."""
    if base not in bars or max(b.high for b in bars.values()) < 8 * bars[base].median:
        return None
    near = [b.high for b in bars.values() if b.median <= 4 * bars[base].median]
    return max(near) * 1.25


def draw_bar(d, bar, fill, x, y, room, height, whole):
    """One bar with what it says, 'room' wide at value 'whole'."""
    length = min(bar.median / whole, 1) * room
    d.add(f"<g><title>{escape(bar.tip)}</title>")
    d.rect(x, y, max(length, 1.5), height, fill)
    middle = y + height / 2
    end = length
    if bar.median > whole:  # broken
        for i in (0, 5):
            d.add(f'<path d="M{x + length - 15 + i:.1f} {y - 1:.1f}l-5 {height + 2:.1f}" '
                  'stroke="var(--card)" stroke-width="2.2"/>')
    elif bar.high > bar.low:
        low, high = (x + min(v / whole, 1) * room for v in (bar.low, bar.high))
        d.line(low, middle, high, middle, "var(--ink)", ' stroke-width="1" opacity=".55"')
        for at in (low, high):
            d.line(at, middle - 3, at, middle + 3, "var(--ink)", ' stroke-width="1" opacity=".55"')
        end = max(length, high - x)
    ratio = None if bar.ratio is None else \
        f"{bar.ratio:.2f}×" if bar.ratio < 10 else f"{bar.ratio:.0f}×"
    d.text(x + end + 6, middle + 4.5, number(bar.median), Text(13, 600, halo=True), ratio, SOFT)
    d.add("</g>")


def draw_line(d, panel, x, top, bottom, room, whole, right):
    """Where the host's own network is, with its name on top."""
    if panel.line not in panel.bars or panel.bars[panel.line].median > whole:
        return
    at = x + panel.bars[panel.line].median / whole * room
    d.line(at, top, at, bottom, "var(--native)", ' stroke-width="1.2" stroke-dasharray="4 3"')
    # Beside the line, on the side where there is room.
    half = wide_of(panel.line_title, 11) / 2
    d.text(min(max(at, x + half), right - half), top - 4, panel.line_title,
           Text(11, colour="var(--native)", anchor="middle"))


def name(d, row, x, y, size):
    """Behind a lock, or the room for one."""
    if row.sealed:
        d.lock(x, y - size + 2, size - 2)
    d.text(x + 17, y, row.label, Text(size, 600 if row.mode.startswith(("fastdp", "sleeve",
                                                                         "local-f")) else 400,
                                       halo=True))


def wide(rows, panels, label, width=920, style="", names=212):
    """Panels side by side, names on the left."""
    d = Drawing(width)
    step, bar, values, top = 25, 15, 96, 46
    each = (width - names - 16 * (len(panels) - 1)) / len(panels)
    room = each - values
    d.height = top + step * len(rows) + 6
    for i, panel in enumerate(panels):
        x = names + i * (each + 16)
        d.text(x, 15, panel.title, Text(14, 600), panel.unit, SOFT)
        whole = scale_of(panel)
        d.line(x, top - 4, x, d.height - 4, "var(--rule)")
        draw_line(d, panel, x, top - 4, d.height - 4, room, whole, x + each)
        for n, row in enumerate(rows):
            if row.mode in panel.bars:
                draw_bar(d, panel.bars[row.mode], row.colour, x, top + n * step + (step - bar) / 2,
                         room, bar, whole)
    for n, row in enumerate(rows):
        name(d, row, 0, top + n * step + step / 2 + 4.5, 13)
    return d.svg(label, style)


def narrow(rows, panels, label, width=390, style=""):
    """Panels one below the other, names above the bars."""
    d = Drawing(width)
    step, bar, values, y = 37, 13, 100, 0
    for panel in panels:
        room = width - values - 17
        d.text(0, y + 15, panel.title, Text(15, 600), panel.unit, SOFT)
        whole = scale_of(panel)
        shown = [row for row in rows if row.mode in panel.bars]
        top = y + 42
        draw_line(d, panel, 17, top - 2, top + len(shown) * step, room, whole, width)
        for n, row in enumerate(shown):
            name(d, row, 0, top + n * step + 13, 13)
            draw_bar(d, panel.bars[row.mode], row.colour, 17, top + n * step + 18, room, bar, whole)
        y = top + len(shown) * step + 22
    d.height = y - 14
    return d.svg(label, style)


# --- latencies -----------------------------------------------------------------------------------

MARKS = (("p50_us", 5.5, "median"), ("p90_us", 4.2, "90 %"), ("p99_us", 3.3, "99 %"),
         ("p999_us", 2.4, "99.9 %"))


def microseconds(value):
    return f"{value / 1000:g} ms" if value >= 1000 else f"{value:g} µs"


def grid(low, high):
    """1, 2, 5, 10, ... between the two."""
    found, power = [], 10 ** math.floor(math.log10(low))
    while power <= high:
        found += [m * power for m in (1, 2, 5) if low <= m * power <= high]
        power *= 10
    return found


def latency(rows, values, label, width=920, names=212):
    """'values': {mode: {percentile: median over rounds}}.  Names on the left, or above when 'names'
    is 0; a logarithmic axis."""
    d = Drawing(width)
    step, top, right = (30, 48, 118) if names else (42, 52, 12)
    rows = [r for r in rows if r.mode in values]
    low = min(v["p50_us"] for v in values.values()) * 0.85
    high = max(v["p999_us"] for v in values.values()) * 1.15
    room = width - names - right

    def at(value):
        return names + math.log(value / low) / math.log(high / low) * room

    d.height = top + step * len(rows) + 8
    x = names
    for _, size, words in MARKS:
        d.add(f'<circle cx="{x + 6:.1f}" cy="11" r="{size}" fill="var(--soft)"/>')
        d.text(x + 15, 15.5, words, Text(12, colour="var(--soft)"))
        x += 30 + wide_of(words, 12)
    last = -100.0
    for tick in grid(low, high):
        d.line(at(tick), top - 8, at(tick), d.height - 4, "var(--rule)")
        if at(tick) - last > 44:
            last = at(tick)
            d.text(last, top - 12, microseconds(tick),
                   Text(11, colour="var(--faint)", anchor="middle"))
    for n, row in enumerate(rows):
        v = values[row.mode]
        y = top + n * step + (step / 2 if names else 27)
        tip = ", ".join(f"{words} {number(v[key])} µs" for key, _, words in MARKS)
        d.add(f"<g><title>{escape(f'{row.label}: {tip}')}</title>")
        d.line(at(v["p50_us"]), y, at(v["p999_us"]), y, row.colour, ' stroke-width="2" '
               'opacity=".45"')
        for key, size, _ in reversed(MARKS):
            d.add(f'<circle cx="{at(v[key]):.1f}" cy="{y:.1f}" r="{size}" fill="{row.colour}"/>')
        d.add("</g>")
        says = f"{number(v['p50_us'])} / {number(v['p99_us'])} µs"
        if names:
            name(d, row, 0, y + 4.5, 13)
            d.text(width, y + 4.5, says, Text(13, 600, anchor="end"))
        else:
            name(d, row, 0, y - 12, 13)
            d.text(width, y - 12, says, Text(12, 600, anchor="end"))
    if names:
        d.text(width, 15.5, "median / 99 %", Text(12, colour="var(--soft)", anchor="end"))
    return d.svg(label)
