"""Digests that callers give: their forms, and the comparison with data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.errors import Invalid
from glimpse.transfer.expected_digest import ExpectedDigest, Verifier, from_field, from_pair, from_sums
from glimpse.transfer.pump import Digests

DATA = b"some data"
MD5 = hashlib.md5(DATA).hexdigest()
SHA1 = hashlib.sha1(DATA).hexdigest()
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


class TestPairs:
    @pytest.mark.parametrize("name", ["sha256", "SHA256", "sha-256", "SHA2-256", " sha256"])
    def test_found(self, name: str) -> None:
        assert from_pair(f"{name}:{SHA256.upper()}") == IS_256
        assert from_pair(f"md5:{MD5}") == ExpectedDigest("md5", MD5)

    @pytest.mark.parametrize(
        "text", ["", SHA256, "sha256:", f"sha256:{MD5}", f"crc32:{MD5}", f"sha256:{'g' * 64}", f"256:{SHA256}x"]
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(Invalid):
            from_pair(text)


class TestLists:
    @pytest.mark.parametrize(
        "line",
        [f"{SHA256}  a.img", f"{SHA256} *a.img", f"{SHA256.upper()}  a.img", f"{SHA256}  ./a.img",
         f"SHA256 (a.img) = {SHA256}",
         f"SHA256(a.img)= {SHA256}", f"SHA2-256(a.img)= {SHA256}", f"{SHA256}  images/a.img", SHA256, f"{SHA256}\n",
         f"\\{SHA256}  a.img", f"\\SHA256 (a.img) = {SHA256}"],
    )  # fmt: skip
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_forms(self, line: str, end: str) -> None:
        assert from_sums(line, "a.img") == IS_256
        if line.strip() != SHA256:
            others = [f"{OTHER}  b.img", f"{OTHER}  a.img.xz", f"# a.img: {OTHER}"]
            assert from_sums(end.join([*others, line, ""]), "a.img") == IS_256

    def test_escaped_names(self) -> None:
        name = "a\\b\nc\rd n\\"
        line = f"\\{SHA256}  a\\\\b\\nc\\rd n\\\\"
        assert from_sums(line, name) == IS_256
        assert from_sums(f"{OTHER}  a\\nb\n\\{SHA256}  a\\nb", "a\nb") == IS_256
        assert from_sums(f"{SHA256}  a\\nb\n\\{OTHER}  a\\nb", "a\\nb") == IS_256

    def test_the_exact_name_comes_first(self) -> None:
        assert from_sums(f"{OTHER}  old/a.img\n{SHA256}  a.img", "a.img") == IS_256

    def test_the_strongest_is_taken(self) -> None:
        lines = [
            f"MD5 (a) = {MD5}",
            f"SHA512 (a) = {SHA512}",
            f"{SHA256}  a",
            f"BLAKE2b (a) = {'0' * 128}",
            f"SHA256 (a) = {MD5}",
        ]
        assert from_sums("\n".join(lines), "a") == IS_512
        assert from_sums(f"{MD5}  a\n{SHA1}  a", "a") == ExpectedDigest("sha1", SHA1)

    def test_signed_lists(self) -> None:
        head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# a: 9 bytes\n"
        text = f"{head}SHA256 (a) = {SHA256}\n-----BEGIN PGP SIGNATURE-----\n"
        assert from_sums(text, "a") == IS_256

    @pytest.mark.parametrize(
        ("text", "reason"),
        [("", "no line"), (f"{SHA256}  b", "no line"), (f"{SHA256}  a\n{OTHER}  a", "several different"),
         (f"{SHA256[:-1]}  a", "no line"), (f"{SHA256} a", "no line"),
         (f"{OTHER}  x/a\n{SHA256}  y/a", "several different"),
         (f"{SHA256}\n{SHA256}", "no line"), (SHA256[:50], "no line")],
    )  # fmt: skip
    def test_refused(self, text: str, reason: str) -> None:
        with pytest.raises(Invalid, match=f"{reason}.* for 'a'"):
            from_sums(text, "a")


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
