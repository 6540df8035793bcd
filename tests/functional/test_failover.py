"""Recovering a model and switching its traffic: through the doors, in the order of the state machine."""

import datetime as dt
import json

import pytest

from functions.materialise_serving import app as materialise
from mldr.domain.evidence import GENESIS, digest
from mldr.domain.failover import VERIFY_LOOKS
from mldr.domain.health import Sight
from mldr.domain.recovery_point import manifest_key
from mldr.errors import EndpointFailed, LostRace, RequestRefused, Throttled
from mldr.ports.stack import Status
from tests.fakes.world import STANDBY
from tests.functional.story import (
    CHURN,
    GATEWAY,
    capture,
    clients_follow,
    deliver,
    document,
    fail_over,
    failover_event,
    point,
    promoted,
    protect,
    run,
)
from tests.functional.test_protect import manifest


@pytest.fixture
def protected(world, context):
    """A world with a sealed point of churn, whose clients would follow a switch."""
    protect(world, context, promoted(world))
    clients_follow(world)
    world.clock.move(hours=1)
    return world


def refused(world, ended, *, error, says):
    """The failover was refused before anything was touched, and a person knows."""
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", error)
    assert ended.path == ("Planned?", "ClaimEpoch", "RecordFailure", "Failed")
    evidence = world.evidence.records[-1]
    assert (evidence.outcome, evidence.epoch, evidence.phases) == ("refused", None, evidence.phases)
    assert says in evidence.reason
    assert says in world.pager.pages[-1][1]
    assert world.bus.named("Failover Completed")[-1]["outcome"] == "refused"


def not_switched(world):
    """Nothing of the switch has moved."""
    assert world.catalog.takeover(CHURN) is None


def test_a_requested_failover_restores_proves_switches_and_confirms(protected, context):
    world = protected
    ended = fail_over(world, context, first_failure_at=world.clock.now().isoformat())
    assert (ended.status, ended.last) == ("SUCCEEDED", "Conclude")
    switch = world.catalog.takeover(CHURN)
    assert (switch.epoch, switch.recovery_point) == (1, point(world).recovery_point)
    [variant] = world.serving.endpoints[switch.endpoint].plan.config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.m5.large"
    [evidence] = world.evidence.records
    assert (evidence.outcome, evidence.region, evidence.epoch) == ("completed", STANDBY, 1)
    assert [phase.name for phase in evidence.phases] == [
        "detect", "decide", "restore", "warm", "verify", "switch", "confirm",
    ]  # fmt: skip
    assert world.catalog.epoch(CHURN).concluded
    assert world.bus.named("Failover Completed")[0]["outcome"] == "completed"
    [(subject, told)] = world.pager.pages
    assert subject == "mldr: failover of sagemaker/churn completed by itself"
    assert f"{STANDBY} serves sagemaker/churn by epoch 1" in told
    assert "nothing has to be done now" in told


def test_what_a_person_asked_for_and_what_completed_pages_nobody(protected, context):
    assert fail_over(protected, context).status == "SUCCEEDED"
    assert protected.pager.pages == []


def test_the_endpoint_reads_the_vault_and_not_the_active_region(protected, context):
    fail_over(protected, context)
    [plan] = [one.plan for one in protected.serving.endpoints.values()]
    [model] = plan.models
    [container] = model.containers
    assert container["ModelDataUrl"].startswith("s3://vault/")
    assert f".{STANDBY}." in container["Image"]
    assert model.role == protected.env.serving_role_arn


def test_a_failover_asks_nothing_of_the_active_region_or_of_the_control_planes(protected, context, monkeypatch):
    """Law 1, as the ports see it: none of these is touched from the claim to the evidence."""
    for port in ("sources", "registry", "images", "fronts", "dns", "policies", "workflows"):
        if port != "workflows":
            monkeypatch.delattr(protected, port)
    assert fail_over(protected, context).status == "SUCCEEDED"


def test_the_golden_requests_warm_the_endpoint_and_prove_it_in_the_end(protected, context):
    fail_over(protected, context)
    assert [body for _, body, _, _ in protected.serving.asked] == [b"[1]"] * (1 + 20 + 1)


def slow(world, seconds):
    """Three golden questions, each of which takes the model so long."""
    lines = "".join(f'{{"request": [{number}], "answer": [{number}]}}\n' for number in (1, 2, 3))
    world.buckets.put("lake", "churn/golden.jsonl", lines.encode())

    def answer(body):
        world.clock.move(seconds=seconds)
        return body

    world.serving.answer = answer


def late(world, context, answers=(1, 2)):
    """What is restored is asynchronous; two golden questions."""
    arn = promoted(world)
    lines = "".join(f'{{"request": [{number}], "answer": [{answer}]}}\n' for number, answer in enumerate(answers, 1))
    world.buckets.put("lake", "churn/golden.jsonl", lines.encode())
    protect(world, context, arn)
    clients_follow(world)
    world.late_answers.everything = True


def test_an_asynchronous_endpoint_is_proven_by_what_it_writes_and_waited_for_in_between(world, context):
    late(world, context)
    ended = fail_over(world, context)
    assert (ended.status, ended.path.count("VerifyServing"), ended.path.count("WaitForAnswer")) == ("SUCCEEDED", 5, 4)
    assert ended.data["verify"]["reason"] == "2 of 2 golden answers reproduced"
    assert [body for _, body, _, _ in world.serving.asked] == [b"[1]", b"[2]"], "nor is it asked to warm it"


def test_a_wrong_late_answer_switches_nothing(world, context):
    late(world, context, answers=(1, 3))
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "WrongAnswers")
    assert "number 2 expected [3], got [2]" in ended.data["error"]["Cause"]
    assert world.catalog.takeover(CHURN) is None


@pytest.mark.parametrize("given", [{"failure": "no such feature"}, {"looks": 1000}])
def test_an_answer_that_failed_or_never_comes_switches_nothing(world, context, given):
    late(world, context)
    for name, value in given.items():
        setattr(world.late_answers, name, value)
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "EndpointFailed")
    assert world.catalog.takeover(CHURN) is None


@pytest.mark.parametrize(("poll_seconds", "patience"), [(1, "0:04:10"), (15, "1:02:30"), (300, "2:00:00")])
def test_late_answers_are_waited_for_no_longer_than_one_execution_can_tell(
    world, context, monkeypatch, poll_seconds, patience
):
    """Each question comes in its time, and all of them together do not."""
    late(world, context, answers=range(1, 41))
    world.late_answers.looks = 800 // poll_seconds
    world.env = world.env.model_copy(update={"endpoint_poll_seconds": poll_seconds})
    monkeypatch.setattr("tests.asl_walker.STEPS", 10_000)
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "EndpointFailed")
    told = ended.data["error"]["Cause"]
    assert f"of 40 golden answers of sagemaker/churn were reproduced within {patience}" in told
    assert "raise EndpointPollSeconds, then request the failover again" in told
    assert ended.path.count("WaitForAnswer") <= VERIFY_LOOKS + 1
    assert world.catalog.takeover(CHURN) is None


def test_the_last_late_answer_counts_however_late_it_is(world, context, monkeypatch):
    late(world, context, answers=(1,))
    world.late_answers.looks = 3
    monkeypatch.setattr("mldr.steps.prove_answers.VERIFY_LOOKS", 3)
    assert fail_over(world, context).status == "SUCCEEDED"


def test_golden_answers_that_take_for_ever_end_as_an_error(world, context, monkeypatch):
    arn = promoted(world)
    slow(world, 180)
    world.buckets.put("lake", "churn/golden.jsonl", b'{"request": [1], "answer": [1]}\n' * 100)
    protect(world, context, arn)
    clients_follow(world)
    monkeypatch.setattr(context, "get_remaining_time_in_millis", lambda: 90_000)
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "EndpointFailed")
    assert "41 of 100 golden answers of sagemaker/churn were reproduced within 2:00:00" in ended.data["error"]["Cause"]


def test_a_model_that_answers_slowly_is_proven_in_as_many_calls_as_it_takes(world, context, monkeypatch):
    arn = promoted(world)
    slow(world, 50)
    protect(world, context, arn)
    clients_follow(world)
    monkeypatch.setattr(context, "get_remaining_time_in_millis", lambda: 90_000)
    ended = fail_over(world, context)
    assert (ended.status, ended.path.count("VerifyServing")) == ("SUCCEEDED", 3)
    assert ended.data["verify"]["reason"] == "3 of 3 golden answers reproduced"
    warm = [body for _, body, _, _ in world.serving.asked][:-3]
    assert set(warm) == {b"[1]"}, "half of a minute lasts for one question"


def test_the_wrong_answer_of_a_later_call_is_named_by_its_own_number(world, context, monkeypatch):
    arn = promoted(world)
    slow(world, 0)
    protect(world, context, arn)
    world.serving.answer = lambda body: b"[4]" if body == b"[3]" else body
    monkeypatch.setattr(context, "get_remaining_time_in_millis", lambda: 90_000)
    ended = fail_over(world, context)
    assert ended.path.count("VerifyServing") == 3
    assert "number 3 expected [3], got [4]" in world.evidence.records[0].reason


def test_the_same_request_twice_is_one_failover(protected, context):
    event = failover_event(protected)
    assert deliver("start_failover", context, event, event) == []
    assert deliver("start_failover", context, event) == []
    assert list(protected.workflows.started)[1:] == ["failover-1"]


@pytest.mark.parametrize(("how", "again"), [("SUCCEEDED", 0), ("FAILED", 0), ("ABORTED", 1), ("TIMED_OUT", 1)])
def test_a_redelivered_request_starts_again_only_what_was_lost(protected, context, how, again):
    """A failover that ended has its evidence; one that was aborted or ran out of time has told nobody anything."""
    event = failover_event(protected)
    deliver("start_failover", context, event)
    protected.workflows.active.discard("failover-1")
    protected.workflows.ended["failover-1"] = how
    for _ in range(3):
        assert deliver("start_failover", context, event) == []
    assert list(protected.workflows.started)[1:] == ["failover-1", "failover-1-2"][: 1 + again]


def test_running_a_failover_again_repeats_nothing(protected, context):
    """A redelivery after the end: same epoch, same endpoint, one switch, one piece of evidence."""
    fail_over(protected, context)
    switch = protected.catalog.takeover(CHURN)
    protected.clock.move(minutes=5)
    assert run(protected, context, "failover-1", "failover").status == "SUCCEEDED"
    assert protected.catalog.takeover(CHURN) == switch
    assert (len(protected.serving.endpoints), len(protected.evidence.records)) == (1, 1)


def test_without_a_sealed_point_a_failover_is_refused_before_the_switch_is_touched(world, context):
    ended = fail_over(world, context)
    refused(
        world, ended, error="NotRestorable", says="has no sealed recovery point in this region (it was never captured)"
    )
    assert world.catalog.epoch(CHURN) is None
    assert world.serving.endpoints == {}
    not_switched(world)


def test_a_failed_point_is_named_in_the_refusal(world, context):
    protect(world, context, world.registry.promote("churn", document()))
    ended = fail_over(world, context)
    refused(world, ended, error="NotRestorable", says=f"{point(world).recovery_point} is FAILED")
    not_switched(world)


def test_a_withdrawn_point_is_not_recovered(protected, context):
    [arn] = protected.registry.entries
    protected.registry.edit(arn, status="Rejected")
    capture(protected, context, arn)
    refused(protected, fail_over(protected, context), error="NotRestorable", says="the registry says Rejected")
    not_switched(protected)


def test_a_model_that_was_never_onboarded_is_refused(world, context):
    world.dns.zone_exists = False
    protect(world, context, promoted(world))
    refused(world, fail_over(world, context), error="NotRestorable", says="was never onboarded")
    assert world.catalog.epoch(CHURN) is None


def test_of_two_failovers_at_once_one_epoch_wins_and_the_other_says_so(protected, context):
    first = failover_event(protected, "first")
    second = failover_event(protected, "second")
    assert deliver("start_failover", context, first, second) == []
    ended = {}

    def before(state, attempt):
        if state == "RestoreServing" and "second" not in ended:
            ended["second"] = None
            ended["second"] = run(protected, context, "second", "failover")

    ended["first"] = run(protected, context, "first", "failover", before=before)
    assert ended["first"].status == "SUCCEEDED"
    assert ended["second"].data["error"]["Error"] == "EpochTaken"
    by_id = {record.id: record for record in protected.evidence.records}
    assert (by_id["first"].outcome, by_id["second"].outcome) == ("completed", "refused")
    assert "epoch 1 is held by failover first" in by_id["second"].reason
    assert protected.catalog.takeover(CHURN).epoch == 1
    assert not any("second" in name for name in protected.serving.endpoints)


def test_a_claim_that_lost_the_race_is_decided_again(protected, context, monkeypatch):
    """The conditional write lost although the epoch looked free: read again, and say who holds it."""
    claim = protected.catalog.claim

    def beaten(model, epoch, previous):
        if epoch.failover_id == "second":
            claim(model, epoch.model_copy(update={"failover_id": "first"}), previous)
        claim(model, epoch, previous)

    monkeypatch.setattr(protected.catalog, "claim", beaten)
    assert fail_over(protected, context, "second").data["error"]["Error"] == "EpochTaken"
    assert protected.catalog.epoch(CHURN).failover_id == "first"
    not_switched(protected)


def test_a_region_that_serves_already_refuses_another_failover(protected, context):
    fail_over(protected, context)
    ended = fail_over(protected, context, "failover-2")
    refused(protected, ended, error="AlreadyServing", says=f"{STANDBY} serves sagemaker/churn since")
    assert protected.catalog.epoch(CHURN).number == 1


def test_an_abandoned_epoch_is_superseded_and_its_late_work_is_refused(protected, context):
    deliver("start_failover", context, failover_event(protected, "first"))
    late = {}

    def before(state, attempt):
        if state == "FlipSwitch":
            protected.clock.move(hours=2)
            late["second"] = fail_over(protected, context, "second")

    ended = run(protected, context, "first", "failover", before=before)
    assert late["second"].status == "SUCCEEDED"
    assert ended.data["error"]["Error"] == "EpochTaken"
    assert protected.catalog.takeover(CHURN).epoch == 3, "the standby claims odd epochs"
    assert protected.catalog.epoch(CHURN).failover_id == "second"


@pytest.mark.parametrize("state", ["FindEndpoint", "MaterialiseServing", "RestoreServing", "WarmServing", "FlipSwitch"])
def test_every_state_that_acts_refuses_work_of_an_older_epoch_by_itself(protected, context, state):
    deliver("start_failover", context, failover_event(protected, "first"))

    def before(name, attempt):
        if name == state:
            mine = protected.catalog.epoch(CHURN)
            newer = mine.model_copy(update={"number": mine.number + 2, "failover_id": "another"})
            protected.catalog.claim(CHURN, newer, mine)

    ended = run(protected, context, "first", "failover", before=before)
    assert ended.data["error"]["Error"] == "EpochTaken"
    assert ended.path[ended.path.index("RecordFailure") - 1] == state


def test_wrong_answers_leave_the_traffic_where_it_is(protected, context):
    protected.serving.answer = lambda body: b"[2]"
    ended = fail_over(protected, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "WrongAnswers")
    assert "FlipSwitch" not in ended.path
    assert "expected [1], got [2]" in protected.pager.pages[0][1]
    assert protected.evidence.records[0].outcome == "failed"
    not_switched(protected)


def test_a_failed_failover_concludes_its_epoch_so_that_the_next_may_try(protected, context):
    protected.serving.answer = lambda body: b"[2]"
    fail_over(protected, context)
    protected.serving.answer = lambda body: body
    assert fail_over(protected, context, "failover-2").status == "SUCCEEDED"
    assert protected.catalog.takeover(CHURN).epoch == 3
    first, second = protected.evidence.records
    assert (first.previous, second.previous) == (GENESIS, digest(first.content()))


def test_a_model_without_golden_inferences_fails_over_unproven(world, context):
    world.policies.put("version: 1\nregions: [ap-southeast-1, ap-southeast-3]\nmodels: [{match: sagemaker/churn}]\n")
    protect(world, context, promoted(world))
    clients_follow(world)
    ended = fail_over(world, context)
    assert ended.status == "SUCCEEDED"
    assert "the answers are not proven" in ended.data["verify"]["reason"]
    assert world.serving.asked == []
    [warning] = world.evidence.records[-1].warnings
    assert warning == "the policy names no golden inferences, so the answers are not proven"
    assert world.pager.pages == [("mldr: failover of sagemaker/churn completed, with a warning", warning)]


def test_what_of_a_restored_endpoint_is_not_as_it_was_is_evidence_and_a_page(protected, context, monkeypatch):
    finish = protected.serving.finish

    def silent(plan):
        return finish(plan).model_copy(update={"warnings": ("its autoscaling is refused", "variant b is not restored")})

    monkeypatch.setattr(protected.serving, "finish", silent)
    began = protected.clock.now().isoformat()
    assert fail_over(protected, context, first_failure_at=began).status == "SUCCEEDED"
    told = protected.evidence.records[-1].warnings
    assert told == ("its autoscaling is refused", "variant b is not restored")
    [(subject, page)] = protected.pager.pages
    assert subject == "mldr: failover of sagemaker/churn completed, with a warning"
    assert "; ".join(told) in page
    assert f"{STANDBY} serves sagemaker/churn by epoch 1" in page, "nobody asked for it: it is told what happened"
    assert "nothing has to be done" not in page


def test_an_endpoint_that_fails_says_sagemakers_reason(protected, context):
    protected.serving.coming = [("Creating", ""), ("Failed", "no capacity for ml.m5.large")]
    ended = fail_over(protected, context)
    assert ended.data["error"]["Error"] == "EndpointFailed"
    assert "no capacity for ml.m5.large" in protected.evidence.records[0].reason
    assert [phase.name for phase in protected.evidence.records[0].phases] == ["decide"]
    not_switched(protected)


def test_an_endpoint_is_waited_for(protected, context):
    protected.serving.coming = [("Creating", "")] * 4 + [("InService", "")]
    ended = fail_over(protected, context)
    assert (ended.status, ended.path.count("WaitForEndpoint")) == ("SUCCEEDED", 4)
    restore = next(phase for phase in protected.evidence.records[0].phases if phase.name == "restore")
    assert restore.seconds == 4 * protected.env.endpoint_poll_seconds


def test_an_endpoint_has_its_whole_hour_however_long_its_model_took_to_be_laid_out(protected, context, monkeypatch):
    """A copy of some hundred gigabytes within the vault takes more than an hour."""
    whole = materialise.materialise_serving

    def slow(task, **ports):
        protected.clock.move(seconds=2 * 3600)
        return whole(task, **ports)

    monkeypatch.setattr(materialise, "materialise_serving", slow)
    protected.serving.coming = [("Creating", "")] * 4 + [("InService", "")]
    assert fail_over(protected, context).status == "SUCCEEDED"


def test_an_endpoint_that_never_comes_is_given_up(protected, context):
    protected.serving.coming = [("Creating", "")]
    ended = fail_over(protected, context)
    assert ended.data["error"]["Error"] == "EndpointFailed"
    assert "still Creating after 1:00:00" in protected.evidence.records[0].reason


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        (EndpointFailed("Received server error (500) from primary"), [0, 1, 2, 3]),
        (Throttled("it is not loaded yet"), list(range(9))),  # a serverless variant that starts
        (RequestRefused("Received client error (400) from primary"), [0]),  # nothing but another request helps
    ],
)
def test_an_endpoint_that_cannot_be_invoked_is_tried_again_while_that_may_help(protected, context, error, tried):
    world = protected
    tries = []

    def answer(_):
        raise error

    def before(state, attempt):
        if state == "WarmServing":
            tries.append(attempt)
            world.serving.answer = answer

    deliver("start_failover", context, failover_event(world))
    ended = run(world, context, "failover-1", "failover", before=before)
    assert (ended.data["error"]["Error"], tries) == (type(error).__name__, tried)
    not_switched(world)


def test_clients_that_do_not_see_the_switch_yet_are_waited_for(protected, context):
    protected.outside.targets.clear()
    tries = []

    def before(state, attempt):
        if state == "ConfirmTakeover":
            tries.append(attempt)
            if attempt == 1:
                protected.outside.targets["churn.models.example"] = "target.elsewhere"
            if attempt == 2:
                clients_follow(protected)
                protected.outside.probes[f"gateway.{STANDBY}.example"] = Sight.UNHEALTHY
            if attempt == 3:
                protected.outside.probes.clear()

    deliver("start_failover", context, failover_event(protected))
    ended = run(protected, context, "failover-1", "failover", before=before)
    assert (ended.status, tries) == ("SUCCEEDED", [0, 1, 2, 3])
    assert protected.outside.probed[-1] == (f"gateway.{STANDBY}.example", "/models/churn/health")


def test_a_switch_that_nobody_sees_pages_a_person(protected, context):
    protected.outside.targets["churn.models.example"] = "target.elsewhere"
    ended = fail_over(protected, context)
    assert ended.data["error"]["Error"] == "NotConfirmed"
    assert f"still points to target.elsewhere, not to {GATEWAY}" in protected.pager.pages[0][1]
    assert protected.catalog.takeover(CHURN) is not None


def test_golden_inferences_that_vanished_stop_the_failover(protected, context):
    golden = manifest(protected).golden
    protected.buckets.erase("vault", golden.key, golden.version_id)
    ended = fail_over(protected, context)
    assert ended.data["error"]["Error"] == "MissingArtifact"
    not_switched(protected)


def test_a_manifest_that_vanished_is_named(protected, context):
    record = point(protected)
    key = manifest_key(CHURN, record.recovery_point)
    protected.buckets.erase("vault", key, record.manifest_version)
    ended = fail_over(protected, context)
    assert "manifest.json" in protected.evidence.records[0].reason
    assert ended.path[:2] == ("Planned?", "ClaimEpoch")
    not_switched(protected)


def test_a_delete_marker_on_the_manifest_hides_nothing(protected, context):
    protected.buckets.put("vault", manifest_key(CHURN, point(protected).recovery_point), None)
    assert fail_over(protected, context).status == "SUCCEEDED"


def test_the_newest_promoted_point_is_recovered(protected, context):
    protected.clock.move(minutes=1)
    protected.buckets.put("lake", "churn/two.tar.gz", b"two")
    second = protected.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/two.tar.gz"))
    protect(protected, context, second)
    fail_over(protected, context)
    assert protected.catalog.takeover(CHURN).recovery_point.startswith("v2-")


def test_a_retried_conclusion_is_one_record(protected, context, monkeypatch):
    put, refusals = protected.bus.put, [Throttled("slow down")]

    def throttled(detail_type, detail):
        if refusals:
            raise refusals.pop()
        put(detail_type, detail)

    monkeypatch.setattr(protected.bus, "put", throttled)
    assert fail_over(protected, context).status == "SUCCEEDED"
    assert len(protected.evidence.records) == 1


def test_a_person_reads_the_message_and_not_a_stack_trace(world, context):
    fail_over(world, context)
    subject, message = world.pager.pages[0]
    assert subject == "mldr: failover of sagemaker/churn refused"
    assert message.startswith("NotRestorable: sagemaker/churn has no sealed recovery point")
    assert "stackTrace" not in message
    json.dumps(world.bus.events)


def test_a_lost_race_while_concluding_surfaces(protected, context, monkeypatch):
    """The Conclude state retries what is worth retrying; an epoch that moved on is not concluded by an old failover."""

    def lost(model, epoch):
        raise LostRace("a newer epoch was claimed")

    monkeypatch.setattr(protected.catalog, "conclude", lost)
    ended = fail_over(protected, context)
    assert (ended.status, ended.error) == ("FAILED", "LostRace")


def test_a_failover_lost_before_its_conclusion_is_started_again_and_leaves_its_evidence(protected, context):
    deliver("start_failover", context, failover_event(protected))

    def before(state, attempt):
        if state == "Conclude":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(protected, context, "failover-1", "failover", before=before)
    protected.workflows.ended["failover-1"] = Status.LOST
    deliver("start_failover", context, failover_event(protected))
    assert run(protected, context, "failover-1-2", "failover").status == "SUCCEEDED"
    assert [one.outcome for one in protected.evidence.records] == ["completed"]


def test_a_failover_started_again_restores_the_point_that_it_claimed_before(protected, context):
    claimed = point(protected).recovery_point
    deliver("start_failover", context, failover_event(protected))

    def before(state, attempt):
        if state == "Conclude":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(protected, context, "failover-1", "failover", before=before)
    older = point(protected)
    later = older.origin.model_copy(
        update={"promoted_at": older.origin.promoted_at + dt.timedelta(hours=1), "arn": "2"}
    )
    protected.catalog.begin(older.model_copy(update={"recovery_point": "v2-newer", "origin": later}))
    protected.workflows.ended["failover-1"] = Status.LOST
    deliver("start_failover", context, failover_event(protected))
    run(protected, context, "failover-1-2", "failover")
    [evidence] = protected.evidence.records
    assert evidence.recovery_point == protected.catalog.takeover(CHURN).recovery_point == claimed
