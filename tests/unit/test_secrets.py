"""Secrets: what is one is never captured, what only speaks of one is no nuisance, and no message repeats a value."""

import time
from pathlib import Path

import boto3
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.kserve_references import find_refused
from mldr.domain.region_words import find_words
from mldr.domain.secrets import WITHHELD, secret_in, suspects, without
from mldr.domain.serving_references import find_secrets

TABLE = yaml.safe_load(Path(__file__).with_name("environment_variables.yaml").read_text())


def rows(column):
    return [pytest.param(name, value, id=name) for part in TABLE[column].values() for name, value in part.items()]


def model(**environment):
    return {"Models": [{"Containers": [{"Environment": environment}]}]}


def service(**container):
    return {"service": {"spec": {"predictor": {"containers": [{"name": "main", **container}]}}}}


@pytest.mark.parametrize(("name", "value"), rows("secret"))
def test_what_looks_like_a_secret_is_refused_by_its_path_and_allowed_by_its_name(name, value):
    [problem] = find_secrets(model(**{name: value}), ())
    assert problem.path == f"Models[0].Containers[0].Environment.{name}"
    assert value.strip() not in problem.text
    assert "Secrets Manager" in problem.text
    assert "serving.not_secret" in problem.text
    assert find_secrets(model(**{name: value}), (name,)) == []


@pytest.mark.parametrize(("name", "value"), rows("harmless"))
def test_what_only_speaks_of_a_secret_is_none(name, value):
    assert find_secrets(model(**{name: value}), ()) == []
    assert find_refused(service(env=[{"name": name, "value": value}]), ()) == []


@pytest.mark.parametrize(("name", "value"), rows("secret"))
def test_kserve_knows_the_same_secrets(name, value):
    [problem] = find_refused(service(env=[{"name": name, "value": value}]), ())
    assert problem.path == "service.spec.predictor.containers[0].env[0].value"
    assert value.strip() not in problem.text
    assert f"list {name} in the policy: serving.not_secret" in problem.text
    assert find_refused(service(env=[{"name": name, "value": value}]), (name,)) == []


@pytest.mark.parametrize(
    ("given", "path", "name"),
    [
        ({"args": ["--model=/mnt", "--api-key=sk-abcdefghijklmnopqrstuvwxyz0123"]}, "args[1]", "args"),
        ({"args": ["--api-key=abc"]}, "args[0]", "api-key"),
        ({"args": ["--model", "/mnt", "--api-key", "abc"]}, "args[3]", "api-key"),
        ({"command": ["sh", "-c", "export HF_TOKEN=abc; serve"]}, "command[2]", "HF_TOKEN"),
    ],
)
def test_a_secret_in_an_argument_is_refused_and_allowed_by_what_it_is_called(given, path, name):
    [problem] = find_refused(service(**given), ())
    assert problem.path == f"service.spec.predictor.containers[0].{path}"
    assert "abc" not in problem.text
    assert f"list {name} in the policy" in problem.text
    assert find_refused(service(**given), (name,)) == []


def test_the_spec_that_kubectl_keeps_in_an_annotation_is_looked_through():
    applied = '{"spec": {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}}'
    document = {"service": {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}}}
    [problem] = find_refused(document, ())
    assert "hunter2" not in str(problem)
    assert find_refused(document, ("DB_PASSWORD",)) == []


def test_tags_and_metadata_are_captured_too():
    document = {"Tags": [{"Key": "api-key", "Value": "abc"}], "CustomerMetadataProperties": {"db-password": "hunter2"}}
    assert [one.path for one in suspects(document, ())] == ["Tags[0].Value", "CustomerMetadataProperties.db-password"]


@pytest.mark.parametrize(
    "operation",
    ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "CreateInferenceComponent", "CreateModelPackage"],
)
def test_no_field_of_sagemakers_own_sounds_like_a_secret(operation):
    """Client tokens belong to a call: no description has them."""
    shape = boto3.client("sagemaker", "eu-west-1").meta.service_model.operation_model(operation).input_shape
    assert [name for name in members(shape, set()) - {"ClientToken"} if secret_in(name, "words", ())] == []


def members(shape, seen):
    """Every field name in a shape and beneath it."""
    if shape.name in seen:
        return set()
    seen.add(shape.name)
    if shape.type_name == "structure":
        return set(shape.members).union(*(members(one, seen) for one in shape.members.values()))
    inner = {"list": "member", "map": "value"}.get(shape.type_name)
    return members(getattr(shape, inner), seen) if inner else set()


def test_what_is_withheld_is_replaced_where_it_stands():
    document = model(DB_PASSWORD="hunter2", LEVEL="2")
    paths = [one.path for one in suspects(document, ())]
    assert without(document, paths) == model(DB_PASSWORD=WITHHELD, LEVEL="2")


@given(st.text(), st.text())
def test_any_text_is_judged_without_a_fault(name, value):
    secret_in(name, value, ())


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_document_is_walked_without_a_fault(node):
    found = suspects({"node": node}, ())
    without({"node": node}, [one.path for one in found])


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "a-" * 100_000, "a=" * 100_000, "--a " * 50_000, "[" * 100_000, "sk-" * 60_000]
)
def test_a_long_text_is_judged_in_no_time(text):
    begun = time.process_time()
    secret_in("NOTE", text, ())
    find_words(text, "ap-southeast-1")
    assert time.process_time() - begun < 2
