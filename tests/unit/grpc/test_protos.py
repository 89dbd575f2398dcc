"""The protobuf definitions against the facts of the wire: names, numbers, oneofs, reserved numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

from controller.grpc.gen.grpc.health.v1 import health_pb2
from controller.grpc.gen.grpc.reflection.v1 import reflection_pb2
from controller.grpc.gen.grpc.reflection.v1alpha import reflection_pb2 as reflection_v1alpha_pb2
from controller.grpc.gen.linkerd import (
    destination_pb2,
    grpc_route_pb2,
    http_route_pb2,
    http_types_pb2,
    inbound_pb2,
    meta_pb2,
    net_pb2,
    opaque_route_pb2,
    outbound_pb2,
    tls_route_pb2,
)

# One line a message: NUMBER NAME TYPE, `*` repeated, `?NAME` in the oneof NAME, `-N` reserved. Types of the own package
# have no package, those of others the last part of it. Types nested in the message begin with a dot.
FACTS = """
net
  IPAddress: 1 ipv4 fixed32 ?ip; 2 ipv6 IPv6 ?ip
  IPv6: 1 first fixed64; 2 last fixed64
  IPNetwork: 1 ip IPAddress; 2 prefix_len uint32
  TcpAddress: 1 ip IPAddress; 2 port uint32
meta
  Metadata: 1 default string ?kind; 2 resource Resource ?kind
  Resource: 1 group string; 2 kind string; 3 name string; 4 namespace string; 5 section string; 6 port uint32
http_types
  HttpMethod: 1 registered .Registered ?type; 2 unregistered string ?type
  Scheme: 1 registered .Registered ?type; 2 unregistered string ?type
  Headers: 1 headers .Header*
  Headers.Header: 1 name string; 2 value bytes
http_route
  HostMatch: 1 exact string ?match; 2 suffix .Suffix ?match
  HostMatch.Suffix: 1 reverse_labels string*
  HttpRouteMatch: 1 path PathMatch; 2 headers HeaderMatch*; 3 query_params QueryParamMatch*; 4 method http_types.HttpMethod
  PathMatch: 1 exact string ?kind; 2 prefix string ?kind; 3 regex string ?kind
  HeaderMatch: 1 name string; 2 exact bytes ?value; 3 regex string ?value
  QueryParamMatch: 1 name string; 2 exact string ?value; 3 regex string ?value
  RequestHeaderModifier: 1 add http_types.Headers; 2 set http_types.Headers; 3 remove string*
  ResponseHeaderModifier: 1 add http_types.Headers; 2 set http_types.Headers; 3 remove string*
  RequestRedirect: 1 scheme http_types.Scheme; 2 host string; 3 path PathModifier; 4 port uint32; 5 status uint32
  PathModifier: 1 full string ?replace; 2 prefix string ?replace
  HttpFailureInjector: 1 status uint32; 2 message string; 3 ratio Ratio
  Ratio: 1 numerator uint32; 2 denominator uint32
  Timeouts: 1 response protobuf.Duration; 2 request protobuf.Duration; 3 idle protobuf.Duration
grpc_route
  GrpcRouteMatch: 1 rpc GrpcRpcMatch; 2 headers http_route.HeaderMatch*
  GrpcRpcMatch: 1 service string; 2 method string
  GrpcFailureInjector: 1 code uint32; 2 message string; 3 ratio http_route.Ratio
opaque_route
  Invalid: 1 message string
  Forbidden:
tls_route
  SniMatch: 1 exact string ?match; 2 suffix .Suffix ?match
  SniMatch.Suffix: 1 reverse_labels string*
inbound
  PortSpec: 1 workload string; 2 port uint32
  Server: 1 protocol ProxyProtocol; 2 server_ips net.IPAddress*; 3 authorizations Authz*; 4 labels .LabelsEntry*
  Server.LabelsEntry: 1 key string; 2 value string
  ProxyProtocol: 1 detect .Detect ?kind; 2 opaque .Opaque ?kind; 3 tls .Tls ?kind; 4 http1 .Http1 ?kind; 5 http2 .Http2 ?kind; 6 grpc .Grpc ?kind
  ProxyProtocol.Detect: 1 timeout protobuf.Duration; -2; 3 http_routes HttpRoute*; 4 http_local_rate_limit HttpLocalRateLimit
  ProxyProtocol.Http1: -1; 2 routes HttpRoute*; 3 local_rate_limit HttpLocalRateLimit
  ProxyProtocol.Http2: -1; 2 routes HttpRoute*; 3 local_rate_limit HttpLocalRateLimit
  ProxyProtocol.Grpc: -1; 2 routes GrpcRoute*
  ProxyProtocol.Opaque:
  ProxyProtocol.Tls:
  Authz: 1 networks Network*; 2 authentication Authn; 3 labels .LabelsEntry*; 4 metadata meta.Metadata
  Authz.LabelsEntry: 1 key string; 2 value string
  Network: 1 net net.IPNetwork; 2 except net.IPNetwork*
  Authn: 1 unauthenticated .PermitUnauthenticated ?permit; 2 meshTLS .PermitMeshTLS ?permit
  Authn.PermitUnauthenticated:
  Authn.PermitMeshTLS: 1 unauthenticated Authn.PermitUnauthenticated ?clients; 2 identities .PermitClientIdentities ?clients
  Authn.PermitMeshTLS.PermitClientIdentities: 1 identities Identity*; 2 suffixes IdentitySuffix*
  Identity: 1 name string
  IdentitySuffix: 1 parts string*
  HttpRoute: 1 metadata meta.Metadata; 2 hosts http_route.HostMatch*; 3 authorizations Authz*; 4 rules .Rule*
  HttpRoute.Rule: 1 matches http_route.HttpRouteMatch*; 2 filters HttpRoute.Filter*
  HttpRoute.Filter: 1 failure_injector http_route.HttpFailureInjector ?kind; 2 request_header_modifier http_route.RequestHeaderModifier ?kind; 3 redirect http_route.RequestRedirect ?kind
  GrpcRoute: 1 metadata meta.Metadata; 2 hosts http_route.HostMatch*; 3 authorizations Authz*; 4 rules .Rule*
  GrpcRoute.Rule: 1 matches grpc_route.GrpcRouteMatch*; 2 filters GrpcRoute.Filter*
  GrpcRoute.Filter: 1 failure_injector grpc_route.GrpcFailureInjector ?kind; 2 request_header_modifier http_route.RequestHeaderModifier ?kind
  HttpLocalRateLimit: 1 metadata meta.Metadata; 2 total .Limit; 3 identity .Limit; 4 overrides .Override*
  HttpLocalRateLimit.Limit: 1 requestsPerSecond uint32
  HttpLocalRateLimit.Override: 1 limit HttpLocalRateLimit.Limit; 2 clients .ClientIdentities
  HttpLocalRateLimit.Override.ClientIdentities: 1 identities Identity*
outbound
  TrafficSpec: 1 source_workload string; 2 addr net.TcpAddress ?target; 3 authority string ?target
  OutboundPolicy: 1 protocol ProxyProtocol; 2 metadata meta.Metadata
  ProxyProtocol: 1 detect .Detect ?kind; 2 opaque .Opaque ?kind; 3 http1 .Http1 ?kind; 4 http2 .Http2 ?kind; 5 grpc .Grpc ?kind; 6 tls .Tls ?kind
  ProxyProtocol.Detect: 1 timeout protobuf.Duration; 2 opaque ProxyProtocol.Opaque; 3 http1 ProxyProtocol.Http1; 4 http2 ProxyProtocol.Http2
  ProxyProtocol.Opaque: 1 routes OpaqueRoute*
  ProxyProtocol.Http1: 1 routes HttpRoute*; 2 failure_accrual FailureAccrual
  ProxyProtocol.Http2: 1 routes HttpRoute*; 2 failure_accrual FailureAccrual
  ProxyProtocol.Grpc: 1 routes GrpcRoute*; 2 failure_accrual FailureAccrual
  ProxyProtocol.Tls: 1 routes TlsRoute*
  HttpRoute: 1 metadata meta.Metadata; 2 hosts http_route.HostMatch*; 3 rules .Rule*
  HttpRoute.Rule: 1 matches http_route.HttpRouteMatch*; 2 filters HttpRoute.Filter*; 3 backends HttpRoute.Distribution; 4 requestTimeout protobuf.Duration; 5 timeouts http_route.Timeouts; 6 retry HttpRoute.Retry; 7 allow_l5d_request_headers bool
  HttpRoute.Filter: 1 failure_injector http_route.HttpFailureInjector ?kind; 2 request_header_modifier http_route.RequestHeaderModifier ?kind; 3 redirect http_route.RequestRedirect ?kind; 4 response_header_modifier http_route.ResponseHeaderModifier ?kind
  HttpRoute.Distribution: 1 empty .Empty ?kind; 2 first_available .FirstAvailable ?kind; 3 random_available .RandomAvailable ?kind
  HttpRoute.Distribution.Empty:
  HttpRoute.Distribution.FirstAvailable: 1 backends HttpRoute.RouteBackend*
  HttpRoute.Distribution.RandomAvailable: 1 backends HttpRoute.WeightedRouteBackend*
  HttpRoute.RouteBackend: 1 backend Backend; 3 filters HttpRoute.Filter*; 4 requestTimeout protobuf.Duration
  HttpRoute.WeightedRouteBackend: 1 backend HttpRoute.RouteBackend; 2 weight uint32
  HttpRoute.Retry: 1 max_retries uint32; 2 max_request_bytes uint32; 3 conditions .Conditions; 4 timeout protobuf.Duration; 5 backoff ExponentialBackoff
  HttpRoute.Retry.Conditions: 1 status_ranges .StatusRange*
  HttpRoute.Retry.Conditions.StatusRange: 1 start uint32; 2 end uint32
  GrpcRoute: 1 metadata meta.Metadata; 2 hosts http_route.HostMatch*; 3 rules .Rule*
  GrpcRoute.Rule: 1 matches grpc_route.GrpcRouteMatch*; 2 filters GrpcRoute.Filter*; 3 backends GrpcRoute.Distribution; 4 requestTimeout protobuf.Duration; 5 timeouts http_route.Timeouts; 6 retry GrpcRoute.Retry; 7 allow_l5d_request_headers bool
  GrpcRoute.Filter: 1 failure_injector grpc_route.GrpcFailureInjector ?kind; 2 request_header_modifier http_route.RequestHeaderModifier ?kind
  GrpcRoute.Distribution: 1 empty .Empty ?kind; 2 first_available .FirstAvailable ?kind; 3 random_available .RandomAvailable ?kind
  GrpcRoute.Distribution.Empty:
  GrpcRoute.Distribution.FirstAvailable: 1 backends GrpcRoute.RouteBackend*
  GrpcRoute.Distribution.RandomAvailable: 1 backends GrpcRoute.WeightedRouteBackend*
  GrpcRoute.RouteBackend: 1 backend Backend; 3 filters GrpcRoute.Filter*; 4 requestTimeout protobuf.Duration
  GrpcRoute.WeightedRouteBackend: 1 backend GrpcRoute.RouteBackend; 2 weight uint32
  GrpcRoute.Retry: 1 max_retries uint32; 2 max_request_bytes uint32; 3 conditions .Conditions; 4 timeout protobuf.Duration; 5 backoff ExponentialBackoff
  GrpcRoute.Retry.Conditions: 1 cancelled bool; 4 deadine_exceeded bool; 8 resource_exhausted bool; 13 internal bool; 14 unavailable bool
  OpaqueRoute: 1 metadata meta.Metadata; 3 rules .Rule*; -4
  OpaqueRoute.Rule: 1 backends OpaqueRoute.Distribution; 2 filters OpaqueRoute.Filter*
  OpaqueRoute.Filter: 1 invalid opaque_route.Invalid ?kind; 2 forbidden opaque_route.Forbidden ?kind
  OpaqueRoute.Distribution: 1 empty .Empty ?kind; 2 first_available .FirstAvailable ?kind; 3 random_available .RandomAvailable ?kind
  OpaqueRoute.Distribution.Empty:
  OpaqueRoute.Distribution.FirstAvailable: 1 backends OpaqueRoute.RouteBackend*
  OpaqueRoute.Distribution.RandomAvailable: 1 backends OpaqueRoute.WeightedRouteBackend*
  OpaqueRoute.RouteBackend: 1 backend Backend; -2; 3 filters OpaqueRoute.Filter*
  OpaqueRoute.WeightedRouteBackend: 1 backend OpaqueRoute.RouteBackend; 2 weight uint32
  TlsRoute: 1 metadata meta.Metadata; 2 snis tls_route.SniMatch*; 3 rules .Rule*; -4
  TlsRoute.Rule: 1 backends TlsRoute.Distribution; 2 filters TlsRoute.Filter*
  TlsRoute.Filter: 1 invalid opaque_route.Invalid ?kind; 2 forbidden opaque_route.Forbidden ?kind
  TlsRoute.Distribution: 1 empty .Empty ?kind; 2 first_available .FirstAvailable ?kind; 3 random_available .RandomAvailable ?kind
  TlsRoute.Distribution.Empty:
  TlsRoute.Distribution.FirstAvailable: 1 backends TlsRoute.RouteBackend*
  TlsRoute.Distribution.RandomAvailable: 1 backends TlsRoute.WeightedRouteBackend*
  TlsRoute.RouteBackend: 1 backend Backend; -2; 3 filters TlsRoute.Filter*
  TlsRoute.WeightedRouteBackend: 1 backend TlsRoute.RouteBackend; 2 weight uint32
  Backend: 1 metadata meta.Metadata; 2 forward destination.WeightedAddr ?kind; 3 balancer .BalanceP2c ?kind; 4 queue Queue
  Backend.EndpointDiscovery: 1 dst .DestinationGet ?kind
  Backend.EndpointDiscovery.DestinationGet: 1 path string
  Backend.BalanceP2c: 1 discovery Backend.EndpointDiscovery; 2 peak_ewma .PeakEwma ?load; 3 penalty_peak_ewma .PenaltyPeakEwma ?load
  Backend.BalanceP2c.PeakEwma: 1 default_rtt protobuf.Duration; 2 decay protobuf.Duration
  Backend.BalanceP2c.PenaltyPeakEwma: 1 default_rtt protobuf.Duration; 2 decay protobuf.Duration; 3 penalty protobuf.Duration; 4 max_retry_after protobuf.Duration; 5 penalty_decay protobuf.Duration
  Queue: 1 capacity uint32; 2 failfast_timeout protobuf.Duration
  FailureAccrual: 1 consecutive_failures .ConsecutiveFailures ?kind; 2 unified .Unified ?kind; 3 ejection EjectionConfig
  FailureAccrual.ConsecutiveFailures: 1 max_failures uint32; 2 backoff ExponentialBackoff
  FailureAccrual.Unified: 1 success_rate_threshold double; 2 decay protobuf.Duration; 3 min_requests uint32; 4 max_consecutive_failures uint32; 5 backoff ExponentialBackoff
  EjectionConfig: 1 min_ready_endpoints uint32
  ExponentialBackoff: 1 min_backoff protobuf.Duration; 2 max_backoff protobuf.Duration; 3 jitter_ratio float; 4 respect_retry_after_hint bool
destination
  WeightedAddr: 1 addr net.TcpAddress; 3 weight uint32; 4 metric_labels .MetricLabelsEntry*; 5 tls_identity TlsIdentity; 6 protocol_hint ProtocolHint; 7 authority_override AuthorityOverride; 8 http2 Http2ClientParams; 9 resource_ref meta.Metadata
  WeightedAddr.MetricLabelsEntry: 1 key string; 2 value string
  TlsIdentity: 1 dns_like_identity .DnsLikeIdentity ?strategy; -2; 3 uri_like_identity .UriLikeIdentity ?strategy; 4 server_name .DnsLikeIdentity
  TlsIdentity.DnsLikeIdentity: 1 name string
  TlsIdentity.UriLikeIdentity: 1 uri string
  ProtocolHint: 1 h2 .H2 ?protocol; 2 opaque_transport .OpaqueTransport; 3 opaque .Opaque ?protocol
  ProtocolHint.H2:
  ProtocolHint.Opaque:
  ProtocolHint.OpaqueTransport: 1 inbound_port uint32
  AuthorityOverride: 1 authority_override string
  Http2ClientParams: 1 flow_control .FlowControl; 2 keep_alive .KeepAlive; 3 internals .Internals
  Http2ClientParams.FlowControl: 1 initial_connection_window_size uint32; 2 initial_stream_window_size uint32; 3 adaptive_flow_control bool
  Http2ClientParams.KeepAlive: 1 interval protobuf.Duration; 2 timeout protobuf.Duration; 3 while_idle bool
  Http2ClientParams.Internals: 1 max_concurrent_reset_streams uint32; 2 max_frame_size uint32; 3 max_send_buf_size uint32
"""  # noqa: E501  # one message, one line

FILES: dict[str, FileDescriptor] = {
    module.DESCRIPTOR.package.rpartition(".")[2]: module.DESCRIPTOR
    for module in (
        net_pb2,
        meta_pb2,
        http_types_pb2,
        http_route_pb2,
        grpc_route_pb2,
        opaque_route_pb2,
        tls_route_pb2,
        inbound_pb2,
        outbound_pb2,
        destination_pb2,
    )
}
SCALARS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_") and name not in ("TYPE_MESSAGE", "TYPE_ENUM")
}


def facts() -> dict[str, dict[str, str]]:
    packages: dict[str, dict[str, str]] = {}
    package = ""
    for line in filter(None, FACTS.splitlines()):
        if line.startswith("  "):
            name, _, fields = line.strip().partition(":")
            packages[package][name] = fields.strip()
        else:
            package = line
            packages[package] = {}
    return packages


def messages(parent: FileDescriptor | Descriptor) -> Iterator[Descriptor]:
    inner = parent.message_types_by_name if isinstance(parent, FileDescriptor) else parent.nested_types_by_name
    for message in inner.values():
        yield message
        yield from messages(message)


def local_name(message: Descriptor) -> str:
    return message.full_name.removeprefix(f"{message.file.package}.")


def type_of(field: FieldDescriptor) -> str:
    kind = field.message_type or field.enum_type
    if kind is None:
        return SCALARS[field.type]
    if kind.containing_type is field.containing_type:
        return f".{kind.name}"
    name = kind.full_name.removeprefix(f"{kind.file.package}.")
    return name if kind.file is field.file else f"{kind.file.package.rpartition('.')[2]}.{name}"


def fields(message: Descriptor) -> str:
    """The message in the words of `FACTS`."""
    parts: dict[int, str] = {}
    for field in message.fields:
        oneof = field.containing_oneof
        parts[field.number] = f"{field.number} {field.name} {type_of(field)}" + "*" * field.is_repeated
        parts[field.number] += f" ?{oneof.name}" if oneof else ""
    proto = DescriptorProto()
    message.CopyToProto(proto)
    for reserved in proto.reserved_range:
        parts.update((number, f"-{number}") for number in range(reserved.start, reserved.end))
    return "; ".join(parts[number] for number in sorted(parts))


@pytest.mark.parametrize("package", facts())
def test_messages(package: str) -> None:
    """Each package has exactly the messages and fields that proxies know."""
    file = FILES[package]

    assert file.package == f"io.linkerd.proxy.{package}"
    assert {local_name(message): fields(message) for message in messages(file)} == facts()[package]


def test_every_package_is_described() -> None:
    """No definition escapes the facts."""
    assert FILES.keys() == facts().keys()


@pytest.mark.parametrize(
    ("enum", "values"),
    [
        (
            http_types_pb2.HttpMethod.Registered,
            {"GET": 0, "POST": 1, "PUT": 2, "DELETE": 3, "PATCH": 4, "OPTIONS": 5, "CONNECT": 6, "HEAD": 7, "TRACE": 8},
        ),
        (http_types_pb2.Scheme.Registered, {"HTTP": 0, "HTTPS": 1}),
        (
            health_pb2.HealthCheckResponse.ServingStatus,
            {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3},
        ),
    ],
)
def test_enums(enum, values: dict[str, int]) -> None:
    """Each enum has the values that the other side knows."""
    assert dict(enum.items()) == values


@pytest.mark.parametrize(
    ("file", "methods"),
    [
        (
            inbound_pb2.DESCRIPTOR,
            {
                "/io.linkerd.proxy.inbound.InboundServerPolicies/GetPort": "PortSpec Server",
                "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort": "PortSpec stream Server",
            },
        ),
        (
            outbound_pb2.DESCRIPTOR,
            {
                "/io.linkerd.proxy.outbound.OutboundPolicies/Get": "TrafficSpec OutboundPolicy",
                "/io.linkerd.proxy.outbound.OutboundPolicies/Watch": "TrafficSpec stream OutboundPolicy",
            },
        ),
        (
            health_pb2.DESCRIPTOR,
            {
                "/grpc.health.v1.Health/Check": "HealthCheckRequest HealthCheckResponse",
                "/grpc.health.v1.Health/Watch": "HealthCheckRequest stream HealthCheckResponse",
            },
        ),
        (
            reflection_pb2.DESCRIPTOR,
            {
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": (
                    "stream ServerReflectionRequest stream ServerReflectionResponse"
                ),
            },
        ),
        (
            reflection_v1alpha_pb2.DESCRIPTOR,
            {
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (
                    "stream ServerReflectionRequest stream ServerReflectionResponse"
                ),
            },
        ),
    ],
    ids=lambda value: value.package if isinstance(value, FileDescriptor) else "",
)
def test_services(file: FileDescriptor, methods: dict[str, str]) -> None:
    """Each service has exactly the methods that clients call."""
    found = {
        f"/{service.full_name}/{method.name}": " ".join(
            [
                *["stream"] * method.client_streaming,
                method.input_type.name,
                *["stream"] * method.server_streaming,
                method.output_type.name,
            ]
        )
        for service in file.services_by_name.values()
        for method in service.methods
    }

    assert found == methods


@pytest.mark.parametrize("file", [reflection_pb2.DESCRIPTOR, reflection_v1alpha_pb2.DESCRIPTOR])
def test_reflection(file: FileDescriptor) -> None:
    """Both versions of reflection have the fields that grpcurl knows."""
    assert {local_name(message): fields(message) for message in messages(file)} == {
        "ServerReflectionRequest": (
            "1 host string; 3 file_by_filename string ?message_request; "
            "4 file_containing_symbol string ?message_request; "
            "5 file_containing_extension ExtensionRequest ?message_request; "
            "6 all_extension_numbers_of_type string ?message_request; 7 list_services string ?message_request"
        ),
        "ExtensionRequest": "1 containing_type string; 2 extension_number int32",
        "ServerReflectionResponse": (
            "1 valid_host string; 2 original_request ServerReflectionRequest; "
            "4 file_descriptor_response FileDescriptorResponse ?message_response; "
            "5 all_extension_numbers_response ExtensionNumberResponse ?message_response; "
            "6 list_services_response ListServiceResponse ?message_response; "
            "7 error_response ErrorResponse ?message_response"
        ),
        "FileDescriptorResponse": "1 file_descriptor_proto bytes*",
        "ExtensionNumberResponse": "1 base_type_name string; 2 extension_number int32*",
        "ListServiceResponse": "1 service ServiceResponse*",
        "ServiceResponse": "1 name string",
        "ErrorResponse": "1 error_code int32; 2 error_message string",
    }
