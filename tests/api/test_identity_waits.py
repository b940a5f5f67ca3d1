"""Callers with a known identity do not wait for others: wrong passwords, a Keystone that does not answer."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from glimpse.auth.htpasswd import set_password
from glimpse.settings.model import Auth
from tests.support.wire import Answer, Wire, settings_in, wired
from tests.unit.auth.keystone_server import keystone_server, sections


def logging_in(wire: Wire, password: str) -> Answer:
    token = base64.b64encode(f"alice:{password}".encode()).decode()
    return wire("GET", "/v2/images", headers={"Authorization": f"Basic {token}"}, identity=False)


def test_too_many_wrong_passwords_are_429_with_the_time_to_wait(tmp_path: Path) -> None:
    set_password(tmp_path / "htpasswd", "alice", "secret", rounds=4)
    with wired(settings_in(tmp_path, auth=Auth(kind="basic", htpasswd_file=tmp_path / "htpasswd"))) as wire:
        assert logging_in(wire, "secret").status == 200
        for number in range(5):
            assert logging_in(wire, f"guess {number}").status == 401
        refused = logging_in(wire, "one more")
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        assert "www-authenticate" not in refused.headers
        assert b"Too many failed logins" in refused.body
        assert logging_in(wire, "secret").status == 200


def test_a_token_that_is_known_does_not_wait_for_a_silent_keystone(tmp_path: Path) -> None:
    with keystone_server() as keystone:
        keystone.add("good", roles=("reader",))
        # the time of the service's own memory is over at once; keystonemiddleware's cache goes on
        auth = Auth(kind="keystone", keystone=sections(keystone.url), token_cache_time=0.001)
        with wired(settings_in(tmp_path, auth=auth)) as wire:

            async def ask(token: str) -> int:
                run = wire._run
                return (await run("GET", "/v2/images", {"X-Auth-Token": token}, [], cut=False)).status

            async def scenario() -> None:
                assert await ask("good") == 200
                keystone.go.clear()
                unknown = [asyncio.create_task(ask(f"unknown {number}".replace(" ", "-"))) for number in range(40)]
                for _ in range(3):
                    assert await asyncio.wait_for(ask("good"), 20) == 200
                assert not any(task.done() for task in unknown)
                keystone.go.set()
                assert set(await asyncio.gather(*unknown)) == {401}

            wire.loop.run_until_complete(scenario())
