"""/docs: Swagger UI without a network, and without a violation of axe-core's rules."""

from playwright.sync_api import expect

from tests.page.conftest import Open
from tests.page.steps import check


def test_the_docs_work_without_a_network_and_for_everybody(open_page: Open) -> None:
    page = open_page(path="/docs")
    expect(page.get_by_text("/caption", exact=True)).to_be_visible()
    check(page)
    page.get_by_text("/health/ready", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text('"ok"')
    page.get_by_text("/caption", exact=True).click()
    expect(page.locator("[data-param-name=candidates]")).to_be_visible()
    assert page.url.endswith("#/captions/caption_sounds")
    check(page)
    page.get_by_role("button", name="Expand all").first.click()
    check(page)
