//! The binary `egov-onestop`, as an operations team starts and stops it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_keyring::Keyring;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::import;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use egov_proto::egov::onestop::v1::{ListCasesRequest, SearchProceduresRequest};
use egov_proto::egov::records::v1::reading_service_client::ReadingServiceClient;
use egov_proto::egov::records::v1::{ListPurposesRequest, ListReadingsRequest};
use tokio::process::{Child, Command};

use crate::support::*;

/// A configuration whose folders lie in `folder`; identity is away.
fn configured(folder: &Path, database: &str) -> (PathBuf, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    for policy in ["onestop.toml", "records.toml", "purposes.toml"] {
        std::fs::copy(deploy().join("policies").join(policy), policies.join(policy)).unwrap();
    }
    let text = format!(
        "profile = \"demo\"\n\
         [server]\nlisten = \"127.0.0.1:{port}\"\n\
         [database]\nurl = {database:?}\ntest_profile = true\n\
         [files]\nfolder = \"{files}\"\n\
         [identity]\naddress = \"http://127.0.0.1:1\"\nissuer = \"https://identity.test\"\n\
         jwks_url = \"http://127.0.0.1:1/jwks.json\"\ncache = \"{cache}\"\n\
         [access]\nkeys = \"{keys}\"\npolicies = \"{policies}\"\n",
        files = folder.join("files").display(),
        cache = folder.join("directory").display(),
        keys = folder.join("keys").display(),
        policies = policies.display(),
    );
    let file = folder.join("onestop.toml");
    std::fs::write(&file, text).unwrap();
    (file, port)
}

fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_egov-onestop"))
        .arg(config)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn it_starts_without_identity_answers_what_is_public_refuses_the_rest_and_drains() {
    let database = egov_testkit::database("onestop", &egov_onestop::MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let keyring = Arc::new(Keyring::create_missing(&keys, &SystemClock).unwrap());
    let config = DatabaseConfig::new(database.app_url.clone())
        .test_profile()
        .max_connections(2);
    let pool = Database::connect(&config, keyring, SystemClock::shared(), SystemIds::shared())
        .await
        .unwrap();
    import(&pool, &packs(), Profile::Demo, |_| {}).await.unwrap();
    pool.close().await;

    let (config, port) = configured(folder.path(), &database.app_url);
    let mut process = start(&config);
    let address = format!("http://127.0.0.1:{port}");
    let mut procedures = loop {
        if let Ok(client) = ProcedureServiceClient::connect(address.clone()).await {
            break client;
        }
        assert!(process.try_wait().unwrap().is_none(), "it ended before it answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let search = SearchProceduresRequest {
        query: "khai sinh".to_owned(),
        ..Default::default()
    };
    let found = procedures
        .search_procedures(search)
        .await
        .unwrap()
        .into_inner()
        .procedures;
    assert!(!found.is_empty());
    let mut cases = egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient::connect(address)
        .await
        .unwrap();
    let status = cases.list_cases(ListCasesRequest::default()).await.unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");
    // It answers for its own readings, and says for what personal data may be read.
    let mut readings = ReadingServiceClient::connect(format!("http://127.0.0.1:{port}"))
        .await
        .unwrap();
    let purposes = readings
        .list_purposes(ListPurposesRequest {})
        .await
        .unwrap()
        .into_inner()
        .purposes;
    let handling = purposes.iter().find(|purpose| purpose.code == "case_handling").unwrap();
    assert!(handling.legal_basis.contains("118/2025"), "{handling:?}");
    let status = readings
        .list_readings(ListReadingsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");
    drop((procedures, cases, readings));

    let pid = process.id().unwrap();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    let ended = tokio::time::timeout(Duration::from_secs(20), process.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn without_its_keys_or_with_an_unknown_key_of_configuration_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = configured(folder.path(), "postgres:///nowhere");
    let without_keys = start(&config).wait_with_output().await.unwrap();
    assert!(!without_keys.status.success());

    let text = std::fs::read_to_string(&config).unwrap() + "[surprise]\nvalue = 1\n";
    std::fs::write(&config, text).unwrap();
    let unknown = start(&config).wait_with_output().await.unwrap();
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("surprise"));
}
