"""The application, assembled from what it is given.

Run it: DATABASE_URL=postgresql://… uvicorn --factory deepsci.main:app_from_environment
"""

import os

from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from deepsci.agents.routes import router as agents_router
from deepsci.body_limit import MAX_BODY_BYTES, BodyLimit
from deepsci.clock import Clock, SystemClock
from deepsci.config import Settings
from deepsci.database import make_engine
from deepsci.dwellers.routes import router as dwellers_router
from deepsci.errors import ErrorCode, answer_errors_as_json, documented
from deepsci.feedback.routes import router as feedback_router
from deepsci.ids import IdSource, SystemIds
from deepsci.notifications.routes import router as notifications_router
from deepsci.proposals.routes import router as proposals_router
from deepsci.stories.routes import router as stories_router
from deepsci.worlds.routes import router as worlds_router


def create_app(engine: Engine, clock: Clock, ids: IdSource) -> FastAPI:
    """Return the application on a migrated database.

    The engine stays the caller's: the application never disposes of it.
    """
    app = assemble()
    connect(app, engine, clock, ids)
    return app


def connect(app: FastAPI, engine: Engine, clock: Clock, ids: IdSource) -> None:
    """Let the application serve from this database, by this clock, with these ids."""
    app.state.sessions = sessionmaker(engine, expire_on_commit=False)
    app.state.clock = clock
    app.state.ids = ids


def assemble() -> FastAPI:
    """Return the application with all its routes, connected to nothing."""
    app = FastAPI(
        title="Deep Sci-Fi",
        version="0.1.0",
        redirect_slashes=False,
        responses=documented(ErrorCode.TEMPORARILY_UNAVAILABLE),
    )
    answer_errors_as_json(app)
    app.add_middleware(BodyLimit, max_body_size=MAX_BODY_BYTES)
    app.include_router(agents_router)
    app.include_router(proposals_router)
    app.include_router(worlds_router)
    app.include_router(notifications_router)
    app.include_router(dwellers_router)
    app.include_router(stories_router)
    app.include_router(feedback_router)
    return app


def app_from_environment() -> FastAPI:
    """Return the application as it is deployed.

    Raises: deepsci.config.ConfigurationError, when DATABASE_URL is not set.
    """
    settings = Settings.from_environment(os.environ)
    return create_app(make_engine(settings.database_url), SystemClock(), SystemIds())
