"""Failed logins: who must wait, and who never does."""

from __future__ import annotations

import threading
from pathlib import Path

import bcrypt
import pytest

from glimpse.auth import throttle
from glimpse.auth.basic import BasicAuth
from glimpse.auth.htpasswd import set_password
from glimpse.auth.throttle import FREE_FAILURES, LoginThrottle
from glimpse.errors import TooManyAttempts, Unauthenticated
from tests.unit.auth.requests import basic

HERE, THERE = "192.0.2.1", "198.51.100.7"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(limits: LoginThrottle, count: int, peer: str = HERE, user: str = "alice") -> None:
    for _ in range(count):
        limits.begin(peer, user)


def waits(limits: LoginThrottle, peer: str = HERE, user: str = "alice") -> float:
    """Seconds that an attempt has to wait; 0 when it is admitted."""
    try:
        limits.begin(peer, user)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def test_each_further_wrong_password_makes_the_wait_longer(clock: Clock) -> None:
    limits = LoginThrottle(0, clock)
    fail(limits, FREE_FAILURES)
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert waits(limits) == pytest.approx(seconds)
        clock.now += seconds
        assert waits(limits) == 0


def test_a_refused_attempt_does_not_make_the_wait_longer(clock: Clock) -> None:
    limits = LoginThrottle(0, clock)
    fail(limits, FREE_FAILURES)
    for _ in range(50):
        assert waits(limits) == pytest.approx(1)


def test_failures_are_forgotten(clock: Clock) -> None:
    limits = LoginThrottle(0, clock)
    fail(limits, FREE_FAILURES + 0)
    clock.now += throttle.FAILURES_LAST + 1
    fail(limits, FREE_FAILURES)
    assert waits(limits) > 0


def test_a_right_password_forgets_the_wrong_ones(clock: Clock) -> None:
    limits = LoginThrottle(0, clock)
    fail(limits, FREE_FAILURES)
    limits.succeeded(HERE, "alice")
    fail(limits, FREE_FAILURES)


def test_nobody_locks_a_user_out_from_another_address(clock: Clock) -> None:
    limits = LoginThrottle(10, clock)
    for _ in range(500):
        waits(limits, peer=THERE)
        clock.now += 0.5
    assert waits(limits, peer=HERE) == 0


def test_an_address_has_so_many_failures_a_minute_for_all_users(clock: Clock) -> None:
    limits = LoginThrottle(10, clock)
    for number in range(10):
        assert waits(limits, user=f"user{number}") == 0
    assert waits(limits, user="another") == pytest.approx(6)
    assert waits(limits, user="another", peer=THERE) == 0
    clock.now += 6
    assert waits(limits, user="another") == 0
    assert waits(limits, user="one more") == pytest.approx(6)


def test_an_address_that_was_silent_has_no_more_than_ten_at_once(clock: Clock) -> None:
    limits = LoginThrottle(600, clock)
    clock.now += 3600
    for number in range(10):
        assert waits(limits, user=f"user{number}") == 0
    assert waits(limits, user="another") == pytest.approx(0.1)


def test_users_of_an_address_are_not_kept_out_by_guesses_from_there(clock: Clock) -> None:
    limits = LoginThrottle(10, clock)
    limits.begin(HERE, "alice")
    limits.succeeded(HERE, "alice")
    for number in range(20):
        waits(limits, user=f"user{number}")
    assert waits(limits, user="bob") > 0
    assert waits(limits, user="alice") == 0


def test_right_passwords_cost_an_address_nothing(clock: Clock) -> None:
    limits = LoginThrottle(3, clock)
    for number in range(50):
        limits.begin(HERE, f"user{number}")
        limits.succeeded(HERE, f"user{number}")


def test_neighbours_in_an_ipv6_network_count_as_one(clock: Clock) -> None:
    limits = LoginThrottle(3, clock)
    for number in range(3):
        assert waits(limits, peer=f"2001:db8::{number:x}", user=f"u{number}") == 0
    assert waits(limits, peer="2001:db8::ffff", user="u") > 0
    assert waits(limits, peer="2001:db8:0:1::1", user="u") == 0
    assert waits(limits, peer="::ffff:192.0.2.1", user="u") == 0


def test_the_tables_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_ENTRIES", 100)
    limits = LoginThrottle(10, clock)
    for number in range(1000):
        peer = f"10.0.{number // 250}.{number % 250}"
        limits.begin(peer, f"user{number}")
        limits.succeeded(peer, f"user{number}")
        limits.begin(peer, f"user{number}x")
    tables = [table for table in vars(limits).values() if hasattr(table, "_entries")]
    assert [len(table._entries) for table in tables] == [100, 100, 100]


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    set_password(path, "alice", "secret", rounds=4)
    set_password(path, "bob", "other", rounds=4)
    return path


def refused(auth: BasicAuth, name: str, password: str, peer: str = HERE) -> type[Exception] | None:
    try:
        auth.verify(basic(name, password, peer=peer))
    except (Unauthenticated, TooManyAttempts) as error:
        return type(error)
    return None


def test_throttled_passwords_are_not_looked_at(passwords: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = BasicAuth(passwords)
    for number in range(FREE_FAILURES):
        assert refused(auth, "alice", f"guess {number}") is Unauthenticated
    derived: list[bytes] = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *arguments: derived.append(b"") or real(*arguments))
    for number in range(100):
        assert refused(auth, "alice", f"another {number}") is TooManyAttempts
    assert not derived
    # from elsewhere the user is let in, and so is another user from here
    assert refused(auth, "alice", "secret", peer=THERE) is None
    assert refused(auth, "bob", "other") is None


def test_a_password_that_was_right_lately_goes_on_to_work(passwords: Path) -> None:
    auth = BasicAuth(passwords)
    assert refused(auth, "alice", "secret") is None
    for number in range(50):
        refused(auth, "alice", f"guess {number}")
    assert refused(auth, "alice", "guess again") is TooManyAttempts
    assert refused(auth, "alice", "secret") is None
    assert auth.recall(basic("alice", "secret", peer=HERE)) is not None


def test_a_password_that_was_right_is_no_guess_when_it_is_looked_at_again(passwords: Path) -> None:
    auth = BasicAuth(passwords, lifetime=0)
    assert refused(auth, "alice", "secret") is None
    for number in range(50):
        refused(auth, "alice", f"guess {number}")
    assert refused(auth, "alice", "secret") is None


def test_one_wrong_password_again_and_again_costs_one_derivation(
    passwords: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = BasicAuth(passwords, reload_interval=60)
    derived: list[bytes] = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *arguments: derived.append(b"") or real(*arguments))
    for _ in range(50):
        assert refused(auth, "alice", "old password") is Unauthenticated
    assert len(derived) == 1


def test_a_wrong_password_may_become_right(passwords: Path) -> None:
    auth = BasicAuth(passwords, reload_interval=0)
    assert refused(auth, "alice", "new password") is Unauthenticated
    set_password(passwords, "alice", "new password", rounds=4)
    assert refused(auth, "alice", "new password") is None


def test_many_guesses_at_once_are_no_way_round(passwords: Path) -> None:
    auth = BasicAuth(passwords)
    results: list[type[Exception] | None] = []
    threads = [
        threading.Thread(target=lambda number=number: results.append(refused(auth, "alice", f"guess {number}")))
        for number in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results.count(Unauthenticated) == FREE_FAILURES
    assert results.count(TooManyAttempts) == 40 - FREE_FAILURES


def test_credentials_that_were_right_are_known_when_their_time_is_up(passwords: Path) -> None:
    auth = BasicAuth(passwords, lifetime=0)
    assert not auth.seen(basic("alice", "secret"))
    assert refused(auth, "alice", "secret") is None
    assert auth.recall(basic("alice", "secret")) is None
    assert auth.seen(basic("alice", "secret"))
    assert not auth.seen(basic("alice", "guess"))
