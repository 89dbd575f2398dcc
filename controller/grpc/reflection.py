"""grpc.reflection.v1 and v1alpha: a client learns our services and messages from the server itself.

The two versions have the same messages under different names, so one class serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpclib.const import Cardinality, Handler, Status

from controller.grpc.gen.grpc.reflection.v1 import reflection_pb2 as v1
from controller.grpc.gen.grpc.reflection.v1alpha import reflection_pb2 as v1alpha

# Generated code in two versions: no type says "either of them".
Request: TypeAlias = Any
Response: TypeAlias = Any


def reflection(services: Iterable[str], *, pool: DescriptorPool | None = None) -> tuple[Reflection, Reflection]:
    """Return both versions of the service. They list `services` (full names) and themselves."""
    names = sorted({*services, *map(service_name, (v1, v1alpha))})
    pool = pool or Default()
    return Reflection(v1, names, pool), Reflection(v1alpha, names, pool)


def service_name(version: ModuleType) -> str:
    return f"{version.DESCRIPTOR.package}.ServerReflection"


class Reflection:
    """One version of the reflection service, to be served like a generated base."""

    def __init__(self, version: ModuleType, services: Iterable[str], pool: DescriptorPool) -> None:
        self._version: Any = version
        self._services = tuple(services)
        self._pool = pool

    def __mapping__(self) -> Mapping[str, Handler]:
        version = self._version
        return {
            f"/{service_name(version)}/ServerReflectionInfo": Handler(
                self.answer_all,
                Cardinality.STREAM_STREAM,
                version.ServerReflectionRequest,
                version.ServerReflectionResponse,
            )
        }

    async def answer_all(self, stream: Any) -> None:
        """Answer each request in order, until the client has no more."""
        async for request in stream:
            await stream.send_message(self.answer(request))

    def answer(self, request: Request) -> Response:
        """Answer one request; what is not known is an error within the answer, and the stream goes on."""
        kind = request.WhichOneof("message_request")
        response = self._version.ServerReflectionResponse(valid_host=request.host, original_request=request)
        fill = self._FILLERS.get(kind)
        if fill is None:
            _set_error(response, Status.INVALID_ARGUMENT, "a request without a question")
            return response
        try:
            fill(self, getattr(request, kind), response)
        except KeyError as error:
            _set_error(response, Status.NOT_FOUND, str(error.args[0] if error.args else error))
        return response

    def _list_services(self, _: str, response: Response) -> None:
        for name in self._services:
            response.list_services_response.service.add(name=name)

    def _file_by_name(self, name: str, response: Response) -> None:
        _set_files(response, self._pool.FindFileByName(name))

    def _file_with_symbol(self, symbol: str, response: Response) -> None:
        try:
            file = self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            file = self._pool.FindMethodByName(symbol).containing_service.file  # the pool does not count it as a symbol
        _set_files(response, file)

    def _file_with_extension(self, extension: Any, response: Response) -> None:
        message = self._pool.FindMessageTypeByName(extension.containing_type)
        found: Any = self._pool.FindExtensionByNumber(message, extension.extension_number)  # its stub has no `file`
        _set_files(response, found.file)

    def _extension_numbers(self, name: str, response: Response) -> None:
        message = self._pool.FindMessageTypeByName(name)
        numbers = response.all_extension_numbers_response
        numbers.base_type_name = name
        numbers.extension_number.extend(sorted(found.number for found in self._pool.FindAllExtensions(message)))

    _FILLERS: ClassVar[Mapping[str, Callable[[Any, Any, Response], None]]] = {
        "list_services": _list_services,
        "file_by_filename": _file_by_name,
        "file_containing_symbol": _file_with_symbol,
        "file_containing_extension": _file_with_extension,
        "all_extension_numbers_of_type": _extension_numbers,
    }


def _set_files(response: Response, file: FileDescriptor) -> None:
    for each in _with_imports(file, set()):
        response.file_descriptor_response.file_descriptor_proto.append(_with_json_names(each))


def _with_json_names(file: FileDescriptor) -> bytes:
    """The file's definition. protoc leaves JSON names out of generated code, and clients print what they are given."""
    proto = FileDescriptorProto.FromString(file.serialized_pb)
    _name_fields(proto.extension, file.extensions_by_name)
    for message in proto.message_type:
        _name_all_fields(message, file.message_types_by_name[message.name])
    return proto.SerializeToString()


def _name_all_fields(proto: DescriptorProto, message: Descriptor) -> None:
    _name_fields(proto.field, message.fields_by_name)
    _name_fields(proto.extension, message.extensions_by_name)
    for nested in proto.nested_type:
        _name_all_fields(nested, message.nested_types_by_name[nested.name])


def _name_fields(protos: Iterable[FieldDescriptorProto], fields: Mapping[str, FieldDescriptor]) -> None:
    for proto in protos:
        proto.json_name = fields[proto.name].json_name


def _with_imports(file: FileDescriptor, seen: set[str]) -> Iterator[FileDescriptor]:
    """The file and all it needs, each once: a client then has no reason to ask again."""
    seen.add(file.name)
    yield file
    for needed in file.dependencies:
        if needed.name not in seen:
            yield from _with_imports(needed, seen)


def _set_error(response: Response, status: Status, message: str) -> None:
    response.error_response.error_code = status.value
    response.error_response.error_message = message
