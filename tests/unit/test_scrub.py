"""What a check of the vault reads, and which version stands for a bad one."""

import datetime as dt
import string

from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.recovery_point import Retention
from mldr.domain.repairs import Repair, found, repaired
from mldr.domain.scrub import Holding, Outcome, Tally, agree, chosen, outcome, shards_of

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
KEEP = Retention(mode="GOVERNANCE", until=NOW)
NAMES = st.text(string.ascii_letters, min_size=1, max_size=4)


def entry(name="a", version="v1"):
    """A line."""
    return Entry(name, "lake", name, "s1", "etag", 0, 1, f"objects/{name}", version, {})


def ref(digest, first, last):
    """A shard."""
    return ShardRef(
        digest=digest, key=f"{digest}.avro", version_id="1", first=first, last=last, objects=1, bytes=1,
        locked_until=NOW,
    )  # fmt: skip


def holding(name, *shards, owner="dataset/images", days=1):
    """A sealed manifest."""
    until = KEEP.model_copy(update={"until": NOW + dt.timedelta(days=days)})
    return Holding(owner=owner, id=name, retention=until, shards=shards)


def test_a_shard_that_several_manifests_share_is_checked_once_and_kept_for_the_longest():
    shared = ref("s", "a", "m")
    [item, other] = shards_of([holding("new", shared, days=1), holding("old", shared, ref("o", "n", "z"), days=9)])
    assert (item.holders, item.retention.until) == (("new", "old"), NOW + dt.timedelta(days=9))
    assert (other.item, other.holders) == ("shards/000001", ("old",))


def test_an_older_shard_is_compared_with_the_newer_ones_that_it_overlaps():
    new = [ref("n1", "a", "f"), ref("n2", "g", "p"), ref("n3", "q", "z")]
    *_, old = shards_of([holding("new", *new), holding("old", ref("o", "h", "r"))])
    assert [one.digest for one in old.newer] == ["n2", "n3"]


def test_owners_are_strangers():
    shared = ref("s", "a", "m")
    items = shards_of([holding("one", shared), holding("two", shared, owner="dataset/texts")])
    assert [(one.owner, one.newer) for one in items] == [("dataset/images", ()), ("dataset/texts", ())]


@given(st.lists(NAMES, unique=True, min_size=1), st.floats(0.01, 100))
def test_a_draw_is_the_same_every_time(names, sample):
    assert [chosen("r", entry(one), sample) for one in names] == [chosen("r", entry(one), sample) for one in names]


def test_everything_is_chosen_at_a_hundred_percent_and_a_tenth_at_ten():
    many = [entry(str(number)) for number in range(5000)]
    assert all(chosen("r", one, 100) for one in many)
    assert 400 < sum(chosen("r", one, 10) for one in many) < 600


def test_checksums_agree_only_by_one_in_common_and_none_different():
    assert agree({"SHA256": "a"}, {"SHA256": "a", "CRC64NVME": "b"})
    assert not agree({"SHA256": "a"}, {"CRC64NVME": "b"})
    assert not agree({"SHA256": "a", "CRC64NVME": "x"}, {"SHA256": "a", "CRC64NVME": "b"})
    assert not agree({"SHA256": ""}, {"SHA256": ""})


def repair(bad, good, key="objects/a"):
    """A repair's key in the vault."""
    return Repair(
        key=key, bad_version=bad, good_version=good, source="s", reason="r", run="run", repaired_at=NOW
    ).vault_key


def test_a_repaired_version_is_named_in_place_of_the_bad_one_and_nothing_else_changes():
    repairs = found([repair("v1", "v2")])
    assert repaired(entry(), repairs) == entry(version="v2")
    assert repaired(entry("b"), repairs) == entry("b")
    assert repaired(entry(), {}) == entry()


def test_repairs_follow_one_another_and_a_circle_ends():
    assert repaired(entry(), found([repair("v1", "v2"), repair("v2", "v3")])).version_id == "v3"
    assert repaired(entry(), found([repair("v1", "v2"), repair("v2", "v1")])).version_id == "v2"


def test_a_version_id_with_a_slash_survives():
    assert repaired(entry(), found([repair("v1", "a/b")])).version_id == "a/b"


def test_the_worst_finding_is_the_outcome():
    tally = Tally(
        owner="dataset/images", run="r", sample=100, checked_at=NOW, manifests=1, objects=1, bytes=1, bad=0, repaired=0,
        unread=0, unchecked=0,
    )  # fmt: skip
    fixed, unread, bad = (tally.model_copy(update={name: 1}) for name in ("repaired", "unread", "bad"))
    assert outcome([]) is Outcome.SOUND
    assert outcome([tally, fixed]) is Outcome.REPAIRED
    assert outcome([fixed, unread]) is Outcome.INCOMPLETE
    assert outcome([fixed, unread, bad]) is Outcome.DAMAGED
