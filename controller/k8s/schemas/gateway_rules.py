"""Conditions, in CEL, that the Gateway API puts on its routes, as far as the controller cares for them."""

from __future__ import annotations

from controller.k8s.custom_resource.markers import Rule


def _same(field: str) -> str:
    # An optional's `orValue` would do, but the API server cannot tell how much it costs, and refuses the rule.
    return f"(has(a.{field}) == has(b.{field}) && (!has(a.{field}) || a.{field} == b.{field}))"


# CEL reserves the word `namespace`, and so Kubernetes writes it with underscores.
_SAME_PARENT = f"a.group == b.group && a.kind == b.kind && a.name == b.name && {_same('__namespace__')}"
PARENTS = (
    Rule(
        f"self.all(a, self.all(b, !({_SAME_PARENT})"
        " || has(a.sectionName) == has(b.sectionName) && has(a.port) == has(b.port)))",
        message="references to one parent must all name a section or port, or none of them",
    ),
    Rule(
        f"self.all(a, self.exists_one(b, {_SAME_PARENT} && {_same('sectionName')} && {_same('port')}))",
        message="two references name the same parent, section and port",
    ),
)
SERVICE_PORT = Rule("self.group != '' || self.kind != 'Service' || has(self.port)", message="a Service needs a port")
RULE_NAMES = Rule(
    "self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && a.name == b.name))",
    message="two rules have the same name",
)

_IS_REGEX = "self.type == 'RegularExpression'"
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F", "#")
PATH = (
    Rule(f"{_IS_REGEX} || self.value.startsWith('/')", message="a path begins with /"),
    *(
        Rule(f"{_IS_REGEX} || !self.value.contains('{text}')", message=f"a path does not contain {text}")
        for text in _NOT_IN_PATHS
    ),
    Rule(
        f"{_IS_REGEX} || !(self.value.endsWith('/.') || self.value.endsWith('/..'))",
        message="a path does not end with /. or /..",
    ),
    Rule(
        f'{_IS_REGEX} || self.value.matches(r"""^(?:[-A-Za-z0-9/._~!$&\'()*+,;=:@]|[%][0-9a-fA-F]{{2}})+$""")',
        message="a path has only the characters of paths, others as %XX",
    ),
)
GRPC_METHOD = (
    Rule("has(self.service) || has(self.method)", message="a service, a method or both must be given"),
    Rule(
        "self.type != 'Exact' || !has(self.service)"
        ' || self.service.matches(r"""^(?i)\\.?[a-z_][a-z_0-9]*(\\.[a-z_][a-z_0-9]*)*$""")',
        message="a service is a name of words with dots between them",
    ),
    Rule(
        'self.type != \'Exact\' || !has(self.method) || self.method.matches(r"""^[A-Za-z_][A-Za-z_0-9]*$""")',
        message="a method is a word",
    ),
)
PATH_CHANGE = tuple(
    Rule(f"(self.type == '{kind}') == has(self.{field})", message=f"{field} goes with {kind}, and only with it")
    for kind, field in (("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch"))
)
TIMEOUTS = Rule(
    "!(has(self.request) && has(self.backendRequest)) || duration(self.request) == duration('0s')"
    " || duration(self.backendRequest) <= duration(self.request)",
    message="a try cannot take longer than the whole request",
)
NO_ADDRESSES = Rule("self.all(name, !isIP(name))", message="a host name is not an address")


def payloads(**fields: str) -> tuple[Rule, ...]:
    """What a filter of each type carries."""
    return tuple(
        Rule(f"(self.type == '{kind}') == has(self.{field})", message=f"{field} goes with {kind}, and only with it")
        for kind, field in fields.items()
    )


def once(*types: str) -> tuple[Rule, ...]:
    """Which filters stand in a list but once."""
    return tuple(
        Rule(f"self.filter(f, f.type == '{kind}').size() <= 1", message=f"{kind} cannot be repeated") for kind in types
    )


REDIRECT_OR_REWRITE = Rule(
    "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
    message="a request is either redirected or rewritten",
)
REDIRECT_WITHOUT_BACKENDS = Rule(
    "!has(self.backendRefs) || self.backendRefs.size() == 0 || !has(self.filters)"
    " || !self.filters.exists(f, has(f.requestRedirect))",
    message="a redirect goes to no backend",
)


def _prefix_match_only(filters: str) -> str:
    changes = " || ".join(
        f"has(f.{field}) && has(f.{field}.path) && f.{field}.path.type == 'ReplacePrefixMatch'"
        " && has(f.{field}.path.replacePrefixMatch)".replace("{field}", field)
        for field in ("requestRedirect", "urlRewrite")
    )
    return (
        f"!{filters}.exists(f, {changes}) || has(self.matches) && self.matches.size() == 1"
        " && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix'"
    )


PREFIX_MATCH_ONLY = (
    Rule(
        f"!has(self.filters) || ({_prefix_match_only('self.filters')})",
        message="replacePrefixMatch needs exactly one match, by PathPrefix",
    ),
)
