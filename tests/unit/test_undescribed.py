"""A description that says too little to restore from is refused by the field that is missing."""

import pytest

from mldr.domain.undescribed import find_undescribed

VARIANT = {"VariantName": "a", "InitialInstanceCount": 1}
MADE = {"Specification": {"Container": {"Image": "i"}}}


def document(variant=None, component=None, place="ProductionVariants"):
    hosts = {**VARIANT, **(variant or {})}
    components = [{"InferenceComponentName": "ic", **component}] if component is not None else []
    return {"Config": {place: [hosts]}, "Components": components}


def found(*args, **more):
    return [one.path for one in find_undescribed(document(*args, **more))]


@pytest.mark.parametrize(
    "variant",
    [
        {"InstanceType": "ml.m5.large"},
        {"ServerlessConfig": {"MaxConcurrency": 1, "MemorySizeInMB": 1024}},
        {"InstancePools": [{"InstanceType": "ml.m5.large", "Priority": 1}]},
    ],
)
def test_a_variant_says_what_it_runs_on_in_one_of_three_ways(variant):
    assert found(variant) == []


@pytest.mark.parametrize("place", ["ProductionVariants", "ShadowProductionVariants"])
def test_a_variant_that_says_it_in_none_of_them_is_named(place):
    assert found(place=place) == [f"Config.{place}[0].InstanceType"]


@pytest.mark.parametrize(
    "component",
    [
        MADE,
        {"Specification": {"ModelName": "m"}},
        {"Specification": {"BaseInferenceComponentName": "base"}},
        {"Specifications": [{"InstanceType": "ml.g5.xlarge", "ModelName": "m"}]},
    ],
)
def test_a_component_says_what_it_is_made_of(component):
    assert found({"InstanceType": "t"}, component) == []


@pytest.mark.parametrize(
    ("component", "path"),
    [
        ({}, "Components[0].Specification"),
        ({"Specification": {"ComputeResourceRequirements": {}}}, "Components[0].Specification.ModelName"),
        ({"Specifications": [{"ModelName": "m"}, {"InstanceType": "t"}]}, "Components[0].Specification.ModelName"),
    ],
)
def test_a_component_that_does_not_is_named(component, path):
    [problem] = find_undescribed(document({"InstanceType": "t"}, component))
    assert problem.path == path
    assert "component ic is described with none of" in problem.text
    assert "put boto3 into layers/core/requirements.in" in problem.text
