"""What `explore` is called with: wrong arguments are named before anything is run."""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from pgdst.errors import ConfigurationError
from pgdst.simulation.clients.client import current_client
from pgdst.simulation.explore.search import EACH

MOST_CLIENTS: Final = 5  # without a check: they have 120 serial orders


def require_right(clients: Any, setup: Any, check: Any, schedules: Any, faults: Any, lists: Mapping[str, Any]) -> None:
    """Raise ConfigurationError, where an argument cannot be right; `lists` are those that are lists of words."""
    if current_client() is not None:
        raise ConfigurationError("explore was called by a client of a run. Call it in the test itself.")
    if not isinstance(clients, Mapping) or not clients or not all(map(callable, clients.values())):
        raise ConfigurationError(f"explore needs clients, a dictionary of names and functions, found {clients!r}.")
    if check is None and len(clients) > MOST_CLIENTS:
        raise ConfigurationError(
            f"{len(clients)} clients have too many serial orders to be compared with. Give explore a check, or at most "
            f"{MOST_CLIENTS} clients."
        )
    for name, function in {"setup": setup, "check": check}.items():
        if function is not None and (not callable(function) or inspect.iscoroutinefunction(function)):
            raise ConfigurationError(
                f"{name} must be a function of a connection, and no coroutine function, found {function!r}."
            )
    for name, words in lists.items():
        if isinstance(words, str) or not all(isinstance(word, str) for word in words):
            raise ConfigurationError(f"{name} must be a list of words, found {words!r}.")
    _require_right_search(check, schedules, faults)


def _require_right_search(check: Any, schedules: Any, faults: Any) -> None:
    if not isinstance(schedules, int) or schedules < 1:
        raise ConfigurationError(f"schedules must be a number from 1 on, found {schedules!r}.")
    if not (faults is None or faults == EACH or callable(faults)):
        raise ConfigurationError(f'faults must be "{EACH}", or a function of a seed, found {faults!r}.')
    if faults is not None and check is None:
        raise ConfigurationError(
            "faults need a check: a client whose connection was lost may have done its work or not, so no serial order "
            "says what is right."
        )
