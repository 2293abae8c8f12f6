"""The measurement: all libraries in turn, round after round, the shortest time of each counts."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from softgrad._bench.case import Case, Work
from softgrad._bench.cells import BINDING_BYTES, Cell
from softgrad._bench.peers import Libraries

OURS = "softgrad"
UNIT = "unit"

ROUND_SECONDS = 0.002  # what the calls of one library in one round take together, or one call
MOST_CALLS = 20_000
# A peer that takes this many times as long as the fastest one after two rounds is timed no more.
HOPELESS = 3.0
# With several threads, idle workers of the library before spin for a while: libgomp 300,000 pauses,
# about 20 ms. They would take a CPU from the next library.
SETTLE_SECONDS = 0.02


@dataclass(frozen=True)
class Effort:
    """How long to measure a cell: at least `rounds` rounds, and more until `seconds` are over."""

    rounds: int
    seconds: float


FULL = Effort(rounds=4, seconds=1.8)
QUICK = Effort(rounds=3, seconds=0.25)


@dataclass
class _Contestant:
    """One library's work, how often it is called in a round, and its shortest time for one call.

    All of the work is kept, since `results` may hold the memory that `run` writes to.
    """

    work: Work
    calls: int = 1
    seconds: float = math.inf

    def calibrate(self) -> None:
        """Choose the number of calls that fill a round."""
        while self._time() < ROUND_SECONDS / 2 and self.calls < MOST_CALLS:
            self.calls *= 2

    def round(self, settle: float) -> None:
        """Time one round, after a call that warms caches and threads up."""
        if settle:
            time.sleep(settle)
        self.work.run()
        self.seconds = min(self.seconds, self._time() / self.calls)

    def _time(self) -> float:
        run, clock = self.work.run, time.perf_counter
        start = clock()
        for _ in repeat(None, self.calls):
            run()
        return clock() - start


def measure(cell: Cell, libraries: Libraries, threads: int, effort: Effort) -> dict[str, Any]:
    """Check that all libraries agree on the cell, time them, and return the record of it.

    Parameters
    ----------
    cell : Cell
    libraries : Libraries
    threads : int
        How many each library uses; those that have it as a setting are set to it already.
    effort : Effort

    Returns
    -------
    dict
        What the JSON file holds for the cell. Times are in seconds for one call. "x" is the best
        peer's time over ours, "copies" ours over that of the unit; "misses" names those of
        the two that miss the goal. Without a peer "best" and "x" are None.

    Raises
    ------
    WrongResultError
        A peer computes something else.
    """
    case = Case(cell, threads)
    contestants: dict[str, _Contestant] = {}
    expected: tuple[Any, ...] | None = None
    for name, work in libraries.works(case):
        results = work.results(work.run())
        if expected is None:
            expected = results
        else:
            case.check(name, expected, results)
        contestants[name] = _Contestant(work)
    contestants[UNIT] = _Contestant(case.unit())
    rounds = _compete(contestants, effort, SETTLE_SECONDS if threads > 1 else 0.0)
    seconds = {name: float(f"{c.seconds:.4g}") for name, c in contestants.items()}
    return _record(case, threads, rounds, seconds)


def _compete(contestants: dict[str, _Contestant], effort: Effort, settle: float) -> int:
    """Time all of them in turn; how many rounds there were."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        for c in contestants.values():
            c.calibrate()
        running, rounds = contestants, 0
        end = time.perf_counter() + effort.seconds
        while rounds < effort.rounds or time.perf_counter() < end:
            for c in running.values():
                c.round(settle)
            rounds += 1
            if rounds == 2:
                running = _hopeful(contestants)
        return rounds
    finally:
        if collecting:
            gc.enable()


def _hopeful(contestants: dict[str, _Contestant]) -> dict[str, _Contestant]:
    """Those that may be the fastest peer, softgrad and the unit."""
    kept = (OURS, UNIT)
    limit = HOPELESS * min(
        (c.seconds for name, c in contestants.items() if name not in kept), default=0.0
    )
    return {name: c for name, c in contestants.items() if name in kept or c.seconds <= limit}


def _record(case: Case, threads: int, rounds: int, seconds: dict[str, float]) -> dict[str, Any]:
    cell, goal = case.cell, case.cell.goal
    unit = seconds.pop(UNIT)
    peers = {name: s for name, s in seconds.items() if name != OURS}
    best = min(peers, key=peers.__getitem__) if peers else None
    x = None if best is None else peers[best] / seconds[OURS]
    copies = seconds[OURS] / unit
    large = cell.size * case.dtype.itemsize > BINDING_BYTES
    bound = threads == 1 and goal.copies is not None and (large or goal.everywhere)
    misses = []
    if x is not None and x < goal.x:
        misses.append("x")
    if bound and goal.copies is not None and copies > goal.copies:
        misses.append("copies")
    return {
        "group": cell.group,
        "name": cell.name,
        "function": cell.function,
        "dtype": cell.dtype,
        "shape": list(cell.shape),
        "layout": cell.layout,
        "elements": cell.size,
        "threads": threads,
        "rounds": rounds,
        "seconds": seconds,
        "unit": unit,
        "best": best,
        "x": x,
        "copies": copies,
        "goal": {"x": goal.x, "copies": goal.copies if bound else None},
        "misses": misses,
    }
