"""From the expression of a message to its templates: texts with named placeholders."""

import ast
import re
from collections.abc import Mapping

Texts = Mapping[str, tuple[str, ...]]
"""Name -> the texts that it can hold; a function that returns a text is called ``name()``."""

MAXIMUM_ALTERNATIVES = 8
"""Of one message; more are not worth a list."""


def templates(expression: ast.expr, texts: Texts) -> list[str]:
    """Returns the templates of an expression, one for each alternative.

    Args:
        expression: the message in the code.
        texts: of the names in the expression.
    """
    return list(dict.fromkeys(_alternatives(expression, texts)))[:MAXIMUM_ALTERNATIVES]


def _alternatives(expression: ast.expr, texts: Texts) -> list[str]:
    match expression:
        case ast.Constant(value=value):
            return [value if isinstance(value, str) else f"{{{value!r}}}"]
        case ast.JoinedStr(values=parts):
            return _product([_part(part, texts) for part in parts])
        case ast.BinOp(left=first, op=ast.Add(), right=second):
            return _product([templates(first, texts), templates(second, texts)])
        case ast.IfExp(body=body, orelse=orelse):
            return [*templates(body, texts), *templates(orelse, texts)]
        case ast.BoolOp(values=values):
            return [text for value in values for text in templates(value, texts)]
        case ast.Name(id=name) if name in texts:
            return list(texts[name])
        case ast.Call() if (name := f"{placeholder(expression.func).rpartition('.')[2]}()") in texts:
            return list(texts[name])
        case ast.Call(func=ast.Attribute(attr="join"), args=[element]):
            inner = element.elt if isinstance(element, ast.GeneratorExp | ast.ListComp) else element
            return [f"{text} ..." for text in templates(inner, texts)]
        case ast.Call(func=ast.Attribute(attr="rstrip" | "strip" | "lower", value=value)):
            return templates(value, texts)
    return [f"{{{placeholder(expression)}}}"]


def placeholder(expression: ast.expr) -> str:
    """Returns the name of an expression's content: its last words, without calls and positions."""
    match expression:
        case ast.Name(id=name):
            return name.strip("_")
        case ast.Attribute(value=ast.Call(func=ast.Name(id="type"), args=[value]), attr="__name__"):
            return f"type of {placeholder(value)}"
        case ast.Attribute(value=value, attr=attribute):
            owner = placeholder(value)
            return attribute.strip("_") if owner in ("self", "cls", "") else f"{owner}.{attribute.strip('_')}"
        case ast.Call():
            return _call_placeholder(expression)
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return f"{placeholder(value)}.{key}"
        case ast.Subscript(value=value):
            return placeholder(value)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element) | ast.SetComp(elt=element):
            return placeholder(element)
        case ast.BinOp(left=first, op=ast.Add() | ast.Sub() as operator, right=second):
            sign = "+" if isinstance(operator, ast.Add) else "-"
            return f"{placeholder(first)} {sign} {placeholder(second)}"
        case ast.Constant(value=value):
            return str(value)
    return re.sub(r"\W+", " ", ast.unparse(expression)).strip()[:40]


def _call_placeholder(call: ast.Call) -> str:
    name = placeholder(call.func).rpartition(".")[2]
    match call:
        case ast.Call(args=[value, *_]) if name in ("str", "sorted", "list", "tuple", "set", "int", "float", "repr"):
            return placeholder(value)
        case ast.Call(func=ast.Attribute(), args=[value, *_]) if name in ("join", "get"):
            return placeholder(value)
        case ast.Call(args=[value]) if name == "len":
            return f"number of {placeholder(value)}"
        case ast.Call(func=ast.Attribute(value=value)) if name in ("lower", "upper", "strip", "rstrip", "title"):
            return placeholder(value)
        case ast.Call(func=ast.Attribute()) if name in ("min", "max", "sum", "mean"):
            return placeholder(call.func)
    return name


def _part(part: ast.expr, texts: Texts) -> list[str]:
    if not isinstance(part, ast.FormattedValue):
        return templates(part, texts)
    alternatives = templates(part.value, texts)
    is_conditional = isinstance(part.value, ast.IfExp | ast.BoolOp)
    is_text = isinstance(part.value, ast.Name | ast.Call) and all(map(_is_sentence_part, alternatives))
    return alternatives if is_conditional or is_text else [f"{{{placeholder(part.value)}}}"]


def _is_sentence_part(text: str) -> bool:
    """Whether a text has several words besides its placeholders."""
    return len(re.findall(r"[A-Za-z]{2,}", re.sub(r"{[^{}]*}", "", text))) > 1


def _product(parts: list[list[str]]) -> list[str]:
    texts = [""]
    for alternatives in parts:
        texts = [text + alternative for text in texts for alternative in alternatives][:MAXIMUM_ALTERNATIVES]
    return texts
