"""A witness in a third region: what one region alone cannot see moves nothing, and what two see fail is down."""

import io
import zipfile

import pytest

from mldr.aws.decisions import DynamoDecisions
from mldr.domain.health import Sight
from mldr.domain.recovery_point import Phase
from tests.e2e.cloud import ACTIVE, GLOBAL, QUICK, ROOT, STANDBY, key, running, wait_for
from tests.e2e.inbox import Events, Pages
from tests.e2e.owner import QUESTIONS, Owner, answer, question

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

WITNESS = "eu-west-1"
MODEL = "sentry"
POLICY = f"""
version: 1
regions: [{ACTIVE}, {STANDBY}]
defaults:
  health: {{consecutive_failures: 2}}
models:
  - match: sagemaker/{MODEL}
    golden: {{uri: "s3://e2e-models/{MODEL}/golden.jsonl"}}
    failover: {{mode: automatic}}
"""
LINE = '''
"""decide_failover behind a cut line: nothing that it sends to one host arrives."""
import whole
from mldr.aws.outside import PublicNetwork

reach = PublicNetwork._connection

def behind_the_cut(self, host, *more):
    if host == "{host}":
        raise ConnectionRefusedError(111, "Connection refused")
    return reach(self, host, *more)

PublicNetwork._connection = behind_the_cut
handler = whole.handler
'''


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Three regions, and one model that two of them serve and protect."""
    home = tmp_path_factory.mktemp("witnessed")
    policy = home / "policy.yaml"
    policy.write_text(POLICY)
    with running(home, policy, QUICK, "--witness", WITNESS) as cloud:
        publish(cloud)
        yield cloud


@pytest.fixture(scope="module")
def told(watched):
    """What is said on the standby's bus."""
    return Events(watched)


@pytest.fixture(scope="module")
def paged(watched):
    """What reaches the person on call."""
    return Pages(watched)


def publish(cloud):
    owner = Owner(cloud)
    owner.move_in()
    owner.publish(MODEL)
    wait_for("it is sealed", lambda: sealed(cloud), 90, lambda: cloud.story(MODEL))
    wait_for("all three see it work", lambda: saying(cloud, "route53: healthy", "witness: healthy"), 90, cloud.story)


def sealed(cloud):
    """Whether there is a sealed point."""
    return any(one.phase is Phase.SEALED for one in cloud.catalog.records(key(MODEL)))


def decisions(cloud):
    """The lines about the model, the oldest first."""
    kept = DynamoDecisions(cloud.aws("dynamodb"), table=cloud.outputs(STANDBY)["CatalogTableName"])
    return kept.newest(key(MODEL), 100)[::-1]


def saying(cloud, *parts):
    """The newest state of health, once its reason holds all of these."""
    state = cloud.catalog.health(key(MODEL))
    return state if all(part in state.reason for part in parts) else None


def host_of(cloud, region):
    return cloud.outputs(region)["GatewayUrl"].removeprefix("https://")


def put_code(cloud, **files):
    """Give the standby's watch other code."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    name = "mldr-prod-decide-failover"
    cloud.aws("lambda").update_function_code(FunctionName=name, ZipFile=packed.getvalue())


def blind_route53(cloud):
    """Take away the name by which the watch reads Route 53's verdict."""
    route53 = cloud.aws("route53", GLOBAL)
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    held = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    changes = [
        {"Action": "DELETE", "ResourceRecordSet": one} for one in held if one["Name"].startswith(f"_health.{MODEL}.")
    ]
    assert len(changes) == 2
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def nothing_moved(cloud, told):
    """Whether nobody asked for a failover and the clients are where they were."""
    return (
        told.of("Failover Requested", MODEL) == []
        and cloud.catalog.epoch(key(MODEL)) is None
        and cloud.target(MODEL) == ACTIVE
    )


def rounds_in_doubt(cloud, *parts):
    """The state of health once so many rounds in a row told nothing, for these reasons."""

    def enough():
        state = saying(cloud, *parts)
        return state if state and state.unknown_rounds >= 5 else None

    return wait_for(f"5 rounds in doubt: {parts}", enough, 90, cloud.story)


def test_the_witness_stands_in_a_region_of_its_own_and_keeps_nothing(watched):
    assert watched.outputs(WITNESS)["GatewayTokenName"] == "mldr/witness/gateway-token"
    assert watched.aws("dynamodb", WITNESS).scan(TableName="mldr-witness-catalog")["Count"] == 0


def test_what_only_the_standby_does_not_reach_moves_nothing(watched, told, paged):
    """The line from the standby to the home is cut; the witness and Route 53's checkers see the model work."""
    whole = (ROOT / "functions/decide_failover/app.py").read_text()
    put_code(watched, whole=whole, app=LINE.format(host=host_of(watched, ACTIVE)))
    state = rounds_in_doubt(watched, "route53: healthy", "standby: unhealthy", "witness: healthy")
    assert state.verdict is Sight.UNKNOWN
    assert nothing_moved(watched, told)
    assert "witness: healthy" in paged.wait(MODEL, "unknown")["Message"]


def test_nor_does_it_when_the_witness_is_the_only_one_left_that_sees_it_work(watched, told):
    blind_route53(watched)
    rounds_in_doubt(watched, "route53: unknown", "standby: unhealthy", "witness: healthy")
    assert nothing_moved(watched, told)


def test_once_the_witness_agrees_the_standby_takes_over(watched, told):
    """The home is really gone. Route 53's verdict still cannot be read: two of three are the quorum."""
    watched.fail(ACTIVE)
    (done,) = told.wait("Failover Completed", MODEL, seconds=120)
    assert done["outcome"] == "completed", done["reason"]
    acted = [line for line in decisions(watched) if line.action == "fail over"]
    assert [line.verdict for line in acted] == [Sight.UNHEALTHY]
    assert "standby: unhealthy" in acted[0].reason
    assert "witness: unhealthy" in acted[0].reason
    assert "route53: unknown" in acted[0].reason
    wait_for("clients arrive", lambda: watched.ask(MODEL, question(QUESTIONS[0]))[2] == STANDBY, 60, watched.story)
    assert watched.ask(MODEL, question(QUESTIONS[0]))[:2] == (200, answer(QUESTIONS[0]))


def test_every_doubt_stands_in_the_log_with_its_reason(watched):
    lines = decisions(watched)
    doubts = [line for line in lines if line.verdict is Sight.UNKNOWN]
    assert any("standby: unhealthy" in one.reason and "witness: healthy" in one.reason for one in doubts)
    assert all(line.action != "fail over" for line in doubts)
