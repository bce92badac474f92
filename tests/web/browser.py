"""A real browser, and pages of it that fail a test for what should not happen in one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

HERE = Path(__file__).resolve().parent
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "install it, on Debian with: apt-get install --no-install-recommends chromium"

# Names that only this browser knows, and that are not loopback to it.
NAMED, OTHER = "ops.test", "evil.test"
ARGUMENTS = [f"--host-resolver-rules=MAP {NAMED} 127.0.0.1, MAP {OTHER} 127.0.0.1"]


@contextmanager
def started() -> Iterator[Browser]:
    """Debian's Chromium, or Chrome."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        missing = f"NOT TESTED for want of Chromium: {INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """What went wrong in a page: errors, dialogs, and requests to anybody else."""

    def __init__(self, page: Page, origin: str) -> None:
        self.problems: list[str] = []
        self.expected: tuple[str, ...] = ()
        self._origin = origin
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self._look_at(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.expected):
            self.problems.append(text)

    def _dismiss(self, dialog: Dialog) -> None:
        self.problems.append("a dialog")
        dialog.dismiss()

    def _look_at(self, url: str) -> None:
        if not url.startswith(f"{self._origin}/"):
            self._note("error", f"a request to {url}")


def axe(cache: Path) -> str:
    """The source of axe-core, which npm installs into a folder of pytest's cache."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed: looking for barriers needs it")
    lock = (HERE / "package-lock.json").read_text()
    stamp = cache / "installed"
    if not stamp.exists() or stamp.read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, cache)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True)
        assert done.returncode == 0, f"npm could not install axe-core:\n{done.stderr}"
        stamp.write_text(lock)
    return (cache / "node_modules" / "axe-core" / "axe.min.js").read_text()


def barriers(page: Page, source: str) -> list[str]:
    """What axe-core finds that keeps people from using the page."""
    page.evaluate(source)
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:300]}"
        for one in found["violations"]
    ]
