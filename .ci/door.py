#!/usr/bin/env python3
"""Calls through the door with grpcio, generated from the provider's contract alone. Argument: the test binary that serves a door."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import grpc
import people_pb2 as people
import people_pb2_grpc as people_grpc

LARGE = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


class Door:
    """A door in a process of its own, which says where it listens and answers commands."""

    def __init__(self, kind):
        self.process = subprocess.Popen(
            [sys.argv[1], "--exact", "served::serve_a_door", "--ignored", "--nocapture"],
            env={**os.environ, "EGOV_SERVE_DOOR": kind}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.ready = self.line()

    def line(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError("the door's process has ended")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def channel(self, *options, **arguments):
        return grpc.insecure_channel(self.ready["door"], options=[*LARGE, *options], **arguments)

    def metadata(self, *more):
        return [("authorization", f"Bearer {self.ready['token']}"), *more]


def person(name):
    return people.Person(name=name, secret="SECRET")


def refused(call, code, reason):
    """The call ends with this status, and its details name this reason."""
    try:
        call()
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata() or []).get("grpc-status-details-bin", b"")
        assert error.code() == code and reason.encode() in details, (error, details)
        return error
    raise AssertionError(f"{reason} was let through")


def until(what, done, patience=30):
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


def settled(stub, metadata):
    """Waits until the door knows its agreements: a moment after each start."""

    def answered():
        try:
            stub.Get(person("ready"), metadata=metadata, timeout=10, wait_for_ready=True)
            return True
        except grpc.RpcError:
            return False

    until("the first answer", answered, 60)


def infrastructure(door, channel):
    health = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert health(b"", timeout=30) == b"\x08\x01", "the door serves"
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=30)
    assert next(watch) == b"\x08\x01"
    watch.cancel()
    with grpc.insecure_channel(door.ready["service"]) as own:
        reflect = own.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        # list_services, of grpc/reflection/v1/reflection.proto
        (listed,) = reflect(iter([b"\x3a\x00"]), timeout=30)
        assert b"egov.integration.v1.AgreementService" in listed
    # Through the door one calls what is agreed; what there is, the directory says.
    reflect = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    refused(lambda: list(reflect(iter([b"\x3a\x00"]), timeout=30)), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


def unary(door, stub):
    answer, call = stub.Get.with_call(person("Nguyễn Văn A"), metadata=door.metadata(), timeout=30)
    assert answer == person("Nguyễn Văn A")
    assert len(dict(call.initial_metadata())["x-egov-exchange"]) == 36
    assert dict(call.trailing_metadata())["x-egov-promise"]
    masked = stub.Change(person("Nguyễn Văn A"), metadata=door.metadata(), timeout=30)
    assert masked == people.Person(name="Nguyễn Văn A"), masked


def metadata(door, stub):
    sent = [
        ("x-try-text", "printable, with spaces"), ("x-try-text", "twice"), ("x-try-name-bin", "Nguyễn Văn A".encode()),
        ("x-try-bytes-bin", bytes(range(256))), ("x-trail-name-bin", "Nghệ An".encode()), ("x-trail-text", "after"),
    ]
    _, call = stub.Get.with_call(person("a"), metadata=door.metadata(*sent), timeout=30)
    head, trailers = list(call.initial_metadata()), list(call.trailing_metadata())
    for pair in sent:
        assert pair in (trailers if pair[0].startswith("x-trail-") else head), (pair, head, trailers)
    assert [value for name, value in head if name == "x-try-text"] == ["printable, with spaces", "twice"]


def errors(door, stub):
    call = lambda: stub.Get(person("a"), metadata=door.metadata(("x-fail", "1"), ("x-trail-text", "after")), timeout=30)
    error = refused(call, grpc.StatusCode.NOT_FOUND, "PERSON_NOT_FOUND")
    assert dict(error.trailing_metadata())["x-trail-text"] == "after"
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert "không có người này".encode() in details and error.details(), error
    refused(lambda: stub.Get(person("a"), timeout=30), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    other = [("authorization", f"Bearer {door.ready['staff']}")]
    refused(lambda: stub.Get(person("a"), metadata=other, timeout=30), grpc.StatusCode.PERMISSION_DENIED, "NOT_A_SYSTEM")


def deadlines(door, stub):
    _, call = stub.Get.with_call(person("a"), metadata=door.metadata(), timeout=30)
    seen = dict(call.initial_metadata())["x-seen-timeout"]
    assert seen.endswith("m") and 20000 <= int(seen[:-1]) <= 30500, seen  # grpcio rounds up
    began = time.monotonic()
    try:
        stub.Get(person("a"), metadata=door.metadata(("x-delay-ms", "10000")), timeout=0.4)
        raise AssertionError("a deadline passed")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 5, error


def cancellation(door, stub):
    seen, recorded = door.ask("seen")["cancelled"], door.ask("outcomes").get("cancelled", 0)
    calls = door.ask("seen")["calls"]
    call = stub.Get.future(person("a"), metadata=door.metadata(("x-delay-ms", "20000")))
    until("the call", lambda: door.ask("seen")["calls"] > calls)
    call.cancel()
    stream = stub.Chat(iter_then_wait([person("a")]), metadata=door.metadata())
    assert next(stream) == person("a")
    stream.cancel()
    until("the provider's notice", lambda: door.ask("seen")["cancelled"] >= seen + 2)
    until("the record", lambda: door.ask("outcomes").get("cancelled", 0) >= recorded + 2)


def iter_then_wait(messages):
    yield from messages
    threading.Event().wait(30)


def streams(door, stub):
    names = [str(place) for place in range(1000)]
    chat = stub.Chat((person(name) for name in names), metadata=door.metadata(), timeout=60)
    assert [answer.name for answer in chat] == names
    assert dict(chat.trailing_metadata())["x-egov-promise"]
    gathered = stub.Gather((person(name) for name in names), metadata=door.metadata(), timeout=60)
    assert gathered.name == ",".join(names)
    scattered = stub.Scatter(person("1000,10"), metadata=door.metadata(), timeout=60)
    assert [answer.name.split(":")[0] for answer in scattered] == names
    # One message there, one back, and so on: nothing waits for more.
    lock = threading.Semaphore(1)

    def turns():
        for name in names[:50]:
            lock.acquire()
            yield person(name)

    for place, answer in enumerate(stub.Chat(turns(), metadata=door.metadata(), timeout=60)):
        assert answer.name == names[place]
        lock.release()


def flow_control(door, stub):
    before = door.ask("seen")["scattered"]
    stream = stub.Scatter(person("40000,10000"), metadata=door.metadata(), timeout=60)
    for _ in range(5):
        next(stream)
    time.sleep(1.5)
    made = door.ask("seen")["scattered"] - before
    assert made < 2000, f"{made} messages were made for a client that has read five"
    time.sleep(0.5)
    assert door.ask("seen")["scattered"] - before <= made + 5, "the provider waits"
    stream.cancel()


def compression(door):
    with door.channel(compression=grpc.Compression.Gzip) as channel:
        stub = people_grpc.PeopleStub(channel)
        name = "a" * 100_000
        assert stub.Get(person(name), metadata=door.metadata(), timeout=30).name == name
        assert stub.Change(person(name), metadata=door.metadata(), timeout=30) == people.Person(name=name)
        chat = stub.Chat((person(name) for _ in range(10)), metadata=door.metadata(), timeout=60)
        assert [answer.name for answer in chat] == [name] * 10


def sizes(door, stub):
    name = "a" * (3 << 20)
    assert stub.Get(person(name), metadata=door.metadata(), timeout=30).name == name
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    too_large = person("a" * (5 << 20))
    refused(lambda: stub.Get(too_large, metadata=door.metadata(), timeout=30), code, "MESSAGE_TOO_LARGE")
    refused(lambda: list(stub.Chat(iter([too_large]), metadata=door.metadata(), timeout=30)), code, "MESSAGE_TOO_LARGE")
    wanted = door.metadata(("x-size", str(5 << 20)))
    refused(lambda: stub.Get(person("a"), metadata=wanted, timeout=30), code, "MESSAGE_TOO_LARGE")


def keepalive(door):
    options = [
        ("grpc.keepalive_time_ms", 300), ("grpc.keepalive_timeout_ms", 1000), ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with door.channel(*options) as channel:
        stub = people_grpc.PeopleStub(channel)
        assert stub.Get(person("a"), metadata=door.metadata(("x-delay-ms", "3000")), timeout=30) == person("a")
        time.sleep(1.5)
        assert stub.Get(person("b"), metadata=door.metadata(), timeout=30) == person("b")


def at_once(door, stub):
    calls = [
        stub.Get.future(person(str(place)), metadata=door.metadata(("x-delay-ms", "500")), timeout=60) for place in range(100)
    ]
    assert [call.result().name for call in calls] == [str(place) for place in range(100)]


def restart(door, channel, stub):
    """The door stops and comes back: a stream is told, a call that waits for it is answered, on the same channel."""
    stream = stub.Chat(iter_then_wait([person("a")]), metadata=door.metadata())
    assert next(stream) == person("a")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        again = pool.submit(door.ask, "again")
        refused(lambda: next(stream), grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        waiting = pool.submit(lambda: settled(stub, door.metadata()))
        again.result(timeout=60)
        waiting.result(timeout=60)
    assert stub.Get(person("b"), metadata=door.metadata(), timeout=30) == person("b")


def certificates():
    door = Door("tls")
    folder = pathlib.Path(door.ready["certificates"])
    read = lambda name: (folder / name).read_bytes()
    address = "localhost:" + door.ready["door"].rsplit(":", 1)[1]

    def stub(authority, name):
        pair = {"private_key": read(f"{name}.key"), "certificate_chain": read(f"{name}.pem")} if name else {}
        return people_grpc.PeopleStub(grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, **pair)))

    authority, code = read("authority.pem"), grpc.StatusCode.UNAUTHENTICATED
    own = stub(authority, "own")
    settled(own, door.metadata())
    assert own.Get(person("a"), metadata=door.metadata(), timeout=30) == person("a")
    for name in ("other", None):
        other = stub(authority, name)
        refused(lambda: other.Get(person("a"), metadata=door.metadata(), timeout=30), code, "CERTIFICATE_NOT_BOUND")
    try:
        # Another authority than the one that has issued the door's certificate.
        stub(read("own.pem"), "own").Get(person("a"), metadata=door.metadata(), timeout=30)
        raise AssertionError("a door without a known authority was believed")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    door.end()


def main():
    door = Door("plain")
    with door.channel() as channel:
        stub = people_grpc.PeopleStub(channel)
        settled(stub, door.metadata())
        for check, arguments in [
            (infrastructure, (door, channel)), (unary, (door, stub)), (metadata, (door, stub)), (errors, (door, stub)),
            (deadlines, (door, stub)), (cancellation, (door, stub)), (streams, (door, stub)), (flow_control, (door, stub)),
            (compression, (door,)), (sizes, (door, stub)), (keepalive, (door,)), (at_once, (door, stub)),
            (restart, (door, channel, stub)),
        ]:
            began = time.monotonic()
            check(*arguments)
            print(f"grpcio {grpc.__version__}: {check.__name__} ({time.monotonic() - began:.1f} s)")
    until("the end of every exchange", lambda: door.ask("outcomes")["open"] == 0)
    outcomes = door.ask("outcomes")
    assert "unknown" not in outcomes, outcomes
    door.end()
    certificates()
    print(f"grpcio {grpc.__version__}: certificates")
    print(outcomes)


main()
