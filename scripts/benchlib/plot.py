"""Plots as SVG, both axes logarithmic, readable on white and on black; no program draws them but this."""
import math

WIDTH, HEIGHT = 700, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 36, 56
COLORS = [("#1f6feb", "#58a6ff"), ("#bc4c00", "#ff9a52"), ("#1a7f37", "#56d364"), ("#8250df", "#bc8cff")]
# A grey that can be read on either ground, for viewers that do not say which one they have.
STYLE = """text { font: 12px system-ui, sans-serif; fill: #7d8590 } .grid { stroke: #7d8590; stroke-opacity: 0.35 }
@media (prefers-color-scheme: light) { text { fill: #1f2328 } }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""


def decades(values):
    """The whole powers of ten around the values."""
    low, high = math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)
    return low, max(high, low + 1)


def exponent(points):
    """The slope of the straight line through the logarithms that is nearest to the points."""
    logs = [(math.log10(x), math.log10(y)) for x, y in points]
    mean_x, mean_y = (sum(axis) / len(logs) for axis in zip(*logs))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def number(value):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:g}"


def svg(title, x_name, y_name, series):
    """`series`: names with points. Each has its points, a line between them and, at its end, name and exponent."""
    (x_low, x_high), (y_low, y_high) = (
        decades([point[axis] for points in series.values() for point in points]) for axis in (0, 1))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x, y):
        return (LEFT + wide * (math.log10(x) - x_low) / (x_high - x_low),
                TOP + high * (y_high - math.log10(y)) / (y_high - y_low))

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
             f"<title>{title}</title>", f"<style>{STYLE}{colors(len(series))}</style>",
             f'<text x="{LEFT}" y="20" font-weight="bold">{title}</text>']
    for power in range(x_low, x_high + 1):
        x, _ = place(10 ** power, 10 ** y_low)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + high}"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + high + 18}" text-anchor="middle">{number(10 ** power)}</text>')
    for power in range(y_low, y_high + 1):
        _, y = place(10 ** x_low, 10 ** power)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + wide}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(10 ** power)}</text>')
    parts.append(f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 14}" text-anchor="middle">{x_name}</text>')
    parts.append(f'<text transform="translate(16 {TOP + high / 2}) rotate(-90)" text-anchor="middle">{y_name}</text>')
    label_y = spread([place(*points[-1])[1] for points in series.values()])
    for index, (name, points) in enumerate(series.items()):
        places = [place(*point) for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="s{index}" points="{line}" fill="none" stroke-width="2"/>')
        parts += [f'<circle class="s{index} dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
        text = f"{name}, n^{exponent(points):.2f}"
        parts.append(f'<text class="t{index}" x="{places[-1][0] + 8:.1f}" y="{label_y[index] + 4:.1f}">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


def colors(count):
    light, dark = ("".join(f".s{n} {{ stroke: {pair[ground]} }} .s{n}.dot, .t{n} {{ fill: {pair[ground]} }} "
                           for n, pair in enumerate(COLORS[:count])) for ground in (0, 1))
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark}}}\n"


def spread(heights):
    """Where labels go that would lie on each other: 14 apart, in the same order."""
    placed = dict()
    last = -math.inf
    for index in sorted(range(len(heights)), key=lambda index: heights[index]):
        last = placed[index] = max(heights[index], last + 14)
    return [placed[index] for index in range(len(heights))]
