"""The kinds of jobs and their inputs. To add one: declare its input, add it to :data:`KINDS`, and write its handler.

Fields whose values may hold credentials are of the type :data:`SecretText`, also inside lists, tuples and mappings. A
database with an encryption key encrypts exactly these; nothing else has to be done for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import msgspec

from glimpse.domain.job import Job
from glimpse.errors import Invalid

#: A text that must not be readable in a row of the database when an encryption key is configured.
SecretText = Annotated[str, msgspec.Meta(extra={"secret": True})]
#: Such a text that a job needs only until it ends: its row loses it then.
TokenText = Annotated[str, msgspec.Meta(extra={"secret": True, "token": True})]

UPLOAD = "upload"
UPLOAD_SWEEP = "upload_sweep"
IMAGE_DELETION = "image_deletion"
COPY_REMOVAL = "copy_removal"
IMAGE_IMPORT = "api_image_import"
STAGING = "staging"
LOCATION_IMPORT = "location_import"
LOCATION_CHECK = "location_check"


class NoInput(msgspec.Struct, frozen=True):
    """The job is about its image as a whole."""


class UploadSweepInput(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt whose unfinished data are to be removed, by the name that they have in the store."""

    attempt: str


class CopyRemovalInput(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of an image to remove: its URL, and its location row if the image still has that as pending."""

    url: SecretText
    location_id: int | None = None


class ImageImportInput(msgspec.Struct, frozen=True, kw_only=True):
    """What ``POST /v2/images/{id}/import`` asked for (imports-and-stores 2.3).

    ``request`` is the body as JSON, which may contain a URL with credentials. ``stores`` are the ids of the target
    stores in the order asked for; an only store without a name is ``default``. ``digests``, in hex by algorithm, are
    those that the data must have beside the one in the request. ``roles`` are those of the caller, in lower case.

    For glance-download, ``endpoint`` is the URL of the image service in the caller's catalog, None if the catalog has
    none for the region and the interface, and ``token`` is the caller's, until the job ends.
    """

    image_id: str
    request: SecretText
    stores: tuple[str, ...]
    endpoint: str | None = None
    token: TokenText | None = None
    digests: dict[str, str] = {}
    roles: tuple[str, ...] = ()


class LocationImportInput(msgspec.Struct, frozen=True, kw_only=True):
    """What ``POST /v2/images/{id}/locations`` asked for (imports-and-stores 5.4)."""

    image_id: str
    loc_url: SecretText
    validation_data: dict[str, str] = {}


class LocationCheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """The image whose unverified locations are to be checked."""

    image_id: str


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all jobs of a kind.

    ``is_task``: shown as a task of its image (imports-and-stores 3.5). ``outlives_image``: the job goes on when its
    image is deleted.
    """

    input: type[msgspec.Struct]
    is_task: bool = False
    outlives_image: bool = False


KINDS: dict[str, JobKind] = {
    UPLOAD: JobKind(input=NoInput, outlives_image=True),
    UPLOAD_SWEEP: JobKind(input=UploadSweepInput, outlives_image=True),
    IMAGE_DELETION: JobKind(input=NoInput, outlives_image=True),
    COPY_REMOVAL: JobKind(input=CopyRemovalInput, outlives_image=True),
    IMAGE_IMPORT: JobKind(input=ImageImportInput, is_task=True),
    STAGING: JobKind(input=NoInput, outlives_image=True),
    LOCATION_IMPORT: JobKind(input=LocationImportInput, is_task=True),
    LOCATION_CHECK: JobKind(input=LocationCheckInput, is_task=True),
}


#: Unique keys, to be filled with the id of the image. While that of a deletion is taken, the image gets no location.
DELETION_KEY = f"{IMAGE_DELETION}:%s"
UPLOAD_KEY = f"{UPLOAD}:%s"


def input_of(job: Job) -> Any:
    """The input of a job as the record of its kind.

    :raises Invalid: the kind is unknown, or the input is not one of it.
    """
    kind = KINDS.get(job.type)
    if kind is None:
        raise Invalid(f"This version does not know jobs of the kind {job.type!r}.")
    try:
        return msgspec.convert(job.input, kind.input)
    except msgspec.ValidationError as error:
        raise Invalid(f"The input of job {job.id} is not one of the kind {job.type}: {error}.") from error


def change_secrets(kind: str, given: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """``given`` with every secret text replaced by ``change`` of it; all of ``given`` where the kind is unknown."""
    known = KINDS.get(kind)
    if known is None:
        return dict(given)
    hints = _hints(known.input)
    return {
        name: _changed(hints[name], value, change) if name in hints and _has_secret(hints[name]) else value
        for name, value in given.items()
    }


def without_tokens(kind: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``given`` without its texts of the type :data:`TokenText`; None if there are none."""
    known = KINDS.get(kind)
    hints = {} if known is None else _hints(known.input)
    left = {name: value for name, value in given.items() if value is None or not _is_token(hints.get(name))}
    return left if len(left) < len(given) else None


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_token(hint: Any) -> bool:
    marks = any(isinstance(one, msgspec.Meta) and (one.extra or {}).get("token") for one in _metadata(hint))
    return marks or any(_is_token(one) for one in get_args(hint))


def _is_secret(hint: Any) -> bool:
    return any(isinstance(one, msgspec.Meta) and (one.extra or {}).get("secret") for one in _metadata(hint))


def _metadata(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def _has_secret(hint: Any) -> bool:
    return _is_secret(hint) or any(_has_secret(one) for one in get_args(hint))


def _changed(hint: Any, value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        # of a union such as ``SecretText | None`` as well
        return change(value) if _has_secret(hint) else value
    if isinstance(value, dict):
        _, of_value = get_args(hint) if get_origin(hint) in (dict, Mapping) else (Any, hint)
        return {name: _changed(of_value, one, change) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_changed(hint, one, change) for one in cast("list[Any]", value)]
    return value
