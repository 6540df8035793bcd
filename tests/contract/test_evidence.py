"""Every EvidenceStore keeps one chain per model: numbered, linked, and one id is one record."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from mldr.aws.evidence import VaultEvidence
from mldr.aws.vault import S3Vault
from mldr.domain.evidence import GENESIS, Evidence, ModelOutcome, digest, evidence_key
from mldr.domain.identity import ModelKey
from tests.contract.conftest import STANDBY
from tests.fakes.evidence import FakeEvidence
from tests.fakes.objects import Buckets, FakeVault

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
CHURN, FRAUD = (ModelKey(registry="sagemaker", name=name) for name in ("churn", "fraud"))


def draft(name, model=CHURN):
    return Evidence(
        sequence=0, previous=GENESIS, kind="failover", id=name, model=model, outcome="completed", reason="exercise",
        region=STANDBY, epoch=1, recovery_point="v1-abc", phases=(), recorded_at=NOW,
    )  # fmt: skip


def in_s3(moto):
    moto.bucket("vault", locked=True)
    key = moto.client("kms").create_key()["KeyMetadata"]["Arn"]
    return S3Vault(moto.client("s3"), bucket="vault", key_arn=key)


@pytest.fixture(params=["memory", "vault in memory", "moto"])
def store(request):
    if request.param == "memory":
        return FakeEvidence()
    vault = in_s3(request.getfixturevalue("moto")) if request.param == "moto" else FakeVault(Buckets())
    return VaultEvidence(vault, lambda: NOW)


def test_records_are_numbered_and_linked(store):
    first, second, third = (store.append(draft(name)) for name in ("a", "b", "c"))
    assert [one.sequence for one in (first, second, third)] == [1, 2, 3]
    assert first.previous == GENESIS
    assert second.previous == digest(first.content())
    assert third.previous == digest(second.content())


def test_the_same_id_twice_is_one_record(store):
    first = store.append(draft("a"))
    store.append(draft("b"))
    again = draft("a").model_copy(update={"reason": "told again", "recorded_at": NOW + dt.timedelta(hours=1)})
    assert store.append(again) == first
    assert store.append(draft("c")).sequence == 3


def test_what_was_told_before_much_else_is_still_one_record(store):
    first = store.append(draft("a").model_copy(update={"requested_at": NOW - dt.timedelta(hours=1)}))
    for number in range(12):
        store.append(draft(f"later-{number}").model_copy(update={"requested_at": NOW}))
    assert store.append(draft("a").model_copy(update={"requested_at": NOW - dt.timedelta(hours=1)})) == first


def test_a_long_chain_is_read_no_further_back_than_the_request():
    """A standby without room writes a record every quarter of an hour: the next one must not wait for all of them."""
    vault = FakeVault(Buckets())
    store = VaultEvidence(vault, lambda: NOW)
    day = dt.timedelta(days=1)
    for number in range(200):
        at = NOW - day + dt.timedelta(minutes=number)
        store.append(draft(f"f-{number}").model_copy(update={"requested_at": at, "recorded_at": at}))
    seen = []
    read = vault.read
    vault.read = lambda key, version=None: seen.append(key) or read(key, version)
    made = store.append(draft("now").model_copy(update={"requested_at": NOW}))
    assert (made.sequence, len(seen)) == (201, 1)


def test_every_model_has_a_chain_of_its_own(store):
    store.append(draft("a"))
    other = store.append(draft("a", FRAUD))
    assert (other.sequence, other.previous, other.model) == (1, GENESIS, FRAUD)


def test_eight_at_once_make_one_chain_without_a_gap(store):
    with ThreadPoolExecutor(8) as pool:
        made = sorted(
            pool.map(lambda number: store.append(draft(f"f-{number}")), range(8)), key=lambda one: one.sequence
        )
    assert [one.sequence for one in made] == list(range(1, 9))
    assert [one.previous for one in made] == [GENESIS, *(digest(one.content()) for one in made[:-1])]


def test_eight_tellings_of_the_same_make_one_record(store):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: store.append(draft("a")), range(8)))
    assert {one.sequence for one in made} == {1}


def test_the_newest_records_of_one_chain_are_told_the_newest_first(store):
    assert store.newest(CHURN, 3) == []
    made = [store.append(draft(name)) for name in ("a", "b", "c")]
    store.append(draft("a", ModelKey(registry="sagemaker", name="churn-2")))
    assert store.newest(CHURN, 2) == [made[2], made[1]]
    assert store.newest(CHURN, 9) == made[::-1]


def test_a_record_of_a_region_says_what_became_of_each_model(store):
    region = ModelKey(registry="region", name="ap-southeast-1")
    became = ModelOutcome(model=CHURN, outcome="failed", reason="no capacity")
    made = store.append(draft("r", region).model_copy(update={"models": (became,)}))
    assert store.newest(region, 1) == [made]
    assert store.append(draft("r", region)) == made


def test_a_record_is_locked_for_years(moto):
    vault = in_s3(moto)
    VaultEvidence(vault, lambda: NOW).append(draft("a"))
    key = evidence_key(CHURN, 1)
    [version] = vault.versions(key)
    held = moto.client("s3").get_object_retention(Bucket="vault", Key=key, VersionId=version)["Retention"]
    assert held["Mode"] == "GOVERNANCE"
    assert held["RetainUntilDate"] >= NOW + dt.timedelta(days=7 * 365 - 1)
