"""A model that an inference component serves: captured, restored, proven, asked by name, let stand without copies."""

import json

import pytest

from functions.predict_gateway import app as gateway
from mldr.domain.components import copies_key
from mldr.domain.serving_state import Observed
from tests.fakes.serving import Endpoint
from tests.fakes.world import POLICY
from tests.functional.story import CHURN, clients_follow, fail_over, promoted, protect
from tests.functional.test_capture_serving import IMAGE, look, served
from tests.functional.test_gateway import TOKEN
from tests.functional.test_tiers import due, standing, tier

HOSTS = {"VariantName": "all", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
MANAGED = {**HOSTS, "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 4}}
DATA = "s3://lake/churn/model.tar.gz"


def component(name="churn-ic", copies=3, uri=DATA, **more):
    container = {"Image": IMAGE, "ArtifactUrl": uri}
    return {
        "InferenceComponentName": name,
        "EndpointName": "churn",
        "VariantName": "all",
        "Specification": {"Container": container, **more},
        "RuntimeConfig": {"CopyCount": copies},
        "Tags": [],
    }


def adapter(name="churn-adapter", base="churn-ic", uri=DATA):
    made = component(name, uri=uri)
    made.pop("RuntimeConfig")
    return {**made, "Specification": {"BaseInferenceComponentName": base, "Container": {"ArtifactUrl": uri}}}


def composed(*components, hosts=HOSTS) -> Observed:
    """An endpoint of components as the active region describes it."""
    found = served()
    document = {**found.document, "Config": {"ProductionVariants": [hosts], "Tags": []}, "Models": []}
    return found.model_copy(update={"document": {**document, "Components": list(components)}})


def named(world, component):
    """The policy in force says which component is churn."""
    world.policies.put(POLICY.replace("golden: {uri", f"serving: {{component: {component}}}\n    golden: {{uri", 1))


@pytest.fixture
def sealed(world, context):
    """Churn is protected, and a component serves it in the active region."""
    protect(world, context, promoted(world))
    clients_follow(world)
    world.serving_source.endpoints["churn"] = composed(component())
    world.clock.move(hours=1)
    return world


def predict(world, context):
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/models/churn/invocations",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **TOKEN},
        "requestContext": {"http": {"method": "POST", "path": "/models/churn/invocations"}, "stage": "$default"},
        "body": "[7]",
        "isBase64Encoded": False,
    }
    return gateway.handler(event, context)


def refusal(world):
    return world.serving_captures.refusal(CHURN).reason


# which one answers


def test_the_only_component_is_the_model(sealed, context):
    assert look(sealed, context).component == "churn-ic"


def test_of_several_the_policy_names_the_one_and_the_others_are_not_captured_with_it(sealed, context):
    other = component("fraud-ic", uri="s3://fraud/model.tar.gz")
    sealed.serving_source.endpoints["churn"] = composed(component(), other)
    assert look(sealed, context, expected=["0"]) is None
    assert "has churn-ic, fraud-ic; write the one that answers" in refusal(sealed)
    named(sealed, "churn-ic")
    state = look(sealed, context)
    assert (state.component, [one["InferenceComponentName"] for one in state.document["Components"]]) == (
        "churn-ic",
        ["churn-ic"],
    )


@pytest.mark.parametrize(
    ("observed", "asked", "why"),
    [
        (composed(component()), "another", "has no inference component another in service"),
        (composed(), "", "has none that serves; write the one"),
        (served(), "churn-ic", "take serving.component out of the policy"),
    ],
)
def test_what_cannot_answer_is_refused_by_day(sealed, context, observed, asked, why):
    sealed.serving_source.endpoints["churn"] = observed
    if asked:
        named(sealed, asked)
    assert look(sealed, context, expected=["0"]) is None
    assert why in refusal(sealed)


def test_an_adapter_is_captured_with_its_base_and_made_after_it(sealed, context):
    named(sealed, "churn-adapter")
    sealed.serving_source.endpoints["churn"] = composed(adapter(), component())
    look(sealed, context)
    sealed.clock.move(minutes=1)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    switch = sealed.catalog.takeover(CHURN)
    assert switch.component == f"{switch.endpoint}-c0", "the adapter is the first of the captured ones"
    assert list(sealed.serving.components) == [f"{switch.endpoint}-c1", f"{switch.endpoint}-c0"]


# failover


def test_a_failover_proves_and_serves_the_component_by_its_new_name(sealed, context):
    look(sealed, context)
    sealed.clock.move(minutes=1)
    ended = fail_over(sealed, context)
    assert ended.status == "SUCCEEDED", ended.data.get("error")
    switch = sealed.catalog.takeover(CHURN)
    assert switch.component == f"{switch.endpoint}-c0"
    assert sealed.serving.endpoints[switch.endpoint].counts == {"all": 6, copies_key(switch.component): 3}
    sealed.serving.components[f"{switch.endpoint}-c9"] = "InService"
    answer = predict(sealed, context)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, [7])
    assert answer["headers"]["x-mldr-endpoint"] == switch.endpoint


def test_what_scaled_to_nothing_comes_back_with_one_copy(sealed, context):
    sealed.serving_source.endpoints["churn"] = composed(component(copies=0))
    look(sealed, context)
    sealed.clock.move(minutes=1)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    switch = sealed.catalog.takeover(CHURN)
    assert sealed.serving.endpoints[switch.endpoint].counts[copies_key(switch.component)] == 1


def test_a_failover_waits_until_the_component_is_in_service(sealed, context, monkeypatch):
    look(sealed, context)
    sealed.serving.component_coming = "Creating"
    finish, rounds = sealed.serving.finish, []

    def slowly(plan):
        rounds.append(finish(plan).status)
        if len(rounds) == 2:
            sealed.serving.components = dict.fromkeys(sealed.serving.components, "InService")
        return finish(plan)

    monkeypatch.setattr(sealed.serving, "finish", slowly)
    sealed.clock.move(minutes=1)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    assert rounds == ["Creating", "Creating"]


def test_health_asks_the_golden_question_of_the_component(sealed, context):
    look(sealed, context)
    sealed.clock.move(minutes=1)
    fail_over(sealed, context)
    switch = sealed.catalog.takeover(CHURN)
    sealed.serving.components[f"{switch.endpoint}-c9"] = "InService"
    checked = sealed.deep_health.look(CHURN, switch.endpoint, switch.recovery_point, switch.component)
    assert (checked.healthy, checked.body["golden"]["outcome"]) == (True, "equal")
    checked = sealed.deep_health.look(CHURN, switch.endpoint, switch.recovery_point)
    assert checked.healthy, "what could not be asked is not down"


# standing by


def test_at_a_floor_the_component_stands_with_that_many_copies_and_a_failover_gives_it_the_rest(sealed, context):
    tier(sealed)
    sealed.serving_source.endpoints["churn"] = composed(component(), hosts=MANAGED)
    look(sealed, context)
    for _ in range(3):
        assert due(sealed, context)
    [name] = standing(sealed)
    key = copies_key(f"{name}-c0")
    assert sealed.serving.endpoints[name].counts == {key: 1}, "its instances follow its copies"
    sealed.clock.move(minutes=1)
    assert fail_over(sealed, context).status == "SUCCEEDED"
    assert sealed.catalog.takeover(CHURN).endpoint == name
    assert sealed.serving.endpoints[name].counts == {key: 3}


def test_from_zero_nothing_is_copied_until_a_failover_makes_the_component_and_the_gateway_asks_it(sealed, context):
    tier(sealed, serving="floor: 0")
    sealed.serving_source.endpoints["churn"] = composed(component(), hosts=MANAGED)
    look(sealed, context)
    for _ in range(3):
        assert due(sealed, context)
    [name] = standing(sealed)
    plan = sealed.serving.endpoints[name].plan
    assert (sealed.serving.components, sealed.serving.endpoints[name].counts) == ({}, {})
    assert plan.config["ProductionVariants"][0]["ManagedInstanceScaling"]["MinInstanceCount"] == 0
    sealed.clock.move(minutes=1)
    ended = fail_over(sealed, context)
    assert ended.status == "SUCCEEDED", ended.data.get("error")
    assert "MaterialiseServing" not in ended.path
    switch = sealed.catalog.takeover(CHURN)
    assert (switch.endpoint, switch.component) == (name, f"{name}-c0")
    assert sealed.serving.endpoints[name].counts == {copies_key(f"{name}-c0"): 3}
    answer = predict(sealed, context)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, [7])


def test_the_home_asks_the_component_that_the_policy_names(sealed, context, monkeypatch):
    named(sealed, "churn-ic")
    asked = []
    sealed.serving.endpoints["churn"] = Endpoint()

    def invoke(endpoint, body, content_type, accept="", component=""):
        asked.append((endpoint, component))
        return body, "application/json"

    monkeypatch.setattr(sealed.serving, "invoke", invoke)
    predict(sealed, context)
    assert asked == [("churn", "churn-ic")]


# both regions answer


def test_beside_the_home_it_is_proven_by_its_name_and_counted_by_the_homes(sealed, context):
    sealed.outside.texts["_beside"] = "healthy"
    tier(sealed, "active-active")
    look(sealed, context)
    for _ in range(3):
        due(sealed, context)
    beside = sealed.catalog.leadership(CHURN).beside
    assert beside, "it answers"
    assert beside.component == f"{beside.endpoint}-c0"
    assert beside.counts == {"all": 6, copies_key("churn-ic"): 3}
    answer = predict(sealed, context)
    assert (answer["statusCode"], answer["headers"]["x-mldr-endpoint"]) == (200, beside.endpoint)
