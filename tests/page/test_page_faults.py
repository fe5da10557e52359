"""The page where something does not work: a bad file, a full or missing service, no microphone, a key that is asked for."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Open
from tests.page.steps import check, give, heard
from tests.test_end_to_end import Server

_KEY = "of-the-page-0123456789"


def test_where_the_page_may_not_copy_it_shows_the_embedding(open_page: Open) -> None:
    page = open_page()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    heard(page, "snare_drum.wav").get_by_role("button", name="Copy embedding").click()
    shown = page.get_by_label("copy it from here")
    expect(shown).to_be_focused()
    assert len(json.loads(shown.input_value())) > 8


def test_a_text_called_wav_is_an_error_in_the_services_words(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    (tmp_path / "notes.wav").write_text("These are my notes, not a sound.\n" * 20, encoding="utf-8")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "notes.wav")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("not a sound that the service can read")
    expect(alert).to_contain_text("notes.wav: ")
    expect(alert).to_contain_text("unreadable_audio, request ")
    expect(page.locator("#result")).to_be_hidden()
    check(page, "error")
    heard(page, "snare_drum.wav")
    expect(page.locator("#error")).to_be_hidden()


def test_a_full_service_can_be_asked_again(open_page: Open) -> None:
    page = open_page()
    body = json.dumps({"error": {"type": "queue_full", "message": "No place is free.", "request_id": "abc"}})
    page.route("**/caption?*", lambda route: route.fulfill(status=429, headers={"retry-after": "7"}, body=body))
    give(page, "snare_drum.wav")
    expect(page.get_by_role("alert")).to_contain_text("No place is free. (Try again in 7 s.)")
    page.unroute("**/caption?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#caption")).to_contain_text("snare drum")


def test_a_service_that_is_gone_is_an_error_and_a_wait_can_be_cancelled(open_page: Open) -> None:
    page = open_page()
    page.route("**/caption?*", lambda route: route.abort())
    give(page, "snare_drum.wav")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute("**/caption?*")
    page.route("**/caption?*", lambda route: None)
    give(page, "snare_drum.wav")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()


def test_without_a_microphone_the_page_says_why(open_page: Open) -> None:
    page = open_page()
    refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));"
    page.evaluate(f"() => {{ {refuse} }}")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("alert")).to_contain_text("not allowed to use the microphone")


def test_a_guarded_service_asks_for_its_key(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys.txt").write_text(_KEY, encoding="ascii")
    monkeypatch.setenv("DIFFUSION_LINK_API_KEYS_FILE", str(tmp_path / "keys.txt"))
    server = Server()
    try:
        page = open_page(server.url)
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        expect(page.locator("#error")).to_be_hidden()
        check(page)
        field.fill("a-wrong-key-0123456789")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not know this API key")
        field.fill(_KEY)
        page.keyboard.press("Enter")
        expect(field).to_be_hidden()
        heard(page, "snare_drum.wav")
    finally:
        server.stop()
