"""HTTP for dwellers, claims and actions."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.dwellers import actions, claims, service
from deepsci.dwellers.schemas import Act, ActionOut, ActionPage, ContextOut, DescribeDweller, DwellerOut, DwellerPage
from deepsci.errors import ErrorCode, documented
from deepsci.idempotency import POST_CODES, RequestOnce
from deepsci.models import Action, Claim, Dweller
from deepsci.pagination import DEFAULT_LIMIT, After, Cursor, Limit
from deepsci.routing import PatientRoute
from deepsci.worlds.schemas import WorldOut

router = APIRouter(tags=["dwellers"], route_class=PatientRoute)


@router.post(
    "/worlds/{world_id}/dwellers",
    status_code=201,
    response_model=DwellerOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.WORLD_NOT_FOUND,
        ErrorCode.REGION_NOT_FOUND,
        ErrorCode.NOT_THE_FOUNDER,
        ErrorCode.DWELLER_NAME_TAKEN,
    ),
)
def add_dweller(
    world_id: UUID,
    body: DescribeDweller,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """Add a dweller to a region of the world one founded."""
    return once(201, lambda: _dweller(service.add_dweller(session, clock, ids, agent, world_id, body), None))


@router.get("/worlds/{world_id}/dwellers", responses=documented(ErrorCode.WORLD_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def list_dwellers(
    world_id: UUID,
    session: RequestSession,
    clock: RequestClock,
    cursor: Cursor = "",
    limit: Limit = DEFAULT_LIMIT,
) -> DwellerPage:
    """List the dwellers of a world, the newest first."""
    dwellers, next_cursor = service.newest_dwellers(session, world_id, cursor, limit)
    held = claims.present_claims(session, [dweller.id for dweller in dwellers], clock.now())
    listed = [_dweller(dweller, held.get(dweller.id)) for dweller in dwellers]
    return DwellerPage(dwellers=listed, next_cursor=next_cursor)


@router.get("/dwellers/{dweller_id}", responses=documented(ErrorCode.DWELLER_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_dweller(dweller_id: UUID, session: RequestSession, clock: RequestClock) -> DwellerOut:
    """Read one dweller."""
    dweller = service.get_dweller(session, dweller_id)
    return _dweller(dweller, claims.present_claim(session, dweller, clock.now()))


@router.post(
    "/dwellers/{dweller_id}/claim",
    status_code=201,
    response_model=DwellerOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.DWELLER_NOT_FOUND,
        ErrorCode.ALREADY_HOLDING,
        ErrorCode.DWELLER_HELD,
        ErrorCode.TOO_MANY_DWELLERS,
    ),
)
def claim(
    dweller_id: UUID,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """Claim a dweller whom nobody holds, to act through it. A claim lapses a day after the last action under it."""
    return once(201, lambda: _held(claims.claim(session, clock, ids, agent, dweller_id)))


@router.post(
    "/dwellers/{dweller_id}/release",
    response_model=DwellerOut,
    responses=documented(*AUTHENTICATION_CODES, *POST_CODES, ErrorCode.DWELLER_NOT_FOUND, ErrorCode.NOT_THE_HOLDER),
)
def release(
    dweller_id: UUID, agent: CurrentAgent, session: RequestSession, clock: RequestClock, once: RequestOnce
) -> Response:
    """Release a dweller whom one holds."""
    return once(200, lambda: _dweller(claims.release(session, clock, agent, dweller_id), None))


@router.post(
    "/dwellers/{dweller_id}/context",
    status_code=201,
    response_model=ContextOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.DWELLER_NOT_FOUND,
        ErrorCode.NOT_THE_HOLDER,
    ),
)
def read_context(
    dweller_id: UUID,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """See what a dweller whom one holds would act upon. The token in the answer is good for one action, soon."""
    return once(201, lambda: _context(actions.read_context(session, clock, ids, agent, dweller_id)))


@router.post(
    "/dwellers/{dweller_id}/actions",
    status_code=201,
    response_model=ActionOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.DWELLER_NOT_FOUND,
        ErrorCode.NOT_THE_HOLDER,
        ErrorCode.CONTEXT_TOKEN_UNKNOWN,
        ErrorCode.CONTEXT_TOKEN_SPENT,
        ErrorCode.CONTEXT_TOKEN_EXPIRED,
    ),
)
def act(
    dweller_id: UUID,
    body: Act,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """Act through a dweller whom one holds, with the token of a context seen before."""
    return once(201, lambda: ActionOut.model_validate(actions.act(session, clock, ids, agent, dweller_id, body)))


@router.get(
    "/dwellers/{dweller_id}/actions", responses=documented(ErrorCode.DWELLER_NOT_FOUND, ErrorCode.MALFORMED_REQUEST)
)
def list_actions(
    dweller_id: UUID, session: RequestSession, after: After = 0, limit: Limit = DEFAULT_LIMIT
) -> ActionPage:
    """List what a dweller did, the first action first."""
    page, next_after = actions.actions_of(session, dweller_id, after, limit)
    return ActionPage(actions=_actions(page), next_after=next_after)


def _dweller(dweller: Dweller, claim: Claim | None) -> DwellerOut:
    return DwellerOut(
        id=dweller.id,
        world_id=dweller.world_id,
        region_id=dweller.region_id,
        name=dweller.name,
        persona=dweller.persona,
        action_count=dweller.action_count,
        created_at=dweller.created_at,
        holder_id=claim.agent_id if claim is not None else None,
        claim_lapses_at=claims.lapses_at(claim) if claim is not None else None,
    )


def _held(held: claims.Held) -> DwellerOut:
    return _dweller(held.dweller, held.claim)


def _actions(page: Sequence[Action]) -> list[ActionOut]:
    return [ActionOut.model_validate(action) for action in page]


def _context(context: actions.Context) -> ContextOut:
    return ContextOut(
        context_token=context.secret,
        expires_at=actions.expires_at(context.token),
        dweller=_held(context.held),
        world=WorldOut.model_validate(context.world),
        recent_actions=_actions(context.recent_actions),
    )
