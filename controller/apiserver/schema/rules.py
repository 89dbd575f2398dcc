"""Validation rules written in CEL (x-kubernetes-validations).

A rule sees the value it stands at as `self`, and as `oldSelf` what the value was before; a rule that mentions
`oldSelf` is a transition rule and is skipped where nothing was before. Values are handed over as the schema types
them, because CEL tells 1 from 1.0.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import cel

from controller.apiserver import causes
from controller.apiserver.schema.cel_library import FUNCTIONS
from controller.apiserver.schema.formats import FORMATS
from controller.apiserver.schema.listtypes import same_entry
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Cause, Object

_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_LITERAL_OR_CALL = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\b(size|matches)(?=\s*\()""")
_OWN_NAMES = {"size": "sizeOf", "matches": "matchesPattern"}
_REASONS: dict[str, Callable[[str, str], Cause]] = {
    "FieldValueInvalid": lambda field, text: Cause("FieldValueInvalid", f"Invalid value: {text}", field),
    "FieldValueForbidden": causes.forbidden_field,
    "FieldValueRequired": causes.required,
    "FieldValueDuplicate": lambda field, text: Cause("FieldValueDuplicate", f"Duplicate value: {text}", field),
}


class Unevaluable(Exception):
    """The rule's program cannot be run on this value."""


@functools.lru_cache(4096)
def compile_rule(text: str) -> cel.Program:
    """The program of a rule; ValueError says what is wrong with it.

    `size` and `matches` are ours: the library counts bytes where CEL counts characters.
    """
    program = cel.compile(_LITERAL_OR_CALL.sub(lambda found: found.group(1) or _OWN_NAMES[found.group(2)], text))
    if "cel" in program.variables():
        raise ValueError("cel.bind is not supported")
    return program


def mentions_old(rule: Object) -> bool:
    return "oldSelf" in compile_rule(rule["rule"]).variables()


def check_rules(value: Any, node: Node, path: str = "", *, old: Any = MISSING) -> Iterator[Cause]:
    """What the rules at and below a place find wrong, parents first."""
    if not node.has_rules or value is None:
        return
    for rule in node.rules:
        yield from _check_rule(value, node, rule, path, old)
    if is_object(value):
        before = old if is_object(old) else {}
        for name, inner in value.items():
            if (schema := node.child(name)) is not None:
                where = f"{path}.{name}" if name in node.properties or not path else f"{path}[{name}]"
                yield from check_rules(inner, schema, where.removeprefix("."), old=before.get(name, MISSING))
    elif is_list(value) and node.items is not None:
        for index, item in enumerate(value):
            yield from check_rules(item, node.items, f"{path}[{index}]", old=same_entry(item, old, node))


def _check_rule(value: Any, node: Node, rule: Object, path: str, old: Any) -> Iterator[Cause]:
    where = path or "<nil>"
    transition = mentions_old(rule)
    if transition and old is MISSING:
        return
    if not transition and old is not MISSING and old == value:
        return  # it was wrong before, and this write did not make it so
    try:
        variables = {"self": to_cel(value, node, rule["rule"])}
        if transition:
            variables["oldSelf"] = to_cel(old, node, rule["rule"])
        passed = _run(rule["rule"], variables)
    except Unevaluable as error:
        kind = node.type or "object"
        text = f"{error} evaluating rule: {rule.get('message') or rule['rule']}"
        yield causes.invalid_value(where, kind, text)
        return
    if passed is not True:
        yield _finding(rule, path, variables)


def _finding(rule: Object, path: str, variables: dict[str, Any]) -> Cause:
    text = (rule.get("message") or "").strip() or f"failed rule: {rule['rule'].strip()}"
    if expression := rule.get("messageExpression"):
        try:
            computed = _run(expression, variables)
        except Unevaluable:
            computed = None
        if isinstance(computed, str) and computed.strip() and "\n" not in computed:
            text = computed.strip()
    field = (path + rule.get("fieldPath", "")).removeprefix(".")
    value = variables["self"]
    shown = "" if isinstance(value, dict | list) else f"{causes.quoted(value)}: "
    return _REASONS[rule.get("reason") or "FieldValueInvalid"](field or "<nil>", shown + text)


def _run(text: str, variables: dict[str, Any]) -> Any:
    program = compile_rule(text)
    context = cel.Context(variables=variables, functions=_functions(text))
    try:
        return program.execute(context)
    except KeyError as error:
        raise Unevaluable(f"no such key: {error.args[0]}") from error
    except (TypeError, ValueError, RuntimeError, ArithmeticError, IndexError) as error:
        raise Unevaluable(str(error).splitlines()[0]) from error


@functools.lru_cache(4096)
def _functions(text: str) -> dict[str, Callable[..., Any]]:
    """The functions that a rule may call: handing over all of them for each run would cost more than the run."""
    used = set(compile_rule(text).functions())
    return {name: function for name, function in FUNCTIONS.items() if name in used or name.rpartition(".")[2] in used}


def to_cel(value: Any, node: Node, rule: str) -> Any:
    """A value as CEL is to see it, its properties under names that CEL can spell."""
    if is_object(value):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            schema = node.child(name)
            spelled = escaped(name) if name in node.properties else name
            found[spelled] = inner if schema is None else _child(inner, schema, spelled, rule)
        return found
    if is_list(value):
        return [to_cel(item, node.items, rule) for item in value] if node.items is not None else value
    return _scalar(value, node)


def _child(value: Any, node: Node, name: str, rule: str) -> Any:
    if node.type == "integer" and isinstance(value, float) and not node.int_or_string:
        # 80.0 passes as an integer in a schema, but a rule that touches it fails.
        if re.search(rf"\b{re.escape(name)}\b", rule):
            raise Unevaluable("invalid data, expected int, got float64")
        return value
    return to_cel(value, node, rule)


def _scalar(value: Any, node: Node) -> Any:
    form = node.raw.get("format", "")
    if node.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and form in ("date-time", "duration") and FORMATS[form](value):
        if form == "date-time":
            return dt.datetime.fromisoformat(value)
        return _run("duration(self)", {"self": value})
    return value


@functools.lru_cache(4096)
def escaped(name: str) -> str:
    """A property's name as CEL expressions spell it."""
    if name in _RESERVED:
        return f"__{name}__"
    for found, spelled in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(found, spelled)
    return name
