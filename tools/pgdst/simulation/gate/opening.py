"""The first packet of a connection: read from the driver, and sent on to the server with the run's settings."""

from collections.abc import Mapping
from typing import Final

from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import CANCELS, CONNECTS, Batch
from pgdst.simulation.gate.stream import Stream
from pgdst.simulation.gate.trigger_points import SETTING, TriggerPoints

# Settings for each session of a run. With custom plans, the plan of a prepared statement does not depend on how often
# it was executed.
_SETTINGS: Final = {"plan_cache_mode": "force_custom_plan"}


class Opening:
    """The request in a driver's first packet: a new session, or a cancel request."""

    def __init__(self) -> None:
        self._asked: protocol.Start | None = None
        self._trigger_points: TriggerPoints | None = None  # those of the session's database
        self._place = 0

    @property
    def cancels(self) -> int | None:
        """The pid in a cancel request, else None."""
        if self._asked is None or self._asked.code != protocol.CANCEL:
            return None
        return int.from_bytes(self._asked.rest[:4])

    @property
    def database(self) -> str:
        """The database of the session, "" before the first packet."""
        settings = self._asked.settings if self._asked is not None else {}
        return settings.get("database") or settings.get("user", "")

    def take(self, front: Stream) -> Batch | None:
        """Take the first packet, if it is complete, and return its request. Encryption is declined.

        Raises: ProtocolError.
        """
        while self._asked is None and (body := front.arrived.take_start()) is not None:
            asked = protocol.parse_start(body)
            if asked.code in (protocol.SSL, protocol.GSS):
                front.send(b"N")
                continue
            if asked.code != protocol.CANCEL:
                asked.require_a_session()
            self._asked = asked
            return CANCELS if asked.code == protocol.CANCEL else CONNECTS
        return None

    def packet(self, trigger_points: Mapping[str, TriggerPoints]) -> bytes:
        """Return the first packet for the server, with a session's number for its trigger points added."""
        assert self._asked is not None
        if self.cancels is not None:
            return protocol.request(protocol.CANCEL, self._asked.rest)
        settings = self._asked.settings | _SETTINGS
        self._trigger_points = trigger_points.get(self.database)
        if self._trigger_points is not None:
            self._place = self._trigger_points.new_place()
            settings[SETTING] = str(self._place)
        return protocol.start(self._asked.code, settings)

    def is_served_by(self, pid: int) -> None:
        """Note which server process has the session's number for trigger points."""
        if self._trigger_points is not None:
            self._trigger_points.assign(self._place, pid)
