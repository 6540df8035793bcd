"""What the doors of datasets refuse: fields that are missing or malformed, attempts that are over, unknown restores."""

import importlib

import pytest

from mldr.errors import BadEvent, LostRace, NotRestorable

SNAPSHOT = {"dataset": "images", "snapshot": "20260301T120000Z-aaaaaaaa", "attempt": 1}
RESTORE = {"dataset": "images", "snapshot": "20260301T120000Z-aaaaaaaa", "to": "s3://back/x", "restore": "r-1"}
REF = {
    **dict.fromkeys(("digest", "key", "version_id", "first", "last"), "x"),
    "objects": 1,
    "bytes": 1,
    "locked_until": "2030-01-01T00:00:00Z",
}
DOORS = {
    "take_snapshot_inventory": SNAPSHOT,
    "seal_snapshot": SNAPSHOT,
    "conclude_snapshot": SNAPSHOT,
    "plan_restore": RESTORE,
    "restore_objects": {**RESTORE, "item": "shards/000001", "ref": REF},
    "conclude_restore": RESTORE,
}
FIELDS = [(door, field) for door, good in DOORS.items() for field in good]


def enter(door, payload, context):
    return importlib.import_module(f"functions.{door}.app").handler(payload, context)


@pytest.mark.parametrize(("door", "field"), FIELDS)
def test_a_task_with_a_missing_field_is_refused_by_its_name(world, context, door, field):
    payload = {key: value for key, value in DOORS[door].items() if key != field}
    with pytest.raises(BadEvent, match=rf"\b{field}: Field required"):
        enter(door, payload, context)


@pytest.mark.parametrize(("door", "field"), FIELDS)
def test_a_task_with_a_malformed_field_is_refused_by_its_name(world, context, door, field):
    with pytest.raises(BadEvent, match=field):
        enter(door, {**DOORS[door], field: {"not": "this"}}, context)


@pytest.mark.parametrize("door", ["take_snapshot_inventory", "seal_snapshot", "conclude_snapshot"])
def test_a_task_of_a_snapshot_that_nobody_began_is_superseded(world, context, door):
    with pytest.raises(LostRace, match="attempt 1 was superseded"):
        enter(door, DOORS[door], context)


@pytest.mark.parametrize("door", ["plan_restore", "restore_objects", "conclude_restore"])
def test_a_restore_that_nobody_asked_for_is_refused(world, context, door):
    with pytest.raises(NotRestorable, match="restore r-1 of images is unknown"):
        enter(door, DOORS[door], context)
