"""``glimpse registry certs``: creates a private CA for a trial of the registry."""

from __future__ import annotations

from pathlib import Path

import click

from glimpse.registry.certs import AUTHORITY, SERVER, CertificatesError, make_certificates
from glimpse.registry.wire import Role
from glimpse.settings.database_url import DEFAULT_PORT, SCHEME, Address

_ROLES = click.Choice([role.value for role in Role])


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="Name or address of the registry. May be repeated."
)
@click.option(
    "--client", "clients", multiple=True, metavar="NAME", help="Client to create a certificate for. May be repeated."
)
@click.option(
    "--role", "roles", multiple=True, type=_ROLES, help="Role of each --client, in the same order. [default: api]"
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Days that the certificates are valid."
)
def certs(directory: Path, hosts: tuple[str, ...], clients: tuple[str, ...], roles: tuple[str, ...], days: int) -> None:
    """Create a CA in DIR, with certificates for the registry and its clients.

    If DIR already has a CA, it signs the requested certificates. Nothing is overwritten. Without --host, the registry's
    certificate is valid only for this machine; without --client, one client `api-node` gets a certificate.
    """
    if roles and len(roles) != len(clients):
        raise click.UsageError("Give one --role for each --client, in the same order, or no --role.")
    if len(set(clients)) != len(clients):
        raise click.UsageError("A --client is given twice.")
    first = not (directory / f"{AUTHORITY}.crt").exists()
    if first and not clients:
        clients = ("api-node",)
    if not first and not clients and not hosts:
        raise click.UsageError(f"{directory} already has a CA: use --client or --host to say what it shall sign.")
    named = {name: Role(roles[number]) if roles else Role.API for number, name in enumerate(clients)}
    try:
        made = make_certificates(directory, hosts=hosts, clients=named, days=days)
    except CertificatesError as error:
        raise click.ClickException(str(error)) from error
    for path in made:
        click.echo(path)
    click.echo(_advice(directory.absolute(), hosts, named, with_server=first or bool(hosts)))


def _advice(directory: Path, hosts: tuple[str, ...], clients: dict[str, Role], *, with_server: bool) -> str:
    """Return the settings for the configuration files."""
    host = hosts[0].strip("[]") if hosts else "127.0.0.1"
    lines: list[str] = []
    if with_server:
        lines += [
            "",
            "# configuration of the registry",
            "[glimpse]",
            f"registry_host = {host}",
            f"registry_server_cert_file = {directory / f'{SERVER}.crt'}",
            f"registry_server_key_file = {directory / f'{SERVER}.key'}",
            f"registry_client_ca_file = {directory / f'{AUTHORITY}.crt'}",
        ]
    for name, role in clients.items():
        lines += [
            "",
            f"# configuration of {name} (role {role})",
            "[database]",
            f"connection = {SCHEME}://{Address(host, DEFAULT_PORT)}",
            "[glimpse]",
            f"registry_ca_file = {directory / f'{AUTHORITY}.crt'}",
            f"registry_cert_file = {directory / f'{name}.crt'}",
            f"registry_key_file = {directory / f'{name}.key'}",
        ]
    return "\n".join(lines)
