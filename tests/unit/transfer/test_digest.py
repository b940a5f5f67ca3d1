"""MD5 and the multihash of a stream, compared with hashlib on the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from glimpse.transfer.pump import Digests, is_supported
from tests.support.images import noise

MIB = 1 << 20


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", "sha3_256", "blake2b", "md5", "sha1"])
@pytest.mark.parametrize("sizes", [[], [1], [MIB], [MIB] * 8 + [17], [5, 3 * MIB, 200_000, 1]])
def test_equals_hashlib(algorithm: str, sizes: list[int], executor: Executor) -> None:
    batches = [noise(size, f"batch {index}") for index, size in enumerate(sizes)]
    digests = Digests(algorithm, executor)
    for batch in batches:
        digests.update(batch)
    whole = b"".join(batches)
    assert digests.checksum == hashlib.md5(whole).hexdigest()
    assert digests.hash_algo == algorithm
    assert digests.hash_value == hashlib.new(algorithm, whole).hexdigest()


def test_a_buffer_may_be_reused_after_waiting(executor: Executor) -> None:
    buffer = bytearray(MIB)
    digests = Digests("sha256", executor)
    whole = b""
    for index in range(20):
        buffer[:] = bytes([index]) * MIB
        whole += buffer
        digests.update(memoryview(buffer))
        digests.wait()
    assert digests.checksum == hashlib.md5(whole).hexdigest()
    assert digests.hash_value == hashlib.sha256(whole).hexdigest()


def test_many_streams_share_an_executor_of_one_thread() -> None:
    with ThreadPoolExecutor(1) as narrow:
        streams = [Digests("sha256", narrow) for _ in range(5)]
        for _ in range(4):
            for index, digests in enumerate(streams):
                digests.update(bytes([index]) * MIB)
        for index, digests in enumerate(streams):
            assert digests.checksum == hashlib.md5(bytes([index]) * 4 * MIB).hexdigest()


@pytest.mark.parametrize("algorithm", ["", "sha", "crc32", "shake_128", "shake_256", "sha512 "])
def test_an_unknown_algorithm(algorithm: str, executor: Executor) -> None:
    assert not is_supported(algorithm)
    with pytest.raises(ValueError, match="no algorithm"):
        Digests(algorithm, executor)


def test_every_other_algorithm_of_hashlib_is_supported() -> None:
    assert all(is_supported(name) for name in hashlib.algorithms_guaranteed if not name.startswith("shake"))
