"""A service that breaks its word in each of the ways that the fuzz looks for."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel


class Echo(BaseModel):
    """What every operation promises."""

    word: str


def broken() -> FastAPI:
    """Return a service in which one operation is as good as its document, and each of the others is not."""
    app = FastAPI()

    @app.get("/good")
    def good(word: str = "") -> Echo:
        return Echo(word=word)

    @app.get("/fails")
    def fails() -> Echo:
        raise RuntimeError("planted")

    @app.get("/answers_with_an_undocumented_status", response_model=Echo)
    def answers_with_an_undocumented_status() -> Response:
        return Response(b'{"word": ""}', status_code=418, media_type="application/json")

    @app.get("/answers_in_an_undocumented_type", response_model=Echo)
    def answers_in_an_undocumented_type() -> Response:
        return PlainTextResponse("word")

    @app.get("/answers_in_an_undocumented_shape", response_model=Echo)
    def answers_in_an_undocumented_shape() -> Response:
        return Response(b'{"word": 7}', media_type="application/json")

    return app
