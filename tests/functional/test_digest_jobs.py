"""Checksums that S3 computes: for what is copied and too large to read, and for a check that would read too long."""

import pytest

from mldr.domain.manifests import decode
from mldr.domain.recovery_point import Phase
from mldr.events.transfers import DigestTask
from mldr.steps import compute_digests as step
from mldr.steps.compute_digests import Stand, compute_digests
from mldr.steps.digest_lists import keep_wanted, load_results, load_wanted
from tests.fakes.objects import checksum_of
from tests.fakes.policies import FakePolicies
from tests.fakes.world import POLICY
from tests.functional import dataset_story
from tests.functional.story import WEIGHTS, entries, point, promoted, protect
from tests.functional.test_scrub import check, corrupt, gone, report, stored, weights

SHA256_POLICY = POLICY.replace("  - match: sagemaker/churn", "  - match: sagemaker/churn\n    digest: sha256")
SHARDS = "in-progress/test/shards.json"
WORK = "in-progress/test/digests"


def large_from(world, size):
    """Leave the SHA-256 of objects above `size` bytes to S3."""
    world.env = world.env.model_copy(update={"digest_job_bytes": size})
    world.policies = FakePolicies(SHA256_POLICY)


@pytest.fixture
def hashing(world):
    """A world whose policy asks for a SHA-256, and where the weights are too large to be read for it."""
    large_from(world, len(WEIGHTS) - 1)
    world.buckets.put("lake", "small", b"x")
    return world


def told(world):
    """Register a version whose artifacts have the checksum that S3 gives to whatever arrives without one."""
    arn = promoted(world)
    for key in ("churn/model.tar.gz", "churn/golden.jsonl"):
        world.buckets.put("lake", key, world.buckets.get("lake", key).body, checksum="CRC64NVME")
    return arn


def asked(world):
    """The keys that jobs were made over, and their algorithms."""
    return [(job.algorithm, [one.key for one in job.targets]) for job in world.digest_jobs.jobs.values()]


# what is copied


def counted(world):
    """How many objects the copier was asked to copy, or to look at."""
    calls, one = [0], world.copier._one

    def counting(*given):
        calls[0] += 1
        return one(*given)

    world.copier._one = counting
    return calls


def test_what_is_too_large_to_read_is_sealed_with_the_sha256_that_s3_computed(hashing, context):
    calls = counted(hashing)
    ended = protect(hashing, context, told(hashing))
    assert (ended.status, point(hashing).phase) == ("SUCCEEDED", Phase.SEALED)
    assert ended.path.count("Copy") == 2
    assert "WaitForDigests" in ended.path
    for line in entries(hashing):
        body = hashing.vault.read(line.key, line.version_id)
        assert line.digests["SHA256"] == checksum_of(body, "SHA256").value
    large = [one.key for one in entries(hashing) if one.size >= len(WEIGHTS)]
    assert asked(hashing) == [("SHA256", sorted(large, key=[one.key for one in entries(hashing)].index))]
    assert len(hashing.copier.copied) == 2, "nothing was copied twice"
    assert calls == [2], "nor was anything asked of a copy again"


def test_nothing_is_left_to_s3_where_a_function_can_read_it(hashing, context):
    large_from(hashing, 10**9)
    ended = protect(hashing, context, told(hashing))
    assert (ended.status, hashing.digest_jobs.jobs) == ("SUCCEEDED", {})
    assert "WaitForDigests" not in ended.path


def test_without_the_policys_word_no_digest_is_asked_for(world, context):
    world.env = world.env.model_copy(update={"digest_job_bytes": 1})
    ended = protect(world, context, told(world))
    assert (ended.status, world.digest_jobs.jobs) == ("SUCCEEDED", {})
    assert "ComputeDigests" not in ended.path


def copies(world):
    """The versions in the vault under the keys that were copied."""
    return {one.version_id for key in world.copier.copied for one in world.buckets.all("vault", key)}


def broken_jobs(world):
    """Make every version fail in its job."""
    start = world.digest_jobs.start

    def starting(name, token, targets, algorithm):
        world.digest_jobs.broken = copies(world)
        return start(name, token, targets, algorithm)

    world.digest_jobs.start = starting


def test_a_version_that_s3_cannot_compute_fails_the_point_by_name_and_the_next_attempt_asks_again(hashing, context):
    arn = told(hashing)
    broken_jobs(hashing)
    ended = protect(hashing, context, arn)
    record = point(hashing)
    assert (ended.status, record.phase) == ("FAILED", Phase.FAILED)
    assert "S3 could not compute the SHA-256 of recovery-points/" in record.reason
    assert "Key not found" in record.reason
    del hashing.digest_jobs.start
    hashing.digest_jobs.broken = set()
    assert protect(hashing, context, arn).status == "SUCCEEDED"
    assert len(hashing.digest_jobs.jobs) == 2
    assert all("SHA256" in one.digests for one in entries(hashing))


def test_a_job_that_fails_as_a_whole_says_why(hashing, context):
    hashing.digest_jobs.fails = "job job-0 failed: the role may not read"
    assert protect(hashing, context, told(hashing)).status == "FAILED"
    assert "the role may not read" in point(hashing).reason


def test_a_job_that_is_refused_fails_the_point_with_what_to_do(hashing, context):
    hashing.digest_jobs.refuses = True
    assert protect(hashing, context, told(hashing)).status == "FAILED"
    assert "look at its role" in point(hashing).reason


def test_a_snapshot_whose_objects_are_too_large_to_read_gets_their_sha256_from_s3(world, context):
    large_from(world, 1)
    asking = dataset_story.POLICY.replace("retention: {period: 30d}", "retention: {period: 30d}\n    digest: sha256")
    world.policies = FakePolicies(asking)
    dataset_story.upload(world, ["a.jpg", "b.jpg"])
    world.clock.move(minutes=30)
    [execution] = dataset_story.ask(world, context)
    ended = dataset_story.run(world, context, execution)
    assert (ended.status, ended.path.count("Copy")) == ("SUCCEEDED", 2)
    manifest = dataset_story.manifest(world, world.datasets.newest("images"))
    assert {one.name: one.digests["SHA256"] for one in dataset_story.entries(world, manifest.shards)} == {
        name: checksum_of(name.encode(), "SHA256").value for name in ("a.jpg", "b.jpg")
    }


# the jobs


def waiting(world, *counts, algorithm="SHA256"):
    """Shards that wait for so many checksums each."""
    made = [
        [stored(world, f"{at}-{number}", b"%d" % number) for number in range(count)] for at, count in enumerate(counts)
    ]
    for at, lines in enumerate(made):
        keep_wanted(world.vault, WORK, algorithm, f"shards/{at:06d}", lines)
    shards = [f'{{"item": "shards/{at:06d}", "more": {at}}}' for at in range(len(counts) + 1)]
    world.vault.keep(SHARDS, f"[{', '.join(shards)}]".encode())
    return made


def look(world, remaining=lambda: 900_000, shards_key=SHARDS):
    """One call of the function."""
    task = DigestTask(shards_key=shards_key)
    return compute_digests(task, vault=world.vault, jobs=world.digest_jobs, poll_seconds=7, remaining=remaining)


def looked(world):
    """Call the function until nothing runs."""
    for _ in range(50):
        told = look(world)
        if told.digests is not Stand.RUNNING:
            return told
    raise AssertionError("it never ends")


def wanted(item, algorithm="SHA256"):
    return f"{WORK}/wanted/{algorithm}/shards/{item:06d}.avro"


def test_only_the_shards_that_waited_go_on_and_each_gets_its_own_results(world):
    made = waiting(world, 3, 1)
    assert look(world).wait == 7
    told = looked(world)
    assert (told.digests, told.shards) == (Stand.DONE, 2)
    assert (
        world.vault.read(told.shards_key)
        == b'[{"item": "shards/000000", "more": 0}, {"item": "shards/000001", "more": 1}]'
    )
    for at, lines in enumerate(made):
        results = load_results(world.vault, wanted(at))
        assert results.values == {one.version_id: checksum_of(b"%d" % n, "SHA256").value for n, one in enumerate(lines)}
    assert len(world.digest_jobs.jobs) == 1


def test_where_nothing_waits_nothing_is_asked_for(world):
    assert (look(world).digests, world.digest_jobs.jobs) == (Stand.NONE, {})


def test_a_job_takes_whole_lists_up_to_what_is_held_in_memory(world, monkeypatch):
    monkeypatch.setattr(step, "JOB_OBJECTS", 4)
    waiting(world, 3, 1, 2, 9, 1)
    look(world)
    assert [len(job.targets) for job in world.digest_jobs.jobs.values()] == [4, 2, 9, 1]
    assert looked(world).shards == 5


def test_each_algorithm_has_jobs_of_its_own(world):
    waiting(world, 2)
    waiting(world, 2, algorithm="CRC32")
    looked(world)
    assert sorted(job.algorithm for job in world.digest_jobs.jobs.values()) == ["CRC32", "SHA256"]
    assert load_results(world.vault, wanted(0, "CRC32")).errors == {}


def test_a_function_that_dies_before_it_notes_a_job_finds_the_same_job(world, monkeypatch):
    waiting(world, 2)
    keep = world.vault.keep

    def dies(key, content):
        if key.endswith("jobs.json"):
            raise SystemExit
        keep(key, content)

    monkeypatch.setattr(world.vault, "keep", dies)
    with pytest.raises(SystemExit):
        look(world)
    monkeypatch.setattr(world.vault, "keep", keep)
    assert looked(world).digests is Stand.DONE
    assert len(world.digest_jobs.jobs) == 1


def test_an_answer_that_was_lost_is_given_again_until_the_results_are_taken(world):
    waiting(world, 2)
    assert looked(world) == look(world)
    assert len(world.digest_jobs.jobs) == 1


def test_what_does_not_fit_into_the_time_is_done_at_the_next_look(world, monkeypatch):
    monkeypatch.setattr(step, "JOB_OBJECTS", 2)
    waiting(world, 2, 2, 2)
    left = iter([900_000, 0])
    assert look(world, lambda: next(left, 0)).digests is Stand.RUNNING
    assert len(world.digest_jobs.jobs) == 1
    assert looked(world).shards == 3


def test_a_version_without_a_line_has_the_reason(world):
    [[first, *_]] = waiting(world, 2)
    look(world)
    [job] = world.digest_jobs.jobs.values()
    job.targets = [one for one in job.targets if one.version_id != first.version_id]
    looked(world)
    assert load_results(world.vault, wanted(0)).errors == {
        first.version_id: "the report of job job-0 has no line for it"
    }


# what is checked


@pytest.fixture
def by_job(world, context):
    """A sealed recovery point in a world that leaves every check to S3."""
    protect(world, context, promoted(world))
    world.env = world.env.model_copy(update={"scrub_patience_hours": 0})
    return world


def test_a_check_that_functions_would_read_for_too_long_is_left_to_s3(by_job, context):
    ended = check(by_job, context)
    assert (ended.status, ended.path.count("Scrub"), "WaitForDigests" in ended.path) == ("SUCCEEDED", 2, True)
    told = report(by_job)
    assert (told["outcome"], told["findings"]) == ("sound", [])
    assert "a job is made above 0 h" in told["reading"]
    [tally] = told["tallies"]
    assert (tally["objects"], tally["bytes"]) == (2, sum(one.size for one in entries(by_job)))
    assert by_job.vault_bytes.read == {}, "no byte passed through a function"


def test_what_s3_computed_differently_is_repaired_from_its_source(by_job, context):
    bad = weights(by_job)
    corrupt(by_job, bad)
    check(by_job, context)
    told = report(by_job)
    assert (told["outcome"], [one["problem"] for one in told["findings"]]) == ("repaired", ["repaired"])
    assert by_job.vault.read(weights(by_job).key, weights(by_job).version_id) == WEIGHTS


def test_what_s3_could_not_find_and_the_source_lost_too_is_damaged(by_job, context):
    bad = weights(by_job)
    by_job.buckets.erase("vault", bad.key, bad.version_id)
    gone(by_job, bad)
    check(by_job, context)
    assert report(by_job)["outcome"] == "damaged"
    assert not point(by_job).restorable


def test_what_s3_could_not_compute_though_it_is_there_is_unread_and_never_sound(by_job, context):
    by_job.digest_jobs.broken = {weights(by_job).version_id}
    check(by_job, context)
    told = report(by_job)
    assert (told["outcome"], [one["problem"] for one in told["findings"]]) == ("incomplete", ["unread"])
    assert "S3 computed no" in told["findings"][0]["reason"]


def test_when_no_job_can_be_made_what_was_left_to_it_counts_as_not_checked(by_job, context):
    by_job.digest_jobs.refuses = True
    assert check(by_job, context).status == "SUCCEEDED"
    told = report(by_job)
    assert (told["outcome"], told["tallies"][0]["unchecked"]) == ("incomplete", 1)


def test_a_second_check_asks_for_jobs_of_its_own(by_job, context):
    check(by_job, context)
    check(by_job, context, "check-2")
    assert report(by_job, "check-2")["outcome"] == "sound"
    runs = [job.name.split("/")[2] for job in by_job.digest_jobs.jobs.values()]
    assert runs.count("check-1") == runs.count("check-2") > 0


def test_what_was_compared_is_no_longer_waited_for(by_job, context):
    check(by_job, context)
    lists = by_job.vault.keys("in-progress/verification/check-1/digests/wanted/")
    assert lists
    assert all(load_wanted(by_job.vault, key) == [] for key in lists)


def test_a_list_is_a_file_that_other_tools_read(world):
    made = waiting(world, 2)
    assert list(decode(world.vault.read(wanted(0)))) == made[0]
