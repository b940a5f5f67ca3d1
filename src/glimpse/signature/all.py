"""The verifiers of a service: made when the first signed image comes, because few installations have any."""

from __future__ import annotations

import threading

from glimpse.errors import Invalid
from glimpse.signature.base import KeyManagerCaller, Properties, SignatureVerifier, SignatureVerifiers
from glimpse.signature.options import SignatureOptions


class LazyVerifiers:
    """:class:`~glimpse.signature.base.SignatureVerifiers` over the extra ``signatures``, loaded on first use.

    Where the extra is not installed, signed images are refused: nobody may take them for verified.
    """

    def __init__(self, options: SignatureOptions) -> None:
        self._options = options
        self._loading = threading.Lock()
        self._loaded: SignatureVerifiers | None = None

    def open(self, properties: Properties, caller: KeyManagerCaller) -> SignatureVerifier:
        """See :meth:`glimpse.signature.base.SignatureVerifiers.open`."""
        if self._loaded is None:
            with self._loading:
                self._loaded = self._loaded or self._load()
        return self._loaded.open(properties, caller)

    def _load(self) -> SignatureVerifiers:
        try:
            from glimpse.signature.cursive import CursiveVerifiers  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise Invalid(
                f"This service cannot verify signatures of images: its package {error.name} is not installed."
            ) from error
        return CursiveVerifiers(self._options)
