use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::listing::HistoryEntry;
use crate::domain::pack::Channel;
use crate::domain::party::{Party, PartyKind};
use crate::domain::statistics::Snapshot;
use crate::domain::transitions::State;

const BIRTH: &str = include_str!("../../../../../deploy/packs/procedures/1.001193.toml");
const CODE: &str = "KQ.G15.000031";

fn birth() -> Procedure {
    Procedure::from_toml(BIRTH).unwrap()
}

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

fn making(procedure: &Procedure) -> Making<'_> {
    Making {
        procedure,
        unit_name: "Phường Trường Vinh",
        actor_id: Uuid::from_u128(0xA1),
        now: now(),
    }
}

fn file(number: u8) -> Uuid {
    Uuid::from_u128(0xF000 + u128::from(number))
}

/// A decided case with these results.
fn decided(results: Vec<CaseResult>) -> Case {
    Case {
        case_id: Uuid::from_u128(1),
        case_code: "H41.201-261123-0001".to_owned(),
        code_provisional: true,
        procedure_code: "1.001193".to_owned(),
        procedure_version: 1,
        procedure_name: String::new(),
        state: State::Returned,
        entered_from: None,
        step: String::new(),
        step_outcome: String::new(),
        channel: Channel::Counter,
        responsible_unit_id: 2,
        receiving_unit_id: 2,
        support_unit_id: None,
        owner_id: None,
        assignee_id: None,
        owner: Party {
            kind: PartyKind::Citizen,
            full_name: "Nguyễn Thị Hường".to_owned(),
            personal_number: "040190000123".to_owned(),
            organisation_number: String::new(),
            phone: String::new(),
            email: String::new(),
            address: String::new(),
            date_of_birth: None,
        },
        submitter: None,
        subject: String::new(),
        conditions: Vec::new(),
        submit_time: now(),
        accept_time: Some(now()),
        deadline: None,
        fees: Vec::new(),
        supplement_items: Vec::new(),
        supplement_rounds: 0,
        lookup_secret: Vec::new(),
        version: 5,
        components: Vec::new(),
        pauses: Vec::new(),
        results,
        returned: None,
        rating: None,
        extension: None,
        checks: Vec::new(),
        step_since: None,
    }
}

fn issued(number: &str, with_file: Option<u8>) -> CaseResult {
    CaseResult::issued(CODE.to_owned(), number.to_owned(), with_file.map(file))
}

fn metadata(has_file: bool) -> Metadata {
    Metadata {
        issue_date: date(2026, 11, 23),
        signer_name: "Trần Văn Ký".to_owned(),
        signer_title: "Chủ tịch".to_owned(),
        valid_from: date(2026, 11, 23),
        valid_until: None,
        form: has_file.then_some(FileForm::ElectronicOriginal),
    }
}

fn wording(number: &str, with_file: Option<u8>) -> Wording {
    Wording {
        number: number.to_owned(),
        file: with_file.map(file).map(ResultFile::named),
        metadata: Some(metadata(with_file.is_some())),
    }
}

fn words(reason: &str) -> Words {
    Words {
        reason: reason.to_owned(),
        legal_basis: "Điều 1".to_owned(),
        decision_number: String::new(),
    }
}

fn entry(version: i64, operation: &str, words: &Words) -> HistoryEntry {
    HistoryEntry {
        version,
        operation: operation.to_owned(),
        from_state: Some(State::Returned),
        to_state: State::Returned,
        step: String::new(),
        actor_id: Uuid::from_u128(0xA1),
        actor_kind: "staff".to_owned(),
        on_behalf_of: None,
        reason: words.reason.clone(),
        legal_basis: words.legal_basis.clone(),
        details: serde_json::Value::Null,
        record_time: now(),
    }
}

/// What a leaf would commit to, for a test: the first bytes.
fn commit(salt: &[u8], content: &[u8]) -> [u8; 32] {
    let mut committed = [0; 32];
    for (to, from) in committed.iter_mut().zip(salt.iter().chain(content)) {
        *to = *from;
    }
    // Of long contents the end counts too.
    for (place, byte) in content.iter().enumerate() {
        let to = &mut committed[place % 32];
        *to = to.rotate_left(1) ^ byte;
    }
    committed
}

/// What is stored of a case's versions.
fn stored(case: &Case) -> RecordedResults {
    let versions: Vec<&ResultVersion> = case.results.iter().flat_map(|result| &result.versions).collect();
    let content = |one: &ResultVersion| serde_json::to_string(one).unwrap();
    RecordedResults {
        versions: versions
            .iter()
            .map(|one| RecordedVersion {
                position: one.result_number - 1,
                version: one.version,
                result_id: one.result_id,
                case_version: one.case_version,
                content: content(one),
            })
            .collect(),
        files: versions.iter().filter_map(|one| one.wording.file.clone()).collect(),
        leaves: versions
            .iter()
            .map(|one| VersionLeaf {
                result_id: one.result_id,
                version: one.version.into(),
                commitment: commit(b"salt", content(one).as_bytes()).to_vec(),
                salt: Some(b"salt".to_vec()),
            })
            .collect(),
    }
}

#[test]
fn a_result_without_a_description_is_its_own_first_version() {
    let procedure = birth();
    let mut case = decided(vec![issued("01/2026", Some(1)), issued("02/2026", None)]);
    let bare = serde_json::to_string(&case.results[0]).unwrap();
    assert!(!bare.contains("versions"), "written as it was before: {bare}");
    let listed = listed_versions(&case);
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|one| one.is_current && one.version == 1 && one.recorded.is_none())
    );
    assert_eq!(case.results[0].standing(), Standing::InForce);

    case.correct_result(
        1,
        wording("01/2026", Some(2)),
        words("sai"),
        Uuid::from_u128(7),
        &making(&procedure),
    )
    .unwrap();
    let listed = listed_versions(&case);
    let found: Vec<_> = listed
        .iter()
        .map(|one| (one.result_number, one.version, one.is_current))
        .collect();
    assert_eq!(found, [(1, 1, false), (1, 2, true), (2, 1, true)]);
    assert_eq!(listed[0].file_id, Some(file(1)), "what was issued stays");
    assert_eq!(case.results[0].file_now(), Some(file(2)));
    assert_eq!(case.results[0].standing(), Standing::Corrected);
}

#[test]
fn a_description_names_everything_that_does_not_fit() {
    let today = date(2026, 11, 23);
    assert_eq!(metadata(true).flaws(true, today), []);
    let wrong = Metadata {
        issue_date: date(2026, 11, 24),
        valid_until: Some(date(2026, 11, 22)),
        form: None,
        ..metadata(true)
    };
    assert_eq!(
        wrong.flaws(true, today),
        [Flaw::IssuedLater, Flaw::EndsFirst, Flaw::FormMissing]
    );
    assert_eq!(metadata(true).flaws(false, today), [Flaw::FormWithoutFile]);

    let procedure = birth();
    let mut case = decided(vec![issued("01/2026", None), issued("02/2026", None)]);
    let before = case.results.clone();
    let refused = case.describe_results(
        vec![None, Some(metadata(true))],
        || Uuid::from_u128(7),
        &making(&procedure),
    );
    let place = "results[1].metadata".to_owned();
    assert_eq!(
        refused,
        Err(ResultRefused::Flawed(vec![(place, Flaw::FormWithoutFile)]))
    );
    assert_eq!(case.results, before);
}

#[test]
fn what_was_revoked_is_changed_no_more_and_what_says_the_same_is_no_correction() {
    let procedure = birth();
    let making = making(&procedure);
    let id = Uuid::from_u128(7);
    let mut case = decided(vec![issued("01/2026", None)]);
    case.describe_results(vec![Some(metadata(false))], || id, &making)
        .unwrap();
    let same = case.correct_result(1, wording("01/2026", None), words("x"), id, &making);
    assert_eq!(same, Err(ResultRefused::Unchanged(1)));
    for missing in [0, 2, -1, i32::MAX] {
        let refused = case.revoke_result(missing, words("x"), id, &making);
        assert_eq!(refused, Err(ResultRefused::NotFound(missing)));
    }
    assert_eq!(case.version, 5, "nothing was done");
    case.revoke_result(1, words("x"), id, &making).unwrap();
    assert_eq!((case.version, case.results[0].standing()), (6, Standing::Revoked));
    let refused = case.revoke_result(1, words("x"), id, &making);
    assert_eq!(refused, Err(ResultRefused::Revoked(1)));
    let refused = case.correct_result(1, wording("02/2026", None), words("x"), id, &making);
    assert_eq!(refused, Err(ResultRefused::Revoked(1)));
}

#[test]
fn files_that_nobody_knows_are_counted_and_only_those_of_the_present_act() {
    let procedure = birth();
    let making = making(&procedure);
    let known = ResultFile {
        media_type: "application/pdf".to_owned(),
        sha256: "ab".repeat(32),
        ..ResultFile::named(file(2))
    };
    let mut case = decided(vec![issued("01/2026", Some(1))]);
    case.describe_results(vec![Some(metadata(true))], || Uuid::from_u128(7), &making)
        .unwrap();
    assert_eq!(case.learn_files(std::slice::from_ref(&known)), 1);
    case.correct_result(1, wording("01/2026", Some(2)), words("x"), Uuid::from_u128(8), &making)
        .unwrap();
    assert_eq!(case.learn_files(std::slice::from_ref(&known)), 0);
    let newest = case.results[0].newest().unwrap();
    assert_eq!(newest.wording.file, Some(known));
    assert_eq!(case.versions_made().count(), 1);
    assert_eq!(newest.result_id, Uuid::from_u128(7), "the id stays");
}

#[test]
fn the_check_names_a_version_that_is_missing_changed_or_nobodys_act() {
    let procedure = birth();
    let making = making(&procedure);
    let mut case = decided(vec![issued("01/2026", Some(1))]);
    case.describe_results(vec![Some(metadata(true))], || Uuid::from_u128(7), &making)
        .unwrap();
    case.correct_result(1, wording("02/2026", Some(2)), words("a"), Uuid::from_u128(8), &making)
        .unwrap();
    case.correct_result(1, wording("03/2026", Some(2)), words("b"), Uuid::from_u128(8), &making)
        .unwrap();
    let history = [
        entry(5, "approve", &Words::default()),
        entry(6, CORRECT_RESULT, &words("a")),
        entry(7, CORRECT_RESULT, &words("b")),
    ];
    let check = |case: &Case, stored: &RecordedResults| check_results(case, &history, stored, commit);
    let whole = stored(&case);
    assert_eq!(check(&case, &whole), Vec::<String>::new());

    let changed = |change: fn(&mut Case)| {
        let mut other = case.clone();
        change(&mut other);
        !check(&other, &stored(&other)).is_empty()
    };
    assert!(changed(|case| drop(case.results[0].versions.remove(1))), "a gap");
    assert!(
        changed(|case| case.results[0].versions[1].case_code = "H41.201-261123-0002".to_owned()),
        "another case's"
    );
    assert!(
        changed(|case| case.results[0].versions[2].words.reason = "c".to_owned()),
        "another reason"
    );
    assert!(
        changed(|case| case.results[0].number = "09/2026".to_owned()),
        "another number was issued"
    );
    assert!(changed(|case| case.responsible_unit_id = 3), "another unit's");
    let changed = |change: fn(&mut RecordedResults)| {
        let mut other = whole.clone();
        change(&mut other);
        !check(&case, &other).is_empty()
    };
    assert!(changed(|stored| stored.versions[0].case_version = 4), "of another act");
    assert!(
        changed(|stored| stored.versions[0].content = "{".to_owned()),
        "unreadable"
    );
    assert!(
        changed(|stored| stored.files[0].sha256 = "00".to_owned()),
        "another content"
    );
    assert!(changed(|stored| drop(stored.leaves.remove(1))), "without a leaf");
    assert!(
        changed(|stored| stored.leaves[1].commitment = vec![0; 32]),
        "another leaf"
    );
    // The first version with a leaf, and no row: what was issued would look as if nothing had been recorded of it.
    let mut without_first = case.clone();
    without_first.results[0].versions.remove(0);
    let rows = RecordedResults {
        leaves: whole.leaves.clone(),
        ..stored(&without_first)
    };
    assert!(!check(&without_first, &rows).is_empty(), "a missing first version");
}

/// What somebody tries on a case.
#[derive(Debug, Clone)]
enum Try {
    Correct(i32, u8, Option<u8>),
    Revoke(i32),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = prop_oneof![
        3 => (0_i32..5, 0_u8..4, proptest::option::of(0_u8..3)).prop_map(|(number, text, file)| Try::Correct(number, text, file)),
        1 => (0_i32..5).prop_map(Try::Revoke),
    ];
    proptest::collection::vec(one, 0..24)
}

proptest! {
    #[test]
    fn whatever_is_tried_versions_run_on_revoked_results_stay_and_everything_can_be_read_again(
        described in proptest::collection::vec(any::<bool>(), 1..4),
        tries in tries(),
    ) {
        let procedure = birth();
        let making = making(&procedure);
        let mut ids = 0_u128;
        let mut next = move || { ids += 1; Uuid::from_u128(0xE000 + ids) };
        let mut case = decided(described.iter().map(|_| issued("01/2026", None)).collect());
        let said = described.iter().map(|one| one.then(|| metadata(false))).collect();
        case.describe_results(said, &mut next, &making).unwrap();
        let figures = Snapshot::of(&case).results;
        let mut history = vec![entry(5, "approve", &Words::default())];
        for (place, one) in tries.into_iter().enumerate() {
            let before = case.clone();
            let words = words(&place.to_string());
            let (number, operation, done) = match one {
                Try::Correct(number, text, file) => {
                    let wording = wording(&text.to_string(), file);
                    (number, CORRECT_RESULT, case.correct_result(number, wording, words.clone(), next(), &making))
                }
                Try::Revoke(number) => (number, REVOKE_RESULT, case.revoke_result(number, words.clone(), next(), &making)),
            };
            let result = usize::try_from(number - 1).ok().and_then(|place| before.results.get(place));
            match done {
                Ok(()) => {
                    prop_assert_ne!(result.unwrap().standing(), Standing::Revoked);
                    prop_assert_eq!(case.version, before.version + 1);
                    prop_assert_eq!(case.versions_made().count(), 1);
                    history.push(entry(case.version, operation, &words));
                    // The other results are as they were, and of this one all earlier versions.
                    for (was, is) in before.results.iter().zip(&case.results) {
                        prop_assert!(is.versions.starts_with(&was.versions));
                        prop_assert_eq!((&is.number, is.file_id), (&was.number, was.file_id));
                    }
                    prop_assert_ne!(case.canonical().unwrap(), before.canonical().unwrap());
                }
                Err(refused) => {
                    prop_assert_eq!(&case.results, &before.results);
                    prop_assert_eq!(case.version, before.version);
                    match refused {
                        ResultRefused::NotFound(_) => prop_assert!(result.is_none()),
                        ResultRefused::Revoked(_) => prop_assert_eq!(result.unwrap().standing(), Standing::Revoked),
                        ResultRefused::Unchanged(_) => prop_assert!(operation == CORRECT_RESULT),
                        ResultRefused::Flawed(flaws) => prop_assert!(flaws.is_empty(), "{flaws:?}"),
                    }
                }
            }
        }
        prop_assert_eq!(Snapshot::of(&case).results, figures, "corrections change no figure");
        let rows = stored(&case);
        let read: Vec<_> = rows.versions.iter().filter_map(RecordedVersion::read).collect();
        let kept: Vec<_> = case.results.iter().flat_map(|result| result.versions.clone()).collect();
        prop_assert_eq!(read, kept);
        prop_assert_eq!(check_results(&case, &history, &rows, commit), Vec::<String>::new());
        // One line a version, each once, and exactly one of each result is the present one.
        let listed = listed_versions(&case);
        for (place, result) in case.results.iter().enumerate() {
            let versions: Vec<i32> = listed.iter().filter(|one| one.result_number == place as i32 + 1).map(|one| one.version).collect();
            prop_assert!(versions.iter().copied().eq(1..=result.version()));
            let current = listed.iter().filter(|one| one.result_number == place as i32 + 1 && one.is_current);
            prop_assert_eq!(current.count(), 1);
        }
    }
}
