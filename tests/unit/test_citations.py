"""Citations of the reference and of ARCHITECTURE.md, and links between documents, lead to something that exists."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
AREAS = ("images-api", "imports-and-stores", "metadefs", "database", "store-formats", "configuration")
CITING = ("src/", "tests/", "bench/", "dev/", "docs/", ".ci/")

#: Everything in a row of numbers: ``3``, ``3.5 to 3.5.2``, ``11.1, 11.4 and 12``.
_NUMBER = r"\d+(?:\.\d+)*"
_NUMBERS = rf"{_NUMBER}(?:(?:, | and |, and | to | or |-){_NUMBER})*"
_WHOLES = r"\d+(?:(?:, | and |, and | to |-)\d+(?![.\d]))*"
_CITATION = re.compile(
    rf"(?<![\w/.-])(?P<area>{'|'.join(AREAS)}) (?P<sections>{_NUMBERS})"
    rf"(?:[,:]? (?:rows?|quirks?) (?P<items>{_WHOLES}))?(?![\w/])"
)
_ARCHITECTURE = re.compile(
    r"ARCHITECTURE\.md,(?P<names>(?: [A-Z][a-z]+(?: [a-z]+)?,?)+)(?: rules? (?P<rules>[\d, and]+))?"
)
_HEADING = re.compile(rf"(#{{2,4}}) (?P<number>{_NUMBER}) ")
_ITEM = re.compile(r"(?P<item>\d+)\. |\| (?P<row>\d+) \|")
_MODULE = re.compile(r"`([\w./-]+\.py)`")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^()\s]+)\)")

#: Words that belong to documents outside the repository, or to no reader of it; written so that this file has none.
REFUSED = ("spec " + "0", "(des" + "ign,", "the " + "peer", "De" + "v:")


@cache
def tracked() -> tuple[str, ...]:
    """Paths of all files of the working tree that git knows, deleted ones left out."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(name for name in listed.splitlines() if (ROOT / name).is_file())


@cache
def text_of(name: str) -> str:
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def joined(text: str) -> str:
    """``text`` with the lines of a comment or a paragraph joined, so that no citation is cut."""
    return re.sub(r"\n[ \t]*(?:#:?|>)?[ \t]*", " ", text)


class Section:
    """The numbers of the list items and table rows of one section, without its subsections."""

    def __init__(self) -> None:
        self.items: set[str] = set()


@cache
def sections(area: str) -> dict[str, Section]:
    """Every numbered section of an area."""
    found: dict[str, Section] = defaultdict(Section)
    for path in sorted((REFERENCE / area).glob("*.md")):
        current: Section | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            heading = _HEADING.match(line)
            if heading is not None:
                current = found[heading["number"]]
            elif line.startswith("#"):
                current = None
            elif current is not None and (item := _ITEM.match(line)) is not None:
                current.items.add(item["item"] or item["row"])
    return dict(found)


def numbers(text: str) -> Iterator[str]:
    """Each number of a row of them; of ``4 to 7`` the ones between too, where they are whole."""
    cited = re.findall(_NUMBER, text)
    yield from cited
    for first, last in pairwise(cited):
        if re.search(rf"{first}(?: to |-){last}", text) and first.isdigit() and last.isdigit():
            yield from (str(between) for between in range(int(first) + 1, int(last)))


def broken_citations(text: str) -> Iterator[str]:
    """What is cited in ``text`` and does not exist."""
    for citation in _CITATION.finditer(text):
        known = sections(citation["area"])
        cited = list(numbers(citation["sections"]))
        if not all(number in known for number in cited):
            yield citation[0]
        elif citation["items"] is not None:
            items = known[cited[-1]].items
            if not all(number in items for number in numbers(citation["items"])):
                yield citation[0]


@cache
def architecture_headings() -> set[str]:
    return set(re.findall(r"(?m)^## (.*)$", text_of("ARCHITECTURE.md")))


def broken_architecture_citations(text: str) -> Iterator[str]:
    headings = architecture_headings()
    rules = re.findall(
        r"(?m)^(\d+)\. ", text_of("ARCHITECTURE.md").partition("## Data safety")[2].partition("\n## ")[0]
    )
    for citation in _ARCHITECTURE.finditer(text):
        names = [name.strip() for name in citation["names"].strip(" ,").split(",")]
        cited = re.findall(r"\d+", citation["rules"] or "")
        if not headings.issuperset(names) or not set(rules).issuperset(cited):
            yield citation[0]


@cache
def slugs(name: str) -> set[str]:
    """The anchors of the headings of a document, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", text_of(name))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        while slug in found:
            slug += "-1"
        found.add(slug)
    return found


@cache
def places() -> frozenset[PurePosixPath]:
    """Every tracked file and every folder of one."""
    files = [PurePosixPath(one) for one in tracked()]
    return frozenset([*files, *(folder for one in files for folder in one.parents)])


def broken_links(name: str) -> Iterator[str]:
    """Relative links of the document ``name`` to files that are not tracked, or to headings that are not there."""
    known = places()
    text = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", text_of(name))
    for link in _LINK.finditer(text):
        if re.match(r"[a-z]+:", link["target"]):
            continue
        path, _, anchor = link["target"].partition("#")
        base = ROOT / name
        target = PurePosixPath((base.parent / path).resolve().relative_to(ROOT)) if path else PurePosixPath(name)
        if target not in known or (anchor and anchor not in slugs(str(target))):
            yield link["target"]


def citing_files() -> list[str]:
    """Every file that may cite but this one, whose examples are broken on purpose."""
    return [
        name
        for name in tracked()
        if (name.startswith(CITING) or "/" not in name) and name != "tests/unit/test_citations.py"
    ]


def documents() -> list[str]:
    return [name for name in tracked() if name.endswith(".md")]


def test_citations_of_the_reference_resolve() -> None:
    broken = {name: list(broken_citations(joined(text_of(name)))) for name in citing_files()}
    assert {name: cited for name, cited in broken.items() if cited} == {}


def test_citations_of_the_architecture_resolve() -> None:
    broken = {name: list(broken_architecture_citations(joined(text_of(name)))) for name in citing_files()}
    assert {name: cited for name, cited in broken.items() if cited} == {}


def test_links_between_documents_resolve() -> None:
    broken = {name: list(broken_links(name)) for name in documents()}
    assert {name: targets for name, targets in broken.items() if targets} == {}


def test_modules_that_documents_name_exist() -> None:
    paths = [f"/{name}" for name in tracked()]
    broken = {
        name: [
            module for module in _MODULE.findall(text_of(name)) if not any(one.endswith(f"/{module}") for one in paths)
        ]
        for name in documents()
    }
    assert {name: modules for name, modules in broken.items() if modules} == {}


@pytest.mark.parametrize("words", REFUSED)
def test_nothing_cites_what_the_repository_does_not_hold(words: str) -> None:
    assert [name for name in tracked() if words in text_of(name)] == []


@pytest.mark.parametrize("area", AREAS)
def test_an_area_lists_its_files_and_gives_each_number_once(area: str) -> None:
    folder = REFERENCE / area
    files = {path.name for path in folder.glob("*.md")} - {"README.md"}
    listed = set(re.findall(r"\(([\w.-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert files
    assert files <= listed
    headings = [
        found["number"]
        for name in files
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if (found := _HEADING.match(line))
    ]
    assert sorted(headings) == sorted(set(headings))


class TestTheCheckItself:
    """A check that could not fail would be no check."""

    @pytest.mark.parametrize(
        ("text", "broken"),
        [
            ("(images-api 4.2)", []),
            ("images-api 3.5 to 3.5.2; nothing", []),
            ("images-api 4.2, rows 3, 10 and 22", []),
            ("images-api 10, quirk 29: so", []),
            ("images-api 0.1, 1 and 2.", []),
            ("images-api 4.99", ["images-api 4.99"]),
            ("images-api 4.2 and 7.9", ["images-api 4.2 and 7.9"]),
            ("images-api 1 to 12", ["images-api 1 to 12"]),
            ("images-api 4.2, row 99", ["images-api 4.2, row 99"]),
            ("images-api 10, quirks 31 and 32", ["images-api 10, quirks 31 and 32"]),
            ("docs/images-api 4.99, or my-images-api 4.99", []),
        ],
    )
    def test_citations(self, text: str, broken: list[str]) -> None:
        assert list(broken_citations(text)) == broken

    def test_a_citation_over_two_lines_is_one(self) -> None:
        assert list(broken_citations(joined("#: see images-api\n    #: 4.99"))) == ["images-api 4.99"]

    @pytest.mark.parametrize(
        ("text", "count"),
        [
            ("(ARCHITECTURE.md, Data safety, rule 4)", 0),
            ("ARCHITECTURE.md, Threads, Data safety; x", 0),
            ("(ARCHITECTURE.md, Kitchen)", 1),
            ("ARCHITECTURE.md, Data safety, rules 3 and 9", 1),
        ],
    )
    def test_citations_of_the_architecture(self, text: str, count: int) -> None:
        assert len(list(broken_architecture_citations(text))) == count
