"""How bugs are planted: they are patched in, and only here; the application has no switches for them."""

import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import pytest
from deepsci.errors import ApiError, ErrorCode
from deepsci.main import create_app
from fastapi import FastAPI
from sqlalchemy import Engine, select, text

from simulation.engine import harness

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
Wrapper = TypeVar("Wrapper", bound=Callable[..., Any])


@dataclass(frozen=True)
class PlantedBug:
    """A bug and the check that must find it: the name of a forbidden move, or the id of another check."""

    found_by: str
    name: str
    plant: Plant


@dataclass(frozen=True)
class PlantedRace(PlantedBug):
    """A bug that only requests at once show: the race in which they do, which is mostly also what finds it."""

    race: str


PLANTED_BUGS: Final[list[PlantedBug]] = []
PLANTED_RACES: Final[list[PlantedRace]] = []
BUGS_UNDER_FAULTS: Final[list[PlantedBug]] = []


def found_by(check: str) -> Callable[[Plant], Plant]:
    """Plant a bug for a check."""

    def planted(plant: Plant) -> Plant:
        PLANTED_BUGS.append(PlantedBug(check, plant.__name__, plant))
        return plant

    return planted


def bug(check: str, name: str, *bugs: Plant) -> None:
    """Plant a bug for a check that is made of what stands below, and says all by its name."""

    def planted(patch: Patch) -> None:
        for plant in bugs:
            plant(patch)

    PLANTED_BUGS.append(PlantedBug(check, name, planted))


def followed(check: str, service: Any, action: str, *, lost: str | None = None) -> Callable[[Callable[[], str]], Plant]:
    """Plant a bug for a check: a statement, which a function returns, follows an action; see `after`.

    A bad migration has first executed `lost`, which takes away what would have noticed.
    """

    def planted(statement: Callable[[], str]) -> Plant:
        def plant(patch: Patch) -> None:
            if lost is not None:
                execute_first(patch, lost)
            after(patch, service, action, statement())

        PLANTED_BUGS.append(PlantedBug(check, statement.__name__, plant))
        return plant

    return planted


def wrapping(check: str, service: Any, name: str, *, lost: str | None = None) -> Callable[[Wrapper], Wrapper]:
    """Plant a bug for a check: a function is replaced by a wrapper, which gets the original as its first argument.

    A bad migration has first executed `lost`, which takes away what would have noticed.
    """

    def planted(wrapper: Wrapper) -> Wrapper:
        def plant(patch: Patch) -> None:
            if lost is not None:
                execute_first(patch, lost)
            wrap(patch, service, name, wrapper)

        PLANTED_BUGS.append(PlantedBug(check, wrapper.__name__, plant))
        return wrapper

    return planted


def mending(check: str, path: str) -> Callable[[Wrapper], Wrapper]:
    """Plant a bug for a check: a proxy mends the bodies of requests to paths with this end."""

    def planted(mend: Wrapper) -> Wrapper:
        PLANTED_BUGS.append(PlantedBug(check, mend.__name__, lambda patch: tolerate(patch, path, mend)))
        return mend

    return planted


def found_by_race(race: str, *, by: str | None = None) -> Callable[[Plant], Plant]:
    """Plant a bug for a race, which finds it by its answers, or by an invariant that looks at what came of them."""

    def planted(plant: Plant) -> Plant:
        PLANTED_RACES.append(PlantedRace(by or race, plant.__name__, plant, race))
        return plant

    return planted


def found_under_faults(by: str) -> Callable[[Plant], Plant]:
    """Plant a bug that only faults show; `by` is how the failure begins, a regular expression."""

    def planted(plant: Plant) -> Plant:
        BUGS_UNDER_FAULTS.append(PlantedBug(by, plant.__name__, plant))
        return plant

    return planted


def planted_bug(name: str) -> Plant:
    """Return what plants the bug of a name, that a check finds."""
    [plant] = [bug.plant for bug in PLANTED_BUGS if bug.name == name]
    return plant


def bugs_of(check: str) -> list[str]:
    """Return the names of the bugs that are planted for a check, those that only races or faults show included."""
    planted = [bug.name for bug in PLANTED_BUGS if bug.found_by == check]
    raced = [bug.name for bug in PLANTED_RACES if bug.race == check]
    return planted + raced + [bug.name for bug in BUGS_UNDER_FAULTS if re.match(bug.found_by, f"{check}: expected")]


# Bugs for `bug`.


def left_out(service: Any, rule: str, *, of: str | None = None) -> Plant:
    """Return a bug: a check of a service was left out, of one action or of all."""
    if of is not None:
        return lambda patch: without(patch, service, of, rule)
    return replaced(service, rule, lambda *_arguments: None)


def relaxed(service: Any, rule: str, lenient: Callable[..., Any], *, of: str) -> Plant:
    """Return a bug: a check of a service was replaced by another in one of the actions; see `within`."""
    return lambda patch: within(patch, service, of, rule, lenient)


def replaced(service: Any, name: str, value: Any) -> Plant:
    """Return a bug: something of a service is something else."""
    return lambda patch: patch.setattr(service, name, value)


def unknown_answered_as(service: Any, action: str, model: Any, code: ErrorCode) -> Plant:
    """Return a bug: a row that is not there, which the action's argument that is an id names, is answered otherwise."""

    def answered(original: Any, session: Any, *arguments: Any) -> Any:
        [row_id] = [argument for argument in arguments if isinstance(argument, UUID)]
        if session.get(model, row_id) is None:
            raise ApiError(code, "There is none.")
        return original(session, *arguments)

    return lambda patch: wrap(patch, service, action, answered)


def unknown_taken_for_newest(service: Any, getter: str, model: Any) -> Plant:
    """Return a bug: an id that names nothing leads to the newest row."""

    def get(original: Any, session: Any, row_id: Any) -> Any:
        newest = select(model.id).order_by(model.created_at.desc(), model.id).limit(1)
        is_there = session.get(model, row_id) is not None
        return original(session, row_id if is_there else session.scalar(newest) or row_id)

    return lambda patch: wrap(patch, service, getter, get)


def empty_for_unknown(service: Any, lists: str, model: Any) -> Plant:
    """Return a bug: the list that belongs to nothing is empty, and not refused."""

    def newest(original: Any, session: Any, row_id: Any, *page: Any) -> Any:
        return original(session, row_id, *page) if session.get(model, row_id) is not None else ([], None)

    return lambda patch: wrap(patch, service, lists, newest)


def lost(*statements: str) -> Plant:
    """Return a bug: a bad migration has executed these statements."""
    return lambda patch: execute_first(patch, *statements)


# What other bugs are made of.


def wrap(patch: Patch, module: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a function by a wrapper, which gets the original as its first argument."""
    patch.setattr(module, name, partial(wrapper, getattr(module, name)))


def within(patch: Patch, service: Any, action: str, rule: str, lenient: Callable[..., Any]) -> None:
    """Replace a check that actions of a service share by another, in one of the actions only."""
    inside = ContextVar(f"inside_{action}", default=False)  # others may be in another of the actions meanwhile

    def acting(original: Any, *arguments: Any) -> Any:
        token = inside.set(True)
        try:
            return original(*arguments)
        finally:
            inside.reset(token)

    def checking(original: Any, *arguments: Any) -> Any:
        return lenient(original, *arguments) if inside.get() else original(*arguments)

    wrap(patch, service, action, acting)
    wrap(patch, service, rule, checking)


def without(patch: Patch, service: Any, action: str, rule: str) -> None:
    """Leave out a check that actions of a service share, in one of the actions only."""
    within(patch, service, action, rule, lambda _original, *_arguments: None)


def after(patch: Patch, service: Any, action: str, statement: str) -> None:
    """Let a statement follow an action of a service, in its transaction and behind its answer."""

    def followed(original: Any, session: Any, *arguments: Any) -> Any:
        result = original(session, *arguments)
        session.execute(text(statement))
        return result

    wrap(patch, service, action, followed)


def on_each_application(patch: Patch, change: Callable[[FastAPI, Engine], None]) -> None:
    """Change every application, or its database, before the machine gets it."""

    def changed(_create_app: object, engine: Engine, *effects: Any) -> FastAPI:
        app = create_app(engine, *effects)  # not the one of all examples
        change(app, engine)
        return app

    wrap(patch, harness, "create_app", changed)


def execute_first(patch: Patch, *statements: str) -> None:
    """Run statements in every example's database, as a bad migration would have."""

    def execute(_app: FastAPI, engine: Engine) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    on_each_application(patch, execute)


def tolerate(patch: Patch, path: str, mend: Callable[[Any], Any]) -> None:
    """Put a proxy before the application that mends the bodies of requests to paths with this end."""

    def install(app: FastAPI, _engine: Engine) -> None:
        app.add_middleware(MendingProxy, path=path, mend=mend)

    on_each_application(patch, install)


class MendingProxy:
    """ASGI middleware that rewrites JSON bodies, which are sent as one message."""

    def __init__(self, app: Any, path: str, mend: Callable[[Any], Any]) -> None:
        self.app, self.path, self.mend = app, path, mend

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, mended if it is one of ours."""
        ours = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(self.path)
        await self.app(scope, partial(self.receive_mended, receive) if ours else receive, send)

    async def receive_mended(self, receive: Any) -> Any:
        """Return the next message, its body mended."""
        message = await receive()
        body = json.loads(message.get("body") or b"null")
        return message | {"body": json.dumps(self.mend(body)).encode()}
