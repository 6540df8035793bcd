"""A pager that only remembers."""

from __future__ import annotations


class FakePager:
    """`pages` has (subject, message) in order."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, str]] = []

    def page(self, subject: str, message: str) -> None:
        self.pages.append((subject, message))
