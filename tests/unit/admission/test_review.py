"""How AdmissionReviews are read and answered."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from controller.admission.review import (
    MAX_DEPTH,
    Review,
    Undecodable,
    decode_review,
    to_allowed,
    to_denied,
    to_invalid,
)
from controller.k8s.meta import ObjectMeta

from .reviews import POLICY, UID, review

SPEC = {"podSelector": {}, "port": 80}
GVK = {"group": "a", "version": "b", "kind": "c"}


def body(**more: Any) -> bytes:
    """A review of a Server; `more` replaces fields of the request."""
    return json.dumps(review("Server", SPEC, **more)).encode()


def without(field: str) -> bytes:
    """A review of a Server whose request lacks a field."""
    whole = review("Server", SPEC)
    del whole["request"][field]
    return json.dumps(whole).encode()


def with_metadata(metadata: Any) -> Any:
    return {"metadata": metadata, "spec": SPEC}


def test_a_review_is_read() -> None:
    """What the rules need of it, and what the answer repeats."""
    metadata = {
        "name": "web",
        "namespace": "ns-1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "managedFields": [{"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": True}],
    }

    assert decode_review(body(object=with_metadata(metadata), subResource="status")) == Review(
        api_version="admission.k8s.io/v1",
        review_kind="AdmissionReview",
        uid=UID,
        group=POLICY,
        version="v1beta3",
        kind="Server",
        operation="CREATE",
        sub_resource="status",
        metadata=ObjectMeta(
            name="web",
            namespace="ns-1",
            creation_timestamp=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            labels={"a": "b"},
            annotations={"c": "d"},
        ),
        spec=b'{"podSelector":{},"port":80}',
    )


@pytest.mark.parametrize(
    ("more", "spec", "metadata"),
    [
        ({"object": None}, None, ObjectMeta()),
        ({"object": {"spec": None}}, b"null", ObjectMeta()),
        ({"object": {"metadata": {}}}, b"", ObjectMeta()),
        ({"object": {"metadata": {"name": None, "namespace": None, "labels": None}}}, b"", ObjectMeta()),
    ],
)
def test_absent_parts_of_an_object(more: Any, spec: bytes | None, metadata: ObjectMeta) -> None:
    """No object, no spec and a spec that is null are three things."""
    found = decode_review(body(**more))

    assert (found.spec, found.metadata) == (spec, metadata)


@pytest.mark.parametrize(
    "more",
    [
        {"namespace": None},
        {"dryRun": True},
        {"userInfo": {}},
        {"userInfo": {"username": None, "groups": None, "extra": {"a": ["b"]}}},
        {"operation": "CONNECT", "requestKind": GVK},
        {"requestKind": None, "requestResource": None, "options": 7, "unknown": [[]]},
        {"oldObject": {"metadata": {"finalizers": ["a"]}}},
        {"uid": ""},
    ],
)
def test_a_review_may_have(more: Any) -> None:
    """Whatever the API allows there."""
    decode_review(body(**more))


@pytest.mark.parametrize("field", ["name", "namespace", "options", "requestKind", "dryRun", "object", "oldObject"])
def test_a_request_may_lack(field: str) -> None:
    """Fields that the API may leave out."""
    decode_review(without(field))


@pytest.mark.parametrize("field", ["uid", "kind", "resource", "operation", "userInfo"])
def test_a_request_may_not_lack(field: str) -> None:
    """Fields that the API always sends; the text names the field."""
    with pytest.raises(Undecodable, match=f"`{field}`"):
        decode_review(without(field))


@pytest.mark.parametrize(
    "more",
    [
        {"name": None},
        {"userInfo": None},
        {"dryRun": None},
        {"operation": "BOGUS"},
        {"operation": "create"},
        {"uid": 7},
        {"resource": {"group": "a", "version": "b", "kind": "c"}},
        {"requestKind": {}},
        {"subResource": 7},
        {"object": 7},
        {"object": []},
        {"object": with_metadata(None)},
        {"object": with_metadata({"labels": {"a": 7}})},
        {"object": with_metadata({"annotations": {"a": None}})},
        {"object": with_metadata({"creationTimestamp": "yesterday"})},
        {"object": with_metadata({"generation": 1.5})},
        {"object": with_metadata({"ownerReferences": {}})},
        {"object": with_metadata({"managedFields": [{"time": 7}]})},
        {"oldObject": with_metadata(None)},
        {"oldObject": "x"},
    ],
)
def test_a_review_may_not_have(more: Any) -> None:
    """What the API never sends, even where nobody looks."""
    with pytest.raises(Undecodable):
        decode_review(body(**more))


GOOD = body().decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "null",
        "[]",
        "{}",
        "7",
        GOOD[:-1],
        GOOD + "x",
        GOOD + "{}",
        "\ufeff" + GOOD,
        GOOD.replace("80", "NaN"),
        GOOD.replace("80", "080"),
        GOOD.replace("80", "1e999"),
        GOOD.replace("80", "9" * 5000),
        GOOD.replace("80", r'"\ud800"'),
        GOOD.replace("80", '"\t"'),
        GOOD.replace("80", "80,"),
        GOOD.replace('"apiVersion": "admission.k8s.io/v1"', '"apiVersion": 1'),
        GOOD.replace('"kind": "AdmissionReview", ', ""),
        '{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}',
        '{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": null}',
        '{"apiVersion": "a", "kind": "b", "request": null, ' + GOOD[1:],
        '{"apiVersion": "a", "kind": "b", "re\\u0071uest": null, ' + GOOD[1:],
        '{"response": {"uid": "x", "allowed": true}, ' + GOOD[1:],
        GOOD.replace("80", "[" * 5000 + "]" * 5000),
        GOOD.replace("80", "[" * 5000),
    ],
)
def test_what_is_no_review(text: str) -> None:  # status 319
    """No JSON, not that of a review, or more than can be meant."""
    with pytest.raises(Undecodable):
        decode_review(text.encode())


@pytest.mark.parametrize("field", ["group", "version", "kind"])
def test_a_kind_has_three_parts(field: str) -> None:
    """All of them are always sent."""
    whole = review("Server", SPEC)
    del whole["request"]["kind"][field]

    with pytest.raises(Undecodable, match=f"`{field}` - at `\\$.request.kind`"):
        decode_review(json.dumps(whole).encode())


def test_ill_formed_text_is_no_review() -> None:
    """Even in a field that nobody looks at."""
    with pytest.raises(Undecodable, match="utf-8"):
        decode_review(GOOD.encode().replace(b'"dryRun": false', b'"other": "\xff"'))


@pytest.mark.parametrize(
    "text",
    [
        GOOD + " \r\n\t",
        GOOD.replace("AdmissionReview", "Pod"),
        GOOD.replace("admission.k8s.io/v1", "example.com/v9"),
        '{"response": {"uid": "x", "allowed": true, "status": {}}, ' + GOOD[1:],
        '{"response": null, ' + GOOD[1:],
        GOOD.replace('"port"', r'"\u0070ort"'),
    ],
)
def test_other_spellings_of_a_review(text: str) -> None:
    """They are as good."""
    assert json.loads(decode_review(text.encode()).spec or b"") == SPEC


def test_of_equal_keys_in_a_spec_the_last_counts() -> None:
    """Those before it are not even judged."""
    found = decode_review(GOOD.replace('"port": 80', '"port": "a", "port": 80').encode())

    assert json.loads(found.spec or b"") == SPEC


@pytest.mark.parametrize(("number", "kept"), [("8e1", b"80.0"), ("80.0", b"80.0"), ("-0", b"-0.0"), ("1e2", b"100.0")])
def test_numbers_that_are_no_integers_stay_so(number: str, kept: bytes) -> None:
    """A fraction, an exponent or a sign before zero makes a number another one."""
    assert (decode_review(GOOD.replace("80", number).encode()).spec or b"").endswith(b":" + kept + b"}")


@pytest.mark.parametrize(
    ("filling", "well"),
    [
        ("[" * (MAX_DEPTH - 4) + "]" * (MAX_DEPTH - 4), True),  # review, request, object and spec are levels too
        ("[" * (MAX_DEPTH - 3) + "]" * (MAX_DEPTH - 3), False),
        ('{"a":' * (MAX_DEPTH - 3) + "0" + "}" * (MAX_DEPTH - 3), False),
        ("[" + "[]," * 1000 + "[]]", True),
        (json.dumps("[" * 1000 + '"\\' + "{" * 1000), True),
        ('["\\\\", "' + "[" * 1000 + '"]', True),
    ],
)
def test_depth_is_counted_where_it_is_one(filling: str, well: bool) -> None:
    """Brackets in texts nest nothing, and brackets beside each other nest no deeper than one of them."""
    text = GOOD.replace('"port": 80', f'"port": 80, "deep": {filling}').encode()
    if well:
        decode_review(text)
    else:
        with pytest.raises(Undecodable, match="more than 128 levels"):
            decode_review(text)


@pytest.mark.parametrize(
    ("operation", "sub_resource", "changes"),
    [("CREATE", None, True), ("UPDATE", "", True), ("UPDATE", "status", False), ("DELETE", None, False)],
)
def test_whether_the_object_is_going_to_be_followed(operation: str, sub_resource: str | None, changes: bool) -> None:
    """Not after a deletion, nor is a status what is followed."""
    assert decode_review(body(operation=operation, subResource=sub_resource)).changes_spec is changes


def test_answers() -> None:
    """The review's version and kind come back, and its uid unless it cannot be judged."""
    asked = decode_review(GOOD.replace("admission.k8s.io/v1", "a/v2").encode())
    frame = {"apiVersion": "a/v2", "kind": "AdmissionReview"}

    assert json.loads(to_allowed(asked)) == frame | {"response": {"uid": UID, "allowed": True, "status": {}}}
    assert json.loads(to_allowed(asked, ["b"]))["response"]["warnings"] == ["b"]
    assert json.loads(to_denied(asked, "no")) == frame | {
        "response": {"uid": UID, "allowed": False, "status": {"message": "no"}}
    }
    assert json.loads(to_invalid("what?")) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": "",
            "allowed": False,
            "status": {"status": "Failure", "reason": "InvalidRequest", "message": "what?"},
        },
    }
