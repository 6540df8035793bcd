"""`mldr status`, `protect`, `failover` and `policy`: what they say, what they send, and how they end."""

import json

import boto3
import pytest

from cli import protect
from cli.executions import entered
from cli.regions import Place
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.growth import Growth
from mldr.domain.leadership import Beside
from mldr.domain.recovery_point import UNANNOUNCED, Phase
from mldr.domain.setbacks import Hindrance, Setback
from mldr.domain.survivor import Survivor
from mldr.registries.sagemaker import SOURCE_ARN
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, aws, keep, point, register, run, told, two_stacks


@pytest.fixture(autouse=True)
def stage(monkeypatch, tmp_path):
    with two_stacks(monkeypatch, tmp_path, columns=120):
        yield


class TestStatus:
    def test_a_sealed_point_is_shown_and_the_exit_code_is_0(self):
        keep(point())
        ended = run("status", "churn")
        assert ended.exit_code == 0
        assert "sagemaker/churn can be recovered in ap-southeast-3" in ended.stdout
        assert "v1-aaa" in ended.stdout

    def test_json_has_at_least_the_agreed_fields(self):
        keep(point())
        found = json.loads(run("status", "churn", "--json").stdout)
        assert found["model"] == "sagemaker/churn"
        assert (found["phase"], found["recovery_point"], found["restorable"]) == ("SEALED", "v1-aaa", True)
        assert (found["objects"], found["bytes"], found["reason"]) == (3, 2048, "")
        assert (found["sealed_at"], found["rpo_seconds"]) == ("2026-01-31T12:00:42+00:00", 42.0)
        assert found["region"] == STANDBY

    def test_the_newest_promotion_is_shown_also_when_an_older_one_can_be_recovered(self):
        keep(point(), point("v2-bbb", Phase.FAILED, 5, reason="MissingArtifact: it is gone"))
        ended = run("status", "churn", "--json")
        found = json.loads(ended.stdout)
        assert (found["recovery_point"], found["restorable"], found["recoverable"]) == ("v2-bbb", False, "v1-aaa")
        assert [one["recovery_point"] for one in found["points"]] == ["v2-bbb", "v1-aaa"]
        assert ended.exit_code == 0
        assert "it is gone" in run("status", "churn").stdout

    @pytest.mark.parametrize("phase", [Phase.CAPTURING, Phase.COPYING, Phase.VERIFYING, Phase.FAILED])
    def test_without_a_restorable_point_the_exit_code_is_1(self, phase):
        keep(point(phase=phase))
        assert run("status", "churn").exit_code == 1

    def test_a_withdrawn_point_is_not_restorable(self):
        keep(point(withdrawn="the registry says Rejected"))
        ended = run("status", "churn")
        assert ended.exit_code == 1
        assert "the registry says Rejected" in ended.stdout

    def test_an_unknown_model_ends_with_1_and_advice(self):
        ended = run("status", "churn")
        assert ended.exit_code == 1
        assert "sagemaker/churn was never captured" in ended.stderr
        assert "mldr protect churn" in ended.stderr

    def test_who_serves_is_shown(self):
        keep(point())
        catalog = Place(STANDBY, "prod").catalog
        epoch = Epoch(number=1, failover_id="f1", region=STANDBY, recovery_point="v1-0", claimed_at=NOON)
        catalog.claim(MODEL, epoch, None)
        catalog.flip(MODEL, Takeover(epoch=1, endpoint="churn-e1", recovery_point="v1-aaa", flipped_at=NOON), epoch)
        found = json.loads(run("status", "churn", "--json").stdout)
        assert found["epoch"]["failover_id"] == "f1"
        assert found["takeover"]["endpoint"] == "churn-e1"
        shown = run("status", "churn").stdout
        assert "by churn-e1" in shown
        assert "1, failover f1 open: `mldr epoch` says what works for it" in " ".join(shown.split())
        catalog.conclude(MODEL, epoch)
        assert "failover f1 open" not in " ".join(run("status", "churn").stdout.split())

    def test_what_answers_beside_the_home_is_shown_and_how_the_home_has_grown(self):
        keep(point())
        beside = Beside(home=ACTIVE, endpoint="churn-aaa-s123", recovery_point="v1-aaa", counts={"all": 2}, since=NOON)
        Place(STANDBY, "prod").catalog.put_beside(MODEL, beside, None)
        growth = Growth(endpoint="churn", before={"all": 2}, wanted={"all": 4}, planned_at=NOON, scaled_at=NOON)
        Place(ACTIVE, "prod").survivors.put(MODEL, Survivor(revision=1, growth=growth))
        found = json.loads(run("status", "churn", "--json").stdout)
        assert (found["beside"]["endpoint"], found["grown"][ACTIVE]["wanted"]) == ("churn-aaa-s123", {"all": 4})
        said = " ".join(run("status", "churn").stdout.split())
        assert f"churn-aaa-s123 (all 2) beside {ACTIVE}, since" in said
        assert f"{ACTIVE}: all 2 → 4, since" in said

    def test_what_keeps_an_endpoint_from_standing_is_shown(self):
        keep(point())
        met = Hindrance(kind="WrongAnswers", version="v1-aaa", reason="0 of 1 answers")
        Place(STANDBY, "prod").setbacks.put(MODEL, Setback(met=met, since=NOON))
        assert json.loads(run("status", "churn", "--json").stdout)["setback"]["met"]["kind"] == "WrongAnswers"
        said = " ".join(run("status", "churn").stdout.split())
        assert "does not stand v1-aaa, since" in said
        assert "WrongAnswers: 0 of 1 answers" in said
        Place(STANDBY, "prod").setbacks.put(MODEL, None)
        assert "does not stand" not in run("status", "churn").stdout

    def test_all_models_are_listed_and_one_that_cannot_be_recovered_is_an_exit_code_1(self):
        keep(point())
        assert run("status").exit_code == 0
        other = MODEL.model_copy(update={"name": "fraud"})
        keep(point(phase=Phase.COPYING).model_copy(update={"model": other}))
        ended = run("status", "--json")
        assert ended.exit_code == 1
        assert {one["model"] for one in json.loads(ended.stdout)["models"]} == {"sagemaker/churn", "sagemaker/fraud"}

    def test_without_any_model_it_says_how_to_begin(self):
        ended = run("status")
        assert ended.exit_code == 1
        assert "approve a version" in ended.stdout

    @pytest.mark.parametrize("arguments", [["no/such name!"], ["churn", "--region", "mars-1"], ["churn", "--colour"]])
    def test_bad_input_is_2(self, arguments):
        ended = run("status", *arguments)
        assert ended.exit_code == 2
        assert "Traceback" not in ended.output

    def test_no_stack_anywhere_is_3(self):
        ended = run("status", "churn", "--env", "test")
        assert ended.exit_code == 3
        assert "is --env right?" in ended.stderr

    def test_one_region_without_a_stack_does_not_hide_the_other(self, monkeypatch):
        monkeypatch.setenv("MLDR_REGIONS", f"eu-west-1,{STANDBY}")
        keep(point())
        ended = run("status", "churn")
        assert ended.exit_code == 0
        assert "not observed: eu-west-1" in ended.stderr

    def test_the_regions_are_found_in_samconfig(self, monkeypatch, tmp_path):
        monkeypatch.delenv("MLDR_REGIONS")
        (tmp_path / "samconfig.toml").write_text(f'[a.deploy.parameters]\nregion = "{STANDBY}"\n')
        (tmp_path / "deeper").mkdir()
        monkeypatch.chdir(tmp_path / "deeper")
        keep(point())
        assert run("status", "churn").exit_code == 0

    def test_no_region_at_all_is_2(self, monkeypatch):
        monkeypatch.delenv("MLDR_REGIONS")
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        ended = run("status", "churn")
        assert ended.exit_code == 2
        assert "MLDR_REGIONS" in ended.stderr


class TestProtect:
    def test_the_standby_is_asked_for_the_newest_approved_version(self):
        arn = register()
        ended = run("protect", "churn", "--json")
        assert ended.exit_code == 0
        [event] = told(STANDBY)
        assert (event["source"], event["detail-type"]) == ("mldr", "Model Promoted")
        assert event["detail"] == {"model": "sagemaker/churn", "arn": arn}
        assert told(ACTIVE) == []
        assert json.loads(ended.stdout)["region"] == STANDBY

    def test_the_copy_of_mldr_in_the_standby_is_not_taken_for_an_original(self):
        arn = register()
        register(STANDBY, metadata={SOURCE_ARN: arn})
        assert run("protect", "churn").exit_code == 0
        assert [event["detail"]["arn"] for event in told(STANDBY)] == [arn]

    def test_a_version_is_protected_by_its_arn(self):
        arn = register()
        assert run("protect", "churn", "--version", arn).exit_code == 0
        assert told(STANDBY)[0]["detail"]["arn"] == arn

    def test_a_version_that_is_not_approved_is_refused(self):
        arn = register(status="PendingManualApproval")
        ended = run("protect", "churn", "--version", arn)
        assert ended.exit_code == 1
        assert "PendingManualApproval" in ended.stderr
        assert told(STANDBY) == []

    def test_without_an_approved_version_there_is_nothing_to_ask_for(self):
        ended = run("protect", "churn")
        assert ended.exit_code == 1
        assert "no approved version" in ended.stderr

    @pytest.mark.parametrize("arguments", [["a b"], ["churn", "--version", "churn-1"], ["churn", "--timeout", "0"]])
    def test_bad_input_is_2(self, arguments):
        assert run("protect", *arguments).exit_code == 2

    def test_waiting_for_a_point_that_is_sealed_ends_at_once(self):
        arn = register()
        keep(point(_id(arn), arn=arn))
        ended = run("protect", "churn", "--wait", "--json")
        assert ended.exit_code == 0
        assert json.loads(ended.stdout)["phase"] == "SEALED"

    def test_a_point_that_fails_again_is_an_exit_code_1_with_its_reason(self, monkeypatch):
        arn = register()
        catalog, before = Place(STANDBY, "prod").catalog, point(_id(arn), Phase.FAILED, arn=arn, reason="first")
        keep(before)
        monkeypatch.setattr(protect.time, "sleep", lambda _: catalog.resume(before, 1) and _fail(catalog, before))
        ended = run("protect", "churn", "--wait")
        assert ended.exit_code == 1
        assert "MissingArtifact: gone" in ended.stderr
        assert "attempt 2" in ended.stderr

    def test_waiting_goes_on_until_what_follows_the_seal_is_finished(self, monkeypatch):
        arn = register()
        catalog, name = Place(STANDBY, "prod").catalog, _id(arn)
        keep(point(name, arn=arn, reason=UNANNOUNCED))
        monkeypatch.setattr(protect.time, "sleep", lambda _: catalog.annotate(MODEL, name, reason=""))
        ended = run("protect", "churn", "--wait")
        assert ended.exit_code == 0
        assert UNANNOUNCED in ended.stderr

    def test_what_fails_after_the_seal_is_an_exit_code_1(self, monkeypatch):
        arn = register()
        catalog, name = Place(STANDBY, "prod").catalog, _id(arn)
        keep(point(name, arn=arn, reason=UNANNOUNCED))
        monkeypatch.setattr(protect.time, "sleep", lambda _: catalog.annotate(MODEL, name, reason="ZoneMissing: no"))
        ended = run("protect", "churn", "--wait")
        assert ended.exit_code == 1
        assert "ZoneMissing: no" in ended.stderr

    def test_waiting_has_an_end(self, monkeypatch):
        register()
        monkeypatch.setattr(protect, "POLL", 0.05)
        ended = run("protect", "churn", "--wait", "--timeout", "1")
        assert ended.exit_code == 1
        assert "mldr-<env>-capture-dlq" in ended.stderr


def _id(arn: str) -> str:
    entry = protect._registry(Place(ACTIVE, "prod")).describe(arn)
    return protect.recovery_point_id(entry.version, entry.arn, entry.document)


def _fail(catalog, before):
    again = before.model_copy(update={"attempt": 2, "reason": "MissingArtifact: gone"})
    catalog.advance(again)


class TestFailover:
    def test_the_standby_that_knows_the_model_is_asked(self):
        keep(point())
        ended = run("failover", "churn", "--reason", "exercise", "--json")
        assert ended.exit_code == 0
        [event] = told(STANDBY)
        assert event["detail-type"] == "Failover Requested"
        assert event["detail"]["reason"] == "exercise"
        assert event["detail"]["failover_id"] == json.loads(ended.stdout)["failover_id"]

    def test_a_reason_is_demanded(self):
        keep(point())
        assert run("failover", "churn").exit_code == 2
        assert run("failover", "churn", "--reason", "").exit_code == 2
        assert told(STANDBY) == []

    def test_an_unknown_model_is_not_asked_for(self):
        ended = run("failover", "churn", "--reason", "exercise")
        assert ended.exit_code == 1
        assert "never captured" in ended.stderr

    def test_waiting_for_what_never_starts_ends_and_says_where_to_look(self):
        keep(point())
        ended = run("failover", "churn", "--reason", "exercise", "--wait", "--timeout", "1")
        assert ended.exit_code == 1
        assert "it has not started" in ended.stderr
        assert "mldr-<env>-failover-dlq" in ended.stderr

    def test_two_regions_with_points_must_be_told_apart(self):
        keep(point())
        keep(point(), region=ACTIVE)
        ended = run("failover", "churn", "--reason", "exercise")
        assert ended.exit_code == 2
        assert "--region" in ended.stderr
        assert run("failover", "churn", "--reason", "exercise", "--region", STANDBY).exit_code == 0


class TestPolicy:
    def test_a_valid_policy_is_0(self, tmp_path):
        file = tmp_path / "policy.yaml"
        file.write_text("version: 1\nregions: [us-east-1, us-west-2]\nmodels: []\n")
        assert run("policy", "check", str(file)).exit_code == 0
        assert json.loads(run("policy", "check", str(file), "--json").stdout)["valid"]

    def test_every_mistake_is_printed_and_the_exit_code_is_2(self, tmp_path):
        file = tmp_path / "policy.yaml"
        file.write_text("version: 1\nregions: [us-east-1, mars-1]\ndefaults: {rto: soon, tier: hot}\n")
        ended = run("policy", "check", str(file))
        assert ended.exit_code == 2
        assert "3 mistakes" in ended.stderr
        assert all(field in ended.stderr for field in ("regions[1]", "defaults.rto", "defaults.tier"))
        assert len(json.loads(run("policy", "check", str(file), "--json").stdout)["mistakes"]) == 3

    def test_a_missing_file_is_2(self):
        ended = run("policy", "check", "nowhere.yaml")
        assert ended.exit_code == 2
        assert "nowhere.yaml cannot be read" in ended.stderr


COMMANDS = ["", "status", "protect", "failover", "demo", "policy check", "local", "local up", "local calls"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command):
    ended = run(*command.split(), "--help")
    assert ended.exit_code == 0
    assert "xit codes" in ended.stdout


def test_credentials_that_are_missing_are_said_to_be(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    ended = run("status", "churn")
    assert ended.exit_code == 3
    assert "mldr local up" in ended.stderr


def test_an_execution_that_has_not_started_has_entered_no_phase():
    with aws():
        states = boto3.client("stepfunctions", "ap-southeast-3")
        arn = "arn:aws:states:ap-southeast-3:123456789012:execution:mldr-prod-failover:never"
        assert entered(states, arn) == []
