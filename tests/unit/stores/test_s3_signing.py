"""Signature Version 4: the example that AWS publishes, and signatures of the same requests by botocore 1.44.8."""

from datetime import UTC, datetime

import pytest

from glimpse.settings.model import Secret
from glimpse.stores.s3.signing import Signer, canonical_query

NOW = datetime(2026, 11, 30, 12, 0, 5, tzinfo=UTC)
KEY, SECRET = Secret("AKIDEXAMPLE"), Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SIGNER = Signer(KEY, SECRET, "eu-west-1")
OBJECT = "/images/0f6cbc70-1a5c-4bf0-93b4-1f8f2c3f0d11"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "signature"),
    [
        ("GET", OBJECT, {}, {},
         "d90b045bf31d95bbae9cdebffdb9da959e7b9799bd96c91b7d308d08814c92c4"),
        ("PUT", OBJECT, {"partNumber": "7", "uploadId": "2~a/b="}, {"x-amz-checksum-crc32": "AAAAAA=="},
         "c1774e3be3e279d719a9a559bc37aeb9fc3c69553e46a8ee250f4dd3906cadbc"),
        ("POST", OBJECT, {"uploads": ""}, {"x-amz-meta-glimpse-attempt": "a1b2"},
         "01a8c9957f2cafefc5bd42ff00aac230dea90948b031aa1843f50227b4f77b13"),
        ("GET", "/images/", {"prefix": ".glimpse/", "list-type": "2"}, {},
         "14767fa79d558c35f30689dcf32816187aa850b178c7d1ceabe177d8e54f2dea"),
        ("GET", "/base/my%20bucket/key", {}, {},
         "4491caaf17638c638d383ba32294640a2e581095f40ca48f4db97743955c11c3"),
    ],
)  # fmt: skip
def test_a_request_has_the_signature_of_botocore(method, path, query, headers, signature):
    fields = {"host": "s3.example.org:8443", "range": "bytes=0-1", **headers}
    signed = SIGNER.headers(method, path, canonical_query(query), fields, NOW)
    names = ";".join(sorted(["host", "x-amz-content-sha256", "x-amz-date", *headers]))
    assert signed["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-west-1/s3/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert signed["x-amz-date"] == "20261130T120005Z"
    assert signed["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert str(SECRET) not in str(signed)


def test_a_presigned_url_has_the_signature_of_botocore():
    query = SIGNER.presigned_query(OBJECT, "s3.example.org:8443", 600, NOW)
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261130%2Feu-west-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20261130T120005Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=8dcbfe3ae57d9dbdebe72defdd14af94ecc2161e6e46eef1d5aec80f9c9ff5e6"
    )


def test_the_example_that_aws_publishes():
    signer = Signer(Secret("AKIAIOSFODNN7EXAMPLE"), SECRET, "us-east-1")
    when = datetime(2013, 5, 24, tzinfo=UTC)
    query = signer.presigned_query("/test.txt", "examplebucket.s3.amazonaws.com", 86400, when)
    assert query.endswith("=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_the_key_of_another_day_is_not_reused():
    signer = Signer(KEY, SECRET, "eu-west-1")
    first = signer.headers("GET", "/", "", {"host": "h"}, NOW)["authorization"]
    signer.headers("GET", "/", "", {"host": "h"}, datetime(2026, 12, 1, tzinfo=UTC))
    assert signer.headers("GET", "/", "", {"host": "h"}, NOW)["authorization"] == first


@pytest.mark.parametrize(("asked", "granted"), [(0, "1"), (60, "60"), (10**7, "604800")])
def test_the_validity_of_a_presigned_url_is_limited(asked: int, granted: str):
    assert f"X-Amz-Expires={granted}&" in SIGNER.presigned_query("/a", "h", asked, NOW)
