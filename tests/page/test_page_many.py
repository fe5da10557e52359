"""The page with several sounds at once: the list, what is chosen of it, its errors, stopping, and folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import FilePayload, Route, expect

from tests.page.conftest import Open
from tests.page.steps import EXAMPLES, WAIT_MS, check, drawn, ended, give, rows, until

_GOOD = ["snare_drum.wav", "piano.flac", "crow.ogg", "choir.mp3"]
_SIZES = [{"width": 1100, "height": 800}, {"width": 360, "height": 740}]


def _bad() -> list[FilePayload]:
    damaged = (EXAMPLES / "piano.flac").read_bytes()[:20_000]
    return [
        FilePayload(name="damaged.flac", mimeType="audio/flac", buffer=damaged),
        FilePayload(name="notes.wav", mimeType="audio/wav", buffer=b"These are my notes, not a sound.\n" * 20),
    ]


def _payload(name: str) -> FilePayload:
    return FilePayload(name=name, mimeType="audio/*", buffer=(EXAMPLES / name).read_bytes())


def test_each_sound_has_its_caption_or_its_error_and_can_be_chosen_by_keyboard(open_page: Open, url: str) -> None:
    page = open_page()
    damaged, notes = _bad()
    page.get_by_label("Choose files").set_input_files([damaged, *(_payload(name) for name in _GOOD), notes])
    expect(page.get_by_role("status")).to_have_text("4 sounds captioned, 2 errors", timeout=WAIT_MS)
    answers = [
        httpx.post(f"{url}/caption?candidates=3", files={"file": (EXAMPLES / name).read_bytes()}, timeout=60).json()
        for name in _GOOD
    ]
    results = [answer["results"][0] for answer in answers]
    assert rows(page, "name") == ["damaged.flac", *_GOOD, "notes.wav"]
    captions = [result["caption"] for result in results]
    assert rows(page, "what") == [
        "The file is damaged",
        *captions,
        "This is not a sound that the service can read",
    ]
    assert rows(page, "score") == ["", *(f"score {result['score']:.2f}" for result in results), ""]
    page.get_by_role("radio", name="snare_drum.wav").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#filename")).to_have_text("piano.flac")
    expect(page.locator("#caption")).to_have_text(captions[1])
    drawn(page)
    check(page)
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("alert")).to_contain_text("notes.wav: ")
    expect(page.locator("#result")).to_be_hidden()
    check(page)
    page.emulate_media(color_scheme="dark")
    check(page)


def test_the_keyboard_alone_chooses_files_searches_and_leaves_the_list(open_page: Open) -> None:
    page = open_page()
    page.on("filechooser", lambda chooser: chooser.set_files([EXAMPLES / name for name in _GOOD]))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="API")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Choose files")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("4 sounds captioned, 0 errors", timeout=WAIT_MS)
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_label("Find a sound by words")).to_be_focused()
    page.keyboard.type("a crow caws")
    page.keyboard.press("Enter")
    expect(page.locator("#list .cosine").first).to_contain_text("cosine")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", checked=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#player")).to_be_focused()


@pytest.mark.parametrize("viewport", _SIZES)
def test_work_is_done_three_at_a_time_can_be_stopped_and_goes_on(open_page: Open, viewport: dict[str, int]) -> None:
    page = open_page(viewport=viewport)
    held: list[Route] = []
    page.route("**/caption?*", lambda route: held.append(route))
    give(page, *_GOOD, "forty_seconds.mp3")
    until(page, "document.querySelectorAll('.working').length === 3")
    page.wait_for_timeout(300)
    assert len(held) == 3
    held[1].continue_()
    expect(page.locator("#progress")).to_contain_text("1 of 5 sounds are done")
    assert page.get_by_role("progressbar").evaluate("bar => bar.value / bar.max") == pytest.approx(0.2)
    expect(page.get_by_role("status")).to_contain_text("of 5 sounds are done")
    expect(page.locator("#filename")).to_have_text("piano.flac")
    check(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped. 1 sound captioned, 0 errors, 4 left")
    expect(page.get_by_label("Find a sound by words")).to_be_focused()
    assert [what == "Stopped" for what in rows(page, "what")] == [True, False, True, True, True]
    check(page)
    page.unroute("**/caption?*")
    page.get_by_role("button", name="Caption the remaining 4").click()
    expect(page.locator(".sound.heard")).to_have_count(5, timeout=WAIT_MS)
    expect(page.locator("#filename")).to_have_text("piano.flac")


def test_what_comes_later_joins_the_list_and_the_list_can_be_cleared(open_page: Open) -> None:
    page = open_page()
    give(page, "crow.ogg")
    expect(page.locator("#filename")).to_have_text("crow.ogg")
    expect(page.locator("#sounds")).to_be_hidden()
    give(page, "choir.mp3")
    expect(page.locator("#filename")).to_have_text("choir.mp3")
    assert rows(page, "name") == ["crow.ogg", "choir.mp3"]
    page.get_by_role("button", name="Clear the list").click()
    expect(page.locator("#sounds")).to_be_hidden()
    expect(page.locator("#result")).to_be_hidden()
    give(page, "piano.flac")
    expect(page.locator("#filename")).to_have_text("piano.flac")
    expect(page.locator("#sounds")).to_be_hidden()


def test_a_dropped_folder_gives_the_sounds_below_it(open_page: Open, tmp_path: Path) -> None:
    below = tmp_path / "sounds" / "below"
    below.mkdir(parents=True)
    for name in ("notes.txt", "._hidden.wav"):
        (below / name).write_text("no sound", encoding="utf-8")
    shutil.copy(EXAMPLES / "snare_drum.wav", below / "B.WAV")
    shutil.copy(EXAMPLES / "crow.ogg", tmp_path / "sounds" / "crow.ogg")
    page = open_page()
    session = page.context.new_cdp_session(page)
    dropped = {"items": [], "files": [str(tmp_path / "sounds"), str(EXAMPLES / "piano.flac")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": dropped})
    expect(page.locator("#count")).to_have_text("3 sounds")
    assert rows(page, "name") == ["B.WAV", "crow.ogg", "piano.flac"]
    ended(page)


def test_long_names_and_captions_in_any_script_fit_the_narrowest_screen(open_page: Open) -> None:
    page = open_page(viewport={"width": 320, "height": 600})

    def lengthen(route: Route) -> None:
        answer: dict[str, Any] = route.fetch().json()
        captions = ["يعزف عازف على طبلة صغيرة " * 12, "w" * 200]
        for result in answer["results"]:
            result["caption"] = captions[len(seen) % 2]
            for part in (*result["timeline"], *result["candidates"]):
                part["caption"] = captions[len(seen) % 2]
        seen.append(1)
        route.fulfill(body=json.dumps(answer))

    seen: list[int] = []
    page.route("**/caption?*", lengthen)
    sound = (EXAMPLES / "forty_seconds.mp3").read_bytes()
    names = ["ا" * 150 + ".mp3", "a name of many words " * 9 + ".mp3"]
    page.get_by_label("Choose files").set_input_files(
        [FilePayload(name=name, mimeType="audio/mpeg", buffer=sound) for name in names]
    )
    ended(page)
    for index in range(2):
        page.locator(".sound").nth(index).click()
        check(page)
