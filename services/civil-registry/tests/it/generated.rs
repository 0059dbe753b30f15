//! Generated births: as the service would have entered them, and only where there is nothing else.

use egov_civil_registry::generate::{Commune, GenerateError, Order, Sources, generate};
use egov_civil_registry::law::Law;
use egov_civil_registry::verify_figures;
use egov_clock::SystemIds;
use egov_database::BulkLoad;
use egov_population::NamePack;
use egov_proto::egov::civil_registry::v1::*;
use sqlx::Row as _;

use crate::history::findings;
use crate::support::*;

#[tokio::test]
async fn generated_births_are_found_counted_and_verified_like_others_and_go_into_an_empty_registry_only() {
    let stack = Stack::start().await;
    let law = Law::read(&deploy().join("packs")).unwrap();
    let text = |name: &str| std::fs::read_to_string(deploy().join("packs/population").join(name)).unwrap();
    let (surnames, middle_names) = (text("surnames.csv"), text("middle_names.csv"));
    let (given_names, name_lengths) = (text("given_names.csv"), text("name_lengths.csv"));
    let commune = |unit_id: i32, code: &str| Commune {
        unit_id,
        code: code.to_owned(),
        name: format!("Uỷ ban nhân dân phường {code}"),
    };
    let sources = || Sources {
        superuser: (&stack.database.superuser_url, stack.database.name()),
        ids: SystemIds::shared(),
        law: &law,
        names: NamePack {
            surnames: &surnames,
            middle_names: &middle_names,
            given_names: &given_names,
            name_lengths: &name_lengths,
        },
        communes: vec![commune(TRUONG_VINH, "16690"), commune(THANH_VINH, "16681")],
    };
    let order = Order {
        persons: 100,
        seed: 7,
        until: jiff::civil::date(2026, 11, 20),
    };
    let mut told = 0;
    let rows = generate(sources(), &order, |persons| told = persons).await.unwrap();
    assert_eq!((rows["entries"], rows["persons"], told), (34, 102, 102));

    // Every leaf is what its row says, and every figure what its entry says.
    assert_eq!(findings(&stack).await, Vec::<String>::new());
    let verified = verify_figures(&stack.pool).await.unwrap();
    assert_eq!((verified.entries, verified.differing.len()), (34, 0));
    assert!(verified.units_and_years > 2);

    // Persons are found by name and year where they were entered; the book of the year is open, and goes on with its numbers.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let row = sqlx::query(
        "SELECT person_id::text, full_name, birth_year FROM person_particulars WHERE responsible_unit_id = $1 LIMIT 1",
    )
    .bind(TRUONG_VINH)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    let search = SearchPersonsRequest {
        full_name: row.get("full_name"),
        birth_year: row.get::<i16, _>("birth_year").into(),
        ..SearchPersonsRequest::default()
    };
    let mut reader = stack.staff(READER, TRUONG_VINH);
    let found = reader
        .persons
        .search_persons(search)
        .await
        .unwrap()
        .into_inner()
        .persons;
    let person_id: String = row.get("person_id");
    assert!(found.iter().any(|person| person.person_id == person_id));
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let last: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(number), 0)::bigint FROM entries WHERE responsible_unit_id = $1 AND year = 2026",
    )
    .bind(TRUONG_VINH)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(i64::from(officer.register(birth()).await.unwrap().number), last + 1);

    // A figure that was forced is found, wherever it is.
    sqlx::raw_sql(
        "UPDATE vital_counts SET sex = 3 WHERE entry_id = (SELECT min(entry_id::text)::uuid FROM vital_counts)",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    assert_eq!(verify_figures(&stack.pool).await.unwrap().differing.len(), 1);

    // Never among entries that are there.
    let refused = generate(sources(), &order, |_| {}).await.unwrap_err();
    assert!(matches!(refused, GenerateError::NotEmpty), "{refused}");
    assert_eq!(stack.count("SELECT count(*) FROM entries").await, 35);
    // What was given up leaves nothing held.
    BulkLoad::begin(&stack.database.superuser_url, stack.database.name())
        .await
        .unwrap()
        .roll_back()
        .await
        .unwrap();
}
