"""Numbers up to which agents have read, good and bad."""

from typing import Any, Final

from simulation.notifications.model import NotificationModel, Reading

GREATEST_NUMBER: Final = 2**31 - 1

SPOILT_READINGS: Final[dict[str, Any]] = {
    "no body": None,
    "nothing but a number": 1,
    "no number": {},
    "a number below zero": {"up_to": -1},
    "a number beyond 31 bits": {"up_to": GREATEST_NUMBER + 1},
    "a number as text": {"up_to": "0"},
    "half a number": {"up_to": 0.5},
    "a yes": {"up_to": True},
    "nothing": {"up_to": None},
    "a field nobody knows": {"up_to": 0, "unread": 0},
}
SPOILT_PLACES: Final = ("-1", str(GREATEST_NUMBER + 1), "first", "1.5", "%00", "")


def readings(model: NotificationModel) -> list[Reading]:
    """Return every agent with every number of its inbox, and with zero."""
    return [Reading(name, number) for name in model.names() for number in range(model.last_number(name) + 1)]


def readings_beyond(model: NotificationModel) -> list[Reading]:
    """Return every agent with numbers beyond its inbox."""
    return [
        Reading(name, number) for name in model.names() for number in (model.last_number(name) + 1, GREATEST_NUMBER)
    ]
