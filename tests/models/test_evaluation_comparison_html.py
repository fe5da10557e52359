"""The page: nothing is fetched, all text is escaped, tables scroll, and plots stand inside it."""

from html.parser import HTMLParser

from models.evaluation.comparison_html import html_document, table_html
from models.evaluation.document import Plot, Section
from models.evaluation.text_table import TextTable

_EVIL = "<script>alert('1')</script> & \"two\""
_SVG = '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "a" "b">\n<svg width="9pt"><g id="p-1"/></svg>\n'


class _Reader(HTMLParser):
    """Tags that are open, all tags that were, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.tags, self.text = list[str](), list[tuple[str, dict[str, str | None]]](), ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def _page() -> str:
    table = TextTable(_EVIL, ("", _EVIL), (("row", _EVIL), (_EVIL, "0.5 ± 0.1")))
    plot = Plot("p", _EVIL, f"{_EVIL} `code`", _SVG)
    return html_document(_EVIL, [Section(_EVIL, f"{_EVIL}\n\n- {_EVIL}\n- **two**", [table], [plot])])


def test_all_text_is_escaped() -> None:
    reader = _read(_page())
    assert "script" not in [tag for tag, _ in reader.tags]
    assert reader.text.count(_EVIL) == 10
    assert [attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"] == [_EVIL]


def test_nothing_is_fetched() -> None:
    reader = _read(_page())
    names = {tag for tag, _ in reader.tags}
    assert not names & {"link", "img", "iframe", "script", "object"}
    assert not {name for _, attributes in reader.tags for name in attributes} & {"src", "href", "srcset"}
    assert "@import" not in _page()
    assert "url(" not in _page()


def test_light_and_dark_narrow_and_wide() -> None:
    page = _page()
    assert "prefers-color-scheme: dark" in page
    assert '<div class="scroll" tabindex="0">\n<table>' in page
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in _read(page).tags


def test_plots_stand_inside_without_what_a_file_needs() -> None:
    page = _page()
    assert page.count("<!DOCTYPE") == 1
    assert "<?xml" not in page
    assert '<g id="p-1"/></svg>' in page


def test_marks_of_markdown_become_tags() -> None:
    table = TextTable("t", ("", "`a`"), (("**x**", "**0.5**"), ("y", "words"), ("z", "-1.0 ± 0.2")))
    text = table_html(table)
    assert '<th scope="col"><code>a</code></th>' in text
    assert '<th scope="row"><strong>x</strong></th><td class="number"><strong>0.5</strong></td>' in text
    assert "<td>words</td>" in text
    assert '<td class="number">-1.0 ± 0.2</td>' in text
    page = html_document("a", [Section("b", "one\ntwo\n\n- three\n- four")])
    assert "<p>one two</p>" in page
    assert "<ul><li>three</li><li>four</li></ul>" in page
