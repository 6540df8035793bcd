"""Two deployed regions, until the last test of this package; each test returns them to the chapter it begins with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.crash.story import Story
from tests.functional.crash.two_regions import two_regions


@pytest.fixture(scope="package")
def story() -> Iterator[Story]:
    """The story, not yet begun."""
    with two_regions() as regions:
        yield Story(regions)
