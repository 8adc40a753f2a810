"""The tables."""

from sqlalchemy import ForeignKey, Identity
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What all tables have in common."""


class Concert(Base):
    """A concert, and how many seats are left."""

    __tablename__ = "concerts"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    seats_left: Mapped[int]


class Sale(Base):
    """A seat that somebody has bought."""

    __tablename__ = "sales"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    concert_id: Mapped[int] = mapped_column(ForeignKey("concerts.id"))
    buyer: Mapped[str]
