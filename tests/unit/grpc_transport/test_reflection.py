"""grpc.reflection in both versions."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpclib.const import Status

from controller.grpc.gen.grpc.reflection.v1 import reflection_pb2 as v1
from controller.grpc.gen.grpc.reflection.v1alpha import reflection_pb2 as v1alpha
from controller.grpc.reflection import Reflection, reflection

VERSIONS = [v1, v1alpha]


def pool() -> DescriptorPool:
    """Three files: `top` needs `middle` and `base`, `middle` needs `base`; and an extension."""
    found = DescriptorPool()
    base = descriptor_pb2.FileDescriptorProto(name="base.proto", package="p", syntax="proto2")
    base.message_type.add(name="Base").extension_range.add(start=100, end=200)
    middle = descriptor_pb2.FileDescriptorProto(name="middle.proto", package="p", dependency=["base.proto"])
    field = middle.extension.add(name="more", extendee=".p.Base", number=150, label=1, type=9)
    assert field.number == 150
    top = descriptor_pb2.FileDescriptorProto(
        name="top.proto", package="p", dependency=["middle.proto", "base.proto"], syntax="proto2"
    )
    top.service.add(name="Service").method.add(name="Do", input_type=".p.Base", output_type=".p.Base")
    for file in (base, middle, top):
        found.Add(file)
    return found


@pytest.fixture(params=VERSIONS, ids=["v1", "v1alpha"])
def version(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def ask(version: Any, **question: object) -> Any:
    served = Reflection(version, ["p.Service", "q.Other"], pool())
    return served.answer(version.ServerReflectionRequest(host="here", **question))


def files(response: Any) -> list[str]:
    return [
        descriptor_pb2.FileDescriptorProto.FromString(data).name
        for data in response.file_descriptor_response.file_descriptor_proto
    ]


def test_services_are_listed(version: ModuleType) -> None:
    """With the request in the answer, as the protocol wants."""
    response = ask(version, list_services="*")

    assert [service.name for service in response.list_services_response.service] == ["p.Service", "q.Other"]
    assert (response.valid_host, response.original_request.list_services) == ("here", "*")


@pytest.mark.parametrize("symbol", ["p.Service", "p.Service.Do"])
def test_files_come_with_all_they_need(version: ModuleType, symbol: str) -> None:
    """The file of a symbol comes first, then its imports, each once."""
    assert files(ask(version, file_containing_symbol=symbol)) == ["top.proto", "middle.proto", "base.proto"]


def test_fields_have_their_json_names() -> None:
    """Nested ones and extensions too: generated code lacks them, and a client would print `a_b` instead of `aB`."""
    found = DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="names.proto", package="p", syntax="proto2")
    outer = file.message_type.add(name="Outer")
    outer.extension_range.add(start=100, end=200)
    outer.field.add(name="an_outer", number=1, label=1, type=9)
    outer.field.add(name="by_hand", number=2, label=1, type=9, json_name="own")
    outer.nested_type.add(name="Inner").field.add(name="an_inner", number=1, label=1, type=9)
    outer.extension.add(name="a_scoped", extendee=".p.Outer", number=101, label=1, type=9)
    file.extension.add(name="an_extra", extendee=".p.Outer", number=100, label=1, type=9)
    found.Add(file)

    response = Reflection(v1, [], found).answer(v1.ServerReflectionRequest(file_by_filename="names.proto"))
    served = descriptor_pb2.FileDescriptorProto.FromString(response.file_descriptor_response.file_descriptor_proto[0])

    message = served.message_type[0]
    assert [field.json_name for field in message.field] == ["anOuter", "own"]
    assert [field.json_name for field in message.nested_type[0].field] == ["anInner"]
    assert [field.json_name for field in (*served.extension, *message.extension)] == ["anExtra", "aScoped"]


def test_files_by_name_and_by_extension(version: Any) -> None:
    """A file is also found by its name, and by an extension that it declares."""
    extension = version.ExtensionRequest(containing_type="p.Base", extension_number=150)

    assert files(ask(version, file_by_filename="base.proto")) == ["base.proto"]
    assert files(ask(version, file_containing_extension=extension)) == ["middle.proto", "base.proto"]


def test_extension_numbers(version: ModuleType) -> None:
    """The numbers that extend a message."""
    numbers = ask(version, all_extension_numbers_of_type="p.Base").all_extension_numbers_response

    assert (numbers.base_type_name, list(numbers.extension_number)) == ("p.Base", [150])


@pytest.mark.parametrize(
    "question",
    [
        {"file_by_filename": "no.proto"},
        {"file_containing_symbol": "p.No"},
        {"all_extension_numbers_of_type": "p.No"},
        {"file_containing_extension": {"containing_type": "p.Base", "extension_number": 151}},
        {"file_containing_extension": {"containing_type": "p.No", "extension_number": 1}},
    ],
)
def test_what_is_not_there(version: ModuleType, question: dict[str, object]) -> None:
    """Is told in the answer, and does not end the stream."""
    response = ask(version, **question)

    assert Status(response.error_response.error_code) is Status.NOT_FOUND
    assert response.error_response.error_message


def test_no_question(version: ModuleType) -> None:
    """A request without a question is told so."""
    assert Status(ask(version).error_response.error_code) is Status.INVALID_ARGUMENT


def test_both_versions_list_both() -> None:
    """A client of either version sees the same services, reflection among them."""
    for served in reflection(["p.Service"], pool=pool()):
        version: Any = served._version  # type: ignore[attr-defined]
        listed = served.answer(version.ServerReflectionRequest(list_services="*")).list_services_response.service
        assert [service.name for service in listed] == [
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "p.Service",
        ]
