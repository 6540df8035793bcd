"""Capturing how the active region serves: told by what, when not, what is refused, and what a failover makes of it."""

import datetime as dt
import json
from pathlib import Path

import pytest
from botocore.loaders import Loader

from functions.reconcile_registry import app as reconcile
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.serving_state import Kind, Live, Observed
from mldr.errors import BadEvent, LostRace, RegionUnreachable
from mldr.events.serving import ServingWish
from mldr.steps.request_captures import request_captures
from tests.fakes.world import ACTIVE, POLICY, STANDBY, TEAM_ROLE
from tests.functional.story import (
    CHURN,
    DIGEST,
    IMAGE,
    WEIGHTS,
    capture,
    clients_follow,
    deliver,
    document,
    fail_over,
    manifest,
    point,
    promoted,
    protect,
    run,
)

EVENTS = Path(__file__).parent / "sagemaker_events"
ROLE = "arn:aws:iam::123456789012:role/theirs"
KEY = f"arn:aws:kms:{ACTIVE}:123456789012:key/theirs"


def endpoint_event(name="churn", status="IN_SERVICE", region=ACTIVE):
    """What EventBridge delivers when an endpoint changed."""
    told = json.loads((EVENTS / "endpoint_state_change.json").read_text())
    detail = {**told["detail"], "EndpointName": name, "EndpointStatus": status}
    return {**told, "region": region, "detail": detail}


def ours(detail_type, **detail):
    """An event of our own, as EventBridge delivers it."""
    return {
        "id": "1", "source": "mldr", "detail-type": detail_type, "region": STANDBY, "time": "2026-03-01T12:00:00Z",
        "detail": {"model": str(CHURN), **detail},
    }  # fmt: skip


def served(uri="s3://lake/churn/model.tar.gz", *, live=None, status="InService", container=None, role=ROLE, **config):
    """An endpoint of one variant as the active region describes it."""
    model = {
        "ModelName": "churn-live",
        "ExecutionRoleArn": role,
        "Containers": [container or {"Image": IMAGE, "ModelDataUrl": uri, "Environment": {"LEVEL": "2"}}],
        "Tags": [],
    }
    variant = {
        "VariantName": "all", "ModelName": "churn-live", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1
    }  # fmt: skip
    return Observed(
        endpoint="churn",
        status=status,
        document={
            "Endpoint": {"EndpointName": "churn", "Tags": []},
            "Config": {"ProductionVariants": [variant], "Tags": [], **config},
            "Models": [model],
            "Components": [],
            "ScalableTargets": [],
            "ScalingPolicies": [],
            "ScheduledActions": [],
        },
        live=live or (Live(variant="all", weight=1.0, instances=6),),
        images={IMAGE: IMAGE.replace(":1", f"@{DIGEST}")},
    )


@pytest.fixture
def sealed(world, context):
    """Churn is protected, and serves in the active region."""
    protect(world, context, promoted(world))
    world.serving_source.endpoints["churn"] = served()
    return world


def look(world, context, event=None, expected=()):
    """Deliver a message, and one that concerns nobody; the newest state afterwards."""
    nobodys = endpoint_event("somebody-elses")
    assert deliver("capture_serving", context, event or endpoint_event(), nobodys) == list(expected)
    return world.serving_captures.newest(CHURN)


def states(world):
    return len(world.serving_captures.states.get(str(CHURN), {}))


# what tells


@pytest.mark.parametrize("name", ["endpoint_state_change", "endpoint_deployment_state_change"])
def test_sagemakers_documented_events_are_understood(name):
    told = json.loads((EVENTS / f"{name}.json").read_text())
    wish = ServingWish.parse(told)
    assert (wish.endpoint, wish.model) == (told["detail"]["EndpointName"], None)
    assert told["detail-type"] in wish.reason


@pytest.mark.parametrize(
    "event",
    [
        ours("Model Promoted"),
        {**endpoint_event(), "source": "aws.ec2"},
        {**endpoint_event(), "detail": {"EndpointStatus": "IN_SERVICE"}},
        {**endpoint_event(), "detail": {"EndpointName": "../churn", "EndpointStatus": "IN_SERVICE"}},
        ours("Serving Capture Requested"),
    ],
)
def test_what_says_nothing_of_an_endpoint_is_refused(event):
    with pytest.raises(BadEvent):
        ServingWish.parse(event)


@pytest.mark.parametrize(
    "event",
    [
        endpoint_event(),
        ours("Recovery Point Sealed", recovery_point="v1-abc"),
        ours("Serving Capture Requested", reason="by hand"),
    ],
)
def test_each_of_them_captures_what_serves_now(sealed, context, event):
    found = look(sealed, context, event)
    assert (found.model, found.endpoint, found.region, found.standby_region) == (CHURN, "churn", ACTIVE, STANDBY)
    assert found.captured_at == sealed.clock.now()
    assert found.capacity == {"all": 6}
    assert found.retention.until == sealed.clock.now() + dt.timedelta(days=35)


def test_an_event_of_the_wrong_region_is_refused(sealed, context):
    assert look(sealed, context, endpoint_event(region=STANDBY), expected=["0"]) is None


def test_an_endpoint_that_serves_no_model_of_ours_is_nobodys_business(sealed, context):
    assert look(sealed, context, endpoint_event("somebody-elses")) is None
    assert sealed.serving_source.looks == []


def test_the_policy_says_which_endpoint_serves_a_model(sealed, context):
    sealed.policies.text = sealed.policies.text.replace(
        "  - match: sagemaker/churn\n", "  - match: sagemaker/churn\n    serving: {endpoint: front}\n"
    )
    sealed.serving_source.endpoints["front"] = served()
    assert look(sealed, context) is None
    assert look(sealed, context, endpoint_event("front"))


def test_reconciliation_asks_for_every_model(sealed, context):
    sealed.bus.events.clear()
    assert reconcile.handler({}, context)["asked"] == 1
    [detail] = sealed.bus.named("Serving Capture Requested")
    assert look(sealed, context, ours("Serving Capture Requested", **detail))
    assert request_captures(catalog=sealed.catalog, bus=sealed.bus) == 1


# what is written, and what is not


def test_every_reference_is_rewritten_as_data(sealed, context):
    found = look(sealed, context)
    target = manifest(sealed).rewrites
    copy = next(one.target for one in target if one.source == "s3://lake/churn/model.tar.gz")
    assert {one.kind: (one.target, one.point) for one in found.carried} == {
        Kind.MODEL_DATA: (copy, point(sealed).recovery_point),
        Kind.IMAGE: (IMAGE.replace(ACTIVE, STANDBY).replace(":1", f"@{DIGEST}"), None),
        Kind.ROLE: (sealed.env.serving_role_arn, None),
    }
    assert found.document["Models"][0]["ExecutionRoleArn"] == ROLE, "the document says what the active region has"


def test_a_state_that_did_not_change_is_not_written_again(sealed, context):
    look(sealed, context)
    sealed.clock.move(hours=240)
    look(sealed, context, ours("Serving Capture Requested", reason="reconciliation"))
    assert states(sealed) == 1


def test_a_state_that_did_not_change_is_kept_again_before_its_lock_ends(sealed, context):
    look(sealed, context)
    sealed.clock.move(hours=432)
    found = look(sealed, context)
    assert (states(sealed), found.retention.until - sealed.clock.now()) == (2, dt.timedelta(days=35))


def test_other_weights_are_another_state(sealed, context):
    look(sealed, context)
    sealed.clock.move(minutes=1)
    sealed.serving_source.endpoints["churn"] = served(live=(Live(variant="all", weight=1.0, instances=2),))
    assert look(sealed, context).capacity == {"all": 2}


def test_what_stands_by_is_told_of_another_state_and_again_by_a_redelivered_message(sealed, context):
    look(sealed, context)
    assert sealed.bus.named("Tiers Due") == [{"model": str(CHURN)}]
    look(sealed, context)
    assert sealed.bus.named("Tiers Due") == 2 * [{"model": str(CHURN)}]


def test_a_look_that_began_earlier_never_overwrites_a_later_one(sealed, context):
    """Two functions look at once; the slower one saw the older state."""
    began = sealed.clock.now()
    sealed.clock.move(minutes=1)
    newer = look(sealed, context)
    observe = sealed.serving_source.observe

    def slow(endpoint):
        found = observe(endpoint)
        return found.model_copy(update={"live": (Live(variant="all", weight=1.0, instances=1),)})

    sealed.serving_source.observe = slow
    sealed.clock._now = began
    assert look(sealed, context) == newer
    assert states(sealed) == 1


PASSES = ["Updating", "SystemUpdating", "Creating", "Deleting", "RollingBack", "Missing"]
STUCK = ["UpdateRollbackFailed", "Failed", "OutOfService"]


def test_every_status_of_sagemaker_passes_or_is_refused_by_name():
    words = Loader().load_service_model("sagemaker", "service-2")["shapes"]["EndpointStatus"]["enum"]
    assert {*words, "Missing"} == {*PASSES, *STUCK, "InService"}


@pytest.mark.parametrize("status", PASSES)
def test_what_is_not_in_service_leaves_the_state_as_it_was(sealed, context, status):
    before = look(sealed, context)
    sealed.clock.move(minutes=1)
    sealed.serving_source.endpoints["churn"] = Observed(endpoint="churn", status=status)
    assert look(sealed, context) == before
    assert sealed.serving_captures.refusal(CHURN) is None


@pytest.mark.parametrize("status", STUCK)
def test_a_status_that_stays_is_refused_by_name_until_it_is_mended(sealed, context, status):
    """Nothing announces its end, so what was captured would grow old in silence."""
    before = look(sealed, context)
    sealed.clock.move(minutes=1)
    sealed.serving_source.endpoints["churn"] = Observed(endpoint="churn", status=status)
    assert look(sealed, context, expected=["0"]) == before
    refusal = sealed.serving_captures.refusal(CHURN)
    assert f"NotCapturable: endpoint churn of {ACTIVE} is {status}: " in refusal.reason
    sealed.clock.move(minutes=1)
    sealed.serving_source.endpoints["churn"] = served()
    look(sealed, context)
    assert sealed.serving_captures.refusal(CHURN).reason == ""


def answers_late(world, mapped="s3://answers-there/", tier="cold-standby", **places):
    """What serves in the active region is asynchronous; its answers' place is mapped."""
    rules = f"tier: {tier}\n    serving: {{references: {{'s3://answers/': '{mapped}'}}}}\n    golden:"
    world.policies.put(POLICY.replace("golden:", rules))
    output = {"OutputConfig": {"S3OutputPath": "s3://answers/churn", **places}}
    world.serving_source.endpoints["churn"] = served(role=TEAM_ROLE, AsyncInferenceConfig=output)


def test_an_asynchronous_endpoint_is_captured_where_its_golden_answers_can_be_read(sealed, context):
    answers_late(sealed, S3FailurePath="s3://answers/churn/failed")
    state = look(sealed, context)
    assert state.document["Config"]["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == "s3://answers/churn"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"mapped": "s3://answers-elsewhere/"}, "S3OutputPath"),
        ({"mapped": "s3://answers-there-too/"}, "S3OutputPath"),
        ({"S3FailurePath": "s3://answers/failed"}, "S3FailurePath"),
    ],
)
def test_golden_answers_that_could_not_be_read_are_told_by_day(sealed, context, given, path):
    """Its failover could never pass them."""
    answers_late(sealed, **given)
    look(sealed, context, expected=["0"])
    told = sealed.serving_captures.refusal(CHURN).reason
    assert f"Config.AsyncInferenceConfig.OutputConfig.{path}: its golden answers could not be read from s3://" in told
    assert f"name the place in AnswerPlaces of {STANDBY}'s stack" in told
    assert "1 of its values" in told


def test_golden_answers_that_are_written_nowhere_are_told_by_day(sealed, context):
    answers_late(sealed)
    sealed.serving_source.endpoints["churn"] = served(role=TEAM_ROLE, AsyncInferenceConfig={"OutputConfig": {}})
    look(sealed, context, expected=["0"])
    told = sealed.serving_captures.refusal(CHURN).reason
    assert "Config.AsyncInferenceConfig.OutputConfig.S3OutputPath: its golden answers are written nowhere" in told


def test_an_asynchronous_endpoint_stands_beside_no_other(sealed, context):
    answers_late(sealed, tier="active-active")
    look(sealed, context, expected=["0"])
    assert "no gateway asks an asynchronous endpoint" in sealed.serving_captures.refusal(CHURN).reason


@pytest.mark.parametrize(("rule", "tag"), [("active-active", "warm-standby"), ("warm-standby", "active-active")])
def test_the_tag_of_its_newest_point_decides_whether_it_is_to_answer_beside(sealed, context, rule, tag):
    sealed.catalog.annotate(CHURN, point(sealed).recovery_point, tier_tag=tag)
    answers_late(sealed, tier=rule)
    refused = tag == "active-active"
    look(sealed, context, expected=["0"] if refused else [])
    refusal = sealed.serving_captures.refusal(CHURN)
    assert bool(refusal and "no gateway asks an asynchronous endpoint" in refusal.reason) is refused


def test_without_golden_inferences_nobody_reads_what_an_asynchronous_endpoint_writes(world, context):
    world.policies.put(POLICY.replace('    golden: {uri: "s3://lake/churn/golden.jsonl"}\n', ""))
    protect(world, context, promoted(world))
    rules = "  - match: sagemaker/churn\n    serving: {references: {'s3://answers/': 's3://private/'}}\n"
    world.policies.put(world.policies.text.replace("  - match: sagemaker/churn\n", rules))
    output = {"OutputConfig": {"S3OutputPath": "s3://answers/churn"}}
    world.serving_source.endpoints["churn"] = served(role=TEAM_ROLE, AsyncInferenceConfig=output)
    assert look(world, context)


def test_before_the_first_seal_nothing_is_captured(world, context):
    capture(world, context, promoted(world))
    world.serving_source.endpoints["churn"] = served()
    assert look(world, context) is None
    assert world.serving_source.looks == []


def test_a_region_that_serves_captures_nothing_of_its_peer(sealed, context):
    """Law 7: the old active region heals, and what it has is of an older epoch."""
    before = look(sealed, context)
    epoch = Epoch(number=1, failover_id="f", region=STANDBY, recovery_point="v1", claimed_at=sealed.clock.now())
    sealed.catalog.claim(CHURN, epoch, None)
    taken = Takeover(epoch=1, endpoint="e", recovery_point="v1", flipped_at=sealed.clock.now(), home=ACTIVE)
    sealed.catalog.flip(CHURN, taken, epoch)
    sealed.catalog.conclude(CHURN, epoch)
    sealed.clock.move(minutes=1)
    sealed.serving_source.endpoints["churn"] = served(live=(Live(variant="all", weight=1.0, instances=1),))
    assert look(sealed, context) == before


def test_a_region_that_does_not_answer_is_looked_at_again_by_reconciliation_not_by_a_dead_letter(sealed, context):
    before = look(sealed, context)

    def silent(endpoint):
        raise RegionUnreachable("describe endpoint churn: no answer")

    sealed.serving_source.observe = silent
    assert look(sealed, context, ours("Serving Capture Requested", reason="reconciliation")) == before
    assert look(sealed, context, endpoint_event(), expected=["0"]) == before, "its event is delivered again"


@pytest.mark.parametrize(("times", "failed"), [(1, []), (2, []), (3, ["0"])])
def test_an_endpoint_that_changes_while_it_is_described_is_looked_at_again_at_once(sealed, context, times, failed):
    observe, left = sealed.serving_source.observe, [None] * times

    def changing(endpoint):
        if left:
            left.pop()
            raise LostRace("it changed")
        return observe(endpoint)

    sealed.serving_source.observe = changing
    assert bool(look(sealed, context, expected=failed)) is not bool(failed)


# what fails the capture


@pytest.mark.parametrize(
    ("observed", "named"),
    [
        (served("s3://lake/unknown.tar.gz"), "Models[0].Containers[0].ModelDataUrl: s3://lake/unknown.tar.gz"),
        (served(KmsKeyId=KEY), "Config.KmsKeyId: "),
        (
            served(container={"Image": IMAGE, "Environment": {"DB_PASSWORD": "correct horse"}}),
            "Models[0].Containers[0].Environment.DB_PASSWORD: this looks like a secret",
        ),
    ],
)
def test_what_cannot_be_carried_fails_the_capture_by_its_path_and_keeps_the_state_before(
    sealed, context, observed, named
):
    before = look(sealed, context)
    sealed.clock.move(minutes=1)
    sealed.serving_source.endpoints["churn"] = observed
    assert look(sealed, context, expected=["0"]) == before
    refusal = sealed.serving_captures.refusal(CHURN)
    assert refusal.reason.startswith("BadReference: the serving state of endpoint churn is not captured")
    assert named in refusal.reason
    assert "correct horse" not in refusal.reason


def test_all_that_is_wrong_is_told_at_once(sealed, context):
    sealed.serving_source.endpoints["churn"] = served("s3://lake/unknown.tar.gz", KmsKeyId=KEY)
    look(sealed, context, expected=["0"])
    reason = sealed.serving_captures.refusal(CHURN).reason
    assert "2 of its values" in reason
    assert "serving.kms_key" in reason


def test_a_capture_that_works_again_takes_the_complaint_back(sealed, context):
    sealed.serving_source.endpoints["churn"] = served(KmsKeyId=KEY)
    look(sealed, context, expected=["0"])
    sealed.serving_source.endpoints["churn"] = served()
    assert look(sealed, context)
    assert sealed.serving_captures.refusal(CHURN).reason == ""


def test_a_variant_that_says_by_no_known_field_what_it_runs_on_fails_the_capture(sealed, context):
    """A description has only what the SDK knows: what it drops would be missed by the failover."""
    observed = served()
    [variant] = observed.document["Config"]["ProductionVariants"]
    variant = {name: value for name, value in variant.items() if name != "InstanceType"}
    config = {**observed.document["Config"], "ProductionVariants": [variant]}
    sealed.serving_source.endpoints["churn"] = observed.model_copy(
        update={"document": {**observed.document, "Config": config}}
    )
    assert look(sealed, context, expected=["0"]) is None
    told = sealed.serving_captures.refusal(CHURN).reason
    assert "Config.ProductionVariants[0].InstanceType: variant" in told
    assert "is described with none of InstanceType, ServerlessConfig, InstancePools" in told


def test_an_image_that_is_not_replicated_fails_the_capture(sealed, context):
    sealed.serving_source.endpoints["churn"] = served(
        container={"Image": IMAGE.replace("churn:1", "other:1"), "ModelDataUrl": "s3://lake/churn/model.tar.gz"}
    )
    sealed.images.push(ACTIVE, "other", "1", f"sha256:{'b' * 64}")
    assert look(sealed, context, expected=["0"]) is None
    assert sealed.serving_captures.refusal(CHURN).reason.startswith("ImageNotReplicated: Models[0].Containers[0].Image")


def test_while_a_version_is_being_protected_the_capture_waits_for_its_seal(sealed, context):
    sealed.buckets.put("lake", "churn/second.tar.gz", WEIGHTS)
    second = {"ModelDataUrl": "s3://lake/churn/second.tar.gz", "ModelDataETag": None}
    arn = sealed.registry.promote("churn", document(**{k: v for k, v in second.items() if v}))
    execution = capture(sealed, context, arn)
    sealed.serving_source.endpoints["churn"] = served("s3://lake/churn/second.tar.gz")
    assert look(sealed, context) is None

    assert run(sealed, context, execution).status == "SUCCEEDED"
    assert look(sealed, context, ours("Recovery Point Sealed", recovery_point="v2-x")).points


def test_a_shadow_of_an_unknown_version_is_left_out_and_named(sealed, context):
    shadow = {"VariantName": "try", "ModelName": "candidate", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    observed = served(ShadowProductionVariants=[shadow])
    candidate = {
        "ModelName": "candidate",
        "ExecutionRoleArn": ROLE,
        "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://lake/candidate.tar.gz"}],
        "Tags": [],
    }
    models = [*observed.document["Models"], candidate]
    sealed.serving_source.endpoints["churn"] = observed.model_copy(
        update={"document": {**observed.document, "Models": models}}
    )
    found = look(sealed, context)
    assert list(found.left_out) == ["try"]
    assert "s3://lake/candidate.tar.gz" in found.left_out["try"]


# whom it runs as


def rule(world, text):
    """The policy in force says this of how churn is served."""
    match = "  - match: sagemaker/churn\n"
    world.policies.text = world.policies.text.replace(match, f"{match}    serving: {{{text}}}\n")


def target_role(state):
    """The role that a captured model is to run as."""
    return next(one.target for one in state.carried if one.kind is Kind.ROLE)


def only_own(world):
    """The stack's parameter names no role any more."""
    world.env = world.env.model_copy(update={"serving_role_arns": ""})


def runs_as(world):
    """The role of the one model that was restored."""
    [endpoint] = world.serving.endpoints.values()
    [model] = endpoint.plan.models
    return model.role


@pytest.mark.parametrize("listed", [True, False])
def test_a_restored_model_keeps_its_role_where_the_stack_may_pass_it(sealed, context, listed):
    sealed.serving_source.endpoints["churn"] = served(role=TEAM_ROLE if listed else ROLE)
    expected = TEAM_ROLE if listed else sealed.env.serving_role_arn
    assert target_role(look(sealed, context)) == expected
    sealed.clock.move(minutes=1)
    clients_follow(sealed)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    assert runs_as(sealed) == expected


def test_naming_a_role_in_the_stacks_parameter_is_another_state_at_the_next_look(sealed, context):
    assert target_role(look(sealed, context)) == sealed.env.serving_role_arn
    sealed.clock.move(minutes=1)
    sealed.env = sealed.env.model_copy(update={"serving_role_arns": f"{TEAM_ROLE}, {ROLE}"})
    assert target_role(look(sealed, context)) == ROLE


def test_a_model_that_writes_and_may_not_keep_its_role_fails_the_capture_by_day(sealed, context):
    rule(sealed, "references: {'s3://captured/': 's3://captured-there/'}")
    writing = {"DataCaptureConfig": {"DestinationS3Uri": "s3://captured/churn"}}
    sealed.serving_source.endpoints["churn"] = served(**writing)
    assert look(sealed, context, expected=["0"]) is None
    reason = sealed.serving_captures.refusal(CHURN).reason
    assert f"Models[0].ExecutionRoleArn: {ROLE} may not be passed to SageMaker in {STANDBY}" in reason
    assert "ServingRoleArns" in reason
    sealed.serving_source.endpoints["churn"] = served(role=TEAM_ROLE, **writing)
    assert target_role(look(sealed, context)) == TEAM_ROLE


def test_a_role_of_the_policy_that_may_not_be_passed_is_told_even_where_no_endpoint_is(sealed, context):
    rule(sealed, f"role: {ROLE}")
    sealed.serving_source.endpoints["churn"] = Observed(endpoint="churn", status="Missing")
    assert look(sealed, context, expected=["0"]) is None
    reason = sealed.serving_captures.refusal(CHURN).reason
    assert reason.startswith(f"BadReference: serving.role: {ROLE} may not be passed to SageMaker in {STANDBY}")
    assert "ServingRoleArns" in reason


def test_at_night_the_stacks_own_role_is_tried_where_the_captured_one_may_not_be_passed_any_more(
    sealed, context, caplog
):
    sealed.serving_source.endpoints["churn"] = served(role=TEAM_ROLE)
    look(sealed, context)
    sealed.clock.move(minutes=1)
    only_own(sealed)
    clients_follow(sealed)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    assert runs_as(sealed) == sealed.env.serving_role_arn


def test_a_restored_endpoint_that_fails_says_that_it_ran_as_another_role(sealed, context):
    sealed.serving_source.endpoints["churn"] = served(role=TEAM_ROLE)
    look(sealed, context)
    sealed.clock.move(minutes=1)
    only_own(sealed)
    sealed.serving.coming = [("Failed", "Access denied for the feature table")]
    ended = fail_over(sealed, context)
    said = ended.data["error"]["Cause"]
    assert "Access denied for the feature table" in said
    assert f"{TEAM_ROLE} may not be passed" in said
    assert "ServingRoleArns" in said


# what a failover makes of it


def test_a_failover_restores_what_was_captured(sealed, context):

    look(sealed, context)
    sealed.clock.move(minutes=1)
    clients_follow(sealed)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    [endpoint] = sealed.serving.endpoints.values()
    assert endpoint.plan.capacity == {"all": 6}
    assert endpoint.plan.config["ProductionVariants"][0]["InstanceType"] == "ml.c5.large"
    [model] = endpoint.plan.models
    assert model.containers[0]["Environment"] == {"LEVEL": "2"}
    assert model.containers[0]["ModelDataUrl"].startswith("s3://vault/recovery-points/")


def test_what_is_captured_after_the_claim_changes_no_plan_of_its_epoch(sealed, context):

    look(sealed, context)
    sealed.clock.move(minutes=1)
    later = served(live=(Live(variant="all", weight=1.0, instances=1),))
    waiting = [("Creating", "")] * 2 + [("InService", "")]
    sealed.serving.coming = waiting
    status = sealed.serving.status

    def meanwhile(name):
        sealed.clock.move(seconds=1)
        state = sealed.serving_captures.newest(CHURN)
        late = state.model_copy(update={"captured_at": sealed.clock.now(), "live": later.live})
        sealed.serving_captures.put(late)
        return status(name)

    sealed.serving.status = meanwhile
    clients_follow(sealed)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    [endpoint] = sealed.serving.endpoints.values()
    assert sealed.serving.scaling[endpoint.plan.name].capacity == {"all": 6}


def test_without_a_captured_state_the_policys_word_is_restored(world, context):

    protect(world, context, promoted(world))
    clients_follow(world)
    assert fail_over(world, context).status == "SUCCEEDED"
    [endpoint] = world.serving.endpoints.values()
    assert endpoint.plan.config["ProductionVariants"][0]["VariantName"] == "AllTraffic"


def test_a_canary_of_another_version_is_laid_out_and_served_from_its_own_point(sealed, context):
    """The second version shares its bytes with the first; the third, promoted last, has bytes of its own."""
    sealed.clock.move(minutes=1)
    second = sealed.registry.promote("churn", document(Environment={"THRESHOLD": "0.7"}))
    protect(sealed, context, second)
    sealed.clock.move(minutes=1)
    sealed.buckets.put("lake", "churn/third.tar.gz", b"other weights")
    third = sealed.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/third.tar.gz"))
    protect(sealed, context, third)
    observed = served()
    models = [
        {**observed.document["Models"][0], "ModelName": f"of-{name}", "Containers": [{"ModelPackageName": arn}]}
        for name, arn in (("main", third), ("canary", second))
    ]
    variants = [
        {**observed.document["Config"]["ProductionVariants"][0], "VariantName": name, "ModelName": f"of-{name}"}
        for name in ("main", "canary")
    ]
    sealed.serving_source.endpoints["churn"] = observed.model_copy(
        update={
            "document": {**observed.document, "Models": models, "Config": {"ProductionVariants": variants, "Tags": []}},
            "live": (Live(variant="main", weight=9.0, instances=3), Live(variant="canary", weight=1.0, instances=1)),
        }
    )
    state = look(sealed, context)
    assert len(state.points) == 2
    sealed.clock.move(minutes=1)
    clients_follow(sealed)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    [endpoint] = sealed.serving.endpoints.values()
    assert endpoint.plan.warnings == ()
    assert endpoint.weights == {"main": 9.0, "canary": 1.0}
    keys = [one.containers[0]["ModelDataUrl"].removeprefix("s3://vault/") for one in endpoint.plan.models]
    assert [sealed.vault.read(key) for key in keys] == [b"other weights", WEIGHTS]
    assert endpoint.plan.models[1].containers[0]["Environment"] == {"THRESHOLD": "0.7"}
