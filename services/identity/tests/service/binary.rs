//! The binary `egov-identity`, as an operations team starts and stops it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use egov_keyring::Keyring;
use egov_proto::egov::identity::v1::GetTreeSnapshotRequest;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use tokio::process::{Child, Command};

use crate::support::{ISSUER, refused};

const BINARY: &str = env!("CARGO_BIN_EXE_egov-identity");

/// A configuration whose folders lie in `folder`; the port is a free one.
fn write_config(folder: &Path, database: &str) -> (std::path::PathBuf, u16) {
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    let policy = include_str!("../../../../deploy/policies/identity.toml");
    std::fs::write(policies.join("identity.toml"), policy).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let file = folder.join("identity.toml");
    let text = format!(
        "keyring = \"{keyring}\"\npolicies = \"{policies}\"\n\
         [server]\nlisten = \"127.0.0.1:{port}\"\n\
         [database]\nurl = {database:?}\ntest_profile = true\n\
         [tokens]\nissuer = {ISSUER:?}\n",
        keyring = folder.join("keyring").display(),
        policies = policies.display(),
    );
    std::fs::write(&file, text).unwrap();
    (file, port)
}

fn start(config: &Path) -> Child {
    Command::new(BINARY)
        .arg(config)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn until_it_answers(http: &reqwest::Client, url: &str) -> serde_json::Value {
    for _ in 0..300 {
        if let Ok(answer) = http.get(url).send().await {
            return answer.json().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}

#[tokio::test]
async fn it_starts_answers_and_drains_when_it_is_asked_to_stop() {
    let database = egov_testkit::database(egov_identity::SERVICE, &egov_identity::MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    Keyring::create_missing(&folder.path().join("keyring"), &egov_clock::SystemClock).unwrap();
    let (config, port) = write_config(folder.path(), &database.app_url);
    let mut process = start(&config);

    let http = reqwest::Client::new();
    let address = format!("http://127.0.0.1:{port}");
    let metadata = until_it_answers(&http, &format!("{address}/.well-known/oauth-authorization-server")).await;
    assert_eq!(metadata["issuer"], ISSUER);
    let mut units = UnitServiceClient::connect(address).await.unwrap();
    let tree = units
        .get_tree_snapshot(GetTreeSnapshotRequest { known_version: 7 })
        .await
        .unwrap();
    assert!(!tree.into_inner().key_id.is_empty());
    let unknown = egov_proto::egov::identity::v1::GetUnitRequest { unit_id: 1 };
    assert_eq!(refused(units.get_unit(unknown).await), "UNIT_NOT_FOUND");
    drop(units);

    let id = process.id().unwrap().to_string();
    let asked = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
    assert!(asked.success());
    let ended = tokio::time::timeout(Duration::from_secs(30), process.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn it_refuses_to_start_without_keys_and_without_a_name_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = write_config(folder.path(), "postgres:///identity?host=/nowhere");
    let output = start(&config).wait_with_output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("keyring"), "{text}");

    let unknown = folder.path().join("unknown.toml");
    std::fs::write(&unknown, "[tokens]\nissuers = \"x\"\n").unwrap();
    let output = start(&unknown).wait_with_output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("issuers"), "{text}");
}

#[tokio::test]
async fn an_issuer_without_a_name_is_refused_at_the_start() {
    let mut settings = egov_identity::Settings::default();
    let database = egov_testkit::database(egov_identity::SERVICE, &egov_identity::MIGRATOR).await;
    let keyring = std::sync::Arc::new(Keyring::ephemeral());
    let clock = egov_testkit::clock();
    let database = egov_database::Database::connect(
        &egov_database::DatabaseConfig::new(&database.app_url).test_profile(),
        std::sync::Arc::clone(&keyring),
        clock.shared(),
        std::sync::Arc::new(egov_testkit::ids()),
    )
    .await
    .unwrap();
    let directory = egov_directory::Directory::open(egov_directory::DirectoryConfig::default(), clock.shared());
    let directory = std::sync::Arc::new(directory.unwrap());
    let policies = egov_auth::Policies::from_toml(&[]).unwrap();
    let deps = egov_identity::Deps {
        access: std::sync::Arc::new(egov_auth::Access::new(policies, directory.tree())),
        database,
        keyring,
        directory,
    };
    let problem = async |settings: &egov_identity::Settings| {
        let fault = egov_identity::Identity::open(settings, deps.clone()).await.unwrap_err();
        format!("{fault:?}")
    };
    assert!(problem(&settings).await.contains("tokens.issuer"));
    ISSUER.clone_into(&mut settings.tokens.issuer);
    settings.tokens.key_overlap = egov_runtime::config::Period::seconds(60);
    assert!(problem(&settings).await.contains("tokens.key_overlap"));
}

#[tokio::test]
async fn policies_that_let_administration_be_delegated_stop_the_start() {
    let database = egov_testkit::database(egov_identity::SERVICE, &egov_identity::MIGRATOR).await;
    let keyring = std::sync::Arc::new(Keyring::ephemeral());
    let clock = egov_testkit::clock();
    let database = egov_database::Database::connect(
        &egov_database::DatabaseConfig::new(&database.app_url).test_profile(),
        std::sync::Arc::clone(&keyring),
        clock.shared(),
        std::sync::Arc::new(egov_testkit::ids()),
    )
    .await
    .unwrap();
    let directory = egov_directory::Directory::open(egov_directory::DirectoryConfig::default(), clock.shared());
    let directory = std::sync::Arc::new(directory.unwrap());
    let text = include_str!("../../../../deploy/policies/identity.toml")
        .replace("name = \"unit_admin\"", "name = \"unit_admin\"\ndelegable = true");
    let policies = egov_auth::Policies::from_toml(&[("identity.toml", &text)]).unwrap();
    let deps = egov_identity::Deps {
        access: std::sync::Arc::new(egov_auth::Access::new(policies, directory.tree())),
        database,
        keyring,
        directory,
    };
    let mut settings = egov_identity::Settings::default();
    ISSUER.clone_into(&mut settings.tokens.issuer);
    let fault = egov_identity::Identity::open(&settings, deps).await.unwrap_err();
    assert!(format!("{fault:?}").contains("unit_admin"), "{fault:?}");
}
