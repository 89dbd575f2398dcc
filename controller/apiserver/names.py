"""What Kubernetes accepts as names, label keys and label values."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping

from controller.apiserver import causes
from controller.apiserver.status import Cause

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
LABEL_KEY = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def subdomain(name: str) -> list[str]:
    """What is wrong with a DNS subdomain."""
    found = [] if len(name) <= 253 else [_too_long(253)]
    return found if _SUBDOMAIN.fullmatch(name) else [*found, SUBDOMAIN]


def label(name: str) -> list[str]:
    """What is wrong with a DNS label."""
    found = [] if len(name) <= 63 else [_too_long(63)]
    if "." in name:
        return [*found, "must not contain dots"]
    return found if _LABEL.fullmatch(name) else [*found, LABEL]


def label_1035(name: str) -> list[str]:
    """What is wrong with a DNS label that must begin with a letter."""
    found = [] if len(name) <= 63 else [_too_long(63)]
    return found if _LABEL_1035.fullmatch(name) else [*found, LABEL_1035]


def path_segment(name: str) -> list[str]:
    """What is wrong with a name that only has to fit into a path, as the names of roles do."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


RULES: Mapping[str, Callable[[str], list[str]]] = {
    "subdomain": subdomain,
    "label": label,
    "label1035": label_1035,
    "segment": path_segment,
}


def qualified_name(name: str) -> list[str]:
    """What is wrong with a label key, annotation key or finalizer."""
    prefix, slash, last = name.rpartition("/")
    found: list[str] = []
    if "/" in prefix:
        return [LABEL_KEY]
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        found += [f"prefix part {text}" for text in subdomain(prefix)]
    if not last:
        return [*found, "name part must be non-empty", NAME_PART]
    if len(last) > 63:
        found.append("name part " + _too_long(63))
    return found if _QUALIFIED.fullmatch(last) else [*found, NAME_PART]


def label_value(value: str) -> list[str]:
    """What is wrong with the value of a label."""
    found = [] if len(value) <= 63 else [_too_long(63)]
    return found if _VALUE.fullmatch(value) else [*found, LABEL_VALUE]


def check_labels(labels: Mapping[str, str], field: str) -> Iterator[Cause]:
    for key, value in labels.items():
        for text in qualified_name(key):
            yield causes.invalid_value(field, key, text)
        for text in label_value(value):
            yield causes.invalid_value(field, value, text)


def check_annotations(annotations: Mapping[str, str], field: str) -> Iterator[Cause]:
    size = 0
    for key, value in annotations.items():
        for text in qualified_name(key.lower()):
            yield causes.invalid_value(field, key, text)
        size += len(key) + len(value)
    if size > 256 * 1024:
        yield causes.too_long(field, 256 * 1024)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
