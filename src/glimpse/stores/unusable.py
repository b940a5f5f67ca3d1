"""A configured store that cannot be used in this process, for example because its library is not installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from glimpse.errors import StoreUnavailable


class UnusableStore:
    """Implements ``stores.base.Store``; every call raises StoreUnavailable with the reason.

    The store stays known: its locations are read from other copies, its deletions wait for a process that can do them,
    and the service does everything else.
    """

    # deletions wait for a process that can use the store; those of a read-only store would be skipped
    writable = True

    def __init__(self, store_id: str, scheme: str, reason: str, url_prefixes: tuple[str, ...]) -> None:
        """``reason`` continues the sentence ``Store <id> cannot be used: ``."""
        self.id = store_id
        self.scheme = scheme
        self.url_prefixes = url_prefixes
        self.reason = reason

    def writer(self, image_id: str, size: int | None, attempt: str) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        """:raises StoreUnavailable: always."""
        self.probe()

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> NoReturn:  # noqa: ARG002
        """:raises StoreUnavailable: always."""
        self.probe()

    def delete(self, url: str) -> NoReturn:  # noqa: ARG002
        """:raises StoreUnavailable: always."""
        self.probe()

    def size(self, url: str) -> NoReturn:  # noqa: ARG002
        """:raises StoreUnavailable: always."""
        self.probe()

    def sweep(
        self,
        image_id: str,  # noqa: ARG002
        attempt: str,  # noqa: ARG002
        is_orphan: Callable[[str], bool] | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """:raises StoreUnavailable: always."""
        self.probe()

    def probe(self) -> NoReturn:
        """:raises StoreUnavailable: always."""
        raise StoreUnavailable(f"Store {self.id} cannot be used: {self.reason}")

    def close(self) -> None:
        """Do nothing."""
