"""The page where something does not work: a bad file, a full or missing service, no microphone, a key that is asked for."""

import json
import time
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.page.conftest import KEY, Open
from tests.page.steps import WAIT_MS, check, give, heard, rows


def test_where_the_page_may_not_copy_it_shows_the_embedding(open_page: Open) -> None:
    page = open_page()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    heard(page, "snare_drum.wav").get_by_role("button", name="Copy embedding").click()
    shown = page.get_by_label("copy it from here")
    expect(shown).to_be_focused()
    assert len(json.loads(shown.input_value())) > 8
    check(page)


def test_a_text_called_wav_is_an_error_in_the_services_words(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    (tmp_path / "notes.wav").write_text("These are my notes, not a sound.\n" * 20, encoding="utf-8")
    page.get_by_label("Choose files").set_input_files(tmp_path / "notes.wav")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("not a sound that the service can read")
    expect(alert).to_contain_text("notes.wav: ")
    expect(alert).to_contain_text("unreadable_audio, request ")
    expect(page.locator("#result")).to_be_hidden()
    check(page, "error")
    heard(page, "snare_drum.wav")
    expect(page.locator("#error")).to_be_hidden()


def test_a_service_that_is_gone_is_an_error_and_a_wait_can_be_cancelled(open_page: Open) -> None:
    page = open_page()
    page.route("**/caption?*", lambda route: route.abort())
    give(page, "snare_drum.wav")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute("**/caption?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#caption")).to_contain_text("snare drum")
    page.get_by_role("button", name="Try again").wait_for(state="hidden")
    page.reload()
    page.route("**/caption?*", lambda route: None)
    give(page, "snare_drum.wav")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()


def test_without_a_microphone_the_page_says_why(open_page: Open) -> None:
    page = open_page()
    refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));"
    page.evaluate(f"() => {{ {refuse} }}")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("alert")).to_contain_text("not allowed to use the microphone")


def test_a_guarded_service_asks_for_its_key(open_page: Open, strict_url: str) -> None:
    page = open_page(strict_url)
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    expect(page.locator("#error")).to_be_hidden()
    check(page)
    field.fill("a-wrong-key-0123456789")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know this API key")
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(field).to_be_hidden()
    heard(page, "snare_drum.wav")
    page.reload()
    expect(field).to_be_focused()


def test_a_full_service_is_asked_again_and_what_is_too_large_harms_no_other(open_page: Open, strict_url: str) -> None:
    page = open_page(strict_url)
    expect(page.get_by_label("API key")).to_be_focused()
    statuses: list[int] = []
    page.on("response", lambda response: statuses.append(response.status))
    give(page, "snare_drum.wav", "forty_seconds.mp3", "piano.flac", "crow.ogg")
    expect(page.get_by_role("button", name="Caption the remaining 4")).to_be_visible()
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("3 sounds captioned, 1 error", timeout=WAIT_MS)
    assert 429 in statuses
    assert rows(page, "what")[1] == "The file is too large"
    expect(page.locator(".sound.heard")).to_have_count(3)


def test_a_wait_for_a_full_service_is_told_and_kept(open_page: Open) -> None:
    page = open_page()
    body = json.dumps({"error": {"type": "queue_full", "message": "No place is free.", "request_id": "abc"}})
    asked: list[float] = []

    def refuse(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            route.fulfill(status=429, headers={"retry-after": "2"}, body=body)
        else:
            route.continue_()

    page.route("**/caption?*", refuse)
    give(page, "snare_drum.wav")
    expect(page.locator("#progress")).to_contain_text("The service is full; it will be asked again in 2 s")
    check(page)
    expect(page.locator("#caption")).to_contain_text("snare drum")
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.9
