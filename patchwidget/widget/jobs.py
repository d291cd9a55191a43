"""One long computation at a time, in slices, on the kernel's own event loop.

A computation is a generator of progress records. The loop runs one step, lets whatever
else waits (a cell, a message from the page) have its turn, and runs the next: it never
runs at the same time as a user's cell, so neither sees the other's work on the model.
Where no loop is running (a script, a plain test) the same steps run at once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Literal

from patchwidget.exact import Progress
from patchwidget.exact.bar import exhaust
from patchwidget.interrupts import interrupts_kept, interrupts_told
from patchwidget.widget.messages import error_record

State = Literal["idle", "running", "done", "failed", "cancelled"]
Steps = Iterator[Progress]


@dataclass(frozen=True)
class Job:
    """The state of a computation, as the page is told of it."""

    id: int = 0
    state: State = "idle"
    done: int = 0
    total: int = 0
    label: str = ""
    error: dict[str, Any] | None = None


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs the calling code, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _is_stepping(steps: Generator[Any, Any, Any]) -> bool:
    return inspect.getgeneratorstate(steps) == inspect.GEN_RUNNING


async def _a_step_a_turn(steps: Iterator[object]) -> None:
    for _ in steps:
        await asyncio.sleep(0)


def _told(
    steps: Iterator[object], on_interrupt: Callable[[], None]
) -> Generator[None, None, None]:
    """Steps during which an interrupt that nobody else hears is heard."""
    end = object()
    while True:
        with interrupts_told(on_interrupt), interrupts_kept():
            if next(steps, end) is end:
                return
        yield


@dataclass
class Clock:
    """How long a computation has run, without what others did between its steps."""

    seconds: float = 0.0

    def timed(self, steps: Steps) -> Steps:
        """The steps, each of them timed."""
        while True:
            started = monotonic()
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                self.seconds += monotonic() - started
            yield step

    def left(self, work: float) -> float | None:
        """Seconds left when a share of the work is done; None before there is any."""
        return self.seconds * (1 - work) / work if work > 0 else None


@dataclass
class Jobs:
    """Runs the newest computation asked for and drops the others.

    Args:
        loop: the kernel's loop, or None where there is none.
        on_state: told of every change of the job's state.
        on_progress: told of every step, and how many seconds are left if one can tell.
        on_interrupt: told when whoever waits, or would wait, gives up.
    """

    loop: asyncio.AbstractEventLoop | None
    on_state: Callable[[Job], None]
    on_progress: Callable[[Job, float | None], None]
    on_interrupt: Callable[[], None]
    _job: Job = field(default_factory=Job)
    _wanted: int = 0
    _driver: Generator[Progress, None, Exception | None] | None = None
    _task: asyncio.Task[None] | None = None
    _errands: dict[asyncio.Task[None], Iterator[None]] = field(default_factory=dict)

    def start(self, make_steps: Callable[[], Steps], label: str) -> None:
        """Run a computation; one that is under way is dropped.

        May be called from any thread: observers run on a kernel's subshell too.
        """
        self._wanted += 1
        self._soon(self._begin, self._wanted, make_steps, label)

    def run(self, make_steps: Callable[[], Steps], label: str) -> None:
        """Run a computation to its end, with a bar; one that is under way is dropped.

        Raises:
            RuntimeError: if it is cancelled, or asked for from a thread or a
                computation beside which it must not run.
            Exception: whatever the computation raises.
        """
        if self._is_beside() or self._is_stepping():
            raise RuntimeError(
                "a job cannot wait for another one, nor run in a thread beside the "
                "notebook's cells: use start"
            )
        self._wanted += 1
        self._drop()
        exhaust(self._raising(self._wanted, make_steps, label), label)

    def cancel(self) -> None:
        """Drop what is under way, or an old failure; what was finished is kept."""
        self._wanted += 1
        if not self._is_beside():
            self._drop()
        if self._job.state == "failed":
            self.soon(self._tell, Job())

    def errand(self, steps: Iterator[None]) -> None:
        """Run something short, beside the computation and without stopping it.

        May be called from any thread; the steps handle their own errors.
        """
        self._soon(self._run_errand, steps)

    def _run_errand(self, steps: Iterator[None]) -> None:
        if self.loop is None or not self.loop.is_running():
            for _ in steps:
                pass
            return
        told = _told(steps, self._interrupted)
        task = self.loop.create_task(_a_step_a_turn(told))
        self._errands[task] = steps  # the loop itself would let it be collected
        task.add_done_callback(self._errands.pop)

    def drop_errands(self) -> None:
        """End all errands: nobody is there any more for whom they are run."""
        if self._is_beside():
            self._soon(self.drop_errands)
            return
        for task, steps in self._errands.items():
            if isinstance(steps, Generator) and not _is_stepping(steps):
                steps.close()
            task.cancel()

    def refuse(self, error: Exception) -> None:
        """Show that a request was refused before anything was run."""
        failed = Job(self._wanted, "failed", error=error_record(error))
        self._soon(self._tell, failed)

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Call on the loop's own thread: at once if this is it, or no loop is running."""
        if self._is_beside():
            self._soon(call, *args)
        else:
            call(*args)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after a while; at once where no loop is running."""
        if self.loop is None or not self.loop.is_running():
            call()
        else:
            self.soon(self.loop.call_later, seconds, call)

    def _soon(self, call: Callable[..., object], *args: Any) -> None:
        """Call in the loop's next turn, or at once where no loop is running."""
        if self.loop is None or not self.loop.is_running():
            call(*args)
        else:
            self.loop.call_soon_threadsafe(call, *args)

    def _is_beside(self) -> bool:
        """Whether the loop is running, and not on this thread."""
        is_running = self.loop is not None and self.loop.is_running()
        return is_running and running_loop() is not self.loop

    def _is_stepping(self) -> bool:
        return self._driver is not None and _is_stepping(self._driver)

    def _drop(self) -> None:
        """Close what is under way, unless this is called from inside one of its steps."""
        if self._driver is not None and not self._is_stepping():
            self._driver.close()

    def _under_way(self) -> set[asyncio.Task[None]]:
        """The computation, and errands, of which some start one."""
        task = self._task
        return {*self._errands, *([task] if task and not task.done() else [])}

    async def settled(self) -> None:
        """Wait until nothing is under way; who stops waiting cancels it.

        Raises:
            RuntimeError: if the last computation failed, with its message.
        """
        try:
            # A request made in this same cell has only been scheduled: let it begin.
            await asyncio.sleep(0)
            while under_way := self._under_way():
                await asyncio.wait(under_way)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.on_interrupt()
            raise
        error = self._job.error
        if error is not None:
            raise RuntimeError(f"{error['type']}: {error['message']}")

    def _begin(self, number: int, make_steps: Callable[[], Steps], label: str) -> None:
        if self.loop is None or not self.loop.is_running():
            for _ in self._drive(number, make_steps, label):
                pass
            return
        before = self._task
        self._task = self.loop.create_task(
            self._slices(number, make_steps, label, before)
        )

    async def _slices(
        self,
        number: int,
        make_steps: Callable[[], Steps],
        label: str,
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None and not before.done():
            await asyncio.wait([before])  # it sees that it is not wanted and closes
        steps = self._drive(number, make_steps, label)
        await _a_step_a_turn(_told(steps, self._interrupted))

    def _interrupted(self) -> None:
        """Heard in the middle of a step: only a flag is set, all else has to wait."""
        self._wanted += 1
        self._soon(self.on_interrupt)

    def _raising(
        self, number: int, make_steps: Callable[[], Steps], label: str
    ) -> Generator[Progress, None, None]:
        """The steps of one who waits for them: what goes wrong is raised, too."""
        error = yield from self._drive(number, make_steps, label)
        if error is not None:
            raise error
        if self._job.state != "done":
            raise RuntimeError("the job was cancelled; what was finished is kept")

    def _drive(
        self, number: int, make_steps: Callable[[], Steps], label: str
    ) -> Generator[Progress, None, Exception | None]:
        """One turn a step; every way out leaves a truthful state behind."""
        if number != self._wanted:
            return None
        driver = self._driver = self._driven(number, make_steps, label)
        try:
            return (yield from driver)
        finally:
            if self._driver is driver:
                self._driver = None

    def _driven(
        self, number: int, make_steps: Callable[[], Steps], label: str
    ) -> Generator[Progress, None, Exception | None]:
        # Its own record: a refusal may be on show in between.
        job = Job(number, "running", label=label)
        self._tell(job)
        steps: Steps = iter(())
        clock = Clock()
        try:
            steps = make_steps()
            for step in clock.timed(steps):
                job = replace(job, done=step.done, total=step.total)
                self.on_progress(job, clock.left(step.work))
                if number == self._wanted:
                    yield step
                if number != self._wanted:
                    self._tell(replace(job, state="cancelled"))
                    return None
            self._tell(replace(job, state="done"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the page shows it
            self._tell(replace(job, state="failed", error=error_record(error)))
            return error
        except BaseException:
            self._tell(replace(job, state="cancelled"))
            raise
        finally:
            if isinstance(steps, Generator):
                steps.close()
        return None

    def _tell(self, job: Job) -> None:
        self._job = job
        self.on_state(job)
