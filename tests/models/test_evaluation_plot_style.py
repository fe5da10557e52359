"""The look of plots: the same bytes every time, text as text, ids of its own, and labels that lie on nothing."""

import re
from xml.etree import ElementTree

import pytest

from models.evaluation.plot_style import OURS_COLOUR, PLAIN_COLOUR, Label, drawing, looks, new_figure, place_labels, svg


def _plot(name: str) -> str:
    with drawing(name):
        figure = new_figure(2.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], "o-", label="a_b $x$")
        axes.set_title("a_b $x$ < ü")
        axes.legend()
        return svg(figure, name)


def test_the_same_bytes_every_time_without_date_or_maker() -> None:
    text = _plot("one")
    assert text == _plot("one")
    assert "metadata" not in text
    assert "Matplotlib" not in text
    ElementTree.fromstring(text)


def test_text_is_text() -> None:
    texts = [node.text for node in ElementTree.fromstring(_plot("one")).iter("{http://www.w3.org/2000/svg}text")]
    assert "a_b $x$ < ü" in texts
    assert "1.0" in texts
    # Letters are the reader's; where he has not the first font, no serifs.
    assert "font-family: 'DejaVu Sans', Verdana, sans-serif" in _plot("one")


def test_plots_in_one_page_share_no_id() -> None:
    one, other = (set(re.findall(r'\bid="([^"]+)"', _plot(name))) for name in ("one", "other"))
    assert len(one) > 10
    assert not one & other
    assert all(name.startswith("one-") for name in one)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', _plot("one")))
    assert used
    assert {left or right for left, right in used} <= one


def test_ours_and_the_identity_always_look_the_same_and_nobody_like_another() -> None:
    kinds = ["ridge", "identity", *"abcdefgh", "diffusion-link"]
    found = looks(kinds)
    assert (found[1].colour, found[-1].colour) == (PLAIN_COLOUR, OURS_COLOUR)
    assert len(set(found)) == len(kinds)
    assert looks(["diffusion-link", "identity"]) == [found[-1], found[1]]


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_labels_lie_on_no_other_label_and_inside_the_axes(spread: float) -> None:
    labels = [Label(0.5 + spread * number, 0.5, f"bridge-{number}", "#000000") for number in range(6)]
    with drawing("a"):
        figure = new_figure(4.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], "o")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        place_labels(axes, labels)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
        frame = axes.get_window_extent()
    assert len(boxes) == 6
    for number, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
