"""Replaces attributes of moto while the local cloud runs, and puts the originals back."""

from typing import Any


class Patches:
    """The replacements that one part of the local cloud has made."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> Any:
        """Put a value in the place of owner.name; returns what was there."""
        original = vars(owner)[name]
        self._originals.append((owner, name, original))
        setattr(owner, name, value)
        return original

    def undo(self) -> None:
        """Put every original back, the latest first."""
        while self._originals:
            owner, name, original = self._originals.pop()
            setattr(owner, name, original)
