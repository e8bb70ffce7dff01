# SPDX-License-Identifier: MIT
"""The picture, an SVG without a script or a font of its own: bars of the rows that say most, and all curves. What was not
measured is left out. Pure.
"""
import math
import xml.etree.ElementTree as ET

from .table import number

# The row's id, words above the bars, which is better.
BARS = (
    ("server/p16-many", "CPU of the server, one INCR", "less"),
    ("server/p128-many", "CPU of the server, longer pipelines", "less"),
    ("durable/p16-many", "INCR, on disk before the answer", "more"),
    ("memory/bytes-large", "Memory of a counter", "less"),
    ("command/incr", "One increment from a shell", "less"),
    ("ingest/lines", "Counting lines", "more"),
)

# It counts nothing but the ends of lines, and would dwarf what does.
NOT_DRAWN = {"wc -l"}

PANEL_WIDTH, GAP, MARGIN = 300, 30, 20
LABEL_WIDTH, VALUE_WIDTH, BAR_HEIGHT, BAR_PITCH = 112, 62, 13, 19
CURVE_HEIGHT = 130
PANELS_PER_ROW = 3
WIDTH = 2 * MARGIN + PANELS_PER_ROW * PANEL_WIDTH + (PANELS_PER_ROW - 1) * GAP

# Colours for a light page and for a dark one.
STYLE = """
svg { background: #fff; font: 12px sans-serif; }
text { fill: #222; } .small { font-size: 10px; } .faint { fill: #777; }
.title { font-weight: bold; }
.ours { fill: #0b7285; } .peer { fill: #b8bec5; }
.line { fill: none; stroke-width: 2; } .line.ours { stroke: #0b7285; fill: none; } .line.peer { stroke: #e8590c; fill: none; }
.axis { stroke: #bbb; }
@media (prefers-color-scheme: dark) {
svg { background: #16191d; } text { fill: #e4e6e8; } .faint { fill: #98a0a8; }
.ours { fill: #3bc9db; } .peer { fill: #5a636d; } .line.ours { stroke: #3bc9db; } .line.peer { stroke: #ff922b; }
.axis { stroke: #555; }
}
"""


def element(parent, tag, **attributes):
    def shown(value):
        return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)

    names = {name.rstrip("_").replace("_", "-"): shown(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, names)


def text(parent, x, y, words, class_="", anchor="start"):
    element(parent, "text", x=x, y=y, class_=class_, text_anchor=anchor).text = words


def panel(svg, x, y, title, subtitle):
    g = element(svg, "g", transform=f"translate({x} {y})")
    text(g, 0, 12, title, "title")
    text(g, 0, 26, subtitle, "small faint")
    return g


# ---- bars ----

def bars_height(rows):
    return 34 + BAR_PITCH * (len(rows) + 1)


def draw_bars(svg, x, y, words, better, rows):
    g = panel(svg, x, y, words, f"{rows[0].unit}, {better} is better; {rows[0].what}")
    sides = [(rows[0].name, rows[0].ours, "ours")] + [(r.peer, r.theirs, "peer") for r in rows if r.peer not in NOT_DRAWN]
    most = max(value for _, value, _ in sides) or 1
    for i, (name, value, class_) in enumerate(sides):
        top = 34 + BAR_PITCH * i
        text(g, LABEL_WIDTH - 6, top + 11, name, "", "end")
        width = max(1.0, value / most * (PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH))
        element(g, "rect", x=LABEL_WIDTH, y=top, width=width, height=BAR_HEIGHT, class_=class_)
        text(g, LABEL_WIDTH + width + 5, top + 11, number(value))


# ---- curves ----

def short(value):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def nice_above(value):
    step = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * k for k in (1, 2, 3, 5, 10) if step * k >= value)


def draw_curve(svg, x, y, curve):
    g = panel(svg, x, y, curve.unit, curve.what)
    left, top, bottom = 38, 40, 40 + CURVE_HEIGHT
    points = [p for side in curve.sides.values() for p in side]
    first, last = min(p[0] for p in points), max(p[0] for p in points)
    most = nice_above(max(p[1] for p in points))

    def at(point):
        share = math.log(point[0] / first) / (math.log(last / first) or 1)
        return left + share * (PANEL_WIDTH - left - 10), bottom - point[1] / most * (bottom - top)

    for share in (0, 0.5, 1):
        level = bottom - share * (bottom - top)
        element(g, "line", x1=left, y1=level, x2=PANEL_WIDTH, y2=level, class_="axis")
        text(g, left - 4, level + 4, short(most * share), "small faint", "end")
    for px, py in next(iter(curve.sides.values())):
        text(g, at((px, py))[0], bottom + 14, short(px), "small faint", "middle")
    for name, side in curve.sides.items():
        class_ = "ours" if name == "shcounterd" else "peer"
        element(g, "polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in map(at, side)), class_=f"line {class_}")
    for i, name in enumerate(curve.sides):
        class_ = "ours" if name == "shcounterd" else "peer"
        element(g, "line", x1=left + 110 * i, y1=bottom + 25, x2=left + 110 * i + 16, y2=bottom + 25, class_=f"line {class_}")
        text(g, left + 110 * i + 20, bottom + 28, name, "small")


# ---- all of it ----

def in_rows(items):
    return [items[i:i + PANELS_PER_ROW] for i in range(0, len(items), PANELS_PER_ROW)]


def picture(rows, curves):
    """The SVG as text."""
    drawn = [(words, better, [r for r in rows if r.id == row_id and r.theirs is not None and r.ours is not None])
             for row_id, words, better in BARS]
    # A case may measure several things (rate and latency): bars are of the first.
    drawn = [(w, b, [r for r in found if r.what == found[0].what]) for w, b, found in drawn if found]
    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    ET.SubElement(svg, "title").text = "shcounterd beside its peers"
    ET.SubElement(svg, "style").text = STYLE
    y = MARGIN
    for group in in_rows(drawn):
        for i, (words, better, found) in enumerate(group):
            draw_bars(svg, MARGIN + i * (PANEL_WIDTH + GAP), y, words, better, found)
        y += max(bars_height(found) for _, _, found in group) + GAP
    # The same curve of each group below one another.
    units = list(dict.fromkeys(c.unit for c in curves))
    for group in in_rows([c for unit in units for c in curves if c.unit == unit]):
        for i, curve in enumerate(group):
            draw_curve(svg, MARGIN + i * (PANEL_WIDTH + GAP), y, curve)
        y += 40 + CURVE_HEIGHT + 30 + GAP
    height = y - GAP + MARGIN
    svg.set("viewBox", f"0 0 {WIDTH} {height}")
    svg.set("width", str(WIDTH))
    svg.set("height", str(height))
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"
