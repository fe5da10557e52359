"""The pages are built without a warning and load nothing from elsewhere; links outside of docs/ lead to something too."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_LOADED = re.compile(r"""(?:<(?:script|img|iframe)[^>]*\ssrc|<link[^>]*\shref)=["']?(?:https?:)?//""")


def _build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    # Not --quiet: it hides warnings from --strict too.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_they_are_built_without_a_warning_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    build = _build(ROOT, tmp_path / "site")
    assert build.returncode == 0, build.stderr
    assert "WARNING" not in build.stderr
    built = list((tmp_path / "site").glob("*.html"))
    assert {page.stem for page in built} >= {page.stem for page in PAGES if page.parent == ROOT / "docs"}
    for page in built:
        html = page.read_text(encoding="utf-8")
        assert not _LOADED.search(html), page.name
        assert 'href="../' not in html, page.name


@pytest.mark.parametrize("link", ["nowhere.md", "api.md#nowhere", "../nowhere.toml", "/api.md"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, link: str) -> None:
    for name in ("mkdocs.yml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "hooks.py", tmp_path / "docs")
    config = (tmp_path / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(re.sub(r"(?s)nav:.*?\n\n", "", config), encoding="utf-8")
    (tmp_path / "docs" / "api.md").write_text("# API\n", encoding="utf-8")
    page = tmp_path / "docs" / "index.md"
    page.write_text("# A\n\n[a](api.md) and [b](../README.md)\n", encoding="utf-8")
    assert (build := _build(tmp_path, tmp_path / "site")).returncode == 0, build.stderr
    page.write_text(f"# A\n\n[a]({link})\n", encoding="utf-8")
    assert _build(tmp_path, tmp_path / "site").returncode != 0


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != ROOT / "docs"], ids=lambda page: page.parent.name)
def test_links_of_the_other_pages_lead_somewhere(page: Path) -> None:
    targets = [target for target in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert targets
    for target in targets:
        assert (page.parent / target).exists(), target
