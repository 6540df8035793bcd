"""What binds a text to a region: found word by word, alike for all that is captured, and rewritten by the policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.kserve_references import Binding, find_bound
from mldr.domain.model_rules import ServingRule
from mldr.domain.references import Ground
from mldr.domain.references import Kind as Recorded
from mldr.domain.references import find_references as find_recorded
from mldr.domain.region_words import find_words, mapped, reworded
from mldr.domain.serving_references import Grounds, carry, find_references
from mldr.domain.serving_state import Kind, Observed
from mldr.steps.carry_inference_service import carry_inference_service

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
BOUND = [
    (f"https://featurestore-runtime.{ACTIVE}.amazonaws.com", [f"featurestore-runtime.{ACTIVE}.amazonaws.com"]),
    (f"vpce-0a.bedrock.{ACTIVE}.vpce.amazonaws.com:443", [f"vpce-0a.bedrock.{ACTIVE}.vpce.amazonaws.com"]),
    (f"postgres://churn@db.{ACTIVE}.rds.amazonaws.com:5432/x", [f"db.{ACTIVE}.rds.amazonaws.com"]),
    ("rediss://master.churn.0001.apse1.cache.amazonaws.com:6379", ["master.churn.0001.apse1.cache.amazonaws.com"]),
    (f"{ACTIVE}a", [f"{ACTIVE}a"]),
    (f"{ACTIVE}a,{ACTIVE}b", [f"{ACTIVE}a", f"{ACTIVE}b"]),
    ("apse1-az2", ["apse1-az2"]),
    (f"eu-west-1,{ACTIVE}", [ACTIVE]),
    (f"{ACTIVE}_AbCdEf123", [f"{ACTIVE}_AbCdEf123"]),
    ('{"lookup": "s3://lake/lookup.parquet", "depth": 2}', ["s3://lake/lookup.parquet"]),
    ("s3://lake/a,s3://lake/ab", ["s3://lake/a", "s3://lake/ab"]),
    ("--model=s3://lake/a", ["s3://lake/a"]),
    ("s3a://lake/a", ["s3a://lake/a"]),
    (f"https://lake.s3.{ACTIVE}.amazonaws.com/x", [f"lake.s3.{ACTIVE}.amazonaws.com"]),
    (f"https://lake.s3-{ACTIVE}.amazonaws.com/x", [f"lake.s3-{ACTIVE}.amazonaws.com"]),
    ("https://lake.s3.amazonaws.com/x", ["lake.s3.amazonaws.com"]),
    (f"sagemaker-{ACTIVE}-123456789012", [f"sagemaker-{ACTIVE}-123456789012"]),
    (f"topic=arn:aws:sns:{ACTIVE}:123456789012:t", [f"arn:aws:sns:{ACTIVE}:123456789012:t"]),
    (f"123456789012.dkr.ecr.{ACTIVE}.amazonaws.com/a:1 too", [f"123456789012.dkr.ecr.{ACTIVE}.amazonaws.com/a:1"]),
]
ELSEWHERE = [
    "https://example.com/path",
    "hf://org/model",
    "gs://bucket/m",
    "docker.io/a:1",
    f"{ACTIVE}2",
    f"my-{ACTIVE}-x",
    "made in ap-southeast",
    "arn:aws:iam::123456789012:role/x",
    f"https://sqs.{STANDBY}.amazonaws.com",
    "0.5",
    "",
]


def there(word):
    """What a person would write into the policy as the counterpart."""
    return word.replace(ACTIVE, STANDBY).replace("apse1", "apse3").replace("lake", "lake-there")


def in_sagemaker(value, references):
    document = {"Models": [{"Containers": [{"Environment": {"V": value}}]}]}
    own = "arn:aws:iam::123456789012:role/stack"
    rules = ServingRule(endpoint="churn", references=references)
    return carry(
        find_references(document, ACTIVE), Grounds(rules=rules, roles=ExecutionRoles(own=own), standby=STANDBY)
    )


def in_kserve(value, references):
    env = {"service": {"spec": [{"name": "V", "value": value}]}, "stable": {}, "runtime": {}}
    return carry_inference_service(
        Observed(endpoint="churn", status="InService", document=env),
        rules=ServingRule(references=references),
        region=ACTIVE,
        standby=STANDBY,
        records=[],
        vault=None,
        images=None,
    )


@pytest.mark.parametrize(("value", "words"), BOUND)
def test_each_word_is_found_and_only_it(value, words):
    assert list(find_words(value, ACTIVE)) == words


@pytest.mark.parametrize("value", ELSEWHERE)
def test_what_is_the_same_everywhere_stays(value):
    assert find_words(value, ACTIVE) == ()
    assert find_references({"Environment": {"V": value}}, ACTIVE) == []
    assert find_bound({"env": [{"name": "V", "value": value}]}, ACTIVE) == []
    assert find_recorded({"Environment": {"V": value}}, Ground(region=ACTIVE)) == []


@pytest.mark.parametrize("carrier", [in_sagemaker, in_kserve])
@pytest.mark.parametrize(("value", "words"), BOUND)
def test_sagemaker_and_kserve_refuse_the_same_words_and_their_advice_can_be_followed(carrier, value, words):
    carried, [problem] = carrier(value, {})
    assert carried == ()
    assert ", ".join(words) in problem.text
    assert "serving.references" in problem.text
    [carried], problems = carrier(value, {word: there(word) for word in words})
    assert problems == ()
    assert carried.target == there(value)


@pytest.mark.parametrize(("value", "words"), BOUND)
def test_a_record_of_the_registry_knows_the_same_words(value, words):
    references = {word: there(word) for word in words}
    [reference] = find_recorded({"Environment": {"V": value}}, Ground(region=ACTIVE, named=references))
    assert (reference.kind, reference.target) == (Recorded.NAMED, there(value))


def test_the_bare_name_of_the_region_is_that_of_the_standby():
    [reference] = find_references({"Environment": {"AWS_REGION": ACTIVE}}, ACTIVE)
    assert reference.kind is Kind.REGION
    [bound] = find_bound({"env": [{"name": "AWS_REGION", "value": ACTIVE}]}, ACTIVE)
    assert bound.binding is Binding.REGION


def test_a_message_names_only_what_the_policy_does_not_know_yet():
    _, [problem] = in_sagemaker(f"{ACTIVE}a,{ACTIVE}b", {f"{ACTIVE}a": f"{STANDBY}a"})
    assert problem.text.startswith(f"{ACTIVE}b has no counterpart")


def test_the_longest_word_is_replaced_first():
    references = {"s3://lake/a": "s3://one/", "s3://lake/ab": "s3://two/"}
    assert reworded("s3://lake/ab,s3://lake/a", tuple(references), references) == "s3://two/,s3://one/"


def test_a_prefix_maps_only_what_is_under_it():
    references = {"s3://captured/": "s3://captured-there/", "s3://captured/deep/": "s3://deep-there/"}
    assert mapped("s3://captured", references) is None
    assert mapped("s3://captured-2/x", references) is None
    assert mapped("s3://captured/deep/x", references) == "s3://deep-there/x"


@given(st.text(), st.sampled_from(["eu-west-1", "us-gov-east-1", "ap-southeast-1"]))
def test_every_word_found_stands_in_the_text(text, region):
    for word in find_words(f"{text} {region}a {text}", region):
        assert word in f"{text} {region}a {text}"
