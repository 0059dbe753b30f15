use jiff::civil::date;
use proptest::prelude::*;

use super::paper::{PaperKind, StoredPaper, Storing, Validity, WantedValidity};
use super::rules::PaperRules;
use super::*;
use crate::domain::case::SupplementItem;
use crate::domain::definition::Reuse;
use crate::domain::pack::{Channel, Profile};
use crate::domain::party::{Party, PartyKind};

const NATIONAL: &str = include_str!("../../../../../deploy/packs/transitions/national-2026.toml");
const BIRTH: &str = include_str!("../../../../../deploy/packs/procedures/1.001193.toml");

fn transitions() -> Transitions {
    Transitions::from_toml(NATIONAL).unwrap()
}

fn birth() -> Procedure {
    Procedure::from_toml(BIRTH).unwrap()
}

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

fn officer() -> Uuid {
    Uuid::from_u128(0xA1)
}

fn filed(code: &str) -> FiledComponent {
    FiledComponent {
        round: 0,
        component_code: code.to_owned(),
        originals: 1,
        copies: 0,
        replaced_by_data: String::new(),
        file_ids: Vec::new(),
        form_data: None,
    }
}

fn case(state: State, components: Vec<FiledComponent>) -> Case {
    Case {
        case_id: Uuid::from_u128(1),
        case_code: "H41.201-261123-0001".to_owned(),
        code_provisional: true,
        procedure_code: "1.001193".to_owned(),
        procedure_version: 1,
        procedure_name: String::new(),
        state,
        entered_from: (state == State::SupplementRequested).then_some(State::Processing),
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
        conditions: vec!["truc_tiep".to_owned()],
        submit_time: now(),
        accept_time: None,
        deadline: None,
        fees: Vec::new(),
        supplement_items: Vec::new(),
        supplement_rounds: i32::from(state == State::SupplementRequested),
        lookup_secret: Vec::new(),
        version: 3,
        components,
        pauses: Vec::new(),
        results: Vec::new(),
        returned: None,
        rating: None,
        extension: None,
        checks: Vec::new(),
        step_since: None,
    }
}

fn state_of(case: &Case, code: &str) -> ComponentState {
    let procedure = birth();
    let lines = checklist(&procedure, case);
    lines.iter().find(|line| line.component.code == code).unwrap().state
}

fn confirmation(code: &str, file_ids: Vec<Uuid>) -> Confirmation {
    Confirmation {
        component_code: code.to_owned(),
        compared_with: ComparedWith::Original,
        file_ids,
        valid_until: None,
        note: String::new(),
    }
}

fn file() -> Uuid {
    Uuid::from_u128(0xF1)
}

#[test]
fn what_is_filed_is_to_be_checked_what_must_be_there_is_needed_and_the_rest_does_not_apply() {
    let of = case(State::Registered, vec![filed("to_khai"), filed("giay_chung_sinh")]);
    assert_eq!(state_of(&of, "to_khai"), ComponentState::ToBeChecked);
    // Another of its group is there.
    assert_eq!(state_of(&of, "mau_dien_tu"), ComponentState::NotApplicable);
    assert_eq!(state_of(&of, "van_ban_lam_chung"), ComponentState::NotApplicable);
    // By the channel.
    assert_eq!(state_of(&of, "giay_to_tuy_than"), ComponentState::Needed);
    assert_eq!(
        state_of(&of, "ban_sao_giay_to_xuat_trinh"),
        ComponentState::NotApplicable
    );
    let by_data = FiledComponent {
        originals: 0,
        replaced_by_data: "giấy chứng sinh điện tử".to_owned(),
        ..filed("giay_chung_sinh")
    };
    let of = case(State::Registered, vec![by_data]);
    assert_eq!(state_of(&of, "giay_chung_sinh"), ComponentState::ReplacedByData);
    assert_eq!(state_of(&of, "to_khai"), ComponentState::Needed);
}

#[test]
fn a_component_is_confirmed_with_its_scan_and_what_is_filed_later_is_to_be_checked_again() {
    let mut of = case(State::Registered, vec![filed("to_khai"), filed("giay_chung_sinh")]);
    let refused = of.confirm_components(vec![confirmation("giay_chung_sinh", Vec::new())], officer(), now());
    assert_eq!(
        refused,
        Err(ComponentRefused::NotFiled(vec!["giay_chung_sinh".to_owned()]))
    );
    assert_eq!((of.version, of.checks.len()), (3, 0), "a refusal changes nothing");
    of.confirm_components(vec![confirmation("giay_chung_sinh", vec![file()])], officer(), now())
        .unwrap();
    assert_eq!(of.version, 4);
    assert_eq!(state_of(&of, "giay_chung_sinh"), ComponentState::Confirmed);
    assert_eq!(state_of(&of, "to_khai"), ComponentState::ToBeChecked);
    assert!(of.is_digitised(1, 4) && !of.is_digitised(1, 3) && !of.is_digitised(0, 4));
    of.components.push(filed("giay_chung_sinh"));
    assert_eq!(state_of(&of, "giay_chung_sinh"), ComponentState::ToBeChecked);
    assert!(
        !of.is_digitised(2, of.version),
        "the scan shows the paper that was there"
    );
}

#[test]
fn all_that_are_named_are_confirmed_or_none() {
    let mut of = case(State::Registered, vec![filed("to_khai")]);
    let both = vec![
        confirmation("to_khai", vec![file()]),
        confirmation("giay_cam_doan", vec![file()]),
    ];
    let refused = of.confirm_components(both, officer(), now());
    assert_eq!(
        refused,
        Err(ComponentRefused::NotFiled(vec!["giay_cam_doan".to_owned()]))
    );
    let twice = vec![
        confirmation("to_khai", vec![file()]),
        confirmation("to_khai", vec![file()]),
    ];
    let refused = of.confirm_components(twice, officer(), now());
    assert_eq!(refused, Err(ComponentRefused::Twice("to_khai".to_owned())));
    assert_eq!((of.version, of.checks.len()), (3, 0));
}

#[test]
fn components_are_dealt_with_until_the_case_is_decided_and_not_after() {
    for state in [
        State::Rejected,
        State::Withdrawn,
        State::Stopped,
        State::Completed,
        State::Returned,
    ] {
        let mut of = case(state, vec![filed("to_khai")]);
        let refused = Err(ComponentRefused::CaseNotOpen { state });
        let confirmed = of.confirm_components(vec![confirmation("to_khai", vec![file()])], officer(), now());
        assert_eq!(confirmed, refused);
        let said = of.set_component_state("to_khai", ComponentState::Needed, "mờ", officer(), now());
        assert_eq!(said, refused);
        let put = of.put_data(&transitions(), data("giay_chung_sinh"), officer(), now());
        assert_eq!(put, Err(PutRefused::Component(ComponentRefused::CaseNotOpen { state })));
    }
}

fn data(code: &str) -> Data {
    Data {
        component_code: code.to_owned(),
        source: "kho dữ liệu".to_owned(),
        paper_id: Some(Uuid::from_u128(0xB1)),
        file_ids: vec![file()],
        valid_until: None,
        reason: String::new(),
        answer: None,
    }
}

#[test]
fn what_an_officer_says_of_a_component_counts_and_nothing_that_is_not_there_is_to_be_checked() {
    let mut of = case(State::Processing, vec![filed("to_khai")]);
    let refused = of.set_component_state("giay_chung_sinh", ComponentState::ToBeChecked, "x", officer(), now());
    assert_eq!(
        refused,
        Err(ComponentRefused::NotFiled(vec!["giay_chung_sinh".to_owned()]))
    );
    for state in [ComponentState::NotApplicable, ComponentState::Needed] {
        of.set_component_state("giay_chung_sinh", state, "đã có dữ liệu", officer(), now())
            .unwrap();
        assert_eq!(state_of(&of, "giay_chung_sinh"), state);
    }
    // Asked for again, it is no longer what another of its group stands beside.
    of.set_component_state("to_khai", ComponentState::Needed, "mờ", officer(), now())
        .unwrap();
    assert_eq!(state_of(&of, "to_khai"), ComponentState::Needed);
    assert_eq!(state_of(&of, "mau_dien_tu"), ComponentState::Needed);
}

#[test]
fn data_in_the_place_of_a_paper_is_the_supply_while_one_is_awaited() {
    let mut of = case(State::Processing, vec![filed("to_khai")]);
    of.put_data(&transitions(), data("giay_chung_sinh"), officer(), now())
        .unwrap();
    assert_eq!((of.state, of.version), (State::Processing, 4));
    assert_eq!(state_of(&of, "giay_chung_sinh"), ComponentState::ReplacedByData);
    assert_eq!(of.checks[0].put(), Some(1));

    let mut of = case(State::SupplementRequested, vec![filed("to_khai")]);
    of.put_data(&transitions(), data("giay_chung_sinh"), officer(), now())
        .unwrap();
    assert_eq!((of.state, of.version), (State::Processing, 4));
    assert_eq!(of.components[1].round, 1);
    assert_eq!((of.checks[0].version, of.checks[0].put()), (4, Some(1)));
}

fn item(code: &str) -> SupplementItem {
    SupplementItem {
        component_code: code.to_owned(),
        instruction: String::new(),
    }
}

#[test]
fn of_what_a_supplement_asked_for_the_last_that_is_missing_is_the_supply() {
    let mut of = case(State::SupplementRequested, vec![filed("giay_to_tuy_than")]);
    of.supplement_items = vec![item("giay_chung_sinh"), item("giay_to_tuy_than")];
    assert!(
        !of.completes_supply("giay_chung_sinh"),
        "of the other there is an old one"
    );
    of.put_data(&transitions(), data("giay_chung_sinh"), officer(), now())
        .unwrap();
    assert_eq!((of.state, of.version), (State::SupplementRequested, 4));
    assert_eq!((of.components[1].round, of.checks[0].put()), (1, Some(1)));
    assert_eq!(of.supplement_items.len(), 2, "what was asked for goes on being said");
    assert!(!of.completes_supply("to_khai"));
    of.put_data(&transitions(), data("giay_to_tuy_than"), officer(), now())
        .unwrap();
    assert_eq!((of.state, of.version), (State::Processing, 5));
    assert!(!of.completes_supply("giay_chung_sinh"), "nothing is awaited any more");

    // What concerns the request itself no paper answers.
    let mut of = case(State::SupplementRequested, Vec::new());
    of.supplement_items = vec![item("giay_chung_sinh"), item("")];
    of.put_data(&transitions(), data("giay_chung_sinh"), officer(), now())
        .unwrap();
    assert_eq!(of.state, State::SupplementRequested);
}

#[test]
fn the_same_data_is_put_in_the_place_of_a_component_once() {
    let code = "giay_chung_sinh";
    let mut of = case(State::Processing, Vec::new());
    let put = |of: &mut Case, data: Data| of.put_data(&transitions(), data, officer(), now());
    let refused = Err(PutRefused::Component(ComponentRefused::StandsAlready(code.to_owned())));
    put(&mut of, data(code)).unwrap();
    let before = (of.version, of.components.len(), of.checks.len());
    assert_eq!(put(&mut of, data(code)), refused);
    assert_eq!((of.version, of.components.len(), of.checks.len()), before);
    let another = Data {
        paper_id: Some(Uuid::from_u128(0xB9)),
        ..data(code)
    };
    put(&mut of, another).unwrap();
    put(&mut of, data(code)).unwrap();
    // What was filed, or asked for, since then is another matter.
    of.components.push(filed(code));
    put(&mut of, data(code)).unwrap();
    of.set_component_state(code, ComponentState::Needed, "mờ", officer(), now())
        .unwrap();
    put(&mut of, data(code)).unwrap();
    assert_eq!(put(&mut of, data(code)), refused);
}

#[test]
fn an_applicant_deals_with_components_only_while_something_is_awaited_of_them() {
    for state in State::ALL {
        let expected = match state {
            State::Registered | State::SupplementRequested => Ok(()),
            State::Accepted | State::Processing | State::PaymentRequested => {
                Err(ComponentRefused::NotAwaited { state })
            }
            _ => Err(ComponentRefused::CaseNotOpen { state }),
        };
        assert_eq!(case(state, Vec::new()).demand_awaited(), expected);
    }
}

#[test]
fn what_data_put_in_the_place_of_a_paper_is_not_stored_once_more() {
    let code = "giay_chung_sinh";
    let (shown, scan) = (Uuid::from_u128(0xF2), Uuid::from_u128(0xF3));
    let stored = |of: &Case| {
        let procedure = birth();
        let storing = Storing {
            case: of,
            procedure: &procedure,
            now: now(),
            today: date(2026, 11, 23),
        };
        storing.components(&of.checks[of.checks.len() - 1..], || Uuid::from_u128(0xB2))
    };
    let mut of = case(State::Registered, Vec::new());
    of.put_data(&transitions(), data(code), officer(), now()).unwrap();
    of.confirm_components(vec![confirmation(code, Vec::new())], officer(), now())
        .unwrap();
    assert_eq!((of.files_of(code), of.shown_files_of(code)), (vec![file()], Vec::new()));
    assert_eq!(stored(&of), []);
    // A paper that is shown later is stored with its own files, and with the scan of it.
    of.components.push(FiledComponent {
        file_ids: vec![shown],
        ..filed(code)
    });
    of.confirm_components(vec![confirmation(code, vec![scan])], officer(), now())
        .unwrap();
    assert_eq!(stored(&of)[0].file_ids, [shown, scan]);
    // Shown anew in another round: what was shown before is not part of it.
    of.components.push(FiledComponent {
        round: 1,
        file_ids: vec![Uuid::from_u128(0xF4)],
        ..filed(code)
    });
    of.confirm_components(vec![confirmation(code, Vec::new())], officer(), now())
        .unwrap();
    assert_eq!(stored(&of)[0].file_ids, [Uuid::from_u128(0xF4)]);
}

#[test]
fn what_may_be_used_again_for_so_many_days_does_not_stand_after_them_results_included() {
    let rules = PaperRules::from_toml(
        "name = \"t\"\neffective_from = \"2026-01-01\"\n[[register]]\ncode = \"citizen_store\"\nname = \"Kho\"\n\
         connection = \"c\"\nconnected = true\nfact = { status = \"unconfirmed\", source = \"s\" }\n[[stands_for]]\n\
         result = \"KQ.G15.000031\"\ncomponent = \"giay_chung_sinh\"\n\
         fact = { status = \"decided\", source = \"s\", by = \"b\", when = \"2026-11-01\", basis = \"b\" }\n",
    )
    .unwrap();
    let of = case(State::Registered, Vec::new());
    let expired = Err(ComponentRefused::PaperNotValid(Validity::Expired));
    for paper in [
        stored(PaperKind::Component, "giay_chung_sinh"),
        stored(PaperKind::Result, "KQ.G15.000031"),
    ] {
        // It is from 1 November.
        for (valid_days, expected) in [
            (Some(22), Ok(())),
            (Some(21), expired.clone()),
            (Some(u32::MAX), Ok(())),
            (None, Ok(())),
        ] {
            let mut procedure = birth();
            let place = procedure
                .components
                .iter()
                .position(|component| component.code == "giay_chung_sinh")
                .unwrap();
            procedure.components[place].reuse = Some(Reuse {
                source: "kho".to_owned(),
                valid_days,
            });
            let (facts, today) = ((Some(&rules), Profile::Demo), date(2026, 11, 23));
            let usable = paper.demand_usable(&of, &procedure.components[place], facts, today);
            assert_eq!(usable, expected, "{paper:?}, {valid_days:?}");
            let listed = paper.components_of(&procedure, facts, today);
            assert_eq!(listed.contains(&"giay_chung_sinh"), expected.is_ok());
        }
    }
}

fn stored(kind: PaperKind, type_code: &str) -> StoredPaper {
    StoredPaper {
        paper_id: Uuid::from_u128(0xB1),
        unit_id: 2,
        owner_id: None,
        owner_number: "040190000123".to_owned(),
        kind,
        type_code: type_code.to_owned(),
        title: "Giấy chứng sinh".to_owned(),
        number: String::new(),
        procedure_code: "1.001193".to_owned(),
        case_id: Uuid::from_u128(9),
        case_code: "H41.201-261101-0001".to_owned(),
        compared_with: None,
        file_ids: vec![file()],
        valid_from: date(2026, 11, 1),
        valid_until: None,
        replaced: false,
        replaced_by: None,
        revoked: false,
        validity_reason: String::new(),
        store_time: now(),
        version: 1,
    }
}

fn usable(paper: &StoredPaper, of: &Case, code: &str, rules: Option<&PaperRules>) -> Result<(), ComponentRefused> {
    let procedure = birth();
    let component = procedure.component(code).unwrap();
    paper.demand_usable(of, component, (rules, Profile::Demo), date(2026, 11, 23))
}

#[test]
fn the_next_version_of_a_paper_that_was_replaced_is_replaced_by_the_same() {
    let next = StoredPaper {
        paper_id: Uuid::from_u128(0xB2),
        ..stored(PaperKind::Result, "k")
    };
    let earlier = stored(PaperKind::Result, "k");
    assert!(next.clone().following(&earlier) == next);
    let by = Some(Uuid::from_u128(0xB3));
    let overtaken = StoredPaper {
        replaced: true,
        replaced_by: by,
        validity_reason: "Đã có giấy khác".to_owned(),
        ..earlier
    };
    let followed = next.following(&overtaken);
    assert!(followed.replaced && !followed.revoked);
    assert_eq!((followed.replaced_by, followed.version), (by, 1));
    assert_eq!(followed.validity_reason, overtaken.validity_reason);
}

#[test]
fn a_stored_paper_stands_for_what_it_shows_while_it_holds_and_for_its_owner_alone() {
    let of = case(State::Registered, Vec::new());
    let paper = stored(PaperKind::Component, "giay_chung_sinh");
    assert_eq!(usable(&paper, &of, "giay_chung_sinh", None), Ok(()));
    assert_eq!(
        usable(&paper, &of, "giay_to_tuy_than", None),
        Err(ComponentRefused::ForOtherComponent("giay_to_tuy_than".to_owned()))
    );
    assert_eq!(
        usable(&paper, &of, "to_khai", None),
        Err(ComponentRefused::NotReusable("to_khai".to_owned()))
    );
    let elsewhere = StoredPaper {
        procedure_code: "1.000656".to_owned(),
        ..paper.clone()
    };
    assert!(matches!(
        usable(&elsewhere, &of, "giay_chung_sinh", None),
        Err(ComponentRefused::ForOtherComponent(_))
    ));
    let mut other = of.clone();
    other.owner.personal_number = "040190000124".to_owned();
    assert_eq!(
        usable(&paper, &other, "giay_chung_sinh", None),
        Err(ComponentRefused::OfAnotherPerson)
    );
    other.owner.personal_number = String::new();
    assert_eq!(
        usable(&paper, &other, "giay_chung_sinh", None),
        Err(ComponentRefused::OfAnotherPerson)
    );
    // The last day counts; the one after does not.
    for (last, expected) in [
        (date(2026, 11, 23), Ok(())),
        (
            date(2026, 11, 22),
            Err(ComponentRefused::PaperNotValid(Validity::Expired)),
        ),
    ] {
        let paper = StoredPaper {
            valid_until: Some(last),
            ..paper.clone()
        };
        assert_eq!(usable(&paper, &of, "giay_chung_sinh", None), expected);
    }
    let replaced = StoredPaper {
        replaced: true,
        ..paper
    };
    assert_eq!(
        usable(&replaced, &of, "giay_chung_sinh", None),
        Err(ComponentRefused::PaperNotValid(Validity::Replaced))
    );
}

#[test]
fn what_was_revoked_is_used_no_more_and_what_does_not_hold_yet_not_before_its_day() {
    let of = case(State::Registered, Vec::new());
    let paper = stored(PaperKind::Component, "giay_chung_sinh");
    let later = StoredPaper {
        valid_from: date(2026, 11, 24),
        ..paper.clone()
    };
    assert_eq!(
        usable(&later, &of, "giay_chung_sinh", None),
        Err(ComponentRefused::PaperNotValid(Validity::NotYet))
    );
    let revoked = later.revoke("cấp sai");
    assert_eq!((revoked.version, revoked.replaced, revoked.revoked), (2, true, true));
    let refused = Err(ComponentRefused::PaperNotValid(Validity::Revoked));
    assert_eq!(usable(&revoked, &of, "giay_chung_sinh", None), refused);
    let wanted = WantedValidity {
        valid_until: None,
        replaced: true,
        replaced_by: None,
        reason: String::new(),
    };
    assert_eq!(revoked.with_validity(wanted).err(), refused.err());
    // One that was not is written as it was before any could be.
    assert!(!serde_json::to_string(&paper).unwrap().contains("revoked"));
}

#[test]
fn a_result_stands_for_a_component_only_if_the_pack_says_so_and_somebody_decided() {
    let of = case(State::Registered, Vec::new());
    let paper = stored(PaperKind::Result, "KQ.G15.000031");
    let component = "giay_to_tuy_than";
    assert!(matches!(
        usable(&paper, &of, component, None),
        Err(ComponentRefused::ForOtherComponent(_))
    ));
    let rules = |fact: &str| {
        let register = "code = \"citizen_store\"\nname = \"Kho\"\nconnection = \"c\"\nconnected = true\n";
        let open = "fact = { status = \"unconfirmed\", source = \"s\" }\n";
        PaperRules::from_toml(&format!(
            "name = \"t\"\neffective_from = \"2026-01-01\"\n[[register]]\n{register}{open}\n[[stands_for]]\n\
             result = \"KQ.G15.000031\"\ncomponent = \"{component}\"\nfact = {fact}\n"
        ))
        .unwrap()
    };
    let decided = "{ status = \"decided\", source = \"s\", by = \"b\", when = \"2026-11-01\", basis = \"b\" }";
    assert_eq!(usable(&paper, &of, component, Some(&rules(decided))), Ok(()));
    let open = rules("{ status = \"unconfirmed\", source = \"s\" }");
    assert!(matches!(
        usable(&paper, &of, component, Some(&open)),
        Err(ComponentRefused::NotDecided { .. })
    ));
}

#[test]
fn only_what_may_be_used_again_goes_to_the_store_and_holds_as_long_as_paper_and_definition_say() {
    let mut procedure = birth();
    let place = procedure
        .components
        .iter()
        .position(|component| component.code == "giay_chung_sinh")
        .unwrap();
    procedure.components[place].reuse = Some(Reuse {
        source: "kho".to_owned(),
        valid_days: Some(30),
    });
    let mut of = case(State::Registered, vec![filed("to_khai"), filed("giay_chung_sinh")]);
    let both = vec![
        confirmation("to_khai", vec![file()]),
        Confirmation {
            valid_until: Some(date(2026, 12, 1)),
            ..confirmation("giay_chung_sinh", vec![file()])
        },
    ];
    of.confirm_components(both, officer(), now()).unwrap();
    let papers = |of: &Case| {
        let storing = Storing {
            case: of,
            procedure: &procedure,
            now: now(),
            today: date(2026, 11, 23),
        };
        storing.components(&of.checks, || Uuid::from_u128(0xB2))
    };
    let found = papers(&of);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].type_code.as_str(), found[0].valid_until),
        ("giay_chung_sinh", Some(date(2026, 12, 1)))
    );
    assert_eq!(found[0].compared_with, Some(ComparedWith::Original));
    of.checks[1].valid_until = None;
    assert_eq!(papers(&of)[0].valid_until, Some(date(2026, 12, 23)));
    // Without a number nobody can tell whose it is.
    of.owner.personal_number = String::new();
    assert_eq!(papers(&of), []);
}

#[test]
fn what_was_replaced_stays_replaced_and_nothing_replaces_itself() {
    let paper = stored(PaperKind::Result, "KQ.G15.000031");
    let wanted = |replaced, replaced_by| WantedValidity {
        valid_until: None,
        replaced,
        replaced_by,
        reason: "cải chính".to_owned(),
    };
    let replaced = paper.with_validity(wanted(true, Some(Uuid::from_u128(7)))).unwrap();
    assert_eq!(
        (replaced.version, replaced.validity(date(2026, 11, 23))),
        (2, Validity::Replaced)
    );
    assert_eq!(
        replaced.with_validity(wanted(false, None)),
        Err(ComponentRefused::PaperNotValid(Validity::Replaced))
    );
    assert_eq!(
        paper.with_validity(wanted(true, Some(paper.paper_id))),
        Err(ComponentRefused::PaperNotFound)
    );
}

#[derive(Debug, Clone)]
enum Done {
    File(usize),
    Confirm(usize),
    Say(usize, usize),
    Put(usize),
}

fn done() -> impl Strategy<Value = Done> {
    let code = 0..12_usize;
    prop_oneof![
        code.clone().prop_map(Done::File),
        code.clone().prop_map(Done::Confirm),
        (code.clone(), 0..3_usize).prop_map(|(code, state)| Done::Say(code, state)),
        code.prop_map(Done::Put),
    ]
}

proptest! {
    /// A plain second reading: after any acts each component has the state that the last thing that happened to it gives, a component with
    /// a file counts as digitised, versions grow by one with each act that is taken, and a refusal changes nothing.
    #[test]
    fn after_any_acts_each_component_stands_as_what_happened_last_says(acts in prop::collection::vec(done(), 0..20)) {
        let procedure = birth();
        let codes: Vec<String> = procedure.components.iter().map(|component| component.code.clone()).collect();
        let mut of = case(State::Processing, Vec::new());
        let mut last: std::collections::BTreeMap<String, ComponentState> = std::collections::BTreeMap::new();
        for act in acts {
            let before = of.clone();
            let (code, taken, state) = match act {
                Done::File(place) => {
                    let code = codes[place % codes.len()].clone();
                    of.components.push(filed(&code));
                    last.insert(code, ComponentState::ToBeChecked);
                    continue;
                }
                Done::Confirm(place) => {
                    let code = codes[place % codes.len()].clone();
                    let taken = of.confirm_components(vec![confirmation(&code, vec![file()])], officer(), now()).is_ok();
                    (code, taken, ComponentState::Confirmed)
                }
                Done::Say(place, state) => {
                    let code = codes[place % codes.len()].clone();
                    let state = [ComponentState::Needed, ComponentState::ToBeChecked, ComponentState::NotApplicable][state];
                    let taken = of.set_component_state(&code, state, "x", officer(), now()).is_ok();
                    (code, taken, state)
                }
                Done::Put(place) => {
                    let code = codes[place % codes.len()].clone();
                    let taken = of.put_data(&transitions(), data(&code), officer(), now()).is_ok();
                    (code, taken, ComponentState::ReplacedByData)
                }
            };
            if taken {
                prop_assert_eq!(of.version, before.version + 1);
                prop_assert_eq!(of.checks.last().unwrap().version, of.version);
                last.insert(code, state);
            } else {
                prop_assert_eq!((of.version, of.checks.len(), of.components.len()),
                                (before.version, before.checks.len(), before.components.len()));
            }
        }
        for line in checklist(&procedure, &of) {
            if let Some(state) = last.get(&line.component.code) {
                prop_assert_eq!(line.state, *state, "{}", line.component.code);
            } else {
                prop_assert!(matches!(line.state, ComponentState::Needed | ComponentState::NotApplicable));
                prop_assert_eq!(line.state == ComponentState::Needed && !line.required, false);
            }
            let rows = of.components.iter().enumerate().filter(|(_, row)| row.component_code == line.component.code);
            let digitised = rows.clone().filter(|(place, _)| of.is_digitised(*place, of.version)).count();
            prop_assert!(digitised <= rows.count());
            prop_assert!(digitised == 0 || !line.file_ids.is_empty());
        }
    }
}
