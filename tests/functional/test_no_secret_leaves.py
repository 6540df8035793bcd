"""A secret that stands where it should not is refused, and its value is in no text that leaves: no point, working file,
state, catalog row, event, page, dead letter or log record; the person is told the variable, and what to do.
"""

import json
import logging
from contextlib import ExitStack

import pytest

from mldr.domain.recovery_point import Phase
from tests.fakes.world import ACTIVE, POLICY
from tests.functional.kserve_story import Two
from tests.functional.story import (
    CHURN,
    IMAGE,
    capture,
    clients_follow,
    deliver,
    fail_over,
    point,
    promoted,
    protect,
    run,
)
from tests.functional.test_capture_serving import endpoint_event, served
from tests.kube.controller import stub

SECRET = "hunter2"
# Each is wrong in a second way, too: by that its value could come to light.
VARIABLES = {
    "DATABASE_URL": f"postgres://app:{SECRET}@db.{ACTIVE}.rds.amazonaws.com/x",
    "DB_PASSWORD": SECRET,
    "API_TOKENS": json.dumps([SECRET]),
    "SETTINGS": json.dumps({"topic": f"arn:aws:sns:{ACTIVE}:123456789012:t", "password": SECRET}),
    "DSN": f"s3://lake/x?password={SECRET}",
    "AUTH_TOKEN": f"s3://{SECRET}",
    "STORE_KEY": f"arn:aws:sqs:{ACTIVE}:123456789012:jobs {SECRET}",
    "PLAIN_NAME": f"db.{ACTIVE}.rds.amazonaws.com {SECRET}",  # of no known shape: refused for its host alone
}
NOT_THE_WORLDS = {"registry", "serving_source", "clusters"}  # what others hold, and mldr reads


def texts(node, seen):
    """Every text and every byte that hangs on an object."""
    if id(node) in seen or callable(node):
        return
    seen[id(node)] = node
    if isinstance(node, str | bytes):
        yield node if isinstance(node, str) else node.decode(errors="replace")
    elif isinstance(node, dict):
        for one in (*node.keys(), *node.values()):
            yield from texts(one, seen)
    elif isinstance(node, list | tuple | set | frozenset):
        for one in node:
            yield from texts(one, seen)
    elif hasattr(node, "__dict__"):
        yield from texts(vars(node), seen)


def left(world, capfd, caplog):
    """All that mldr wrote, sent and logged."""
    told = capfd.readouterr()
    logged = [f"{record.getMessage()} {record.exc_text or ''} {record.__dict__}" for record in caplog.records]
    kept = {name: value for name, value in vars(world).items() if name not in NOT_THE_WORLDS}
    return [told.out, told.err, *logged, *texts(kept, {})]


def nothing_leaves(world, capfd, caplog):
    found = left(world, capfd, caplog)
    assert sum(map(len, found)) > 1000  # it looks at something
    assert [one for one in found if SECRET in one] == []


@pytest.fixture(autouse=True)
def every_level(caplog):
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize("name", VARIABLES)
def test_of_an_endpoint(world, context, capfd, caplog, name):
    protect(world, context, promoted(world))
    environment = {name: VARIABLES[name]}
    world.serving_source.endpoints["churn"] = served(
        container={"Image": IMAGE, "ModelDataUrl": "s3://lake/churn/model.tar.gz", "Environment": environment}
    )
    assert deliver("capture_serving", context, endpoint_event(), endpoint_event("somebody-elses")) == ["0"]
    reason = world.serving_captures.refusal(CHURN).reason
    assert f"Models[0].Containers[0].Environment.{name}: " in reason
    assert "serving.not_secret" in reason or name == "PLAIN_NAME"
    clients_follow(world)
    assert fail_over(world, context).status == "SUCCEEDED"
    nothing_leaves(world, capfd, caplog)


def test_of_a_shadow_that_is_left_out_for_another_reason(world, context, capfd, caplog):
    protect(world, context, promoted(world))
    observed = served()
    shadow = {"Image": IMAGE, "ModelDataUrl": "s3://lake/unknown.tar.gz", "Environment": {"DB_PASSWORD": SECRET}}
    observed.document["Models"].append({"ModelName": "shadow", "Containers": [shadow]})
    observed.document["Config"]["ShadowProductionVariants"] = [{"VariantName": "s", "ModelName": "shadow"}]
    world.serving_source.endpoints["churn"] = observed
    assert deliver("capture_serving", context, endpoint_event(), endpoint_event("somebody-elses")) == ["0"]
    assert "Models[1].Containers[0].Environment.DB_PASSWORD: " in world.serving_captures.refusal(CHURN).reason
    nothing_leaves(world, capfd, caplog)


@pytest.mark.parametrize("name", VARIABLES)
def test_of_a_model_package(world, context, capfd, caplog, name):
    ended = protect(world, context, promoted(world, Environment={name: VARIABLES[name]}))
    assert ended.status == "FAILED"
    record = point(world)
    assert (record.phase, record.reason.split(":")[0]) == (Phase.FAILED, "BadReference")
    assert f"InferenceSpecification.Containers[0].Environment.{name}: " in record.reason
    assert "Secrets Manager" in record.reason or name == "PLAIN_NAME"
    assert any(name in one for one in texts(vars(world.bus), {}))
    if name != "PLAIN_NAME":  # what nothing tells from a note stays in the working file, which is not locked
        nothing_leaves(world, capfd, caplog)
    assert SECRET not in str(ended.data)
    assert SECRET not in record.reason


def test_of_metadata_that_would_be_sealed_as_it_is(world, context, capfd, caplog):
    arn = promoted(world)
    metadata = {"CustomerMetadataProperties": {"registry-password": SECRET}}
    world.registry.edit(arn, document={**world.registry.describe(arn).document, **metadata})
    assert protect(world, context, arn).status == "FAILED"
    nothing_leaves(world, capfd, caplog)


@pytest.mark.parametrize("name", VARIABLES)
def test_of_an_inference_service(world, context, capfd, caplog, name):
    with ExitStack() as stack:
        two = Two(world, stack, stub)
        two.promote(context, 1, 1.0)
        two.roll_out(
            1, logger={"mode": "all"}, containers=[{"name": "side", "env": [{"name": name, "value": VARIABLES[name]}]}]
        )
        assert not two.capture(context)
        reason = world.serving_captures.refusal(CHURN).reason
        assert "service.spec.predictor.containers[0].env[0].value: " in reason
        assert "serving.not_secret" in reason or name == "PLAIN_NAME"
        nothing_leaves(world, capfd, caplog)


def test_of_an_argument(world, context, capfd, caplog):
    with ExitStack() as stack:
        two = Two(world, stack, stub)
        two.promote(context, 1, 1.0)
        two.roll_out(1, containers=[{"name": "side", "args": [f"--api-key={SECRET}", "--password", SECRET]}])
        assert not two.capture(context)
        reason = world.serving_captures.refusal(CHURN).reason
        assert "containers[0].args[0]: " in reason
        assert "containers[0].args[2]: " in reason
        nothing_leaves(world, capfd, caplog)


def test_what_the_policy_calls_no_secret_is_protected(world, context):
    arn = promoted(world, Environment={"DB_PASSWORD": "correct horse"})
    assert protect(world, context, arn).status == "FAILED"
    rules = "  - match: sagemaker/churn\n"
    world.policies.put(POLICY.replace(rules, rules + "    serving: {not_secret: [DB_PASSWORD]}\n"))
    execution = capture(world, context, arn)
    assert run(world, context, execution).status == "SUCCEEDED"
    assert point(world).phase is Phase.SEALED
