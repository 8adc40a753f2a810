"""How a session begins: the first packet that a driver sends, and what of it the server is sent."""

from collections.abc import Mapping
from typing import Final

from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import CANCELS, CONNECTS, Batch
from pgdst.simulation.gate.stream import Stream
from pgdst.simulation.gate.trigger_points import SETTING, TriggerPoints

# Settings that a run needs, whatever the driver: how a prepared statement is planned depends on no history.
_SETTINGS: Final = {"plan_cache_mode": "force_custom_plan"}


class Opening:
    """What a driver has asked for with its first packet: a session, or that another's statement is cancelled."""

    def __init__(self) -> None:
        self._asked: protocol.Start | None = None
        self._trigger_points: TriggerPoints | None = None  # in which the session has a place
        self._place = 0

    @property
    def cancels(self) -> int | None:
        """The process whose statement is to be cancelled, if that is asked for."""
        if self._asked is None or self._asked.code != protocol.CANCEL:
            return None
        return int.from_bytes(self._asked.rest[:4])

    @property
    def database(self) -> str:
        """The database of the session, nothing before it is asked for."""
        settings = self._asked.settings if self._asked is not None else {}
        return settings.get("database") or settings.get("user", "")

    def take(self, front: Stream) -> Batch | None:
        """Take the first packet, if it is whole: return what is asked for. No encryption is spoken.

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
        """Return the first packet for the server, by which a session also has a place to be stopped at."""
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
        """Note which process has the place."""
        if self._trigger_points is not None:
            self._trigger_points.assign(self._place, pid)
