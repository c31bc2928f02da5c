"""Line charts as SVG text, readable on light and on dark pages; nothing else is drawn here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Chart", "Dot", "Line", "document", "ticks"]

#: Colours on light and on dark pages; the dash tells lines apart without colours.
_INKS: Final = {
    "a": ("#0550ae", "#79c0ff", ""),
    "b": ("#bc4c00", "#ffa657", ""),
    "c": ("#6e7781", "#8b949e", "6 4"),
    "d": ("#1a7f37", "#56d364", "2 3"),
}
_PAGE: Final = ("#ffffff", "#0d1117")
_TEXT: Final = ("#1f2328", "#e6edf3")
_GRID: Final = ("#d1d9e0", "#30363d")
_SHADE: Final = ("#fff1e5", "#2d1f14")

_LEFT: Final = 52
_TOP: Final = 30
_BOTTOM: Final = 34
_RIGHT: Final = 12
_TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: ink ``a`` to ``d``, points in the units of the axes."""

    ink: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Dot:
    """A point to mark, and what is written below it, or above and to the left."""

    ink: str
    x: float
    y: float
    note: str
    above: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """
    Lines over one pair of axes.

    Args:
        title: Stands above.
        across: What the horizontal axis shows.
        x: Its ends.
        top: The upper end of the vertical axis, which begins at 0; what is higher is cut off.
        lines: What is drawn, the last one on top.
        shade: A stretch of the horizontal axis to point out.
        dots: Points to mark.
    """

    title: str
    across: str
    x: tuple[float, float]
    top: float
    lines: Sequence[Line]
    shade: tuple[float, float] | None = None
    dots: Sequence[Dot] = ()


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Return round numbers from *low* to *high*, at most *most* steps of 1, 2 or 5 times 10^n."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f'<text {place} text-anchor="{anchor}"{mark}>{escape(text)}</text>'


class _Frame:
    """Where the units of a chart come to lie on the page."""

    def __init__(self, chart: Chart, x: float, y: float, width: float, height: float) -> None:
        self.chart = chart
        self.left, self.right = x + _LEFT, x + width - _RIGHT
        self.up, self.down = y + _TOP, y + height - _BOTTOM

    def x(self, value: float) -> float:
        low, high = self.chart.x
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        share = min(max(value / self.chart.top, 0.0), 1.0)
        return self.down - share * (self.down - self.up)

    def draw(self) -> Iterable[str]:
        chart = self.chart
        yield _text(self.left, self.up - 10, chart.title, kind="head")
        if chart.shade is not None:
            begin, end = map(self.x, chart.shade)
            place = f'x="{_number(begin)}" y="{_number(self.up)}"'
            size = f'width="{_number(end - begin)}" height="{_number(self.down - self.up)}"'
            yield f'<rect {place} {size} class="shade"/>'
        for value in ticks(0, chart.top):
            height = _number(self.y(value))
            ends = f'x1="{_number(self.left)}" x2="{_number(self.right)}"'
            yield f'<line {ends} y1="{height}" y2="{height}" class="grid"/>'
            yield _text(self.left - 6, self.y(value) + 4, f"{value:g}", "end")
        for value in ticks(*chart.x):
            yield _text(self.x(value), self.down + 15, f"{value:g}", "middle")
        yield _text((self.left + self.right) / 2, self.down + 29, chart.across, "middle")
        for line in chart.lines:
            points = " ".join(f"{_number(self.x(x))},{_number(self.y(y))}" for x, y in line.points)
            yield f'<polyline points="{points}" class="ink {line.ink}"/>'
        for dot in chart.dots:
            x, y = self.x(dot.x), self.y(dot.y)
            yield f'<circle cx="{_number(x)}" cy="{_number(y)}" r="4.5" class="dot {dot.ink}"/>'
            if dot.above:
                yield _text(x - 7, y - 8, dot.note, "end")
            else:
                yield _text(x, y + 19, dot.note, "middle")


def _style() -> str:
    def theme(which: int) -> str:
        inks = "".join(
            f".ink.{name}{{stroke:{ink[which]}}}.dot.{name}{{fill:{ink[which]}}}"
            for name, ink in _INKS.items()
        )
        return (
            f".page{{fill:{_PAGE[which]}}}text{{fill:{_TEXT[which]}}}"
            f".grid{{stroke:{_GRID[which]}}}.shade{{fill:{_SHADE[which]}}}"
            f".dot{{stroke:{_PAGE[which]}}}{inks}"
        )

    dashes = "".join(
        f".ink.{name}{{stroke-dasharray:{ink[2]}}}" for name, ink in _INKS.items() if ink[2]
    )
    return (
        "text{font:12px system-ui,sans-serif}.head{font-weight:600;font-size:13px}"
        ".title{font-weight:600;font-size:17px}.ink{fill:none;stroke-width:2}"
        f"{dashes}{theme(0)}@media(prefers-color-scheme:dark){{{theme(1)}}}"
    )


def document(
    title: str,
    description: str,
    legend: Sequence[tuple[str, str]],
    charts: Sequence[Sequence[Chart]],
    *,
    width: int = 960,
    height: int = 190,
) -> str:
    """
    Return an SVG document.

    Args:
        title: Stands on top; also for who cannot see the picture.
        description: The same in a few sentences, for who cannot see it.
        legend: Ink and name of each line.
        charts: Rows of charts.
        width: That of the page, in pixels.
        height: That of each row.
    """
    head = 64
    whole = head + height * len(charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" role="img" '
        'aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{_style()}</style>",
        f'<rect width="{width}" height="{whole}" class="page"/>',
        _text(_LEFT, 26, title, kind="title"),
    ]
    x = float(_LEFT)
    for ink, name in legend:
        parts.append(f'<polyline points="{_number(x)},46 {_number(x + 28)},46" class="ink {ink}"/>')
        parts.append(_text(x + 35, 50, name))
        x += 35 + 7 * len(name) + 24
    for number, row in enumerate(charts):
        each = width / len(row)
        for column, chart in enumerate(row):
            frame = _Frame(chart, column * each, head + number * height, each, height)
            parts += frame.draw()
    return "\n".join([*parts, "</svg>", ""])
