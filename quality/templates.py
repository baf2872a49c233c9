"""From the expression that makes a message to its template: text with named placeholders."""

import ast
import re
from collections.abc import Iterator, Mapping

Assignments = Mapping[str, list[ast.expr]]
_MOST = 8
"""Alternatives of one message; more are not worth listing one by one."""


def templates(expression: ast.expr, assigned: Assignments, depth: int = 0) -> list[str]:
    """Returns the templates that an expression can give, one for each alternative.

    Args:
        expression: the message as the code makes it.
        assigned: name -> expressions that the enclosing function assigns to it.
        depth: of names that were followed.
    """
    if isinstance(expression, ast.Constant):
        return [expression.value if isinstance(expression.value, str) else f"{{{expression.value!r}}}"]
    if isinstance(expression, ast.JoinedStr):
        return _product([_part(part, assigned, depth) for part in expression.values])
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
        sides = (expression.left, expression.right)
        return _product([templates(side, assigned, depth) for side in sides])
    if isinstance(expression, ast.IfExp):
        both = (expression.body, expression.orelse)
        return [text for side in both for text in templates(side, assigned, depth)][:_MOST]
    if isinstance(expression, ast.BoolOp):
        return [text for side in expression.values for text in templates(side, assigned, depth)][:_MOST]
    if isinstance(expression, ast.Name) and depth < 3 and expression.id in assigned:
        alternatives = [text for value in assigned[expression.id] for text in templates(value, assigned, depth + 1)]
        return list(dict.fromkeys(alternatives))[:_MOST]
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        return _of_method(expression, expression.func, assigned, depth)
    return [f"{{{placeholder(expression)}}}"]


def placeholder(expression: ast.expr) -> str:
    """Returns the name of what an expression holds: its last words, without calls and indices."""
    if isinstance(expression, ast.Name):
        return expression.id.strip("_")
    if isinstance(expression, ast.Attribute):
        owner = placeholder(expression.value)
        return expression.attr.strip("_") if owner in ("self", "cls", "") else f"{owner}.{expression.attr.strip('_')}"
    if isinstance(expression, ast.Call):
        return _of_call(expression)
    if isinstance(expression, ast.Subscript):
        return placeholder(expression.value)
    if isinstance(expression, ast.GeneratorExp | ast.ListComp | ast.SetComp):
        return placeholder(expression.elt)
    if isinstance(expression, ast.Constant):
        return str(expression.value)
    return re.sub(r"\W+", " ", ast.unparse(expression)).strip()[:40]


def _of_call(call: ast.Call) -> str:
    name = placeholder(call.func).rpartition(".")[2]
    if name in ("str", "sorted", "list", "tuple", "set", "int", "float", "repr", "join") and call.args:
        return placeholder(call.args[0])
    if name == "len" and call.args:
        return f"number of {placeholder(call.args[0])}"
    if isinstance(call.func, ast.Attribute) and name in ("lower", "upper", "strip", "rstrip", "title"):
        return placeholder(call.func.value)
    return name


def _of_method(call: ast.Call, method: ast.Attribute, assigned: Assignments, depth: int) -> list[str]:
    if method.attr == "join" and call.args:
        element = call.args[0]
        inner = element.elt if isinstance(element, ast.GeneratorExp | ast.ListComp) else element
        return [f"{text} ..." for text in templates(inner, assigned, depth)]
    if method.attr in ("rstrip", "strip", "lower"):
        return templates(method.value, assigned, depth)
    return [f"{{{placeholder(call)}}}"]


def _part(part: ast.expr, assigned: Assignments, depth: int) -> list[str]:
    if isinstance(part, ast.FormattedValue):
        value = part.value
        if isinstance(value, ast.IfExp | ast.BoolOp):
            return templates(value, assigned, depth)
        return [f"{{{placeholder(value)}}}"]
    return templates(part, assigned, depth)


def _product(parts: list[list[str]]) -> list[str]:
    texts = [""]
    for alternatives in parts:
        texts = [text + alternative for text in texts for alternative in alternatives][:_MOST]
    return texts


def assignments(function: ast.AST) -> dict[str, list[ast.expr]]:
    """Returns name -> expressions that a function assigns to it, nested functions included."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        for name, value in _assigned(node):
            values.setdefault(name, []).append(value)
    return values


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=False)
                yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))
    elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
