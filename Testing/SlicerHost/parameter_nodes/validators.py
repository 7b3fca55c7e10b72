"""Annotations of a parameter: which values it takes, and which one it has at first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Validator:
    """An annotation that refuses values by raising `ValueError`."""

    def validate(self, value: Any) -> None:
        """Raise if the value is refused."""
        raise NotImplementedError


class WithinRange(Validator):
    """Only numbers from `minimum` to `maximum`, both included; None leaves an end open."""

    def __init__(self, minimum: float | None, maximum: float | None) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: Any) -> None:
        """Raise if the value is outside."""
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            raise ValueError(f"{value} is not between {self.minimum} and {self.maximum}")


class Minimum(WithinRange):
    """Only numbers from `minimum` on."""

    def __init__(self, minimum: float) -> None:
        super().__init__(minimum, None)


class Maximum(WithinRange):
    """Only numbers up to `maximum`."""

    def __init__(self, maximum: float) -> None:
        super().__init__(None, maximum)


class Choice(Validator):
    """Only one of these values."""

    def __init__(self, choices: list) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        """Raise if the value is not among them."""
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class Exclude(Validator):
    """None of these values."""

    def __init__(self, excludedValues: list) -> None:
        self.excludedValues = excludedValues

    def validate(self, value: Any) -> None:
        """Raise if the value is among them."""
        if value in self.excludedValues:
            raise ValueError(f"{value!r} is one of {self.excludedValues}")


class Default:
    """The value that a parameter has at first, or what makes it."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value, self._generator = value, generator

    @property
    def value(self) -> Any:
        """The value; a generator is called anew each time."""
        return self._generator() if self._generator else self._value
