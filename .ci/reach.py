#!/usr/bin/env python3
"""How far an outside fuzzer gets: hooks for schemathesis, and the count of what they saw.

As a module of hooks (SCHEMATHESIS_HOOKS) it does two things in each run. Requests that are well formed name random things, which
nobody has, and days that no calendar has: three of four are given the id of something that is there, by the file KNOWN or an earlier
answer, days of this month, and a purpose that is known, so that they get past the search for a row. And it writes to the file REACH
how each operation was answered.

As a program:
  reach.py ids OPENAPI URL NAME=ID… TOKEN…
                                       prints these ids and those of what the lists of the platform name, for KNOWN
  reach.py count OPENAPI FLOOR FILE…   adds up files of REACH; fails if less than FLOOR per cent of the operations were reached"""

import atexit
import datetime
import json
import os
import re
import sys
import threading
import urllib.error
import urllib.request
import uuid

# Whoever closes these ends the run of another account, so that none but a given one is taken; and the platform opens connections
# to what an endpoint names.
SPARED = {"accountId", "sessionId", "grantId", "issuerId", "identityId"}
# What is named by something else than a UUID.
CODES = {"procedureCode", "caseCode", "unitId", "interfaceVersion", "log"}
SPARED_PATH = re.compile(r"/endpoints|^/v1/systems/")
# What is refused before an RPC is asked, or by the form of its request alone.
FORM = {"INVALID_FIELD", "MEDIA_TYPE_UNSUPPORTED", "HTTP_METHOD_NOT_ALLOWED", "MESSAGE_TOO_LARGE", "PATH_UNKNOWN"}
NOT_REACHED = {401, 403, 404, 405, 413, 415}
PURPOSE = "x-egov-purpose"


def is_uuid(value):
    try:
        return isinstance(value, str) and bool(uuid.UUID(value)) and len(value) == 36
    except ValueError:
        return False


def collected(value, known):
    """Takes up every id that an answer names, by the name of its field."""
    if isinstance(value, list):
        for one in value[:20]:
            collected(one, known)
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, (dict, list)):
                collected(one, known)
            elif name in CODES and type(one) in (int, str) or name.endswith("Id") and name not in SPARED and is_uuid(one):
                ids = known.setdefault(name, [])
                if one not in ids and len(ids) < 20:
                    ids.append(one)


PARTS = ("year", "month", "day")


def part_of_this_month(part, turn):
    """A day has three parts; which day of the month is another in each request, so that some periods begin before they end."""
    today = datetime.date.today()
    return {"year": today.year, "month": today.month, "day": 1 + turn % 28}[part]


def dated(value, turn):
    """Gives each date of a message, however deep, a day that there is."""
    if isinstance(value, list):
        for one in value:
            dated(one, turn)
    elif isinstance(value, dict):
        if value and set(value) <= set(PARTS):
            value.update({part: part_of_this_month(part, turn) for part in PARTS})
        else:
            for number, one in enumerate(value.values()):
                dated(one, turn + number)


class Run:
    """What one run knows and has seen. Its workers share it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.known = {}
        if os.environ.get("KNOWN"):
            with open(os.environ["KNOWN"], encoding="utf-8") as file:
                self.known = json.load(file)
        self.turns = {}
        self.seen = {}

    def turn(self, label):
        """Which request of an operation this is."""
        with self.lock:
            self.turns[label] = self.turns.get(label, -1) + 1
            return self.turns[label]

    def prepare(self, case, label):
        turn = self.turn(label)
        if turn % 4 == 3:
            return
        headers = case.headers
        if headers and PURPOSE in headers:
            headers[PURPOSE] = "case_handling"
        dated(case.body, turn)
        query = case.query or {}
        for number, field in enumerate(sorted({name.rpartition(".")[0] for name in query if name.rpartition(".")[2] in PARTS})):
            query.update({f"{field}.{part}": part_of_this_month(part, turn + number) for part in PARTS})
        if SPARED_PATH.search(case.operation.path):
            return
        for name, value in list((case.path_parameters or {}).items()):
            with self.lock:
                ids = self.known.get(name)
            if ids and (name in CODES or is_uuid(value)):
                case.path_parameters[name] = ids[turn % len(ids)]

    def note(self, label, response):
        reason = (response.headers.get("x-egov-reason") or [""])[0]
        status = response.status_code
        if status < 400:
            kind = "answered"
        elif status not in NOT_REACHED and reason not in FORM:
            kind = "refused by a rule"
        else:
            kind = "not reached"
        named = None
        if status == 200 and "json" in (response.headers.get("content-type") or [""])[0]:
            try:
                named = response.json()
            except ValueError:
                pass
        with self.lock:
            counts = self.seen.setdefault(label, {})
            counts[kind] = counts.get(kind, 0) + 1
            why = counts.setdefault("why", {})
            why[f"{status} {reason}"] = why.get(f"{status} {reason}", 0) + 1
            collected(named, self.known)

    def write(self):
        with open(os.environ["REACH"], "w", encoding="utf-8") as file:
            json.dump(self.seen, file)


def hooks():
    import schemathesis

    run = Run()
    atexit.register(run.write)

    @schemathesis.hook
    def before_call(context, case, kwargs):
        # Requests by other verbs try what the operation refuses.
        if case.method.upper() == case.operation.method.upper():
            run.prepare(case, case.operation.label)

    @schemathesis.hook
    def after_call(context, case, response):
        if case.method.upper() == case.operation.method.upper():
            run.note(case.operation.label, response)


def read(document):
    with open(document, encoding="utf-8") as file:
        return json.load(file)["paths"]


def ids(document, url, *rest):
    known = {name: [one] for name, one in (pair.split("=") for pair in rest if "=" in pair)}
    tokens = [one for one in rest if "=" not in one]
    for path, verbs in read(document).items():
        needed = [one for one in verbs.get("get", {}).get("parameters", []) if one.get("required") and one.get("in") != "header"]
        if "get" not in verbs or "{" in path or needed:
            continue
        for token in tokens:
            request = urllib.request.Request(url + path, headers={"authorization": f"Bearer {token}", PURPOSE: "case_handling"})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    collected(json.load(answer), known)
            except (urllib.error.HTTPError, ValueError):
                # Not everybody may ask everything, and not every answer is JSON.
                pass
    json.dump(known, sys.stdout)


def count(document, floor, *files):
    paths = read(document)
    operations = {
        f"{verb.upper()} {path}": operation["tags"][0]
        for path, verbs in paths.items() for verb, operation in verbs.items() if "operationId" in operation
    }
    best, why = {}, {}
    for name in files:
        with open(name, encoding="utf-8") as file:
            for label, counts in json.load(file).items():
                kind = "answered" if counts.get("answered") else "refused by a rule" if counts.get("refused by a rule") else ""
                if kind == "answered" or not best.get(label):
                    best[label] = kind
                whys = why.setdefault(label, {})
                for one, times in counts["why"].items():
                    whys[one] = whys.get(one, 0) + times
    services = {}
    for label, service in operations.items():
        row = services.setdefault(service, {"answered": 0, "refused by a rule": 0, "": 0})
        row[best.get(label, "")] += 1
    print(f"{'service':<44}{'answered':>10}{'by a rule':>11}{'of':>5}")
    for service, row in sorted(services.items()):
        print(f"{service:<44}{row['answered']:>10}{row['refused by a rule']:>11}{sum(row.values()):>5}")
    for label in operations:
        if not best.get(label):
            often = sorted(why.get(label, {"never asked": 0}).items(), key=lambda pair: -pair[1])[:3]
            print(f"  not reached: {label} ({', '.join(f'{one} × {times}' for one, times in often)})")
    answered = sum(1 for label in operations if best.get(label) == "answered")
    reached = sum(1 for label in operations if best.get(label))
    share = 100 * reached / len(operations)
    print(f"reached: {reached} of {len(operations)} operations ({share:.1f} %), {answered} of them answered; at least {floor} %")
    if share < float(floor):
        sys.exit(f"the fuzzer reaches {share:.1f} % of the operations; at least {floor} % is asked")


if __name__ == "__main__":
    {"ids": ids, "count": count}[sys.argv[1]](*sys.argv[2:])
elif "REACH" in os.environ:
    hooks()
