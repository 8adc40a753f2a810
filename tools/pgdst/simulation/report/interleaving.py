"""The interleaving of a run as text: a line for each step, a column for each client."""

from collections.abc import Sequence

from pgdst.simulation.result import Result

WIDTH = 160
_NARROWEST = 24


def interleaving(result: Result, width: int = WIDTH) -> str:
    """Return the run as text, about `width` characters wide; `!` marks the steps that preempted another client."""
    clients = list(result.outcomes)
    column = max(_NARROWEST, (width - 7) // max(1, len(clients)) - 2)
    lines = [_line("step", {name: name for name in clients}, clients, column)]
    for step in result.steps:
        mark = "!" if step.preempts else ""
        lines.append(_line(f"{step.number}{mark}", {step.client: step.in_words}, clients, column))
    return "\n".join([*lines, f"schedule: {result.schedule}"])


def _line(number: str, cells: dict[str, str], clients: Sequence[str], column: int) -> str:
    shown = (_cut(cells.get(client, ""), column).ljust(column) for client in clients)
    return f"{number:>5}  {'  '.join(shown)}".rstrip()


def _cut(text: str, column: int) -> str:
    """Return the text, without its middle if it is too long: its end has the result."""
    if len(text) <= column:
        return text
    _what, arrow, answer = text.rpartition(" -> ")
    end = (arrow + answer)[-(column // 2) :]
    return f"{text[: column - len(end) - 1]}…{end}"
