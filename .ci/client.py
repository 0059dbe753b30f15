#!/usr/bin/env python3
"""A client in another language, generated from proto/ alone: repeats a write that was made over REST, uploads a file, reads
it back. Arguments: address, token, request id, SHA-256, upload id that the same request got over REST."""

import hashlib
import sys
import uuid

import grpc
from egov.onestop.v1 import file_service_pb2 as files
from egov.onestop.v1 import file_service_pb2_grpc as files_grpc
from egov.onestop.v1 import procedure_service_pb2 as procedures
from egov.onestop.v1 import procedure_service_pb2_grpc as procedures_grpc

address, token, request_id, sha256, expected = sys.argv[1:]
channel = grpc.insecure_channel(address)
metadata = [("authorization", f"Bearer {token}"), ("x-egov-purpose", "case_handling")]

# A read that needs no token.
found = procedures_grpc.ProcedureServiceStub(channel).GetProcedure(
    procedures.GetProcedureRequest(procedure_code="1.001193"), timeout=20
)
assert found.procedure.procedure_code == "1.001193", found
print("grpcio:", found.procedure.name)

# The same request gets the same answer, whichever way it comes.
service = files_grpc.FileServiceStub(channel)
same = service.StartUpload(
    files.StartUploadRequest(request_id=request_id, name="a.pdf", size=1, sha256=sha256), metadata=metadata, timeout=20
)
assert same.upload_id == expected, (same.upload_id, expected)
print("grpcio:", same.upload_id)

# A write of its own, in parts, read back.
content = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
digest = hashlib.sha256(content).hexdigest()
upload = service.StartUpload(
    files.StartUploadRequest(request_id=str(uuid.uuid4()), name="đơn.pdf", size=len(content), sha256=digest),
    metadata=metadata, timeout=20,
)
half = len(content) // 2
for offset, part in ((0, content[:half]), (half, content[half:])):
    service.PutChunk(
        files.PutChunkRequest(
            upload_id=upload.upload_id, offset=offset, data=part, sha256=hashlib.sha256(part).hexdigest()
        ),
        metadata=metadata, timeout=20,
    )
file = service.FinishUpload(
    files.FinishUploadRequest(request_id=str(uuid.uuid4()), upload_id=upload.upload_id), metadata=metadata, timeout=20
).file
read = service.ReadFile(
    files.ReadFileRequest(file_id=file.file_id, offset=0, length=len(content)), metadata=metadata, timeout=20
)
assert read.data == content, read

# A refusal has its reason and every violation in the details.
try:
    service.StartUpload(files.StartUploadRequest(), metadata=metadata, timeout=20)
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert b"INVALID_FIELD" in details and b"request_id" in details and b"sha256" in details, details
else:
    raise AssertionError("an empty request was taken")
print("grpcio:", file.file_id)
