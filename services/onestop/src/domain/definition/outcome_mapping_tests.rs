//! A case that goes over to a version which calls steps and outcomes otherwise, and one that had run under that version from the beginning.

use std::path::Path;
use std::sync::LazyLock;

use egov_calendar::WorkCalendar;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::case::Case;
use crate::domain::definition::draft::Migration;
use crate::domain::definition::lint_tests::SOUND;
use crate::domain::definition::migrate::{Facts, Hindrance, Migrated, migrated};
use crate::domain::definition::{Asked, Branch, text};
use crate::domain::listing::Versioned;
use crate::domain::pack::{Channel, Profile};
use crate::domain::party::{Party, PartyKind};
use crate::domain::transitions::Transitions;
use crate::domain::work::follow::{Stand, next_step};

const NATIONAL: &str = include_str!("../../../../../deploy/packs/transitions/national-2026.toml");

static CALENDAR: LazyLock<WorkCalendar> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/calendar");
    WorkCalendar::read(&folder).unwrap()
});

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

/// The sound definition, with these ways on from its second, third and fourth step.
fn with_ways(ways: [Vec<Branch>; 3]) -> Procedure {
    let mut procedure = text::read(SOUND).0.unwrap();
    for (step, next) in procedure.steps.iter_mut().skip(1).zip(ways) {
        step.next = Some(next);
    }
    procedure
}

fn branch(to: &str, outcome: &str) -> Branch {
    Branch {
        to: to.to_owned(),
        when: None,
        outcome: (!outcome.is_empty()).then(|| outcome.to_owned()),
    }
}

fn mapping(step: &str, from: &str, to: &str) -> OutcomeMapping {
    OutcomeMapping {
        step: step.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn version(version: i32, procedure: Procedure) -> Versioned {
    Versioned {
        version,
        effective_from: jiff::civil::date(2026, 11, 23),
        effective_to: None,
        procedure,
    }
}

/// A case that is being processed and of which nothing was done yet.
fn begun(of: &Versioned, stated: &[String]) -> Case {
    let conditions = of.procedure.conditions_for(Channel::Online, stated);
    let asked = Asked::at(Channel::Online, PartyKind::Citizen, &conditions, now());
    let fees = of.procedure.fees_on(&asked);
    Case {
        case_id: Uuid::from_u128(1),
        case_code: "H41.201-261123-0001".to_owned(),
        code_provisional: true,
        procedure_code: of.procedure.code.to_string(),
        procedure_version: of.version,
        procedure_name: of.procedure.name.clone(),
        state: State::Processing,
        entered_from: None,
        step: String::new(),
        step_outcome: String::new(),
        channel: Channel::Online,
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
        conditions,
        submit_time: now(),
        accept_time: None,
        deadline: None,
        fees,
        supplement_items: Vec::new(),
        supplement_rounds: 0,
        lookup_secret: Vec::new(),
        version: 3,
        components: Vec::new(),
        pauses: Vec::new(),
        results: Vec::new(),
        returned: None,
        rating: None,
        extension: None,
        checks: Vec::new(),
        step_since: None,
    }
}

fn gone_over(
    case: &Case,
    (from, to): (&Versioned, &Versioned),
    steps: &BTreeMap<String, String>,
    outcomes: &Outcomes,
) -> Result<Migrated, Vec<Hindrance>> {
    let facts = Facts {
        from,
        to,
        steps,
        outcomes,
        calendar: &CALENDAR,
        profile: Profile::Demo,
        now: now(),
    };
    migrated(case, &facts)
}

/// Its name in the new version.
fn anew(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("{name} (mới)")
    }
}

/// The same process with another name for each step and for each outcome.
fn renamed(procedure: &Procedure) -> Procedure {
    let mut renamed = procedure.clone();
    for step in &mut renamed.steps {
        step.code = anew(&step.code);
        for branch in step.next.iter_mut().flatten() {
            branch.to = anew(&branch.to);
            branch.outcome = branch.outcome.as_deref().map(anew);
        }
    }
    renamed
}

/// The names of both versions, side by side: every outcome once.
fn names(procedure: &Procedure) -> (BTreeMap<String, String>, Vec<OutcomeMapping>) {
    let steps = procedure.steps.iter();
    let codes = steps.map(|step| (step.code.clone(), anew(&step.code))).collect();
    let mut outcomes = Vec::new();
    for step in &procedure.steps {
        for outcome in outcomes_of(procedure, step) {
            outcomes.push(mapping(&step.code, &outcome, &anew(&outcome)));
        }
    }
    (codes, outcomes)
}

prop_compose! {
    /// Any ways on from the steps between reception and decision: to any step, by a condition and by outcomes, one as well without any.
    fn any_process()(
        ways in prop::collection::vec(
            prop::collection::vec((0..6_usize, any::<bool>(), prop::option::weighted(0.8, 0..3_u8)), 1..5),
            3,
        ),
    ) -> Procedure {
        let sound: Procedure = text::read(SOUND).0.unwrap();
        let known: Vec<String> = sound.steps.into_iter().map(|step| step.code).collect();
        let mut ways = ways.into_iter().map(|ways| {
            let ways = ways.into_iter().map(|(to, conditional, outcome)| Branch {
                to: known[to].clone(),
                when: conditional.then(|| "phuc_tap".to_owned()),
                outcome: outcome.map(|outcome| format!("kết luận {outcome}")),
            });
            ways.collect::<Vec<_>>()
        });
        with_ways(std::array::from_fn(|_| ways.next().unwrap_or_default()))
    }
}

proptest! {
    /// Whatever the process and whatever was done: a case that goes over by the new names of steps and outcomes is the case that had run under
    /// the new version. Without the names of outcomes it stays, exactly if it came to one.
    #[test]
    fn a_case_that_goes_over_by_the_names_of_its_outcomes_is_as_if_it_had_run_so(
        procedure in any_process(),
        holds in any::<bool>(),
        choices in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
    ) {
        let transitions = Transitions::from_toml(NATIONAL).unwrap();
        let (steps, mappings) = names(&procedure);
        let (from, to) = (version(1, procedure.clone()), version(2, renamed(&procedure)));
        // All that can be wrong with such names is that an outcome always leads where nobody can stand, which it did before.
        let places: Vec<usize> = outcome_faults(&from.procedure, &to.procedure, &steps, &mappings)
            .into_iter()
            .map(|(place, fault)| match fault {
                OutcomeFault::Elsewhere { .. } => place,
                other => panic!("{other:?}"),
            })
            .collect();
        let nobody_stands = |code: &str| ["tiep_nhan", "tra_ket_qua"].contains(&code);
        for (place, mapping) in mappings.iter().enumerate() {
            let step = procedure.step(&mapping.step).unwrap();
            let mut branches = step.next.iter().flatten().filter(|branch| branch.outcome.as_ref() == Some(&mapping.from));
            prop_assert_eq!(places.contains(&place), branches.all(|branch| nobody_stands(&branch.to)));
        }

        let mut stated = vec!["da_cu_tru".to_owned()];
        stated.extend(holds.then(|| "phuc_tap".to_owned()));
        let (mut old, mut new) = (begun(&from, &stated), begun(&to, &stated));
        for (which, how) in choices {
            let reached = procedure.reached_by(old.done(), &old.conditions);
            let inner = ["tham_tra", "xac_minh", "trinh_ky"].into_iter();
            let inner: Vec<&str> = inner.filter(|code| reached.contains(code)).collect();
            if inner.is_empty() {
                break;
            }
            let step = *which.get(&inner);
            let mut ends = procedure.outcomes(step, &old.conditions);
            ends.extend(procedure.takes_outcome(step, &old.conditions, "").then_some(""));
            let outcome = if ends.is_empty() { "" } else { *how.get(&ends) };
            let state = procedure.step(step).unwrap().state;
            old.record_step(&transitions, now(), Done { step, outcome }, state).unwrap();
            let (step, outcome) = (anew(step), anew(outcome));
            prop_assert!(to.procedure.takes_outcome(&step, &new.conditions, &outcome));
            new.record_step(&transitions, now(), Done { step: &step, outcome: &outcome }, state).unwrap();
        }

        let outcomes = by_step(&mappings);
        let versions = (&from, &to);
        let came_to_one = !old.step_outcome.is_empty();
        let leads_to = opened(&procedure, old.done(), &old.conditions);
        match gone_over(&old, versions, &steps, &outcomes) {
            Ok(after) => {
                // It went over by an act more.
                new.version += 1;
                let whole = |case: &Case| serde_json::to_value(case).unwrap();
                prop_assert_eq!(whole(&after.case), whole(&new));
                let next = |case: &Case, version: &Versioned| {
                    next_step(&version.procedure.steps, &Stand::from(case)).map(|step| step.code.clone())
                };
                prop_assert_eq!(next(&after.case, &to), next(&old, &from).map(|code| anew(&code)));
                prop_assert!(!came_to_one || leads_to.is_some_and(|step| !nobody_stands(&step.code)));
            }
            Err(hindrances) => {
                prop_assert_eq!(hindrances, [Hindrance::OutcomeElsewhere]);
                prop_assert!(came_to_one && leads_to.is_none_or(|step| nobody_stands(&step.code)));
            }
        }
        // Names that nobody said are not guessed.
        let without = gone_over(&old, versions, &steps, &Outcomes::new()).err().unwrap_or_default();
        prop_assert_eq!(without.contains(&Hindrance::OutcomeGone), came_to_one);
    }
}

#[test]
fn everything_that_is_wrong_with_the_names_of_outcomes_is_said_at_once() {
    let on = |to: &str| vec![branch(to, "")];
    let ends = |outcomes: &[(&str, &str)]| {
        outcomes
            .iter()
            .map(|(to, outcome)| branch(to, outcome))
            .collect::<Vec<_>>()
    };
    let old = with_ways([
        ends(&[("xac_minh", "đạt"), ("trinh_ky", "chưa rõ")]),
        on("trinh_ky"),
        on("ky"),
    ]);
    let mut new = with_ways([
        ends(&[
            ("xac_minh", "đủ điều kiện"),
            ("ky", "phải dừng"),
            ("tiep_nhan", "nhận lại"),
        ]),
        on("trinh_ky"),
        on("ky"),
    ]);
    new.steps[4].state = State::Stopped;
    let judged = |mappings: &[OutcomeMapping]| {
        let faults = outcome_faults(&old, &new, &BTreeMap::new(), mappings);
        faults
            .iter()
            .map(|(place, fault)| {
                let (vi, en) = fault.words();
                assert!(!vi.is_empty() && !en.is_empty(), "{fault:?}");
                format!("{place}.{}", fault.field())
            })
            .collect::<Vec<_>>()
    };
    assert!(judged(&[mapping("tham_tra", "đạt", "đủ điều kiện")]).is_empty());
    assert_eq!(
        judged(&[
            mapping("tham_tra", "đạt", "đủ điều kiện"),
            mapping("tham_tra", "đạt", "phải dừng"),
            mapping("tham_tra", "Đạt", "được"),
            mapping("tham_tra", "chưa rõ", "nhận lại"),
            mapping("khong_co", "đạt", "đủ điều kiện"),
            mapping("xac_minh", "đạt", "đạt"),
            mapping("tham_tra", "đạt ", ""),
        ]),
        [
            "1.from", "1.to", // named twice, and nobody is stopped by another name
            "2.from", "2.to",   // word for word
            "3.to",   // reception is over
            "4.step", // of the old version
            "5.from", "5.to", // a step without outcomes
            "6.from", "6.to", // one has to be said there
        ]
    );
    // By the name of its step in the new version, if that is one.
    let steps = |code: &str| BTreeMap::from([("tham_tra".to_owned(), code.to_owned())]);
    let of = |code: &str, to: &str| outcome_faults(&old, &new, &steps(code), &[mapping("tham_tra", "đạt", to)]);
    assert_eq!(
        of("tham_dinh", "đủ điều kiện"),
        [(
            0,
            OutcomeFault::StepGone {
                step: "tham_dinh".to_owned()
            }
        )]
    );
    // A step that leads on by itself needs no outcome any more.
    assert!(of("xac_minh", "").is_empty());
    // A case that was to be stopped does not go on by another name.
    assert_eq!(
        outcome_faults(&new, &old, &BTreeMap::new(), &[mapping("tham_tra", "phải dừng", "đạt")])
            .iter()
            .map(|(_, fault)| fault.field())
            .collect::<Vec<_>>(),
        ["to"]
    );
}

#[test]
fn a_migration_that_names_no_outcomes_is_written_as_it_was() {
    let mut migration = Migration {
        migration_id: Uuid::from_u128(7),
        procedure_code: "1.001193".to_owned(),
        from_version: 1,
        to_version: 2,
        steps: BTreeMap::from([("tham_tra".to_owned(), "tham_dinh".to_owned())]),
        outcomes: Outcomes::new(),
        reason: "Áp dụng quy trình mới".to_owned(),
        legal_basis: "2/QĐ-UBND".to_owned(),
        actor_id: Uuid::from_u128(8),
        on_behalf_of: None,
        finished: true,
        reached: None,
        moved: 3,
        kept: 1,
        responsible_unit_id: 1,
        create_time: now(),
        update_time: now(),
    };
    let before = serde_json::json!({
        "migration_id": Uuid::from_u128(7), "procedure_code": "1.001193", "from_version": 1, "to_version": 2,
        "steps": { "tham_tra": "tham_dinh" }, "reason": "Áp dụng quy trình mới", "legal_basis": "2/QĐ-UBND",
        "actor_id": Uuid::from_u128(8), "on_behalf_of": null, "create_time": "2026-11-23T01:00:00Z",
        "outcome": [3, 1, "2026-11-23T01:00:00Z"],
    });
    assert_eq!(migration.canonical(true).unwrap(), serde_json::to_vec(&before).unwrap());
    migration.outcomes = by_step(&[mapping("tham_tra", "đạt", "đủ điều kiện")]);
    let written: serde_json::Value = serde_json::from_slice(&migration.canonical(true).unwrap()).unwrap();
    assert_eq!(
        written["outcomes"],
        serde_json::json!({ "tham_tra": { "đạt": "đủ điều kiện" } })
    );
}
