"""`mldr runbook`: what it says for each tier and mode, in the model's own names, and what it warns of."""

import datetime as dt
import inspect
import json
import re
import shlex
from types import SimpleNamespace

import boto3
import pytest

from cli.regions import Place
from cli.runbook_facts import Facts, Measured
from cli.runbook_reasons import FAILOVER, PLANNED
from cli.runbook_text import Reach, endings, markdown, sections
from mldr import errors
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.leadership import Beside
from mldr.domain.model_rules import FailoverMode, ModelRules, Tier
from mldr.domain.routing import CheckTimes, Front, Spread, SpreadBy, SwitchKind, plan_route
from mldr.domain.tiers import Held
from mldr.events.failover import FailbackRequest, FailoverRequest
from mldr.steps.conclude_failover import _REFUSALS
from tests import command_lines
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, keep, point, run, two_stacks

FRONTS = {"active": Front(region=ACTIVE, host="gw.a", target="gw.a.example"),
          "standby": Front(region=STANDBY, host="gw.s", target="gw.s.example")}  # fmt: skip
TIMES = CheckTimes(interval=10, threshold=3, ttl=30)
ROUTE = plan_route(MODEL, "models.example", **FRONTS, times=TIMES)
AWS = Reach({})
LOCAL = Reach({"DNS_RESOLVER": "127.0.0.1:5353", "GATEWAY_TRANSPORT": "http:8080"})
READY = Held(name="churn-aaa-s123", model="sagemaker/churn", recovery_point="v1-aaa", status="InService")


BOTH = {
    "rules": {"tier": "active-active", "active_active": {"by": "weight", "weight": 30}},
    "route": plan_route(
        MODEL, "models.example", **FRONTS, times=TIMES, spread=Spread(by=SpreadBy.WEIGHT, weight=30)
    ),
    "stands": (READY,),
    "beside": Beside(
        home=ACTIVE, endpoint="churn-aaa-s123", recovery_point="v1-aaa", counts={"all": 2}, since=NOON
    ),
}  # fmt: skip


def facts(**changes) -> Facts:
    """A cold, automatic model that is in order."""
    rules, sealed = changes.pop("rules", {}), changes.pop("sealed", None)
    known = {
        "model": MODEL, "environment": "prod", "bus": "mldr", "partition": "aws", "account": "123456789012",
        "vault": "mldr-prod-vault", "read_at": NOON, "home": ACTIVE, "standby": STANDBY, "serving": ACTIVE,
        "serves": {ACTIVE: f"{ACTIVE} serves, epoch 0"}, "here": STANDBY, "matched": "sagemaker/churn", "route": ROUTE,
        "rules": ModelRules.model_validate(rules),
        "sealed": ModelRules.model_validate(rules if sealed is None else sealed),
        "point": point(), "golden": True, "datasets": (),
        "captured": {"variants": [], "refused": None}, "stands": (), "fits": "churn-aaa-s123", "measured": None,
        "topics": {STANDBY: "arn:aws:sns:s:1:mldr-prod-pages"}, "pages": {STANDBY: ("email on-call@example.com",)},
        "silent": {}, **changes,
    }  # fmt: skip
    return Facts(**known)


def text(found: Facts, reach: Reach = AWS) -> str:
    return markdown(found, sections(found, reach), endings(found))


def commands(found: Facts, reach: Reach = AWS) -> list[str]:
    return [command for one in sections(found, reach) for command in one.commands]


class TestWhatItSays:
    def test_a_cold_model_is_created_and_one_that_stands_is_used(self):
        assert "an endpoint is created (cold-standby: nothing stands ready)" in text(facts())
        warm = text(facts(rules={"tier": "warm-standby"}, stands=(READY,)))
        assert "churn-aaa-s123 is used after it is scaled to what was captured (warm-standby)" in warm
        full = text(facts(rules={"tier": "active-active"}, stands=(READY,)))
        assert "churn-aaa-s123 is used (active-active)" in full

    def test_a_warm_model_of_which_nothing_stands_is_a_trouble_and_not_a_promise(self):
        found = facts(rules={"tier": "warm-standby"})
        assert f"nothing stands in service in {STANDBY}, as warm-standby wants it" in text(found)
        assert found.recoverable

    def test_an_endpoint_of_another_shape_does_not_count(self):
        other = READY.model_copy(update={"name": "churn-aaa-s999"})
        found = facts(rules={"tier": "warm-standby"}, stands=(other,))
        assert "none of that shape stands ready today" in text(found)
        assert len(found.troubles) == 1

    @pytest.mark.parametrize(
        ("mode", "said", "approves"),
        [("automatic", "starts the failover by itself", False), ("approve", "pages a token that counts for 20m", True),
         ("manual", "nothing moves until somebody asks", False)],
    )  # fmt: skip
    def test_who_starts_it_follows_the_mode(self, mode, said, approves):
        found = facts(rules={"failover": {"mode": mode, "approve_within": "20m"}})
        assert said in text(found)
        assert any("mldr approve churn TOKEN" in one for one in commands(found)) is approves

    def test_who_is_asked_is_asked_while_it_cools_down_or_flaps_too_and_nothing_starts_by_itself(self):
        """As `decide` does it: tests/unit/test_health.py."""
        asked, alone = (text(facts(rules={"failover": {"mode": mode}})) for mode in ("approve", "automatic"))
        flaps = "it flaps (more than 3 changes in 1h)"
        assert f"within 15m of a move or while {flaps}, too: the page says so, and you judge" in asked
        assert f"not within 15m of a move, nor while {flaps}: then it pages" in alone

    def test_how_long_it_is_warmed_is_what_was_sealed_and_a_policy_that_says_otherwise_is_told(self):
        sealed = {"warm": {"factor": 2.5, "within": "3m", "required": True}}
        said = text(facts(rules={"warm": {"within": "9m"}}, sealed=sealed))
        assert "at most 2.5 times what was recorded, for 3m at most; if they do not, it does not switch" in said
        assert "the policy in force has other `warm` rules, for points sealed later" in said
        assert "| `NotWarm` |" in said
        other = text(facts(rules=sealed, sealed={}))
        assert "it switches all the same, and pages (sealed with that point; the policy in force" in other
        assert "| `NotWarm` |" not in other
        assert "in force has other" not in text(facts(rules=sealed))

    def test_until_there_is_a_point_the_rules_in_force_are_those_of_the_next(self):
        none = facts(rules={"warm": {"within": "9m"}}, point=None, golden=None)
        unread = none.model_copy(update={"sealed": None})
        assert "for 9m at most" in text(unread)

    def test_cached_answers_are_not_said_to_bring_clients_over(self):
        """As it is: tests/functional/test_prediction_cache.py."""
        cached = {"cache": {"serve_stale": "7m"}}
        said = text(facts(rules=cached))
        assert f"for 7m past their time, marked as such: at {ACTIVE} before anything moves" in said
        assert "They bring no client over by name: DNS waits for the golden inferences." in said
        both = text(facts(**{**BOTH, "rules": {**BOTH["rules"], **cached}}))
        assert "marked as such: in either region, as both answer" in both
        assert "Cached" not in text(facts())

    def test_its_times_are_those_of_the_policy_and_of_its_own_route(self):
        rules = {"rto": "7m", "failover": {"drain": "9m", "max_lag": "11m"},
                 "health": {"consecutive_failures": 4, "quorum": 3, "cool_down": "13m"}}  # fmt: skip
        said = text(facts(rules=rules))
        for part in (
            "RTO of 7m",
            "for 9m more",
            "up to 11m",
            "4 rounds",
            "3 vantage points",
            "13m",
            "about 30 s",
            "30 s more",
        ):
            assert part in said, part

    def test_what_is_measured_is_told_and_what_is_not_is_said_to_be_unknown(self):
        assert "It was never recovered in" in text(facts())
        last = Measured(at=NOON, kind="failover", region=STANDBY, phases={"detect": 30.0, "restore": 300.0})
        assert "took 5 min 30 s: detect 30.0 s, restore 5 min 00 s" in text(facts(measured=last))

    def test_a_model_that_moved_is_taken_over_by_its_home(self):
        abroad = facts(here=ACTIVE, serving=STANDBY, pages={ACTIVE: ("email a@b.example",)}, topics={ACTIVE: "arn"})
        assert f"If {STANDBY} fails" in text(abroad)
        assert f"--wait --region {ACTIVE}" in next(one for one in commands(abroad) if one.startswith("mldr failover"))
        assert "the model's own endpoint is used if it has that version" in text(abroad)
        assert "# the switch says “off”\n$ dig +short TXT _switch.churn.models.example" in text(abroad)
        assert "# the name is gw.a.example\n" in text(abroad)

    def test_calls_that_update_endpoints_of_the_region_itself_are_said_to_be_allowed(self):
        [allowed] = [one for one in sections(facts(), AWS) if one.title.startswith("What is allowed")]
        own = next(sentence for sentence in allowed.says if "UpdateEndpoint" in sentence)
        assert f"of {STANDBY} itself" in own
        assert "Route 53 records" in " ".join(one for one in allowed.says if one.startswith("Not allowed"))

    def test_where_both_regions_answer_the_loss_of_either_needs_nobody(self):
        said = text(facts(**BOTH))
        assert f"by weight, 30 % of the answers name {STANDBY}" in said
        assert "within about 30 s, and clients keep an old answer for 30 s more: nothing has to run for that" in said
        assert f"If it is {STANDBY} that fails, {ACTIVE} goes on alone: it scales its endpoint to the sum" in said
        assert "churn-aaa-s123 is used and scaled to the sum of both regions (active-active)" in said
        assert f"| answers beside it | {STANDBY} (churn-aaa-s123) |" in said
        assert facts(**BOTH).troubles == []

    def test_at_home_again_either_name_may_be_given(self):
        said = text(facts(**BOTH, here=ACTIVE, serving=STANDBY))
        assert f"# the name is gw.a.example or that of {STANDBY}: both answer again\n" in said

    def test_an_active_active_model_that_one_region_answers_alone_is_a_trouble(self):
        alone = facts(**{**BOTH, "beside": None})
        assert [f"{ACTIVE} answers alone" in one for one in alone.troubles] == [True]
        assert "Both regions answer" not in text(alone)

    def test_whether_the_region_is_down_is_looked_at_where_it_serves_before_anything_is_asked(self):
        said = text(facts())
        assert said.index(f"## Is {ACTIVE} really down?") < said.index("## What you do")
        assert "down: “unhealthy”\n$ dig +short TXT _health.churn.models.example\n" in said
        assert "https://gw.a/models/churn/health\n" in said
        abroad = text(facts(here=ACTIVE, serving=STANDBY, pages={ACTIVE: ("email a@b.example",)}, topics={}))
        assert "down: “off”\n$ dig +short TXT _switch.churn.models.example\n" in abroad
        assert "\\n%{http_code}\\n' https://gw.s/models/churn/health\n" in abroad

    def test_commands_of_which_one_is_enough_say_so(self):
        said = text(facts(rules={"failover": {"mode": "approve"}}))
        assert "# either: confirm what the newest page asked about\n$ mldr approve churn TOKEN" in said
        assert "# or: ask for it, and follow it to its end\n$ mldr failover churn" in said
        assert "either:" not in text(facts())

    def test_what_is_not_as_promised_is_told_before_a_move_is_refused_for_it(self):
        short = "failover.drain is 10s, shorter than DNS needs to move"
        assert facts(unkept=(short,)).troubles == [short]
        assert facts(unkept=(short,)).recoverable

    def test_every_remark_belongs_to_a_command(self):
        for mode in FailoverMode:
            found = facts(rules={"failover": {"mode": mode}})
            for one in sections(found, AWS):
                assert len(one.remarks) in (0, len(one.commands)), one.title

    def test_kserve_is_spoken_of_as_kserve(self):
        kserve = {"serving": {"kserve": {"cluster": "prod", "namespace": "models", "name": "churn"}}}
        said = text(facts(rules=kserve))
        assert "the InferenceService kserve://prod/models/churn" in said
        assert "UpdateEndpoint" not in said

    def test_a_metric_switch_is_not_said_to_be_a_path(self):
        route = plan_route(MODEL, "models.example", **FRONTS, times=TIMES, kind=SwitchKind.METRIC)
        assert "the metric of the switch" in text(facts(route=route))

    def test_nobody_to_page_is_a_trouble(self):
        lonely = facts(pages={STANDBY: ()})
        assert "nobody: subscribe whoever is on call" in text(lonely)
        assert f"nobody is subscribed to the pages of {STANDBY}" in lonely.troubles

    @pytest.mark.parametrize(
        ("change", "recoverable"),
        [({"point": None, "golden": None}, False), ({"route": None}, False), ({"golden": False}, True),
         ({"golden": None}, True), ({"captured": {"variants": [], "refused": {"reason": "a VPC"}}}, True)],
    )  # fmt: skip
    def test_what_is_not_in_order_is_told_first(self, change, recoverable):
        found = facts(**change)
        assert len(found.troubles) == 1
        assert text(found).index(found.troubles[0]) < text(found).index("## If")
        assert found.recoverable is recoverable

    def test_a_model_in_order_has_no_trouble(self):
        assert facts().troubles == []


class TestCommands:
    @pytest.mark.parametrize("mode", list(FailoverMode))
    @pytest.mark.parametrize("tier", list(Tier))
    def test_none_has_a_gap_to_fill_but_the_token(self, mode, tier):
        found = facts(rules={"tier": tier, "failover": {"mode": mode}}, stands=(READY,))
        for command in commands(found):
            shlex.split(command)
            assert not re.search(r"\b(MODEL|STANDBY|HOME|REGION|ENV|ZONE|ACCOUNT)\b|<|(?<!%)\{[a-z_]+\}", command), (
                command
            )

    @pytest.mark.parametrize("mode", list(FailoverMode))
    @pytest.mark.parametrize("tier", list(Tier))
    def test_every_one_of_mldr_is_taken_by_the_command_line_also_those_within_sentences(self, mode, tier):
        rules = {"tier": tier, "failover": {"mode": mode}, "warm": {"required": True}}
        for change in ({}, {"point": None, "golden": None}, {"route": None}, {"here": ACTIVE, "serving": STANDBY,
                       "topics": {}}, {"beside": None, "route": BOTH["route"]}):  # fmt: skip
            typed = command_lines.commands(text(facts(rules=rules, **change)))
            assert len(typed) > 10
            for one in typed:
                assert command_lines.taken(shlex.split(one)) == "", one

    def test_the_requests_without_the_cli_are_taken_as_they_are(self):
        put = [one for one in commands(facts()) if "put-events" in one]
        entries = [json.loads(shlex.split(one)[-1])[0] for one in put]
        parsers = {"Failover Requested": FailoverRequest, "Failback Requested": FailbackRequest}
        assert [one["DetailType"] for one in entries] == list(parsers)
        for one, command in zip(entries, put, strict=True):
            asked = parsers[one["DetailType"]].parse(json.loads(one["Detail"]))
            assert (str(asked.model), one["Source"], one["EventBusName"]) == ("sagemaker/churn", "mldr", "mldr")
            assert f"--region {STANDBY if one['DetailType'] == 'Failover Requested' else ACTIVE}" in command

    def test_on_the_local_cloud_its_own_name_server_and_gateways_are_asked(self):
        local, real = commands(facts(), LOCAL), commands(facts())
        assert "dig @127.0.0.1 -p 5353 +short TXT _switch.churn.models.example" in local
        assert "dig +short TXT _switch.churn.models.example" in real
        assert "curl -s https://gw.s/models/churn/epoch" in real
        resolved = "$(dig @127.0.0.1 -p 5353 +short A gw.s | tail -1)"
        assert f"curl -s --resolve gw.s:8080:{resolved} http://gw.s:8080/models/churn/epoch" in local


class TestEndings:
    def test_each_is_an_error_of_ours(self):
        known = {
            name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.MldrError)
        }
        assert {one.error for one in (*FAILOVER, *PLANNED)} <= known

    def test_every_refusal_is_explained(self):
        explained = {one.error for one in (*FAILOVER, *PLANNED)}
        assert explained >= _REFUSALS - {"NothingToClear"}, "a clearing is no failover"

    def test_no_gap_is_left_in_what_they_say(self):
        for one in endings(facts(rules={"warm": {"required": True}})):
            assert not re.search(r"\{\w+\}", one.traffic + one.next)
            assert one.next

    def test_not_warm_is_told_only_where_the_policy_requires_warmth(self):
        assert "NotWarm" not in {one.error for one in endings(facts())}
        assert "NotWarm" in {one.error for one in endings(facts(rules={"warm": {"required": True}}))}


POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
models:
  - match: sagemaker/churn
    tier: warm-standby
    failover: {{mode: approve}}
"""


@pytest.fixture
def stage(monkeypatch, tmp_path):
    with two_stacks(monkeypatch, tmp_path):
        for region in (ACTIVE, STANDBY):
            place, s3 = Place(region, "prod"), boto3.client("s3", region_name=region)
            for bucket in (place.vault, f"mldr-prod-config-{place.account}-{region}"):
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
            s3.put_object(Bucket=bucket, Key="policy.yaml", Body=POLICY.encode())
            topic = boto3.client("sns", region_name=region).create_topic(Name="mldr-prod-pages")["TopicArn"]
            assert topic == place.pages
        yield


def sealed():
    keep(point(manifest_version="lost"))
    Place(STANDBY, "prod").catalog.put_route(MODEL, ROUTE, {})


def test_it_is_written_from_what_stands_in_the_regions(stage):
    sealed()
    boto3.client("sns", region_name=STANDBY).subscribe(
        TopicArn=Place(STANDBY, "prod").pages, Protocol="email", Endpoint="on-call@example.com"
    )
    ended = run("runbook", "churn", "--json")
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    assert (found["tier"], found["mode"], found["takes_over"]) == ("warm-standby", "approve", STANDBY)
    assert (found["home"], found["serving"], found["recovery_point"]) == (ACTIVE, ACTIVE, "v1-aaa")
    assert found["pages"] == {ACTIVE: [], STANDBY: ["email on-call@example.com"]}
    assert any("cannot be read" in one for one in found["troubles"]), "the manifest is lost"


def test_how_it_is_warmed_is_read_from_the_manifest_and_not_from_the_policy_in_force(stage, monkeypatch):
    sealed()
    rules = {"warm": {"factor": 3, "required": True}}
    manifest = SimpleNamespace(policy=ModelRules.model_validate(rules), golden=None)
    monkeypatch.setattr("cli.runbook_facts.manifest_of", lambda *_: manifest)
    monkeypatch.setattr("cli.runbook_facts.standing_for", lambda *_: None)
    said = run("runbook", "churn").stdout
    assert "at most 3 times what was recorded" in said
    assert "| `NotWarm` |" in said


def test_it_goes_to_a_file_and_says_so(stage, tmp_path):
    sealed()
    ended = run("runbook", "churn", "--output", "churn.md")
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "churn.md" in ended.stderr
    assert (tmp_path / "churn.md").read_text().startswith("# Runbook: churn, warm-standby")
    assert run("runbook", "churn", "--output", "no/such/folder.md").exit_code == 2


def test_a_model_that_cannot_be_recovered_has_a_runbook_that_says_it(stage):
    Place(STANDBY, "prod").catalog.put_route(MODEL, ROUTE, {})
    ended = run("runbook", "churn")
    assert ended.exit_code == 1
    assert "it cannot be recovered" in ended.stdout


def test_once_the_standby_serves_it_is_about_the_loss_of_the_standby(stage):
    sealed()
    catalog = Place(STANDBY, "prod").catalog
    claim = Epoch(number=1, failover_id="f1", region=STANDBY, recovery_point="v1-aaa", claimed_at=NOON)
    catalog.claim(MODEL, claim, None)
    taken = Takeover(
        epoch=1, endpoint="e", recovery_point="v1-aaa", flipped_at=NOON + dt.timedelta(minutes=1), home=ACTIVE
    )
    catalog.flip(MODEL, taken, claim)
    catalog.conclude(MODEL, claim)
    found = json.loads(run("runbook", "churn", "--json").stdout)
    assert (found["serving"], found["takes_over"]) == (STANDBY, ACTIVE)


def test_an_unknown_model_has_none(stage):
    ended = run("runbook", "ghost")
    assert ended.exit_code == 1
    assert "was never captured" in ended.stderr
