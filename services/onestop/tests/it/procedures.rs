//! Procedures: public, by versions, found with and without diacritics; and the import that brings them.

use std::sync::Arc;

use egov_auth::Assurance;
use egov_clock::SystemIds;
use egov_database::{Database, DatabaseConfig};
use egov_keyring::Keyring;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Outcome, Packs, import};
use egov_proto::egov::onestop::v1::{GetProcedureRequest, ListProceduresRequest, SearchProceduresRequest};
use egov_proto::google::r#type::Date;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn a_procedure_is_found_without_diacritics_and_by_code() {
    let stack = Stack::start().await;
    let mut procedures = stack.public().procedures;
    for query in [
        "khai sinh",
        "KHAI SINH",
        "đăng ký khai sinh",
        "dang ky khai sinh",
        "1.001193",
        "1.0011",
    ] {
        let search = SearchProceduresRequest {
            query: query.to_owned(),
            ..Default::default()
        };
        let found = procedures
            .search_procedures(search)
            .await
            .unwrap()
            .into_inner()
            .procedures;
        assert!(
            found.iter().any(|procedure| procedure.procedure_code == "1.001193"),
            "{query}"
        );
    }
    let nothing = SearchProceduresRequest {
        query: "%%%".to_owned(),
        ..Default::default()
    };
    procedures.search_procedures(nothing).await.unwrap();
}

#[tokio::test]
async fn a_version_has_its_time_and_an_unknown_code_none() {
    let stack = Stack::start().await;
    let mut procedures = stack.public().procedures;
    let on = |year| GetProcedureRequest {
        procedure_code: "1.001193".to_owned(),
        on: Some(Date { year, month: 1, day: 1 }),
    };
    assert!(procedures.get_procedure(on(2027)).await.is_ok());
    let before = procedures.get_procedure(on(2020)).await.unwrap_err();
    assert_eq!(
        (before.code(), reason(&before).as_str()),
        (Code::NotFound, "PROCEDURE_NOT_FOUND")
    );
    let unknown = GetProcedureRequest {
        procedure_code: "9.999999".to_owned(),
        on: None,
    };
    assert_eq!(
        procedures.get_procedure(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn an_import_is_idempotent_and_production_takes_only_what_is_settled() {
    let database = egov_testkit::database("onestop", &egov_onestop::MIGRATOR).await;
    let pool = Database::connect(
        &DatabaseConfig::new(database.app_url.clone()).test_profile(),
        Arc::new(Keyring::ephemeral()),
        egov_testkit::clock().shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap();
    let report = import(&pool, &packs(), Profile::Production, |_| {}).await.unwrap();
    let birth = report.iter().find(|line| line.name.starts_with("1.001193")).unwrap();
    assert_eq!(birth.outcome, Outcome::Refused);
    assert!(
        birth.detail.contains("neither confirmed nor decided"),
        "{}",
        birth.detail
    );

    let demo = report.iter().find(|line| line.name == "demo.toml").unwrap();
    assert_eq!(
        demo.outcome,
        Outcome::Refused,
        "production takes no decision of a demonstration"
    );
    // What the province decides itself is taken: the time of a birth registration is not open any more.
    let mut decided = packs();
    let province = decided
        .decisions
        .remove("demo.toml")
        .unwrap()
        .replace("demonstration = true\n", "");
    decided.decisions.insert("province.toml".to_owned(), province);
    decided.catalogue.clear();
    let report = import(&pool, &decided, Profile::Production, |_| {}).await.unwrap();
    let province = report.iter().find(|line| line.name == "province.toml").unwrap();
    assert_eq!(province.outcome, Outcome::Imported);
    let birth = report.iter().find(|line| line.name.starts_with("1.001193")).unwrap();
    let open_time = |path: &str| path.starts_with("channels.") && path.contains(".time");
    assert!(!birth.detail.split(' ').any(open_time), "{}", birth.detail);

    let first = import(&pool, &packs(), Profile::Demo, |_| {}).await.unwrap();
    assert!(first.iter().all(|line| line.outcome != Outcome::Refused), "{first:?}");
    let second = import(&pool, &packs(), Profile::Demo, |_| {}).await.unwrap();
    assert!(
        second.iter().all(|line| line.outcome == Outcome::Unchanged),
        "{second:?}"
    );

    // A notice that is taken away goes out of force; brought back word for word, it is in force again.
    let of_calendar = || Packs {
        calendar: packs().calendar,
        ..Packs::default()
    };
    let mut without = of_calendar();
    without.calendar.remove("notices/2026.toml").unwrap();
    let report = import(&pool, &without, Profile::Demo, |_| {}).await.unwrap();
    let outcome = |report: &[egov_onestop::operations::import::Line]| {
        report
            .iter()
            .find(|line| line.name == "notices/2026.toml")
            .map(|line| line.outcome)
    };
    assert!(
        matches!(outcome(&report), Some(Outcome::Withdrawn | Outcome::Refused)),
        "{report:?}"
    );
    let report = import(&pool, &of_calendar(), Profile::Demo, |_| {}).await.unwrap();
    assert!(
        matches!(outcome(&report), Some(Outcome::Imported | Outcome::Unchanged)),
        "{report:?}"
    );

    let mut changed = packs();
    changed.catalogue.clear();
    let birth = changed.procedures.get_mut("1.001193.toml").unwrap();
    *birth = birth.replace("Thủ tục đăng ký khai sinh", "Thủ tục khác");
    let third = import(&pool, &changed, Profile::Demo, |_| {}).await.unwrap();
    let birth = third.iter().find(|line| line.name == "1.001193.toml").unwrap();
    assert_eq!(
        birth.outcome,
        Outcome::Refused,
        "a version on which cases may rest is never changed"
    );
    assert!(birth.detail.contains("its own number"), "{}", birth.detail);
}

#[tokio::test]
async fn a_token_is_verified_even_where_none_is_needed() {
    let stack = Stack::start().await;
    let mut forged = stack.tokens.citizen(citizen(), Assurance::High);
    forged.truncate(forged.len() - 4);
    let mut client = stack.client(Some(forged), None).procedures;
    let status = client
        .list_procedures(ListProceduresRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}
