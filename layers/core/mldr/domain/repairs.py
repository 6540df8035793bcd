"""Which version stands for one whose bytes have gone bad: a sealed manifest names versions and is never written again.

A repair is a locked object of the vault whose key says all that a reader needs, so that one listing finds every repair:
`repairs/<digest of the key and the bad version>/<good version>`. Its content is the record of what was done.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping

from mldr.domain.identity import Frozen
from mldr.domain.manifests import Entry

PREFIX = "repairs/"


class Repair(Frozen):
    """One version that another one stands for from now on, and why."""

    key: str  # in the vault
    bad_version: str
    good_version: str
    source: str
    reason: str
    run: str
    repaired_at: dt.datetime

    @property
    def vault_key(self) -> str:
        """The key under which the vault keeps this repair."""
        return f"{PREFIX}{_identity(self.key, self.bad_version)}/{self.good_version}"


def found(keys: Iterable[str]) -> dict[str, str]:
    """Return the good version by the identity of the bad one, from the keys of a listing."""
    pairs = (key.removeprefix(PREFIX).partition("/") for key in sorted(keys))
    return {bad: good for bad, _, good in pairs}


def repaired(entry: Entry, repairs: Mapping[str, str]) -> Entry:
    """Return the entry with the version that stands for its own: the last one, when a repair was repaired."""
    return entry._replace(version_id=standing(entry.key, entry.version_id, repairs)) if repairs else entry


def standing(key: str, version_id: str, repairs: Mapping[str, str]) -> str:
    """Return the version that stands for one of a vault key: itself, as long as it was never repaired."""
    seen = {version_id}
    while (good := repairs.get(_identity(key, version_id))) and good not in seen:
        seen.add(good)
        version_id = good
    return version_id


def _identity(key: str, version_id: str) -> str:
    return hashlib.sha256(f"{key}\n{version_id}".encode()).hexdigest()
