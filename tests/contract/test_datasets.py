"""Every keeper of datasets keeps the same promises, on memory and on DynamoDB: one snapshot at a time above all."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from mldr.aws.datasets import DynamoDatasets
from mldr.domain.datasets import Change, ChangeKind, DatasetRule
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import Difference, How, RestoreRecord, SnapshotRecord
from mldr.errors import LostRace
from tests.fakes.datasets import FakeDatasets

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
RECORD = SnapshotRecord(
    dataset="images",
    snapshot="20260301T120000Z-aaaaaaaa",
    phase=Phase.CAPTURING,
    attempt=1,
    as_of=NOW,
    rule=DatasetRule(uri="s3://lake/images/", region="ap-southeast-1"),
    how=How.LISTING,
    started_at=NOW,
)
LATER = RECORD.model_copy(update={"snapshot": "20260301T130000Z-bbbbbbbb", "as_of": NOW + dt.timedelta(hours=1)})
SEALED = {"phase": Phase.SEALED, "sealed_at": NOW, "kept_until": NOW + dt.timedelta(days=36), "manifest_version": "1"}


def table(account):
    """The table as template.yaml has it."""
    dynamodb = account.client("dynamodb")
    dynamodb.create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoDatasets(dynamodb, table="catalog")


@pytest.fixture
def datasets(backend):
    return FakeDatasets() if backend is None else table(backend)


def changed(record=RECORD, **fields):
    return record.model_copy(update=fields)


def change(name="a", minute=0, **fields):
    return Change(
        dataset="images", name=name, kind=ChangeKind.CREATED, told_at=NOW + dt.timedelta(minutes=minute), **fields
    )


def test_a_begun_snapshot_is_read_back_whole_and_is_the_running_one(datasets):
    datasets.begin(RECORD)
    assert datasets.record("images", RECORD.snapshot) == datasets.running("images") == RECORD
    assert (datasets.names(), datasets.newest("images")) == (["images"], None)


def test_nothing_is_known_of_what_nobody_began(datasets):
    assert (datasets.names(), list(datasets.records("images")), list(datasets.changes("images", NOW))) == ([], [], [])
    assert datasets.running("images") is datasets.newest("images") is datasets.record("images", "x") is None
    assert datasets.restore("images", "x") is None


def test_two_snapshots_of_one_dataset_do_not_run_at_once(datasets):
    datasets.begin(RECORD)
    for record in (RECORD, LATER):
        with pytest.raises(LostRace):
            datasets.begin(record)
    datasets.begin(changed(dataset="other"))
    assert [one.snapshot for one in datasets.records("images")] == [RECORD.snapshot]


def test_of_eight_beginnings_one_wins(datasets):
    def one(number):
        try:
            datasets.begin(changed(snapshot=f"20260301T12000{number}Z-aaaaaaaa"))
        except LostRace:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(8))) == 1
    assert len(list(datasets.records("images"))) == 1


def test_a_sealed_snapshot_is_the_newest_and_frees_its_dataset(datasets):
    datasets.begin(RECORD)
    sealed = changed(**SEALED, objects=3)
    datasets.advance(sealed)
    assert (datasets.running("images"), datasets.newest("images")) == (None, sealed)
    datasets.begin(LATER)
    assert (datasets.running("images"), datasets.newest("images")) == (LATER, sealed)
    assert list(datasets.records("images")) == [LATER, sealed]


def test_a_failed_snapshot_frees_its_dataset_and_is_not_the_newest(datasets):
    datasets.begin(RECORD)
    datasets.advance(changed(phase=Phase.FAILED, reason="it broke"))
    assert (datasets.running("images"), datasets.newest("images")) == (None, None)
    datasets.begin(LATER)


def test_a_snapshot_that_is_over_cannot_be_written_or_resumed_or_asked_again(datasets):
    datasets.begin(RECORD)
    datasets.advance(changed(phase=Phase.FAILED))
    datasets.begin(LATER)
    for act in (datasets.advance, datasets.resume):
        for record in (changed(phase=Phase.COPYING), changed(**SEALED)):
            with pytest.raises(LostRace):
                act(record)
    with pytest.raises(LostRace):
        datasets.ask_again("images", RECORD.snapshot, "why")
    assert datasets.running("images") == LATER


def test_a_resumed_attempt_ends_the_one_before(datasets):
    datasets.begin(RECORD)
    datasets.advance(changed(phase=Phase.COPYING, reason="it broke"))
    again = datasets.resume(changed(phase=Phase.COPYING, reason="it broke"))
    assert (again.attempt, again.phase, again.reason) == (2, Phase.CAPTURING, "")
    for act in (datasets.advance, datasets.resume):
        with pytest.raises(LostRace):
            act(changed(phase=Phase.COPYING))
    datasets.advance(changed(again, **SEALED))
    assert datasets.newest("images").attempt == 2


def test_a_wish_for_another_snapshot_survives_every_write(datasets):
    datasets.begin(RECORD)
    datasets.ask_again("images", RECORD.snapshot, "a promotion")
    datasets.advance(changed(phase=Phase.COPYING))
    assert datasets.running("images").again == "a promotion"
    assert datasets.resume(changed(phase=Phase.COPYING)).again == "a promotion"
    datasets.advance(changed(attempt=2, **SEALED))
    datasets.annotate(changed(attempt=2, **SEALED, difference=Difference(added=2)))
    newest = datasets.newest("images")
    assert (newest.again, newest.difference.added, newest.phase) == ("a promotion", 2, Phase.SEALED)


def test_nothing_is_noted_of_a_snapshot_that_nobody_began(datasets):
    with pytest.raises(LostRace):
        datasets.annotate(RECORD)
    with pytest.raises(LostRace):
        datasets.ask_again("images", RECORD.snapshot, "why")
    assert list(datasets.records("images")) == []


def test_changes_are_found_from_the_time_at_which_they_were_logged_whatever_their_own(datasets):
    datasets.log(change("late", minute=-600), NOW + dt.timedelta(seconds=1))
    datasets.log(change("early", minute=5), NOW)
    datasets.log(Change(dataset="other", name="x", kind=ChangeKind.DELETED, told_at=NOW), NOW)
    assert [one.name for one in datasets.changes("images", NOW)] == ["early", "late"]
    assert [one.name for one in datasets.changes("images", NOW + dt.timedelta(microseconds=1))] == ["late"]
    assert list(datasets.changes("images", NOW + dt.timedelta(seconds=2))) == []


def test_a_change_logged_twice_at_once_is_one(datasets):
    for _ in range(2):
        datasets.log(change("a", version_id="1", sequencer="0F"), NOW)
    datasets.log(change("a", version_id="2", sequencer="10"), NOW)
    assert sorted(one.version_id for one in datasets.changes("images", NOW)) == ["1", "2"]


def test_names_of_every_kind_are_logged_whole(datasets):
    names = ["a b", "a+b%20", "ünïcode/☃", "x//y", "#CHANGE#~", "\u0001", "k" * 1000]
    for name in names:
        datasets.log(change(name), NOW)
    assert {one.name for one in datasets.changes("images", NOW)} == set(names)


def test_many_changes_are_all_found(datasets):
    for number in range(300):
        datasets.log(change(f"{number:03d}" + "x" * 4000), NOW)
    assert len({one.name for one in datasets.changes("images", NOW)}) == 300


def test_a_restore_is_remembered(datasets):
    record = RestoreRecord(dataset="images", restore="r-1", snapshot="s", to="s3://back/x", started_at=NOW)
    datasets.put_restore(record)
    done = record.model_copy(update={"phase": "COMPLETED", "objects": 3, "ended_at": NOW})
    datasets.put_restore(done)
    assert datasets.restore("images", "r-1") == done


def test_what_is_over_expires_and_what_runs_does_not(cloud):
    datasets = table(cloud)

    def expiry():
        items = cloud.client("dynamodb").scan(TableName="catalog")["Items"]
        return {item["sk"]["S"]: int(item["expires"]["N"]) for item in items if "expires" in item}

    datasets.begin(RECORD)
    assert expiry() == {}
    datasets.advance(changed(**SEALED))
    datasets.log(change(), NOW)
    [logged, sealed] = sorted(expiry().values())
    assert dt.datetime.fromtimestamp(sealed, dt.UTC) > SEALED["kept_until"]
    assert dt.datetime.fromtimestamp(logged, dt.UTC) > NOW + dt.timedelta(days=30)
