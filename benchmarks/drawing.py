"""Curves over minutes, drawn as SVG by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

MINUTE = 60
WIDTH, LEFT, RIGHT = 760, 52, 16
TALL, TOP, BELOW = 150, 42, 26
"""Pixels of a panel: its height, and what is left free above and below it."""
GREY, RED, BLACK = "#666666", "#d62728", "#222222"

Points = Sequence[tuple[float, float]]


@dataclass(slots=True)
class Curve:
    """One series of a panel, by second."""

    label: str
    colour: str
    points: Points
    dashed: bool = False


@dataclass(slots=True)
class Panel:
    """Curves over the same time, and moments marked at the bottom."""

    unit: str
    top: float
    curves: list[Curve]
    marks: Sequence[int] = field(default_factory=list)
    """Seconds in which something was refused."""


def svg(title: str, panels: Sequence[Panel], seconds: float) -> str:
    """The panels below each other, with one axis of time in minutes."""
    height = len(panels) * (TOP + TALL + BELOW)
    drawn = [_panel(panel, at * (TOP + TALL + BELOW), seconds) for at, panel in enumerate(panels)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, offset: float, seconds: float) -> str:
    floor = offset + TOP + TALL
    across = (WIDTH - LEFT - RIGHT) / seconds
    up = TALL / panel.top
    parts = [_text(LEFT, offset + 16, panel.unit, "start", GREY)]
    for part in range(5):
        y, value = floor - TALL * part / 4, panel.top * part / 4
        parts.append(f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:,.0f}", "end", GREY))
    for minute in range(0, int(seconds / MINUTE) + 1, _every(seconds)):
        x = LEFT + minute * MINUTE * across
        parts.append(f'<path d="M{x:.0f} {floor:.0f}v4" stroke="{GREY}"/>')
        parts.append(_text(x, floor + 17, f"{minute} min", "middle", GREY))
    for curve in panel.curves:
        path = "L".join(
            f"{LEFT + min(at, seconds) * across:.1f} {floor - min(value, panel.top) * up:.1f}"
            for at, value in curve.points
        )
        dashes = ' stroke-dasharray="6 4"' if curve.dashed else ""
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{curve.colour}" stroke-width="1.5"{dashes}/>'
        )
    ticks = "".join(f"M{LEFT + at * across:.1f} {floor:.0f}v-9" for at in panel.marks)
    if ticks:
        parts.append(f'<path d="{ticks}" stroke="{RED}" stroke-width="1.2"/>')
    return "\n".join(parts + _legend(panel, offset + 34))


def _legend(panel: Panel, y: float) -> list[str]:
    told = [(one.label, one.colour, one.dashed) for one in panel.curves]
    if panel.marks:
        told.append(("refused (429)", RED, False))
    parts, x = [], float(LEFT)
    for label, colour, dashed in told:
        dashes = ' stroke-dasharray="5 3"' if dashed else ""
        line = f'<path d="M{x:.0f} {y - 4:.0f}h18" stroke="{colour}" stroke-width="2"{dashes}/>'
        parts += [line, _text(x + 23, y, label, "start", BLACK)]
        x += 40 + 6.6 * len(label)
    return parts


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def _every(seconds: float) -> int:
    """Minutes between two marks of the axis."""
    return next((step for step in (1, 2, 5, 10) if seconds / MINUTE / step <= 12), 20)
