"""Walks a file in the order of its execution, with the texts that each name can hold at each place."""

import ast
from collections.abc import Generator, Iterable, Sequence

from quality.templates import Texts, templates

Places = Generator[tuple[ast.AST, Texts], None, Texts | None]
"""Yields code with the texts that reach it; returns the texts after it, or none where the code never continues."""


def places(tree: ast.Module) -> Iterable[tuple[ast.AST, Texts]]:
    """Yields every expression and simple statement of a file with name -> texts that the name can hold there.

    Functions that return a text are in the mapping too, under ``name()``.
    """
    functions: dict[str, tuple[str, ...]] = {}
    for node, texts in _block(tree.body, functions):
        if isinstance(node, ast.Return) and node.value is not None and "return" in texts:
            name = texts["return"][0]
            functions[name] = (*functions.get(name, ()), *templates(node.value, texts))
    yield from _block(tree.body, {name: tuple(dict.fromkeys(texts)) for name, texts in functions.items()})


def _block(statements: Sequence[ast.stmt], texts: Texts) -> Places:
    current: Texts | None = dict(texts)
    for statement in statements:
        if current is None:
            return None
        current = yield from _statement(statement, current)
    return current


def _statement(statement: ast.stmt, texts: Texts) -> Places:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _block(statement.body, _inside_function(statement, texts))
            return texts
        case ast.ClassDef():
            yield from _block(statement.body, texts)
            return texts
        case ast.If() | ast.While():
            yield statement.test, texts
            start = _after_expression(statement.test, texts)
            body = yield from _block(statement.body, start)
            other = yield from _block(statement.orelse, start)
            return _either(body, other)
        case ast.For() | ast.AsyncFor():
            yield statement.iter, texts
            body = yield from _block(statement.body, _without(texts, statement.target))
            return (yield from _block(statement.orelse, _either(texts, body) or {}))
        case ast.With() | ast.AsyncWith():
            for item in statement.items:
                yield item.context_expr, texts
            return (yield from _block(statement.body, texts))
        case ast.Try():
            return (yield from _try(statement, texts))
        case ast.Match():
            yield statement.subject, texts
            end = yield from _branches([case.body for case in statement.cases], texts)
            return _either(texts, end)
        case ast.Raise() | ast.Return() | ast.Continue() | ast.Break():
            yield statement, texts
            return None
        case _:
            yield statement, texts
            return _after_assignment(statement, texts)


def _branches(blocks: Iterable[Sequence[ast.stmt]], texts: Texts) -> Places:
    end: Texts | None = None
    for block in blocks:
        end = _either(end, (yield from _block(block, texts)))
    return end


def _try(statement: ast.Try, texts: Texts) -> Places:
    body = yield from _block(statement.body, texts)
    anywhere_in_body = _either(texts, body) or {}
    handled = yield from _branches([handler.body for handler in statement.handlers], anywhere_in_body)
    if body is not None:
        body = yield from _block(statement.orelse, body)
    merged = _either(body, handled)
    final = yield from _block(statement.finalbody, merged or anywhere_in_body)
    return None if merged is None else final


def _inside_function(function: ast.FunctionDef | ast.AsyncFunctionDef, texts: Texts) -> Texts:
    arguments = function.args
    parameters = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    inside = {name: value for name, value in texts.items() if name not in (*parameters, "return")}
    returns_text = isinstance(function.returns, ast.Name) and function.returns.id == "str"
    return {**inside, "return": (f"{function.name.strip('_')}()",)} if returns_text else inside


def _after_assignment(statement: ast.stmt, texts: Texts) -> Texts:
    texts = _after_expression(statement, texts)
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            return {**texts, name: tuple(templates(value, texts))} if value is not None else texts
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(values):
            pairs = [(n.id, v) for n, v in zip(names, values, strict=True) if isinstance(n, ast.Name)]
            return {**texts, **{name: tuple(templates(value, texts)) for name, value in pairs}}
        case ast.Assign(targets=[target]):
            return _without(texts, target)
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
            whole = ast.BinOp(ast.Name(name, ast.Load()), ast.Add(), value)
            return {**texts, name: tuple(templates(whole, texts))}
    return texts


def _after_expression(node: ast.AST, texts: Texts) -> Texts:
    """Returns the texts after the assignments inside an expression: ``(name := text)``."""
    for part in ast.walk(node):
        if isinstance(part, ast.NamedExpr):
            texts = {**texts, part.target.id: tuple(templates(part.value, texts))}
    return texts


def _without(texts: Texts, target: ast.expr) -> Texts:
    rebound_names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return {name: value for name, value in texts.items() if name not in rebound_names}


def _either(*branches: Texts | None) -> Texts | None:
    """Returns the texts after branches of which one runs; a branch that is none never continues."""
    merged: dict[str, tuple[str, ...]] = {}
    continuing = [branch for branch in branches if branch is not None]
    for branch in continuing:
        for name, values in branch.items():
            merged[name] = tuple(dict.fromkeys((*merged.get(name, ()), *values)))
    return merged if continuing else None
