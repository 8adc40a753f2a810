"""Bugs that only a bad day of the database can show: as long as nothing strikes, nothing is wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deepsci import transactions
from deepsci.feedback import service as feedback
from fastapi import FastAPI
from pgdst import current_client
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool.base import ResetStyle

from simulation.engine import planting as plant
from simulation.engine.fault_runs import FaultRuns
from simulation.engine.harness import Exchange, Request

ANY_FAULT_RUN = r"\w+_under_faults"


@plant.found_under_faults(f"(I1|{ANY_FAULT_RUN}): expected")
def clients_ask_again_under_another_key(patch: plant.Patch) -> None:
    """What was done and not answered is done again."""
    transmit: Callable[[FaultRuns, Request], Exchange] = FaultRuns.transmit

    def transmit_anew(machine: FaultRuns, request: Request) -> Exchange:
        if current_client() is not None:
            sent = vars(machine).setdefault("sent", [])
            sent.append(request.idempotency_key)
            request = replace(request, idempotency_key=f"{sent[-1]}-{sent.count(sent[-1])}")
        return transmit(machine, request)

    patch.setattr(FaultRuns, "transmit", transmit_anew)


@plant.found_under_faults(f"{ANY_FAULT_RUN}: expected 503s beyond")
def what_was_undone_is_not_done_again(patch: plant.Patch) -> None:
    """40001 and 40P01 are answered as if the database were away."""
    patch.setattr(transactions, "UNDONE", frozenset())


@plant.found_under_faults("F1")
def what_is_done_outside_the_transaction_is_done_again(patch: plant.Patch) -> None:
    """An effect in a transaction of its own stays, where that of the request is undone and made again."""

    def give(original: Any, session: Session, *arguments: Any) -> Any:
        with Session(session.get_bind(), expire_on_commit=False) as own, own.begin():
            return original(own, *arguments)

    plant.wrap(patch, feedback, "give", give)


@plant.found_under_faults(f"{ANY_FAULT_RUN}: expected an answer 503")
def answers_are_given_before_the_commit(patch: plant.Patch) -> None:
    """What the commit comes to is not waited for."""

    async def attempt(original: Any, request: Any, handle: Any) -> Any:
        answers = []

        async def handle_and_note(again: Any) -> Any:
            answers.append(await handle(again))
            return answers[0]

        try:
            return await original(request, handle_and_note)
        except OperationalError:
            if not answers:
                raise
            return answers[0]

    plant.wrap(patch, transactions, "_attempt", attempt)


@plant.found_under_faults(f"{ANY_FAULT_RUN}: expected 503s beyond")
def dead_connections_stay_in_the_pool(patch: plant.Patch) -> None:
    """Nothing notices that they are dead, and a request that gets one fails."""

    def keep(_app: FastAPI, engine: Engine) -> None:
        engine.dialect.is_disconnect = lambda *_arguments: False  # type: ignore[method-assign]  # the bug
        engine.pool._reset_on_return = ResetStyle.reset_none

    plant.on_each_application(patch, keep)
