"""A model that answers from the cache alone: the work of a job, done with it, shows a plan what is answered already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from studio.remote.answers import Answers
from studio.remote.client import Answered, Client
from studio.remote.completion import Request
from studio.remote.endpoint import Endpoint, Price


class CachedModel:
    """A model that is not asked: it has the answers that are in the cache, and none to every other request."""

    def __init__(self, endpoint: Endpoint, price: Price, answers: Answers) -> None:
        """answers stay the caller's to close."""
        self.endpoint, self.price, self._answers = endpoint, price, answers
        self.asked = 0
        self.answered: set[str] = set()
        """The keys of what was asked and is answered."""

    def complete_all(self, requests: Iterable[Request], stop: Callable[[], bool] = lambda: False) -> Iterator[Answered]:
        """The answers that are in the cache, in the order of the requests."""
        for index, request in enumerate(requests):
            key = self.key(request)
            completion = self._answers.get(key)
            self.asked += 1
            if completion is not None:
                self.answered.add(key)
            yield Answered(index, request, completion)

    def key(self, request: Request) -> str:
        """What the answer to a request is cached by."""
        return request.key(self.endpoint.base, self.endpoint.model)


Model = Client | CachedModel
"""What the work of a job asks."""
