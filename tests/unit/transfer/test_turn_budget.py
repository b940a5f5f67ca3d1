"""The byte budget of an event loop turn."""

from __future__ import annotations

import asyncio

from glimpse.transfer.turn_budget import TurnBudget


async def taken(budget: TurnBudget, count: int) -> None:
    granted = budget.take(count)
    if granted is not None:
        await granted


async def turns_until(task: asyncio.Future[None]) -> int:
    count = 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    return count


def test_a_turn_with_bytes_left_waits_for_nothing() -> None:
    async def main() -> None:
        budget = TurnBudget(100)
        assert budget.take(50) is None
        assert budget.take(50) is None
        assert budget.take(1) is not None

    asyncio.run(main())


def test_what_is_more_waits_for_the_turns_that_follow_in_order() -> None:
    async def main() -> None:
        budget, order = TurnBudget(100), list[int]()

        async def take(number: int) -> None:
            await taken(budget, 100)
            order.append(number)

        taking = [asyncio.ensure_future(take(number)) for number in range(5)]
        counts = [await turns_until(task) for task in taking]
        assert order == [0, 1, 2, 3, 4]
        assert all(0 < count <= 3 for count in counts), counts

    asyncio.run(main())


def test_one_that_gave_up_waiting_takes_nothing() -> None:
    async def main() -> None:
        budget = TurnBudget(100)
        first, gone, after = (asyncio.ensure_future(taken(budget, 100)) for _ in range(3))
        await asyncio.sleep(0)
        assert (first.done(), gone.done()) == (True, False)
        gone.cancel()
        assert await turns_until(after) <= 3
        assert gone.cancelled()

    asyncio.run(main())


def test_a_turn_that_took_too_much_is_followed_by_a_whole_one() -> None:
    async def main() -> None:
        budget = TurnBudget(100)
        await taken(budget, 1000)
        assert await turns_until(asyncio.ensure_future(taken(budget, 1))) <= 4

    asyncio.run(main())
