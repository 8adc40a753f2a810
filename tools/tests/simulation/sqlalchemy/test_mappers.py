"""The collections that a query loads by further statements are loaded in the same order in every process."""

from pgdst.simulation.sqlalchemy.mappers import load_properties_in_order
from sqlalchemy import ForeignKey, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The models of this test."""


class Parent(Base):
    """A row with several collections."""

    __tablename__ = "parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    zebras: Mapped[list["Child"]] = relationship(overlaps="apes,mice")
    apes: Mapped[list["Child"]] = relationship(overlaps="zebras,mice")
    mice: Mapped[list["Child"]] = relationship(overlaps="zebras,apes")


class Child(Base):
    """A row of a collection."""

    __tablename__ = "children"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))


def test_properties_come_in_the_order_of_their_names() -> None:
    load_properties_in_order()
    found = inspect(Parent)._prop_set
    assert ["apes", "id", "mice", "zebras"] == [one.key for one in found]
    assert ["apes", "mice"] == [one.key for one in found.intersection({one for one in found if one.key in "apes mice"})]
