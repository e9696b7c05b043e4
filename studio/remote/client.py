"""The client of one model behind an OpenAI-compatible API: cached, retried, and never beyond its ceiling."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from studio.core.errors import Stopped, StudioError
from studio.core.messages import ChatMessage
from studio.remote.answers import Answers
from studio.remote.ceiling import Ceiling, CeilingReached, Reservation
from studio.remote.completion import Completion, Request
from studio.remote.dialect import Dialect
from studio.remote.endpoint import Endpoint, access
from studio.remote.prices import price_of, require_limit
from studio.remote.reading import completion_of, most_tokens_of
from studio.remote.refusals import (
    RETRIED,
    Refused,
    has_error,
    message_in,
    refused,
    retry_after,
    unanswered,
    unreachable,
    unreadable,
)

if TYPE_CHECKING:
    import httpx

TIMEOUT = 600.0
"""Seconds of silence after which a request has no answer: a large model may reason for minutes."""
PATIENCE = 300.0
"""Seconds a request is tried again for, at most."""
_UNREACHED = 20.0
"""The same for an API that has not answered anything yet: its address is wrong, or nothing runs there."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between tries where the API does not say."""
_BILLED = 3
"""Tries of a request that may each have been billed without giving an answer, at most."""


@dataclass(frozen=True)
class Answered:
    """One of many requests, when it is done: its index among them, and its completion or the error it ended with."""

    index: int
    request: Request
    completion: Completion | None = None
    error: StudioError | None = None


class Client:
    """Asks one model. Safe to use from several threads; an async caller takes `asyncio.to_thread(client.complete, …)`.

    An answer in the cache is returned without a request. Anything else is reserved under the ceiling at its worst case, sent,
    retried where the API asks for it, settled at its real cost, and in the cache before the caller sees it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        ceiling: Ceiling | None = None,
        answers: Answers | None = None,
        concurrency: int = 8,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        on_wait: Callable[[Refused, float], object] = lambda error, seconds: None,
    ) -> None:
        """concurrency: requests at once of `complete_all`. timeout: the longest silence; patience: how long a request is tried
        again; both in seconds. on_wait: told why a request is tried again and in how many seconds, from any thread. ceiling
        and answers stay the caller's to close.

        Raises SpecError for an address or key that cannot be used, a price that is not known, and for a model that costs
        something without a ceiling.
        """
        import httpx

        self.endpoint, self.price = endpoint, price_of(endpoint)
        hint = "Set a ceiling in US dollars, which is never exceeded: --ceiling 5."
        require_limit(endpoint.model, self.price, ceiling, where="ceiling", hint=hint)
        self.concurrency, self._patience, self._timeout = max(1, concurrency), patience, timeout
        self._access = access(endpoint)
        self._ceiling, self._answers, self._on_wait = ceiling, answers, on_wait
        self._dialect = answers.dialect(endpoint.host, endpoint.model) if answers is not None else Dialect()
        self._stopping, self._closed = threading.Event(), False
        self._not_before = 0.0
        self._reached = False
        self._unread = 0
        """Tries since the last answer that may have been billed."""
        self._asked: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._turn = threading.Lock()
        self._http = httpx.Client(
            headers=self._access.headers,
            timeout=httpx.Timeout(timeout, connect=15.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=self.concurrency),
            trust_env=not endpoint.local,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._stopping.set()
        self._http.close()

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        schema: Mapping[str, Any] | None = None,
        logprobs: bool = False,
    ) -> Completion:
        """The model's answer of at most `max_tokens` tokens, reasoning included.

        schema: a JSON schema that `Completion.value` is asked to match; the caller checks whether it does. Raises Refused,
        CeilingReached, and Stopped if the client is closed meanwhile.
        """
        return self.answer(Request(messages, max_tokens, temperature, seed, schema, logprobs))

    def answer(self, request: Request) -> Completion:
        """The answer to a request, as `complete`."""
        key = request.key(self.endpoint.base, self.endpoint.model)
        with self._alone(key):  # the same question twice at once is paid once
            known = self._answers.get(key) if self._answers is not None else None
            if known is not None:
                return known
            return self._bought(key, request)

    def known(self, request: Request) -> Completion | None:
        """The answer to a request if it is in the cache."""
        return self._answers.get(request.key(self.endpoint.base, self.endpoint.model)) if self._answers is not None else None

    def complete_all(self, requests: Iterable[Request], stop: Callable[[], bool] = lambda: False) -> Iterator[Answered]:
        """The answers to many requests, `concurrency` at once, in the order they come.

        requests is read as answers come in, so it may be long. A request that is refused on its own is yielded with its error.
        What every further request would meet (the ceiling, a wrong key, no server) is raised once those under way are yielded.
        stop: asked a few times a second; then nothing more is sent and those under way are waited for.
        """
        source, under_way, fatal = iter(enumerate(requests)), dict[Future[Completion], tuple[int, Request]](), None
        more = True
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="completion") as pool:
            try:
                while True:
                    if stop():
                        more = False
                        self._stopping.set()
                    while more and fatal is None and len(under_way) < self.concurrency:
                        item = next(source, None)
                        if item is None:
                            more = False
                            break
                        under_way[pool.submit(self.answer, item[1])] = item
                    if not under_way:
                        break
                    for future in wait(under_way, timeout=0.2, return_when=FIRST_COMPLETED).done:
                        index, request = under_way.pop(future)
                        try:
                            yield Answered(index, request, future.result())
                        except Stopped:
                            continue
                        except StudioError as error:
                            if isinstance(error, CeilingReached) or (isinstance(error, Refused) and error.fatal):
                                fatal = fatal or error
                            else:
                                yield Answered(index, request, error=error)
            finally:
                if under_way:  # the caller went away: what is under way is paid, so it is still kept
                    self._stopping.set()
                    pool.shutdown(wait=True, cancel_futures=True)
                if not self._closed:
                    self._stopping.clear()  # what is asked next is a new beginning
        if fatal is not None:
            raise fatal

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._turn:
            lock = self._asked.setdefault(key, threading.Lock())
        with lock:
            yield

    def _bought(self, key: str, request: Request) -> Completion:
        begun = time.monotonic()
        dialect, tries, billed = self._dialect, 0, 0
        while True:
            self._wait(self._not_before - time.monotonic())
            found = self._once(dialect, request)
            if isinstance(found, Completion):
                if self._answers is not None:
                    self._answers.put(key, self.endpoint.host, self.endpoint.model, found)
                if dialect != self._dialect:
                    self._remember(dialect)
                self._unread = 0
                return found
            billed += found.billed
            self._unread += found.billed
            other = dialect.adapted(found.message, request) if found.status in (400, 404, 415, 422) else None
            if other is not None:
                dialect = other
                continue
            if found.status not in RETRIED or billed >= _BILLED:
                found.error.fatal = found.error.fatal or self._unread >= 2 * _BILLED  # as it is with every other request
                raise found.error
            pause = found.after if found.after is not None else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tries)
            pause *= 1 if found.after is not None else random.uniform(0.5, 1.5)
            patience = self._patience if self._reached else min(self._patience, _UNREACHED)
            if time.monotonic() + pause > begun + patience:
                raise found.error
            if found.status == 429:
                self._not_before = max(self._not_before, time.monotonic() + pause)
            self._on_wait(found.error, pause)
            self._wait(pause)
            tries += 1

    def _once(self, dialect: Dialect, request: Request) -> Completion | _Failed:
        """Send it once. The reservation is settled, released or lost when this returns, whatever happened."""
        import httpx

        body = dialect.body(self.endpoint.model, request)
        worst = self.price.cost(request.most_prompt_tokens, request.max_tokens)
        reservation = self._ceiling.reserve(worst, self._stopping.is_set) if self._ceiling and worst else None
        begun = time.monotonic()
        try:
            response = self._http.post(f"{self.endpoint.base}/chat/completions", json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:  # not sent
            _end(reservation, None)
            return _Failed(0, "", unreachable(self.endpoint, error))
        except httpx.HTTPError as error:  # sent, and perhaps billed
            if reservation:
                reservation.lose()
            silent = isinstance(error, httpx.ReadTimeout)
            said = unanswered(self.endpoint, self._timeout) if silent else unreachable(self.endpoint, error)
            return _Failed(0, "", said, billed=True)
        except BaseException:
            if reservation:
                reservation.lose()
            raise
        self._reached = True
        completion = completion_of(response, request, self.price, time.monotonic() - begun)
        if completion is not None:
            most = completion.cost
            if completion.usage.estimated:
                most = self.price.cost(*most_tokens_of(request, completion.text))
            _end(reservation, most)
            return completion
        return self._failed(response, reservation)

    def _failed(self, response: httpx.Response, reservation: Reservation | None) -> _Failed:
        """What a response means that holds no answer. One that says 200 may have been billed."""
        if response.status_code == 200 and not has_error(response.text):
            if reservation:
                reservation.lose()
            return _Failed(0, "", unreadable(self.endpoint, response.text), billed=True)
        _end(reservation, None)
        status = response.status_code if response.status_code != 200 else _status_in(response)
        error = refused(self.endpoint, self._access, status, response.text)
        after = retry_after(response.headers.get("retry-after", ""))
        return _Failed(error.status, message_in(response.text), error, after)

    def _remember(self, dialect: Dialect) -> None:
        self._dialect = dialect
        if self._answers is not None:
            self._answers.remember(self.endpoint.host, self.endpoint.model, dialect)

    def _wait(self, seconds: float) -> None:
        if self._stopping.is_set() or (seconds > 0 and self._stopping.wait(seconds)):
            raise Stopped


@dataclass(frozen=True)
class _Failed:
    """A try that gave no answer. after: the seconds the API asks to wait; billed: it may have to be paid all the same."""

    status: int
    message: str
    error: Refused
    after: float | None = None
    billed: bool = False


def _end(reservation: Reservation | None, cost: float | None) -> None:
    if reservation is None:
        return
    if cost is None:
        reservation.release()
    else:
        reservation.settle(cost)


def _status_in(response: httpx.Response) -> int:
    """The status that an error says within a response of status 200, as routers do; 502 if it says none."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return 502
    return code if isinstance(code, int) and code >= 400 else 502
