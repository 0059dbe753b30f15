#!/usr/bin/env python3
"""A call through the door with grpcio: a token, the call, its promise, its receipt, the check of it.

Lies in the folder that `cargo egov partner new NAME` wrote, and reads partner.json, client-key.pem and contracts.binpb there.
Needs: pip install grpcio protobuf 'PyJWT[crypto]'
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import grpc
import jwt
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

FOLDER = Path(__file__).resolve().parent
CARD = json.loads((FOLDER / "partner.json").read_text(encoding="utf-8"))


def token():
    """Client credentials (RFC 6749, section 4.4), proved by a signed assertion (RFC 7523). It counts five minutes."""
    now = int(time.time())
    claims = {
        "iss": CARD["client_id"], "sub": CARD["client_id"], "aud": CARD["token_endpoint"],
        "iat": now, "exp": now + 60, "jti": str(uuid.uuid4()),
    }
    key = (FOLDER / CARD["client_key"]).read_text(encoding="utf-8")
    assertion = jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": CARD["client_key_id"]})
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(CARD["token_endpoint"], body, timeout=20) as answer:
        return json.load(answer)["access_token"]


class Contracts:
    """The contracts from their descriptors, without generated code. `grpc_tools.protoc` over proto/ does as well."""

    def __init__(self, path):
        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
            self.pool.Add(file)

    def method(self, channel, service, name):
        """The request's class, and the call."""
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        request = message_factory.GetMessageClass(method.input_type)
        response = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=request.SerializeToString, response_deserializer=response.FromString,
        )
        return request, call


def channel(url):
    """In production: grpc.secure_channel with the client certificate to which the token is bound."""
    return grpc.insecure_channel(url.removeprefix("http://"))


def main():
    procedure = sys.argv[1] if len(sys.argv) > 1 else "1.001193"
    contracts = Contracts(FOLDER / CARD["contracts"])
    metadata = [("authorization", f"Bearer {token()}")]

    with channel(CARD["door"]) as door:
        request, call = contracts.method(door, "egov.onestop.v1.ProcedureService", "GetProcedure")
        asked = request(procedure_code=procedure)
        try:
            answer, done = call.with_call(
                asked, metadata=[*metadata, ("x-egov-service", CARD["service_id"])], timeout=20
            )
        except grpc.RpcError as error:
            sys.exit(f"the call was refused: {error.code()}: {error.details()}")
    print(json_format.MessageToJson(answer, ensure_ascii=False))
    said = {pair.key: pair.value for pair in (*done.initial_metadata(), *done.trailing_metadata())}
    exchange, promise = said["x-egov-exchange"], said["x-egov-promise"]
    print("exchange:", exchange)
    print("promise:", promise)

    with channel(CARD["url"]) as platform:
        request, call = contracts.method(platform, "egov.integration.v1.ExchangeService", "GetExchangeReceipt")
        receipt = call(request(exchange_id=exchange), metadata=metadata, timeout=20)
    # What was recorded of the request is what was sent: SHA-256 over the gRPC frame (a byte, the length in four, the message).
    message = asked.SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    assert receipt.exchange.request.sha256 == hashlib.sha256(frame).digest(), "another request was recorded"
    (FOLDER / "receipt.json").write_text(json_format.MessageToJson(receipt), encoding="utf-8")

    # Offline, with nothing but the key of the ledger: `cargo egov` in a clone, or the binary.
    egov = shlex.split(os.environ.get("EGOV", "cargo egov"))
    check = ["verify", "exchange", str(FOLDER / "receipt.json"), "--key", CARD["ledger_key"], "--promise", promise]
    subprocess.run([*egov, *check], check=True)


if __name__ == "__main__":
    main()
