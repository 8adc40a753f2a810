"""The endpoints."""

import os
from typing import Any

from flask import Flask, request
from sqlalchemy import create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from transfers.models import Account

engine = create_engine(os.environ.get("TRANSFERS_DATABASE", "postgresql+psycopg2://localhost/transfers"))
app = Flask("transfers")


@app.get("/")
def say_what_this_is() -> str:
    """Answer, to show that the application runs."""
    return "transfers"


@app.post("/transfers")
def transfer() -> Any:
    """Move money from one account to another, if there is enough."""
    giver, taker, amount = request.json["from"], request.json["to"], int(request.json["amount"])
    try:
        with Session(engine) as session, session.begin():
            # Lock in the order of the names: transfers in both directions would deadlock otherwise.
            query = select(Account).where(Account.name.in_([giver, taker])).order_by(Account.name).with_for_update()
            accounts = {account.name: account for account in session.scalars(query)}
            if accounts[giver].balance < amount:
                return {"refused": "There is not enough."}, 409
            accounts[giver].balance -= amount
            accounts[taker].balance += amount
    except OperationalError:
        return {"failed": "The database did not answer. Nothing was moved, or all of it."}, 503
    return {}, 201
