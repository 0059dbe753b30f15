#!/usr/bin/env python3
"""Due dates of administrative procedures, a second time.

Written from the articles, not from the Rust crate, and built differently on purpose: the crate walks day by day and keeps a
tally; this program first makes a sieve of the days that can count and takes the n-th of them, and for hours it sweeps over
the moments at which the clock starts or stops. It reads one thing only: the list of days off and swapped working days.

    second_implementation.py LIST.csv < questions.jsonl > answers.jsonl

A question is one JSON object a line:
    {"received": "2026-11-23T09:00:00", "unit": "working_days", "value": 3, "cut_off": null,
     "first_day_counted": false, "last_day_moves": true, "pauses": [["2026-11-24T08:00:00", null]]}
Any of these may be added:
    "states": [["2026-11-24T08:00:00", 5], ["2026-11-26T10:00:00", 4]]   instead of "pauses": the national states that the case entered
    "extended_by": 3            gia han: so many working days were added
    "notice": {"off": ["2026-11-25"], "worked": ["2026-11-28"]}          a notice that changes the list
    "offers": {"online": {"time": TIME, "special": [["nha_o", TIME]]}}, "channel": "online", "conditions": ["nha_o"]
        instead of "unit", "value" and "cut_off", which a TIME has: the time of the channel, or of the first condition that holds
    "remind_before": 1          when a reminder is sent, so many working days before
An answer is {"due": "..."} (with "remind": "..." where it was asked) or {"stopped": true} (a pause without an end holds the clock) or {"unknown": true} (the list does
not reach that far).

What it follows:
  * BLDS 2015 Đ.147: a period in hours begins at its moment; in a period of days the day of the event that begins it does not
    count. Taking a case up again after a pause is such an event.
  * BLDS 2015 Đ.148: a period of days ends with the end of its last day; if that is a weekly rest day or a holiday, with the
    end of the next working day. A period of hours has a last moment and no last day.
  * BLLĐ 2019 Đ.112 with the yearly notices: the days off and the rest days that are worked in exchange (the list).
  * Same-day procedures: received after the cut-off, or when the office is not at work any more, is received on the next
    working day; a result is handed out before the office closes.
  * While the applicant completes the case (state 5) or pays (state 6), the clock stands still; in no other state, however long
    the work or an opinion of another office takes.
  * An extension adds working days after the last day of the period; a day on which the clock stood still is none of them.
  * The time is that of the channel by which the case came; where the case is of a special kind that has its own time, that one.
  * A notice of the government decides what the list says otherwise.
  * A reminder comes as the office opens, so many working days before the day on which the result is due.
"""

import copy
import csv
import json
import sys
from datetime import date, datetime, time, timedelta

MORNING = (time(7, 30), time(11, 30))
AFTERNOON = (time(13, 30), time(17, 0))
CLOSE = AFTERNOON[1]
NEVER = datetime.max
ONE_DAY = timedelta(days=1)


class Unknown(Exception):
    """The list of days does not reach that far."""


class Stopped(Exception):
    """A pause without an end holds the clock."""


class DayList:
    def __init__(self, path):
        with open(path, encoding="utf-8", newline="") as rows:
            kinds = {date.fromisoformat(row["date"]): row["kind"] for row in csv.DictReader(rows)}
        self.off = {day for day, kind in kinds.items() if kind == "off"}
        self.worked = {day for day, kind in kinds.items() if kind == "workday_swap"}
        self.first = date(min(kinds).year, 1, 1)
        self.last = date(max(kinds).year, 12, 31)

    def with_notice(self, notice):
        changed = copy.copy(self)
        off, worked = ({date.fromisoformat(day) for day in notice.get(kind, [])} for kind in ("off", "worked"))
        changed.off = (self.off | off) - worked
        changed.worked = (self.worked | worked) - off
        return changed

    def works(self, day):
        if not self.first <= day <= self.last:
            raise Unknown
        if day in self.worked:
            return True
        return day.isoweekday() <= 5 and day not in self.off

    def days_from(self, day):
        while True:
            self.works(day)
            yield day
            day += ONE_DAY


def end_of(day):
    return datetime.combine(day, CLOSE)


def start_of(day):
    return datetime.combine(day, time.min)


def undisturbed(day, pauses, begin=None):
    """The clock runs on the day from its beginning to the close."""
    begin = start_of(day) if begin is None else begin
    return all(max(begin, since) >= min(end_of(day), until) for since, until in pauses)


def held_for_ever(moment, pauses):
    """The clock stopped before the moment and never runs again: a pause without an end, or pauses that lead up to one."""
    held_since = NEVER
    for since, until in sorted(pauses, key=lambda pause: pause[1], reverse=True):
        if until >= held_since:
            held_since = min(held_since, since)
    return held_since < moment


def nth_day(days_off_list, question, received, pauses, counts):
    """The day of the period with the number `value` among the days that can count, in order."""
    wanted = question["value"]
    for day in days_off_list.days_from(received.date()):
        if day == received.date():
            # Đ.147: not counted; where the rules say that it is, only what was received before the close.
            eligible = question["first_day_counted"] and received <= end_of(day)
            fits = eligible and counts(day) and undisturbed(day, pauses, received)
        else:
            if held_for_ever(end_of(day), pauses):
                raise Stopped
            fits = counts(day) and undisturbed(day, pauses)
        if fits:
            wanted -= 1
            if wanted == 0:
                return day


def due_in_days(days_off_list, question, received, pauses, working_only):
    counts = days_off_list.works if working_only else (lambda day: True)
    last = nth_day(days_off_list, question, received, pauses, counts)
    if days_off_list.works(last) or not question["last_day_moves"]:
        return end_of(last)
    for day in days_off_list.days_from(last + ONE_DAY):
        if held_for_ever(end_of(day), pauses):
            raise Stopped
        if days_off_list.works(day) and undisturbed(day, pauses):
            return end_of(day)


def due_in_hours(days_off_list, question, received, pauses, office_only):
    """Between two neighbouring moments at which anything changes, the clock either runs or stands still."""
    needed = timedelta(hours=question["value"])
    for day in days_off_list.days_from(received.date()):
        midnight = start_of(day + ONE_DAY)
        moments = {max(received, start_of(day)), midnight}
        moments.update(datetime.combine(day, edge) for part in (MORNING, AFTERNOON) for edge in part)
        for pause in pauses:
            moments.update(pause)
        moments = sorted(m for m in moments if max(received, start_of(day)) <= m <= midnight)
        for begin, end in zip(moments, moments[1:]):
            if any(since <= begin < until for since, until in pauses):
                continue
            if office_only:
                at_work = any(opens <= begin.time() < closes for opens, closes in (MORNING, AFTERNOON))
                if not (days_off_list.works(day) and at_work):
                    continue
            if end - begin >= needed:
                return begin + needed
            needed -= end - begin
        if held_for_ever(midnight, pauses):
            raise Stopped


def due_same_day(days_off_list, question, received, pauses):
    latest = CLOSE if question["cut_off"] is None else min(CLOSE, time.fromisoformat(question["cut_off"]))
    arrival = received
    # In order of their beginning; a pause that has been over before the case arrived again changes nothing.
    for since, until in sorted(pauses) + [(NEVER, NEVER)]:
        day = arrival.date()
        if not days_off_list.works(day) or arrival.time() > latest:
            day = next(d for d in days_off_list.days_from(day + ONE_DAY) if days_off_list.works(d))
        if held_for_ever(end_of(day), pauses):
            raise Stopped
        if since >= end_of(day):
            # This one and all later ones begin when the result is out.
            return end_of(day)
        arrival = max(arrival, until)


def waits_of(states):
    """From when to when the case waited for the applicant: a supplement (5) or a payment (6). Nothing else stops the clock."""
    moments = [(datetime.fromisoformat(moment), state) for moment, state in states]
    ends = [moment for moment, _ in moments[1:]] + [None]
    return [[begin.isoformat(), end and end.isoformat()] for (begin, state), end in zip(moments, ends) if state in (5, 6)]


def after_extension(days_off_list, due, wanted, pauses):
    """The last of the working days that were added: the sieve of the days after the period, in order."""
    if wanted == 0:
        return due
    for day in days_off_list.days_from(due.date() + ONE_DAY):
        if held_for_ever(end_of(day), pauses):
            raise Stopped
        if days_off_list.works(day) and undisturbed(day, pauses):
            wanted -= 1
            if wanted == 0:
                return end_of(day)


def reminder(days_off_list, due, before):
    """The n-th working day before the day of the due date, as the office opens; that day itself for 0."""
    day = due.date()
    while before > 0:
        day -= ONE_DAY
        if days_off_list.works(day):
            before -= 1
    return datetime.combine(day, MORNING[0])


def time_of(question):
    offer = question["offers"][question["channel"]]
    special = [time for condition, time in offer["special"] if condition in question["conditions"]]
    return (special + [offer["time"]])[0]


def answer(days_off_list, question):
    if "offers" in question:
        question = {**question, **time_of(question)}
    received = datetime.fromisoformat(question["received"])
    if "notice" in question:
        days_off_list = days_off_list.with_notice(question["notice"])
    waits = waits_of(question["states"]) if "states" in question else question["pauses"]
    pauses = []
    for since, until in waits:
        since = datetime.fromisoformat(since)
        until = NEVER if until is None else datetime.fromisoformat(until)
        if since < until:
            pauses.append((since, until))
    unit = question["unit"]
    try:
        if unit == "same_day":
            due = due_same_day(days_off_list, question, received, pauses)
        elif unit in ("working_days", "days"):
            due = due_in_days(days_off_list, question, received, pauses, unit == "working_days")
        else:
            due = due_in_hours(days_off_list, question, received, pauses, unit == "working_hours")
        due = after_extension(days_off_list, due, question.get("extended_by", 0), pauses)
        found = {"due": due.isoformat()}
        if "remind_before" in question:
            found["remind"] = reminder(days_off_list, due, question["remind_before"]).isoformat()
    except Stopped:
        return {"stopped": True}
    except Unknown:
        return {"unknown": True}
    return found


def main():
    days_off_list = DayList(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(answer(days_off_list, json.loads(line))))


if __name__ == "__main__":
    main()
