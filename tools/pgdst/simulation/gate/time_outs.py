"""Time-outs of the server: they pass in real time, so a run that one of them changes has no result."""

from typing import Final

# By SQLSTATE and message, as the same SQLSTATEs have other causes.
_SETTINGS: Final = {
    ("55P03", "canceling statement due to lock timeout"): "lock_timeout",
    ("57014", "canceling statement due to statement timeout"): "statement_timeout",
    ("25P03", "terminating connection due to idle-in-transaction timeout"): "idle_in_transaction_session_timeout",
    ("57P05", "terminating connection due to idle-session timeout"): "idle_session_timeout",
    ("25P04", "terminating connection due to transaction timeout"): "transaction_timeout",
}


def refusal(sqlstate: str, message: str, what: str) -> str:
    """Return why a run is refused whose server has sent this error to `what`, or "" if it is none of a time-out."""
    if (setting := _SETTINGS.get((sqlstate, message))) is None:
        return ""
    if setting.startswith("idle"):
        what = "a session"  # not the statement that comes after
    return (
        f"The server's {setting} ended {what}. It passes in real time, so no schedule decides when. Leave {setting} "
        "out in simulations, or make it long. For an error at this place inject the fault `cancelled` or `terminated`."
    )
