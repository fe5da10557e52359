"""The search by words over the sounds that were given to the page."""

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Open
from tests.page.steps import EXAMPLES, check, drawn, ended, give, rows, until

_NAMES = ["choir.mp3", "crow.ogg", "forty_seconds.mp3", "piano.flac", "snare_drum.wav"]
_WORDS = "a snare drum plays"


@pytest.fixture
def page(open_page: Open) -> Page:
    page = open_page(viewport={"width": 1100, "height": 800})
    give(page, *_NAMES)
    ended(page)
    drawn(page)
    return page


def _search(page: Page, words: str) -> None:
    page.get_by_label("Find a sound by words").fill(words)
    page.keyboard.press("Enter")


def _cosines(url: str, words: str) -> dict[str, float]:
    files = [("file", (name, (EXAMPLES / name).read_bytes())) for name in _NAMES]
    sounds = httpx.post(f"{url}/bridge", files=files, timeout=60).json()["results"]
    text = httpx.post(f"{url}/text", json={"texts": [words]}, timeout=60).json()["results"][0]
    return {sound["filename"]: float(np.dot(sound["embedding"], text["embedding"])) for sound in sounds}


def test_words_sort_the_list_by_cosine_and_none_give_its_order_back(page: Page, url: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(f"{url}/")))
    _search(page, _WORDS)
    expect(page.locator("#order")).to_have_text(f"Nearest to “{_WORDS}” first")
    expected = _cosines(url, _WORDS)
    assert rows(page, "name") == sorted(_NAMES, key=expected.__getitem__, reverse=True)
    assert rows(page, "name")[0] == "snare_drum.wav"
    shown = [float(text.removeprefix("cosine ")) for text in rows(page, "cosine")]
    assert shown == pytest.approx(sorted(expected.values(), reverse=True), abs=0.0051)
    expect(page.get_by_role("status")).to_contain_text("First: snare_drum.wav, cosine 0.9")
    page.locator(".sound").first.click()
    drawn(page)
    check(page, "several")
    page.emulate_media(color_scheme="dark")
    check(page)
    _search(page, "a choir sings")
    expect(page.locator("#order")).to_contain_text("a choir sings")
    assert sorted(path for path in asked if not path.startswith("blob:")) == ["bridge"] * 5 + ["text"] * 2
    page.get_by_role("button", name="Copy embedding").click()
    _search(page, " ")
    expect(page.locator("#order")).to_have_text("In the order given")
    assert rows(page, "name") == _NAMES
    assert rows(page, "cosine") == [""] * 5
    assert asked.count("bridge") == 5


def test_a_sound_whose_embedding_cannot_be_had_comes_last_and_the_search_can_be_tried_again(page: Page) -> None:
    page.route("**/bridge", lambda route: route.abort(), times=1)
    _search(page, _WORDS)
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    assert [bool(text) for text in rows(page, "cosine")] == [True] * 4 + [False]
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#error")).to_be_hidden()
    until(page, "[...document.querySelectorAll('.cosine')].every(cosine => cosine.textContent)")
    assert rows(page, "name")[0] == "snare_drum.wav"


def test_a_sound_that_joins_takes_its_place_in_the_search(page: Page) -> None:
    _search(page, "a piano plays")
    expect(page.locator("#order")).to_contain_text("a piano plays")
    give(page, "piano.flac")
    until(page, "document.querySelectorAll('.sound').length === 6")
    until(page, "[...document.querySelectorAll('.cosine')].every(cosine => cosine.textContent)")
    first, second = (rows(page, "cosine")[rows(page, "name").index("piano.flac") + step] for step in (0, 1))
    assert first == second


def test_a_search_can_be_stopped(page: Page) -> None:
    page.route("**/bridge", lambda route: None)
    with page.expect_request("**/bridge"):
        _search(page, _WORDS)
    expect(page.locator("#progress")).to_contain_text("Comparing with the words: 0 of 5")
    check(page)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/bridge"), timeout=5_000):
        page.get_by_role("button", name="Stop").click()
    ended(page)
    expect(page.locator("#order")).to_have_text("In the order given")
    page.unroute("**/bridge")
    _search(page, _WORDS)
    expect(page.locator("#list .name").first).to_have_text("snare_drum.wav")
