"""Files of checksums: the forms of their lines, and files that are of no use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.domain.digests import LENGTHS, ExpectedDigest
from glimpse.errors import Invalid
from glimpse.fetch.checksum_file import LONGEST_FILE, file_name_of, from_sums, read_text

DATA = b"some data"
MD5 = hashlib.md5(DATA).hexdigest()
SHA1 = hashlib.sha1(DATA).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()
SHA512 = hashlib.sha512(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()

IS_256 = ExpectedDigest("sha256", SHA256)
IS_512 = ExpectedDigest("sha512", SHA512)


class TestForms:
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
        [("", "has no digest"), (f"{SHA256}  b", "has no digest"), (f"{SHA256}  a\n{OTHER}  a", "several different"),
         (f"{SHA256[:-1]}  a", "has no digest"), (f"{SHA256} a", "has no digest"),
         (f"{OTHER}  x/a\n{SHA256}  y/a", "several different"),
         (f"{SHA256}\n{SHA256}", "has no digest"), (SHA256[:50], "has no digest")],
    )  # fmt: skip
    def test_refused(self, text: str, reason: str) -> None:
        with pytest.raises(Invalid, match=f"{reason}.* of 'a'"):
            from_sums(text, "a")

    @given(
        st.text(min_size=1, max_size=40),
        st.sampled_from(sorted(LENGTHS)),
        st.sampled_from(["gnu", "binary", "bsd"]),
        st.lists(st.text(max_size=80), max_size=5),
    )
    def test_every_name_is_found(self, name: str, algorithm: str, form: str, others: list[str]) -> None:
        """Written as coreutils writes it, among lines of any kind."""
        value = hashlib.new(algorithm, DATA).hexdigest()
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if escaped != name else ""
        line = {
            "gnu": f"{mark}{value}  {escaped}",
            "binary": f"{mark}{value} *{escaped}",
            "bsd": f"{mark}{algorithm.upper()} ({escaped}) = {value}",
        }[form]
        text = "\n".join([*others, line, *others])
        wanted = name.removeprefix("./")
        if wanted:
            assert from_sums(text, wanted) == ExpectedDigest(algorithm, value)

    @given(st.text(alphabet="0123456789abcdefSHAMD ()=*\\\n\r./\0é", max_size=300))
    def test_any_text_has_a_result(self, text: str) -> None:
        try:
            found = from_sums(text, "a")
        except Invalid:
            return
        assert len(found.value) == 2 * LENGTHS[found.algorithm]

    @pytest.mark.parametrize(
        "text",
        ["\n" * LONGEST_FILE, "0" * LONGEST_FILE, f"{SHA256}  " + "a" * LONGEST_FILE, "SHA256 (" + ")" * LONGEST_FILE,
         "SHA256 (a) = " * 80_000, "A" * LONGEST_FILE, f"{SHA256}  b\n" * 15_000],
    )  # fmt: skip
    def test_long_texts_do_not_take_long(self, text: str) -> None:
        """With work that grows with the square of the length, this would run into the time limit of a test."""
        with pytest.raises(Invalid):
            from_sums(text, "a")

    def test_the_message_can_be_stored(self) -> None:
        with pytest.raises(Invalid) as failure:
            from_sums("", "a\0\n" + "b" * 5000)
        message = str(failure.value)
        assert message.isprintable()
        assert len(message) < 200


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://x/a.img", "a.img"), ("https://x/y/a%20b.img?token=1/2#z", "a b.img"), ("https://x/%C3%A9", "é")],
)
def test_the_name_of_a_file(url: str, name: str) -> None:
    assert file_name_of(url) == name


@pytest.mark.parametrize("url", ["https://x", "https://x/", "https://x/a/", "https://x/a/?file=b"])
def test_urls_without_a_name(url: str) -> None:
    with pytest.raises(Invalid, match="without the name of a file"):
        file_name_of(url)


class Parts:
    def __init__(self, *parts: bytes) -> None:
        self._parts: Iterator[bytes] = iter(parts)

    def next_batch(self) -> bytes | None:
        return next(self._parts, None)


class TestReading:
    def test_text(self) -> None:
        checks: list[int] = []
        found = read_text(Parts(b"\xef\xbb\xbfab", b"c\xff\xc3", b"\xa9\n"), lambda: checks.append(1))
        assert (found, len(checks)) == ("abc\ufffdé\n", 3)

    def test_a_binary_file(self) -> None:
        with pytest.raises(Invalid, match="not a text"):
            read_text(Parts(b"ab\0c"), lambda: None)

    def test_a_file_that_is_too_long(self) -> None:
        assert len(read_text(Parts(b"a" * LONGEST_FILE), lambda: None)) == LONGEST_FILE
        with pytest.raises(Invalid, match="more than 1048576 bytes"):
            read_text(Parts(b"a" * LONGEST_FILE, b"a"), lambda: None)
