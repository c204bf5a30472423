"""Whether values that came out of a file are of the kinds that a dataclass declares: Python does not look."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from model.errors import shown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LARGEST_WHOLE_NUMBER = 1 << 31
"""No size or count is larger; beyond it lie numbers that make arithmetic itself expensive."""


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE_NUMBER


def _is_number(value: Any) -> bool:
    return _is_whole_number(value) or (isinstance(value, float) and math.isfinite(value))


def _is_words(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) for word in value)


def _is_whole_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and all(_is_whole_number(number) for number in value)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "int": (_is_whole_number, "a whole number"),
    "int | None": (lambda value: value is None or _is_whole_number(value), "a whole number or null"),
    "float": (_is_number, "a finite number"),
    "tuple[str, ...]": (_is_words, "a list of texts"),
    "tuple[int, ...]": (_is_whole_numbers, "a list of whole numbers"),
}
"""By the annotation: the test, and what a value must be, in words."""


def check_kinds(instance: DataclassInstance) -> None:
    """Refuse a dataclass's values that are not of the kinds it declares; other annotations are passed over.

    Parameters
    ----------
    instance : dataclass
        Declared in a module with ``from __future__ import annotations``.

    Raises
    ------
    ValueError
        Naming the first value that is wrong, and what it must be.
    """
    for field in fields(instance):
        if field.type not in _KINDS:
            continue
        holds, described = _KINDS[str(field.type)]
        value = getattr(instance, field.name)
        if not holds(value):
            raise ValueError(f"{field.name} must be {described}, not {shown(value)}")
