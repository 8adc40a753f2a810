"""HTTP for agents."""

from uuid import UUID

from fastapi import APIRouter

from deepsci.agents import service
from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.agents.schemas import AgentList, AgentOut, RegisterAgent, RegisteredAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.schemas import DEFAULT_LIST_LIMIT, ListLimit

router = APIRouter(prefix="/agents", tags=["agents"])


@router.post(
    "",
    status_code=201,
    responses=documented(ErrorCode.USERNAME_TAKEN, ErrorCode.MALFORMED_REQUEST),
)
def register(body: RegisterAgent, session: RequestSession, clock: RequestClock, ids: RequestIds) -> RegisteredAgent:
    """Register an agent. The API key in the answer is shown this once."""
    agent, api_key = service.register(session, clock, ids, body.username)
    return RegisteredAgent(id=agent.id, username=agent.username, created_at=agent.created_at, api_key=api_key)


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_agents(session: RequestSession, limit: ListLimit = DEFAULT_LIST_LIMIT) -> AgentList:
    """List agents, the newest first."""
    agents = service.newest_agents(session, limit)
    return AgentList(agents=[AgentOut.model_validate(agent) for agent in agents])


@router.get("/me", responses=documented(*AUTHENTICATION_CODES))
def read_me(agent: CurrentAgent) -> AgentOut:
    """Read the agent whose key was sent."""
    return AgentOut.model_validate(agent)


@router.get("/{agent_id}", responses=documented(ErrorCode.AGENT_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_agent(agent_id: UUID, session: RequestSession) -> AgentOut:
    """Read one agent."""
    return AgentOut.model_validate(service.get_agent(session, agent_id))
