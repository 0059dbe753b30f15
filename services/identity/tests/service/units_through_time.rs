//! The real units of 2021, 2024 and 2025: what a code meant on which day, and what became of what.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use egov_database::{Database, DatabaseConfig};
use egov_identity::import::{self, HistoryPack, UnitPack};
use egov_keyring::Keyring;
use egov_proto::egov::identity::v1::{
    ListAncestorsRequest, ListPredecessorsRequest, ListReorganisationsRequest, ListSuccessorsRequest,
    ListSuccessorsResponse, ListUnitsRequest, ReorganisationStatus, ResolveUnitRequest, Unit, UnitChange, UnitKind,
};
use egov_proto::egov::types::v1::FactStatus;
use jiff::civil::{Date, date};

use crate::support::{PROVINCE, World, by, refused};

const UNITS: &str = include_str!("../../../../deploy/packs/units/units-2025.csv");
const DEPARTMENTS: &str = include_str!("../../../../deploy/packs/units/departments.csv");
const BELOW: &str = include_str!("../../../../deploy/packs/units/commune_departments.csv");
const OF_2021: &str = include_str!("../../../../deploy/packs/units/history/units-2021.csv");
const OF_2024: &str = include_str!("../../../../deploy/packs/units/history/units-2024.csv");
const SUCCESSIONS: &str = include_str!("../../../../deploy/packs/units/history/successions.csv");

fn present() -> UnitPack<'static> {
    UnitPack {
        name: "units-2025",
        units: vec![("units-2025.csv", UNITS), ("departments.csv", DEPARTMENTS)],
        commune_departments: Some(("commune_departments.csv", BELOW)),
        agency_codes: None,
    }
}

fn past() -> HistoryPack<'static> {
    HistoryPack {
        name: "units-history",
        units: vec![("units-2021.csv", OF_2021), ("units-2024.csv", OF_2024)],
        successions: ("successions.csv", SUCCESSIONS),
    }
}

/// Code → name of the rows of a pack, by level.
fn stated(text: &str) -> BTreeMap<String, (String, String)> {
    let mut reader = csv_lines(text);
    let header = reader.next().unwrap();
    assert_eq!(&header[..3], ["code", "name", "level"]);
    reader
        .map(|row| (row[0].clone(), (row[1].clone(), row[2].clone())))
        .collect()
}

/// The first columns hold no quotes in these packs.
fn csv_lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect())
}

fn is_commune(level: &str) -> bool {
    matches!(level, "xa" | "phuong" | "thi_tran")
}

async fn world() -> World {
    let world = World::start().await;
    import::units(&world.database, &present(), &mut |_| {}).await.unwrap();
    import::history(&world.database, &past(), &mut |_| {}).await.unwrap();
    world
}

async fn all_on(world: &World, on: Date) -> Vec<Unit> {
    let mut client = world.units();
    let (mut units, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListUnitsRequest {
            page_size: 200,
            page_token,
            parent_id: 0,
            on: Some(on.into()),
        };
        let answer = client.list_units(request).await.unwrap().into_inner();
        units.extend(answer.units);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return units;
        }
    }
}

async fn resolve(world: &World, code: &str, on: Date) -> Option<Unit> {
    let request = ResolveUnitRequest {
        code: code.to_owned(),
        on: Some(on.into()),
    };
    match world.units().resolve_unit(request).await {
        Ok(answer) => answer.into_inner().unit,
        Err(status) => {
            assert_eq!(crate::support::reason(&status), "UNIT_NOT_FOUND");
            None
        }
    }
}

async fn successors(world: &World, unit_id: i32, on: Date) -> ListSuccessorsResponse {
    let request = ListSuccessorsRequest {
        unit_id,
        on: Some(on.into()),
    };
    world.units().list_successors(request).await.unwrap().into_inner()
}

fn count(units: &[Unit], kinds: &[UnitKind]) -> usize {
    units.iter().filter(|unit| kinds.contains(&unit.kind())).count()
}

const DISTRICTS: [UnitKind; 3] = [UnitKind::District, UnitKind::ProvincialCity, UnitKind::Town];
const COMMUNES: [UnitKind; 3] = [UnitKind::Commune, UnitKind::Ward, UnitKind::Township];

#[tokio::test]
async fn the_units_of_each_day_are_as_many_as_the_province_had() {
    let world = world().await;
    for (on, districts, communes) in [
        (date(2021, 6, 1), 21, 460),
        (date(2024, 11, 30), 21, 460),
        (date(2024, 12, 1), 20, 412),
        (date(2025, 6, 30), 20, 412),
        (date(2025, 7, 1), 0, 130),
        (date(2026, 11, 23), 0, 130),
    ] {
        let units = all_on(&world, on).await;
        assert_eq!(count(&units, &[UnitKind::Province]), 1, "{on}");
        assert_eq!(count(&units, &DISTRICTS), districts, "{on}");
        assert_eq!(count(&units, &COMMUNES), communes, "{on}");
        // On every day the units make one tree below the province.
        let ids: HashMap<i32, &Unit> = units.iter().map(|unit| (unit.unit_id, unit)).collect();
        for unit in &units {
            assert!(
                unit.parent_id == 0 || ids.contains_key(&unit.parent_id),
                "{on}: {unit:?}"
            );
        }
    }
    let today = all_on(&world, date(2026, 11, 23)).await;
    assert_eq!(
        (count(&today, &[UnitKind::Commune]), count(&today, &[UnitKind::Ward])),
        (119, 11)
    );
    // What is not known says so.
    let old = resolve(&world, "413", date(2021, 6, 1)).await.unwrap();
    assert_eq!(
        (old.name.as_str(), old.status()),
        ("Thị xã Cửa Lò", FactStatus::Unconfirmed)
    );
}

#[tokio::test]
async fn what_was_before_changes_no_id_and_importing_it_again_changes_nothing() {
    let test_database = egov_testkit::database(egov_identity::SERVICE, &egov_identity::MIGRATOR).await;
    let clock = egov_testkit::clock();
    let config = DatabaseConfig::new(&test_database.app_url).test_profile();
    let ids = Arc::new(egov_testkit::ids());
    let database = Database::connect(&config, Keyring::ephemeral().into(), clock.shared(), ids)
        .await
        .unwrap();
    let present_units = import::units(&database, &present(), &mut |_| {}).await.unwrap().opened;
    let mut sql = test_database.connect_as_superuser().await.unwrap();
    let known = "SELECT md5(string_agg(concat_ws(',', unit_id, code, name, kind, parent_id, effective_to), ';' ORDER BY unit_id))
                 FROM units WHERE unit_id <= $1";
    let last = i32::try_from(present_units).unwrap();
    let before: String = sqlx::query_scalar(known).bind(last).fetch_one(&mut sql).await.unwrap();
    let first_day = "SELECT effective_from::text FROM units WHERE unit_id = 1";
    let day: String = sqlx::query_scalar(first_day).fetch_one(&mut sql).await.unwrap();
    assert_eq!(day, "2025-03-01");

    let first = import::history(&database, &past(), &mut |_| {}).await.unwrap();
    // 21 + 460 units of 2021, and those of 2024 that are not the same as then.
    assert_eq!((first.opened, first.changed), (21 + 460 + 53, 1));
    let after: String = sqlx::query_scalar(known).bind(last).fetch_one(&mut sql).await.unwrap();
    assert_eq!(before, after);
    // Of what was there only the province turned out older.
    let day: String = sqlx::query_scalar(first_day).fetch_one(&mut sql).await.unwrap();
    assert_eq!(day, "2021-01-01");

    let everything = "SELECT md5((SELECT string_agg(u::text, ';' ORDER BY unit_id) FROM units u)
        || (SELECT string_agg(c::text, ';' ORDER BY unit_id) FROM unit_closings c)
        || (SELECT string_agg(s::text, ';' ORDER BY unit_id, successor_id) FROM unit_successions s)
        || (SELECT string_agg(r::text, ';' ORDER BY reorganisation_id) FROM reorganisations r)
        || (SELECT count(*) FROM unit_history))";
    let before: String = sqlx::query_scalar(everything).fetch_one(&mut sql).await.unwrap();
    for _ in 0..2 {
        let again = import::units(&database, &present(), &mut |_| panic!("nothing to write"))
            .await
            .unwrap();
        assert_eq!((again.opened, again.changed, again.version), (0, 0, first.version));
        let again = import::history(&database, &past(), &mut |_| panic!("nothing to write"))
            .await
            .unwrap();
        assert_eq!((again.opened, again.changed, again.version), (0, 0, first.version));
    }
    let after: String = sqlx::query_scalar(everything).fetch_one(&mut sql).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_code_means_on_each_day_what_it_meant_then() {
    let world = world().await;
    let (old, between, now) = (date(2024, 11, 30), date(2024, 12, 1), date(2025, 7, 1));
    let name = async |code: &str, on| resolve(&world, code, on).await.map(|unit| unit.name);
    assert_eq!(name("16702", old).await.as_deref(), Some("Xã Nghi Phú"));
    assert_eq!(name("16702", between).await.as_deref(), Some("Phường Nghi Phú"));
    assert_eq!(
        name("16702", date(2025, 6, 30)).await.as_deref(),
        Some("Phường Nghi Phú")
    );
    assert_eq!(name("16702", now).await.as_deref(), Some("Phường Vinh Phú"));
    assert_eq!(name("413", old).await.as_deref(), Some("Thị xã Cửa Lò"));
    assert_eq!(name("413", between).await, None);
    assert_eq!(name("412", date(2025, 6, 30)).await.as_deref(), Some("Thành phố Vinh"));
    assert_eq!(name("412", now).await, None);
    // Unchanged over two packs: one unit, one id.
    let vinh = resolve(&world, "412", old).await.unwrap();
    assert_eq!(resolve(&world, "412", between).await.unwrap().unit_id, vinh.unit_id);

    // Of the 130 codes, so many meant a commune of another name until 30 June 2025.
    let (before, after) = (stated(OF_2024), stated(UNITS));
    let (mut renamed, mut kept) = (0, 0);
    for (code, (then, _)) in after.iter().filter(|(_, (_, level))| is_commune(level)) {
        let (was, _) = &before[code];
        assert_eq!(name(code, date(2025, 6, 30)).await.as_deref(), Some(was.as_str()));
        assert_eq!(name(code, now).await.as_deref(), Some(then.as_str()));
        if was == then {
            kept += 1;
        } else {
            renamed += 1;
        }
    }
    assert_eq!((renamed, kept), (84, 46));
}

#[tokio::test]
async fn ancestors_are_those_of_the_day() {
    let world = world().await;
    let ancestors = async |unit_id, on: Date| {
        let request = ListAncestorsRequest {
            unit_id,
            on: Some(on.into()),
        };
        world.units().list_ancestors(request).await.map(|answer| {
            let units = answer.into_inner().ancestors;
            units.into_iter().map(|unit| unit.code).collect::<Vec<_>>()
        })
    };
    // Nghi Hải lay in Cửa Lò, then in Vinh.
    let old = resolve(&world, "16729", date(2024, 11, 30)).await.unwrap().unit_id;
    let new = resolve(&world, "16729", date(2024, 12, 1)).await.unwrap().unit_id;
    assert_ne!(old, new);
    assert_eq!(ancestors(old, date(2024, 11, 30)).await.unwrap(), ["413", "40"]);
    assert_eq!(ancestors(new, date(2024, 12, 1)).await.unwrap(), ["412", "40"]);
    assert_eq!(refused(ancestors(old, date(2024, 12, 1)).await), "UNIT_NOT_FOUND");
    assert_eq!(refused(ancestors(new, date(2025, 7, 1)).await), "UNIT_NOT_FOUND");
    let office = resolve(&world, "16690.VP", date(2026, 11, 23)).await.unwrap();
    assert_eq!(
        ancestors(office.unit_id, date(2026, 11, 23)).await.unwrap(),
        ["16690", "40"]
    );
    assert_eq!(ancestors(PROVINCE, date(2021, 1, 1)).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn that_no_successor_was_recorded_is_an_answer_and_every_commune_of_2024_has_one() {
    let world = world().await;
    let today = date(2026, 11, 23);
    let (mut unrecorded, mut abolished, mut mapped) = (Vec::new(), 0, 0);
    let (of_2021, of_2024) = (stated(OF_2021), stated(OF_2024));
    for code in of_2021
        .keys()
        .filter(|code| *code != "40" && !of_2024.contains_key(*code))
    {
        let unit = resolve(&world, code, date(2024, 11, 30)).await.unwrap();
        let answer = successors(&world, unit.unit_id, today).await;
        assert!(answer.no_recorded_successor && answer.successors.is_empty() && answer.current.is_none());
        assert_eq!(answer.succession.unwrap().change(), UnitChange::Unspecified);
        unrecorded.push(unit.kind());
    }
    for (code, (_, level)) in of_2024.iter().filter(|(code, _)| *code != "40") {
        let unit = resolve(&world, code, date(2025, 6, 30)).await.unwrap();
        let answer = successors(&world, unit.unit_id, today).await;
        if is_commune(level) {
            let current = answer.current.unwrap();
            assert_eq!(current.effective_from, Some(date(2025, 7, 1).into()));
            assert_eq!(answer.successors, [current]);
            assert!(!answer.no_recorded_successor);
            mapped += 1;
        } else {
            assert!(answer.no_recorded_successor && answer.current.is_none());
            assert_eq!(answer.succession.unwrap().change(), UnitChange::Abolish);
            abolished += 1;
        }
    }
    assert_eq!(unrecorded.iter().filter(|kind| COMMUNES.contains(kind)).count(), 48);
    assert_eq!(unrecorded.iter().filter(|kind| DISTRICTS.contains(kind)).count(), 1);
    assert_eq!((abolished, mapped), (20, 412));

    // By way of two reorganisations, and on the days between.
    let nghi_hai = resolve(&world, "16729", date(2021, 6, 1)).await.unwrap();
    let at = async |on| successors(&world, nghi_hai.unit_id, on).await.current.unwrap();
    assert_eq!(at(date(2024, 11, 30)).await.unit_id, nghi_hai.unit_id);
    assert_eq!(at(date(2024, 12, 1)).await.effective_to, Some(date(2025, 7, 1).into()));
    assert_eq!(at(today).await.name, "Phường Cửa Lò");

    // A unit that is there has no succession, and is itself what it is now.
    let open = successors(&world, PROVINCE, today).await;
    assert!(open.succession.is_none() && !open.no_recorded_successor);
    assert_eq!(open.current.unwrap().unit_id, PROVINCE);
    let request = ListSuccessorsRequest {
        unit_id: 99_999,
        on: None,
    };
    assert_eq!(refused(world.units().list_successors(request).await), "UNIT_NOT_FOUND");
}

#[tokio::test]
async fn predecessors_of_the_130_are_the_412_and_the_packs_are_told_as_reorganisations() {
    let world = world().await;
    let mut seen = 0;
    for code in stated(UNITS).keys().filter(|code| *code != "40") {
        let unit = resolve(&world, code, date(2025, 7, 1)).await.unwrap();
        let request = ListPredecessorsRequest { unit_id: unit.unit_id };
        let answer = world.units().list_predecessors(request).await.unwrap().into_inner();
        assert!(!answer.predecessors.is_empty());
        assert_eq!(answer.predecessors.len(), answer.successions.len());
        for succession in &answer.successions {
            assert_eq!(succession.successor_id, unit.unit_id);
        }
        seen += answer.predecessors.len();
    }
    assert_eq!(seen, 412);
    let request = ListPredecessorsRequest { unit_id: 99_999 };
    assert_eq!(
        refused(world.units().list_predecessors(request).await),
        "UNIT_NOT_FOUND"
    );

    let request = by(&world.province_admin(), ListReorganisationsRequest::default());
    let told = world.units().list_reorganisations(request).await.unwrap().into_inner();
    let told: Vec<_> = told
        .reorganisations
        .iter()
        .map(|one| (one.effective_date, one.status(), one.fact_status(), one.closed_units))
        .collect();
    let applied = ReorganisationStatus::Applied;
    assert_eq!(
        told,
        [
            (Some(date(2025, 7, 1).into()), applied, FactStatus::Confirmed, 432),
            (Some(date(2024, 12, 1).into()), applied, FactStatus::Unconfirmed, 102),
        ]
    );
}

#[tokio::test]
async fn the_signed_tree_tells_other_services_where_a_unit_went() {
    let world = world().await;
    world.directory.refresh(&world.identity.feed()).await.unwrap();
    let units = world.directory.units();
    let today = date(2026, 11, 23);
    let old = units.resolve("16729", date(2021, 6, 1)).unwrap().id;
    let Some(egov_directory::Whereabouts::MovedTo(now)) = units.whereabouts(old, today) else {
        panic!("{:?}", units.whereabouts(old, today));
    };
    assert_eq!(now.name, "Phường Cửa Lò");
    let town = units.resolve("413", date(2021, 6, 1)).unwrap().id;
    let lost = units.whereabouts(town, today);
    assert_eq!(lost, Some(egov_directory::Whereabouts::NoSuccessor));
}

#[tokio::test]
async fn a_succession_that_cannot_be_is_refused_with_its_line_and_changes_nothing() {
    let world = World::start().await;
    import::units(&world.database, &present(), &mut |_| {}).await.unwrap();
    for (rows, line, problem) in [
        ("2025-07-01,99999,16690,,confirmed,\n", "2", "no unit of the code"),
        ("2025-07-01,16663,99999,,confirmed,\n", "2", "carries the code"),
        ("2025-07-01,16663,16681,abolish,confirmed,\n", "2", "nothing follows"),
        (
            "2025-07-01,16663,16681,,confirmed,\n2025-07-01,16663,16690,,confirmed,\n",
            "3",
            "closes twice",
        ),
    ] {
        let text = format!("effective_date,old_code,new_code,change,status,note\n{rows}");
        let pack = HistoryPack {
            successions: ("successions.csv", &text),
            ..past()
        };
        let fault = import::history(&world.database, &pack, &mut |_| {}).await.unwrap_err();
        assert_eq!(fault.reason(), import::PACK_INVALID);
        assert_eq!(fault.metadata()["line"], line);
        assert!(fault.en().contains(problem), "{}", fault.en());
    }
    assert_eq!(all_on(&world, date(2024, 11, 30)).await.len(), 0);
}
