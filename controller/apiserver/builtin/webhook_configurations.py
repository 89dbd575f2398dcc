"""Webhook configurations: their defaults, and what makes one unusable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.apiserver import causes, names
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import Cause, Object


def webhook_defaults(configuration: Object) -> None:
    mutating = configuration["kind"] == "MutatingWebhookConfiguration"
    for hook in list_at(configuration, "webhooks"):
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("matchPolicy", "Equivalent")
        hook.setdefault("namespaceSelector", {})
        hook.setdefault("objectSelector", {})
        hook.setdefault("timeoutSeconds", 10)
        if mutating:
            hook.setdefault("reinvocationPolicy", "Never")
        service = object_at(hook, "clientConfig").get("service")
        if service is not None:
            service.setdefault("port", 443)
        for rule in list_at(hook, "rules"):
            rule.setdefault("scope", "*")


def validate_webhooks(configuration: Object, _old: Object | None) -> Sequence[Cause]:
    return list(_check_webhooks(configuration))


_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


def _check_rule(rule: Object, field: str) -> Iterator[Cause]:
    """What a rule of a webhook must name, and what it may not name beside a wildcard."""
    for name, what in (("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")):
        given = list_at(rule, name)
        if not given:
            yield causes.required(f"{field}.{name}")
        elif len(given) > 1 and "*" in given:
            text = f"if '*' is present, must not specify other {what}"
            yield causes.invalid_value(f"{field}.{name}", given, text)
    for index, operation in enumerate(list_at(rule, "operations")):
        if operation not in _OPERATIONS:
            yield causes.not_supported(f"{field}.operations[{index}]", operation, _OPERATIONS)
    for name in ("apiVersions", "resources"):
        for index, text in enumerate(list_at(rule, name)):
            if not text:
                yield causes.required(f"{field}.{name}[{index}]")
    resources = list_at(rule, "resources")
    if not resources:
        yield causes.required(f"{field}.resources")
    elif len(resources) > 1 and "*/*" in resources:
        yield causes.invalid_value(
            f"{field}.resources", resources, "if '*/*' is present, must not specify other resources"
        )
    elif "*" in resources and any(text != "*" and "/" not in text for text in resources):
        text = "if '*' is present, must not specify other resources without subresources"
        yield causes.invalid_value(f"{field}.resources", resources, text)
    if rule.get("scope") not in _SCOPES:
        yield causes.not_supported(f"{field}.scope", rule.get("scope", ""), _SCOPES)


def _check_versions(hook: Object, where: str) -> Iterator[Cause]:
    versions = list_at(hook, "admissionReviewVersions")
    if not versions:
        text = "must specify one of v1, v1beta1"
        yield causes.required(f"{where}.admissionReviewVersions", text)
    elif not {"v1", "v1beta1"} & set(versions):
        text = "must include at least one of v1, v1beta1"
        yield causes.invalid_value(f"{where}.admissionReviewVersions", versions, text)
    for number, version in enumerate(versions):
        for text in names.label_1035(version):
            yield causes.invalid_value(f"{where}.admissionReviewVersions[{number}]", version, text)


def _check_webhooks(configuration: Object) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, hook in enumerate(list_at(configuration, "webhooks")):
        where, name = f"webhooks[{index}]", hook.get("name", "")
        if not name:
            yield causes.required(f"{where}.name")
        elif name.count(".") < 2:
            text = "should be a domain with at least three segments separated by dots"
            yield causes.invalid_value(f"{where}.name", name, text)
        if name in seen:
            yield causes.duplicate(f"{where}.name", name)
        seen.add(name)
        for number, rule in enumerate(list_at(hook, "rules")):
            yield from _check_rule(rule, f"{where}.rules[{number}]")
        yield from _check_versions(hook, where)
        if hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            if not hook.get("sideEffects"):
                yield causes.required(f"{where}.sideEffects", "must specify one of None, NoneOnDryRun")
            else:
                yield causes.not_supported(f"{where}.sideEffects", hook["sideEffects"], ("None", "NoneOnDryRun"))
        if not 1 <= hook.get("timeoutSeconds", 10) <= 30:
            text = "the timeout value must be between 1 and 30 seconds"
            yield causes.invalid_value(f"{where}.timeoutSeconds", hook["timeoutSeconds"], text)
        config = object_at(hook, "clientConfig")
        if ("url" in config) == ("service" in config):
            yield causes.required(f"{where}.clientConfig", "exactly one of url or service is required")
        elif "url" in config and not config["url"].startswith("https://"):
            text = "'https' is the only allowed URL scheme; desired format: https://host[/path]"
            yield causes.invalid_value(f"{where}.clientConfig.url", config["url"].partition(":")[0], text)
