"""The kinds of checks that a machine is made of: moves, forbidden ones, races, fault runs, invariants, liveness.

Each is known by a name that stands at the head of its failures: a move by the name of its method, an invariant and a
demand of liveness by the id at the start of its docstring. The tests use the same names to prove that each can fail.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import SearchStrategy

from simulation.engine.choosing import needed_by

MOVE: Final = "move"
MOVE_OF_BOTH: Final = "move of both machines"
FORBIDDEN_MOVE: Final = "forbidden move"
RACE: Final = "race"
FAULT_RUN: Final = "fault run"
INVARIANT: Final = "invariant"
LIVENESS: Final = "liveness"
RULES: Final = (MOVE, MOVE_OF_BOTH, FORBIDDEN_MOVE, RACE, FAULT_RUN)

_MARK: Final = "check"

Method = Callable[..., Any]


@dataclass(frozen=True)
class Check:
    """A check of a machine; `answered` is how the platform refuses a forbidden move."""

    kind: str
    name: str
    method: str
    domain: str
    about: str
    answered: str = ""


def move(*, also_under_faults: bool = False, **arguments: SearchStrategy[Any]) -> Callable[[Method], Method]:
    """Make a method a rule: something an agent may do. That it succeeded is counted in the run's coverage.

    Of the two machines, that of fault runs has it, too, if it is to go on between them.
    """
    return functools.partial(_rule, MOVE_OF_BOTH if also_under_faults else MOVE, "", arguments)


def forbidden_move(status: int, *codes: str, **arguments: SearchStrategy[Any]) -> Callable[[Method], Method]:
    """Make a method a rule: something an agent tries in vain. It succeeds when it was refused as predicted.

    The method returns the answer, which must have the status and the code; of several codes it says itself which one.
    """

    def refused(action: Method) -> Method:
        @functools.wraps(action)
        def checked(machine: Any, **drawn: Any) -> None:
            __tracebackhide__ = True
            answer = action(machine, **drawn)
            machine.expect(answer, status, answer.code if answer.code in codes[1:] else codes[0])

        return _rule(FORBIDDEN_MOVE, f"{status} {', '.join(codes)}", arguments, checked)

    return refused


def race(**arguments: SearchStrategy[Any]) -> Callable[[Method], Method]:
    """Make a method a rule: what two to four agents do at once. Who comes when is drawn from its argument `data`."""
    return functools.partial(_rule, RACE, "", {"data": st.data(), **arguments})


def fault_run(**arguments: SearchStrategy[Any]) -> Callable[[Method], Method]:
    """Make a method a rule: what one to three agents do under faults, which are drawn from its argument `data`, too."""
    return functools.partial(_rule, FAULT_RUN, "", {"data": st.data(), **arguments})


def always(check: Method) -> Method:
    """Make a method an invariant, checked after every step. Its id is the docstring's start, up to the colon."""
    known = _known(INVARIANT, check)

    @functools.wraps(check)
    def named(machine: Any) -> None:
        __tracebackhide__ = True
        machine.checking = known.name
        check(machine)

    setattr(named, _MARK, known)
    return invariant()(named)


def eventually(check: Method) -> Method:
    """Make a method a demand of liveness, made of every example that got to its end. Its id is as an invariant's.

    It may make moves that nobody could object to. It stands among the steps of a failing run and is counted like them.
    """
    known = _known(LIVENESS, check)

    @functools.wraps(check)
    def counted(machine: Any) -> None:
        __tracebackhide__ = True
        machine.checking = known.name
        note(f"state.{known.method}()")
        check(machine)
        machine.sometimes(known.name, True)

    setattr(counted, _MARK, known)
    return counted


def checks_in(members: Iterable[object]) -> list[Check]:
    """Return the checks among the members of a class."""
    return [getattr(member, _MARK) for member in members if isinstance(getattr(member, _MARK, None), Check)]


def kinds_of(part: type) -> set[str]:
    """Return the kinds of the checks that a class has, those of its bases included."""
    return {check.kind for base in part.__mro__ for check in checks_in(vars(base).values())}


@functools.cache  # asked for at the end of every example
def checks_of(machine: type[RuleBasedStateMachine], *kinds: str) -> dict[str, Check]:
    """Return the checks of a machine that are of some kinds, by their names."""
    members = (member for _name, member in inspect.getmembers(machine))
    return {check.name: check for check in checks_in(members) if check.kind in kinds}


def _known(kind: str, method: Method, answered: str = "") -> Check:
    name, about = method.__name__, inspect.getdoc(method) or ""
    if kind in (INVARIANT, LIVENESS):
        name, _, about = about.partition(": ")
    domain = method.__module__.split(".")[1] if "." in method.__module__ else ""
    return Check(kind, name, method.__name__, domain, about, answered)


def _rule(kind: str, answered: str, arguments: dict[str, SearchStrategy[Any]], action: Method) -> Method:
    known = _known(kind, action, answered)

    @functools.wraps(action)
    def counted(machine: Any, **drawn: Any) -> None:
        __tracebackhide__ = True
        machine.checking = known.name
        action(machine, **drawn)
        machine.sometimes(known.name, True)

    setattr(counted, _MARK, known)
    made_a_rule: Method = rule(**arguments)(counted)  # type: ignore[call-overload]  # `targets` is not among them
    needed = [needs for strategy in arguments.values() if (needs := needed_by(strategy)) is not None]
    return precondition(lambda machine: all(needs(machine) for needs in needed))(made_a_rule) if needed else made_a_rule
