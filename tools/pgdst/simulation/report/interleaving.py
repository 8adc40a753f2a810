"""The interleaving of a run as text: a line for each step, a column for each client."""

from collections.abc import Sequence

from pgdst.simulation.report.statements import answer_of
from pgdst.simulation.result import Result
from pgdst.simulation.step import Step, StepKind

WIDTH = 160
_NARROWEST = 24
_OVERHEAD = 7  # the number of a step, and what is between the columns


def interleaving(result: Result, width: int = WIDTH) -> str:
    """Return the run as text, at most about `width` characters wide.

    `!` marks the steps that preempted another client. A line ends with the place in the user's code, if it is known.
    """
    clients = list(result.outcomes)
    cells = [(step.client, _cell(step)) for step in result.steps]
    places = [str(step.code or "") for step in result.steps]
    room = width - _OVERHEAD - max(map(len, places), default=0) - 2
    most = max(_NARROWEST, room // max(1, len(clients)) - 2)
    needed = [max(len(name), *(len(cell) for client, cell in cells if client == name), 0) for name in clients]
    widths = [min(most, one) for one in needed]
    lines = [_line("step", clients, widths, "")]
    for step, (client, cell), place in zip(result.steps, cells, places, strict=True):
        row = [_cut(cell, column) if name == client else "" for name, column in zip(clients, widths, strict=True)]
        lines.append(_line(f"{step.number}{'!' if step.preempts else ''}", row, widths, place))
    return "\n".join([*lines, f"schedule: {result.schedule}"])


def _cell(step: Step) -> str:
    if step.kind is StepKind.GOES_ON:
        return step.answer if not step.statement else f"{step.answer}: {step.text}"
    answer = answer_of(step)
    return f"{step.text} -> {answer}" if answer else step.text


def _line(number: str, cells: Sequence[str], widths: Sequence[int], place: str) -> str:
    shown = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"{number:>5}  {shown}  {place}".rstrip()


def _cut(text: str, column: int) -> str:
    """Return the text, without its middle if it is too long: its end has the result."""
    if len(text) <= column:
        return text
    _what, arrow, answer = text.rpartition(" -> ")
    end = (arrow + answer)[-(column // 2) :]
    return f"{text[: column - len(end) - 1]}…{end}"
