"""Container images in memory."""

from __future__ import annotations

from mldr.domain.images import Image


class FakeImages:
    """`pushed` maps (region, repository) to the digests by tag."""

    def __init__(self) -> None:
        self.pushed: dict[tuple[str, str], dict[str, str]] = {}

    def push(self, region: str, repository: str, tag: str, digest: str) -> None:
        """Put an image into a region's repository."""
        self.pushed.setdefault((region, repository), {})[tag] = digest

    def digest(self, image: Image) -> str | None:
        held = self.pushed.get((image.region, image.repository), {})
        if image.digest:
            return image.digest if image.digest in held.values() else None
        return held.get(image.tag or "latest")
