"""One long computation at a time, in slices, on the kernel's own event loop.

A computation is a generator of progress records. The loop runs one step, lets whatever
else waits (a cell, a message from the page) have its turn, and runs the next: it never
runs at the same time as a user's cell, so neither sees the other's work on the model.
Where no loop is running (a script, a plain test) the same steps run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Literal

from patchwidget.exact import Progress
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


async def _a_step_a_turn(steps: Iterator[None]) -> None:
    for _ in steps:
        await asyncio.sleep(0)


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
    """

    loop: asyncio.AbstractEventLoop | None
    on_state: Callable[[Job], None]
    on_progress: Callable[[Job, float | None], None]
    _job: Job = field(default_factory=Job)
    _wanted: int = 0
    _task: asyncio.Task[None] | None = None
    _errands: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, make_steps: Callable[[], Steps], label: str) -> None:
        """Run a computation; one that is under way is dropped.

        May be called from any thread: observers run on a kernel's subshell too.
        """
        self._wanted += 1
        self._soon(self._begin, self._wanted, make_steps, label)

    def cancel(self) -> None:
        """Drop what is under way, or an old failure; what was finished is kept."""
        self._wanted += 1
        if self._job.state == "failed":
            self._soon(self._tell, Job())

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
        task = self.loop.create_task(_a_step_a_turn(steps))
        self._errands.add(task)  # the loop itself would let it be collected
        task.add_done_callback(self._errands.discard)

    def refuse(self, error: Exception) -> None:
        """Show that a request was refused before anything was run."""
        failed = Job(self._wanted, "failed", error=error_record(error))
        self._soon(self._tell, failed)

    def _soon(self, call: Callable[..., None], *args: Any) -> None:
        """Call on the loop's own thread, or at once where no loop is running."""
        if self.loop is None or not self.loop.is_running():
            call(*args)
        else:
            self.loop.call_soon_threadsafe(call, *args)

    async def settled(self) -> None:
        """Wait until nothing is under way.

        Raises:
            RuntimeError: if the last computation failed, with its message.
        """
        # A request made in this same cell has only been scheduled: let it begin.
        await asyncio.sleep(0)
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
            await asyncio.sleep(0)
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
        await _a_step_a_turn(self._drive(number, make_steps, label))

    def _drive(
        self, number: int, make_steps: Callable[[], Steps], label: str
    ) -> Generator[None, None, None]:
        """One turn a step; every way out leaves a truthful state behind."""
        if number != self._wanted:
            return
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
                    yield
                if number != self._wanted:
                    self._tell(replace(job, state="cancelled"))
                    return
            self._tell(replace(job, state="done"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the page shows it
            self._tell(replace(job, state="failed", error=error_record(error)))
        except BaseException:
            self._tell(replace(job, state="cancelled"))
            raise
        finally:
            if isinstance(steps, Generator):
                steps.close()

    def _tell(self, job: Job) -> None:
        self._job = job
        self.on_state(job)
