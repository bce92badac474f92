"""Presses buttons without a browser, and reads what pages say."""

from __future__ import annotations

import html
import re

from .served import Answer, Served


def hidden(page: str) -> list[tuple[str, str]]:
    """The hidden fields of a page's form."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return [(html.unescape(name), html.unescape(value)) for name, value in found]


def heading(page: str) -> str:
    [found] = re.findall(r"<h1>(.*?)</h1>", page)
    return html.unescape(found)


def act(served: Served, path: str, question: str | None = None) -> Answer:
    """See what a button asks, say yes, and follow to the page that says what was done."""
    asked = served.get(path)
    assert asked.status == 200, asked.text
    if question is not None:
        assert heading(asked.text) == question
    return follow(served, served.post(path))


def follow(served: Served, done: Answer) -> Answer:
    if done.status != 303:
        return done
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return served.get(done.headers["location"], {"Cookie": cookie.partition(";")[0]})


def said(answer: Answer) -> str:
    """What the page says was done."""
    [found] = re.findall(r'<p class="said" role="status">(.*?)</p>', answer.text)
    return html.unescape(found)


def act_on(served: Served, path: str, page: Answer) -> Answer:
    """The next slice."""
    return follow(served, served.post(path, hidden(page.text)))


def text_of(answer: Answer) -> str:
    """What can be read on a page, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", answer.text)).split())
