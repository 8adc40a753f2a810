"""Bugs around telling stories."""

from datetime import timedelta
from typing import Any

from deepsci.dwellers.claims import present_claim
from deepsci.dwellers.service import lock_dweller
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Claim, Dweller, Story, World
from deepsci.stories import service as stories
from sqlalchemy import select

from simulation_checks.planted_bugs.planting import Patch, after, found_by, tolerate, wrap

# Found by the invariants.


@found_by("S1")
def long_titles_are_cut(patch: Patch) -> None:
    """Ten characters are enough for anybody."""
    after(patch, stories, "tell", "UPDATE stories SET title = left(title, 10)")


# Found by the forbidden moves.


@found_by("tell_a_story_through_whom_somebody_else_holds")
def whoever_is_held_speaks_for_all(patch: Patch) -> None:
    """That the dweller is held is checked, by whom is not."""

    def own_claim(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
        return present_claim(session, dweller, now) or original(session, dweller, agent, now)

    wrap(patch, stories, "own_claim", own_claim)


@found_by("tell_a_story_through_whom_nobody_holds")
def whoever_is_free_speaks_for_all(patch: Patch) -> None:
    """Nobody is robbed, somebody thought."""

    def own_claim(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
        query = select(Claim.id).where(Claim.dweller_id == dweller.id, Claim.ended_at.is_(None))
        return original(session, dweller, agent, now) if session.scalars(query).first() is not None else None

    wrap(patch, stories, "own_claim", own_claim)


@found_by("tell_a_story_after_the_lapse")
def authors_have_an_hour_of_grace(patch: Patch) -> None:
    """So that a long story may be brought to its end."""

    def own_claim(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
        return original(session, dweller, agent, now - timedelta(hours=1))

    wrap(patch, stories, "own_claim", own_claim)


@found_by("tell_a_story_of_a_world_the_dweller_does_not_live_in")
def dwellers_know_all_worlds(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(stories, "refuse_of_another_world", lambda _dweller, _world_id: None)


@found_by("tell_a_story_through_an_unknown_dweller")
def who_is_not_there_is_not_held(patch: Patch) -> None:
    """An unknown dweller is answered like a foreign one."""

    def lock_dweller(original: Any, session: Any, dweller_id: Any) -> Any:
        if session.get(Dweller, dweller_id) is None:
            raise ApiError(ErrorCode.NOT_THE_HOLDER, "You do not hold this dweller. Claim it first.")
        return original(session, dweller_id)

    wrap(patch, stories, "lock_dweller", lock_dweller)


@found_by("tell_a_story_of_an_unknown_world")
def dwellers_are_looked_for_before_their_worlds(patch: Patch) -> None:
    """The refusals come in another order."""

    def tell(original: Any, session: Any, clock: Any, ids: Any, author: Any, world_id: Any, body: Any) -> Any:
        stories.refuse_of_another_world(lock_dweller(session, body.dweller_id), world_id)
        return original(session, clock, ids, author, world_id, body)

    wrap(patch, stories, "tell", tell)


@found_by("tell_a_malformed_story")
def stories_are_mended(patch: Patch) -> None:
    """A kind proxy shortens what is too long, and finds a title for what has none."""

    def mend(body: Any) -> Any:
        if not isinstance(body, dict) or not isinstance(body["text"], str):
            return body
        title = body.get("title", "").replace("\x00", "").strip()
        return body | {"title": title[:200] or "Untitled", "text": body["text"][:20_000]}

    tolerate(patch, "/stories", mend)


@found_by("read_an_unknown_story")
def an_unknown_id_leads_to_the_newest_story(patch: Patch) -> None:
    """A default that wanted to be helpful."""

    def get_story(original: Any, session: Any, story_id: Any) -> Any:
        newest = session.scalars(select(Story.id).order_by(Story.created_at.desc(), Story.id).limit(1)).first()
        return original(session, story_id if newest is None or session.get(Story, story_id) else newest)

    wrap(patch, stories, "get_story", get_story)


@found_by("list_the_stories_of_an_unknown_world")
def of_no_world_there_are_no_stories(patch: Patch) -> None:
    """Nothing was found, so the list is empty."""

    def newest_stories(original: Any, session: Any, world_id: Any, *page: Any) -> Any:
        return original(session, world_id, *page) if session.get(World, world_id) is not None else ([], None)

    wrap(patch, stories, "newest_stories", newest_stories)
