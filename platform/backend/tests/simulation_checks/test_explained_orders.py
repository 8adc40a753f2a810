"""What happened at once is explained by an order with which both the answers and the tables agree."""

from collections.abc import Callable
from typing import Any

import pytest
from deepsci.dwellers import claims
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from pgdst import Schedule, ServerProcesses, Trace
from pgdst.simulation.hypothesis import concurrently
from simulation.engine.harness import CleanDatabases, Run
from simulation.engine.profiles import declare
from simulation.history.strategies import Resident
from simulation.machine import DeepSciFi
from sqlalchemy import text

Step = Callable[[Any, DataObject], None]  # of the machine, whose methods only the domains know
RunStep = Callable[[Step], None]


@pytest.fixture
def run_step(clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses) -> RunStep:
    """Run a step, and the invariants after it, on a platform on which Bob holds the only dweller."""

    def run(step: Step) -> None:
        @settings(
            max_examples=1,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(data=st.data())
        def example(data: DataObject) -> None:
            found = Run(clean_databases, pgdst_server_processes, 1, Trace())
            declare(DeepSciFi, found)
            machine: Any = DeepSciFi(found)
            with machine.resources:
                machine.agents_have_registered_and_proposed(
                    sleeper=False,
                    stages=[],
                    residents=[Resident("Bob", "held")],
                    receptions=[],
                    upvotes=[],
                    agents_send_keys=False,
                )
                step(machine, data)
                machine.check_tables()

        example()

    return run


def claim_while_it_is_released(machine: Any, data: DataObject) -> None:
    """Bob lets the dweller go, twice, and claims it again, as does cyd-3."""
    [holding] = machine.model.awake_holdings()
    machine.checking = "claim_a_dweller_while_it_is_released"
    machine.claim_a_dweller_while_it_is_released(data=data, holding=holding, times=2, rivals=["Bob", "cyd-3"])


def test_two_claims_on_one_dweller_by_two_agents_are_not_confused(
    run_step: RunStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob releases, Bob claims again and releases, cyd-3 claims: both claims are new, and only the second is open."""
    schedule = Schedule.parse("Bob*6 Bob.3*10 cyd-3*4 Bob.2*6 cyd-3*6")
    monkeypatch.setattr(concurrently, "Drawn", lambda _draw: schedule)
    ended: list[Any] = []

    def step(machine: Any, data: DataObject) -> None:
        claim_while_it_is_released(machine, data)
        ended.extend((claim.agent, claim.ending) for claim in machine.model.claims.values())

    run_step(step)
    assert [("Bob", "released"), ("Bob", "released"), ("cyd-3", None)] == ended


def test_answers_that_an_order_explains_and_tables_that_none_does_are_a_failure(
    run_step: RunStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure names the invariant, and the order of the answers."""
    original = claims.release

    def forgets(session: Any, *arguments: Any) -> Any:
        released = original(session, *arguments)
        session.execute(text("UPDATE claims SET last_action_at = last_action_at + interval '1 s'"))
        return released

    monkeypatch.setattr(claims, "release", forgets)
    with pytest.raises(AssertionError, match=r"(?s)^D\d.*; the answers are those of the order Bob, then "):
        run_step(claim_while_it_is_released)


def test_tables_that_an_order_explains_and_answers_that_none_does_are_a_failure(
    run_step: RunStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure shows the order that explains most of the answers."""

    def step(machine: Any, data: DataObject) -> None:
        transmit = machine.transmit
        monkeypatch.setattr(machine, "transmit", lambda request: _answered_wrongly(transmit(request)))
        claim_while_it_is_released(machine, data)

    with pytest.raises(AssertionError, match=r"expected answers of some order, found .*: but then "):
        run_step(step)


def _answered_wrongly(exchange: Any) -> Any:
    wrong = exchange.text.replace('"already_holding"', '"dweller_held"').replace('"Plain."', '"Plainer."')
    return type(exchange)(exchange.request, exchange.status, wrong)
