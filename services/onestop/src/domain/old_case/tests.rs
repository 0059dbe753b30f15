//! Lines, read and judged.

use std::collections::BTreeMap;

use egov_calendar::WorkCalendar;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::listing::Versioned;
use crate::domain::pack::{Decisions, Level, Procedure, Profile, apply_decisions};

const MAPPING: &str = include_str!("../../../../../docs/import-cases/mapping.toml");

fn mapping() -> Mapping {
    Mapping::from_toml(MAPPING).unwrap()
}

/// A line as the sample writes it.
fn line(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut line: BTreeMap<String, String> = [
        ("id", "7"),
        ("ma_ho_so", "H41.201-261120-0003"),
        ("ma_tthc", "1.001193"),
        ("don_vi", "16690"),
        ("hinh_thuc_nop", "Trực tiếp"),
        ("chu_ho_so", "Lê  Văn Khiêm"),
        ("trang_thai", "Đang xử lý"),
        ("ngay_nop", "20/11/2026 09:00"),
        ("ngay_tiep_nhan", "20/11/2026 09:05"),
        ("ngay_hen_tra", "20/11/2026"),
    ]
    .map(|(column, value)| (column.to_owned(), value.to_owned()))
    .into();
    for (column, value) in changes {
        line.insert((*column).to_owned(), (*value).to_owned());
    }
    line
}

fn read_line(changes: &[(&str, &str)]) -> Result<OldCase, Vec<LineFault>> {
    read(&mapping().apply(&line(changes))?, &mapping())
}

#[track_caller]
fn fields(faults: Result<impl Sized, Vec<LineFault>>) -> Vec<String> {
    let Err(faults) = faults else { panic!("it was taken") };
    assert!(
        faults.iter().all(|fault| !fault.vi.is_empty() && !fault.en.is_empty()),
        "{faults:?}"
    );
    faults.into_iter().map(|fault| fault.field).collect()
}

fn pack(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../deploy/packs/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn procedure() -> Versioned {
    let mut procedure = Procedure::from_toml(&pack("procedures/1.001193.toml")).unwrap();
    let decisions = Decisions::from_toml(&pack("procedures/decisions/demo.toml")).unwrap();
    apply_decisions(&mut procedure, &decisions).unwrap();
    Versioned {
        version: 1,
        effective_from: jiff::civil::date(2025, 7, 1),
        effective_to: None,
        procedure,
    }
}

fn calendar() -> WorkCalendar {
    WorkCalendar::from_text(&egov_calendar::PackText {
        manifest: &pack("calendar/calendar.toml"),
        days: &pack("calendar/holidays_2015_2035.csv"),
        lunar: &pack("calendar/lunar_2015_2035.csv"),
        office: &pack("calendar/office_hours.toml"),
        notices: &[],
    })
    .unwrap()
}

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

fn judged(changes: &[(&str, &str)]) -> Result<Taken, Vec<LineFault>> {
    let (procedure, calendar) = (procedure(), calendar());
    let known = Known {
        source: "one-stop-2019",
        now: now(),
        procedure: &procedure,
        in_force: true,
        unit_id: 2,
        level: Some(Level::Commune),
        receiving_unit_id: 2,
        calendar: &calendar,
        profile: Profile::Demo,
        case_id: Uuid::from_u128(1),
        lookup_secret: vec![1],
    };
    take(read_line(changes)?, known)
}

#[test]
fn a_line_becomes_the_case_that_it_tells_of() {
    let taken = judged(&[]).unwrap();
    let case = &taken.case;
    assert_eq!(
        (case.case_code.as_str(), case.version, case.state),
        ("H41.201-261120-0003", 1, State::Processing)
    );
    assert_eq!(case.owner.full_name, "Lê Văn Khiêm");
    assert_eq!(case.submit_time.to_string(), "2026-11-20T02:00:00Z");
    let deadline = case.deadline.as_ref().unwrap();
    assert_eq!(deadline.due_date, jiff::civil::date(2026, 11, 20));
    assert_eq!(deadline.period.en, "as the old system promised");
    assert_eq!(taken.details["source"], "one-stop-2019");
    for unknown in ["acts", "components", "pauses that have ended"] {
        assert!(
            taken.unknown.iter().any(|known| known == unknown),
            "{:?}",
            taken.unknown
        );
    }
}

#[test]
fn everything_that_is_wrong_with_a_line_is_named_at_once() {
    let found = fields(read_line(&[
        ("ma_ho_so", "17"),
        ("ngay_nop", "31/02/2026"),
        ("ma_tthc", ""),
        ("chu_ho_so", " "),
    ]));
    assert_eq!(found, ["case_code", "procedure_code", "owner_name", "submit_time"]);
    assert_eq!(
        fields(read_line(&[("trang_thai", "Kỳ lạ"), ("hinh_thuc_nop", "?")])),
        ["channel", "state"]
    );
}

#[test]
fn what_a_state_demands_is_demanded() {
    for (changes, field) in [
        (&[("ngay_tiep_nhan", ""), ("ngay_hen_tra", "")][..], "accept_time"),
        (&[("trang_thai", "Mới đăng ký"), ("ngay_hen_tra", "")], "accept_time"),
        (&[("trang_thai", "Yêu cầu bổ sung")], "paused_since"),
        (&[("tam_dung_tu", "20/11/2026 10:00")], "paused_since"),
        (&[("ngay_tra", "20/11/2026 10:00")], "return_time"),
        (&[("so_ket_qua", "1/2026")], "result_code"),
        (&[("ngay_tiep_nhan", "19/11/2026 10:00")], "accept_time"),
        (&[("ngay_tiep_nhan", "24/11/2026 10:00")], "accept_time"),
        (&[("ngay_hen_tra", "19/11/2026")], "due_date"),
    ] {
        assert_eq!(fields(judged(changes)), [field], "{changes:?}");
    }
}

#[test]
fn what_is_not_known_is_said_and_not_made_up() {
    let returned = judged(&[
        ("trang_thai", "Đã trả kết quả"),
        ("ngay_tiep_nhan", ""),
        ("ngay_hen_tra", ""),
        ("ngay_nop", "20/11/2026"),
    ])
    .unwrap();
    let case = &returned.case;
    assert!(
        case.accept_time.is_none() && case.deadline.is_none() && case.returned.is_none() && case.results.is_empty()
    );
    for unknown in ["submit_time: hour", "accept_time", "results", "return", "decide_time"] {
        assert!(
            returned.unknown.iter().any(|known| known == unknown),
            "{unknown}: {:?}",
            returned.unknown
        );
    }
    // A number of the old kind of identity card is left out, because the mapping says so; a wrong address of e-mail is not.
    let left_out = judged(&[("so_dinh_danh", "182345678")]).unwrap();
    assert!(left_out.case.owner.personal_number.is_empty());
    assert!(left_out.unknown.iter().any(|known| known == "owner_personal_number"));
}

#[test]
fn a_date_of_birth_is_a_day_or_a_year_before_the_filing() {
    let mut mapping = mapping();
    let (field, column) = ("owner_date_of_birth".to_owned(), "ngay_sinh".to_owned());
    mapping.columns.insert(field, column);
    let born = |text: &str| {
        let fields = mapping.apply(&line(&[("ngay_sinh", text)]))?;
        Ok::<_, Vec<LineFault>>(read(&fields, &mapping)?.owner.date_of_birth)
    };
    assert_eq!(born("14/02/1999").unwrap().unwrap().numbers(), (1999, 2, 14));
    assert_eq!(born("1950").unwrap().unwrap().numbers(), (1950, 0, 0));
    assert_eq!(born("").unwrap(), None);
    for wrong in ["21/11/2026", "2027", "30/02/1999", "chưa rõ"] {
        assert_eq!(fields(born(wrong)), ["owner_date_of_birth"], "{wrong}");
    }
}

#[test]
fn a_case_that_goes_on_without_a_due_date_gets_the_calendars() {
    let taken = judged(&[("ngay_hen_tra", "")]).unwrap();
    let deadline = taken.case.deadline.unwrap();
    assert!(!deadline.days.is_empty(), "explained day by day, as at an acceptance");
    assert!(deadline.due_date >= jiff::civil::date(2026, 11, 20));
}

#[test]
fn a_pause_that_lasts_goes_back_to_where_the_case_came_from() {
    let paused = judged(&[("trang_thai", "Yêu cầu bổ sung"), ("tam_dung_tu", "20/11/2026 10:00")])
        .unwrap()
        .case;
    assert_eq!(
        (paused.entered_from, paused.pauses.len(), paused.supplement_rounds),
        (Some(State::Processing), 1, 1)
    );
    let asked = judged(&[
        ("trang_thai", "Yêu cầu bổ sung"),
        ("ngay_tiep_nhan", ""),
        ("ngay_hen_tra", ""),
    ])
    .unwrap()
    .case;
    assert_eq!((asked.entered_from, asked.pauses.len()), (Some(State::Registered), 0));
}

#[test]
fn a_mapping_that_does_not_fit_says_everything_that_is_wrong() {
    let text = "source = 'x'\nleft_out_if_unreadable = ['state']\n[columns]\nkey = 'id'\ncolour = 'mau'\n[defaults]\ncase_code = '1'\n";
    let Err(MappingError::Wrong(wrong)) = Mapping::from_toml(text) else {
        panic!()
    };
    for part in [
        "no field colour",
        "without state",
        "case_code differs",
        "what state is",
        "what owner_name is",
    ] {
        assert!(wrong.iter().any(|said| said.contains(part)), "{part}: {wrong:?}");
    }
    assert!(matches!(
        Mapping::from_toml("source = 1"),
        Err(MappingError::Malformed(_))
    ));
}

/// Every field that a mapping may name, each from a column of its own.
fn whole_mapping(left_out: bool) -> Mapping {
    Mapping {
        source: "x".to_owned(),
        delimiter: ',',
        times: vec!["%d/%m/%Y %H:%M".to_owned(), "%d/%m/%Y".to_owned()],
        columns: FIELDS
            .iter()
            .map(|field| ((*field).to_owned(), (*field).to_owned()))
            .collect(),
        defaults: BTreeMap::new(),
        values: BTreeMap::new(),
        left_out_if_unreadable: if left_out {
            vec!["owner_phone".to_owned()]
        } else {
            Vec::new()
        },
    }
}

/// A value that a field may have, or something else.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,20}",
        "[0-9]{1,2}".prop_map(|number| number),
        "[0-3][0-9]/[01][0-9]/20[0-3][0-9]( [0-2][0-9]:[0-5][0-9])?",
        Just("H41.201-261120-0003".to_owned()),
        Just("1.001193".to_owned()),
        Just("citizen".to_owned()),
        Just("2026-11-20T09:00:00+07:00".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_line_is_taken_or_refused_by_field(
        values in proptest::collection::vec(value(), FIELDS.len()),
        left_out in any::<bool>(),
    ) {
        let line = FIELDS.iter().map(|field| (*field).to_owned()).zip(values).collect();
        let mapping = whole_mapping(left_out);
        match mapping.apply(&line).and_then(|fields| read(&fields, &mapping)) {
            Ok(old) => prop_assert!(!old.key.is_empty() && !old.owner.full_name.is_empty()),
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    prop_assert!(FIELDS.contains(&fault.field.as_str()), "{:?}", fault);
                    prop_assert!(!fault.vi.is_empty() && !fault.en.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_is_taken_keeps_its_times_in_order(
        state in 1_i16..=10,
        times in proptest::collection::vec(proptest::option::of(0_i64..400_000), 4),
        due in proptest::option::of(-3_i64..30),
    ) {
        let start: Timestamp = "2026-11-19T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| (start + jiff::SignedDuration::from_secs(seconds)).to_string();
        let mut line: BTreeMap<String, String> = [
            ("key", "1"), ("case_code", "H41.201-261120-0003"), ("procedure_code", "1.001193"), ("unit_code", "16690"),
            ("channel", "1"), ("owner_name", "A"),
        ].map(|(column, value)| (column.to_owned(), value.to_owned())).into();
        line.insert("state".to_owned(), state.to_string());
        line.insert("submit_time".to_owned(), at(100_000));
        for (field, time) in ["accept_time", "paused_since", "decide_time", "return_time"].iter().zip(&times) {
            if let Some(time) = time {
                line.insert((*field).to_owned(), at(*time));
            }
        }
        if let Some(due) = due {
            let day = jiff::civil::date(2026, 11, 20).checked_add(jiff::Span::new().days(due)).unwrap();
            line.insert("due_date".to_owned(), day.to_string());
        }
        let mapping = whole_mapping(false);
        let old = read(&mapping.apply(&line).unwrap(), &mapping).unwrap();
        let (procedure, calendar) = (procedure(), calendar());
        let known = Known {
            source: "x", now: now(), procedure: &procedure, in_force: true, unit_id: 2, level: Some(Level::Commune), receiving_unit_id: 2,
            calendar: &calendar, profile: Profile::Demo, case_id: Uuid::from_u128(1), lookup_secret: Vec::new(),
        };
        if let Ok(Taken { case, .. }) = take(old, known) {
            prop_assert!(case.submit_time <= now());
            prop_assert!(case.accept_time.is_none_or(|accepted| accepted >= case.submit_time && accepted <= now()));
            prop_assert!(case.returned.as_ref().is_none_or(|returned| case.state == State::Returned && returned.time >= case.submit_time));
            prop_assert_eq!(case.pauses.iter().any(|pause| pause.end.is_none()), case.is_paused() && case.accept_time.is_some());
            prop_assert!(case.deadline.as_ref().is_none_or(|deadline| deadline.due_date >= jiff::civil::date(2026, 11, 20)));
            prop_assert_eq!(case.version, 1);
        }
    }
}
