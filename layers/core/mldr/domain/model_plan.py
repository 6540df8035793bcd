"""What a model's recovery point is to hold: its references in the order of names, and where each of them goes."""

from __future__ import annotations

import datetime as dt
import hashlib

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.recovery_point import Record, Rewrite, prefix
from mldr.domain.references import Kind, Reference
from mldr.domain.transfers import PlanState
from mldr.errors import BadReference

GOLDEN = "golden"
KEY_LIMIT = 1024  # bytes of an S3 key


class ModelPlan(Frozen):
    """What was decided for one recovery point before its bytes move; the attempts that follow keep it."""

    rewrites: tuple[Rewrite, ...]
    golden: str | None  # the name of the golden inferences
    single: tuple[Entry, ...]  # what references to one object name, pinned when the planning began
    bases: tuple[tuple[ShardRef, ...], ...]  # manifests whose copies may be reused
    state: PlanState


class Place(Frozen):
    """Where the objects of one reference stand in the manifest and in the vault."""

    reference: Reference
    layout: str

    @property
    def stem(self) -> str:
        """Return what all its names begin with; no other reference's names stand between them."""
        return self.reference.path.replace("[", ".").replace("]", "") + "/"

    @property
    def parent(self) -> str:
        """Return what precedes the relative names of its keys."""
        _, key = self.reference.s3()
        return key[: key.rfind("/") + 1]

    @property
    def target(self) -> str:
        """Return the vault key, or the prefix, that stands for the reference in the standby region."""
        _, key = self.reference.s3()
        return f"{self.layout}/{self.name_of(key)}"

    def name_of(self, key: str) -> str:
        """Return what an object of the source is called in the manifest."""
        return self.stem + key[len(self.parent) :]

    def key_of(self, name: str) -> str:
        """Return the vault key of a name. Raises BadReference when S3 does not allow one of that length."""
        key = f"{self.layout}/{name}"
        if len(key.encode()) > KEY_LIMIT:
            raise BadReference(
                f"{self.reference.value}: the key of {name} in the vault would have {len(key.encode())} bytes, "
                f"S3 allows {KEY_LIMIT}; shorten the key"
            )
        return key

    def after(self, cursor: str) -> str | None:
        """Return the source key after which to go on, when planning stopped at `cursor`; None when nothing is left."""
        if cursor.startswith(self.stem):
            return self.parent + cursor[len(self.stem) :]
        return "" if cursor < self.stem else None


def places(references: list[Reference], layout: str) -> list[Place]:
    """Return the references to objects in the order of the names of what they hold."""
    held = [one for one in references if one.kind in (Kind.S3_OBJECT, Kind.S3_PREFIX)]
    return sorted((Place(reference=one, layout=layout) for one in held), key=lambda place: place.stem)


def layout_of(record: Record, plan: str) -> str:
    """Return the vault prefix under which one plan lays out its objects."""
    return f"{prefix(record.model, record.recovery_point)}/objects/{plan}"


def name_in(uri: str, model: ModelKey, recovery_point: str) -> str:
    """Return how the manifest of a point calls what a URI of its region's vault names, '' for any other URI.

    A copy's record has its references at the paths of the original's: what both points hold is called the same.
    """
    scheme, _, place = uri.partition("://")
    key, layouts = place.partition("/")[2], f"{prefix(model, recovery_point)}/objects/"
    return key[len(layouts) :].partition("/")[2] if scheme == "s3" and key.startswith(layouts) else ""


def plan_id(recovery_point: str, attempt: int, begun_at: dt.datetime) -> str:
    """Return the id of a plan: the same pins keep it, and with it the keys of their copies."""
    return hashlib.sha256(f"{recovery_point}\n{attempt}\n{begun_at.isoformat()}".encode()).hexdigest()[:12]
