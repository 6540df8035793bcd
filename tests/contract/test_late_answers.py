"""What proves asynchronous endpoints: questions through the vault, answers from where their owner has them."""

import datetime as dt
import hashlib
import json
import re
from pathlib import Path

import pytest

from localcloud.deploy.translate import load
from mldr.aws.late_answers import SageMakerLateAnswers
from mldr.domain.late_answers import LATEST, PARAMETER, PLACE, Sent, unread
from mldr.errors import EndpointFailed, NotAllowed, RequestRefused
from tests.contract.conftest import STANDBY
from tests.contract.test_serving import PLAN, on_sagemaker, refused
from tests.fakes.clock import FakeClock
from tests.fakes.serving import FakeLateAnswers, FakeServing

ROOT = Path(__file__).parents[2]
START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
PLACES = {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://answers/churn"}}}
LATE = PLAN.model_copy(update={"name": "late", "config": {**PLAN.config, **PLACES}})


class Stage:
    """An adapter or its fake, the clock that it reads, and the vault's bucket if it has one."""

    def __init__(self, serving, made, clock, s3=None):
        self.serving, self.late, self.clock, self.s3 = serving, made, clock, s3


def on_aws(moto):
    clock, s3 = FakeClock(START), moto.client("s3")
    s3.create_bucket(Bucket="vault", CreateBucketConfiguration={"LocationConstraint": STANDBY})
    made = SageMakerLateAnswers(
        lambda: moto.client("sagemaker"), lambda: moto.client("sagemaker-runtime"), lambda: s3, clock, bucket="vault"
    )
    return Stage(on_sagemaker(moto), made, clock, s3)


@pytest.fixture(params=["fake", "moto"])
def stage(request):
    if request.param == "moto":
        return on_aws(request.getfixturevalue("moto"))
    serving, clock = FakeServing(), FakeClock(START)
    return Stage(serving, FakeLateAnswers(serving, clock), clock)


@pytest.fixture
def aws(moto):
    return on_aws(moto)


def test_an_asynchronous_endpoint_is_known_by_its_configuration(stage):
    stage.serving.restore(PLAN)
    stage.serving.restore(LATE)
    assert [stage.late.asynchronous(name) for name in ("late", PLAN.name, "nobody")] == [True, False, False]


def test_a_question_is_answered_later(stage):
    stage.serving.restore(LATE)
    sent = stage.late.ask("late", b"[1]", "application/json")
    assert (sent.endpoint, sent.at) == ("late", START)
    looks = [stage.late.answer(sent) for _ in range(3)]
    assert isinstance(json.loads(looks[-1]), list | dict)


def test_an_inference_service_answers_at_once(aws):
    assert not aws.late.asynchronous("kserve://prod/models/churn")


def test_a_question_is_a_working_file_of_the_vault(aws, moto):
    aws.serving.restore(LATE)
    aws.late.ask("late", b"[1]", "application/json")
    [held] = aws.s3.list_objects_v2(Bucket="vault")["Contents"]
    assert held["Key"].startswith("in-progress/questions/late/")
    assert aws.s3.get_object(Bucket="vault", Key=held["Key"])["Body"].read() == b"[1]"


def test_its_owner_can_tell_a_golden_question(aws, moto, monkeypatch):
    asked = taking(moto, monkeypatch, OutputLocation="s3://answers/churn/1.out")
    assert aws.late.ask("late", b"[1]", "application/json").output == "s3://answers/churn/1.out"
    [told] = [one["InferenceId"] for one in asked]
    assert told == f"mldr-golden-{hashlib.sha256(b'[1]').hexdigest()[:16]}-20260301T120000Z"
    assert len(told) <= 64, "API_runtime_InvokeEndpointAsync"


def test_an_endpoint_that_writes_nowhere_is_told_what_it_lacks(aws, moto, monkeypatch):
    taking(moto, monkeypatch, InferenceId="1")
    with pytest.raises(RequestRefused, match="set S3OutputPath"):
        aws.late.ask("late", b"[1]", "application/json")


def taking(moto, monkeypatch, **answer):
    """Every request is taken, and answered so; returns the requests."""
    asked = []
    monkeypatch.setattr(
        moto.client("sagemaker-runtime"), "invoke_endpoint_async", lambda **one: asked.append(one) or answer
    )
    return asked


def sent_to(aws, failure=""):
    aws.s3.create_bucket(Bucket="answers", CreateBucketConfiguration={"LocationConstraint": STANDBY})
    return Sent(endpoint="late", output="s3://answers/churn/1.out", failure=failure, at=START)


def test_what_is_not_there_is_waited_for_and_not_for_ever(aws):
    sent = sent_to(aws, failure="s3://answers/failed/1.out")
    aws.clock.move(seconds=LATEST.total_seconds())
    assert aws.late.answer(sent) is None
    aws.clock.move(seconds=1)
    told = r"wrote no answer to s3://answers/churn/1\.out since 12:00:00, or it may not be read.*its role.*AnswerPlaces"
    with pytest.raises(EndpointFailed, match=told):
        aws.late.answer(sent)
    aws.s3.put_object(Bucket="answers", Key="churn/1.out", Body=b"[2]")
    assert aws.late.answer(sent) == b"[2]", "late is not too late"


def test_a_failure_says_what_the_container_said(aws):
    sent = sent_to(aws, failure="s3://answers/failed/1.out")
    aws.s3.put_object(Bucket="answers", Key="failed/1.out", Body=b"no such feature")
    with pytest.raises(EndpointFailed, match="no such feature"):
        aws.late.answer(sent)


def test_without_a_place_for_failures_none_is_looked_for(aws):
    assert aws.late.answer(sent_to(aws)) is None


@pytest.mark.parametrize("message", ["Access Denied", 'may not s3:ListBucket on "arn:aws:s3:::team-kms/kms/keys"'])
def test_what_a_role_may_not_list_looks_forbidden_while_it_is_not_there_and_the_end_names_both(
    aws, monkeypatch, message
):
    sent = sent_to(aws)
    monkeypatch.setattr(aws.s3, "get_object", refused("GetObject", "AccessDenied", message, status=403))
    assert aws.late.answer(sent) is None
    aws.clock.move(seconds=LATEST.total_seconds() + 1)
    with pytest.raises(EndpointFailed, match=r"wrote no answer .* or it may not be read"):
        aws.late.answer(sent)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("AccessDenied", "User: mldr is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:b:1:key/k"),
        ("AccessDenied", "The ciphertext refers to a customer master key that does not exist"),
        ("KMS.AccessDeniedException", "no"),
    ],
)
def test_an_answer_that_may_not_be_decrypted_is_not_waited_for(aws, monkeypatch, error, message):
    """S3 asks for its key only of an object that is there."""
    sent = sent_to(aws)
    monkeypatch.setattr(aws.s3, "get_object", refused("GetObject", error, message, status=403))
    with pytest.raises(NotAllowed, match=r"let the role of verify_serving kms:Decrypt in the policy of that key"):
        aws.late.answer(sent)


def test_a_bucket_that_is_not_there_is_told(aws):
    with pytest.raises(EndpointFailed, match="cannot be read"):
        aws.late.answer(Sent(endpoint="late", output="s3://nowhere/1.out", at=START))


@pytest.mark.parametrize(
    ("error", "status", "raised"),
    [("ValidationError", 400, RequestRefused), ("AccessDeniedException", 403, NotAllowed)],
)
def test_a_request_that_is_not_taken_says_why(aws, moto, monkeypatch, error, status, raised):
    answer = refused("InvokeEndpointAsync", error, status=status)
    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint_async", answer)
    with pytest.raises(raised, match="late"):
        aws.late.ask("late", b"[1]", "application/json")


@pytest.mark.parametrize(
    ("uri", "places", "hidden"),
    [
        ("s3://answers", "answers", False),
        ("s3://answers/churn/", "other, answers", False),
        ("s3://answers/churn/late", "answers/churn", False),
        ("s3://answers/churn", "answers/churn/", True),
        ("s3://answers/churn", "answers/", True),
        ("s3://answers//churn", "answers/", True),
        ("s3://answers/churn", "s3://answers", True),
        ("s3://answers/churn-2", "answers/churn", True),
        ("s3://answers-2/churn", "answers", True),
        ("s3://answers/", "answers/churn", True),
        ("s3://answers/", "-", True),
        ("s3://answers/", "", True),
    ],
)
def test_a_place_is_a_bucket_or_a_folder_of_one(uri, places, hidden):
    assert bool(unread([uri], places)) == hidden


def test_the_template_takes_the_places_that_the_capture_takes():
    """`bucket/` would make the role's resource `bucket//*`, where nothing is read."""
    [parameter] = [one for name, one in load(ROOT / "template.yaml")["Parameters"].items() if name == PARAMETER]
    assert parameter["AllowedPattern"] == f"^(-|{PLACE})$"
    accepted = re.compile(parameter["AllowedPattern"])
    assert all(accepted.fullmatch(one) for one in (parameter["Default"], "answers", "my.answers-2/a_b/c"))
    wrong = ("", "answers/", "answers//churn", "answers/*", "*", "s3://answers", "answers/${aws:x}", "a", "answers/c/")
    assert not [one for one in wrong if accepted.fullmatch(one)]
