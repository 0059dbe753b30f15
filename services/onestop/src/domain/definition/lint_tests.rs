//! A definition with each fault of the linter, and none where there is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::lint::{
    CompetentUnit, Context, Finding, FindingKind, OFFICE_MINUTES, Roles, Severity, Staffing, in_order, is_publishable,
    is_publishable_without_holders,
};
use super::{Branch, lint, text};
use crate::domain::pack::{Procedure, Profile, StepTime, TimeUnit};
use crate::domain::transitions::{State, Transitions};

pub(super) const SOUND: &str = include_str!("../../../tests/data/definition.toml");

fn transitions() -> Transitions {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/packs/transitions/national-2026.toml"
    );
    Transitions::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn roles() -> Roles {
    let may = |permissions: &[&str]| permissions.iter().map(|one| format!("onestop.cases.{one}")).collect();
    BTreeMap::from([
        ("one_stop_clerk".to_owned(), may(&["accept", "process", "return"])),
        ("officer".to_owned(), may(&["process"])),
        ("unit_leader".to_owned(), may(&["process", "approve"])),
        ("case_reader".to_owned(), BTreeSet::new()),
    ])
}

fn staffing() -> Staffing {
    let unit = |unit_id: i32, code: &str, name: &str| CompetentUnit {
        unit_id,
        code: code.to_owned(),
        name: name.to_owned(),
    };
    let everywhere = || Some(BTreeSet::from([2, 3]));
    Staffing {
        units: vec![
            unit(2, "16690", "Phường Trường Vinh"),
            unit(3, "16681", "Phường Thành Vinh"),
        ],
        held: ["one_stop_clerk", "officer", "unit_leader"]
            .map(|role| (role.to_owned(), everywhere()))
            .into(),
    }
}

fn found_in(text: &str, staffing: &Staffing) -> Vec<Finding> {
    let (procedure, mut findings) = text::read(text);
    if let Some(procedure) = procedure {
        findings.extend(judged(&procedure, staffing));
    }
    in_order(findings)
}

fn judged(procedure: &Procedure, staffing: &Staffing) -> Vec<Finding> {
    let (transitions, roles) = (transitions(), roles());
    let context = Context {
        transitions: (procedure.transitions == transitions.name()).then_some(&transitions),
        office_minutes: OFFICE_MINUTES,
        profile: Some(Profile::Production),
        roles: Some(&roles),
        staffing: Some(staffing),
    };
    lint(procedure, &context)
}

/// The findings of the sound definition with one thing changed: kinds and places.
#[track_caller]
fn with(change: &str, to: &str) -> Vec<(FindingKind, String)> {
    assert!(SOUND.contains(change), "the definition has no {change:?}");
    let findings = found_in(&SOUND.replacen(change, to, 1), &staffing());
    for finding in &findings {
        assert!(
            !finding.vi.trim().is_empty() && !finding.en.trim().is_empty(),
            "{finding:?}"
        );
    }
    findings
        .into_iter()
        .map(|finding| (finding.kind, finding.path))
        .collect()
}

#[track_caller]
fn only(found: Vec<(FindingKind, String)>, kind: FindingKind, path: &str) {
    assert_eq!(found, [(kind, path.to_owned())]);
}

#[test]
fn a_sound_definition_has_no_findings() {
    assert_eq!(found_in(SOUND, &staffing()), []);
}

#[test]
fn a_text_that_cannot_be_read_is_told_with_its_line() {
    only(
        with("version = 1\n", "version = = 1\n"),
        FindingKind::Malformed,
        "line 4",
    );
    only(
        with("version = 1\n", "version = 1\nversoin = 2\n"),
        FindingKind::Malformed,
        "line 5",
    );
}

#[test]
fn a_step_to_which_no_way_leads_is_unreachable() {
    only(
        with(
            "next = [{ to = \"xac_minh\", when = \"phuc_tap\" }, { to = \"trinh_ky\" }]",
            "next = [{ to = \"trinh_ky\" }]",
        ),
        FindingKind::StepUnreachable,
        "steps.xac_minh",
    );
}

#[test]
fn a_step_from_which_the_case_comes_to_no_end_is_dead() {
    // It ends in state 4, where nothing brings the case further.
    let found = with(
        "next = [{ to = \"tham_tra\", outcome = \"cần thẩm tra lại\" }, { to = \"trinh_ky\" }]",
        "next = []",
    );
    only(found, FindingKind::StepDead, "steps.xac_minh");
    // It goes round in a circle.
    let found = with(
        "next = [{ to = \"tham_tra\", outcome = \"cần thẩm tra lại\" }, { to = \"trinh_ky\" }]",
        "next = [{ to = \"xac_minh\" }]",
    );
    only(found, FindingKind::StepDead, "steps.xac_minh");
}

#[test]
fn a_branch_to_nowhere_one_that_is_never_taken_and_one_that_is_lacking_are_named() {
    only(
        with("{ to = \"tham_tra\", outcome", "{ to = \"tham_traa\", outcome"),
        FindingKind::StepUnknown,
        "steps.xac_minh.next[0]",
    );
    only(
        with(
            "next = [{ to = \"tham_tra\", outcome = \"cần thẩm tra lại\" }, { to = \"trinh_ky\" }]",
            "next = [{ to = \"trinh_ky\" }, { to = \"tham_tra\", outcome = \"cần thẩm tra lại\" }]",
        ),
        FindingKind::BranchUnreachable,
        "steps.xac_minh.next[1]",
    );
    only(
        with(
            "{ to = \"xac_minh\", when = \"phuc_tap\" }, { to = \"trinh_ky\" }",
            "{ to = \"xac_minh\", when = \"phuc_tap\" }, { to = \"trinh_ky\", when = \"ho_ngheo\" }",
        ),
        FindingKind::BranchLacking,
        "steps.tham_tra.next",
    );
    // Of a choice exactly one holds: nothing is lacking.
    assert_eq!(
        with(
            "{ to = \"xac_minh\", when = \"phuc_tap\" }, { to = \"trinh_ky\" }",
            "{ to = \"xac_minh\", when = \"chua_cu_tru\" }, { to = \"trinh_ky\", when = \"da_cu_tru\" }",
        )
        .into_iter()
        .filter(|(kind, _)| *kind == FindingKind::BranchLacking)
        .count(),
        0
    );
}

#[test]
fn outcomes_that_overlap_or_leave_no_choice_are_named() {
    const BRANCHES: &str = "next = [{ to = \"tham_tra\", outcome = \"cần thẩm tra lại\" }, { to = \"trinh_ky\" }]";
    let branches = |branches: &[(&str, &str, &str)]| {
        let written: Vec<String> = branches
            .iter()
            .map(|(to, when, outcome)| {
                let when = if when.is_empty() {
                    String::new()
                } else {
                    format!(", when = \"{when}\"")
                };
                let outcome = if outcome.is_empty() {
                    String::new()
                } else {
                    format!(", outcome = \"{outcome}\"")
                };
                format!("{{ to = \"{to}\"{when}{outcome} }}")
            })
            .collect();
        with(BRANCHES, &format!("next = [{}]", written.join(", ")))
    };
    let none: [(FindingKind, String); 0] = [];
    let (to, back) = ("trinh_ky", "tham_tra");
    // One of them is to be said, whatever the case is.
    assert_eq!(branches(&[(to, "", "đạt"), (back, "", "không đạt")]), none);
    assert_eq!(branches(&[(back, "ho_ngheo", "không đạt"), (to, "", "")]), none);
    // Of a choice exactly one holds: the same outcome stands under each of its conditions.
    assert_eq!(
        branches(&[
            (to, "da_cu_tru", "đạt"),
            (back, "da_cu_tru", "không đạt"),
            (to, "chua_cu_tru", "đạt"),
            (back, "chua_cu_tru", "chưa rõ"),
        ]),
        none
    );
    for overlapping in [
        [(to, "", "đạt"), (back, "", "Đạt  "), (back, "", "không đạt")],
        [(to, "", "đạt"), (back, "ho_ngheo", "đạt"), (back, "", "không đạt")],
        [(to, "ho_ngheo", "đạt"), (back, "phuc_tap", "đạt"), (back, "", "")],
    ] {
        let found = branches(&overlapping);
        assert!(
            found.contains(&(FindingKind::OutcomesOverlap, "steps.xac_minh.next[1]".to_owned())),
            "{overlapping:?}: {found:?}"
        );
    }
    only(
        branches(&[(to, "", "đạt")]),
        FindingKind::OutcomeLacking,
        "steps.xac_minh.next",
    );
    // Where the condition does not hold, one is left.
    only(
        branches(&[(to, "", "đạt"), (back, "ho_ngheo", "không đạt")]),
        FindingKind::OutcomeLacking,
        "steps.xac_minh.next",
    );
    only(
        branches(&[(to, "ho_ngheo", "đạt"), (back, "ho_ngheo", "không đạt")]),
        FindingKind::BranchLacking,
        "steps.xac_minh.next",
    );
    only(
        branches(&[(to, "", "đạt"), (back, "", "không đạt ")]),
        FindingKind::OutcomeLacking,
        "steps.xac_minh.next[1]",
    );
    // Of eleven conditions the combinations are not looked at: that is said, and nothing that may be wrong.
    let codes: Vec<String> = (0..11).map(|number| format!("dieu_kien_{number}")).collect();
    let under = |codes: &[String]| {
        let mut under: Vec<(&str, &str, &str)> = codes.iter().map(|code| (back, code.as_str(), "không đạt")).collect();
        under.push((to, "", "đạt"));
        let of_outcomes = [
            FindingKind::ConditionsTooMany,
            FindingKind::OutcomeLacking,
            FindingKind::OutcomesOverlap,
            FindingKind::BranchLacking,
        ];
        let mut found: Vec<FindingKind> = branches(&under).into_iter().map(|(kind, _)| kind).collect();
        found.retain(|kind| of_outcomes.contains(kind));
        found
    };
    assert_eq!(under(&codes), [FindingKind::ConditionsTooMany]);
    let ten = under(&codes[1..]);
    assert!(
        ten.contains(&FindingKind::OutcomesOverlap) && !ten.contains(&FindingKind::ConditionsTooMany),
        "{ten:?}"
    );
}

#[test]
fn a_condition_that_there_is_not_is_named_where_it_stands() {
    only(
        with(
            "{ to = \"xac_minh\", when = \"phuc_tap\" }",
            "{ to = \"xac_minh\", when = \"phuc_tapp\" }",
        ),
        FindingKind::ConditionUnknown,
        "steps.tham_tra.next[0]",
    );
    only(
        with("when = { all = [\"ho_ngheo\"] }", "when = { all = [\"ho_ngheoo\"] }"),
        FindingKind::ConditionUnknown,
        "fee_rows.mien_ho_ngheo.when",
    );
}

#[test]
fn a_state_that_no_act_reaches_and_a_process_without_a_return_are_named() {
    // From 2 nothing leads to 9 at once.
    let found = with(
        "role = \"officer\"\nstate = 4\ntime = { value = 1, unit = \"working_day\" }",
        "role = \"unit_leader\"\nstate = 9\ntime = { value = 1, unit = \"working_day\" }",
    );
    assert!(
        found.contains(&(FindingKind::StateNotReached, "steps.tiep_nhan → tham_tra".to_owned())),
        "{found:?}"
    );
    // The last step ends the case without a result.
    let found = with(
        "role = \"one_stop_clerk\"\nstate = 10",
        "role = \"one_stop_clerk\"\nstate = 8",
    );
    assert!(
        found.contains(&(FindingKind::NoReturn, "steps".to_owned())),
        "{found:?}"
    );
}

#[test]
fn steps_that_take_longer_than_the_law_gives_are_named_by_channel_and_case() {
    // 4 h + 1 + 3 h + 1 days are 23 h of 24; with two more hours they are too long in both channels, and of 48 h as well.
    let found = with(
        "time = { value = 4, unit = \"working_hour\" }",
        "time = { value = 6, unit = \"working_hour\" }",
    );
    let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    assert!(
        found.iter().all(|(kind, _)| *kind == FindingKind::StepsTooLong),
        "{found:?}"
    );
    assert_eq!(
        paths,
        [
            "channels.counter.time",
            "channels.counter.time.phuc_tap",
            "channels.online.time",
            "channels.online.time.phuc_tap"
        ]
    );
    // The longer branch counts only where its special time does.
    let found = with(
        "name = \"Xác minh\"\nrole = \"officer\"\nstate = 4\ntime = { value = 3,",
        "name = \"Xác minh\"\nrole = \"officer\"\nstate = 4\ntime = { value = 4,",
    );
    let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(
        paths,
        ["channels.counter.time.phuc_tap", "channels.online.time.phuc_tap"]
    );
    // Handing over the result comes after the processing.
    assert_eq!(
        with(
            "role = \"one_stop_clerk\"\nstate = 10",
            "role = \"one_stop_clerk\"\nstate = 10\ntime = { value = 30, unit = \"day\" }"
        ),
        []
    );
}

#[test]
fn times_in_other_units_are_compared_by_what_is_certain() {
    // 4 days of the calendar may be over before 3 working days, but not 5 before 3.
    let found = with(
        "name = \"Ký\"\nrole = \"unit_leader\"\nstate = 9\ntime = { value = 1, unit = \"working_day\" }",
        "name = \"Ký\"\nrole = \"unit_leader\"\nstate = 9\ntime = { value = 5, unit = \"day\" }",
    );
    assert!(
        found.contains(&(FindingKind::StepsTooLong, "channels.online.time".to_owned())),
        "{found:?}"
    );
    let found = with(
        "name = \"Ký\"\nrole = \"unit_leader\"\nstate = 9\ntime = { value = 1, unit = \"working_day\" }",
        "name = \"Ký\"\nrole = \"unit_leader\"\nstate = 9\ntime = { value = 1, unit = \"day\" }",
    );
    assert!(
        found.iter().all(|(kind, _)| *kind == FindingKind::TimesNotComparable),
        "{found:?}"
    );
    assert_eq!(FindingKind::TimesNotComparable.severity(), Severity::Warning);
}

#[test]
fn an_unknown_unit_of_time_is_told_with_everything_else_that_is_wrong() {
    let text = SOUND
        .replacen(
            "value = 3\nunit = \"working_day\"",
            "value = 3\nunit = \"ngày làm việc\"",
            1,
        )
        .replacen(
            "role = \"unit_leader\"\nstate = 9\ntime = { value = 1, unit = \"working_day\" }",
            "role = \"nobody\"\nstate = 9\ntime = { value = 1, unit = \"tuần\" }",
            1,
        );
    let found: Vec<(FindingKind, String)> = found_in(&text, &staffing())
        .into_iter()
        .map(|finding| (finding.kind, finding.path))
        .collect();
    for expected in [
        (FindingKind::TimeUnitUnknown, "channels.counter.time"),
        (FindingKind::TimeUnitUnknown, "steps.ky.time"),
        (FindingKind::RoleUnknown, "steps.ky.role"),
    ] {
        assert!(
            found.contains(&(expected.0, expected.1.to_owned())),
            "{expected:?} in {found:?}"
        );
    }
}

#[test]
fn a_role_must_be_known_able_and_held_at_every_competent_unit() {
    only(
        with("role = \"unit_leader\"", "role = \"chu_tich\""),
        FindingKind::RoleUnknown,
        "steps.ky.role",
    );
    only(
        with("role = \"unit_leader\"", "role = \"officer\""),
        FindingKind::RoleMayNot,
        "steps.ky.role",
    );
    let mut thin = staffing();
    thin.held.insert("unit_leader".to_owned(), Some(BTreeSet::from([2])));
    let found = found_in(SOUND, &thin);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].kind, found[0].path.as_str()),
        (FindingKind::RoleNotHeld, "steps.ky.role")
    );
    assert!(
        found[0].vi.contains("Phường Thành Vinh (16681)") && found[0].en.contains("16681"),
        "{found:?}"
    );
    let mut unknown = staffing();
    unknown.held.insert("unit_leader".to_owned(), None);
    let found = found_in(SOUND, &unknown);
    assert_eq!(
        (found[0].kind, found[0].severity()),
        (FindingKind::HoldersUnknown, Severity::Error)
    );
    assert!(!is_publishable(&found) && is_publishable_without_holders(&found));
    let mut nowhere = staffing();
    nowhere.units.clear();
    let found = found_in(SOUND, &nowhere);
    assert_eq!(
        (found[0].kind, found[0].severity()),
        (FindingKind::CompetentUnitsUnknown, Severity::Error)
    );
    assert!(!is_publishable(&found) && is_publishable_without_holders(&found));
    // What is known to be wrong is accepted by nobody, whatever else is unknown.
    for kind in FindingKind::ALL {
        let one = [Finding {
            path: String::new(),
            kind,
            vi: String::new(),
            en: String::new(),
        }];
        let accepted = matches!(kind, FindingKind::HoldersUnknown | FindingKind::CompetentUnitsUnknown);
        assert_eq!(
            is_publishable_without_holders(&one),
            accepted || is_publishable(&one),
            "{kind:?}"
        );
        assert!(!accepted || !is_publishable(&one), "{kind:?}");
    }
}

#[test]
fn a_row_of_a_table_needs_its_article_its_days_and_a_case_in_which_it_applies() {
    let row = "article = \"khoản 1 Điều 11 Luật Hộ tịch 60/2014/QH13\"";
    only(
        with(row, "article = \" \""),
        FindingKind::ArticleLacking,
        "fee_rows.mien_ho_ngheo.article",
    );
    only(
        with(row, "article = \"Điều 1 Nghị quyết 9/NQ\""),
        FindingKind::ArticleElsewhere,
        "fee_rows.mien_ho_ngheo.article",
    );
    only(
        with("effective_to = \"2027-01-01\"", "effective_to = \"2026-01-01\""),
        FindingKind::RowDates,
        "fee_rows.giam_truc_tuyen",
    );
    only(
        with("effective_to = \"2027-01-01\"", "effective_to = \"2026-06-01\""),
        FindingKind::RowDates,
        "fee_rows.giam_truc_tuyen",
    );
    only(
        with("when = { channels = [\"online\"] }", "when = { channels = [\"post\"] }"),
        FindingKind::RowNever,
        "fee_rows.giam_truc_tuyen",
    );
    only(
        with(
            "when = { all = [\"ho_ngheo\"] }",
            "when = { all = [\"da_cu_tru\", \"chua_cu_tru\"] }",
        ),
        FindingKind::RowNever,
        "fee_rows.mien_ho_ngheo",
    );
    only(
        with("when = { all = [\"ho_ngheo\"] }", "when = {}"),
        FindingKind::RowShadowed,
        "fee_rows.giam_truc_tuyen",
    );
    only(
        with(
            "fee = \"phi_ban_sao\"\nwhen = { channels",
            "fee = \"phi_khac\"\nwhen = { channels",
        ),
        FindingKind::FeeUnknown,
        "fee_rows.giam_truc_tuyen",
    );
}

#[test]
fn an_e_form_must_be_one_have_labels_and_be_used_and_every_channel_needs_a_shape() {
    only(
        with("\"title\": \"Ngày sinh\", ", ""),
        FindingKind::FormInvalid,
        "forms.to_khai.schema/properties/ngay_sinh",
    );
    only(
        with(
            "https://json-schema.org/draft/2020-12/schema",
            "http://json-schema.org/draft-07/schema#",
        ),
        FindingKind::FormInvalid,
        "forms.to_khai.schema/$schema",
    );
    let found = with("e_form = \"to_khai\"", "e_form = \"to_khai_2\"");
    assert!(
        found.contains(&(FindingKind::FormUnknown, "components.to_khai.e_form".to_owned())),
        "{found:?}"
    );
    assert!(
        found.contains(&(FindingKind::FormUnused, "forms.to_khai".to_owned())),
        "{found:?}"
    );
    let found = with(
        "[[components.ways]]\nchannels = [\"online\"]\naccepts = [\"e_form\"]\n",
        "",
    );
    only(found, FindingKind::ShapeLacking, "components.to_khai.ways");
}

#[test]
fn what_contradicts_itself_what_is_open_and_unknown_transitions_are_findings_too() {
    let found = with("[[results]]\ncode = \"KQ.G15.000031\"", "[[results]]\ncode = \"KQ\"");
    assert!(
        found.contains(&(FindingKind::Contradiction, "results.KQ".to_owned())),
        "{found:?}"
    );
    let found = with(
        "amount_vnd = 0\narticle = \"khoản 1 Điều 11 Luật Hộ tịch 60/2014/QH13\"\neffective_from = \"2026-01-01\"\nfact = { status = \"confirmed\"",
        "amount_vnd = 0\narticle = \"khoản 1 Điều 11 Luật Hộ tịch 60/2014/QH13\"\neffective_from = \"2026-01-01\"\nfact = { status = \"unconfirmed\"",
    );
    only(found, FindingKind::FactOpen, "fee_rows.mien_ho_ngheo");
    only(
        with("transitions = \"national-2026\"", "transitions = \"national-2030\""),
        FindingKind::TransitionsUnknown,
        "transitions",
    );
}

#[test]
fn the_packs_that_are_shipped_can_work() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/procedures");
    let transitions = transitions();
    let roles = roles();
    let mut packs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let (procedure, unread) = text::read(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(unread, [], "{}", path.display());
        let context = Context {
            transitions: Some(&transitions),
            office_minutes: OFFICE_MINUTES,
            profile: None,
            roles: Some(&roles),
            staffing: None,
        };
        assert_eq!(lint(&procedure.unwrap(), &context), [], "{}", path.display());
        packs += 1;
    }
    assert!(packs >= 10, "{packs} packs");
}

fn sound() -> Procedure {
    text::read(SOUND).0.unwrap()
}

prop_compose! {
    /// Any graph over six steps with any times and states.
    fn any_process()(
        edges in prop::collection::vec(prop::option::of(prop::collection::vec((0..7_usize, any::<bool>()), 0..3)), 6),
        hours in prop::collection::vec(prop::option::of(0..40_u32), 6),
        states in prop::collection::vec(prop::sample::select(State::ALL.to_vec()), 6),
    ) -> Procedure {
        let mut procedure = sound();
        let codes: Vec<String> = procedure.steps.iter().map(|step| step.code.clone()).collect();
        for (place, step) in procedure.steps.iter_mut().enumerate() {
            step.state = states[place];
            step.time = hours[place].map(|value| StepTime { value: Some(value), unit: Some(TimeUnit::WorkingHour) });
            step.next = edges[place].clone().map(|to| {
                to.into_iter()
                    .map(|(to, conditional)| Branch {
                        to: codes.get(to).cloned().unwrap_or_else(|| "none".to_owned()),
                        when: conditional.then(|| "phuc_tap".to_owned()),
                        outcome: None,
                    })
                    .collect()
            });
        }
        procedure
    }
}

/// Every way through the steps that passes none twice: a second, plain reading of the graph.
fn ways(procedure: &Procedure) -> Vec<Vec<usize>> {
    let mut ways = Vec::new();
    let mut open = vec![vec![0]];
    while let Some(way) = open.pop() {
        let next: Vec<usize> = procedure
            .successors(*way.last().unwrap())
            .into_iter()
            .filter(|to| !way.contains(to))
            .collect();
        for to in next {
            let mut longer = way.clone();
            longer.push(to);
            open.push(longer);
        }
        ways.push(way);
    }
    ways
}

proptest! {
    #[test]
    fn the_graph_is_read_as_a_plain_walk_reads_it(procedure in any_process()) {
        let findings = judged(&procedure, &staffing());
        let ways = ways(&procedure);
        let said = |kind: FindingKind, place: usize| {
            let path = format!("steps.{}", procedure.steps[place].code);
            findings.iter().any(|finding| finding.kind == kind && finding.path == path)
        };
        for place in 0..procedure.steps.len() {
            let reached = ways.iter().any(|way| way.last() == Some(&place));
            prop_assert_eq!(said(FindingKind::StepUnreachable, place), !reached);
        }
        let returned = ways.iter().any(|way| procedure.steps[*way.last().unwrap()].state == State::Returned);
        prop_assert_eq!(findings.iter().any(|finding| finding.kind == FindingKind::NoReturn), !returned);
        // A definition that passes has, for every step that is reached, a way to an end of the case.
        if findings.iter().all(|finding| finding.severity() == Severity::Warning) {
            for way in &ways {
                let on = procedure.reached_from(*way.last().unwrap());
                prop_assert!(on.iter().any(|place| procedure.successors(*place).is_empty()));
            }
        }
    }

    /// Without ways back, the longest way is the one that a plain walk over all ways finds.
    #[test]
    fn the_steps_are_too_long_exactly_if_some_way_is(
        hours in prop::collection::vec(0..12_u32, 6),
        skips in prop::collection::vec(1..4_usize, 6),
    ) {
        let mut procedure = sound();
        let codes: Vec<String> = procedure.steps.iter().map(|step| step.code.clone()).collect();
        for (place, step) in procedure.steps.iter_mut().enumerate() {
            step.time = (hours[place] > 0).then(|| StepTime { value: Some(hours[place]), unit: Some(TimeUnit::WorkingHour) });
            let branch = |to: usize, when: Option<&str>| {
                codes.get(to).map(|code| Branch { to: code.clone(), when: when.map(str::to_owned), outcome: None })
            };
            let next: Vec<Branch> = branch(place + skips[place], Some("ho_ngheo")).into_iter().chain(branch(place + 1, None)).collect();
            step.next = Some(next);
        }
        let longest = ways(&procedure)
            .iter()
            .map(|way| way.iter().filter(|place| procedure.steps[**place].state != State::Returned).map(|place| hours[*place]).sum::<u32>())
            .max()
            .unwrap();
        let findings = judged(&procedure, &staffing());
        let too_long = findings.iter().any(|finding| finding.kind == FindingKind::StepsTooLong && finding.path == "channels.online.time");
        prop_assert_eq!(too_long, longest > 24);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,300}") {
        let (procedure, findings) = text::read(&text);
        prop_assert!(procedure.is_some() || !findings.is_empty());
    }

    /// A definition that somebody damaged is judged, whatever the damage.
    #[test]
    fn a_damaged_definition_is_judged_and_not_feared(at in 0..6000_usize, to in "[a-z0-9\\[\\]=\"{}\n .]{0,6}") {
        let mut damaged: Vec<char> = SOUND.chars().collect();
        let at = at.min(damaged.len());
        let end = (at + to.chars().count()).min(damaged.len());
        damaged.splice(at..end, to.chars());
        let damaged: String = damaged.into_iter().collect();
        let _ = found_in(&damaged, &staffing());
    }
}
