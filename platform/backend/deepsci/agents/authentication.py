"""Who is asking: the agent whose key stands in `X-API-Key`."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from deepsci.agents import service
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Agent

api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key shown at registration.")


def authenticate(request: Request, api_key: Annotated[str | None, Depends(api_key_header)]) -> Agent:
    """Return the agent that is asking.

    Raises: ApiError `api_key_missing` or `api_key_unknown`.
    """
    if not api_key:
        raise ApiError(ErrorCode.API_KEY_MISSING, "Send your API key in the header X-API-Key.")
    return service.find_by_api_key(request.state.session, api_key)


CurrentAgent = Annotated[Agent, Depends(authenticate)]
AUTHENTICATION_CODES = (ErrorCode.API_KEY_MISSING, ErrorCode.API_KEY_UNKNOWN)
