"""How Sphinx makes a site of the pages; bin/docs runs it.

The first page is the README. The navigation is made of the lists in docs/README.md: a heading, and
the pages beneath it.
"""

import posixpath
import re
from pathlib import Path

from sphinx.application import Sphinx

from resque_fork.version import __version__

ROOT = Path(__file__).resolve().parent.parent

project = "resque-fork"
version = release = __version__
copyright = "the resque-fork authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
include_patterns = ["*.md", "docs/*.md"]
root_doc = "README"

html_theme = "furo"
html_title = f"resque-fork {__version__}"
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "index.html"}
templates_path = ["templates"]

# Headings are linked by the names that code hosts give them.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
default_role = "code"


def navigation() -> str:
    """Hidden tables of contents: docs/README.md itself, then one for each of its headings."""
    found = contents("Overview", ["docs/README"])
    for section in (ROOT / "docs/README.md").read_text("utf-8").split("\n## ")[1:]:
        caption, _, body = section.partition("\n")
        links = re.findall(r"^- \[.+?\]\((.+?)\.md\)", body, re.MULTILINE)
        found += contents(caption, [posixpath.normpath(f"docs/{link}") for link in links])
    return found


def contents(caption: str, pages: list[str]) -> str:
    listed = "".join(f"/{page}\n" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n{listed}```\n"


def add_navigation(app: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += navigation()


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
