"""The small writer of charts."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from penstock.bench._simulation_svg import Chart, Dot, Line, document, ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 30, [0, 10, 20, 30]),
        (0, 60, [0, 20, 40, 60]),
        (0, 0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (3, 8, [3, 4, 5, 6, 7, 8]),
        (0.7, 1000, [200, 400, 600, 800, 1000]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def drawn(*lines: Line, **options: object) -> ElementTree.Element:
    chart = Chart("t", "seconds", (0, 10), 100, lines, **options)  # type: ignore[arg-type]
    return ElementTree.fromstring(document("T", "D", [], [[chart]]))


def points_of(root: ElementTree.Element) -> list[tuple[float, float]]:
    (line,) = root.iter(f"{SVG}polyline")
    pairs = (point.split(",") for point in line.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def test_a_line_goes_through_its_points() -> None:
    (left, bottom), (middle, half), (right, top) = points_of(
        drawn(Line("a", [(0, 0), (5, 50), (10, 100)]))
    )
    assert left < middle < right
    assert bottom > half > top
    assert middle == pytest.approx((left + right) / 2)
    assert half == pytest.approx((bottom + top) / 2)


def test_what_is_too_high_is_cut_off_at_the_top() -> None:
    (_, top), (_, above) = points_of(drawn(Line("a", [(0, 100), (1, 250)])))
    assert above == top


def test_a_stretch_is_shaded_where_it_is() -> None:
    root = drawn(Line("a", [(2, 0), (6, 100)]), shade=(2, 6))
    (x, bottom), (end, top) = points_of(root)
    (shade,) = [r for r in root.iter(f"{SVG}rect") if r.get("class") == "shade"]
    found = [float(shade.attrib[name]) for name in ("x", "y", "width", "height")]
    assert found == pytest.approx([x, top, end - x, bottom - top])


def test_a_dot_is_marked_and_named() -> None:
    root = drawn(Line("a", [(4, 30)]), dots=[Dot("b", 4, 30, "here")])
    (dot,) = root.iter(f"{SVG}circle")
    assert [(float(dot.attrib["cx"]), float(dot.attrib["cy"]))] == points_of(root)
    assert "here" in {text.text for text in root.iter(f"{SVG}text")}


def test_text_is_escaped() -> None:
    text = document("a < b & c", "<d>", [("a", "<e>")], [])
    root = ElementTree.fromstring(text)
    assert root.findtext(f"{SVG}title") == "a < b & c"
    assert root.findtext(f"{SVG}desc") == "<d>"
