"""Images, PolicyStore, Workflows, Bus, Pager and Tokens: one suite each, on memory and on AWS."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mldr.aws.bus import EventBus
from mldr.aws.clock import SystemClock
from mldr.aws.images import EcrImages
from mldr.aws.pager import SnsPager
from mldr.aws.policy_store import FRESH, S3PolicyStore
from mldr.aws.tokens import FRESH as TOKEN_FRESH
from mldr.aws.tokens import SecretToken
from mldr.aws.workflows import StepFunctions
from mldr.domain.images import parse_image
from mldr.errors import BadPolicy, BadSettings, NotAllowed, RegionUnreachable, Throttled
from tests.contract.conftest import ACCOUNT, ACTIVE, STANDBY
from tests.fakes.bus import FakeBus
from tests.fakes.clock import FakeClock
from tests.fakes.images import FakeImages
from tests.fakes.pager import FakePager
from tests.fakes.policies import FakePolicies
from tests.fakes.tokens import FakeTokens
from tests.fakes.workflows import FakeWorkflows
from tests.fakes.world import POLICY, START


def refused(code, status=400):
    """A call that AWS refuses."""

    def refuse(**_):
        error = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(error, "Call")  # type: ignore[arg-type]

    return refuse


# images


class Ecr:
    """Pushes through the API."""

    def __init__(self, moto):
        self.moto = moto
        self.images = EcrImages(lambda region: moto.client("ecr", region))

    def push(self, region, repository, tag):
        ecr = self.moto.client("ecr", region)
        ecr.create_repository(repositoryName=repository)
        layer = {"mediaType": "x", "size": 1, "digest": "sha256:" + "c" * 64}
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "mldr-config": layer,
            "layers": [layer],
        }
        put = ecr.put_image(repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest))
        return put["image"]["imageId"]["imageDigest"]


class Memory:
    """Pushes into memory."""

    def __init__(self):
        self.images = FakeImages()

    def push(self, region, repository, tag):
        digest = "sha256:" + "a" * 64
        self.images.push(region, repository, tag, digest)
        return digest


@pytest.fixture(params=["memory", "moto"])
def ecr(request):
    return Memory() if request.param == "memory" else Ecr(request.getfixturevalue("moto"))


def image(rest, region=ACTIVE):
    return parse_image(f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{rest}")


def test_an_image_is_found_by_tag_and_by_digest(ecr):
    digest = ecr.push(ACTIVE, "team/churn", "1")
    assert ecr.images.digest(image("team/churn:1")) == digest
    assert ecr.images.digest(image(f"team/churn@{digest}")) == digest


def test_an_image_without_a_tag_is_the_latest(ecr):
    digest = ecr.push(ACTIVE, "churn", "latest")
    assert ecr.images.digest(image("churn")) == digest


@pytest.mark.parametrize("rest", ["churn:2", "nowhere:1", "churn@sha256:" + "d" * 64])
def test_an_image_that_is_not_there_is_none(ecr, rest):
    ecr.push(ACTIVE, "churn", "1")
    assert ecr.images.digest(image(rest)) is None


def test_an_image_of_one_region_is_not_in_the_other(ecr):
    ecr.push(ACTIVE, "churn", "1")
    assert ecr.images.digest(image("churn:1", STANDBY)) is None


# policies


class S3Policy:
    """The policy as an object."""

    def __init__(self, moto):
        moto.bucket("mldr-config")
        self.s3 = moto.client("s3")
        self.store = S3PolicyStore(self.s3, location="s3://mldr-config/policy.yaml")

    def put(self, text):
        self.s3.put_object(Bucket="mldr-config", Key="policy.yaml", Body=text.encode())


class MemoryPolicy:
    """The policy in memory."""

    def __init__(self):
        self.store = FakePolicies(None)

    def put(self, text):
        self.store.put(text)


@pytest.fixture(params=["memory", "moto"])
def policy(request):
    return MemoryPolicy() if request.param == "memory" else S3Policy(request.getfixturevalue("moto"))


def test_the_policy_is_loaded_with_its_version(policy):
    policy.put(POLICY)
    loaded, version = policy.store.load()
    assert loaded.regions == (ACTIVE, STANDBY)
    assert version
    assert policy.store.load() == (loaded, version)


def test_a_policy_that_nobody_uploaded_is_a_mistake_with_advice(policy):
    with pytest.raises(BadPolicy, match="does not exist: copy one there"):
        policy.store.load()


def test_a_policy_with_mistakes_names_each(policy):
    policy.put("version: 3\nregions: [nowhere]\n")
    with pytest.raises(BadPolicy) as caught:
        policy.store.load()
    assert len(caught.value.mistakes) >= 2


def test_a_mended_policy_is_loaded_at_once(policy):
    policy.put("version: 3\n")
    with pytest.raises(BadPolicy):
        policy.store.load()
    policy.put(POLICY)
    assert policy.store.load()[0].version == 1


@pytest.fixture
def stored(moto, monkeypatch):
    """A policy in S3, the calls that read it, and a clock to move."""
    made = S3Policy(moto)
    made.put(POLICY)
    made.calls, made.now = [], [1000.0]
    get = made.s3.get_object

    def counted(**arguments):
        made.calls.append(arguments)
        return get(**arguments)

    monkeypatch.setattr(made.s3, "get_object", counted)
    monkeypatch.setattr("mldr.aws.policy_store.time.monotonic", lambda: made.now[0])
    return made


def test_a_loaded_policy_is_used_for_a_minute_without_asking(stored):
    stored.store.load()
    stored.now[0] += FRESH
    stored.store.load()
    assert len(stored.calls) == 1


def test_an_unchanged_policy_is_asked_for_by_its_etag_and_kept(stored):
    first = stored.store.load()
    stored.now[0] += FRESH + 1
    assert stored.store.load() == first
    assert stored.calls[1]["IfNoneMatch"] == stored.s3.head_object(Bucket="mldr-config", Key="policy.yaml")["ETag"]
    stored.now[0] += 1
    stored.store.load()
    assert len(stored.calls) == 2


def test_a_changed_policy_is_in_force_after_a_minute(stored):
    _, before = stored.store.load()
    stored.put(POLICY.replace("churn", "fraud"))
    stored.now[0] += FRESH + 1
    policy, version = stored.store.load()
    assert version != before
    assert policy.models[0].match == "sagemaker/fraud"


def test_a_policy_bucket_that_may_not_be_read_is_not_a_missing_policy(stored, monkeypatch):
    monkeypatch.setattr(stored.s3, "get_object", refused("AccessDenied", 403))
    with pytest.raises(NotAllowed, match="read the policy"):
        stored.store.load()


def test_a_policy_is_not_lost_when_s3_answers_something_new(stored, monkeypatch):
    monkeypatch.setattr(stored.s3, "get_object", refused("SomethingNew", 409))
    with pytest.raises(ClientError, match="SomethingNew"):
        stored.store.load()


# workflows


@pytest.fixture(params=["memory", "moto"])
def workflows(request) -> Any:
    return FakeWorkflows() if request.param == "memory" else protect_machine(request.getfixturevalue("moto"))


def protect_machine(moto):
    states = moto.client("stepfunctions")
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    made = states.create_state_machine(name="protect", definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/x")
    return StepFunctions(states, state_machine_arn=made["stateMachineArn"])


def test_a_started_execution_runs(workflows):
    assert workflows.status("churn-v1-1") is None
    workflows.start("churn-v1-1", {"model": "sagemaker/churn"})
    assert workflows.status("churn-v1-1") == "RUNNING"


def test_what_an_execution_was_given_is_told_as_it_was(workflows):
    assert workflows.given("churn-v1-1") is None
    payload = {"model": "sagemaker/churn", "first_failure_at": None, "poll_seconds": 15}
    workflows.start("churn-v1-1", payload)
    assert workflows.given("churn-v1-1") == payload


def test_starting_the_same_name_again_is_harmless(workflows):
    for payload in ({"attempt": 1}, {"attempt": 1}, {"attempt": 2}):
        workflows.start("churn-v1-1", payload)
    assert workflows.status("churn-v1-1") == "RUNNING"


def test_an_execution_that_ended_does_not_run(moto):
    workflows = protect_machine(moto)
    workflows.start("churn-v1-1", {})
    arn = workflows._arn.replace(":stateMachine:", ":execution:") + ":churn-v1-1"
    moto.client("stepfunctions").stop_execution(executionArn=arn)
    assert workflows.status("churn-v1-1") == "LOST"


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ({"status": "SUCCEEDED"}, "SUCCEEDED"),
        ({"status": "FAILED", "error": "FailoverFailed"}, "FAILED"),
        ({"status": "FAILED", "error": "ProtectionFailed"}, "FAILED"),
        ({"status": "FAILED", "error": "Throttled"}, "LOST"),
        ({"status": "FAILED"}, "LOST"),
        ({"status": "TIMED_OUT"}, "LOST"),
    ],
)
def test_only_an_execution_that_concluded_its_failure_has_failed(moto, monkeypatch, found, status):
    states = moto.client("stepfunctions")
    monkeypatch.setattr(states, "describe_execution", lambda **_: found)
    assert StepFunctions(states, state_machine_arn="arn:aws:states:x:1:stateMachine:failover").status("x") == status


@pytest.mark.parametrize("call", ["start", "status", "given"])
def test_a_refusal_that_means_something_else_is_not_swallowed(moto, monkeypatch, call):
    states = moto.client("stepfunctions")
    workflows = StepFunctions(states, state_machine_arn="arn:aws:states:x:1:stateMachine:protect")
    for name in ("start_execution", "describe_execution"):
        monkeypatch.setattr(states, name, refused("StateMachineDoesNotExist"))
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        workflows.start("x", {}) if call == "start" else getattr(workflows, call)("x")


# bus


class Eventbridge:
    """A bus whose events land in a queue."""

    def __init__(self, moto):
        events, self.sqs = moto.client("events"), moto.client("sqs")
        events.create_event_bus(Name="mldr")
        self.queue = self.sqs.create_queue(QueueName="heard")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="all", EventBusName="mldr", EventPattern=json.dumps({"source": ["mldr"]}))
        events.put_targets(Rule="all", EventBusName="mldr", Targets=[{"Id": "heard", "Arn": arn}])
        self.bus = EventBus(events, name="mldr")

    def heard(self):
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
        events = [json.loads(one["Body"]) for one in found]
        return [(one["detail-type"], one["detail"]) for one in events]


class MemoryBus:
    """A bus in memory."""

    def __init__(self):
        self.bus = FakeBus()

    def heard(self):
        return self.bus.events


@pytest.fixture(params=["memory", "moto"])
def bus(request):
    return MemoryBus() if request.param == "memory" else Eventbridge(request.getfixturevalue("moto"))


def test_a_published_event_is_heard_with_its_detail(bus):
    bus.bus.put("Failover Requested", {"model": "sagemaker/churn", "reason": "Überlast"})
    assert bus.heard() == [("Failover Requested", {"model": "sagemaker/churn", "reason": "Überlast"})]


def test_an_event_that_was_not_taken_is_tried_again(moto, monkeypatch):
    """PutEvents answers 200 and says in the entry that it failed."""
    events = moto.client("events")
    failed = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "busy"}]}
    monkeypatch.setattr(events, "put_events", lambda **_: failed)
    with pytest.raises(Throttled, match="busy"):
        EventBus(events, name="mldr").put("Failover Requested", {})


def test_a_bus_of_a_region_that_is_gone_is_unreachable(moto, monkeypatch):
    events = moto.client("events")
    monkeypatch.setattr(events, "put_events", refused("ServiceUnavailable", 503))
    with pytest.raises(RegionUnreachable, match="publish Failover Requested"):
        EventBus(events, name="mldr").put("Failover Requested", {})


# pager


def pages_of(moto, monkeypatch):
    sns, sent = moto.client("sns"), []
    topic = sns.create_topic(Name="pages")["TopicArn"]
    publish = sns.publish

    def noted(**arguments):
        sent.append((arguments["Subject"], arguments["Message"]))
        return publish(**arguments)

    monkeypatch.setattr(sns, "publish", noted)
    return SnsPager(sns, topic_arn=topic), sent


@pytest.fixture(params=["memory", "moto"])
def pager(request, monkeypatch) -> Any:
    if request.param == "memory":
        made = FakePager()
        return made, made.pages
    return pages_of(request.getfixturevalue("moto"), monkeypatch)


def test_a_page_arrives(pager):
    paging, sent = pager
    paging.page("mldr: churn unknown", "two lines\nof text")
    assert sent == [("mldr: churn unknown", "two lines\nof text")]


def test_a_subject_that_sns_would_refuse_is_made_fit(moto, monkeypatch):
    paging, sent = pages_of(moto, monkeypatch)
    paging.page("mldr: Ünïcode " + "x" * 200, "text")
    [(subject, _)] = sent
    assert len(subject) == 100
    assert subject.isascii()


# tokens


@pytest.fixture(params=["memory", "moto"])
def tokens(request) -> Any:
    if request.param == "memory":
        return FakeTokens("right-token")
    secrets = request.getfixturevalue("moto").client("secretsmanager")
    secrets.create_secret(Name="mldr/test/gateway-token", SecretString="right-token")
    return SecretToken(secrets, name="mldr/test/gateway-token")


@pytest.mark.parametrize(
    ("presented", "valid"),
    [("right-token", True), ("wrong", False), ("", False), ("right-token ", False), ("ü", False)],
)
def test_only_the_right_token_is_valid(tokens, presented, valid):
    assert tokens.valid(presented) is valid


def test_the_token_is_presented_as_it_is(tokens):
    assert tokens.present() == "right-token"


def test_a_secret_that_is_not_there_says_who_makes_it(moto):
    with pytest.raises(BadSettings, match="the DnsOwner's stack"):
        SecretToken(moto.client("secretsmanager"), name="absent").present()


def test_a_rotated_token_is_seen_after_a_while(moto, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("mldr.aws.tokens.time.monotonic", lambda: now[0])
    secrets = moto.client("secretsmanager")
    secrets.create_secret(Name="t", SecretString="old")
    tokens = SecretToken(secrets, name="t")
    assert tokens.valid("old")
    secrets.put_secret_value(SecretId="t", SecretString="new")
    assert not tokens.valid("new")
    now[0] += TOKEN_FRESH + 1
    assert (tokens.valid("new"), tokens.valid("old")) == (True, False)


# clock


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock(START)], ids=["system", "memory"])
def test_a_clock_tells_utc(clock):
    assert clock.now().utcoffset().total_seconds() == 0
