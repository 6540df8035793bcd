"""Bearer tokens for clusters: EKS's presigned one, checked against the signature's own definition, and a secret's."""

import base64
import hashlib
import hmac
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.credentials import Credentials

from mldr.aws.cluster_tokens import FRESH, RENEWED, EksTokens, SecretBearer
from mldr.errors import NotAllowed
from tests.contract.conftest import STANDBY

CREDENTIALS = Credentials("AKIDEXAMPLE", "a-secret", "session/token=")


def eks(credentials=CREDENTIALS):
    return EksTokens(lambda: credentials, region=STANDBY, cluster="prod-b")


def presigned(token):
    encoded = token.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


def test_the_token_is_a_presigned_question_to_sts_of_the_region_for_this_cluster():
    token = eks()()
    assert token.startswith("k8s-aws-v1.")
    assert "=" not in token
    url = urlsplit(presigned(token))
    assert (url.scheme, url.netloc, url.path) == ("https", f"sts.{STANDBY}.amazonaws.com", "/")
    asked = {name: value for name, [value] in parse_qs(url.query).items()}
    assert (asked["Action"], asked["Version"], asked["X-Amz-Expires"]) == ("GetCallerIdentity", "2011-06-15", "60")
    assert asked["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert asked["X-Amz-Security-Token"] == CREDENTIALS.token


def test_the_signature_is_what_signature_version_4_says():
    url = urlsplit(presigned(eks()()))
    asked = {name: value for name, [value] in parse_qs(url.query).items()}
    signature, at = asked.pop("X-Amz-Signature"), asked["X-Amz-Date"]
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(asked.items()))
    headers = f"host:{url.netloc}\nx-k8s-aws-id:prod-b\n"
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\n{headers}\nhost;x-k8s-aws-id\n{nothing}"
    scope = f"{at[:8]}/{STANDBY}/sts/aws4_request"
    said = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{CREDENTIALS.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert hmac.new(key, said.encode(), hashlib.sha256).hexdigest() == signature


def test_a_token_is_signed_anew_before_eks_takes_it_no_more(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("mldr.aws.cluster_tokens.time.monotonic", lambda: now[0])
    signed = []
    tokens = EksTokens(lambda: signed.append(1) or CREDENTIALS, region=STANDBY, cluster="prod-b")
    tokens()
    tokens()
    assert len(signed) == 1
    now[0] += RENEWED + 1
    tokens()
    assert len(signed) == 2
    assert RENEWED < 900, "EKS takes a token for 15 minutes"


def test_without_credentials_nothing_is_signed():
    with pytest.raises(NotAllowed, match="prod-b"):
        eks(credentials=None)()


def test_a_token_from_secrets_manager_is_read_once_and_again_after_a_rotation(moto, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("mldr.aws.cluster_tokens.time.monotonic", lambda: now[0])
    secrets = moto.client("secretsmanager")
    secrets.create_secret(Name="mldr-cluster", SecretString="first\n")
    bearer = SecretBearer(lambda: secrets, name="mldr-cluster")
    assert bearer() == "first"
    secrets.put_secret_value(SecretId="mldr-cluster", SecretString="second")
    assert bearer() == "first"
    now[0] += FRESH + 1
    assert bearer() == "second"


def test_a_secret_that_is_not_there_is_named(moto):
    with pytest.raises(NotAllowed, match="there is no secret mldr-cluster"):
        SecretBearer(lambda: moto.client("secretsmanager"), name="mldr-cluster")()
