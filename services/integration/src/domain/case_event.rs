//! What one-stop says of a case in its log: an event with ids, codes and states, and no person.

use egov_events::CloudEvent;
use serde::Deserialize;
use uuid::Uuid;

/// What an event says of a case (hồ sơ).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaseEvent {
    pub(crate) case_id: Uuid,
    /// The version of the case after what happened.
    pub(crate) version: i64,
    /// Mã hồ sơ.
    pub(crate) case_code: String,
    /// The unit that handled it then.
    pub(crate) unit_id: i32,
}

/// The event is about a case and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event of a case has not the form of one-stop's events")]
pub(crate) struct NotReadable;

#[derive(Deserialize)]
struct Data {
    version: i64,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    case_code: String,
    responsible_unit_id: i32,
}

/// The kind of aggregate in the subject of an event about a case.
const CASE: &str = "case";

/// What an event says of a case; none if it is about something else.
pub(crate) fn case_event(event: &CloudEvent) -> Result<Option<CaseEvent>, NotReadable> {
    let subject = event.subject.as_deref().and_then(|subject| subject.split_once('/'));
    let Some((CASE, case_id)) = subject else {
        return Ok(None);
    };
    let case_id = Uuid::try_parse(case_id).map_err(|_| NotReadable)?;
    let data: Data = serde_json::from_slice(&event.data).map_err(|_| NotReadable)?;
    if data.version < 1 || data.payload.case_code.is_empty() {
        return Err(NotReadable);
    }
    Ok(Some(CaseEvent {
        case_id,
        version: data.version,
        case_code: data.payload.case_code,
        unit_id: data.payload.responsible_unit_id,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(subject: Option<&str>, data: impl Into<Vec<u8>>) -> CloudEvent {
        CloudEvent {
            id: "1".to_owned(),
            source: "/egov/onestop".to_owned(),
            kind: "vn.egov.onestop.case_accepted".to_owned(),
            subject: subject.map(str::to_owned),
            time: None,
            data_content_type: None,
            data_schema: None,
            partition_key: None,
            epoch: None,
            data: data.into().into(),
        }
    }

    fn said(version: i64, code: &str, unit: i32) -> String {
        serde_json::json!({
            "version": version,
            "payload": { "case_code": code, "responsible_unit_id": unit, "state": 2, "step": "", "procedure_code": "1.001193" },
        })
        .to_string()
    }

    #[test]
    fn what_is_about_something_else_is_passed_by() {
        for subject in [None, Some("procedure_decision/1"), Some("case"), Some("cases/1")] {
            assert_eq!(case_event(&event(subject, "no json")), Ok(None), "{subject:?}");
        }
        for (subject, data) in [
            ("case/no-id", said(1, "c", 2)),
            ("case/00000000-0000-0000-0000-000000000007", "{}".to_owned()),
        ] {
            assert_eq!(case_event(&event(Some(subject), data)), Err(NotReadable), "{subject}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(subject in "case/.{0,40}", data: Vec<u8>) {
            let _ = case_event(&event(Some(&subject), data));
        }

        #[test]
        fn what_onestop_says_is_read_as_it_was_said(id: u128, version in 1_i64.., code in "[A-Z0-9.-]{1,30}", unit: i32) {
            let case_id = Uuid::from_u128(id);
            let read = case_event(&event(Some(&format!("case/{case_id}")), said(version, &code, unit)));
            prop_assert_eq!(read, Ok(Some(CaseEvent { case_id, version, case_code: code, unit_id: unit })));
        }
    }
}
