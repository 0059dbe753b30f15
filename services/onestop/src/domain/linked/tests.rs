//! Linked services as data, and what follows from ends and results.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::pack::{Channel, Manifest, Procedure, Profile, read_lines};
use super::pack::{Basis, OnEnd, OwnerPeriod, Takes};
use super::*;
use crate::domain::pack::{Fact, FactStatus};

fn pack(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../../deploy/packs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn shipped(code: &str) -> LinkedService {
    LinkedService::from_toml(&pack(&format!("linked/{code}.toml"))).unwrap()
}

/// What the demonstration has decided.
fn demo() -> Decisions {
    Decisions::from_toml(&pack("linked/decisions/demo.toml")).unwrap()
}

fn fact() -> Fact {
    Fact {
        status: FactStatus::Confirmed,
        source: "test".to_owned(),
        by: None,
        when: None,
        basis: None,
        demonstration: false,
    }
}

fn rule(code: &str, after: &[&str], on_end: &[(&str, Then)]) -> MemberRule {
    MemberRule {
        code: code.to_owned(),
        name: code.to_owned(),
        name_en: code.to_owned(),
        procedure: Some("1.001193".to_owned()),
        same_unit_as: None,
        after: after.iter().map(ToString::to_string).collect(),
        takes: Vec::new(),
        on_end: on_end
            .iter()
            .map(|(of, then)| OnEnd {
                of: (*of).to_owned(),
                rejected: *then,
                stopped: *then,
                withdrawn: *then,
            })
            .collect(),
        left_out: false,
        fact: fact(),
        flow_fact: fact(),
    }
}

fn service(members: Vec<MemberRule>) -> LinkedService {
    let from = jiff::civil::date(2026, 1, 1);
    LinkedService {
        code: "2.000986".to_owned(),
        version: 1,
        name: "liên thông".to_owned(),
        name_en: "linked".to_owned(),
        effective_from: from,
        effective_to: None,
        channels: vec![Channel::Online],
        fact: fact(),
        effective_fact: fact(),
        channels_fact: fact(),
        legal_basis: vec![Basis {
            number: "63/2024/NĐ-CP".to_owned(),
            title: None,
            fact: fact(),
        }],
        owners: vec![OwnerPeriod {
            owner: Owner::Local,
            effective_from: from,
            fact: fact(),
        }],
        members,
        shared: Vec::new(),
    }
}

fn application(service: LinkedService) -> LinkedCase {
    let members = service.coordinated().map(|rule| Member {
        code: rule.code.clone(),
        procedure_code: "1.001193".to_owned(),
        unit_id: 1,
        state: MemberState::Waiting,
        case_id: None,
        case_code: String::new(),
        case_state: None,
        due_date: None,
        submission_sha256: String::new(),
    });
    LinkedCase {
        linked_case_id: Uuid::nil(),
        code: "LT-H41-261127-0001".to_owned(),
        service_code: service.code.clone(),
        service_version: 1,
        service_sha256: String::new(),
        owner: Owner::Local,
        state: LinkedState::Running,
        channel: Channel::Online,
        receiving_unit_id: 1,
        owner_id: None,
        submit_time: "2026-11-27T01:00:00Z".parse().unwrap(),
        end_time: None,
        revision: 0,
        members: members.collect(),
        effects: Vec::new(),
        version: 1,
        service,
    }
}

/// Does an action as the store would.
fn apply(linked: &mut LinkedCase, action: &Action) {
    match action {
        Action::Start { member } => linked.member_mut(member).unwrap().state = MemberState::Running,
        Action::Withdraw { member, cause, .. } => {
            linked.member_mut(member).unwrap().state = MemberState::Ended(Ended::Withdrawn);
            linked.push_effect(cause, member, EffectKind::Withdrawn, "");
        }
        Action::Cancel { member, cause } => {
            linked.member_mut(member).unwrap().state = MemberState::Cancelled;
            linked.push_effect(cause, member, EffectKind::Cancelled, "");
        }
        Action::Record { member, cause, kind } => linked.push_effect(cause, member, *kind, ""),
        Action::Finish { state } => linked.state = *state,
    }
}

/// Brings it to rest; how many actions that took.
fn settle(linked: &mut LinkedCase) -> usize {
    let mut done = 0;
    loop {
        linked.answer_moot_questions();
        let Some(action) = next_actions(linked).into_iter().next() else {
            return done;
        };
        apply(linked, &action);
        done += 1;
        assert!(done < 500, "it never comes to rest");
    }
}

fn set(linked: &mut LinkedCase, code: &str, state: MemberState) {
    linked.member_mut(code).unwrap().state = state;
}

fn state(linked: &LinkedCase, code: &str) -> MemberState {
    linked.member(code).unwrap().state
}

#[test]
fn the_shipped_services_say_what_nobody_knows_and_cannot_be_filed_before_it_is_decided() {
    let codes = ["2.000986", "2.001023", "2.002913"];
    for code in codes {
        let service = shipped(code);
        assert_eq!(service.code, code);
        let open = service.fileable(Profile::Demo).unwrap_err();
        assert!(
            open.iter().any(|fact| fact.path.ends_with(".procedure")),
            "{code}: a member's procedure is not known: {open:?}"
        );
        let day = |day: &str| day.parse().unwrap();
        assert_eq!(service.owner_on(day("2026-12-31")).unwrap().owner, Owner::Local);
        let national = service.owner_on(day("2027-01-01")).unwrap();
        assert_eq!(
            (national.owner, national.fact.status),
            (Owner::National, FactStatus::Unconfirmed)
        );
    }
    // The demonstration lets other procedures stand for those that nobody has found; production takes none of it.
    for (code, member) in [("2.000986", "the_bhyt"), ("2.002913", "mai_tang_phi")] {
        let mut service = shipped(code);
        demo().apply(&mut service).unwrap();
        assert_eq!(service.coordinated().count(), 3);
        assert_eq!(service.fileable(Profile::Demo), Ok(()));
        let open = service.fileable(Profile::Production).unwrap_err();
        for path in [
            "channels".to_owned(),
            format!("members.{member}"),
            format!("members.{member}.flow"),
        ] {
            assert!(open.iter().any(|fact| fact.path == path), "{code} {path}: {open:?}");
        }
    }
    let left_out = Decisions::from_toml(
        "by = \"thử\"\nwhen = \"2026-12-01\"\nbasis = \"thử\"\ndemonstration = true\n[[decision]]\nservice = \"2.000986\"\nversion = 1\npath = \"members.the_bhyt\"\nleft_out = true\n",
    )
    .unwrap();
    let mut birth = shipped("2.000986");
    left_out.apply(&mut birth).unwrap();
    assert_eq!(birth.coordinated().count(), 2);
    let errors = lint(&birth, |_| None).into_iter().filter(Finding::is_error).count();
    assert_eq!(errors, 0, "rules about the member that was left out may stand");
    assert_eq!(birth.fileable(Profile::Demo), Ok(()));
    let open = birth.fileable(Profile::Production).unwrap_err();
    assert!(
        open.iter().any(|fact| fact.path == "members.the_bhyt.left_out"),
        "{open:?}"
    );
}

#[test]
fn the_shipped_services_fit_the_shipped_procedures() {
    let mut procedures: BTreeMap<String, Procedure> = BTreeMap::new();
    for code in ["1.001193", "1.003197", "1.004222", "1.000656", "9.900001", "9.900002"] {
        procedures.insert(
            code.to_owned(),
            Procedure::from_toml(&pack(&format!("procedures/{code}.toml"))).unwrap(),
        );
    }
    for code in ["2.000986", "2.001023", "2.002913"] {
        let mut decided = shipped(code);
        demo().apply(&mut decided).unwrap();
        for service in [shipped(code), decided] {
            let errors: Vec<String> = lint(&service, |code| procedures.get(code))
                .iter()
                .filter(|finding| finding.is_error())
                .map(ToString::to_string)
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{code}");
        }
    }
    // Where the line of the catalogue stands for a pack that production does not publish, nobody knows the components: nothing is lacking.
    let entry = |code: &str| {
        let lines = pack("catalogue/tthc_2026-07.csv");
        let manifest = Manifest::from_toml(&pack("catalogue/catalogue.toml")).unwrap();
        let line = read_lines(lines.as_bytes())
            .unwrap()
            .into_iter()
            .find(|line| line.code == code);
        line.unwrap().entry.unwrap().procedure(&manifest)
    };
    let lines: BTreeMap<&str, Procedure> = ["1.001193", "1.004222", "1.000656", "1.003197"]
        .into_iter()
        .map(|code| (code, entry(code)))
        .collect();
    for code in ["2.000986", "2.002913"] {
        let found = lint(&shipped(code), |code| lines.get(code));
        assert!(
            found.iter().all(|finding| !finding.en.contains("has no component")),
            "{code}: {found:?}"
        );
    }
}

#[test]
fn the_linter_names_everything_that_cannot_work() {
    let birth = Procedure::from_toml(&pack("procedures/1.001193.toml")).unwrap();
    let company = Procedure::from_toml(&pack("procedures/2.002043.toml")).unwrap();
    let mut ministry = company.clone();
    ministry.levels = vec![crate::domain::pack::Level::Ministry];
    let find = |code: &str| match code {
        "1.001193" => Some(&birth),
        "2.002043" => Some(&ministry),
        _ => None,
    };
    let takes = |component: &str, from: &str, result: &str| Takes {
        component: component.to_owned(),
        from: from.to_owned(),
        result: result.to_owned(),
        fact: fact(),
    };
    let mut one = rule("a", &["b"], &[("b", Then::Withdraw)]);
    let mut two = rule("b", &["a", "nobody"], &[("a", Then::Continue), ("a", Then::Ask)]);
    two.takes = vec![
        takes("giay_chung_sinh", "c", "KQ.G15.000031"),
        takes("giay_chung_sinh", "a", "KQ.G15.000099"),
    ];
    two.procedure = Some("2.002043".to_owned());
    one.takes = vec![takes("khong_co", "b", "KQ.G01.000064")];
    let three = rule("c", &["b"], &[]);
    let mut broken = service(vec![one, two, three, rule("d", &[], &[]), rule("d", &[], &[])]);
    broken.owners.clear();
    let found: Vec<String> = lint(&broken, find)
        .iter()
        .filter(|finding| finding.is_error())
        .map(|finding| finding.en.clone())
        .collect();
    for expected in [
        "who coordinates must be said",
        "the code stands twice",
        "it waits for itself (a cycle)",
        "there is no member nobody",
        "there are two rules",
        "a component without a source: it does not wait for the result of c",
        "it cannot go on where the result that it takes never comes",
        "what happens when b ends without a result is not said",
        "no agency of the province handles 2.002043",
        "1.001193 has no component khong_co",
        "a has no result KQ.G15.000099",
    ] {
        assert!(
            found.iter().any(|text| text == expected),
            "missing: {expected}\nfound: {found:#?}"
        );
    }
}

#[test]
fn decisions_settle_what_is_open_and_touch_nothing_that_is_confirmed() {
    let text = |path: &str, rest: &str| {
        format!(
            "by = \"Chủ tịch\"\nwhen = \"2026-12-01\"\nbasis = \"QĐ\"\n[[decision]]\nservice = \"2.000986\"\nversion = 1\npath = \"{path}\"\n{rest}\n"
        )
    };
    let applied = |path: &str, rest: &str| {
        let mut service = shipped("2.000986");
        Decisions::from_toml(&text(path, rest))
            .unwrap()
            .apply(&mut service)
            .map(|()| service)
    };
    let service = applied("members.the_bhyt", "procedure = \"1.001699\"").unwrap();
    let member = service.member("the_bhyt").unwrap();
    assert_eq!(member.procedure.as_deref(), Some("1.001699"));
    assert_eq!(
        (member.fact.status, member.fact.by.as_deref()),
        (FactStatus::Decided, Some("Chủ tịch"))
    );
    assert!(service.fileable(Profile::Demo).is_ok() && service.fileable(Profile::Production).is_err());
    // What it takes over is decided along with it, and settled as it is.
    let taking =
        "procedure = \"1.001699\"\ntakes = [{ component = \"x\", from = \"khai_sinh\", result = \"KQ.G15.000031\" }]";
    let service = applied("members.the_bhyt", taking).unwrap();
    let taken = &service.member("the_bhyt").unwrap().takes;
    assert_eq!(
        taken
            .iter()
            .map(|takes| (takes.component.as_str(), takes.fact.status))
            .collect::<Vec<_>>(),
        [("x", FactStatus::Decided)]
    );
    for path in [
        "effective_from",
        "channels",
        "legal_basis.63/2024/NĐ-CP",
        "owners.2027-01-01",
        "members.khai_sinh.flow",
        "members.thuong_tru.takes.giay_to_quan_he",
    ] {
        applied(path, "").unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    for (path, rest) in [
        ("header", ""),
        ("members.nobody", ""),
        ("effective_from", "left_out = true"),
        (
            "channels",
            "takes = [{ component = \"x\", from = \"khai_sinh\", result = \"KQ.G15.000031\" }]",
        ),
        (
            "members.the_bhyt.flow",
            "takes = [{ component = \"x\", from = \"khai_sinh\", result = \"KQ.G15.000031\" }]",
        ),
        (
            "members.the_bhyt",
            "left_out = true\ntakes = [{ component = \"x\", from = \"khai_sinh\", result = \"KQ.G15.000031\" }]",
        ),
        ("owners.2030-01-01", ""),
    ] {
        assert!(applied(path, rest).is_err(), "{path} {rest}");
    }
}

#[test]
fn members_begin_when_those_before_them_have_their_results() {
    let mut linked = application(service(vec![
        rule("birth", &[], &[]),
        rule("residence", &["birth"], &[("birth", Then::Withdraw)]),
        rule(
            "card",
            &["birth", "residence"],
            &[("birth", Then::Withdraw), ("residence", Then::Ask)],
        ),
    ]));
    settle(&mut linked);
    assert_eq!(
        ["birth", "residence", "card"].map(|code| state(&linked, code)),
        [MemberState::Running, MemberState::Waiting, MemberState::Waiting]
    );
    assert_eq!(linked.waits_for("card"), ["birth", "residence"]);
    set(&mut linked, "birth", MemberState::Issued);
    settle(&mut linked);
    assert_eq!(
        (state(&linked, "residence"), state(&linked, "card")),
        (MemberState::Running, MemberState::Waiting)
    );
    assert_eq!(linked.waits_for("card"), ["residence"]);
    for code in ["birth", "residence"] {
        set(&mut linked, code, MemberState::Returned);
    }
    settle(&mut linked);
    assert_eq!(state(&linked, "card"), MemberState::Running);
    set(&mut linked, "card", MemberState::Returned);
    settle(&mut linked);
    assert_eq!(linked.state, LinkedState::Finished);
}

#[test]
fn the_end_of_one_has_the_consequences_that_are_defined_once_each() {
    let members = || {
        vec![
            rule("a", &[], &[("b", Then::Continue)]),
            rule("b", &[], &[("a", Then::Withdraw)]),
            rule("c", &["a"], &[("a", Then::Withdraw)]),
            rule("d", &["b"], &[("b", Then::Ask)]),
        ]
    };
    // a is not taken in: b, which runs, is taken back; c is never filed; then somebody is asked about d, which waits for b.
    let mut linked = application(service(members()));
    settle(&mut linked);
    set(&mut linked, "a", MemberState::Ended(Ended::Rejected));
    settle(&mut linked);
    assert_eq!(state(&linked, "b"), MemberState::Ended(Ended::Withdrawn));
    assert_eq!(state(&linked, "c"), MemberState::Cancelled);
    assert_eq!(state(&linked, "d"), MemberState::Waiting);
    assert_eq!(linked.state, LinkedState::Running, "somebody is asked");
    assert_eq!(settle(&mut linked), 0, "nothing is done twice");
    let question = linked.effects.iter_mut().find(|effect| effect.is_open()).unwrap();
    assert_eq!((question.affected.as_str(), question.kind), ("d", EffectKind::Asked));
    question.withdraw = Some(false);
    settle(&mut linked);
    assert_eq!(
        state(&linked, "d"),
        MemberState::Running,
        "it goes on as somebody decided"
    );
    set(&mut linked, "d", MemberState::Returned);
    settle(&mut linked);
    assert_eq!(linked.state, LinkedState::PartlyFinished);

    // The same, when b has its result already: nobody takes it back, and somebody is told.
    let mut linked = application(service(members()));
    settle(&mut linked);
    set(&mut linked, "b", MemberState::Returned);
    set(&mut linked, "a", MemberState::Ended(Ended::Stopped));
    settle(&mut linked);
    assert_eq!(state(&linked, "b"), MemberState::Returned);
    let told = linked.effects.iter().find(|effect| effect.affected == "b").unwrap();
    assert_eq!((told.kind, told.is_open()), (EffectKind::UndoImpossible, true));
}

#[test]
fn a_question_about_a_member_that_ended_meanwhile_is_moot_and_one_about_a_result_is_not() {
    let members = vec![
        rule("a", &[], &[]),
        rule("b", &[], &[("a", Then::Ask)]),
        rule("c", &["a"], &[("a", Then::Ask)]),
        rule("d", &[], &[("a", Then::Withdraw)]),
    ];
    let mut linked = application(service(members));
    settle(&mut linked);
    set(&mut linked, "d", MemberState::Issued);
    set(&mut linked, "a", MemberState::Ended(Ended::Rejected));
    settle(&mut linked);
    let open = |linked: &LinkedCase| -> Vec<String> {
        let open = linked.effects.iter().filter(|effect| effect.is_open());
        open.map(|effect| effect.affected.clone()).collect()
    };
    assert_eq!(
        open(&linked),
        ["b", "c", "d"],
        "two are asked about, one has its result"
    );
    assert!(!linked.answer_moot_questions(), "all of them can still be decided");

    // The applicant takes b back by itself; c is not filed any more; d is handed over.
    set(&mut linked, "b", MemberState::Ended(Ended::Withdrawn));
    set(&mut linked, "c", MemberState::Cancelled);
    set(&mut linked, "d", MemberState::Returned);
    assert!(linked.answer_moot_questions());
    assert_eq!(open(&linked), ["d"]);
    let of = |code: &str| linked.effects.iter().find(|effect| effect.affected == code).unwrap();
    for code in ["b", "c"] {
        let answered = of(code);
        assert_eq!(
            (answered.withdraw, answered.decided_by, answered.reason.as_str()),
            (Some(true), None, ""),
            "nobody decided"
        );
    }
    assert!(!linked.clone().answer_moot_questions(), "once");
    assert_eq!(settle(&mut linked), 0, "somebody is still told about d");
    linked
        .effects
        .iter_mut()
        .find(|effect| effect.is_open())
        .unwrap()
        .withdraw = Some(false);
    settle(&mut linked);
    assert_eq!(linked.state, LinkedState::PartlyFinished);
}

#[test]
fn a_unit_sees_an_application_through_a_case_or_a_question_and_is_asked_only_while_one_is_open() {
    let members = vec![rule("a", &[], &[]), rule("b", &["a"], &[("a", Then::Ask)])];
    let mut linked = application(service(members));
    linked.receiving_unit_id = 9;
    for (member, unit_id) in linked.members.iter_mut().zip([1, 2]) {
        member.unit_id = unit_id;
    }
    let seen = |linked: &LinkedCase| linked.seen_by().into_iter().collect::<Vec<_>>();
    assert_eq!(seen(&linked), [(9, false)], "nothing was filed yet");
    linked.member_mut("a").unwrap().stand_as(&CaseStand {
        case_id: Uuid::from_u128(1),
        case_code: "H41.201-261127-0001".to_owned(),
        unit_id: 1,
        state: crate::domain::transitions::State::Registered,
        due_date: None,
    });
    assert_eq!(seen(&linked), [(1, false), (9, false)]);
    // b could not be filed: its unit is asked, and has no case.
    linked.push_effect("b", "b", EffectKind::NotFiled, "FILE_NOT_USABLE");
    set(&mut linked, "b", MemberState::Held);
    assert_eq!(seen(&linked), [(1, false), (2, true), (9, false)]);
    set(&mut linked, "b", MemberState::Cancelled);
    linked.answer_moot_questions();
    assert_eq!(
        seen(&linked),
        [(1, false), (9, false)],
        "neither asked any more nor with a case"
    );
    linked.owner = Owner::National;
    assert_eq!(seen(&linked), [(1, false), (2, false)], "through its member");
}

#[test]
fn a_member_stands_as_its_case_does() {
    let mut linked = application(service(vec![rule("a", &[], &[]), rule("b", &[], &[])]));
    let stand = CaseStand {
        case_id: Uuid::from_u128(1),
        case_code: "H41.201-261127-0001".to_owned(),
        unit_id: 3,
        state: crate::domain::transitions::State::Completed,
        due_date: Some(jiff::civil::date(2026, 12, 1)),
    };
    let member = linked.member_mut("a").unwrap();
    assert!(member.stand_as(&stand));
    assert_eq!(
        (member.state, member.unit_id, member.case_id, member.due_date),
        (MemberState::Issued, 3, Some(stand.case_id), stand.due_date)
    );
    assert!(!member.stand_as(&stand), "nothing differs any more");
}

#[test]
fn each_member_that_is_coordinated_is_named_once_and_everything_else_is_wrong() {
    let mut left_out = rule("c", &[], &[]);
    left_out.left_out = true;
    let service = service(vec![rule("a", &[], &[]), rule("b", &[], &[]), left_out]);
    let wrong = |named: &[&str], with: bool| service.wrong_members(named, with);
    assert!(wrong(&["b", "a"], false).is_empty());
    assert!(wrong(&["a", "b", "c"], true).is_empty());
    assert_eq!(
        wrong(&["a", "a", "a", "c", "x", "x"], false),
        [
            WrongMember::Repeated("a".to_owned()),
            WrongMember::Unknown("c".to_owned()),
            WrongMember::Unknown("x".to_owned()),
            WrongMember::Missing("b".to_owned()),
        ],
        "each of them once"
    );
    assert_eq!(
        wrong(&["c", "c"], true),
        [
            WrongMember::Repeated("c".to_owned()),
            WrongMember::Missing("a".to_owned()),
            WrongMember::Missing("b".to_owned()),
        ]
    );
}

#[test]
fn a_decision_about_a_service_or_version_that_there_is_not_fits_nothing() {
    let decisions = |service: &str, version: i32, path: &str| {
        let text = format!(
            "by = \"Chủ tịch\"\nwhen = \"2026-12-01\"\nbasis = \"QĐ\"\n[[decision]]\nservice = \"{service}\"\nversion = {version}\npath = \"{path}\"\n"
        );
        Decisions::from_toml(&text).unwrap()
    };
    let known = [shipped("2.000986"), shipped("2.001023")];
    assert!(decisions("2.000986", 1, "channels").fit(&known).is_ok());
    for (service, version, path, expected) in [
        (
            "2.000986",
            2,
            "channels",
            "2.000986 version 2: there is no such linked service",
        ),
        (
            "2.999999",
            1,
            "channels",
            "2.999999 version 1: there is no such linked service",
        ),
        (
            "2.001023",
            1,
            "members.nobody",
            "2.001023 members.nobody: there is no such fact",
        ),
    ] {
        let error = decisions(service, version, path).fit(&known).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // Everything that does not fit is named.
    let mut several = decisions("2.999999", 1, "channels");
    several.decisions.extend(decisions("2.000986", 1, "header").decisions);
    let error = several.fit(&known).unwrap_err().to_string();
    assert!(
        error.contains("2.999999 version 1") && error.contains("2.000986 header"),
        "{error}"
    );
}

/// What may happen to a member from outside.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Issued,
    Returned,
    Ended(Ended),
    Decided(bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => Just(Happens::Issued),
        3 => Just(Happens::Returned),
        2 => proptest::sample::select(Ended::ALL.to_vec()).prop_map(Happens::Ended),
        1 => any::<bool>().prop_map(Happens::Decided),
    ]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![Just(Then::Withdraw), Just(Then::Continue), Just(Then::Ask)]
}

/// Any service without a cycle: each member waits for some of those before it, and has any rule about any other.
fn services() -> impl Strategy<Value = LinkedService> {
    (2_usize..6).prop_flat_map(|count| {
        let rules = proptest::collection::vec(proptest::option::weighted(0.8, then()), count * count);
        let waits = proptest::collection::vec(any::<bool>(), count * count);
        (Just(count), rules, waits).prop_map(|(count, rules, waits)| {
            let name = |place: usize| format!("m{place}");
            let members = (0..count).map(|place| {
                let after: Vec<String> = (0..place)
                    .filter(|other| waits[place * count + other])
                    .map(name)
                    .collect();
                let mut member = rule(&name(place), &[], &[]);
                for other in (0..count).filter(|other| *other != place) {
                    let needed = other < place;
                    let then = rules[place * count + other].or_else(|| needed.then_some(Then::Withdraw));
                    if let Some(then) = then {
                        member.on_end.push(OnEnd {
                            of: name(other),
                            rejected: then,
                            stopped: then,
                            withdrawn: then,
                        });
                    }
                }
                member.after = after;
                member
            });
            service(members.collect())
        })
    })
}

proptest! {
    #[test]
    fn whatever_happens_it_comes_to_rest_in_order_and_ends_when_everything_is_at_its_end(
        service in services(),
        story in proptest::collection::vec((any::<prop::sample::Index>(), happens()), 0..40),
    ) {
        prop_assert!(lint(&service, |_| None).iter().all(|finding| !finding.is_error()));
        let mut linked = application(service);
        let mut started: Vec<String> = Vec::new();
        let step = |linked: &mut LinkedCase, started: &mut Vec<String>| {
            let mut done = 0;
            loop {
                    linked.answer_moot_questions();
                    let Some(action) = next_actions(linked).into_iter().next() else { break };
                    if let Action::Start { member } = &action {
                        assert!(!started.contains(member), "{member} begins twice");
                        for before in &linked.service.member(member).unwrap().after {
                            let before = linked.member(before).unwrap();
                            assert!(before.state.has_result() || before.state.ended().is_some(), "{member} begins before {}", before.code);
                        }
                        started.push(member.clone());
                    }
                    apply(linked, &action);
                    done += 1;
                    assert!(done < 500, "it never comes to rest");
            }
        };
        step(&mut linked, &mut started);
        for (place, what) in story {
            let code = linked.members[place.index(linked.members.len())].code.clone();
            match (what, state(&linked, &code)) {
                (Happens::Issued, MemberState::Running) => set(&mut linked, &code, MemberState::Issued),
                (Happens::Returned, MemberState::Issued) => set(&mut linked, &code, MemberState::Returned),
                (Happens::Ended(ended), MemberState::Running) => set(&mut linked, &code, MemberState::Ended(ended)),
                (Happens::Decided(withdraw), now) => {
                    if let Some(question) = linked.effects.iter_mut().find(|effect| effect.is_open() && effect.affected == code) {
                        question.withdraw = Some(withdraw && !now.has_result());
                        match now {
                            MemberState::Waiting if withdraw => set(&mut linked, &code, MemberState::Cancelled),
                            MemberState::Running if withdraw => set(&mut linked, &code, MemberState::Ended(Ended::Withdrawn)),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            step(&mut linked, &mut started);
            prop_assert!(next_actions(&linked).is_empty());
            // Nobody is asked about what cannot happen any more, and who is asked sees the application.
            for question in linked.effects.iter().filter(|effect| effect.is_open()) {
                let about = linked.member(&question.affected).unwrap();
                prop_assert!(about.state.ended().is_none(), "{} ended, and is asked about", about.code);
                prop_assert!(linked.seen_by().get(&about.unit_id).copied() == Some(true));
            }
            // What the definition takes back when another one ended is not left running.
            for ended in linked.members.clone() {
                let Some(how) = ended.state.ended() else { continue };
                for rule in linked.service.members.clone() {
                    let takes_back = rule.on_end.iter().any(|on_end| on_end.of == ended.code && on_end.then(how) == Then::Withdraw);
                    let now = state(&linked, &rule.code);
                    prop_assert!(!takes_back || (now != MemberState::Running && now != MemberState::Waiting), "{} goes on after {}", rule.code, ended.code);
                }
            }
        }
        // Everything that runs gets its result, every question its answer: then it is over.
        for _ in 0..50 {
            for member in linked.members.clone() {
                if member.state == MemberState::Running || member.state == MemberState::Issued {
                    set(&mut linked, &member.code, MemberState::Returned);
                }
            }
            for effect in &mut linked.effects {
                if effect.is_open() { effect.withdraw = Some(false); }
            }
            step(&mut linked, &mut started);
        }
        prop_assert_ne!(linked.state, LinkedState::Running, "{:?} {:?}", linked.members, linked.effects);
    }

    #[test]
    fn whatever_text_comes_as_a_pack_it_is_read_or_refused(text in "\\PC*") {
        let _ = LinkedService::from_toml(&text);
        let _ = Decisions::from_toml(&text);
    }

    #[test]
    fn a_pack_with_a_piece_changed_is_read_or_refused(place in any::<prop::sample::Index>(), length in 0_usize..40, piece in "\\PC{0,20}") {
        let mut characters: Vec<char> = pack("linked/2.000986.toml").chars().collect();
        let start = place.index(characters.len());
        let end = (start + length).min(characters.len());
        characters.splice(start..end, piece.chars());
        let text: String = characters.into_iter().collect();
        if let Ok(service) = LinkedService::from_toml(&text) {
            prop_assert!(lint(&service, |_| None).iter().all(|finding| !finding.is_error()));
        }
    }

    #[test]
    fn numbers_of_states_and_effects_name_them(code in any::<i16>()) {
        prop_assert!(MemberState::of_code(code).is_none_or(|state| state.code() == code));
        prop_assert!(EffectKind::of_code(code).is_none_or(|kind| kind.code() == code));
        prop_assert!(LinkedState::of_code(code).is_none_or(|state| state.code() == code));
    }
}

#[test]
fn what_the_ledger_commits_to_is_what_is_read_again() {
    let mut linked = application(shipped("2.000986"));
    linked.push_effect("khai_sinh", "thuong_tru", EffectKind::Asked, "");
    set(&mut linked, "khai_sinh", MemberState::Ended(Ended::Stopped));
    let canonical = linked.canonical().unwrap();
    let document = serde_json::from_slice(&canonical).unwrap();
    let read = LinkedCase::from_stored(document, linked.service.clone()).unwrap();
    assert_eq!(read, linked);
    assert_eq!(read.canonical().unwrap(), canonical);
}
