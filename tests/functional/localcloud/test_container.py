"""The container's serving contract and the rules for what it may serve, without a process of its own."""

import http.client
import io
import json
import tarfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from moto.sagemaker.models import SageMakerModelBackend, sagemaker_backends

from localcloud.edge import container
from localcloud.edge.artifacts import artifact
from localcloud.edge.container import CannotLoad, Handler, Server, Unsupported
from localcloud.edge.container_process import Unservable

HERE = "ap-southeast-1"
IMAGE = f"121021644041.dkr.ecr.{HERE}.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
BUCKET = "models"


@pytest.fixture
def s3() -> Iterator[Any]:
    """S3 with one bucket."""
    with mock_aws():
        client = boto3.client("s3", HERE, aws_access_key_id="x", aws_secret_access_key="x")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": HERE})
        yield client


def scripted(directory: Path, script: str) -> container.Model:
    """A loaded model with this script."""
    (directory / "code").mkdir()
    (directory / "code" / "inference.py").write_text(textwrap.dedent(script))
    return container.load(directory, {})


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An archive of these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


SUM = """
    class Sum:
        def predict(self, rows):
            return rows.sum(axis=-1)

    def model_fn(model_dir):
        return Sum()
"""


def test_the_defaults_decode_and_encode_json_csv_and_npy(tmp_path: Path) -> None:
    model = scripted(tmp_path, SUM)
    rows = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
    npy = io.BytesIO()
    np.save(npy, rows)
    assert model.answer(b"[[1, 2], [3, 4]]", container.JSON, "*/*") == (b"[3.0, 7.0]", container.JSON)
    assert model.answer(b"1,2\n3,4\n", container.CSV, container.CSV) == (b"3.0\n7.0\n", container.CSV)
    body, kind = model.answer(npy.getvalue(), container.NPY, container.NPY)
    assert (np.load(io.BytesIO(body)).tolist(), kind) == ([3.0, 7.0], container.NPY)


@pytest.mark.parametrize(("kind", "accept", "status"), [("image/png", "*/*", 415), ("text/csv", "image/png", 406)])
def test_the_defaults_refuse_other_types(tmp_path: Path, kind: str, accept: str, status: int) -> None:
    with pytest.raises(Unsupported) as refused:
        scripted(tmp_path, SUM).answer(b"1,2", kind, accept)
    assert refused.value.status == status


def test_a_transform_replaces_the_other_three(tmp_path: Path) -> None:
    model = scripted(
        tmp_path,
        """
        def model_fn(model_dir):
            return "m"

        def transform_fn(model, data, content_type, accept):
            return f"{model}{data}{content_type}"
        """,
    )
    assert model.answer(b"d", "text/csv", "text/plain") == (b"mdtext/csv", "text/plain")


def test_a_script_without_model_fn_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match="model_fn"):
        scripted(tmp_path, "x = 1\n")


def test_a_model_without_a_script_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match=r"code/serve\.py"):
        container.load(tmp_path, {"SAGEMAKER_PROGRAM": "serve.py"})


@pytest.mark.parametrize("form", ["archive", "object", "prefix"])
def test_every_form_of_artifact_is_fetched(s3: Any, tmp_path: Path, form: str) -> None:
    directory = tarfile.TarInfo("code")
    directory.type = tarfile.DIRTYPE
    s3.put_object(
        Bucket=BUCKET, Key="m.tar.gz", Body=packed((directory, b""), (tarfile.TarInfo("code/a.txt"), b"text"))
    )
    s3.put_object(Bucket=BUCKET, Key="loose/code/a.txt", Body=b"text")
    s3.put_object(Bucket=BUCKET, Key="loose/code/", Body=b"")
    keys = {"archive": "m.tar.gz", "object": "loose/code/a.txt", "prefix": "loose/"}
    into = tmp_path / "model"
    into.mkdir()
    container.fetch({"region": HERE, "url": f"s3://{BUCKET}/{keys[form]}", "form": form}, into)
    (found,) = [path for path in into.rglob("*") if path.is_file()]
    assert found.read_bytes() == b"text"
    assert found.relative_to(into).as_posix() == ("a.txt" if form == "object" else "code/a.txt")


@pytest.mark.parametrize(
    ("key", "form", "text"),
    [
        ("nothing.tar.gz", "archive", "Failed to download model data"),
        ("nothing/", "prefix", "Could not find model data"),
        ("garbage", "archive", "valid tar.gz archive"),
        ("link.tar.gz", "archive", "neither a file nor a directory"),
        ("outside.tar.gz", "archive", "lies outside the model"),
    ],
)
def test_a_bad_artifact_is_named(s3: Any, tmp_path: Path, key: str, form: str, text: str) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    s3.put_object(Bucket=BUCKET, Key="garbage", Body=b"no archive")
    s3.put_object(Bucket=BUCKET, Key="link.tar.gz", Body=packed((link, b"")))
    s3.put_object(Bucket=BUCKET, Key="outside.tar.gz", Body=packed((tarfile.TarInfo("../out.txt"), b"x")))
    into = tmp_path / "model"
    into.mkdir()
    with pytest.raises(CannotLoad, match=text):
        container.fetch({"region": HERE, "url": f"s3://{BUCKET}/{key}", "form": form}, into)
    assert not (tmp_path / "out.txt").exists()


def test_ping_is_unwell_until_the_model_is_loaded(tmp_path: Path) -> None:
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()

    json_type = {"Content-Type": "application/json; charset=utf-8"}
    assert (ask("GET", "/ping")[0], ask("POST", "/invocations", b"[1]")[0]) == (503, 503)
    server.model = scripted(tmp_path, SUM)
    assert (ask("GET", "/ping")[0], ask("GET", "/other")[0], ask("POST", "/other")[0]) == (200, 404, 404)
    assert ask("POST", "/invocations", b"[1, 2]", **json_type) == (200, b"3.0")
    assert ask("POST", "/invocations", b"{", **json_type)[0] == 500
    assert ask("POST", "/invocations", b"x", **{"Content-Type": "image/png"})[0] == 415
    connection.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def backend(s3: Any) -> SageMakerModelBackend:
    """moto's SageMaker of the region, its bucket in place."""
    return sagemaker_backends["123456789012"][HERE]


def described(**container_settings: Any) -> dict[str, Any]:
    """A container of this region."""
    return {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz"} | container_settings


@pytest.mark.parametrize(
    ("source", "form"),
    [
        ({"S3DataType": "S3Prefix", "CompressionType": "None"}, "prefix"),
        ({"S3DataType": "S3Object", "CompressionType": "None"}, "object"),
        ({"S3DataType": "S3Object", "CompressionType": "Gzip"}, "archive"),
    ],
)
def test_a_data_source_says_how_to_read_it(backend: SageMakerModelBackend, source: dict[str, str], form: str) -> None:
    location = {"S3DataSource": {"S3Uri": f"s3://{BUCKET}/x"} | source}
    backend.create_model("m", "", described(ModelDataUrl=None, ModelDataSource=location), None, None, None)
    assert (artifact(backend, "m").url, artifact(backend, "m").form) == (f"s3://{BUCKET}/x", form)


def test_a_model_of_a_package_serves_the_packages_container(s3: Any, backend: SageMakerModelBackend) -> None:
    sagemaker = boto3.client("sagemaker", HERE, aws_access_key_id="x", aws_secret_access_key="x")
    sagemaker.create_model_package_group(ModelPackageGroupName="iris")
    specification = {
        "Containers": [described(Environment={"A": "package", "B": "package"})],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    arn = sagemaker.create_model_package(ModelPackageGroupName="iris", InferenceSpecification=specification)[
        "ModelPackageArn"
    ]
    backend.create_model("m", "", None, None, [{"ModelPackageName": arn, "Environment": {"A": "model"}}], None)
    found = artifact(backend, "m")
    assert (found.url, found.environment) == (f"s3://{BUCKET}/m.tar.gz", {"A": "model", "B": "package"})


@pytest.mark.parametrize(
    ("containers", "text"),
    [
        ([], "not of 0"),
        ([described(), described()], "not of 2"),
        ([{"ModelPackageName": "nobody"}], 'Could not find model package "nobody"'),
        ([described(Image="python:3.11")], "not a valid Amazon ECR image path"),
        ([described(ModelDataUrl="https://example.com/m.tar.gz")], "is not the S3 location"),
        (
            [described(ModelDataSource={"S3DataSource": {"S3Uri": "s3://x", "ManifestS3Uri": "s3://y"}})],
            "ManifestS3Uri",
        ),
        ([described(Environment={"SAGEMAKER_SUBMIT_DIRECTORY": "s3://x/source.tar.gz"})], "inside the model artifact"),
    ],
)
def test_what_the_local_cloud_cannot_serve_is_named(
    backend: SageMakerModelBackend, containers: list[dict[str, Any]], text: str
) -> None:
    backend.create_model("m", "", None, None, containers, None)
    with pytest.raises(Unservable, match=text):
        artifact(backend, "m")


def test_a_model_that_was_deleted_cannot_be_served(backend: SageMakerModelBackend) -> None:
    with pytest.raises(Unservable, match='Could not find model "gone"'):
        artifact(backend, "gone")


def test_the_specification_of_a_container_is_plain_json(backend: SageMakerModelBackend) -> None:
    backend.create_model("m", "", described(Environment={"N": 1}), None, None, None)
    assert json.dumps(dict(artifact(backend, "m").environment)) == '{"N": "1"}'
