use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use egov_calendar::Period;
use egov_codes::AgencyCode;
use jiff::civil;
use proptest::prelude::*;

use super::*;
use crate::domain::transitions::State;

/// Those of the national portal, and the two that stand for procedures which nobody has found, in the demonstration only.
const SHIPPED: [&str; 14] = [
    "1.000656", "1.000894", "1.001193", "1.001612", "1.003197", "1.004222", "1.004873", "1.010727", "1.012783",
    "1.013225", "2.000635", "2.002043", "9.900001", "9.900002",
];

fn read(file: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shipped(code: &str) -> Procedure {
    Procedure::from_toml(&read(&format!("procedures/{code}.toml"))).unwrap_or_else(|error| panic!("{code}: {error}"))
}

fn demo() -> Decisions {
    Decisions::from_toml(&read("procedures/decisions/demo.toml")).unwrap()
}

fn decided(code: &str) -> Procedure {
    let mut procedure = shipped(code);
    apply_decisions(&mut procedure, &demo()).unwrap();
    procedure
}

fn codes(list: &[&str]) -> Vec<String> {
    list.iter().map(|code| (*code).to_owned()).collect()
}

/// The first columns of a CSV file whose first columns are codes, without the heading.
fn columns<const N: usize>(file: &str) -> Vec<[String; N]> {
    let first = |line: &str| {
        let cells: Vec<String> = line.split(',').take(N).map(str::to_owned).collect();
        cells.try_into().unwrap()
    };
    read(file).lines().skip(1).map(first).collect()
}

#[test]
fn every_shipped_pack_is_read_and_named_after_its_procedure() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/procedures"));
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, SHIPPED);
    for code in SHIPPED {
        assert_eq!(shipped(code).code.as_str(), code);
    }
}

#[test]
fn shipped_packs_are_written_in_composed_letters() {
    for code in SHIPPED {
        let text = read(&format!("procedures/{code}.toml"));
        assert!(unicode_normalization::is_nfc(&text), "{code}");
    }
}

#[test]
fn what_a_shipped_pack_names_exists() {
    for code in SHIPPED {
        let procedure = shipped(code);
        assert!(read(&format!("transitions/{}.toml", procedure.transitions)).contains(&procedure.transitions));
        for step in &procedure.steps {
            assert!(
                ["one_stop_clerk", "officer", "unit_leader"].contains(&step.role.as_str()),
                "{code} {}",
                step.code
            );
        }
        let used: BTreeSet<&String> = procedure
            .components
            .iter()
            .flat_map(|component| component.when.iter().chain(&component.unless))
            .chain(
                procedure
                    .channels
                    .iter()
                    .flat_map(|offer| offer.special_times.iter().map(|time| &time.when)),
            )
            .chain(
                procedure
                    .channels
                    .iter()
                    .flat_map(|offer| offer.fees.iter().filter_map(|fee| fee.when.as_ref())),
            )
            .chain(
                procedure
                    .eligibility
                    .iter()
                    .flat_map(|row| row.when.all.iter().chain(&row.when.none)),
            )
            .chain(
                procedure
                    .fee_rows
                    .iter()
                    .flat_map(|row| row.when.all.iter().chain(&row.when.none)),
            )
            .collect();
        for condition in &procedure.conditions {
            assert!(
                used.contains(&condition.code),
                "{code}: nothing depends on {}",
                condition.code
            );
        }
    }
}

#[test]
fn the_steps_of_a_shipped_pack_lead_from_the_counter_over_an_approval_to_the_counter() {
    for code in SHIPPED {
        let steps = shipped(code).steps;
        let (first, last) = (steps.first().unwrap(), steps.last().unwrap());
        assert_eq!((first.state, last.state), (State::Accepted, State::Returned), "{code}");
        let approvals: Vec<&Step> = steps.iter().filter(|step| step.state == State::Completed).collect();
        assert_eq!(approvals.len(), 1, "{code}");
        assert_eq!(approvals[0].role, "unit_leader", "{code}");
    }
}

#[test]
fn the_demonstration_may_offer_every_shipped_procedure_and_production_none() {
    for code in SHIPPED {
        let procedure = decided(code);
        assert_eq!(procedure.publishable(Profile::Demo), Ok(()), "{code}");
        let open = procedure.publishable(Profile::Production).unwrap_err();
        assert!(
            open.iter().any(|fact| fact.path == "effective_from"),
            "{code}: {open:?}"
        );
    }
}

#[test]
fn what_stands_for_a_procedure_that_nobody_has_found_says_so_and_settles_nothing_for_production() {
    for code in ["9.900001", "9.900002"] {
        let stand_in = decided(code);
        assert!(stand_in.name.starts_with("[Trình diễn] "), "{}", stand_in.name);
        for (path, fact) in stand_in.facts() {
            assert!(!fact.is_settled(Profile::Production), "{code} {path}");
        }
    }
}

#[test]
fn three_shipped_packs_plan_their_steps_within_the_legal_time_as_facts_to_be_decided() {
    for code in ["1.000894", "1.001193", "1.004873"] {
        let mut procedure = decided(code);
        let timed: Vec<String> = procedure
            .steps
            .iter()
            .filter(|step| step.state != State::Returned)
            .map(|step| {
                assert!(step.time.and_then(StepTime::period).is_some(), "{code} {}", step.code);
                format!("steps.{}.time", step.code)
            })
            .collect();
        let open: Vec<String> = procedure
            .open_facts_for(Profile::Production)
            .into_iter()
            .map(|fact| fact.path)
            .collect();
        assert!(timed.iter().all(|path| open.contains(path)), "{code}: {open:?}");
        // They can be decided as they stand, each for itself.
        let decision = format!(
            "by = \"Chủ tịch UBND xã\"\nwhen = \"2026-12-01\"\nbasis = \"Quy chế một cửa\"\n[[decision]]\nprocedure = \"{code}\"\nversion = 1\nwhat.as_it_stands = \"{}\"\n",
            timed[0]
        );
        apply_decisions(&mut procedure, &Decisions::from_toml(&decision).unwrap()).unwrap();
        let open = procedure.open_facts_for(Profile::Production);
        assert!(open.iter().all(|fact| fact.path != timed[0]) && open.iter().any(|fact| fact.path == timed[1]));
        // With the demonstration's legal time the steps fit in: 7.5 office hours a day, as the shipped calendar has them.
        let hours: u32 = procedure
            .steps
            .iter()
            .filter(|step| step.state != State::Returned)
            .filter_map(|step| step.time.and_then(|time| time.value))
            .sum();
        let legal = procedure.time_for(Channel::Online, &[]).and_then(Time::period);
        let Some(Period::WorkingDays(days)) = legal else {
            panic!("{code}: {legal:?}");
        };
        assert!(hours * 60 <= days * 450, "{code}: {hours} hours of {days} days");
    }
}

#[test]
fn the_tables_and_forms_of_shipped_packs_judge_what_is_stated_and_filled_in() {
    let on = |code: &str, stated: &[&str]| {
        let procedure = decided(code);
        let conditions = procedure.conditions_for(Channel::Online, &codes(stated));
        let asked = crate::domain::definition::Asked {
            channel: Channel::Online,
            applicant: crate::domain::party::PartyKind::Citizen,
            conditions: &conditions,
            on: civil::date(2026, 11, 23),
        };
        let eligible = procedure.eligibility_for(&asked).is_none_or(|row| row.eligible);
        (
            eligible,
            procedure
                .fees_on(&asked)
                .iter()
                .map(|fee| fee.amount_vnd)
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(on("1.001193", &[]), (true, Vec::new()));
    assert_eq!(
        on("1.001193", &["qua_han"]),
        (true, vec![None]),
        "the amount is the province's"
    );
    assert_eq!(on("1.001193", &["qua_han", "duoc_mien_le_phi"]), (true, vec![Some(0)]));
    for condition in ["chua_du_tuoi", "dang_co_vo_chong", "quan_he_bi_cam"] {
        assert!(!on("1.000894", &[condition]).0, "{condition}");
    }
    assert!(on("1.000894", &[]).0 && on("1.004873", &["chua_du_tuoi"]).0);
    assert!(!on("1.004873", &["chua_du_tuoi", "de_ket_hon"]).0);
    assert_eq!(on("1.004873", &["duoc_mien_le_phi"]).1, [Some(0)]);
    for (code, filled, faulty) in [
        (
            "1.001193",
            r#"{"nguoi_yeu_cau":{"ho_ten":"Lê Thị Hà","quan_he":"mẹ"},"tre":{"ho_ten":"Lê An","gioi_tinh":"nam","ngay_sinh":"2026-11-20","noi_sinh":"Vinh"}}"#,
            r#"{"nguoi_yeu_cau":{"ho_ten":"Lê Thị Hà","quan_he":"mẹ"},"tre":{"ho_ten":"Lê An"}}"#,
        ),
        (
            "1.000894",
            r#"{"nam":{"ho_ten":"Lê An","ngay_sinh":"1999-01-02"},"nu":{"ho_ten":"Lê Hà","ngay_sinh":"2000-01-02"}}"#,
            r#"{"nam":{"ho_ten":"Lê An","ngay_sinh":"1999-01-02"}}"#,
        ),
        (
            "1.004873",
            r#"{"nguoi_yeu_cau":{"ho_ten":"Lê An"},"nguoi_duoc_xac_nhan":{"ho_ten":"Lê An","noi_cu_tru":"Vinh","tinh_trang_hon_nhan":"chưa kết hôn","loai_muc_dich":"mục đích khác"}}"#,
            r#"{"nguoi_yeu_cau":{"ho_ten":"Lê An"},"nguoi_duoc_xac_nhan":{"ho_ten":"Lê An","noi_cu_tru":"Vinh","tinh_trang_hon_nhan":"chưa kết hôn","loai_muc_dich":"vay tiền"}}"#,
        ),
    ] {
        let procedure = shipped(code);
        let form = egov_forms::Form::read(&procedure.forms[0].schema).unwrap();
        form.check(filled).unwrap();
        assert!(!form.check(faulty).unwrap_err().is_empty(), "{code}");
        // Nobody has to fill it in: a form may come as a file as well.
        let with_form = procedure.components.iter().find(|component| component.e_form.is_some());
        assert!(with_form.is_some_and(|component| component.ways.is_empty()), "{code}");
    }
}

#[test]
fn every_decision_of_the_demonstration_is_about_a_shipped_procedure() {
    let demo = demo();
    let addressed = SHIPPED
        .iter()
        .map(|code| shipped(code))
        .map(|it| demo.on(&it.code, it.version).count());
    assert_eq!(addressed.sum::<usize>(), demo.decisions.len());
    assert!(demo.demonstration);
}

#[test]
fn a_pack_survives_the_way_into_the_database_and_back() {
    for code in SHIPPED {
        let procedure = decided(code);
        let stored = serde_json::to_string(&procedure).unwrap();
        assert_eq!(serde_json::from_str::<Procedure>(&stored).unwrap(), procedure);
    }
}

#[test]
fn every_unit_has_one_agency_code_and_only_that_of_the_province_is_confirmed() {
    let units: BTreeSet<String> = columns::<1>("units/units-2025.csv")
        .into_iter()
        .chain(columns::<1>("units/departments.csv"))
        .map(|[code]| code)
        .collect();
    let rows = columns::<3>("agency-codes/demo.csv");
    let of: BTreeSet<String> = rows.iter().map(|[unit, ..]| unit.clone()).collect();
    let agencies: BTreeSet<AgencyCode> = rows.iter().map(|[_, agency, _]| agency.parse().unwrap()).collect();
    assert_eq!((units.len(), &of), (131 + 17, &units));
    assert_eq!(agencies.len(), rows.len());
    for [unit, _, status] in &rows {
        assert_eq!(status, if unit == "40" { "confirmed" } else { "provisional" }, "{unit}");
    }
}

#[test]
fn a_birth_filed_online_lacks_nothing_with_the_form_and_the_certificate_of_birth() {
    let birth = shipped("1.001193");
    let conditions = birth.conditions_for(Channel::Online, &[]);
    assert!(conditions.is_empty());
    assert_eq!(
        birth.missing_components(&conditions, &[("mau_dien_tu", false), ("giay_chung_sinh", true)]),
        []
    );
    assert_eq!(
        birth.missing_components(&conditions, &[("mau_dien_tu", false), ("giay_cam_doan", true)]),
        [MissingComponent {
            any_of: codes(&["giay_chung_sinh", "van_ban_lam_chung", "giay_cam_doan"]),
            names: ["giay_chung_sinh", "van_ban_lam_chung", "giay_cam_doan"]
                .map(|code| birth.component(code).unwrap().name.clone())
                .to_vec(),
            reason: MissingReason::DataNotAllowed,
        }]
    );
    assert_eq!(
        birth.unknown_components(["to_khai", "ct01", "to_khai", "ct01"]),
        ["ct01"]
    );
}

#[test]
fn at_the_counter_the_identity_is_shown_or_looked_up() {
    let birth = shipped("1.001193");
    let conditions = birth.conditions_for(Channel::Counter, &[]);
    let filed = [("to_khai", false), ("giay_chung_sinh", false)];
    let missing = birth.missing_components(&conditions, &filed);
    assert_eq!(
        missing.iter().flat_map(|missing| &missing.any_of).collect::<Vec<_>>(),
        ["giay_to_tuy_than"]
    );
    let shown = [filed.as_slice(), &[("giay_to_tuy_than", true)]].concat();
    assert_eq!(birth.missing_components(&conditions, &shown), []);
}

#[test]
fn an_abandoned_child_needs_the_minutes_and_no_certificate_of_birth() {
    let birth = shipped("1.001193");
    let conditions = birth.conditions_for(Channel::Online, &codes(&["tre_bi_bo_roi"]));
    assert_eq!(
        birth.missing_components(&conditions, &[("mau_dien_tu", false), ("bien_ban_bo_roi", false)]),
        []
    );
}

#[test]
fn a_late_registration_costs_and_one_in_time_does_not() {
    let birth = shipped("1.001193");
    assert_eq!(birth.fees_for(Channel::Online, &[]), Vec::<&Fee>::new());
    let late = birth.fees_for(Channel::Online, &codes(&["qua_han"]));
    assert_eq!(
        late.iter()
            .map(|fee| (fee.code.as_str(), fee.amount_vnd))
            .collect::<Vec<_>>(),
        [("le_phi_ho_tich", None)]
    );
}

#[test]
fn a_house_is_permitted_in_fifteen_days_and_other_works_in_twenty() {
    let permit = decided("1.013225");
    for channel in Channel::ALL {
        let period = |kind: &str| permit.time_for(channel, &codes(&[kind])).and_then(Time::period);
        assert_eq!(period("nha_o_rieng_le"), Some(Period::Days(15)));
        assert_eq!(period("ton_giao"), Some(Period::Days(20)));
    }
}

#[test]
fn residence_is_not_registered_by_post_and_costs_half_online() {
    let residence = shipped("1.004222");
    assert_eq!(residence.time_for(Channel::Post, &[]), None);
    let amounts = [Channel::Counter, Channel::Online].map(|channel| residence.fees_for(channel, &[])[0].amount_vnd);
    assert_eq!(amounts, [Some(20_000), Some(10_000)]);
}

#[test]
fn of_a_choice_exactly_one_is_stated_and_what_follows_from_the_channel_is_not() {
    let residence = shipped("1.004222");
    assert_eq!(residence.condition_faults(&codes(&["so_huu", "phuong_tien"])), []);
    let [ConditionFault::Choice { choice, one_of, stated }] = &residence.condition_faults(&[])[..] else {
        panic!("the choice is not asked for");
    };
    assert_eq!((choice.as_str(), one_of.len(), stated.len()), ("truong_hop", 7, 0));
    assert_eq!(
        residence
            .condition_faults(&codes(&["so_huu", "nguoi_than", "nha_ma"]))
            .len(),
        2
    );

    let birth = shipped("1.001193");
    let stated = codes(&["truc_tiep"]);
    assert_eq!(
        birth.condition_faults(&stated),
        [ConditionFault::FollowsFromChannel {
            code: "truc_tiep".to_owned()
        }]
    );
    assert!(
        birth
            .conditions_for(Channel::Post, &stated)
            .contains(&"buu_chinh".to_owned())
    );
    assert!(
        !birth
            .conditions_for(Channel::Post, &stated)
            .contains(&"truc_tiep".to_owned())
    );
}

#[test]
fn the_numbers_of_the_channels_are_those_of_the_national_portal() {
    assert_eq!(Channel::ALL.map(Channel::number), [1, 2, 3]);
    for channel in Channel::ALL {
        assert_eq!(Channel::from_number(channel.number()), Some(channel));
        assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
    }
    assert_eq!(Channel::from_number(0), None);
}

#[test]
fn a_version_is_in_force_from_its_first_day_until_the_day_before_its_end() {
    let mut birth = shipped("1.001193");
    birth.effective_to = Some(civil::date(2027, 3, 1));
    assert!(!birth.in_force_on(civil::date(2026, 7, 19)));
    assert!(birth.in_force_on(civil::date(2026, 7, 20)));
    assert!(birth.in_force_on(civil::date(2027, 2, 28)));
    assert!(!birth.in_force_on(civil::date(2027, 3, 1)));
}

#[test]
fn a_time_without_a_unit_is_no_period_until_it_is_decided() {
    let time = |birth: &Procedure| birth.time_for(Channel::Counter, &[]).cloned().unwrap();
    let before = time(&shipped("1.001193"));
    assert_eq!((before.period(), before.fact.status), (None, FactStatus::Unconfirmed));
    let after = time(&decided("1.001193"));
    assert_eq!((after.period(), after.cut_off), (Some(Period::WorkingDays(1)), None));
    assert_eq!(after.fact.status, FactStatus::Decided);
    assert_eq!(after.fact.by.as_deref(), Some("demo pack"));
    assert_eq!(after.fact.when, Some(civil::date(2026, 11, 23)));
    assert!(after.fact.basis.unwrap().contains("no decision of the province"));
    assert_eq!(after.fact.source, before.fact.source);
}

#[test]
fn production_accepts_what_the_operator_has_decided_and_not_what_a_demonstration_has() {
    let text = r#"
        by = "Chủ tịch Ủy ban nhân dân tỉnh"
        when = "2026-12-01"
        basis = "số 1/QĐ-UBND"
        [[decision]]
        procedure = "1.004222"
        version = 1
        what.effective_from = "2026-12-02"
    "#;
    let mut residence = shipped("1.004222");
    apply_decisions(&mut residence, &Decisions::from_toml(text).unwrap()).unwrap();
    assert_eq!(residence.publishable(Profile::Production), Ok(()));
    assert_eq!(residence.effective_from, civil::date(2026, 12, 2));
    assert_eq!(residence.open_facts(), []);

    let mut shown = shipped("1.004222");
    apply_decisions(
        &mut shown,
        &Decisions::from_toml(&format!("demonstration = true\n{text}")).unwrap(),
    )
    .unwrap();
    assert_eq!(shown.open_facts(), []);
    let open = shown.publishable(Profile::Production).unwrap_err();
    assert_eq!(
        open,
        [OpenFact {
            path: "effective_from".to_owned(),
            status: FactStatus::Decided
        }]
    );
}

#[test]
fn every_kind_of_fact_can_be_decided() {
    let mut permit = shipped("1.013225");
    let everything = r#"
        by = "Ủy ban nhân dân tỉnh"
        when = "2026-12-01"
        basis = "quyết định"
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.time = { channels = ["counter"], value = 20, unit = "day" }
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.time = { channels = ["post"], special = "nha_o_rieng_le", value = 10, unit = "day" }
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.fee = { channels = ["counter", "online", "post"], code = "phi_le_phi_giay_phep", kind = "le_phi", amount_vnd = 75000 }
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.component = "ban_ve_khong_theo_tuyen"
        basis = "một quyết định khác"
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.result = "KQ.G17.000311"
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.legal_basis = "50/2014/QH13"
        [[decision]]
        procedure = "1.013225"
        version = 1
        what.effective_from = "2026-12-02"
        [[decision]]
        procedure = "1.013225"
        version = 1
        what = "header"
        [[decision]]
        procedure = "1.013225"
        version = 2
        what.component = "of_another_version"
    "#;
    let unconfirmed = |fact: &mut Fact| fact.status = FactStatus::Unconfirmed;
    unconfirmed(&mut permit.fact);
    unconfirmed(&mut permit.results[0].fact);
    unconfirmed(&mut permit.legal_basis[0].fact);
    unconfirmed(&mut permit.channels[2].special_times[0].time.fact);
    apply_decisions(&mut permit, &Decisions::from_toml(everything).unwrap()).unwrap();
    assert_eq!(permit.publishable(Profile::Production), Ok(()));
    let fee = permit.fees_for(Channel::Post, &[])[0];
    assert_eq!((fee.kind, fee.amount_vnd), (Some(FeeKind::LePhi), Some(75_000)));
    let drawings = permit.component("ban_ve_khong_theo_tuyen").unwrap();
    assert_eq!(drawings.fact.basis.as_deref(), Some("một quyết định khác"));
    let house = permit.time_for(Channel::Post, &codes(&["nha_o_rieng_le"])).unwrap();
    assert_eq!(house.period(), Some(Period::Days(10)));
}

#[test]
fn a_decision_on_something_confirmed_decided_or_absent_changes_nothing() {
    let decide = |what: &str| {
        let text = format!(
            "by = 'a'\nwhen = '2026-12-01'\nbasis = 'b'\n[[decision]]\nprocedure = '1.004222'\nversion = 1\n\
             what.effective_from = '2026-12-02'\n[[decision]]\nprocedure = '1.004222'\nversion = 1\n{what}"
        );
        let mut residence = shipped("1.004222");
        let refused = apply_decisions(&mut residence, &Decisions::from_toml(&text).unwrap()).unwrap_err();
        assert_eq!(residence, shipped("1.004222"));
        refused.to_string()
    };
    let settled = "is confirmed or decided already";
    assert!(decide("what.component = 'to_khai_ct01'").contains(settled));
    assert!(decide("what.effective_from = '2026-12-03'").contains(settled));
    assert!(decide("what.time = { channels = ['online'], value = 5, unit = 'working_day' }").contains(settled));
    let absent = "which it does not have";
    assert!(decide("what.component = 'to_khai_ct03'").contains(absent));
    assert!(decide("what.time = { channels = ['post'], value = 5, unit = 'working_day' }").contains(absent));
    assert!(decide("what.fee = { channels = ['online'], code = 'x', amount_vnd = 1 }").contains(absent));
}

#[test]
fn a_decision_that_would_make_the_pack_flawed_is_refused() {
    let text = "by = 'a'\nwhen = '2026-12-01'\nbasis = 'b'\n[[decision]]\nprocedure = '1.001193'\nversion = 1\n\
                what.time = { channels = ['counter'], value = 1, unit = 'working_day', cut_off = '15:00' }";
    let mut birth = shipped("1.001193");
    let refused = apply_decisions(&mut birth, &Decisions::from_toml(text).unwrap()).unwrap_err();
    assert!(
        refused.to_string().contains("a cut-off belongs to the same day only"),
        "{refused}"
    );
    assert_eq!(birth, shipped("1.001193"));
}

#[test]
fn decisions_without_a_name_or_a_basis_are_refused() {
    assert!(matches!(
        Decisions::from_toml("by = ' '\nwhen = '2026-12-01'\nbasis = 'b'"),
        Err(PackError::Unexplained)
    ));
    assert!(matches!(
        Decisions::from_toml("by = 'a'\nbasis = 'b'"),
        Err(PackError::Malformed(_))
    ));
}

#[test]
fn who_decided_stands_exactly_in_decided_facts() {
    let fact = |text: &str| toml::from_str::<Fact>(text);
    assert!(fact("status = 'confirmed'\nsource = 's'").is_ok());
    assert!(fact("status = 'decided'\nsource = 's'\nby = 'a'\nwhen = '2026-12-01'\nbasis = 'b'").is_ok());
    assert!(fact("status = 'decided'\nsource = 's'\nby = 'a'\nwhen = '2026-12-01'").is_err());
    assert!(fact("status = 'decided'\nsource = 's'\nby = 'a'\nwhen = '2026-12-01'\nbasis = ' '").is_err());
    assert!(fact("status = 'confirmed'\nsource = 's'\nby = 'a'").is_err());
    assert!(fact("status = 'confirmed'\nsource = ' '").is_err());
    assert!(fact("status = 'unconfirmed'\nsource = 's'\ndemonstration = true").is_err());
    assert!(fact("status = 'guessed'\nsource = 's'").is_err());
}

#[test]
fn what_a_pack_does_not_know_is_refused_everywhere() {
    let birth = read("procedures/1.001193.toml");
    for table in [
        "[[conditions]]",
        "[[channels]]",
        "[channels.time]",
        "[[channels.fees]]",
        "[[components]]",
        "[[steps]]",
        "[[results]]",
    ] {
        let strange = birth.replacen(table, &format!("{table}\nstrange = 1"), 1);
        assert!(
            matches!(Procedure::from_toml(&strange), Err(PackError::Malformed(_))),
            "{table}"
        );
    }
    assert!(matches!(
        Procedure::from_toml(&format!("strange = 1\n{birth}")),
        Err(PackError::Malformed(_))
    ));
}

#[test]
fn every_flaw_of_a_pack_is_named() {
    let flawed = |change: &dyn Fn(&mut Procedure)| -> Vec<String> {
        let mut birth = shipped("1.001193");
        change(&mut birth);
        match birth.check() {
            Err(PackError::Flawed { flaws, .. }) => flaws.iter().map(|flaw| flaw.path.clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let path = |path: &str| vec![path.to_owned()];
    assert_eq!(flawed(&|it| it.version = 0), path("version"));
    assert_eq!(
        flawed(&|it| it.effective_to = Some(it.effective_from)),
        path("effective_to")
    );
    assert_eq!(flawed(&|it| it.levels.push(Level::Commune)), path("levels"));
    assert_eq!(flawed(&|it| it.legal_basis.clear()), path("legal_basis"));
    assert_eq!(
        flawed(&|it| it.channels[0].time.fact.status = FactStatus::Confirmed),
        path("channels.counter.time")
    );
    assert_eq!(
        flawed(&|it| it.channels[0].time.value = Some(0)),
        path("channels.counter.time")
    );
    assert_eq!(
        flawed(&|it| it.channels[0].time.unit = Some(TimeUnit::Day)),
        path("channels.counter.time")
    );
    assert_eq!(
        flawed(&|it| it.channels[0].time.unit = Some(TimeUnit::SameDay)),
        path("channels.counter.time")
    );
    assert_eq!(flawed(&|it| it.channels[1].channel = Channel::Post), path("channels"));
    assert_eq!(
        flawed(&|it| it.channels[0].fees[0].fact.status = FactStatus::Confirmed),
        path("channels.counter.fees.le_phi_ho_tich")
    );
    assert_eq!(
        flawed(&|it| it.components[2].unless = None),
        [
            "components.giay_chung_sinh",
            "components.van_ban_lam_chung",
            "components.giay_cam_doan"
        ]
    );
    assert_eq!(
        flawed(&|it| it.components[5].when = Some("x".to_owned())),
        path("components.bien_ban_bo_roi")
    );
    assert_eq!(
        flawed(&|it| it.components[5].required = true),
        path("components.bien_ban_bo_roi")
    );
    assert_eq!(
        flawed(&|it| it.components[5].originals = 0),
        path("components.bien_ban_bo_roi")
    );
    assert_eq!(
        flawed(&|it| it.components[5].alternative_group = Some("alone".to_owned())),
        path("components.bien_ban_bo_roi")
    );
    assert_eq!(
        flawed(&|it| it.conditions[2].choice = Some("alone".to_owned())),
        path("conditions.alone")
    );
    assert_eq!(
        flawed(&|it| it.steps[0].role = "One stop clerk".to_owned()),
        path("steps.tiep_nhan")
    );
    assert_eq!(
        flawed(&|it| it.results[0].code = "KQ.G15.31".to_owned()),
        path("results.KQ.G15.31")
    );
    assert_eq!(
        flawed(&|it| (it.version, it.name) = (0, String::new())),
        ["version", "name"]
    );
}

/// A requirement as the property tests make it up: when it is required, and of which components one is enough
/// (with whether data may replace each).
#[derive(Debug, Clone)]
struct Block {
    required: bool,
    when: Option<usize>,
    unless: Option<usize>,
    members: Vec<bool>,
}

const CONDITIONS: usize = 4;

static BIRTH: LazyLock<Procedure> = LazyLock::new(|| shipped("1.001193"));

fn condition(number: usize) -> String {
    format!("condition_{number}")
}

fn member(block: usize, number: usize) -> String {
    format!("component_{block}_{number}")
}

fn procedure_of(blocks: &[Block]) -> Procedure {
    let mut procedure = BIRTH.clone();
    let template = procedure.components[0].clone();
    procedure.channels.iter_mut().for_each(|offer| offer.fees.clear());
    procedure.conditions = (0..CONDITIONS)
        .map(|number| Condition {
            code: condition(number),
            text: "x".to_owned(),
            channel: None,
            choice: None,
        })
        .collect();
    procedure.components = blocks
        .iter()
        .enumerate()
        .flat_map(|(index, block)| {
            let template = &template;
            block
                .members
                .iter()
                .enumerate()
                .map(move |(number, data_allowed)| Component {
                    code: member(index, number),
                    required: block.required,
                    when: block.when.filter(|_| !block.required).map(condition),
                    unless: block.unless.map(condition),
                    alternative_group: (block.members.len() > 1).then(|| format!("group_{index}")),
                    data_allowed: *data_allowed,
                    ..template.clone()
                })
        })
        .collect();
    procedure
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let block = (
        any::<bool>(),
        prop::option::of(0..CONDITIONS),
        prop::option::weighted(0.2, 0..CONDITIONS),
        prop::collection::vec(any::<bool>(), 1..4),
    )
        .prop_map(|(required, when, unless, members)| Block {
            required,
            when,
            unless,
            members,
        });
    prop::collection::vec(block, 1..6)
}

fn holding() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..CONDITIONS, 0..=CONDITIONS)
}

/// Block, member (which may not exist), and whether data replaces the paper.
fn filing() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    prop::collection::vec((0..7_usize, 0..4_usize, any::<bool>()), 0..12)
}

fn written(filed: &[(usize, usize, bool)]) -> Vec<(String, bool)> {
    filed
        .iter()
        .map(|(block, number, by_data)| (member(*block, *number), *by_data))
        .collect()
}

fn borrowed(filed: &[(String, bool)]) -> Vec<(&str, bool)> {
    filed.iter().map(|(code, by_data)| (code.as_str(), *by_data)).collect()
}

proptest! {
    /// The rule, said a second time from the blocks.
    #[test]
    fn exactly_what_is_required_and_not_met_is_missing(blocks in blocks(), holding in holding(), filed in filing()) {
        let procedure = procedure_of(&blocks);
        prop_assert!(procedure.check().is_ok());
        let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
        let mut expected = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let asked = block.required || block.when.is_some_and(|when| holding.contains(&when));
            let lifted = block.unless.is_some_and(|unless| holding.contains(&unless));
            let met = filed.iter().any(|(of, number, by_data)| {
                *of == index && block.members.get(*number).is_some_and(|data_allowed| !by_data || *data_allowed)
            });
            if asked && !lifted && !met {
                expected.push((0..block.members.len()).map(|number| member(index, number)).collect::<Vec<_>>());
            }
        }
        let filed = written(&filed);
        let missing = procedure.missing_components(&conditions, &borrowed(&filed));
        prop_assert_eq!(missing.into_iter().map(|missing| missing.any_of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_of_each_missing_on_paper_completes_a_case(
        blocks in blocks(), holding in holding(), filed in filing(), pick in any::<prop::sample::Index>(),
    ) {
        let procedure = procedure_of(&blocks);
        let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
        let mut filed = written(&filed);
        for missing in procedure.missing_components(&conditions, &borrowed(&filed)) {
            filed.push((pick.get(&missing.any_of).clone(), false));
        }
        prop_assert_eq!(procedure.missing_components(&conditions, &borrowed(&filed)), []);
    }

    #[test]
    fn filing_more_never_makes_more_missing(
        blocks in blocks(), holding in holding(), filed in filing(), more in filing(),
    ) {
        let procedure = procedure_of(&blocks);
        let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
        let groups = |filed: &[(String, bool)]| -> BTreeSet<Vec<String>> {
            let missing = procedure.missing_components(&conditions, &borrowed(filed));
            missing.into_iter().map(|missing| missing.any_of).collect()
        };
        let (before, after) = (written(&filed), written(&[filed, more].concat()));
        prop_assert!(groups(&after).is_subset(&groups(&before)));
    }

    #[test]
    fn the_order_of_filing_does_not_matter(
        blocks in blocks(), holding in holding(), filed in filing().prop_flat_map(|filed| (Just(filed.clone()), Just(filed).prop_shuffle())),
    ) {
        let procedure = procedure_of(&blocks);
        let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
        let (one, other) = (written(&filed.0), written(&filed.1));
        prop_assert_eq!(
            procedure.missing_components(&conditions, &borrowed(&one)),
            procedure.missing_components(&conditions, &borrowed(&other))
        );
    }

    #[test]
    fn a_component_is_unknown_exactly_if_the_procedure_has_none_of_its_code(blocks in blocks(), filed in filing()) {
        let procedure = procedure_of(&blocks);
        let filed = written(&filed);
        let unknown: BTreeSet<String> = procedure.unknown_components(filed.iter().map(|(code, _)| code.as_str())).into_iter().collect();
        let expected: BTreeSet<String> =
            filed.iter().map(|(code, _)| code.clone()).filter(|code| procedure.component(code).is_none()).collect();
        prop_assert_eq!(unknown, expected);
    }
}
