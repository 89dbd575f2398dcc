"""Which objects a list or a watch is about: label selectors and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from controller.apiserver.names import label_value, qualified_name
from controller.apiserver.status import bad_request

_TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|>|<|[^\s=!,()<>]+)")


class Requirement(NamedTuple):
    """One condition on a label; `values` hold none, one or many, as the operator wants."""

    key: str
    operator: str
    values: tuple[str, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        present = self.key in labels
        match self.operator:
            case "exists":
                return present
            case "!":
                return not present
            case "in":
                return present and labels[self.key] in self.values
            case "notin":
                return not present or labels[self.key] not in self.values
            case _:
                return present and _compare(self.operator, labels[self.key], self.values[0])


def _compare(operator: str, found: str, limit: str) -> bool:
    try:
        return int(found) > int(limit) if operator == "gt" else int(found) < int(limit)
    except ValueError:
        return False


class _Parser:
    """A label selector, token by token."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.place = 0

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def fail(self, expected: str) -> Exception:
        found = self.peek()
        return bad_request(f"unable to parse requirement: found '{found}', expected: {expected}")

    def requirements(self) -> tuple[Requirement, ...]:
        found: list[Requirement] = []
        if not self.tokens:
            return ()
        if self.peek() in (",", "=", "==", "!=", "(", ")", ">", "<"):
            raise bad_request(f"found '{self.peek()}', expected: !, identifier, or 'end of string'")
        while True:
            found.append(self.requirement())
            if not self.peek():
                return tuple(found)
            if self.take() != ",":
                self.place -= 1
                raise self.fail("',' or 'end of string'")
            if not self.peek():
                raise bad_request("found '', expected: identifier after ','")

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.take()
            return Requirement(self.key(), "!", ())
        key = self.key()
        match self.peek():
            case "" | ",":
                return Requirement(key, "exists", ())
            case "=" | "==":
                self.take()
                return Requirement(key, "in", (self.value(key),))
            case "!=":
                self.take()
                return Requirement(key, "notin", (self.value(key),))
            case "in" | "notin":
                return Requirement(key, self.take(), self.values(key))
            case ">" | "<":
                operator = "gt" if self.take() == ">" else "lt"
                limit = self.value(key)
                if not re.fullmatch(r"[-+]?\d+", limit):
                    raise bad_request(
                        f'unable to parse requirement: values[0]: Invalid value: "{limit}": '
                        "for 'Gt', 'Lt' operators, the value must be an integer"
                    )
                return Requirement(key, operator, (limit,))
            case _:
                raise self.fail("in, notin, =, ==, !=, gt, lt")

    def key(self) -> str:
        token = self.peek()
        if not token or not (token[0].isalnum() or token[0] in "-_./"):
            raise self.fail("identifier")
        for text in qualified_name(token):
            raise bad_request(f'unable to parse requirement: <nil>: Invalid value: "{token}": {text}')
        return self.take()

    def value(self, key: str) -> str:
        token = self.peek()
        if token in ("", ","):
            return ""
        if token in ("=", "==", "!=", "!", "(", ")", ">", "<"):
            raise self.fail("identifier")
        return _checked(key, self.take())

    def values(self, key: str) -> tuple[str, ...]:
        if self.peek() != "(":
            raise bad_request(f"unable to parse requirement: found '{self.peek()}' expected: '('")
        self.take()
        found: list[str] = []
        expecting = True
        while (token := self.take()) != ")":
            if token == ",":
                if expecting:
                    found.append("")
                expecting = True
            elif token and expecting:
                found.append(_checked(key, token))
                expecting = False
            else:
                self.place -= 1
                raise self.fail("',' or ')'" if not expecting else "',', ')' or identifier")
        if expecting:
            found.append("")
        return tuple(found)


def _checked(key: str, value: str) -> str:
    for text in label_value(value):
        raise bad_request(f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": {text}')
    return value


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The conditions of a label selector in query form."""
    return _Parser(text).requirements()


def label_selector(selector: Mapping[str, object] | None) -> tuple[Requirement, ...]:
    """The conditions of a LabelSelector object, as in a webhook configuration."""
    found: list[Requirement] = []
    if not selector:
        return ()
    labels: Mapping[str, str] = selector.get("matchLabels") or {}  # type: ignore[assignment]  # validated on write
    expressions: Sequence[Mapping[str, object]] = selector.get("matchExpressions") or ()  # type: ignore[assignment]  # same
    found.extend(Requirement(key, "in", (value,)) for key, value in labels.items())
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    for entry in expressions:
        values: Sequence[str] = entry.get("values") or ()  # type: ignore[assignment]  # same
        found.append(Requirement(str(entry["key"]), operators[str(entry["operator"])], tuple(values)))
    return tuple(found)


def matches_labels(requirements: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    return all(requirement.matches(labels) for requirement in requirements)


class FieldTerm(NamedTuple):
    """One condition of a field selector."""

    field: str
    equal: bool
    value: str


def parse_fields(text: str, known: Callable[[str], bool]) -> tuple[FieldTerm, ...]:
    """The conditions of a field selector; a field the kind does not offer is refused."""
    terms: list[FieldTerm] = []
    for part in _split_fields(text):
        for operator in ("!=", "==", "="):
            field, found, value = part.partition(operator)
            if found:
                terms.append(FieldTerm(field, operator != "!=", _unescape(value)))
                break
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
    for term in terms:
        if not known(term.field):
            raise bad_request(f"field label not supported: {term.field}")
    return tuple(terms)


def _split_fields(text: str) -> list[str]:
    parts: list[str] = []
    escaped, start = False, 0
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part for part in parts if part]


def _unescape(value: str) -> str:
    return re.sub(r"\\([\\,=])", r"\1", value)


def matches_fields(terms: Sequence[FieldTerm], fields: Mapping[str, str]) -> bool:
    return all((fields.get(term.field, "") == term.value) == term.equal for term in terms)
