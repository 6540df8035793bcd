"""What the command line says while bytes move, of what is missing, and of checks of the vault."""

import datetime as dt
import json

import boto3
import pytest

from cli import protect, verify
from cli.regions import Place
from mldr.domain.manifests import ShardRef
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.scrub import Damage, Finding, Outcome, Problem, Report, Tally, report_key
from mldr.domain.serving_state import Live, Refusal, ServingState
from mldr.domain.transfers import Transfer, WorkItem
from tests.fakes.serving_captures import FakeServingCaptures
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, keep, point, register, run, told, two_stacks

GIB = 1024**3
OWNER = "model/sagemaker/churn"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def stage(monkeypatch, tmp_path):
    with two_stacks(monkeypatch, tmp_path, columns=120):
        yield


def moving(*, done=3, items=4, seconds=60, name="v1-aaa"):
    """A transfer of a hundred objects and 4 GiB, of which some items have arrived since so many seconds."""
    catalog, now = Place(STANDBY, "prod").catalog, dt.datetime.now(dt.UTC)
    transfer = Transfer(
        owner=OWNER, id=name, plan="p1", started_at=now - dt.timedelta(seconds=seconds), items=items,
        objects=25 * items, bytes=items * GIB, moving=items * GIB,
    )  # fmt: skip
    pieces = [
        WorkItem(item=f"shards/{n:06d}", objects=25, bytes=GIB, first=f"weights/{n}-a", last=f"weights/{n}-z [old]")
        for n in range(items)
    ]
    catalog.open_transfer(transfer, pieces)
    for piece in pieces[:done]:
        finish(transfer, piece, now)
    return transfer, pieces


def finish(transfer, piece, at):
    """Note that one item has arrived."""
    ref = ShardRef(
        digest="d", key="k", version_id="v", first=piece.first, last=piece.last, objects=25, bytes=GIB, locked_until=at
    )
    Place(STANDBY, "prod").catalog.item_done(transfer, piece.model_copy(update={"done_at": at, "ref": ref}))


class TestStatus:
    def test_json_says_how_far_it_is_at_what_rate_and_when_it_will_be_complete(self):
        keep(point(phase=Phase.COPYING))
        moving()
        found = json.loads(run("status", "churn", "--json").stdout)
        assert found["complete"] is False
        transfer = found["transfer"]
        assert (transfer["objects_done"], transfer["objects"]) == (75, 100)
        assert (transfer["bytes_done"], transfer["bytes"]) == (3 * GIB, 4 * GIB)
        assert 3 * GIB / 75 < transfer["rate"] <= 3 * GIB / 60
        left = dt.datetime.fromisoformat(transfer["expected_at"]) - dt.datetime.now(dt.UTC)
        assert 10 < left.total_seconds() < 30
        assert "missing" not in transfer

    def test_people_read_the_same_in_one_line(self):
        keep(point(phase=Phase.COPYING))
        moving()
        shown = run("status", "churn").stdout
        assert "75%  3.0 GiB of 4.0 GiB  75 of 100 objects" in shown
        assert "complete about" in shown

    def test_missing_lists_the_names_that_have_not_arrived(self):
        keep(point(phase=Phase.COPYING))
        moving()
        shown = run("status", "churn", "--missing").stdout
        assert "shards/000003" in shown
        assert "weights/3-a" in shown
        assert "weights/3-z [old]" in shown
        assert "shards/000002" not in shown
        [item] = json.loads(run("status", "churn", "--missing", "--json").stdout)["transfer"]["missing"]
        assert (item["first"], item["objects"], item["bytes"]) == ("weights/3-a", 25, GIB)

    def test_what_has_arrived_and_is_not_sealed_is_complete(self):
        keep(point(phase=Phase.VERIFYING))
        moving(done=4)
        found = json.loads(run("status", "churn", "--json").stdout)
        assert (found["complete"], found["restorable"]) == (True, False)
        assert found["transfer"]["rate"] == round(4 * GIB / 60), "the rate of what has ended does not fall"
        assert "nothing is missing" in run("status", "churn", "--missing").stdout

    def test_a_sealed_point_is_complete_without_its_plan(self):
        keep(point())
        found = json.loads(run("status", "churn", "--json").stdout)
        assert (found["complete"], found["transfer"]) == (True, None)

    def test_a_point_without_a_plan_is_missing_as_a_whole(self):
        keep(point(phase=Phase.CAPTURING))
        ended = run("status", "churn", "--missing")
        assert "all of it is missing" in ended.stdout
        assert (ended.exit_code, json.loads(run("status", "churn", "--json").stdout)["complete"]) == (1, False)

    def test_missing_of_all_models_is_bad_usage(self):
        ended = run("status", "--missing")
        assert (ended.exit_code, "mldr status MODEL --missing" in ended.stderr) == (2, True)

    def test_how_long_it_has_been_behind_is_shown(self):
        keep(point(phase=Phase.FAILED))
        assert json.loads(run("status", "churn", "--json").stdout)["lag_seconds"] > 0
        assert "behind" in run("status", "churn").stdout

    def test_all_models_show_their_share(self):
        keep(point(phase=Phase.COPYING))
        moving()
        assert "COPYING 75%" in run("status").stdout

    def test_damage_is_shown_and_cannot_be_recovered(self):
        keep(point(damaged="damaged: weights/a: CRC64NVME is [x], [y] was sealed"))
        Place(STANDBY, "prod").scrubs.note(tally(bad=1))
        ended = run("status", "churn")
        assert ended.exit_code == 1
        assert "CRC64NVME is [x], [y] was sealed" in ended.stdout
        assert "1 bad" in ended.stdout

    def test_a_sound_check_is_shown(self):
        keep(point())
        Place(STANDBY, "prod").scrubs.note(tally())
        assert "sound, 100 objects" in run("status", "churn").stdout

    def test_without_a_captured_serving_state_it_says_what_would_be_restored(self):
        keep(point())
        assert json.loads(run("status", "churn", "--json").stdout)["serving"]["captured_at"] is None
        assert "not captured: the policy's instance type" in run("status", "churn").stdout

    def test_the_captured_serving_state_is_shown_and_why_the_last_look_was_refused(self, monkeypatch):
        keep(point())
        captures = FakeServingCaptures()
        monkeypatch.setattr(Place, "captures", captures)
        live = (Live(variant="main", weight=3.0, instances=4), Live(variant="try", weight=1, instances=1, shadow=True))
        captures.put(
            ServingState(
                model=MODEL, endpoint="churn", region=ACTIVE, standby_region=STANDBY, captured_at=NOON, reason="event",
                epoch=0, retention=Retention(mode="GOVERNANCE", until=NOON + dt.timedelta(days=9999)), document={},
                live=live, carried=(), left_out={"try": "no point holds it"},
            )
        )  # fmt: skip
        captures.refuse(MODEL, Refusal(reason="BadReference: Config.KmsKeyId: write serving.kms_key", at=NOON))
        found = json.loads(run("status", "churn", "--json").stdout)["serving"]
        assert (found["captured_at"], found["endpoint"]) == (NOON.isoformat(), "churn")
        assert [(one["variant"], one["instances"]) for one in found["variants"]] == [("main", 4), ("try", 1)]
        shown = " ".join(run("status", "churn").stdout.split())
        assert "main 4 weight 3, try 1 shadow weight 1; without try" in shown
        assert "BadReference: Config.KmsKeyId: write serving.kms_key" in shown


class TestProtect:
    def test_waiting_shows_how_far_it_is(self, monkeypatch):
        arn = register()
        keep(point(phase=Phase.COPYING, arn=arn))
        transfer, pieces = moving(done=1)
        rounds = iter(pieces[1:])

        def arrive(_):
            piece = next(rounds, None)
            if piece:
                finish(transfer, piece, dt.datetime.now(dt.UTC))
            else:
                record = point(arn=arn)
                Place(STANDBY, "prod").catalog.advance(record)

        monkeypatch.setattr(protect.time, "sleep", arrive)
        monkeypatch.setattr(protect, "SETTLE", -1.0)
        ended = run("protect", "churn", "--wait")
        assert ended.exit_code == 0, ended.stderr
        for share_ in ("25%", "50%", "75%", "100%"):
            assert share_ in ended.stderr
        assert "1.0 GiB of 4.0 GiB  25 of 100 objects" in ended.stderr
        assert "SEALED" in ended.stderr


def tally(**changes):
    """What a check found of the model."""
    return Tally(
        owner=OWNER, run="r1", sample=100, checked_at=NOW, manifests=1, objects=100, bytes=4 * GIB,
        **{"bad": 0, "repaired": 0, "unread": 0, "unchecked": 0, **changes},
    )  # fmt: skip


class TestVerify:
    @pytest.fixture(autouse=True)
    def execution(self, monkeypatch):
        """Every execution that is asked for has ended; its report stands in the vault as each test says."""
        self.report = None
        self.execution = {"status": "SUCCEEDED"}
        monkeypatch.setattr(verify, "describe_execution", self._described)
        monkeypatch.setattr(verify.time, "sleep", lambda _: None)
        self.place = Place(STANDBY, "prod")
        where = {"LocationConstraint": STANDBY}
        boto3.client("s3", region_name=STANDBY).create_bucket(Bucket=self.place.vault, CreateBucketConfiguration=where)

    def _described(self, _states, arn):
        if self.report:
            s3, name = self.place.client("s3"), arn.rpartition(":")[2]
            body = self.report.model_copy(update={"run": name}).model_dump_json().encode()
            s3.put_object(Bucket=self.place.vault, Key=report_key(name), Body=body)
        return self.execution

    def found(self, outcome=Outcome.SOUND, **changes):
        """The report that the check will leave."""
        made = tally(**changes)
        self.report = Report(
            run="r1", owner=OWNER, sample=100, ended_at=NOW, outcome=outcome, tallies=(made,), findings=(), damaged=()
        )

    def test_a_model_is_checked_by_the_region_that_keeps_it(self):
        keep(point())
        ended = run("verify", "churn", "--sample", "12.5%")
        assert ended.exit_code == 0
        assert told(ACTIVE) == []
        [event] = told(STANDBY)
        assert (event["detail-type"], event["source"]) == ("Verification Requested", "mldr")
        assert (event["detail"]["owner"], event["detail"]["sample"]) == (OWNER, 12.5)
        assert event["detail"]["run"] in ended.stdout

    def test_without_a_subject_every_region_checks_its_own_vault(self):
        ended = run("verify", "--json")
        assert [one["region"] for one in json.loads(ended.stdout)["requested"]] == [ACTIVE, STANDBY]
        assert [told(region)[0]["detail"]["owner"] for region in (ACTIVE, STANDBY)] == ["all", "all"]

    @pytest.mark.parametrize("sample", ["0", "-1%", "101%", "some", "nan"])
    def test_a_sample_that_is_none_is_bad_input(self, sample):
        ended = run("verify", "--sample", sample)
        assert (ended.exit_code, "is not a share" in ended.stderr) == (2, True)
        assert told(STANDBY) == []

    def test_waiting_for_a_sound_vault_ends_with_0(self):
        keep(point())
        self.found()
        ended = run("verify", "churn", "--wait")
        assert ended.exit_code == 0, ended.stderr
        assert "100 objects, 4.0 GiB" in ended.stdout

    def test_a_repair_is_told_and_ends_with_0(self):
        keep(point())
        self.found(Outcome.REPAIRED, repaired=1)
        about = {"name": "weights", "key": "k", "version_id": "v", "source": "s"}
        finding = Finding(problem=Problem.REPAIRED, reason="was [bad]", **about)
        self.report = self.report.model_copy(update={"findings": (finding,)})
        ended = run("verify", "churn", "--wait")
        assert (ended.exit_code, "repaired weights: was [bad]" in ended.stdout) == (0, True)

    @pytest.mark.parametrize("outcome", [Outcome.DAMAGED, Outcome.INCOMPLETE, Outcome.FAILED])
    def test_anything_else_ends_with_1_and_names_the_point(self, outcome):
        keep(point())
        self.found(outcome, bad=1)
        damage = Damage(owner=OWNER, id="v1-aaa", reason="weights: other bytes")
        self.report = self.report.model_copy(update={"damaged": (damage,)})
        ended = run("verify", "churn", "--wait")
        assert ended.exit_code == 1
        assert "damaged model/sagemaker/churn v1-aaa: weights: other bytes" in ended.stdout
        assert f"is {outcome}" in ended.stderr
        assert json.loads(run("verify", "churn", "--wait", "--json").stdout)["reports"][STANDBY]["outcome"] == outcome

    def test_a_check_without_a_report_says_how_it_ended(self):
        keep(point())
        self.execution = {"status": "TIMED_OUT"}
        ended = run("verify", "churn", "--wait")
        assert (ended.exit_code, "left no report: TIMED_OUT" in ended.stderr) == (1, True)

    def test_a_check_that_takes_too_long_ends_with_1(self):
        keep(point())
        self.execution = {"status": "RUNNING"}
        ended = run("verify", "churn", "--wait", "--timeout", "1")
        assert (ended.exit_code, "it goes on by itself" in ended.stderr) == (1, True)

    @pytest.mark.parametrize("subject", ["unknown", "dataset/images"])
    def test_what_nobody_keeps_ends_with_1(self, subject):
        assert run("verify", subject).exit_code == 1
        assert told(STANDBY) == []

    def test_a_name_that_is_none_is_bad_input(self):
        assert run("verify", "a b").exit_code == 2


def test_the_model_of_the_stage_is_the_owner_of_these_tests():
    assert f"model/{MODEL}" == OWNER
