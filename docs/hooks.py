"""What mkdocs does to the pages of this folder besides building them.

On the repository's own pages a link such as `../recipes/tiny.toml` leads to that file. The built pages have no such files
beside them, and the project has no address that they could point to, so there the link becomes its path in plain text.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

_DOCS = Path(__file__).parent
_OUTSIDE = re.compile(r"\[([^]]*)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that leave this folder into text; one that leads nowhere stops the build."""

    def text_of(link: re.Match[str]) -> str:
        label, target = link.groups()
        if not (_DOCS / target).exists():
            raise PluginError(f"{page.file.src_uri}: {target} does not exist")
        path = target.removeprefix("../")
        return label if path in label else f"{label} (`{path}`)"

    return _OUTSIDE.sub(text_of, markdown)
