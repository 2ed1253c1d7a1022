"""Virtual time: moments, speeds, steps; no test here looks at a real clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fake_server.server.clock import MAX, WORK_US, Clock


def on_a_loop(test: Callable[[asyncio.AbstractEventLoop], object]) -> None:
    loop = asyncio.new_event_loop()
    try:
        test(loop)
    finally:
        loop.close()


def turns(loop: asyncio.AbstractEventLoop, count: int) -> None:
    async def turn() -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    loop.run_until_complete(turn())


def test_stepped_time_moves_only_when_told_and_rings_at_every_moment() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        rung: list[tuple[int, int]] = []
        clock = Clock(loop, lambda at: rung.append((at, clock.now())), speed=0)
        for moment in (30, 10, 20, 10):
            clock.ring_at(moment)

        turns(loop, 3)
        assert (rung, clock.now(), clock.next_moment) == ([], 0, 10)
        assert clock.advance(25) == 25
        assert rung == [(10, 10), (20, 20)]
        assert (clock.step(), clock.now()) == (30, 30)
        assert (clock.step(), clock.now()) == (None, 30)

    on_a_loop(test)


def test_a_ring_may_ask_for_the_next_moment_and_none_is_late() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        rung: list[int] = []

        def ring(at: int) -> None:
            rung.append(at)
            if at < 1_000:
                clock.ring_at(at + 100)

        clock = Clock(loop, ring, speed=0)
        clock.ring_at(100)
        clock.advance(10_000)

        assert rung == list(range(100, 1_001, 100))

    on_a_loop(test)


def test_at_speed_max_time_jumps_as_soon_as_nothing_else_is_to_do() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        order: list[object] = []
        clock = Clock(loop, order.append, speed=MAX)
        clock.ring_at(10_000_000_000)
        loop.call_soon(order.append, "others first")

        turns(loop, 5)

        assert order == ["others first", 10_000_000_000] or order == [
            10_000_000_000,
            "others first",
        ]
        assert clock.now() == 10_000_000_000

    on_a_loop(test)


def test_at_speed_max_time_waits_for_what_has_to_settle() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        settled = asyncio.Event()
        rung: list[int] = []
        asked = 0

        def settle() -> object:
            nonlocal asked
            asked += 1
            return settled.wait() if not settled.is_set() else None

        clock = Clock(loop, rung.append, speed=MAX, settle=settle)
        clock.ring_at(5)
        turns(loop, 5)
        assert (rung, asked) == ([], 1)
        settled.set()
        turns(loop, 5)
        assert rung == [5]

    on_a_loop(test)


def test_what_is_due_is_rung_before_anything_from_outside_is_looked_at() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        rung: list[int] = []
        clock = Clock(loop, rung.append, speed=1_000_000_000.0)
        clock.ring_at(1)
        clock.ring_at(2)
        while clock.now() < 2:
            pass
        clock.catch_up()

        assert rung == [1, 2]

    on_a_loop(test)


def test_time_goes_on_from_where_it_was_at_another_speed() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        clock = Clock(loop, lambda at: None, speed=0)
        clock.advance(500)
        clock.set_speed(MAX)
        assert clock.now() == 500
        clock.set_speed(1e9)
        clock.set_speed(0)
        assert clock.now() >= 500
        clock.forget()
        assert (clock.now(), clock.next_moment) == (0, None)

    on_a_loop(test)


def work_on(loop: asyncio.AbstractEventLoop) -> Callable[[float], None]:
    """Gives a function that lets so many seconds pass; the loop's time moves by it alone."""
    passed = [1_000.0]
    loop.time = lambda: passed[0]  # type: ignore[method-assign]  # that is what it is for

    def work(seconds: float) -> None:
        passed[0] += seconds

    return work


def test_while_an_answer_is_worked_out_time_stands_still() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        work = work_on(loop)
        rung: list[int] = []
        clock = Clock(loop, rung.append, speed=2.0)
        work(1.0)
        asked = clock.now()
        clock.ring_at(asked + 100_000)
        work(0.8)
        clock.stood_still_since(asked)

        assert (asked, clock.now()) == (2_000_000, 2_000_000)
        turns(loop, 3)
        assert rung == []
        work(0.06)
        turns(loop, 3)
        assert rung == [2_100_000]

    on_a_loop(test)


@pytest.mark.parametrize("speed", [0, MAX, 1.0])
def test_time_that_does_not_run_or_hardly_ran_stays_what_it_is(speed: float) -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        work = work_on(loop)
        clock = Clock(loop, lambda at: None, speed=speed)
        asked = clock.now()
        work(WORK_US / 2_000_000)
        before = clock.now()
        clock.stood_still_since(asked)

        assert clock.now() == before

    on_a_loop(test)


def test_a_closed_clock_never_rings() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        rung: list[int] = []
        clock = Clock(loop, rung.append, speed=MAX)
        clock.ring_at(1)
        clock.close()
        clock.ring_at(2)
        turns(loop, 5)

        assert rung == []

    on_a_loop(test)


@pytest.mark.parametrize("speed", [-1.0, float("nan")])
def test_a_speed_below_zero_is_none(speed: float) -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        with pytest.raises(ValueError, match="speed is 0"):
            Clock(loop, lambda at: None, speed=speed)

    on_a_loop(test)


def test_time_does_not_go_back() -> None:
    def test(loop: asyncio.AbstractEventLoop) -> None:
        with pytest.raises(ValueError, match="forward"):
            Clock(loop, lambda at: None, speed=0).advance(-1)

    on_a_loop(test)
