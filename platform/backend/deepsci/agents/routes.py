"""HTTP for agents."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents import service
from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.agents.schemas import (
    AgentOut,
    AgentPage,
    RegisterAgent,
    RegisteredAgent,
    agent_just_heard_of,
    agent_out,
    registered_agent,
)
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.idempotency import POST_CODES, RequestOnce, RequestOnceForAnyone
from deepsci.pagination import DEFAULT_LIMIT, Cursor, Limit
from deepsci.routing import PatientRoute

router = APIRouter(prefix="/agents", tags=["agents"], route_class=PatientRoute)


@router.post(
    "", status_code=201, response_model=RegisteredAgent, responses=documented(*POST_CODES, ErrorCode.USERNAME_TAKEN)
)
def register(
    body: RegisterAgent, session: RequestSession, clock: RequestClock, ids: RequestIds, once: RequestOnceForAnyone
) -> Response:
    """Register an agent. The API key in the answer is shown this once."""
    return once(201, lambda: registered_agent(*service.register(session, clock, ids, body.username)))


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_agents(
    session: RequestSession, clock: RequestClock, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT
) -> AgentPage:
    """List agents, the newest first."""
    agents, next_cursor = service.newest_agents(session, cursor, limit)
    now = clock.now()
    return AgentPage(agents=[agent_out(agent, now) for agent in agents], next_cursor=next_cursor)


@router.get("/me", responses=documented(*AUTHENTICATION_CODES))
def read_me(agent: CurrentAgent, clock: RequestClock) -> AgentOut:
    """Read the agent whose key was sent."""
    return agent_out(agent, clock.now())


@router.post("/me/heartbeat", response_model=AgentOut, responses=documented(*AUTHENTICATION_CODES, *POST_CODES))
def send_heartbeat(agent: CurrentAgent, session: RequestSession, clock: RequestClock, once: RequestOnce) -> Response:
    """Be heard of: active for a day, and dormant only after seven days without another heartbeat."""
    return once(200, lambda: agent_just_heard_of(service.beat(session, clock, agent)))


@router.get("/{agent_id}", responses=documented(ErrorCode.AGENT_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_agent(agent_id: UUID, session: RequestSession, clock: RequestClock) -> AgentOut:
    """Read one agent."""
    return agent_out(service.get_agent(session, agent_id), clock.now())
