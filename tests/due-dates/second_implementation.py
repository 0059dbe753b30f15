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
    "remind_before": 1, "remind_minutes": 120
                                when a reminder is sent: so many working days before or, failing that, so many minutes
    "latest_before": 1          until when an extension may be given, so many working days before
    "forecast": {"steps": [{"code": "tham_dinh", "state": 4, "time": TIME or null}], "recorded": "", "since": "2026-11-23T09:00:00",
                 "as_of": "2026-11-25T10:00:00"}
                                which step ends when, if the case, of which that step was recorded last, stands at the next one
                                since then; and from when on it will be late
An answer is {"due": "..."} (with "remind": "..." or null, "latest": "..." and "forecast": {...} where they were asked) or {"stopped": true} (a pause without an end
holds the clock) or {"unknown": true} (the list does not reach that far).

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
  * A reminder comes as the office opens, so many working days before the day on which the result is due. Where the case came
    later than that, or the period has expired by then, it comes so many minutes before it expires; where the case came later
    still, none comes. This is no law but the plan of the office (deploy/packs/deadlines).
  * Written reasons, an apology and the new date are given some days before expiry at the latest (commonly held of NĐ 61/2018
    Đ.19; one day), so: before the office closes, that many working days before the day on which the result is due. After
    expiry nothing is extended.
  * A forecast: the reception is behind an accepted case, handing over (state 10) comes after the period, waiting for a
    supplement (state 5) is no step of it. A step ends by its own time, counted like any period, from when the case came to it,
    the pauses left out; or now, where that has passed. The next step begins when the one before ends. A step without a time
    takes none. The case will be late from the first second at which all that is left would end after the due date. This program
    does not reckon backwards: it tries seconds until it has found the last one from which all ends in time.
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


def working_days_ahead_of(days_off_list, day, before):
    """The n-th working day before the day; that day itself for 0."""
    while before > 0:
        day -= ONE_DAY
        if days_off_list.works(day):
            before -= 1
    return day


def reminder(days_off_list, received, due, before, minutes):
    opening = datetime.combine(working_days_ahead_of(days_off_list, due.date(), before), MORNING[0])
    for moment in (opening, due - timedelta(minutes=minutes)):
        if received < moment < due:
            return moment
    return None


def latest_extension(days_off_list, due, before):
    return min(due, end_of(working_days_ahead_of(days_off_list, due.date(), before)))


def end_of_step(days_off_list, begin, period, pauses):
    if period is None:
        return begin
    rules = {"first_day_counted": False, "last_day_moves": True, "cut_off": None}
    return end_of_period(days_off_list, {**rules, **period}, begin, pauses)


def last_second(fits, high):
    """The last second up to `high` at which it still fits; whoever begins earlier never ends later."""
    if fits(high):
        return high
    back = 3_600
    while not fits(high - timedelta(seconds=back)):
        back *= 2
    fitting, failing = back, 0
    while fitting - failing > 1:
        middle = (fitting + failing) // 2
        if fits(high - timedelta(seconds=middle)):
            fitting = middle
        else:
            failing = middle
    return high - timedelta(seconds=fitting)


def steps_left(steps, recorded):
    """What lies before the case within its period."""
    codes = [step["code"] for step in steps]
    handing_over = next((place for place, step in enumerate(steps) if step["state"] == 10), len(steps))
    if recorded in codes:
        begin = codes.index(recorded) + 1
    else:
        begin = next((place for place, step in enumerate(steps) if step["state"] > 2), len(steps))
    return [step for step in steps[begin:handing_over] if step["state"] != 5]


def forecast(days_off_list, asked, due, pauses):
    since, as_of = (datetime.fromisoformat(asked[name]) for name in ("since", "as_of"))
    left = steps_left(asked["steps"], asked["recorded"])
    own_end = end_of_step(days_off_list, since, left[0]["time"], pauses)

    def ends_seen(now):
        """When each step ends, as it is seen then."""
        at = now if left[0]["time"] is None else max(now, own_end)
        ends = [at]
        for step in left[1:]:
            at = end_of_step(days_off_list, at, step["time"], [])
            ends.append(at)
        return ends

    latest = [due]
    for step in reversed(left[1:]):
        by, period = latest[0], step["time"]
        latest.insert(0, last_second(lambda begin: end_of_step(days_off_list, begin, period, []) <= by, by))

    if ends_seen(since)[-1] > due:
        at_risk_from = since
    else:
        at_risk_from = last_second(lambda now: ends_seen(max(now, since))[-1] <= due, due) + timedelta(seconds=1)
    ends = ends_seen(as_of)
    late_days, day = 0, due.date()
    while day < ends[-1].date():
        day += ONE_DAY
        late_days += days_off_list.works(day)
    return {
        "step": left[0]["code"],
        "step_end": None if left[0]["time"] is None else own_end.isoformat(),
        "at_risk_from": at_risk_from.isoformat(),
        "steps": [[step["code"], end.isoformat(), by.isoformat()] for step, end, by in zip(left, ends, latest)],
        "late": ends[-1] > due,
        "late_working_days": late_days,
    }


def time_of(question):
    offer = question["offers"][question["channel"]]
    special = [time for condition, time in offer["special"] if condition in question["conditions"]]
    return (special + [offer["time"]])[0]


def end_of_period(days_off_list, question, received, pauses):
    unit = question["unit"]
    if unit == "same_day":
        return due_same_day(days_off_list, question, received, pauses)
    if unit in ("working_days", "days"):
        return due_in_days(days_off_list, question, received, pauses, unit == "working_days")
    return due_in_hours(days_off_list, question, received, pauses, unit == "working_hours")


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
    try:
        due = end_of_period(days_off_list, question, received, pauses)
        due = after_extension(days_off_list, due, question.get("extended_by", 0), pauses)
        found = {"due": due.isoformat()}
        if "remind_before" in question:
            moment = reminder(days_off_list, received, due, question["remind_before"], question["remind_minutes"])
            found["remind"] = moment and moment.isoformat()
        if "latest_before" in question:
            found["latest"] = latest_extension(days_off_list, due, question["latest_before"]).isoformat()
        if "forecast" in question:
            found["forecast"] = forecast(days_off_list, question["forecast"], due, pauses)
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
