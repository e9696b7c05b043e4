"""The scheduler: one thread per set of weights, which advances every answer under way by one token in turn.

Answers of one model go through the weights together; models (adapters) take turns, one token each. Waiting requests are
taken in turn from each client, so that nobody waits behind another's hundred requests.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from studio.core.errors import StudioError
from studio.core.machine_errors import Fault, machine_fault
from studio.serving.engine import Engine, groups
from studio.serving.errors import ApiError
from studio.serving.job import Finish, Job, Piece, TokenLogprob
from studio.serving.limits import Limits

log = logging.getLogger(__name__)


HandOut = Callable[[Sequence[tuple[Job, Piece]]], None]


class Queue:
    """Jobs that wait, first come first served within a client, clients in turn."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Job]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, job: Job) -> None:
        """Put a job at the end of its client's line."""
        self._lines.setdefault(job.client, deque()).append(job)

    def take(self) -> Job | None:
        """The next job; its client goes to the end."""
        while self._lines:
            client, line = self._lines.popitem(last=False)
            job = line.popleft()
            if line:
                self._lines[client] = line
            if not job.cancelled:
                return job
        return None

    def sweep(self) -> None:
        """Forget jobs nobody waits for any more."""
        for client in list(self._lines):
            kept = deque(job for job in self._lines[client] if not job.cancelled)
            if kept:
                self._lines[client] = kept
            else:
                del self._lines[client]


class Scheduler:
    """Jobs in, pieces out. `submit` and `cancel` may be called from any thread."""

    def __init__(self, engine: Engine, limits: Limits, hand_out: HandOut) -> None:
        """hand_out is called in the scheduler's thread with what a step wrote."""
        self.engine, self.limits, self._hand_out = engine, limits, hand_out
        self._wake = threading.Condition()
        self._waiting, self._active = Queue(), list[Job]()
        self._closing, self._stopped = False, False
        self.ready, self.failed = False, None
        self.steps = 0
        self._thread = threading.Thread(target=self._work, name=f"engine-{engine.name}", daemon=True)

    failed: Exception | None
    """Why the weights could not be loaded."""

    def start(self) -> None:
        """Load the weights and begin; returns at once."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Jobs being written."""
        return len(self._active)

    def submit(self, jobs: list[Job]) -> None:
        """Queue the jobs of one request, all or none. Raises ApiError 429 when the queue is full, 503 when it ends."""
        with self._wake:
            if self.failed is not None:
                raise ApiError(503, f"the model could not be loaded: {self.failed}", code="model_failed")
            if self._closing:
                raise ApiError(503, "the server is shutting down", code="shutting_down", retry_after=5)
            under_way = len(self._active) + len(self._waiting) + len(jobs)
            if under_way > self.limits.concurrency + self.limits.queue:
                raise ApiError(
                    429,
                    f"{len(self._waiting)} answers are waiting already and the queue holds {self.limits.queue}",
                    code="queue_full",
                    retry_after=1,
                )
            for job in jobs:
                self._waiting.add(job)
            self._wake.notify()

    def cancel(self, jobs: list[Job]) -> None:
        """Nobody waits for these any more: their places are free at the next step."""
        with self._wake:
            for job in jobs:
                job.cancelled = True
            self._waiting.sweep()
            self._wake.notify()

    def close(self, seconds: float) -> None:
        """Take no more, let what is under way end within `seconds`, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        end = time.monotonic() + seconds
        while (self._active or len(self._waiting)) and time.monotonic() < end and self._thread.is_alive():
            time.sleep(0.02)
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(10)

    def _work(self) -> None:
        try:
            self.engine.load()
        except Exception as problem:
            self.failed = problem
            known = isinstance(problem, StudioError)
            if not known:
                log.exception("loading failed")
            why = problem.sentence if known else str(problem)
            self._fail_all(ApiError(503, f"the model could not be loaded: {why}", code="model_failed"))
            return
        self.ready = True
        while True:
            with self._wake:
                while not (self._stopped or self._active or len(self._waiting)):
                    self._wake.wait()
                if self._stopped:
                    break
                job = self._waiting.take() if len(self._active) < self.limits.concurrency else None
                if job is not None:
                    self._active.append(job)
            self._step(job)
        self._fail_all(ApiError(503, "the server is shutting down", code="shutting_down"))
        self.engine.close()

    def _step(self, new: Job | None) -> None:
        """One token for every job that is under way, and the first for a new one."""
        for job in [job for job in self._active if job.cancelled]:
            self._end(job)
        running = [job for job in self._active if job is not new]
        if new is not None and not new.cancelled:
            self._guarded([new])
        for group in groups(running):
            self._guarded(group)
        self.steps += 1

    def _guarded(self, jobs: list[Job]) -> None:
        """Advance jobs; an error ends them and nothing else."""
        try:
            if jobs[0].written:
                tokens = self.engine.advance(jobs)
                prompts = [()] * len(jobs)
            else:
                tokens = [self.engine.begin(jobs[0])]
                prompts = [self.engine.prompt_logprobs_of(jobs[0])]
        except ApiError as problem:
            self._fail(jobs, problem)
            return
        except Exception as error:
            log.exception("an answer failed")
            self._fail(jobs, _failure(error))
            return
        written = []
        for job, (token, logprob), prompt in zip(jobs, tokens, prompts, strict=True):
            try:
                piece = self._piece(job, token, logprob, prompt)
            except Exception as problem:
                self._fail([job], problem if isinstance(problem, ApiError) else _failure(problem))
                continue
            if piece.last:
                self._end(job)
            written.append((job, piece))
        self._hand_out(written)

    def _piece(self, job: Job, token: int, logprob: TokenLogprob | None, prompt: tuple[TokenLogprob, ...]) -> Piece:
        job.written.append(token)
        count = len(job.written)
        chosen = () if logprob is None else (logprob,)
        if job.token_limit == 0:  # only the prompt's log-probabilities were asked for
            return Piece(prompt_logprobs=prompt, finish="length")
        if token in job.ends:
            return Piece(job.writer.finish(), chosen, prompt, "stop", tokens=count)
        if job.constraint is not None:
            job.constraint.take(token)
        text = job.writer.add(token)
        finish: Finish | None = None
        if job.writer.stopped or (job.constraint is not None and job.constraint.done):
            finish = "stop"
        elif count >= job.token_limit:
            finish = "length"
        if finish:
            text += job.writer.finish()
        return Piece(text, chosen, prompt, finish, tokens=count)

    def _end(self, job: Job) -> None:
        self._active.remove(job)
        self.engine.end(job)

    def _fail(self, jobs: list[Job], problem: ApiError) -> None:
        for job in jobs:
            if job in self._active:
                self._end(job)
        self._hand_out([(job, Piece(error=problem, tokens=len(job.written))) for job in jobs])

    def _fail_all(self, problem: ApiError) -> None:
        with self._wake:
            self._closing = True
            waiting = []
            while (job := self._waiting.take()) is not None:
                waiting.append(job)
        self._fail([*self._active, *waiting], problem)


def _failure(problem: Exception) -> ApiError:
    if machine_fault(problem) is Fault.GPU_MEMORY:
        return ApiError(
            503, "the GPU's memory is full; ask again, or serve with a lower --max-concurrent", code="out_of_memory"
        )
    return ApiError(
        500, f"internal error in the server ({type(problem).__name__}); its log has the details", code="internal_error"
    )
