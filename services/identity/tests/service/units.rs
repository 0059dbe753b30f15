//! Units: imported, found, listed, signed.

use egov_directory::{Directory, DirectoryConfig, GrpcFeed, Trust};
use egov_identity::import::{self, Step, UnitPack};
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::{
    GetTreeSnapshotRequest, GetUnitRequest, ListUnitsRequest, ResolveUnitRequest, UnitKind,
};
use egov_proto::google::r#type::Date;
use jiff::civil::date;

use crate::support::{COMMUNE, PROVINCE, WARD, World, pack, refused};

const UNITS: &str = include_str!("../../../../deploy/packs/units/units-2025.csv");
const DEPARTMENTS: &str = include_str!("../../../../deploy/packs/units/departments.csv");
const BELOW: &str = include_str!("../../../../deploy/packs/units/commune_departments.csv");
const AGENCY_CODES: &str = include_str!("../../../../deploy/packs/agency-codes/demo.csv");

fn province() -> UnitPack<'static> {
    UnitPack {
        name: "units-2025",
        units: vec![("units-2025.csv", UNITS), ("departments.csv", DEPARTMENTS)],
        commune_departments: Some(("commune_departments.csv", BELOW)),
        agency_codes: Some(("demo.csv", AGENCY_CODES)),
    }
}

#[tokio::test]
async fn the_packs_of_the_province_are_imported_and_importing_them_again_changes_nothing() {
    let test_database = egov_testkit::database(egov_identity::SERVICE, &egov_identity::MIGRATOR).await;
    let clock = egov_testkit::clock();
    let config = egov_database::DatabaseConfig::new(&test_database.app_url).test_profile();
    let database = egov_database::Database::connect(
        &config,
        Keyring::ephemeral().into(),
        clock.shared(),
        std::sync::Arc::new(egov_testkit::ids()),
    )
    .await
    .unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let first = import::units(&database, &province(), &mut |step| steps.push(step))
        .await
        .unwrap();
    let lines = |text: &str| text.lines().count() - 1;
    // 130 communes and wards, each with its departments.
    let expected = lines(UNITS) + lines(DEPARTMENTS) + 130 * 4;
    assert_eq!((first.opened, first.changed, first.unchanged), (expected, 0, 0));
    assert_eq!(steps.len(), expected);
    assert!(steps.iter().enumerate().all(|(place, step)| {
        *step
            == Step {
                done: place + 1,
                total: expected,
            }
    }));

    let mut sql = test_database.connect_as_superuser().await.unwrap();
    let all = "SELECT md5(string_agg(u::text, ';' ORDER BY unit_id)) FROM units u";
    let before: String = sqlx::query_scalar(all).fetch_one(&mut sql).await.unwrap();
    let again = import::units(&database, &province(), &mut |_| panic!("nothing to write"))
        .await
        .unwrap();
    assert_eq!((again.opened, again.changed), (0, 0));
    assert_eq!(again.unchanged, expected);
    assert_eq!(again.version, first.version);
    let after: String = sqlx::query_scalar(all).fetch_one(&mut sql).await.unwrap();
    assert_eq!(before, after);
    let without_code: i64 = sqlx::query_scalar("SELECT count(*) FROM units WHERE kind <> 5 AND agency_code IS NULL")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(without_code, 0);
}

#[tokio::test]
async fn a_changed_pack_keeps_ids_raises_the_version_and_leaves_its_history() {
    let world = World::start().await;
    let renamed = "code,name,level,parent,effective_from,status,note\n\
        17329,Xã Kim Liên mới,xa,40,2025-07-01,confirmed,\n";
    let change = UnitPack {
        name: "rename",
        units: vec![("rename.csv", renamed)],
        commune_departments: None,
        agency_codes: None,
    };
    let before = world.directory.version();
    let done = import::units(&world.database, &change, &mut |_| {}).await.unwrap();
    assert_eq!((done.opened, done.changed), (0, 1));
    assert!(done.version > before);
    let unit = world
        .units()
        .get_unit(GetUnitRequest { unit_id: COMMUNE })
        .await
        .unwrap()
        .into_inner()
        .unit
        .unwrap();
    assert_eq!(unit.name, "Xã Kim Liên mới");
    let history: i64 = sqlx::query_scalar("SELECT count(*) FROM unit_history WHERE unit_id = $1")
        .bind(COMMUNE)
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(history, 2);
    // The small pack brings the old name back, as a third entry, and the same id.
    let back = import::units(&world.database, &pack(), &mut |_| {}).await.unwrap();
    assert_eq!((back.opened, back.changed), (0, 1));
}

#[tokio::test]
async fn a_pack_that_cannot_be_changes_nothing_at_all() {
    let world = World::start().await;
    let wrong = "code,name,level,parent,effective_from,status,note\n\
        16681,Phường Thành Vinh,phuong,40,2025-07-01,confirmed,\n\
        99999,Xã không có cha,xa,41,2025-07-01,confirmed,\n";
    let pack = UnitPack {
        name: "wrong",
        units: vec![("wrong.csv", wrong)],
        commune_departments: None,
        agency_codes: None,
    };
    let fault = import::units(&world.database, &pack, &mut |_| {}).await.unwrap_err();
    assert_eq!(fault.reason(), import::PACK_INVALID);
    assert_eq!(fault.metadata()["line"], "3");
    let request = ResolveUnitRequest {
        code: "16681".to_owned(),
        on: None,
    };
    assert_eq!(refused(world.units().resolve_unit(request).await), "UNIT_NOT_FOUND");
}

#[tokio::test]
async fn anybody_finds_a_unit_by_code_and_day() {
    let world = World::start().await;
    let resolve = |code: &str, on: Option<Date>| {
        let mut client = world.units();
        let request = ResolveUnitRequest {
            code: code.to_owned(),
            on,
        };
        async move {
            client
                .resolve_unit(request)
                .await
                .map(|answer| answer.into_inner().unit.unwrap())
        }
    };
    let ward = resolve("16690", None).await.unwrap();
    assert_eq!((ward.unit_id, ward.kind()), (WARD, UnitKind::Ward));
    assert_eq!(ward.parent_id, PROVINCE);
    assert_eq!(ward.agency_code, "H41.101");
    assert!(ward.agency_code_provisional);
    assert_eq!(ward.effective_from, Some(Date::from(date(2025, 7, 1))));
    assert_eq!(ward.effective_to, None);
    let before = Some(Date::from(date(2025, 6, 30)));
    assert_eq!(refused(resolve("16690", before).await), "UNIT_NOT_FOUND");
    assert_eq!(refused(resolve("99999", None).await), "UNIT_NOT_FOUND");
    let wrong = Some(Date {
        year: 2026,
        month: 2,
        day: 30,
    });
    assert_eq!(refused(resolve("16690", wrong).await), "INVALID_FIELD");
    let outcome = world.units().get_unit(GetUnitRequest { unit_id: 99 }).await;
    assert_eq!(refused(outcome), "UNIT_NOT_FOUND");
}

#[tokio::test]
async fn the_units_of_a_day_are_listed_page_by_page() {
    let world = World::start().await;
    let list = |page_size, page_token: String, parent_id, on| {
        let mut client = world.units();
        let request = ListUnitsRequest {
            page_size,
            page_token,
            parent_id,
            on,
        };
        async move { client.list_units(request).await.unwrap().into_inner() }
    };
    let first = list(2, String::new(), 0, None).await;
    let second = list(2, first.next_page_token.clone(), 0, None).await;
    let third = list(2, second.next_page_token.clone(), 0, None).await;
    let ids: Vec<_> = [&first, &second, &third]
        .iter()
        .flat_map(|page| page.units.iter().map(|unit| unit.unit_id))
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert_eq!(third.next_page_token, "");
    let below = list(0, String::new(), PROVINCE, None).await;
    assert_eq!(below.units.len(), 2);
    let before = Some(Date::from(date(2025, 6, 30)));
    assert_eq!(list(0, String::new(), 0, before).await.units.len(), 1);
}

#[tokio::test]
async fn the_tree_is_signed_and_sent_only_when_it_changed() {
    let world = World::start().await;
    let tree = |known_version| {
        let mut client = world.units();
        async move {
            client
                .get_tree_snapshot(GetTreeSnapshotRequest { known_version })
                .await
                .unwrap()
                .into_inner()
        }
    };
    let first = tree(0).await;
    assert!(
        world
            .keyring
            .verify(Purpose::TreeSigning, &first.key_id, &first.snapshot, &first.signature)
    );
    assert!(first.jwks.contains(&first.key_id));
    let same = tree(first.version).await;
    assert!(same.snapshot.is_empty() && same.signature.is_empty());
    assert_eq!(same.version, first.version);
}

#[tokio::test]
async fn another_service_follows_over_the_network_and_survives_identity_being_away() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let pinned = serde_json::from_value(world.keyring.jwks(Purpose::TreeSigning)).unwrap();
    let config = DirectoryConfig {
        folder: Some(folder.path().to_owned()),
        trust: Trust::Pinned(pinned),
        ..DirectoryConfig::default()
    };
    let open = || Directory::open(config.clone(), world.clock.shared()).unwrap();
    let directory = open();
    let feed = GrpcFeed::new(world.channel.clone());
    directory.refresh(&feed).await.unwrap();
    let today = date(2026, 11, 23);
    assert_eq!(directory.resolve("16690", today).unwrap().id, WARD);
    assert_eq!(directory.unit(COMMUNE).unwrap().name, "Xã Kim Liên");
    assert_eq!(directory.agency_code(WARD, today).unwrap().code, "H41.101");
    assert_eq!(directory.tree().load().subtree(PROVINCE), [1, 2, 3, 4, 5]);
    assert!(directory.revocations().fresh_within(std::time::Duration::from_secs(10)));

    // Identity goes away; the service starts again and reads.
    drop(directory);
    let away = GrpcFeed::lazy("http://127.0.0.1:1").unwrap();
    let directory = open();
    assert!(directory.refresh(&away).await.is_err());
    assert_eq!(directory.resolve("16690", today).unwrap().id, WARD);
    assert!(!directory.revocations().fresh_within(std::time::Duration::from_secs(10)));
}
