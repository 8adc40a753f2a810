"""What there is before the fuzz begins, made through the API: of everything a few, and something to do with each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2

ANSWER_SECONDS: Final = 60
YEAR: Final = 2200
FUTURE: Final = {
    "premise": "Cities float.",
    "year": YEAR,
    "chain": [{"year": YEAR, "description": f"Step {n}."} for n in range(3)],
}
APPROVE: Final = {"verdict": "approve", "critique": "Plausible."}
STRENGTHEN: Final = {"verdict": "strengthen", "critique": "Say how."}
REVIEW: Final = {"score": 4, "recommends": True, "text": "Well told."}

# An agent holds at most five dwellers; ada has room for some of those that are free.
HELD: Final = 3
FREE: Final = 6
TOKENS_EACH: Final = 5
OF_EACH: Final = 6


@dataclass(frozen=True)
class Settlement:
    """The key of the agent who asks, and what it may name: the values of parameters and fields, by place and name."""

    api_key: str
    known: dict[str, Sequence[str | int]]


@dataclass(frozen=True)
class Settler:
    """An agent, asking for what must succeed."""

    client: httpx2.Client
    id: str
    api_key: str

    @classmethod
    def register(cls, client: httpx2.Client, username: str) -> "Settler":
        """Return a new agent."""
        agent = client.post("/agents", json={"username": username}).raise_for_status().json()
        return cls(client, agent["id"], agent["api_key"])

    def post(self, path: str, body: object = None) -> dict[str, Any]:
        """Return what a request made."""
        content = {"json": body} if body is not None else {}
        answer = self.client.post(path, headers={"X-API-Key": self.api_key}, **content)  # type: ignore[arg-type]  # json
        made: dict[str, Any] = answer.raise_for_status().json()
        return made

    def submit(self) -> str:
        """Return the id of a new proposal that is open to validation."""
        proposal_id: str = self.post("/proposals", FUTURE)["id"]
        self.post(f"/proposals/{proposal_id}/submit")
        return proposal_id


def settle(url: str) -> Settlement:
    """Return a settlement in which ada, who asks, has something left to do of every kind."""
    with httpx2.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False) as client:
        ada, bob, cyd = (Settler.register(client, name) for name in ("ada", "bob", "cyd"))
        world_id = found_world(ada, bob, cyd)
        drafts = [ada.post("/proposals", FUTURE)["id"]]
        improvable = ada.submit()
        bob.post(f"/proposals/{improvable}/validations", STRENGTHEN)
        undecided = [bob.submit() for _ in range(2)]
        regions = [ada.post(f"/worlds/{world_id}/regions", {"name": name, "description": "Wet."}) for name in "DE"]
        dwellers = [add_dweller(ada, regions[0], number) for number in range(HELD + FREE)]
        held, free = dwellers[:HELD], dwellers[HELD:]
        tokens = [token for dweller_id in held for token in hold(ada, dweller_id)]
        hold(bob, free[0])
        told = [tell(ada, world_id, held[0]) for _ in range(OF_EACH // 2)]
        to_review = [tell(bob, world_id, free[0]) for _ in range(OF_EACH)]
        reviews = [reader.post(f"/stories/{each}/reviews", REVIEW)["id"] for each in told for reader in (bob, cyd)]
        feedback = [settler.post("/feedback", {"text": "More maps."})["id"] for settler in (ada, *[bob] * OF_EACH)]
    return Settlement(
        ada.api_key,
        {
            "path.agent_id": [ada.id, bob.id, cyd.id],
            "path.proposal_id": [*drafts, improvable, *undecided],
            "path.world_id": [world_id],
            "path.dweller_id": dwellers,
            "path.story_id": [told[0], *to_review],
            "path.review_id": reviews,
            "path.feedback_id": feedback,
            "body.region_id": [region["id"] for region in regions],
            "body.dweller_id": held,
            "body.context_token": tokens,
            "body.up_to": [1, 2, 3],
            "body.year": [YEAR],
            "body.chain[*].year": [YEAR],  # events of one year are in order
        },
    )


def found_world(founder: Settler, *voters: Settler) -> str:
    """Return the id of a new world."""
    proposal_id = founder.submit()
    votes = [voter.post(f"/proposals/{proposal_id}/validations", APPROVE) for voter in voters]
    world_id: str = votes[-1]["world_id"]
    return world_id


def add_dweller(founder: Settler, region: dict[str, Any], number: int) -> str:
    """Return the id of a new dweller whom nobody holds."""
    body = {"region_id": region["id"], "name": f"Ines {number}", "persona": "A pilot."}
    dweller_id: str = founder.post(f"/worlds/{region['world_id']}/dwellers", body)["id"]
    return dweller_id


def hold(agent: Settler, dweller_id: str) -> list[str]:
    """Claim a dweller and return tokens with which the agent may act through it."""
    agent.post(f"/dwellers/{dweller_id}/claim")
    return [agent.post(f"/dwellers/{dweller_id}/context")["context_token"] for _ in range(TOKENS_EACH)]


def tell(author: Settler, world_id: str, dweller_id: str) -> str:
    """Return the id of a new story."""
    body = {"dweller_id": dweller_id, "title": "Low tide", "text": "The water left."}
    story_id: str = author.post(f"/worlds/{world_id}/stories", body)["id"]
    return story_id
