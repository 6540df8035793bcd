"""The policy: every mistake named at once, and every model resolved."""

import datetime as dt
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.durations import LONGEST, format_duration, parse_duration
from mldr.domain.policy import Criticality, Digest, FailoverMode, ModelPolicy, Policy, RetentionMode, Tier
from mldr.domain.routing import Spread
from mldr.errors import BadPolicy

SAMPLE = (Path(__file__).parents[2] / "samplecfg" / "policy.yaml").read_text()
TEN_MISTAKES = """\
version: 1
regions: [ap-southeast-1, ap-southeast-33]
defaults:
  criticality: importent
  rto: 15 minutes
models:
  - match: sagemaker/a
    rpo: 0m
    golden: {}
  - match: churn
    serving: {instance_type: m5.large}
  - match: sagemaker/a
    retenton: {period: 5d}
  - match: sagemaker/sandbox-*
    retention: {period: 5m}
"""
HEAD = "version: 1\nregions: [us-east-1, us-west-2]\n"


def mistakes(text: str) -> list[str]:
    with pytest.raises(BadPolicy) as caught:
        Policy.parse(dedent(text))
    return list(caught.value.mistakes)


def parse(rest: str) -> Policy:
    return Policy.parse(HEAD + dedent(rest))


def test_ten_mistakes_give_ten_messages_in_the_order_of_the_file():
    assert mistakes(TEN_MISTAKES) == [
        "line 2: regions[1]: 'ap-southeast-33' is not an AWS region; did you mean ap-southeast-3?",
        "line 4: defaults.criticality: 'importent' is not one of its values; did you mean important?",
        "line 5: defaults.rto: '15 minutes' is not a duration; write a whole number and s, m, h or d, like 15m",
        "line 8: models[0].rpo: 0m is not a usable duration; give more than 0 and at most 36500d",
        "line 9: models[0].golden.uri: missing; write it like s3://bucket/golden.jsonl",
        "line 10: models[1].match: 'churn' is not a pattern; write registry/model, like sagemaker/churn-*",
        "line 11: models[1].serving.instance_type: 'm5.large' does not fit; write it like ml.m5.large",
        "line 12: models[2].match: 'sagemaker/a' is never reached, 'sagemaker/a' on line 7 comes first; move it up",
        "line 13: models[2].retenton: unknown field; did you mean retention?",
        "line 15: models[3].retention.period: a retention of 5m is shorter than the rpo of 15m; keep points for longer",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: the policy is empty or not a list of fields; start from samplecfg/policy.yaml"),
        ("- 1", "line 1: the policy is empty or not a list of fields; start from samplecfg/policy.yaml"),
        ("a: [", "line 1: this is not YAML"),
        ("a: \x01", "line 1: this is not YAML"),
        ("[" * 3000, "line 1: this is not a policy: it is nested too deeply"),
        ("a: &x 1\nb: *x", "line 2: an alias (*name) is not allowed here; write the value out"),
        ("regions: [us-east-1, us-west-2]", "line 1: version: missing; add it"),
        ("version: 1", "line 1: regions: missing; add it"),
        ("version: 2\nregions: [us-east-1, us-west-2]", "line 1: version: 2 is not one of its values; it can be 1"),
        ("version: 1\nregions: [us-east-1]", "line 2: regions: 1 given; write exactly 2"),
        (
            "version: 1\nregions: [us-east-1, us-east-1]",
            "line 2: regions[1]: 'us-east-1' is its own standby; name two different regions",
        ),
        (HEAD + "regions: []", "line 3: regions: stands here a second time; keep one, the first is on line 2"),
        (HEAD + "modles: []", "line 3: modles: unknown field; did you mean models?"),
        (HEAD + "models: {}", "line 3: models: {} is not a list; write one item a line, each after a dash"),
        (HEAD + "models: [5]", "line 3: models[0]: 5 is not a group of fields; indent them under it as name: value"),
        (HEAD + "models: [{rto: 1h}]", "line 3: models[0].match: missing; add it"),
        (HEAD + "defaults:", "line 3: defaults: nothing is not a group of fields; indent them under it as name: value"),
        (
            HEAD + "defaults: {rto: 1:30}",
            "line 3: defaults.rto: '1:30' is not a duration; write a whole number and s, m, h or d, like 15m",
        ),
        (
            HEAD + "defaults: {tier: [x]}",
            "line 3: defaults.tier: ['x'] is not one of its values; it can be active-active, warm-standby, cold-sta",
        ),
        (HEAD + "defaults: {datasets: [1]}", "line 3: defaults.datasets[0]: 1 is not text; put it in quotes"),
        (
            HEAD + "defaults: {features: [x, y, x]}",
            "line 3: defaults.features: x stands here more than once; name each once",
        ),
        (
            HEAD + "defaults: {health: {consecutive_failures: 0}}",
            "line 3: defaults.health.consecutive_failures: 0 does not fit; input should be greater than or equal to 1",
        ),
        (
            HEAD + "defaults: {health: {consecutive_failures: true}}",
            "line 3: defaults.health.consecutive_failures: true is not a whole number; write one without quotes",
        ),
        (
            HEAD + "defaults: {serving: {references: {s3://a/: 7}}}",
            "line 3: defaults.serving.references.s3://a/: 7 is not text; put it in quotes",
        ),
        (
            HEAD + "defaults: {serving: {references: {captured: s3://captured/}}}",
            "line 3: defaults.serving.references: 'captured' is not a reference; write an ARN, an image, s3://bucket/",
        ),
        (
            HEAD + "defaults: {serving: {references: {s3://captured/: s3://there/x}}}",
            "line 3: defaults.serving.references: 's3://captured/' and 's3://there/x' do not fit; end both with /",
        ),
        (
            HEAD + "defaults: {serving: {vpc: {subnets: [a]}}}",
            "line 3: defaults.serving.vpc.security_groups: missing; add it",
        ),
        (
            HEAD + "defaults: {serving: {kms_key: alias/x}}",
            "line 3: defaults.serving.kms_key: 'alias/x' does not fit; write it like arn:aws:kms:",
        ),
        (
            HEAD + "defaults: {golden: {uri: s3://b/g.csv}}",
            "line 3: defaults.golden.uri: 's3://b/g.csv' does not fit; write it like s3://bucket/golden.jsonl",
        ),
        (
            HEAD + "defaults: {retention: {period: 36500d}}",
            (
                "line 3: defaults.retention.period: 36500d is longer than S3 Object Lock keeps an object (100 years); "
                "give at most 36499d"
            ),
        ),
        (
            HEAD + "defaults: {retention: {period: 9999999999d}}",
            "line 3: defaults.retention.period: 9999999999d is longer than S3 Object Lock keeps",
        ),
        (HEAD + "defaults: {rpo: 9999999999d}", "line 3: defaults.rpo: 9999999999d is not a usable duration"),
        (
            HEAD + "defaults: {digest: md5}",
            "line 3: defaults.digest: 'md5' is not one of its values; it can be crc64nvme",
        ),
        (HEAD + "datasets: []", "line 3: datasets: [] is not a group of fields"),
        (HEAD + "datasets:", "line 3: datasets: nothing is not a group of fields"),
        (HEAD + "datasets: {a: 1}", "line 3: datasets.a: 1 is not a group of fields"),
        (HEAD + "datasets:\n  a:\n    every: 1h", "line 4: datasets.a.uri: missing; write it like s3://bucket/prefix/"),
        (
            HEAD + "datasets: {a: {uri: 's3://b-b/x'}}",
            "line 3: datasets.a.uri: 's3://b-b/x' does not fit; write it like",
        ),
        (HEAD + "datasets: {a: {uri: 's3://B/'}}", "line 3: datasets.a.uri: 's3://B/' does not fit"),
        (
            HEAD + "datasets: {a: {uri: 's3://bbb/', evry: 1h}}",
            "line 3: datasets.a.evry: unknown field; did you mean every?",
        ),
        (HEAD + "datasets: {a: {uri: 's3://bbb/', every: soon}}", "line 3: datasets.a.every: 'soon' is not a duration"),
        (HEAD + "datasets: {A b: {uri: 's3://bbb/'}}", "line 3: datasets.A b: is not a name; give small letters"),
        (
            HEAD + "datasets: {a: {uri: 's3://bbb/', region: us-west-1}}",
            "line 3: datasets.a.region: 'us-west-1' is not one of the policy's regions; did you mean us-west-2?",
        ),
        (
            HEAD + "datasets: {a: {uri: 's3://bbb/', retention: {period: 12h}}}",
            "line 3: datasets.a.retention.period: a retention of 12h ends before the next snapshot, which comes every",
        ),
        (
            HEAD + "datasets: {a: {uri: 's3://bbb/', retention: {period: 18250d}}}",
            (
                "line 3: datasets.a.retention.period: 18250d is longer than S3 Object Lock can keep a dataset: bytes "
                "that snapshots share are locked for twice the period, 100 years at the most; give at most 18249d"
            ),
        ),
        (
            HEAD + "datasets: {a: {uri: 's3://bbb/', retention: {period: 40000d}}}",
            "line 3: datasets.a.retention.period: 40000d is longer than S3 Object Lock keeps an object (100 years)",
        ),
        (
            HEAD + "datasets: {clicks: {uri: 's3://bbb/'}}\n"
            "models:\n  - match: sagemaker/a\n    datasets: [clicks, clikcs]",
            "line 6: models[0].datasets[1]: 'clikcs' is not under datasets; did you mean clicks?",
        ),
        (
            HEAD + "defaults: {datasets: [x]}",
            "line 3: defaults.datasets[0]: 'x' is not under datasets; add it under datasets, with its uri",
        ),
        (HEAD + "models: [{match: 'sagmaker/*'}]", "line 3: models[0].match: 'sagmaker' is not a registry; did you"),
        (HEAD + "models: [{match: 'x/*'}]", "line 3: models[0].match: 'x' is not a registry; the registries are "),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(text, expected):
    first, *others = mistakes(text)
    assert first.startswith(expected)
    assert not others


KSERVE = """\
clusters:
  prod:
    us-east-1: {endpoint: "https://a.example.com", eks: a}
    us-west-2: {endpoint: "https://b.example.com", eks: b}
"""
SERVED = "serving: {kserve: {cluster: prod, namespace: models, name: a}}"
ONE_NAME = (
    "an InferenceService has one name and nothing of it stands in the standby, so both regions cannot answer; "
    "give tier: cold-standby, or serve the model by a SageMaker endpoint"
)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            "models:\n  - match: sagemaker/a\n    active_active: {by: weight}",
            (
                "line 5: models[0].active_active: the tier is cold-standby, and only one region answers; "
                "give tier: active-active"
            ),
        ),
        (
            "models:\n  - match: sagemaker/a\n    tier: active-active\n    active_active: {weight: 30}",
            (
                "line 6: models[0].active_active.weight: clients are shared by latency; give by: weight, or leave the "
                "weight out"
            ),
        ),
        (
            "models:\n  - match: sagemaker/a\n    tier: active-active\n    active_active: {by: weight, weight: 100}",
            (
                "line 6: models[0].active_active.weight: 100 is no share of two regions; give 1 to 99, the percent "
                "that the standby answers"
            ),
        ),
        (
            "models:\n  - match: sagemaker/a\n    tier: active-active\n    active_active: {by: speed}",
            "line 6: models[0].active_active.by: 'speed' is not one of its values; it can be latency, weight",
        ),
        (
            f"{KSERVE}models:\n  - match: sagemaker/a\n    tier: active-active\n    {SERVED}",
            f"line 9: models[0].tier: {ONE_NAME}",
        ),
        (
            f"{KSERVE}defaults: {{tier: active-active}}\nmodels:\n  - match: sagemaker/a\n    {SERVED}",
            f"line 10: models[0].serving.kserve: {ONE_NAME}",
        ),
        (
            f"{KSERVE}models:\n  - match: sagemaker/a\n    tier: warm-standby\n    {SERVED}",
            f"line 9: models[0].tier: {ONE_NAME.replace('both regions cannot answer', 'no warm one waits there')}",
        ),
    ],
)
def test_a_tier_or_a_sharing_that_cannot_be_is_named(rules, expected):
    assert mistakes(HEAD + rules) == [expected]


def test_a_service_of_a_cluster_has_no_component():
    said = "serving: {component: b, kserve: {cluster: prod, namespace: models, name: a}}"
    [mistake] = mistakes(f"{HEAD}{KSERVE}models:\n  - match: sagemaker/a\n    {said}")
    assert "leave the component out" in mistake


def test_a_way_to_share_in_the_defaults_is_for_the_models_of_that_tier_only():
    policy = parse(
        """\
        defaults:
          tier: active-active
          active_active: {by: weight, weight: 20}
        models:
          - match: sagemaker/cold
            tier: cold-standby
          - match: sagemaker/near
            active_active: {by: latency}
        """
    )
    shares = [policy.for_model("sagemaker", name, {}).spread for name in ("a", "cold", "near")]
    assert [(one.by, one.weight) if one else None for one in shares] == [("weight", 20), None, ("latency", 20)]


def test_clients_are_shared_by_latency_unless_the_policy_says_how():
    policy = parse("models:\n  - match: sagemaker/a\n    tier: active-active")
    assert policy.for_model("sagemaker", "a", {}).spread == Spread(by="latency", weight=50)


def test_a_tag_that_takes_the_tier_away_takes_the_sharing_away():
    policy = parse("models:\n  - match: sagemaker/a\n    tier: active-active\n    active_active: {by: weight}")
    assert policy.for_model("sagemaker", "a", {"mldr:tier": "cold-standby"}).spread is None


def test_an_inference_service_is_never_shared_whatever_its_tags_say():
    policy = parse(f"{KSERVE}models:\n  - match: sagemaker/a\n    {SERVED}")
    rules = policy.for_model("sagemaker", "a", {"mldr:tier": "active-active"})
    assert (rules.tier, rules.spread) == ("active-active", None)


def test_a_tag_of_yaml_is_not_obeyed():
    assert mistakes(HEAD + "defaults: {rto: !!python/name:os.system x}")[0] == (
        "line 3: defaults.rto: 'x' cannot be read; write plain text or a number"
    )


def test_a_mistake_in_the_defaults_is_named_once_however_many_models_inherit_it():
    text = HEAD + "defaults: {rpo: soon}\nmodels: [{match: sagemaker/a}, {match: sagemaker/b, retention: {period: 1m}}]"
    assert [one.split(":")[0] for one in mistakes(text)] == ["line 3"]


def test_rules_that_only_clash_once_merged_are_named_where_the_model_says_so():
    text = HEAD + "defaults: {rpo: 2d}\nmodels:\n  - match: sagemaker/a\n    retention: {period: 1d}"
    assert mistakes(text) == [
        "line 6: models[0].retention.period: a retention of 1d is shorter than the rpo of 2d; keep points for longer"
    ]


@pytest.mark.parametrize(
    ("wider", "narrower", "covered"),
    [
        ("sagemaker/*", "sagemaker/a-*", True),
        ("*/*", "mlflow/a", True),
        ("sagemaker/a-*", "sagemaker/a-*-v2", True),
        ("sagemaker/a*", "sagemaker/b*", False),
        ("sagemaker/a?", "sagemaker/a*", False),
        ("sagemaker/[ab]", "sagemaker/[ab]", True),
        ("sagemaker/a-v2", "sagemaker/a-*", False),
    ],
)
def test_a_pattern_behind_one_that_covers_it_is_a_mistake(wider, narrower, covered):
    text = HEAD + f"models: [{{match: '{wider}'}}, {{match: '{narrower}'}}]"
    if covered:
        assert "is never reached" in mistakes(text)[0]
    else:
        assert len(Policy.parse(text).models) == 2


def test_the_sample_covers_every_tier_criticality_and_way_to_fail_over():
    policy = Policy.parse(SAMPLE)
    rules = [policy.defaults, *(entry.rules for entry in policy.models)]
    assert {one.tier for one in rules} == set(Tier)
    assert {one.criticality for one in rules} == set(Criticality)
    assert {one.failover.mode for one in rules} == set(FailoverMode)
    assert {one.retention.mode for one in rules} == set(RetentionMode)


def test_the_sample_speaks_of_the_model_of_the_demo():
    found = Policy.parse(SAMPLE).for_model("sagemaker", "digits-classifier", {})
    assert (found.criticality, found.tier) == (Criticality.REVENUE_CRITICAL, Tier.COLD_STANDBY)
    assert found.rto == dt.timedelta(minutes=15)
    assert found.golden is not None
    assert found.golden.uri == "s3://mldr-demo-models/digits-classifier/golden.jsonl"
    assert (found.serving.endpoint, found.matched) == ("digits-classifier", "sagemaker/digits-classifier")
    assert found.warnings == ()


def test_a_model_that_nothing_matches_gets_the_defaults_and_a_warning():
    found = parse("defaults: {rpo: 1h}\nmodels: [{match: sagemaker/a}]").for_model("sagemaker", "b", {})
    assert (found.rpo, found.matched) == (dt.timedelta(hours=1), None)
    assert found.warnings == ("no entry of the policy matches sagemaker/b: the defaults apply; add one under models",)


def test_the_first_match_wins_and_lies_over_the_defaults_field_by_field():
    policy = parse("""
        defaults: {retention: {period: 9d, mode: compliance}}
        models:
          - {match: sagemaker/a-1, retention: {period: 3d}}
          - {match: sagemaker/a-*, retention: {period: 4d}}
    """)
    first, second = (policy.for_model("sagemaker", name, {}).retention for name in ("a-1", "a-2"))
    assert (first.period.days, first.mode) == (3, RetentionMode.COMPLIANCE)
    assert second.period.days == 4


def test_a_star_does_not_reach_into_another_registry():
    policy = parse("models: [{match: 'sagemaker/*'}]")
    assert policy.for_model("mlflow", "a", {}).matched is None


@pytest.mark.parametrize(
    ("criticality", "minutes"), [("revenue-critical", 15), ("important", 120), ("non-critical", 1440)]
)
def test_the_rto_follows_the_criticality(criticality, minutes):
    policy = parse(f"defaults: {{criticality: {criticality}}}")
    assert policy.for_model("sagemaker", "a", {}).rto == dt.timedelta(minutes=minutes)


def test_an_explicit_rto_stays_when_a_tag_changes_the_criticality():
    tags = {"mldr:criticality": "non-critical", "mldr:tier": "warm-standby"}
    explicit = parse("models: [{match: sagemaker/a, rto: 5m}]").for_model("sagemaker", "a", tags)
    assert (explicit.criticality, explicit.tier) == (Criticality.NON_CRITICAL, Tier.WARM_STANDBY)
    assert explicit.rto == dt.timedelta(minutes=5)
    assert parse("models: [{match: sagemaker/a}]").for_model("sagemaker", "a", tags).rto == dt.timedelta(hours=24)


def test_a_bad_tag_is_ignored_with_a_warning_that_names_it():
    tags = {"mldr:tier": "hot", "mldr:teir": "x", "team": "fraud"}
    found = parse("models: [{match: sagemaker/a}]").for_model("sagemaker", "a", tags)
    assert found.tier is Tier.COLD_STANDBY
    assert found.warnings == (
        "tag mldr:teir is unknown and ignored; the tags are mldr:criticality, mldr:tier",
        "tag mldr:tier: 'hot' is ignored; it can be active-active, warm-standby, cold-standby",
    )


def test_a_resolved_policy_survives_json():
    policy = Policy.parse(SAMPLE)
    for model in ("digits-classifier", "fraud-1", "recommender-1", "sandbox-1", "other"):
        found = policy.for_model("sagemaker", model, {})
        assert ModelPolicy.model_validate_json(found.model_dump_json()) == found


@given(
    st.timedeltas(dt.timedelta(seconds=1), LONGEST).map(lambda one: one - dt.timedelta(microseconds=one.microseconds))
)
def test_a_duration_survives_being_written(duration):
    text = format_duration(duration)
    assert parse_duration(text) == duration
    assert format_duration(parse_duration(text)) == text


@given(st.text() | st.integers() | st.none() | st.floats() | st.lists(st.integers()))
def test_anything_else_is_refused_as_a_duration_and_nothing_else_is_raised(value):
    try:
        duration = parse_duration(value)
    except ValueError:
        return
    assert dt.timedelta(0) < duration <= LONGEST


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_a_list_of_mistakes(text):
    found: tuple[str, ...] = ()
    try:
        Policy.parse(HEAD + "defaults:\n  " + text)
    except BadPolicy as error:
        found = error.mistakes
    assert all(one.startswith("line ") for one in found)


@given(st.text(max_size=200))
def test_any_text_under_datasets_is_a_policy_or_a_list_of_mistakes(text):
    found: tuple[str, ...] = ()
    try:
        Policy.parse(HEAD + "datasets:\n  a:\n    uri: s3://bbb/\n    " + text)
    except BadPolicy as error:
        found = error.mistakes
    assert all(one.startswith("line ") for one in found)


def test_a_dataset_is_in_the_first_region_unless_it_says_otherwise():
    policy = parse("datasets: {a: {uri: 's3://bbb/x/'}, b: {uri: 's3://bbb/', region: us-west-2}}")
    assert {name: rule.region for name, rule in policy.datasets.items()} == {"a": "us-east-1", "b": "us-west-2"}
    assert (policy.datasets["a"].bucket, policy.datasets["a"].prefix) == ("bbb", "x/")
    assert (policy.datasets["b"].bucket, policy.datasets["b"].prefix) == ("bbb", "")


def test_the_longest_retention_that_object_lock_can_hold_is_accepted():
    policy = parse("""
        defaults: {retention: {period: 36499d}}
        datasets: {a: {uri: 's3://bbb/', retention: {period: 18249d}}}
    """)
    assert policy.datasets["a"].retention.period.days == 18249


def test_the_sample_shows_what_a_dataset_may_say():
    datasets = Policy.parse(SAMPLE).datasets
    assert {rule.digest for rule in datasets.values()} == set(Digest)
    assert {rule.retention.mode for rule in datasets.values()} == set(RetentionMode)
    assert datasets["transactions"].every == dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        ("quorum: 1", "health.quorum: 1 does not fit; input should be greater than or equal to 2"),
        ("quorum: 4", "health.quorum: 4 does not fit; input should be less than or equal to 3"),
        ("flaps: 0", "health.flaps: 0 does not fit; input should be greater than or equal to 1"),
        ("cool_down: 0m", "health.cool_down: 0m is not a usable duration; give more than 0 and at most 36500d"),
        (
            "flap_window: 60",
            "health.flap_window: 60 is not a duration; write a whole number and s, m, h or d, like 15m",
        ),
    ],
)
def test_a_quorum_is_more_than_one_and_restlessness_has_bounds(said, mistake):
    assert mistakes(f"{HEAD}defaults: {{health: {{{said}}}}}") == [f"line 3: defaults.{mistake}"]


def test_the_rules_of_deciding_have_defaults_and_are_merged_field_by_field():
    policy = parse(
        """\
        defaults: {health: {quorum: 3}, failover: {approve_within: 5m}}
        models:
          - match: sagemaker/churn
            health: {flaps: 5}
        """
    )
    rules = policy.for_model("sagemaker", "churn", {})
    assert (rules.health.quorum, rules.health.flaps, rules.health.consecutive_failures) == (3, 5, 3)
    assert (rules.health.cool_down, rules.health.flap_window) == (dt.timedelta(minutes=15), dt.timedelta(hours=1))
    assert rules.failover.approve_within == dt.timedelta(minutes=5)
