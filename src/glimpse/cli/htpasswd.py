"""``glimpse htpasswd``: sets the passwords of users for auth ``basic``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from glimpse.auth.base import AuthSettingsError
from glimpse.auth.htpasswd import set_password


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("user")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, up to the end of its first line."
)
def htpasswd(file: Path, user: str, password_stdin: bool) -> None:
    """Add USER to the password FILE, or set the password of an existing user.

    Asks for the password twice. A new FILE is readable only by its owner.
    """
    if password_stdin:
        password = _first_line()
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, type=str)
    try:
        set_password(file, user, password)
    except AuthSettingsError as error:
        raise click.ClickException(str(error)) from error


def _first_line() -> str:
    line = sys.stdin.buffer.readline()
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise click.ClickException("The password is not UTF-8 text.") from error
