"""The client side of mutual TLS: TLS 1.3, the registry's own CA, files reloaded when they change."""

from __future__ import annotations

import logging
import ssl
from functools import partial
from pathlib import Path

from glimpse.settings.model import RegistryOptions
from glimpse.tls_files import FollowedFiles, TlsFileError, load_authorities, load_pair, read_file

LOG = logging.getLogger(__name__)


def client_tls(options: RegistryOptions) -> FollowedFiles[ssl.SSLContext]:
    """Return the TLS context for new connections, which follows changes of the files.

    :raises TlsFileError: a file is not configured, or cannot be used.
    """
    files = _files(options)
    return FollowedFiles(files, partial(_load, *files), LOG)


def _files(options: RegistryOptions) -> tuple[Path, Path, Path]:
    """Return the paths of CA, certificate and key.

    :raises TlsFileError: one is not configured.
    """
    named = {"ca": options.ca_file, "cert": options.cert_file, "key": options.key_file}
    missing = [f"registry_{name}_file" for name, path in named.items() if path is None]
    if missing or options.ca_file is None or options.cert_file is None or options.key_file is None:
        raise TlsFileError(f"A connection to a registry needs [glimpse] {', '.join(missing)}.")
    return options.ca_file, options.cert_file, options.key_file


def _load(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    load_authorities(context, ca, "registry's CA file")
    read_file(certificate, "certificate for the registry")
    read_file(key, "key for the registry")
    load_pair(context, certificate, key, "this node")
    return context
