"""The provider's side of the engine's protocol, for any package whose SDK is installed."""

# ruff: noqa: N802  the names of the methods are the protocol's own

from __future__ import annotations

import hashlib
import json
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from lab import calls
from tests.engine.standin import answers, awsx
from tests.engine.standin.cloud import Cloud, TakenError
from tests.engine.standin.replaces import replaces
from tests.engine.standin.spec import spec, version


def _dict(struct: struct_pb2.Struct) -> dict[str, Any]:
    return json_format.MessageToDict(struct)


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One package. The names of the methods are the protocol's own."""

    def __init__(self, package: str, cloud: Cloud) -> None:
        self.package = package
        self.cloud = cloud
        self.account = calls.Account()
        self.tags: dict[str, str] = {}

    # --- set-up

    def Handshake(self, request, context):
        # once a provider answers this, these flags count, and those of Configure do not
        return pb.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=version(self.package))

    def GetSchema(self, request, context):
        return pb.GetSchemaResponse(
            schema=json.dumps({"name": self.package, "version": version(self.package)})
        )

    def GetMapping(self, request, context):
        return pb.GetMappingResponse()

    def Cancel(self, request, context):
        return empty_pb2.Empty()

    def Attach(self, request, context):
        return empty_pb2.Empty()

    def CheckConfig(self, request, context):
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        same = _dict(request.old_inputs) == _dict(request.news)
        changes = pb.DiffResponse.DIFF_NONE if same else pb.DiffResponse.DIFF_SOME
        return pb.DiffResponse(changes=changes)

    def Configure(self, request, context):
        given = answers.plain(_dict(request.args))
        accounts = json.loads(given.get("allowedAccountIds") or "[]")
        default = self.account
        self.account = calls.Account(
            account_id=accounts[0] if accounts else default.account_id,
            region=given.get("region") or default.region,
        )
        self.tags = (json.loads(given.get("defaultTags") or "{}") or {}).get("tags") or {}
        return pb.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Invoke(self, request, context):
        answer = calls.answer(request.tok, self.account, answers.plain(_dict(request.args)))
        if answer is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in has no answer for {request.tok}")
        return pb.InvokeResponse(**{"return": _struct(dict(answer or {}))})

    def Construct(self, request, context):
        return awsx.construct(request)

    # --- the life of a resource

    def Check(self, request, context):
        known = spec(answers.type_of(request.urn))
        news, olds = _dict(request.news), _dict(request.olds)
        failures = [
            pb.CheckFailure(property=key, reason=f"{known.type} has no input {key!r}")
            for key in news
            if key not in known.inputs and not key.startswith("__")
        ]
        if not known.known:
            failures = [pb.CheckFailure(reason=f"the SDK of {self.package} has no type {known.type}")]
        news["__defaults"] = []
        key = answers.name_key(known)
        if key and news.get(key) is None and not news.get(f"{key}Prefix"):
            news[key] = olds.get(key) if key in olds.get("__defaults", []) else self._name(request)
            news["__defaults"] = [key]
        if "region" in known.inputs and self.package == "aws":
            news.setdefault("region", self.account.region)
        for each, value in news.items():
            if isinstance(value, (dict, list)) and known.is_text(each) and answers.plain(value) is value:
                news[each] = answers.as_text(value)
        return pb.CheckResponse(inputs=_struct(news), failures=failures)

    def _name(self, request) -> str:
        if request.HasField("autonaming") and request.autonaming.proposed_name:
            return request.autonaming.proposed_name
        digest = hashlib.sha256(request.randomSeed or request.urn.encode()).hexdigest()
        return f"{answers.name_of(request.urn)}-{digest[:7]}".lower()

    def _key(self, urn: str, id_: str) -> str:
        """What a cloud finds it by; the other packages make values, whose ids say nothing (`none`)."""
        return id_ if self.package == "aws" else urn

    def Diff(self, request, context):
        type_ = answers.type_of(request.urn)
        old, new = _dict(request.old_inputs), _dict(request.news)
        skipped = {"__defaults", *request.ignoreChanges}
        detailed: dict[str, pb.PropertyDiff] = {}
        for key in sorted({*old, *new} - skipped):
            if old.get(key) == new.get(key):
                continue
            verb = "ADD" if key not in old else "DELETE" if key not in new else "UPDATE"
            verb += "_REPLACE" if replaces(type_, key) else ""
            detailed[key] = pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(verb), inputDiff=True)
        replaced = [key for key in detailed if replaces(type_, key)]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if detailed else pb.DiffResponse.DIFF_NONE,
            diffs=list(detailed),
            replaces=replaced,
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    def Create(self, request, context):
        known, inputs = spec(answers.type_of(request.urn)), _dict(request.properties)
        if request.preview:
            return pb.CreateResponse(id="", properties=_struct(answers.previewed(known, inputs)))
        id_, outputs = answers.made(known, request.urn, inputs, self.account, self.tags)
        try:
            self.cloud.create(known.type, self._key(request.urn, id_), outputs)
        except TakenError as error:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, str(error))
        return pb.CreateResponse(id=id_, properties=_struct(outputs))

    def Read(self, request, context):
        known = spec(answers.type_of(request.urn))
        outputs = self.cloud.read(known.type, self._key(request.urn, request.id))
        if outputs is None:
            return pb.ReadResponse()
        before = _dict(request.inputs)
        inputs = {
            key: value if key == "__defaults" else outputs.get(key, value) for key, value in before.items()
        }
        return pb.ReadResponse(id=request.id, properties=_struct(outputs), inputs=_struct(inputs))

    def Update(self, request, context):
        known = spec(answers.type_of(request.urn))
        olds, inputs = _dict(request.olds), _dict(request.news)
        kept = {key: value for key, value in olds.items() if key not in known.inputs and key in known.outputs}
        _, outputs = answers.made(known, request.urn, inputs, self.account, self.tags)
        outputs = {**outputs, **{key: value for key, value in kept.items() if key != "tagsAll"}}
        if not request.preview:
            self.cloud.write(known.type, self._key(request.urn, request.id), outputs)
        return pb.UpdateResponse(properties=_struct(outputs))

    def Delete(self, request, context):
        self.cloud.delete(answers.type_of(request.urn), self._key(request.urn, request.id))
        return empty_pb2.Empty()
