"""Which checksums S3 computes, why, and what that costs."""

import pytest

from mldr.domain.digest_jobs import (
    JOB_OBJECTS,
    PATIENCE,
    checked_by_job,
    choose,
    hashed_by_job,
    price,
    results_key,
    wanted_key,
    wanted_of,
    work_of,
)
from mldr.domain.digests import GIB, LONGEST
from mldr.domain.manifests import Entry
from mldr.domain.model_rules import Digest

TIB = 1024 * GIB
ENTRY = Entry("one", "lake", "one", "v1", "etag", 0, 10, "objects/one", "w1", {"CRC64NVME": "x"})


@pytest.mark.parametrize(
    ("size", "by_job"), [(0, False), (1 * TIB, False), (13 * TIB, False), (14 * TIB, True), (100 * TIB, True)]
)
def test_a_job_is_made_where_functions_would_need_longer_than_its_report(size, by_job):
    choice = choose(1_000_000, size)
    assert choice.by_job is by_job
    assert (choice.hours > PATIENCE) is by_job


def test_many_small_objects_are_read_by_functions_for_less_than_a_job_costs():
    choice = choose(10_000_000, 10_000_000 * 10 * 1024)
    assert not choice.by_job
    assert choice.streaming < choice.job


def test_the_reason_names_what_was_weighed():
    assert choose(3, 2 * GIB).reason == (
        "3 objects, 2.0 GiB: 10 functions need 0.0 h and $0.00; a job is made above 6 h, "
        "and costs $0.25 besides S3's price per byte"
    )


@pytest.mark.parametrize(("objects", "dollars"), [(0, 0), (1, 0.250001), (JOB_OBJECTS, 0.30), (1_000_000, 6.0)])
def test_a_job_costs_a_quarter_and_a_dollar_per_million_objects(objects, dollars):
    assert price(objects) == pytest.approx(dollars)


def test_only_a_sha256_that_is_asked_for_missing_and_too_long_to_read_is_left_to_a_job():
    assert hashed_by_job(ENTRY, Digest.SHA256, over=9)
    assert not hashed_by_job(ENTRY, Digest.SHA256, over=10)
    assert not hashed_by_job(ENTRY, Digest.CRC64NVME, over=9)
    assert not hashed_by_job(ENTRY._replace(digests={"SHA256": "y"}), Digest.SHA256, over=9)
    assert hashed_by_job(ENTRY._replace(digests={"SHA256": ""}), Digest.SHA256, over=9)


@pytest.mark.parametrize(
    ("digests", "size", "all_by_job", "algorithm"),
    [
        ({"CRC64NVME": "x"}, 10, False, None),
        ({"CRC64NVME": "x"}, 10, True, "CRC64NVME"),
        ({"CRC64NVME": "x", "SHA256": "y"}, 10, True, "SHA256"),
        ({"CRC64NVME": "x", "SHA256": ""}, 10, True, "CRC64NVME"),
        ({"XXHASH3": "x"}, 10, False, "XXHASH3"),
        ({"SHA256": "x"}, LONGEST + 1, False, "SHA256"),
        ({"SHA256": "x"}, LONGEST, False, None),
        ({"SHA3": "x"}, 10, True, None),
        ({}, 10, True, None),
    ],
)
def test_a_check_is_left_to_s3_by_choice_or_where_no_function_can(digests, size, all_by_job, algorithm):
    entry = ENTRY._replace(digests=digests, size=size)
    assert checked_by_job(entry, all_by_job=all_by_job) == algorithm


def test_a_list_is_known_by_its_key():
    work = work_of("in-progress/model/sagemaker/churn/p1/plan/again.json")
    assert work == work_of("in-progress/model/sagemaker/churn/p1/plan/shards.json")
    key = wanted_key(work, "SHA256", "shards/000001")
    assert wanted_of(key, work) == ("SHA256", "shards/000001")
    assert results_key(key) == f"{work}/results/SHA256/shards/000001.json"
