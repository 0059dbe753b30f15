//! The catalogue that is shipped, in numbers; and any bytes at all.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::catalogue::COLUMNS;
use super::*;

const LINES: &str = include_str!("../../../../../deploy/packs/catalogue/tthc_2026-07.csv");
const MANIFEST: &str = include_str!("../../../../../deploy/packs/catalogue/catalogue.toml");

/// Lines with a result code of seven digits.
const BAD: usize = 6;

fn entries() -> Vec<Entry> {
    let lines = read_lines(LINES.as_bytes()).unwrap();
    lines.into_iter().map(|line| line.entry.unwrap()).collect()
}

fn manifest() -> Manifest {
    Manifest::from_toml(MANIFEST).unwrap()
}

fn entry(code: &str) -> Entry {
    entries().into_iter().find(|entry| entry.code.as_str() == code).unwrap()
}

fn line_with(change: &str, by: &str) -> Vec<LineFault> {
    let good = "1.999999,Tên,ho_tich,Hộ tịch,Cấp xã,1/QĐ,Trực tiếp,3,day,1000,KQ.G15.000031,Giấy";
    assert!(good.contains(change), "{change}");
    let text = format!("{}\n{}\n", COLUMNS.join(","), good.replacen(change, by, 1));
    read_lines(text.as_bytes())
        .unwrap()
        .pop()
        .unwrap()
        .entry
        .err()
        .unwrap_or_default()
}

#[test]
fn the_catalogue_has_323_procedures_of_19_sectors_each_once() {
    let entries = entries();
    let codes: BTreeSet<&str> = entries.iter().map(|entry| entry.code.as_str()).collect();
    let sectors: BTreeSet<&str> = entries.iter().map(|entry| entry.sector.code.as_str()).collect();
    assert_eq!((entries.len(), codes.len(), sectors.len()), (323, 323, 19));
}

#[test]
fn what_the_crawl_lost_is_counted_and_not_invented() {
    let entries = entries();
    let count = |lost: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| lost(entry)).count();
    assert_eq!(count(&|entry| entry.time_unit.is_none()), 91, "no time unit");
    assert_eq!(count(&|entry| entry.time_value.is_none()), 32, "no time at all");
    assert_eq!(count(&|entry| entry.fee_vnd.is_none()), 296, "no clean fee");
    assert_eq!(count(&|entry| entry.fee_raw == "0_or_local"), 255);
    assert_eq!(count(&|entry| entry.fee_raw.is_empty()), 36);
    assert_eq!(count(&|entry| entry.fee_raw.starts_with('?')), 5);
    assert_eq!(count(&|entry| entry.channels.is_empty()), 10, "no channels");
    assert_eq!(count(&|entry| entry.results_raw.is_empty()), 11, "no results");
    assert_eq!(
        count(&|entry| entry.results.is_empty()),
        11 + BAD,
        "results of which not all are codes"
    );
}

#[test]
fn every_line_makes_a_version_that_holds_together_and_keeps_the_line_word_for_word() {
    let manifest = manifest();
    for (number, entry) in entries().iter().enumerate() {
        let procedure = entry.procedure(&manifest);
        procedure.check().unwrap();
        let kept = procedure.catalogue.as_ref().unwrap();
        assert!(LINES.lines().any(|line| line == kept.raw), "{}", kept.raw);
        assert_eq!(kept.line, u64::try_from(number).unwrap() + 2);
        assert_eq!(kept.entry().unwrap(), *entry);
        let stored: Procedure = serde_json::from_value(serde_json::to_value(&procedure).unwrap()).unwrap();
        assert_eq!(stored, procedure);
        assert!(
            procedure
                .facts()
                .iter()
                .all(|(_, fact)| fact.status == FactStatus::Unconfirmed
                    && fact
                        .source
                        .starts_with("crawl of the national public-service portal 07/2026, line ")),
            "the crawl alone confirms nothing"
        );
        for profile in [Profile::Demo, Profile::Production] {
            assert!(procedure.fileable(profile).is_err(), "{}", entry.code);
        }
    }
}

#[test]
fn a_lost_unit_and_an_unclean_fee_are_open_with_what_the_line_says() {
    let birth = entry("1.000689").procedure(&manifest());
    let time = &birth.channels[0].time;
    assert_eq!((time.value, time.unit), (Some(3), None));
    assert!(
        time.fact.source.contains("the number 3, the unit is lost"),
        "{}",
        time.fact.source
    );
    let fee = &birth.channels[0].fees[0];
    assert_eq!((fee.amount_vnd, fee.kind), (None, None));
    assert!(fee.fact.source.contains("0_or_local"), "{}", fee.fact.source);
    let kinds: Vec<FactKind> = birth.to_decide().iter().map(|open| open.kind).collect();
    assert_eq!(kinds, FactKind::ALL);
}

/// What a province would decide before cases can be filed under a procedure of the catalogue.
pub(crate) fn decided(code: &str) -> Procedure {
    let mut procedure = entry(code).procedure(&manifest());
    let paths: Vec<String> = procedure.facts().into_iter().map(|(path, _)| path).collect();
    let mut subjects = vec![
        Subject::Applicants(vec![ApplicantKind::Citizen]),
        Subject::Components(vec![NewComponent {
            code: "to_khai".to_owned(),
            name: "Tờ khai".to_owned(),
            form: None,
            originals: 1,
            copies: 0,
            required: true,
            data_allowed: false,
        }]),
        Subject::LegalBases(vec![NewLegalBasis {
            number: "60/2014/QH13".to_owned(),
            title: None,
        }]),
        Subject::Time(TimeDecision {
            channels: Channel::ALL.to_vec(),
            special: None,
            value: Some(3),
            unit: TimeUnit::WorkingDay,
            cut_off: None,
        }),
        Subject::Fee(FeeDecision {
            channels: Channel::ALL.to_vec(),
            code: FEE.to_owned(),
            kind: Some(FeeKind::LePhi),
            amount_vnd: 0,
        }),
    ];
    subjects.extend(
        ["header", "effective_from", "channels", "steps", "results"].map(|path| Subject::AsItStands(path.to_owned())),
    );
    for subject in subjects {
        assert!(subject.paths(&procedure).iter().all(|path| paths.contains(path)));
        let said = Decisions {
            by: "Chủ tịch Ủy ban nhân dân tỉnh".to_owned(),
            when: jiff::civil::date(2026, 12, 1),
            basis: "1/QĐ-UBND".to_owned(),
            demonstration: false,
            decisions: vec![Decision {
                procedure: procedure.code.clone(),
                version: 1,
                what: subject,
                basis: None,
            }],
            supersede: true,
        };
        apply_decisions(&mut procedure, &said).unwrap();
    }
    procedure
}

#[test]
fn a_procedure_of_the_catalogue_can_be_filed_when_all_of_it_was_decided() {
    let procedure = decided("1.000689");
    assert_eq!(procedure.fileable(Profile::Production), Ok(()));
    assert_eq!(procedure.to_decide(), []);
    assert_eq!(procedure.steps.len(), 4);
}

#[test]
fn a_decision_takes_the_place_of_an_earlier_one_only_where_it_may() {
    let mut procedure = decided("1.000689");
    let mut said = Decisions {
        by: "a".to_owned(),
        when: jiff::civil::date(2026, 12, 2),
        basis: "b".to_owned(),
        demonstration: false,
        decisions: vec![Decision {
            procedure: procedure.code.clone(),
            version: 1,
            what: Subject::Channels(vec![Channel::Counter]),
            basis: None,
        }],
        supersede: false,
    };
    assert!(matches!(
        apply_decisions(&mut procedure, &said),
        Err(PackError::AlreadySettled { .. })
    ));
    said.supersede = true;
    apply_decisions(&mut procedure, &said).unwrap();
    assert_eq!(procedure.channels.len(), 1);
    assert_eq!(
        procedure.fileable(Profile::Production),
        Ok(()),
        "what was decided of the counter stays"
    );
}

#[test]
fn a_line_that_changed_opens_what_changed_and_nothing_else() {
    let before = decided("1.000689");
    let mut line = entry("1.000689");
    line.raw = line.raw.replace(",3,unspecified,", ",5,working_day,");
    let changed = line.changed_since(before.catalogue.as_ref().unwrap());
    assert_eq!(changed, ["time_value", "time_unit"]);
    let text = format!("{}\n{}\n", COLUMNS.join(","), line.raw);
    let line = read_lines(text.as_bytes()).unwrap().pop().unwrap().entry.unwrap();
    let after = line.renew(&before, &changed, &manifest());
    let open: BTreeSet<FactKind> = after.to_decide().iter().map(|open| open.kind).collect();
    assert_eq!(open, BTreeSet::from([FactKind::Time]));
    assert_eq!(after.channels[0].time.value, Some(5));
    assert_eq!(after.components, before.components);
}

#[test]
fn every_fault_of_a_line_is_named_in_both_languages() {
    let columns = |faults: Vec<LineFault>| faults.iter().map(|fault| fault.column).collect::<Vec<_>>();
    assert_eq!(columns(line_with("1.999999", "1.9")), ["code"]);
    assert_eq!(columns(line_with("Cấp xã", "Cấp huyện")), ["level"]);
    assert_eq!(columns(line_with("Cấp xã", "")), ["level"]);
    assert_eq!(columns(line_with("Trực tiếp", "Fax")), ["channels"]);
    assert_eq!(columns(line_with(",3,", ",0,")), ["time_value"]);
    assert_eq!(columns(line_with("day", "week")), ["time_unit"]);
    assert_eq!(columns(line_with("1000", "free")), ["fee_vnd"]);
    assert_eq!(columns(line_with("1000", "-5")), ["fee_vnd"]);
    assert_eq!(columns(line_with(",Giấy", "")), [""]);
    let all = line_with("1.999999,Tên,ho_tich,Hộ tịch,Cấp xã", "x,,Ho tich,,Cấp huyện");
    assert_eq!(columns(all.clone()), ["code", "name", "sector_vi", "sector", "level"]);
    assert!(
        all.iter()
            .all(|fault| !fault.vi.is_empty() && !fault.en.is_empty() && fault.vi != fault.en)
    );
}

#[test]
fn a_code_that_stands_there_twice_is_refused_the_second_time() {
    let line = "1.999999,Tên,ho_tich,Hộ tịch,Cấp xã,1/QĐ,Trực tiếp,3,day,1000,KQ.G15.000031,Giấy";
    let read = read_lines(format!("{}\n{line}\n{line}\n", COLUMNS.join(",")).as_bytes()).unwrap();
    assert!(read[0].entry.is_ok());
    assert_eq!(read[1].entry.as_ref().unwrap_err()[0].column, "code");
}

#[test]
fn another_header_is_no_catalogue() {
    assert!(read_lines(b"").is_err());
    assert!(read_lines(b"a,b\n1,2\n").is_err());
}

proptest! {
    /// Whatever the bytes after the header are: no panic, and each line is read or refused with a reason.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let text = [COLUMNS.join(",").as_bytes(), b"\n", &bytes].concat();
        let _ = read_lines(&bytes);
        for line in read_lines(&text).unwrap() {
            match line.entry {
                Ok(entry) => { prop_assert!(entry.procedure(&manifest()).check().is_ok()); }
                Err(faults) => { prop_assert!(!faults.is_empty()); }
            }
        }
    }

    /// Lines of plausible parts: what is read makes a version that holds together and is read again just so.
    #[test]
    fn what_is_read_holds_together(
        code in "[12]\\.[0-9]{6}", name in "[A-Za-zĐđăâ ]{0,12}", level in prop::sample::select(vec!["Cấp xã", "Cấp xã, Cấp tỉnh", "Cấp xã, Cấp xã", ""]),
        channels in prop::sample::select(vec!["", "Trực tiếp", "Trực tuyến|Trực tiếp", "Fax"]),
        time in prop::sample::select(vec!["", "3", "0", "x"]),
        unit in prop::sample::select(vec!["", "day", "unspecified", "same_day"]),
        fee in prop::sample::select(vec!["", "0_or_local", "?100", "5000", "x"]),
        results in prop::sample::select(vec!["", "KQ.G15.000031", "KQ.G15.000031; KQ.G15.000032", "KQ.G15.000031; KQ.G15.000031"]),
    ) {
        let line = format!("{code},{name},ho_tich,Hộ tịch,\"{level}\",1/QĐ,{channels},{time},{unit},{fee},{results},Một; Hai");
        let text = format!("{}\n{line}\n", COLUMNS.join(","));
        let read = read_lines(text.as_bytes()).unwrap().pop().unwrap();
        if let Ok(entry) = read.entry {
            let procedure = entry.procedure(&manifest());
            prop_assert!(procedure.check().is_ok());
            prop_assert_eq!(procedure.catalogue.as_ref().unwrap().entry().unwrap().raw, line);
        }
    }
}
