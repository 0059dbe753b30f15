#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use uuid::Uuid;

use super::lint_tests::SOUND;
use super::ways::shapes_of;
use super::{Asked, Branch, Done, RowWhen, Shape, text, way_on};
use crate::domain::case::FiledComponent;
use crate::domain::pack::{Channel, Procedure, Profile};
use crate::domain::party::PartyKind;

fn sound() -> Procedure {
    text::read(SOUND).0.unwrap()
}

fn codes(list: &[&str]) -> Vec<String> {
    list.iter().map(|code| (*code).to_owned()).collect()
}

fn asked(channel: Channel, applicant: PartyKind, conditions: &[String], on: Date) -> Asked<'_> {
    Asked {
        channel,
        applicant,
        conditions,
        on,
    }
}

const TODAY: Date = date(2026, 11, 23);

#[test]
fn the_first_row_that_applies_on_the_day_decides() {
    let procedure = sound();
    let fee = |channel, conditions: &[&str], on| {
        let conditions = codes(conditions);
        let fees = procedure.fees_on(&asked(channel, PartyKind::Citizen, &conditions, on));
        (fees[0].amount_vnd, fees[0].basis.basis.clone())
    };
    assert_eq!(fee(Channel::Counter, &[], TODAY), (Some(8000), "test".to_owned()));
    assert_eq!(fee(Channel::Online, &[], TODAY).0, Some(4000));
    assert_eq!(fee(Channel::Online, &["ho_ngheo"], TODAY).0, Some(0), "the row above");
    assert_eq!(fee(Channel::Online, &[], date(2026, 12, 31)).0, Some(4000));
    assert_eq!(
        fee(Channel::Online, &[], date(2027, 1, 1)).0,
        Some(8000),
        "the day on which it ends is not its own"
    );
    assert_eq!(
        fee(Channel::Online, &["ho_ngheo"], date(2025, 12, 31)).0,
        Some(8000),
        "before its first day"
    );
    assert!(fee(Channel::Online, &[], TODAY).1.starts_with("khoản 2 Điều 11"));

    let eligible = |applicant, conditions: &[&str]| {
        let conditions = codes(conditions);
        let asked = asked(Channel::Online, applicant, &conditions, TODAY);
        procedure.eligibility_for(&asked).map(|row| row.eligible)
    };
    assert_eq!(eligible(PartyKind::Organisation, &["chua_cu_tru"]), Some(false));
    assert_eq!(eligible(PartyKind::Organisation, &["da_cu_tru"]), None);
    assert_eq!(eligible(PartyKind::Citizen, &["chua_cu_tru"]), None);
}

#[test]
fn open_rows_are_open_facts_and_keep_production_from_taking_the_version() {
    let text = SOUND.replacen(
        "effective_to = \"2027-01-01\"\nfact = { status = \"confirmed\"",
        "effective_to = \"2027-01-01\"\nfact = { status = \"unconfirmed\"",
        1,
    );
    let procedure = text::read(&text).0.unwrap();
    let open: Vec<String> = procedure
        .open_facts_for(Profile::Production)
        .into_iter()
        .map(|fact| fact.path)
        .collect();
    assert_eq!(open, ["fee_rows.giam_truc_tuyen"]);
    assert!(sound().publishable(Profile::Production).is_ok());
}

#[test]
fn what_follows_a_step_depends_on_the_case_and_on_what_the_officer_finds() {
    let procedure = sound();
    let following = |after: &str, conditions: &[&str]| -> Vec<(String, Option<String>)> {
        procedure
            .following_steps(after, &codes(conditions))
            .into_iter()
            .map(|next| (next.step.code.clone(), next.outcome.map(str::to_owned)))
            .collect()
    };
    let plain = |code: &str| vec![(code.to_owned(), None)];
    assert_eq!(following("", &[]), plain("tiep_nhan"));
    assert_eq!(following("tiep_nhan", &[]), plain("tham_tra"), "the next of the list");
    assert_eq!(following("tham_tra", &[]), plain("trinh_ky"));
    assert_eq!(following("tham_tra", &["phuc_tap"]), plain("xac_minh"));
    assert_eq!(
        following("xac_minh", &["phuc_tap"]),
        [
            ("tham_tra".to_owned(), Some("cần thẩm tra lại".to_owned())),
            ("trinh_ky".to_owned(), None)
        ]
    );
    assert_eq!(following("tra_ket_qua", &[]), [], "the end");
    assert_eq!(following("nothing", &[]), []);
    let way = |conditions: &[&str]| -> Vec<String> {
        let way = procedure.ordinary_way(&codes(conditions));
        way.into_iter().map(|step| step.code.clone()).collect()
    };
    assert_eq!(way(&[]), ["tiep_nhan", "tham_tra", "trinh_ky", "ky", "tra_ket_qua"]);
    assert_eq!(
        way(&["phuc_tap"]),
        ["tiep_nhan", "tham_tra", "xac_minh", "trinh_ky", "ky", "tra_ket_qua"]
    );
}

#[test]
fn an_outcome_opens_its_branch_and_without_one_the_ordinary_way_goes_on() {
    let mut procedure = sound();
    let on = |procedure: &Procedure, step: &str, outcome: &str| -> Vec<String> {
        let way = way_on(&procedure.steps, Done { step, outcome }, &codes(&["phuc_tap"]));
        way.into_iter().map(|step| step.code.clone()).collect()
    };
    assert_eq!(on(&procedure, "xac_minh", "")[0], "trinh_ky");
    assert_eq!(
        on(&procedure, "xac_minh", "cần thẩm tra lại"),
        ["tham_tra", "xac_minh", "trinh_ky", "ky", "tra_ket_qua"],
        "what was done is to be done again, and the way goes on behind it"
    );
    assert_eq!(
        on(&procedure, "xac_minh", "không biết")[0],
        "trinh_ky",
        "of another version"
    );
    assert!(procedure.takes_outcome("xac_minh", &[], "") && !procedure.takes_outcome("xac_minh", &[], "không biết"));
    assert!(procedure.takes_outcome("ky", &[], "") && !procedure.takes_outcome("ky", &[], "đạt"));
    // Where all ways on have an outcome, one is to be said, and the first is the ordinary one.
    let branch = |to: &str, outcome: &str| Branch {
        to: to.to_owned(),
        when: None,
        outcome: Some(outcome.to_owned()),
    };
    procedure.steps[2].next = Some(vec![branch("trinh_ky", "đạt"), branch("tham_tra", "không đạt")]);
    assert_eq!(procedure.outcomes("xac_minh", &[]), ["đạt", "không đạt"]);
    assert!(!procedure.takes_outcome("xac_minh", &[], ""));
    assert_eq!(on(&procedure, "xac_minh", "")[0], "trinh_ky");
    assert_eq!(on(&procedure, "xac_minh", "không đạt")[0], "tham_tra");
    procedure.steps[2].next = Some(vec![branch("trinh_ky", "đạt"), branch("xac_minh", "xác minh thêm")]);
    assert_eq!(
        on(&procedure, "xac_minh", "xác minh thêm"),
        ["xac_minh", "trinh_ky", "ky", "tra_ket_qua"]
    );
    procedure.steps[2].next = Some(vec![branch("trinh_ky", "đạt"), branch("tham_tra", "không đạt")]);
    let said = BTreeMap::from([("xac_minh".to_owned(), "không đạt".to_owned())]);
    let way = |conditions: &[&str]| -> Vec<String> {
        let way = procedure.way_by(&said, &codes(conditions));
        way.into_iter().map(|step| step.code.clone()).collect()
    };
    assert_eq!(
        way(&["phuc_tap"]),
        ["tiep_nhan", "tham_tra", "xac_minh"],
        "each step once"
    );
    assert_eq!(way(&[]), ["tiep_nhan", "tham_tra", "trinh_ky", "ky", "tra_ket_qua"]);
}

prop_compose! {
    /// Any branches of six steps, by a condition and by outcomes.
    fn any_branching()(
        edges in prop::collection::vec(
            prop::option::of(prop::collection::vec((0..6_usize, any::<bool>(), prop::option::of(0..3_u8)), 0..4)),
            6,
        ),
    ) -> Procedure {
        let mut procedure = sound();
        let known: Vec<String> = procedure.steps.iter().map(|step| step.code.clone()).collect();
        for (step, edges) in procedure.steps.iter_mut().zip(edges) {
            step.next = edges.map(|to| {
                to.into_iter()
                    .map(|(to, conditional, outcome)| Branch {
                        to: known[to].clone(),
                        when: conditional.then(|| "phuc_tap".to_owned()),
                        outcome: outcome.map(|outcome| format!("kết luận {outcome}")),
                    })
                    .collect()
            });
        }
        procedure
    }
}

proptest! {
    /// Whatever the graph: what an officer may say opens the branch under which it stands, and what follows is always reached; nothing is
    /// reached that does not follow from something reached.
    #[test]
    fn what_may_be_said_opens_its_branch_and_what_follows_is_reached(
        procedure in any_branching(),
        holds in any::<bool>(),
        at in 0..6_usize,
        said in prop::option::of(0..4_u8),
    ) {
        let conditions = if holds { codes(&["phuc_tap"]) } else { Vec::new() };
        let step = procedure.steps[at].code.as_str();
        let following = procedure.following_steps(step, &conditions);
        let said = said.map_or_else(String::new, |said| format!("kết luận {said}"));
        let offered = following.iter().find(|next| next.outcome.unwrap_or_default() == said);
        let may_be_said = offered.is_some() || (following.is_empty() && said.is_empty());
        prop_assert_eq!(procedure.takes_outcome(step, &conditions, &said), may_be_said);

        let done = Done { step, outcome: &said };
        let way = way_on(&procedure.steps, done, &conditions);
        let reached = procedure.reached_by(done, &conditions);
        // Also where it is the step itself, which is then to be done again.
        if let Some(next) = offered {
            prop_assert_eq!(&way[0].code, &next.step.code);
        }
        prop_assert!(way.iter().all(|step| reached.contains(step.code.as_str())));
        for code in &reached {
            for next in procedure.following_steps(code, &conditions) {
                prop_assert!(reached.contains(next.step.code.as_str()));
            }
            let first = offered.is_some_and(|next| next.step.code == *code)
                || (offered.is_none() && following.iter().any(|next| next.step.code == *code));
            let from_another = reached.iter().any(|from| {
                procedure.following_steps(from, &conditions).iter().any(|next| next.step.code == *code)
            });
            prop_assert!(first || from_another);
        }
    }
}

fn filed(code: &str) -> FiledComponent {
    FiledComponent {
        round: 0,
        component_code: code.to_owned(),
        originals: 0,
        copies: 0,
        replaced_by_data: String::new(),
        file_ids: Vec::new(),
        form_data: None,
    }
}

#[test]
fn the_shape_of_a_component_is_asked_for_by_channel() {
    let procedure = sound();
    let paper = FiledComponent {
        originals: 1,
        ..filed("to_khai")
    };
    let form = FiledComponent {
        form_data: Some("{}".to_owned()),
        ..filed("to_khai")
    };
    let file = FiledComponent {
        file_ids: vec![Uuid::from_u128(1)],
        ..filed("giay_to_tuy_than")
    };
    assert_eq!(shapes_of(&paper), [Shape::Original]);
    assert_eq!(shapes_of(&file), [Shape::File]);
    let wrong = |channel, filed: &[FiledComponent]| -> Vec<usize> {
        procedure
            .wrong_shapes(channel, &[], filed)
            .iter()
            .map(|one| one.index)
            .collect()
    };
    assert_eq!(wrong(Channel::Counter, std::slice::from_ref(&paper)), [] as [usize; 0]);
    assert_eq!(wrong(Channel::Online, std::slice::from_ref(&paper)), [0]);
    assert_eq!(
        wrong(Channel::Online, &[paper, form.clone()]),
        [] as [usize; 0],
        "both together are enough"
    );
    assert_eq!(wrong(Channel::Online, &[form, file]), [1]);
}

#[test]
fn a_log_shows_that_an_e_form_was_filled_in_and_not_what() {
    let form = FiledComponent {
        form_data: Some(r#"{"ho_ten":"Nguyễn Văn An"}"#.to_owned()),
        ..filed("to_khai")
    };
    let shown = format!("{form:?}");
    assert!(shown.contains("form_data") && !shown.contains("An"), "{shown}");
}

#[test]
fn a_version_written_as_a_draft_reads_as_the_same_version() {
    let procedure = sound();
    let written = text::written(&procedure, 7).unwrap();
    let (read, findings) = text::read(&written);
    assert_eq!(findings, []);
    assert_eq!(
        read.unwrap(),
        Procedure {
            version: 7,
            ..procedure
        }
    );
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/procedures");
    for code in ["1.001193", "2.002043", "1.013225"] {
        let pack = std::fs::read_to_string(format!("{folder}/{code}.toml")).unwrap();
        let pack = Procedure::from_toml(&pack).unwrap();
        let written = text::written(&pack, 1).unwrap();
        assert_eq!(text::read(&written).0.unwrap(), pack, "{code}");
    }
}

fn any_when() -> impl Strategy<Value = RowWhen> {
    let some = || prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c"]), 0..3);
    (
        prop::collection::btree_set(prop::sample::select(Channel::ALL.to_vec()), 0..3),
        prop::option::of(prop::sample::select(vec![PartyKind::Citizen, PartyKind::Organisation])),
        some(),
        some(),
    )
        .prop_map(|(channels, applicant, all, none)| RowWhen {
            channels: channels.into_iter().collect(),
            applicant,
            all: all.into_iter().map(str::to_owned).collect(),
            none: none.into_iter().map(str::to_owned).collect(),
        })
}

proptest! {
    /// A row that is said to cover another applies wherever the other does: else the linter would call a living row dead.
    #[test]
    fn a_row_that_covers_another_applies_wherever_it_does(
        one in any_when(),
        other in any_when(),
        channel in prop::sample::select(Channel::ALL.to_vec()),
        person in any::<bool>(),
        holds in prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c"]), 0..4),
    ) {
        let conditions: Vec<String> = holds.into_iter().map(str::to_owned).collect();
        let applicant = if person { PartyKind::Citizen } else { PartyKind::Organisation };
        let asked = asked(channel, applicant, &conditions, TODAY);
        if one.covers(&other) && other.holds(&asked) {
            prop_assert!(one.holds(&asked));
        }
    }
}
