//! Judging: whether what is told of an old case fits together, by the rules that live cases obey, and the case of ours that it becomes.

use egov_calendar::{WorkCalendar, vietnam_time};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{LineFault, OldCase};
use crate::domain::case::{Basis, Case, CaseResult, CaseReturn, Deadline, Pause, Text, end_of_day};
use crate::domain::deadline::{Clock, deadline_of};
use crate::domain::definition::Asked;
use crate::domain::listing::Versioned;
use crate::domain::pack::{Level, Profile};
use crate::domain::party::PartyKind;
use crate::domain::transitions::State;

/// What is known besides the line.
pub struct Known<'a> {
    /// The name of the old system.
    pub source: &'a str,
    /// When it is imported.
    pub now: Timestamp,
    /// The version of the procedure: in force on the day of reception or filing, else the earliest that there is.
    pub procedure: &'a Versioned,
    /// Whether it was in force on that day.
    pub in_force: bool,
    /// The unit that is responsible.
    pub unit_id: i32,
    /// The level at which it handles procedures.
    pub level: Option<Level>,
    /// Where it was received.
    pub receiving_unit_id: i32,
    /// The calendar in force.
    pub calendar: &'a WorkCalendar,
    /// What may be relied on.
    pub profile: Profile,
    /// Id of the new case.
    pub case_id: Uuid,
    /// The look-up secret, sealed; nobody knows it.
    pub lookup_secret: Vec<u8>,
}

/// What an old case becomes.
pub struct Taken {
    /// The case.
    pub case: Case,
    /// What is not known of it, by name: for the history and the report.
    pub unknown: Vec<String>,
    /// What the history says of the import.
    pub details: serde_json::Value,
}

/// States in which no clock has started, or may not have.
const fn before_acceptance(state: State) -> bool {
    matches!(state, State::Registered | State::Rejected)
}

/// States in which the clock runs or stands still: these must say since when.
const fn needs_acceptance(state: State) -> bool {
    matches!(state, State::Accepted | State::Processing | State::PaymentRequested)
}

const fn is_final(state: State) -> bool {
    matches!(
        state,
        State::Rejected | State::Withdrawn | State::Stopped | State::Returned
    )
}

/// Judges an old case and makes a case of it; every fault is named.
pub fn take(old: OldCase, known: Known<'_>) -> Result<Taken, Vec<LineFault>> {
    let mut faults = Vec::new();
    check_times(&old, known.now, &mut faults);
    check_state(&old, &mut faults);
    if !is_final(old.state) {
        check_open(&old, &known, &mut faults);
    }
    let mut unknown = old.left_out.clone();
    let pauses = pauses_of(&old);
    let deadline = deadline(&old, &known, &pauses, &mut unknown, &mut faults);
    let results = results(&old, &known, &mut unknown, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    note_unknown(&old, &known, &mut unknown);
    let details = json!({
        "source": known.source,
        "version_in_force": known.in_force,
        "decide_time": old.decide_time,
        "return_time": old.return_time,
        "unknown": unknown,
    });
    Ok(Taken {
        case: case_of(old, known, pauses, deadline, results),
        unknown,
        details,
    })
}

fn check_times(old: &OldCase, now: Timestamp, faults: &mut Vec<LineFault>) {
    let mut last = ("submit_time", old.submit_time);
    for (field, time) in [
        ("accept_time", old.accept_time),
        ("paused_since", old.paused_since),
        ("decide_time", old.decide_time),
        ("return_time", old.return_time),
    ] {
        let Some(time) = time else { continue };
        // Of a day alone the hour is unknown: it does not lie before what happened on the same day.
        let same_day = vietnam_time(time).date() == vietnam_time(last.1).date();
        let day_only = old
            .left_out
            .iter()
            .any(|part| part.strip_suffix(": hour") == Some(field));
        if time < last.1 && !(same_day && day_only) {
            faults.push(LineFault::new(
                field,
                format!("không được trước {}", last.0),
                format!("must not lie before {}", last.0),
            ));
        }
        last = (field, time);
    }
    if last.1 > now {
        faults.push(LineFault::new(last.0, "nằm trong tương lai", "lies in the future"));
    }
    if old
        .due_date
        .is_some_and(|due| due < vietnam_time(old.submit_time).date())
    {
        faults.push(LineFault::new(
            "due_date",
            "không được trước ngày nộp",
            "must not lie before the day of filing",
        ));
    }
}

fn check_state(old: &OldCase, faults: &mut Vec<LineFault>) {
    let state = old.state;
    let mut demand = |holds: bool, field: &str, vi: &str, en: &str| {
        if !holds {
            faults.push(LineFault::new(field, vi, en));
        }
    };
    demand(
        !(before_acceptance(state) && old.accept_time.is_some()),
        "accept_time",
        "hồ sơ ở trạng thái 1 hoặc 3 chưa được tiếp nhận",
        "a case in state 1 or 3 has not been accepted",
    );
    demand(
        !(needs_acceptance(state) && old.accept_time.is_none()),
        "accept_time",
        "hồ sơ đang xử lý phải có thời điểm tiếp nhận",
        "a case in process must say when it was accepted",
    );
    let paused = state.pauses_clock() && old.accept_time.is_some();
    demand(
        paused == old.paused_since.is_some(),
        "paused_since",
        "phải có khi và chỉ khi hồ sơ đã tiếp nhận và đang ở trạng thái 5 hoặc 6",
        "must be given for accepted cases in states 5 and 6, and only for them",
    );
    let returned = state == State::Returned;
    demand(
        returned || (old.return_time.is_none() && old.return_channel.is_none() && old.recipient_name.is_empty()),
        "return_time",
        "chỉ hồ sơ ở trạng thái 10 mới có việc trả kết quả",
        "only a case in state 10 was returned",
    );
    let decided = state >= State::Completed;
    demand(
        decided || (old.result_code.is_none() && old.result_number.is_empty()),
        "result_code",
        "chỉ hồ sơ ở trạng thái 9 hoặc 10 mới có kết quả",
        "only a case in state 9 or 10 has results",
    );
}

/// What goes on here is judged by the rules of filing: the owner, the channel and the level must be the procedure's.
fn check_open(old: &OldCase, known: &Known<'_>, faults: &mut Vec<LineFault>) {
    let procedure = &known.procedure.procedure;
    let person = old.owner.kind == PartyKind::Citizen;
    if !procedure
        .applicants
        .iter()
        .any(|applicant| applicant.is_person() == person)
    {
        faults.push(LineFault::new(
            "owner_kind",
            "thủ tục không dành cho loại đối tượng này",
            "the procedure is not for this kind of applicant",
        ));
    }
    if procedure.offer(old.channel).is_none() {
        faults.push(LineFault::new(
            "channel",
            "thủ tục không tiếp nhận qua kênh này",
            "the procedure is not offered on this channel",
        ));
    }
    if !known.level.is_some_and(|level| procedure.levels.contains(&level)) {
        faults.push(LineFault::new(
            "unit_code",
            "thủ tục không thuộc cấp của cơ quan này",
            "the procedure is not handled at the level of this unit",
        ));
    }
    if procedure.fileable(known.profile).is_err() {
        faults.push(LineFault::new(
            "procedure_code",
            "thủ tục còn nội dung chưa được xác nhận hoặc quyết định",
            "something of the procedure is neither confirmed nor decided",
        ));
    }
}

fn pauses_of(old: &OldCase) -> Vec<Pause> {
    let open = old.paused_since.map(|start| Pause {
        state: old.state,
        start,
        end: None,
    });
    open.into_iter().collect()
}

/// The due date as it was promised. Where a case goes on and the old system has none, the calendar gives it, as at an acceptance.
fn deadline(
    old: &OldCase,
    known: &Known<'_>,
    pauses: &[Pause],
    unknown: &mut Vec<String>,
    faults: &mut Vec<LineFault>,
) -> Option<Deadline> {
    if let Some(due_date) = old.due_date {
        let Some(due_time) = end_of_day(due_date) else {
            faults.push(LineFault::new(
                "due_date",
                "không phải là một ngày có thật",
                "is not a day of the calendar",
            ));
            return None;
        };
        unknown.push("how the due date was worked out".to_owned());
        return Some(Deadline {
            due_date,
            due_time,
            period: Text {
                vi: "theo hệ thống cũ".to_owned(),
                en: "as the old system promised".to_owned(),
            },
            basis: Basis {
                status: "unconfirmed".to_owned(),
                basis: known.source.to_owned(),
                by: String::new(),
                when: String::new(),
            },
            days: Vec::new(),
            calendar: String::new(),
            awaits_notice: false,
        });
    }
    let accepted = old.accept_time?;
    if is_final(old.state) || old.state == State::Completed {
        unknown.push("due_date".to_owned());
        return None;
    }
    let procedure = &known.procedure.procedure;
    let conditions = procedure.conditions_for(old.channel, &[]);
    match deadline_of(
        known.calendar,
        procedure,
        known.profile,
        old.channel,
        &conditions,
        &Clock {
            accepted,
            pauses,
            extended_by: 0,
        },
    ) {
        Ok(deadline) => Some(deadline),
        Err(error) => {
            faults.push(LineFault::new(
                "due_date",
                "hệ thống cũ không cho biết và không tính được",
                format!("the old system does not say, and it cannot be worked out: {error}"),
            ));
            None
        }
    }
}

/// The result. One that the procedure does not have is refused; one that nobody names is the only one that there can be, or unknown.
fn results(
    old: &OldCase,
    known: &Known<'_>,
    unknown: &mut Vec<String>,
    faults: &mut Vec<LineFault>,
) -> Vec<CaseResult> {
    if old.state < State::Completed {
        return Vec::new();
    }
    let procedure = &known.procedure.procedure;
    let result_code = match (&old.result_code, procedure.results.as_slice()) {
        (Some(code), _) if procedure.result(code).is_some() => code.clone(),
        (Some(_), _) => {
            faults.push(LineFault::new(
                "result_code",
                "thủ tục không có kết quả này",
                "the procedure has no such result",
            ));
            return Vec::new();
        }
        (None, [only]) if !old.result_number.is_empty() => only.code.clone(),
        (None, _) if !old.result_number.is_empty() => {
            faults.push(LineFault::new(
                "result_code",
                "thủ tục có nhiều kết quả: số này là của kết quả nào",
                "the procedure has several results: the number must say of which",
            ));
            return Vec::new();
        }
        (None, _) => {
            unknown.push("results".to_owned());
            return Vec::new();
        }
    };
    vec![CaseResult::issued(result_code, old.result_number.clone(), None)]
}

/// Names what the old system does not say.
fn note_unknown(old: &OldCase, known: &Known<'_>, unknown: &mut Vec<String>) {
    let mut note = |holds: bool, what: &str| {
        if holds {
            unknown.push(what.to_owned());
        }
    };
    note(true, "acts");
    note(true, "components");
    let accepted = !before_acceptance(old.state);
    note(accepted && old.accept_time.is_none(), "accept_time");
    note(old.accept_time.is_some(), "pauses that have ended");
    note(
        old.state >= State::Completed && old.decide_time.is_none(),
        "decide_time",
    );
    note(old.state == State::Returned && old.return_time.is_none(), "return");
    note(
        old.return_time.is_some() && old.return_channel.is_none(),
        "return_channel",
    );
    note(!known.in_force, "version of the procedure");
}

fn case_of(
    old: OldCase,
    known: Known<'_>,
    pauses: Vec<Pause>,
    deadline: Option<Deadline>,
    results: Vec<CaseResult>,
) -> Case {
    let procedure = &known.procedure.procedure;
    let conditions = procedure.conditions_for(old.channel, &[]);
    // 5 goes back to where it came from, which follows from whether the clock had started.
    let entered_from = (old.state == State::SupplementRequested).then_some(if old.accept_time.is_some() {
        State::Processing
    } else {
        State::Registered
    });
    let fees = if is_final(old.state) {
        Vec::new()
    } else {
        procedure.fees_on(&Asked::at(old.channel, old.owner.kind, &conditions, old.submit_time))
    };
    Case {
        case_id: known.case_id,
        case_code: old.case_code.to_string(),
        code_provisional: false,
        procedure_code: old.procedure_code,
        procedure_version: known.procedure.version,
        procedure_name: procedure.name.clone(),
        state: old.state,
        entered_from,
        step: String::new(),
        step_outcome: String::new(),
        channel: old.channel,
        responsible_unit_id: known.unit_id,
        receiving_unit_id: known.receiving_unit_id,
        support_unit_id: None,
        owner_id: None,
        assignee_id: None,
        owner: old.owner,
        submitter: old.submitter,
        subject: old.subject,
        conditions,
        submit_time: old.submit_time,
        accept_time: old.accept_time,
        deadline,
        fees,
        supplement_items: Vec::new(),
        supplement_rounds: i32::from(old.state == State::SupplementRequested),
        lookup_secret: known.lookup_secret,
        version: 1,
        components: Vec::new(),
        pauses,
        results,
        returned: old
            .return_time
            .zip(old.return_channel)
            .map(|(time, channel)| CaseReturn {
                channel,
                recipient_name: old.recipient_name,
                time,
            }),
        rating: None,
        extension: None,
        checks: Vec::new(),
        step_since: None,
    }
}
