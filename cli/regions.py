"""Which regions an operator means, and what of mldr stands in each of them."""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

import boto3
import typer
from botocore.config import Config

from cli.outcomes import Ended, Exit, bad_input, from_error, unreachable
from mldr.aws.bus import EventBus
from mldr.aws.catalog import DynamoCatalog
from mldr.aws.datasets import DynamoDatasets
from mldr.aws.decisions import DynamoDecisions
from mldr.aws.policy_store import S3PolicyStore
from mldr.aws.scrubs import DynamoScrubs
from mldr.aws.serving_capture import VaultServingCaptures
from mldr.aws.setbacks import DynamoSetbacks
from mldr.aws.standing_endpoints import SageMakerStandingEndpoints
from mldr.aws.survivors import DynamoSurvivors
from mldr.aws.vault import S3Vault
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership, Role, home_of, role
from mldr.domain.regions import REGIONS
from mldr.domain.routing import Route

# A command line must not hang on a region that is down: that is when it is used.
PATIENCE = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
T = TypeVar("T")

Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        help="The standby region. Without it: $MLDR_REGIONS, else the regions of samconfig.toml, else $AWS_REGION.",
    ),
]
Environment = Annotated[
    str, typer.Option("--env", envvar="MLDR_ENV", help="EnvironmentName of the stack: part of all its names.")
]

Bus = Annotated[str, typer.Option("--bus", help="BusName of the stack.")]


@dataclass(frozen=True)
class Place:
    """One region as seen from here."""

    region: str
    environment: str
    bus_name: str = "mldr"

    def client(self, service: Any) -> Any:
        """Return a client of this region that gives up quickly."""
        return boto3.client(service, region_name=self.region, config=PATIENCE)

    @property
    def table(self) -> str:
        """The name of the catalog's table."""
        return f"mldr-{self.environment}-catalog"

    @cached_property
    def catalog(self) -> DynamoCatalog:
        """The catalog of this region."""
        return DynamoCatalog(self.client("dynamodb"), table=self.table)

    @cached_property
    def scrubs(self) -> DynamoScrubs:
        """What the last checks of this region's vault found."""
        return DynamoScrubs(self.client("dynamodb"), table=self.table)

    @cached_property
    def captures(self) -> VaultServingCaptures:
        """How the peer region serves, as far as it was captured here."""
        return VaultServingCaptures(self.sealed, self.client("dynamodb"), table=self.table)

    @cached_property
    def standing(self) -> SageMakerStandingEndpoints:
        """The endpoints that mldr has in this region."""
        return SageMakerStandingEndpoints(
            lambda: self.client("sagemaker"),
            lambda: self.client("application-autoscaling"),
            lambda: self.client("cloudwatch"),
        )

    @cached_property
    def survivors(self) -> DynamoSurvivors:
        """What this region remembers, as a home, of the one that answers beside it."""
        return DynamoSurvivors(self.client("dynamodb"), table=self.table)

    @cached_property
    def setbacks(self) -> DynamoSetbacks:
        """What keeps models from standing in this region as their tiers promise."""
        return DynamoSetbacks(self.client("dynamodb"), table=self.table)

    @cached_property
    def decisions(self) -> DynamoDecisions:
        """What was decided and asked in this region."""
        return DynamoDecisions(self.client("dynamodb"), table=self.table)

    @cached_property
    def datasets(self) -> DynamoDatasets:
        """What this region knows of datasets."""
        return DynamoDatasets(self.client("dynamodb"), table=self.table)

    @cached_property
    def policies(self) -> S3PolicyStore:
        """The policy in force in this region."""
        return S3PolicyStore(self.client("s3"), location=self.policy_location)

    @property
    def policy_location(self) -> str:
        """Where this region's policy lies."""
        return f"s3://mldr-{self.environment}-config-{self.account}-{self.region}/policy.yaml"

    @cached_property
    def account(self) -> str:
        """The account, as the table's ARN says it."""
        described = self.client("dynamodb").describe_table(TableName=self.table)
        return str(described["Table"]["TableArn"].split(":")[4])

    @property
    def bus(self) -> EventBus:
        """Where requests are put."""
        return EventBus(self.client("events"), name=self.bus_name)

    @property
    def partition(self) -> str:
        """What every ARN of this region begins with: aws, aws-cn, …"""
        return str(boto3.Session().get_partition_for_region(self.region))

    @cached_property
    def pages(self) -> str:
        """The ARN of the topic that the pages of this region go to."""
        return f"arn:{self.partition}:sns:{self.region}:{self.account}:mldr-{self.environment}-pages"

    def execution(self, machine: str, name: str) -> str:
        """Return the ARN of an execution of one of the stack's state machines."""
        state_machine = f"mldr-{self.environment}-{machine}"
        return f"arn:{self.partition}:states:{self.region}:{self.account}:execution:{state_machine}:{name}"

    @cached_property
    def sealed(self) -> S3Vault:
        """The vault of this region, to read from."""
        return S3Vault(self.client("s3"), bucket=self.vault, key_arn="")

    @property
    def vault(self) -> str:
        """The name of the vault."""
        return f"mldr-{self.environment}-vault-{self.account}-{self.region}"


@dataclass(frozen=True)
class Looked:
    """What looking into several regions gave: answers by region, and why others gave none."""

    answers: dict[str, Any]
    silent: dict[str, Ended]


def places(region: str | None, environment: str, *, others: bool = False) -> list[Place]:
    """Return the regions to look at: the one given, with `others` also those known. Ends the command without any."""
    found = _configured() if others or not region else []
    if region and region not in found:
        found.append(region)
    if not found:
        raise bad_input("no region is known", "give --region, or set MLDR_REGIONS=ap-southeast-1,ap-southeast-3")
    strange = [name for name in found if name not in REGIONS]
    if strange:
        raise bad_input(f"{', '.join(strange)} is not an AWS region")
    return [Place(name, environment) for name in found]


def _configured() -> list[str]:
    listed = [name.strip() for name in os.environ.get("MLDR_REGIONS", "").split(",") if name.strip()]
    here = Path.cwd()
    files = [path for folder in (here, *here.parents) if (path := folder / "samconfig.toml").is_file()]
    single = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return listed or (_samconfig(files[0]) if files else []) or ([single] if single else [])


def _samconfig(path: Path) -> list[str]:
    try:
        tables = tomllib.loads(path.read_text()).values()
    except tomllib.TOMLDecodeError as error:
        raise bad_input(f"{path}: {error}", "mend it, or give --region") from error
    deploys = [table.get("deploy", {}).get("parameters", {}) for table in tables if isinstance(table, dict)]
    return list(dict.fromkeys(deploy["region"] for deploy in deploys if "region" in deploy))


def look(where: Sequence[Place], question: Callable[[Place], Any]) -> Looked:
    """Ask every region at once; a region that does not answer hides no other."""

    def ask(place: Place) -> tuple[Any, Ended | None]:
        try:
            return question(place), None
        except Exception as error:  # noqa: BLE001 - from_error raises again what it does not know
            return None, from_error(error)

    with ThreadPoolExecutor(max(1, len(where))) as pool:
        found = dict(zip([place.region for place in where], pool.map(ask, where), strict=True))
    answers = {region: answer for region, (answer, ended) in found.items() if ended is None}
    silent = {region: ended for region, (_, ended) in found.items() if ended is not None}
    if not answers:
        raise unreachable(_reasons(silent), next(iter(silent.values())).advice)
    return Looked(answers, silent)


def _reasons(silent: dict[str, Ended]) -> str:
    """Say each reason once, with the regions that gave it."""
    regions: dict[str, list[str]] = {}
    for region, ended in silent.items():
        regions.setdefault(str(ended), []).append(region)
    return "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in regions.items())


def silence(looked: Looked) -> str:
    """Return the sentence about regions that gave no answer; empty when all did."""
    return f"not observed: {_reasons(looked.silent)}" if looked.silent else ""


def route_in(place: Place, model: ModelKey, knowledge: Leadership) -> Route | None:
    """Return a model's graph as a region knows it: onboarded there, or learned from its standby."""
    return place.catalog.route(model) or (knowledge.standing.route if knowledge.standing else None)


def role_in(place: Place, knowledge: Leadership, route: Route | None) -> Role | None:
    """Return what a region is to a model; None while nobody told it whose home is where."""
    home = home_of(place.region, knowledge, route)
    now = dt.datetime.now(dt.UTC)
    return role(place.region, home, knowledge, now=now, drain=dt.timedelta(0)) if home or knowledge.epoch else None


def _serves(model: ModelKey, place: Place) -> bool:
    knowledge = place.catalog.leadership(model)
    known = role_in(place, knowledge, place.catalog.route(model))
    return known is None or known.serving


def standby_of(model: ModelKey, where: Sequence[Place]) -> Place:
    """Return the region that could take a model over: the one whose catalog knows it; of two, the one that waits.

    Ends the command when there is none, or more than one.
    """
    looked = look(where, lambda place: place.catalog.records(model))
    knowing = [place for place in where if looked.answers.get(place.region)]
    if len(knowing) == 1:
        return knowing[0]
    waiting = [place for place in knowing if not _serves(model, place)]
    if len(waiting) == 1:
        return waiting[0]
    if knowing:
        names = " and ".join(place.region for place in knowing)
        raise bad_input(f"{model} has recovery points in {names}", "say which one with --region")
    advice = f"approve a version in the registry, or run `mldr protect {model.name}`"
    if looked.silent:
        raise unreachable(f"no region that answers knows {model}; {silence(looked)}", advice)
    raise Ended(Exit.DOES_NOT_HOLD, f"{model} was never captured", advice)
