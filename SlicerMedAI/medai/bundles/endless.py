"""Does a ``$`` expression compute what may never be done? Told by what is written out in it; nothing is evaluated."""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence

MOST_TURNS = 10_000_000
"""Of all loops of an expression, one within the other: a second or so."""
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.LShift: lambda number, places: number * 2.0**places,
}


def is_power(base: ast.expr, exponent: ast.expr) -> bool:
    """Whether a power has more digits than can be computed: ``10 ** 10 ** 8``."""
    return grows(base) or any(map(grows, ast.walk(exponent))) or _is_large(exponent)


def turns(arguments: Sequence[ast.expr]) -> float:
    """How often a ``range`` of these arguments goes round, at least about; 1 where it is not written out."""
    start, stop, step = [ast.Constant(0), *arguments, ast.Constant(1)][-3:] if len(arguments) < 3 else arguments[:3]
    first, last = _number(start) or 0.0, _number(stop)
    return 1.0 if last is None else max(abs(last - first) / (abs(_number(step) or 1.0)), 1.0)


def grows(node: ast.AST) -> bool:
    """Whether it makes a number with many more digits than those it is made of."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift))


def _number(node: ast.expr) -> float | None:
    """What a number that is written out comes to, at least about; None when it takes more to know."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(min(node.value, sys.float_info.max))
    if isinstance(node, ast.UnaryOp):
        return _number(node.operand)
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _number(node.left), _number(node.right)
    compute = _ARITHMETIC.get(type(node.op))
    if left is None or right is None or compute is None:
        return None
    try:
        return float(compute(left, right))
    except (ArithmeticError, TypeError):  # beyond all numbers, or no real one
        return math.inf


def _is_large(exponent: ast.expr) -> bool:
    """Whether more than a handful is written out, or computed, as an exponent."""
    numbers = [node.value for node in ast.walk(exponent) if isinstance(node, ast.Constant)]
    return any(isinstance(number, (int, float)) and abs(number) > 64 for number in numbers) or len(numbers) > 2
