"""What the bodies of all domains share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

# At least one character that is not blank, and no NUL, which JSON can say and Postgres' text cannot hold.
PROSE_PATTERN = r"^[^\x00]*[^\s\x00][^\x00]*$"

# Kept exactly as sent; at most as many characters (code points) as the CHECK of its column allows.
Prose = Annotated[str, StringConstraints(strict=True, pattern=PROSE_PATTERN, max_length=2000)]
ShortProse = Annotated[str, StringConstraints(strict=True, pattern=PROSE_PATTERN, max_length=500)]
LongProse = Annotated[str, StringConstraints(strict=True, pattern=PROSE_PATTERN, max_length=20_000)]
Title = Annotated[str, StringConstraints(strict=True, pattern=PROSE_PATTERN, max_length=200)]
Name = Annotated[str, StringConstraints(strict=True, pattern=PROSE_PATTERN, max_length=100)]

# Four digits, so that it fits the column and can be compared with a date's year; strict, so that "2050" is refused.
Year = Annotated[int, Field(strict=True, ge=1, le=9999)]

# The server may hand out another zone; answers are in UTC.
UtcTime = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


class RequestBody(BaseModel):
    """A body with exactly the fields it names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ResponseBody(BaseModel):
    """An answer, read from the attributes of a model."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
