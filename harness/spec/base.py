"""What every value of the specification is made of."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0, le=10_000_000)]
"""A number of things; above any context or batch there is, and below what would fill memory as a list."""

Fraction = Annotated[float, Field(gt=0, lt=1)]

Text = Annotated[str, Field(min_length=1)]

# Part of a folder's name in results/.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]

Sequence = Field(strict=False)  # YAML has lists, a frozen value has tuples


class Spec(BaseModel):
    """Base of everything that is asked for: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        # Mappings compare equal in any order and have no hash: the other fields tell enough apart.
        return hash(tuple(value for value in self.__dict__.values() if not isinstance(value, Mapping)))
