"""The kinds of checks that a machine is made of: moves, forbidden ones, races, fault runs, invariants,
demands of liveness.

Each is known by a name that stands at the head of its failures: a move by the name of its method, the others by the id
at the start of their docstrings. The tests use the same names to prove that each check can fail.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import SearchStrategy

type_of_check = "type_of_check"

Check = Callable[..., None]


def move(*, also_under_faults: bool = False, **arguments: SearchStrategy[Any]) -> Callable[[Check], Check]:
    """Make a method a rule: something an agent may do. That it succeeded is counted in the run's ledger.

    Of the two machines, that of fault runs has it, too, if it is to go on between them.
    """
    return functools.partial(_counted_rule, "move of both machines" if also_under_faults else "move", arguments)


def forbidden_move(**arguments: SearchStrategy[Any]) -> Callable[[Check], Check]:
    """Make a method a rule: something an agent tries in vain. It succeeds when it was refused as predicted."""
    return functools.partial(_counted_rule, "forbidden move", arguments)


def race(**arguments: SearchStrategy[Any]) -> Callable[[Check], Check]:
    """Make a method a rule: what two to four agents do at once. Who comes when is drawn from its argument `data`."""
    return functools.partial(_counted_rule, "race", {"data": st.data(), **arguments})


def fault_run(**arguments: SearchStrategy[Any]) -> Callable[[Check], Check]:
    """Make a method a rule: what one to three agents do under faults, which are drawn from its argument `data`, too."""
    return functools.partial(_counted_rule, "fault run", {"data": st.data(), **arguments})


def always(check: Check) -> Check:
    """Make a method an invariant, checked after every step. Its id is the docstring's start, up to the colon."""
    name = _id_of(check)

    @functools.wraps(check)
    def named(machine: Any) -> None:
        __tracebackhide__ = True
        machine.checking = name
        check(machine)

    setattr(named, type_of_check, ("invariant", name))
    return invariant()(named)


def eventually(check: Check) -> Check:
    """Make a method a demand of liveness, made of every example that got to its end. Its id is as an invariant's.

    It may make moves that nobody could object to. It stands among the steps of a failing run and is counted like them.
    """
    name = _id_of(check)

    @functools.wraps(check)
    def counted(machine: Any) -> None:
        __tracebackhide__ = True
        machine.checking = name
        note(f"state.{check.__name__}()")
        check(machine)
        machine.sometimes(name, True)

    setattr(counted, type_of_check, ("liveness", name))
    return counted


def kinds_of(part: type) -> set[str]:
    """Return the kinds of the checks that a class has, those of its bases included."""
    members = [member for base in part.__mro__ for member in vars(base).values()]
    return {getattr(member, type_of_check)[0] for member in members if hasattr(member, type_of_check)}


def moves_of(machine: type[RuleBasedStateMachine]) -> dict[str, str]:
    """Return all rules of a machine but those that are no checks: the name of each and of its method, equal."""
    moves = _checks_of(machine, "move") | _checks_of(machine, "move of both machines")
    return moves | forbidden_moves_of(machine) | races_of(machine) | fault_runs_of(machine)


def forbidden_moves_of(machine: type[RuleBasedStateMachine]) -> dict[str, str]:
    """Return the forbidden moves of a machine: the name of each and of its method, which are equal."""
    return _checks_of(machine, "forbidden move")


def races_of(machine: type[RuleBasedStateMachine]) -> dict[str, str]:
    """Return the races of a machine: the name of each and of its method, which are equal."""
    return _checks_of(machine, "race")


def fault_runs_of(machine: type[RuleBasedStateMachine]) -> dict[str, str]:
    """Return the fault runs of a machine: the name of each and of its method, which are equal."""
    return _checks_of(machine, "fault run")


def invariants_of(machine: type[RuleBasedStateMachine]) -> dict[str, str]:
    """Return the invariants of a machine: the id of each and the name of its method."""
    return _checks_of(machine, "invariant")


def liveness_of(machine: type[RuleBasedStateMachine]) -> dict[str, str]:
    """Return the demands of liveness on a machine: the id of each and the name of its method."""
    return _checks_of(machine, "liveness")


def _id_of(check: Check) -> str:
    return (inspect.getdoc(check) or "").partition(":")[0]


def _counted_rule(kind: str, arguments: dict[str, SearchStrategy[Any]], action: Check) -> Check:
    name = action.__name__

    @functools.wraps(action)
    def counted(machine: Any, **drawn: Any) -> None:
        __tracebackhide__ = True
        machine.checking = name
        action(machine, **drawn)
        machine.sometimes(name, True)

    setattr(counted, type_of_check, (kind, name))
    made_a_rule: Check = rule(**arguments)(counted)  # type: ignore[call-overload]  # `targets` is not among them
    return made_a_rule


@functools.cache  # asked for at the end of every example
def _checks_of(machine: type[RuleBasedStateMachine], kind: str) -> dict[str, str]:
    marks = {method: getattr(function, type_of_check, None) for method, function in inspect.getmembers(machine)}
    return {mark[1]: method for method, mark in marks.items() if mark is not None and mark[0] == kind}
