"""The document reader finds the examples, and detects wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.transcript import Example, agrees, examples, play

DOCUMENT = """
# Title

```console server
$ sleep 60
```

Text, and a block that is not run:

```sh
rm -rf /
```

```console
$ export WHO=you
$ echo "hello
> $WHO"
hello
you
```
"""


def test_commands_and_their_output_are_found(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(DOCUMENT)
    assert list(examples(document)) == [
        Example(5, "sleep 60", (), server=True),
        Example(15, "export WHO=you", (), server=False),
        Example(16, 'echo "hello\n$WHO"', ("hello", "you"), server=False),
    ]


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        (["| ID   | Name |"], ["| ID | Name      |"]),
        (["+----+"], ["+--------------------+"]),
        (["id 7e4a3aab-8e98-4065-b9cb-fdcb0ae60f2c"], ["id 0dce0bf6-67f5-45f0-a9f0-2bc84261e2d4"]),
        (["at 2026-11-22T13:57:27Z"], ["at 2027-01-01T00:00:00Z"]),
        (["size …"], ["size 196624"]),
        (["one", "…", "four"], ["one", "two", "three", "four"]),
        (["one", "…", "two"], ["one", "two"]),
        ([], []),
    ],
)
def test_what_may_differ_may_differ(said: list[str], printed: list[str]) -> None:
    assert agrees(tuple(said), printed)


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        (["active"], ["queued"]),
        (["active"], []),
        ([], ["a warning"]),
        (["one"], ["one", "two"]),
        (["one", "two"], ["two", "one"]),
        (["size …"], ["length 5"]),
        (["a.c"], ["abc"]),
    ],
)
def test_what_is_not_true_is_found_out(said: list[str], printed: list[str]) -> None:
    assert not agrees(tuple(said), printed)


def test_a_document_is_played_in_one_shell(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("```console\n$ export WHO=you\n$ echo $WHO 9292\nyou 9292\n$ echo lies\ntruth\n$ false\n```\n")
    wrong = play(document, tmp_path, {"PATH": "/usr/bin:/bin"}, lambda: True, 4711)
    assert [entry.splitlines()[0] for entry in wrong] == ["line 5: $ echo lies", "line 7: $ false"]
