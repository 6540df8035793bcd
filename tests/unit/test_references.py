"""References: every region-bound value is found by its field, carried as data, or refused by its path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.recovery_point import Rewrite
from mldr.domain.references import Ground, Kind, find_references, parse_s3, rewrite_document
from mldr.errors import BadReference

REGION = "ap-southeast-1"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/churn:1"
HERE = Ground(
    region=REGION, named={"db.example.ap-southeast-1.rds.amazonaws.com": "db.there", f"{REGION}a": "there-1c"}
)
KEY = f"arn:aws:kms:{REGION}:123456789012:key/abc"


def found(document):
    return [(one.path, one.kind) for one in find_references(document, HERE)]


@pytest.mark.parametrize(
    ("document", "path", "kind"),
    [
        ({"Containers": [{"Image": IMAGE}]}, "Containers[0].Image", Kind.IMAGE),
        ({"Containers": [{}, {"ModelDataUrl": "s3://lake/m.tar.gz"}]}, "Containers[1].ModelDataUrl", Kind.S3_OBJECT),
        ({"S3DataSource": {"S3Uri": "s3://lake/p/", "S3DataType": "S3Prefix"}}, "S3DataSource.S3Uri", Kind.S3_PREFIX),
        ({"S3DataSource": {"S3Uri": "s3://lake/o", "S3DataType": "S3Object"}}, "S3DataSource.S3Uri", Kind.S3_OBJECT),
        ({"Statistics": {"S3Uri": "s3://lake/stats.json"}}, "Statistics.S3Uri", Kind.S3_OBJECT),
        ({"SamplePayloadUrl": "s3://lake/sample.tar.gz"}, "SamplePayloadUrl", Kind.S3_OBJECT),
        ({"SecurityConfig": {"KmsKeyId": KEY}}, "SecurityConfig.KmsKeyId", Kind.KMS_KEY),
        (
            {"MetadataProperties": {"GeneratedBy": f"arn:aws:sagemaker:{REGION}:1:job/x"}},
            "MetadataProperties.GeneratedBy",
            Kind.LINEAGE,
        ),
        ({"ModelCard": {"ModelCardContent": f"trained on {KEY}"}}, "ModelCard.ModelCardContent", Kind.LINEAGE),
        ({"CustomerMetadataProperties": {"run": "s3://lake/run"}}, "CustomerMetadataProperties.run", Kind.LINEAGE),
        ({"Environment": {"AWS_DEFAULT_REGION": REGION}}, "Environment.AWS_DEFAULT_REGION", Kind.REGION),
        ({"Environment": {"TOKENS": "s3://lake/tokens.json"}}, "Environment.TOKENS", Kind.S3_OBJECT),
        ({"Environment": {"ADAPTERS": "s3://lake/adapters/"}}, "Environment.ADAPTERS", Kind.S3_PREFIX),
    ],
)
def test_a_reference_is_found_by_its_field(document, path, kind):
    assert found(document) == [(path, kind)]


@pytest.mark.parametrize(
    "document",
    [
        {"ModelPackageDescription": "a model of churn", "Count": 3, "Flag": True, "Nothing": None},
        {"CustomerMetadataProperties": {"team": "risk"}},
        {"Environment": {"THRESHOLD": "0.5", "NOTE": "made in ap-southeast"}},
        {"SupportedContentTypes": ["text/csv"]},
        {"Role": "arn:aws:iam::123456789012:role/global"},
    ],
)
def test_what_is_bound_to_no_region_is_left_alone(document):
    assert found(document) == []


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"Description": "see s3://lake"}, None),
        ({"NewField": "s3://lake/x"}, "NewField"),
        ({"Deep": [{"Thing": KEY}]}, r"Deep\[0\].Thing"),
        ({"NewField": f"see {IMAGE}"}, "NewField"),
        ({"NewList": ["text/csv", "s3://lake/x"]}, r"NewList\[1\]"),
        ({"Environment": {"TOPIC": f"arn:aws:sns:{REGION}:1:topic"}}, "Environment.TOPIC"),
        ({"Environment": {"BASE": IMAGE}}, "Environment.BASE"),
        ({"Environment": {"ZONES": f"{REGION}b"}}, "Environment.ZONES"),
        ({"Environment": {"LISTED": "s3://lake/x,s3://lake/y"}}, "Environment.LISTED"),
        ({"Environment": {"JSON": '{"lookup": "s3://lake/x"}'}}, "Environment.JSON"),
        ({"Environment": {"FS": f"https://featurestore-runtime.{REGION}.amazonaws.com"}}, "Environment.FS"),
    ],
)
def test_a_reference_that_nobody_knows_is_refused_by_its_path(document, path):
    if path is None:
        assert found(document) == []
        return
    with pytest.raises(BadReference, match=path):
        find_references(document, HERE)


@pytest.mark.parametrize("uri", ["s3://", "s3://lake", "s3://lake/", "http://lake/x", "s3://L/x", "lake/x", ""])
def test_what_is_no_s3_uri_is_refused_by_its_field(uri):
    with pytest.raises(BadReference, match=r"Containers\[0\]"):
        parse_s3(uri, "Containers[0]")


@given(key=st.text(min_size=1).filter(lambda key: "\x00" not in key))
def test_every_key_is_read_whole(key):
    assert parse_s3(f"s3://lake/{key}", "x") == ("lake", key)


def test_a_document_is_rewritten_at_its_paths_only():
    document = {"A": [{"Image": "old", "Keep": "old"}], "B": "old", "N": 1}
    rewrite = Rewrite(path="A[0].Image", kind="image", source="old", target="new")
    assert rewrite_document(document, (rewrite,)) == {"A": [{"Image": "new", "Keep": "old"}], "B": "old", "N": 1}
    assert document["A"][0]["Image"] == "old"


@pytest.mark.parametrize("name", ["ModelDataETag", "ImageDigest", "ETag"])
def test_what_s3_and_ecr_say_of_the_source_is_left_behind(name):
    assert rewrite_document({"Containers": [{name: "x", "Image": "i"}]}, ()) == {"Containers": [{"Image": "i"}]}


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(codec="ascii"), max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), JSON, max_size=4))
def test_without_rewrites_a_document_stays_the_same(document):
    assert rewrite_document(document, ()) == document


def test_what_the_policy_has_a_word_for_is_rewritten_and_not_refused():
    value = "postgres://churn@db.example.ap-southeast-1.rds.amazonaws.com:5432/churn?zone=ap-southeast-1a"
    [reference] = find_references({"Environment": {"DATABASE": value}}, HERE)
    assert (reference.path, reference.kind) == ("Environment.DATABASE", Kind.NAMED)
    assert reference.target == "postgres://churn@db.there:5432/churn?zone=there-1c"


def test_a_refusal_names_what_is_bound_and_nothing_beside_it():
    value = f"churn and correct-horse at db.other.{REGION}.rds.amazonaws.com, {REGION}a"
    with pytest.raises(BadReference) as refused:
        find_references({"Environment": {"DATABASE": value}}, HERE)
    assert f"Environment.DATABASE: db.other.{REGION}.rds.amazonaws.com belongs to" in str(refused.value)
    assert "correct-horse" not in str(refused.value)
    assert "serving.references" in str(refused.value)
