"""The tables."""

from sqlalchemy import ForeignKey, Identity
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all tables."""


class Concert(Base):
    """A concert and the number of seats that are left."""

    __tablename__ = "concerts"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    seats_left: Mapped[int]


class Sale(Base):
    """A sold seat."""

    __tablename__ = "sales"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    concert_id: Mapped[int] = mapped_column(ForeignKey("concerts.id"))
    buyer: Mapped[str]
