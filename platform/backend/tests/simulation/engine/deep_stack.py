"""A call below which the stack may be deep.

CPython keeps the frames of Python functions in chunks of 16 KiB. It asks the system for a chunk when a call needs one,
and gives it back at that call's return. Below pytest, Hypothesis, asyncio and FastAPI some loop always runs at the end
of a chunk: 90,000 page faults in 18 examples, and as many system calls. A frame that is larger than a chunk gets one of
twice its size, and the frames below it have the rest.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

WORDS: Final = 66_000  # so a chunk of 1 MiB, half of which is left; what is not used takes no memory


def _call(function: Callable[[], Any]) -> Any:
    __tracebackhide__ = True
    return function()


with_room_below: Final = FunctionType(_call.__code__.replace(co_stacksize=WORDS), globals())
with_room_below.__doc__ = "Call a function and return what it returns, with room for the frames of all that it calls."
