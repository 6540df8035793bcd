"""SAM to CloudFormation, offline, by AWS's own translator."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

from localcloud.deploy.errors import DeployError

# It complains when it is torn down about usage metrics that nobody collects here.
logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)


class _NoManagedPolicies:
    """The translator's bundled list of managed policies is enough; there is no account to ask."""

    def load(self) -> dict[str, str]:
        return {}


# libyaml reads the template ten times faster; PyYAML is also built without it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TemplateLoader(_SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms (`!Ref`, `!Sub` …)."""


def _short_form(loader: _TemplateLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    raise DeployError(f"!{tag} holds something unreadable")


_TemplateLoader.add_multi_constructor("!", _short_form)
# CloudFormation's policy versions (2012-10-17) are text, not dates.
_TemplateLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path: Path) -> dict[str, Any]:
    """Read a template with its short forms written out."""
    template = yaml.load(path.read_text(), Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader subclass
    if not isinstance(template, dict) or "Resources" not in template:
        raise DeployError(f"{path} is not a template: it has no Resources")
    return template


def translate(template: dict[str, Any], parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
    """The CloudFormation template that `sam deploy` would hand to AWS; parameters stay references."""
    given = {name: ",".join(value) if isinstance(value, list) else value for name, value in parameters.items()}
    try:
        return _in_region(region, lambda: transform(template, {**given, "AWS::Region": region}, _NoManagedPolicies()))
    except InvalidDocumentException as refused:
        raise DeployError("SAM: " + "; ".join(cause.message for cause in refused.causes)) from refused


def _in_region(region: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The translator takes the partition from the environment's region and nothing else."""
    before = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        return work()
    finally:
        if before is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = before
