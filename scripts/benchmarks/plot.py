"""Plots as SVG: bars that lie end to end, curves on logarithmic axes, and lines on plain ones."""

import math

from benchmarks.markdown import number

COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2"]
PLAIN = "#bab0ac"

# Left, right, top and bottom of a plot with axes.
PLANE = (70, 600, 60, 330)


def frame(width, height, title):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="18" font-size="14" font-weight="bold">{title}</text>',
    ]


def legend(out, names, colours):
    x = 8
    for name in names:
        out.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{colours[name]}"/>')
        out.append(f'<text x="{x + 16}" y="40">{name}</text>')
        x += 34 + 7 * len(name)


def bars(path, title, unit, rows, colours):
    """Horizontal bars; each row is a label and parts (name, value) that lie end to end."""
    largest = max(sum(value for _, value in parts) for _, parts in rows)
    scale, height, top = 400 / largest, 22, 56
    names = list(dict.fromkeys(name for _, parts in rows for name, _ in parts))
    out = frame(680, top + len(rows) * (height + 6) + 8, title)
    legend(out, names, colours)
    for i, (label, parts) in enumerate(rows):
        x, y = 160.0, top + i * (height + 6)
        out.append(f'<text x="152" y="{y + 15}" text-anchor="end">{label}</text>')
        for name, value in parts:
            width = value * scale
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colours[name]}"/>')
            x += width
        out.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{number(sum(value for _, value in parts))} {unit}</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def ticks(least, most):
    """Powers of two or ten inside a range, few enough to be read."""
    for base in (2, 10, 100):
        first, last = math.ceil(math.log(least, base) - 1e-9), math.floor(math.log(most, base) + 1e-9)
        if last - first < 8:
            return [base**power for power in range(first, last + 1)]
    return [least, most]


def plane(title, names, colours, x_label, y_label):
    """A plot without numbers: what it is, and what its axes are."""
    left, right, top, bottom = PLANE
    out = frame(680, 380, title)
    legend(out, names, colours)
    out.append(f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">{x_label}</text>')
    out.append(f'<text x="{right + 6}" y="{top - 4}" text-anchor="end">{y_label}</text>')
    return out


def level(out, y, at):
    """A line across the plot where y is the number."""
    left, right, _, _ = PLANE
    out.append(f'<line x1="{left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#eee"/>')
    out.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{number(y)}</text>')


def polyline(out, points, colour, width):
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')


def curves(path, title, x_label, y_label, series):
    """Lines through (x, y), both axes logarithmic; one scale for both, so that a slope can be seen."""
    colours = dict(zip(series, COLOURS))
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    low, high = min(ys) / 1.3, max(ys) * 1.3
    left, right, top, bottom = PLANE
    across = lambda x: left + (right - left) * math.log(x / min(xs)) / math.log(max(xs) / min(xs))
    up = lambda y: bottom - (bottom - top) * math.log(y / low) / math.log(high / low)
    out = plane(title, series, colours, x_label, y_label)
    for x in sorted(set(xs)):
        out.append(f'<line x1="{across(x):.1f}" y1="{top}" x2="{across(x):.1f}" y2="{bottom}" stroke="#eee"/>')
        out.append(f'<text x="{across(x):.1f}" y="{bottom + 16}" text-anchor="middle">{x:,}</text>')
    for y in ticks(low, high):
        level(out, y, up(y))
    for name, points in series.items():
        places = [(across(x), up(y)) for x, y in points]
        polyline(out, places, colours[name], 2)
        for x, y in places:
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def lines(path, title, x_label, y_label, series):
    """Lines through (x, y) with plain axes, y from 0. What a name begins with, up to a comma, has one colour."""
    kinds = list(dict.fromkeys(name.split(",")[0] for name in series))
    colours = dict(zip(kinds, COLOURS))
    most_x = max(x for points in series.values() for x, _ in points)
    most_y = max(y for points in series.values() for _, y in points)
    left, right, top, bottom = PLANE
    across = lambda x: left + (right - left) * x / most_x
    up = lambda y: bottom - (bottom - top) * y / most_y
    out = plane(title, kinds, colours, x_label, y_label)
    for part in range(5):
        x, y = most_x * part / 4, most_y * part / 4
        level(out, y, up(y))
        out.append(f'<text x="{across(x):.1f}" y="{bottom + 16}" text-anchor="middle">{x:g}</text>')
    for name, points in series.items():
        polyline(out, [(across(x), up(y)) for x, y in points], colours[name.split(",")[0]], 1.5)
    path.write_text("\n".join(out) + "\n</svg>\n")
