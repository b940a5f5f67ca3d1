"""Digests that callers give in headers, and the comparison with data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.domain.digests import ExpectedDigest
from glimpse.errors import Invalid
from glimpse.transfer.expected_digest import Verifier, from_field, wanted_in_field
from glimpse.transfer.expected_digest import in_field as field_of
from glimpse.transfer.pump import Digests

DATA = b"some data"
SHA256 = hashlib.sha256(DATA).hexdigest()
SHA512 = hashlib.sha512(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()

IS_256 = ExpectedDigest("sha256", SHA256)
IS_512 = ExpectedDigest("sha512", SHA512)


def in_field(value: str) -> str:
    return f":{base64.b64encode(bytes.fromhex(value)).decode()}:"


F256, F512 = f"sha-256={in_field(SHA256)}", f"sha-512={in_field(SHA512)}"


class TestFields:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", ()),
            (F256, (IS_256,)),
            (f"{F256}, {F512}", (IS_256, IS_512)),
            (f" {F512}\t,{F256} ", (IS_512, IS_256)),
            (f"md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, {F256}, unixsum=3", (IS_256,)),
            ("md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", ()),
            ("flag, list=(1 2), text=\"a,b\\\"c\", number=-1.5;q=1;x=\"y,z\"", ()),
            (f"{F256};a=1;b, {F512}", (IS_256, IS_512)),
            (f"sha-256={in_field(OTHER)}, {F256}", (IS_256,)),
        ],
    )  # fmt: skip
    def test_found(self, text: str, found: tuple[ExpectedDigest, ...]) -> None:
        assert from_field("Content-Digest", text) == found

    @pytest.mark.parametrize(
        "text",
        ["sha-256", "sha-256=", "sha-256=::", f"sha-256={SHA256}", f'sha-256="{SHA256}"', f"sha-256={in_field(SHA512)}",
         f"sha-256={in_field(SHA256)[:-1]}", "sha-256=:abc:", "SHA-256=:abc=:", f"{F256} {F512}", f"{F256},",
         f",{F256}",
         f"{F256},,{F512}", F256[:-3] + "=:", "=:abc:", "é", "a=b c", 'a="b', f"{F256};"],
    )  # fmt: skip
    def test_malformed(self, text: str) -> None:
        with pytest.raises(Invalid, match="The header Repr-Digest is malformed"):
            from_field("Repr-Digest", text)

    @given(st.text(alphabet='sha-25612=:,;"\\()ab \té/+', max_size=60))
    def test_any_text_has_a_result(self, text: str) -> None:
        try:
            found = from_field("Content-Digest", text)
        except Invalid:
            return
        assert all(len(one.value) in {64, 128} for one in found)

    @pytest.mark.parametrize(
        "text", ["a" * 60_000, "a;" * 30_000, 'a="' + "\\" * 60_000, "a=(" * 20_000, "a, " * 20_000]
    )
    def test_long_texts_do_not_take_long(self, text: str) -> None:
        """With work that grows with the square of the length, this would run into the time limit of a test."""
        for _ in range(20):
            try:
                from_field("Content-Digest", text)
            except Invalid:
                continue


class TestWanted:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", ()),
            ("sha-256=1", ("sha256",)),
            ("sha-256=1, sha-512=10, md5=5", ("sha512", "sha256")),
            ("sha-256=0, sha-512=1", ("sha512",)),
            ("sha-256=5, sha-256=0", ()),
        ],
    )
    def test_found(self, text: str, found: tuple[str, ...]) -> None:
        assert wanted_in_field(text) == found

    @pytest.mark.parametrize("text", ["sha-256", "sha-256=11", "sha-256=-1", "md5=x", "sha-256=1.5", "sha-256=1,", "="])
    def test_malformed(self, text: str) -> None:
        with pytest.raises(Invalid, match="The header Want-Repr-Digest is malformed"):
            wanted_in_field(text)

    def test_given(self) -> None:
        text = field_of({"sha256": SHA256, "sha512": SHA512})
        assert text == f"{F256}, {F512}"
        assert from_field("Repr-Digest", text) == (IS_256, IS_512)
        assert field_of({}) == ""


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", "md5"])
@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_comparison(algorithm: str, name: str, executor: Executor) -> None:
    right = ExpectedDigest(name, hashlib.new(name, DATA).hexdigest())
    wrong = ExpectedDigest(name, hashlib.new(name, b"").hexdigest())
    for expected in (right, wrong):
        digests = Digests(algorithm, executor)
        verifier = Verifier([expected], digests)
        for part in (DATA[:3], DATA[3:]):
            digests.update(part)
            verifier.update(part)
        if expected is right:
            verifier.verify()
        else:
            with pytest.raises(Invalid) as failure:
                verifier.verify()
            assert right.value in str(failure.value)
            assert wrong.value in str(failure.value)


def test_contradictions(executor: Executor) -> None:
    digests = Digests("sha512", executor)
    Verifier([IS_256, IS_256], digests)
    with pytest.raises(Invalid, match="Two different digests of sha256"):
        Verifier([IS_256, ExpectedDigest("sha256", OTHER)], digests)
