"""Cached predictions: they reach the other region, are used there at once, and bridge while an endpoint is down."""

import contextlib
import http.client
import json
import time

import pytest

from tests.e2e.cloud import ACTIVE, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, artifact, question

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
HOT = (40.0, 2.0, -1.0)
TABLE = "mldr-prod-predictions"


@pytest.fixture(scope="module")
def served(cloud, owner):
    """Serves a model, made of a version of the registry; the version."""

    def serve(name):
        owner.upload(name)
        owner.record_golden(name)
        arn = owner.register(name)
        owner.serve(name, package=arn)
        return arn

    return serve


def ask(cloud, region, model, body, **headers):
    """What a region's gateway answers, whoever is asked by DNS: status, body, headers."""
    host = cloud.outputs(region)["GatewayUrl"].removeprefix("https://")
    port = int(cloud.environment["GATEWAY_TRANSPORT"].partition(":")[2])
    address = cloud.resolver().resolve(host, "A")[0].to_text()
    connection = http.client.HTTPConnection(address, port, timeout=20)
    sent = {"Host": host, "Authorization": f"Bearer {cloud.token()}", "Content-Type": "application/json", **headers}
    with contextlib.closing(connection):
        connection.request("POST", f"/models/{model}/invocations", body, sent)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), {k.lower(): v for k, v in response.getheaders()}


def entries(cloud, region, model):
    """The answers that a region keeps of a model: (version, epoch, answer)."""
    found = cloud.aws("dynamodb", region).query(
        TableName=TABLE, KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"MODEL#sagemaker/{model}"}, ":sk": {"S": "SLOT#"}},
    )["Items"]  # fmt: skip
    abouts = [(json.loads(one["about"]["S"]), one["body"]["B"]) for one in found]
    return [(about["version"], about["epoch"], json.loads(bytes(body))) for about, body in abouts]


def marked(cloud, region, model, body, **headers):
    """The same, once the cache was asked: a busy machine may take longer than a gateway waits for it."""

    def told():
        found = ask(cloud, region, model, body, **headers)
        return found if "x-mldr-cache" in found[2] else None

    return wait_for(f"a word of the cache of {model} in {region}", told, 60, cloud.story)


def kept(cloud, asked, model, body, count=1):
    """Ask a region for new answers until both regions keep so many of the model; those of each."""

    def enough():
        ask(cloud, asked, model, body, **{"Cache-Control": "no-cache"})
        time.sleep(1.5)
        found = [entries(cloud, one, model) for one in (ACTIVE, STANDBY)]
        return found if min(map(len, found)) >= count else None

    return wait_for(f"{count} answers of {model} in both regions", enough, 90, cloud.story)


def test_an_answer_is_remembered_marked_and_reaches_the_standby(cloud, owner, events, served):
    arn = served("memo")
    owner.approve(arn)
    status, body, headers = marked(cloud, ACTIVE, "memo", question(QUESTIONS[0]))
    assert (status, body, headers["x-mldr-cache"]) == (200, answer(QUESTIONS[0]), "miss")
    found = kept(cloud, ACTIVE, "memo", question(QUESTIONS[0]))
    assert found == [[(arn, 0, answer(QUESTIONS[0]))]] * 2
    status, body, headers = marked(cloud, ACTIVE, "memo", b' {"features" : [1,2,3] }')
    assert (status, body, headers["x-mldr-cache"]) == (200, answer(QUESTIONS[0]), "hit")
    assert int(headers["age"]) >= 0
    events.wait("Recovery Point Sealed", "memo", seconds=120)


def test_the_standby_bridges_before_its_endpoint_is_up_and_hits_at_once_after_the_failover(cloud, events, owner):
    events.wait("Recovery Point Sealed", "memo", seconds=120)
    status, body, headers = marked(cloud, STANDBY, "memo", question(QUESTIONS[0]))
    assert (status, body, headers["x-mldr-cache"]) == (200, answer(QUESTIONS[0]), "hit"), "it has no endpoint yet"
    assert ask(cloud, STANDBY, "memo", question(QUESTIONS[1]))[0] == 503
    cloud.tell("Failover Requested", {"model": "sagemaker/memo", "reason": "exercise", "failover_id": "memo-1"})
    (told, *_) = events.wait("Failover Completed", "memo", seconds=120)
    assert told["outcome"] == "completed", told["reason"]
    status, body, headers = marked(cloud, STANDBY, "memo", question(QUESTIONS[0]))
    assert (status, body, headers["x-mldr-cache"]) == (200, answer(QUESTIONS[0]), "hit")
    assert (headers["x-mldr-region"], headers["x-mldr-endpoint"]) == (
        STANDBY,
        cloud.catalog.takeover(key("memo")).endpoint,
    )
    assert marked(cloud, STANDBY, "memo", question(QUESTIONS[1]))[2]["x-mldr-cache"] == "miss"


def test_what_the_new_holder_answers_goes_home_and_the_old_one_answers_no_more(cloud, owner):
    found, _ = kept(cloud, STANDBY, "memo", question(QUESTIONS[1]), 2)
    assert {(epoch, one["score"]) for _, epoch, one in found} == {
        (0, answer(QUESTIONS[0])["score"]),
        (1, answer(QUESTIONS[1])["score"]),
    }
    assert len({version for version, _, _ in found}) == 1, "both regions name the version alike"

    def stood_down():
        ask_health(cloud)
        status, _, headers = ask(cloud, ACTIVE, "memo", question(QUESTIONS[0]))
        return status == 503 and "x-mldr-cache" not in headers

    wait_for("the old holder stands down", stood_down, 60, cloud.story)


def ask_health(cloud):
    """What Route 53's checkers do, too: it makes a gateway ask its peer."""
    host = cloud.outputs(ACTIVE)["GatewayUrl"].removeprefix("https://")
    port = int(cloud.environment["GATEWAY_TRANSPORT"].partition(":")[2])
    connection = http.client.HTTPConnection(cloud.resolver().resolve(host, "A")[0].to_text(), port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/models/memo/health", headers={"Host": host})
        connection.getresponse().read()


def test_a_new_version_is_never_answered_from_the_old_ones_entries(cloud, owner, served):
    first = served("flash")
    asked = question(QUESTIONS[0])
    kept(cloud, ACTIVE, "flash", asked)
    owner.upload("flash", artifact(HOT))
    second = owner.register("flash")
    sagemaker = cloud.aws("sagemaker", ACTIVE)
    sagemaker.create_model(
        ModelName="flash-2", ExecutionRoleArn="arn:aws:iam::123456789012:role/e2e-serving",
        PrimaryContainer={"ModelPackageName": second},
    )  # fmt: skip
    variant = {"VariantName": "all", "ModelName": "flash-2", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="flash-2", ProductionVariants=[variant])
    sagemaker.update_endpoint(EndpointName="flash", EndpointConfigName="flash-2")
    hot = {"score": sum(x * w for x, w in zip(QUESTIONS[0], HOT, strict=True))}

    def updated():
        ask(cloud, ACTIVE, "flash", asked)
        return sagemaker.describe_endpoint(EndpointName="flash")["EndpointStatus"] == "InService"

    wait_for("the new version is in service", updated, 60, cloud.story)
    time.sleep(6)  # a look counts for five seconds
    assert {ask(cloud, ACTIVE, "flash", asked)[1]["score"] for _ in range(5)} == {hot["score"]}
    truth = {first: answer(QUESTIONS[0]), second: hot}

    def renewed():
        ask(cloud, ACTIVE, "flash", asked)
        found = entries(cloud, STANDBY, "flash")
        assert all(one == truth[version] for version, _, one in found)
        return found and found[0][0] == second

    wait_for("the standby has the new version's answer", renewed, 60, cloud.story)


def test_a_stale_answer_stands_in_while_the_endpoint_is_gone(cloud):
    asked = question(QUESTIONS[0])
    kept(cloud, ACTIVE, "flash", asked)
    assert marked(cloud, ACTIVE, "flash", asked)[0] == 200
    cloud.aws("sagemaker", ACTIVE).delete_endpoint(EndpointName="flash")
    time.sleep(1.5)
    status, body, headers = marked(cloud, ACTIVE, "flash", asked)
    assert (status, headers["x-mldr-cache"]) == (200, "stale")
    assert int(headers["age"]) >= 1
    assert body["score"] != answer(QUESTIONS[0])["score"]
    assert ask(cloud, ACTIVE, "flash", question(QUESTIONS[2]))[0] == 503
    assert ask(cloud, ACTIVE, "flash", asked, **{"Cache-Control": "no-store"})[0] == 503
