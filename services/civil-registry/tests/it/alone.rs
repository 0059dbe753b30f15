//! The binary `egov-civil-registry`, as an operations team starts and stops it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use egov_clock::SystemClock;
use egov_keyring::Keyring;
use egov_proto::egov::civil_registry::v1::ListBooksRequest;
use egov_proto::egov::civil_registry::v1::book_service_client::BookServiceClient;
use tokio::process::{Child, Command};

use crate::support::*;

/// A configuration whose folders lie in `folder`; identity is away.
fn configured(folder: &Path, database: &str, profile: &str) -> (PathBuf, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    for policy in ["civil_registry.toml", "records.toml", "purposes.toml"] {
        std::fs::copy(deploy().join("policies").join(policy), policies.join(policy)).unwrap();
    }
    let text = format!(
        "{profile}keyring = \"{keys}\"\npolicy = \"{policies}\"\npacks = \"{packs}\"\n\
         [server]\nlisten = \"127.0.0.1:{port}\"\n\
         [database]\nurl = {database:?}\ntest_profile = true\n\
         [identity]\naddress = \"http://127.0.0.1:1\"\nissuer = \"https://identity.test\"\naudience = \"egov\"\n\
         jwks_url = \"http://127.0.0.1:1/jwks.json\"\ncache = \"{cache}\"\n",
        keys = folder.join("keys").display(),
        policies = policies.display(),
        packs = deploy().join("packs").display(),
        cache = folder.join("directory").display(),
    );
    let file = folder.join("civil-registry.toml");
    std::fs::write(&file, text).unwrap();
    (file, port)
}

fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_egov-civil-registry"))
        .arg(config)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// What it says on its way out.
async fn refused(config: &Path) -> String {
    let ended = start(config).wait_with_output().await.unwrap();
    assert!(!ended.status.success());
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[tokio::test]
async fn it_starts_without_identity_refuses_who_shows_no_token_and_drains() {
    let database = egov_testkit::database(egov_civil_registry::SERVICE, &egov_civil_registry::MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    Keyring::create_missing(&folder.path().join("keys"), &SystemClock).unwrap();
    let (config, port) = configured(folder.path(), &database.app_url, "profile = \"demo\"\n");
    let mut process = start(&config);
    let mut books = loop {
        if let Ok(client) = BookServiceClient::connect(format!("http://127.0.0.1:{port}")).await {
            break client;
        }
        assert!(process.try_wait().unwrap().is_none(), "it ended before it answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let status = books.list_books(ListBooksRequest::default()).await.unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");
    drop(books);

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
async fn without_keys_with_an_unknown_key_of_configuration_or_on_undecided_rules_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = configured(folder.path(), "postgres:///nowhere", "profile = \"demo\"\n");
    refused(&config).await;

    let text = std::fs::read_to_string(&config).unwrap() + "[surprise]\nvalue = 1\n";
    std::fs::write(&config, text).unwrap();
    assert!(refused(&config).await.contains("surprise"));

    // Whoever does not say otherwise is in production: every rule for which nobody answers is named, with what to do.
    let (config, _) = configured(folder.path(), "postgres:///nowhere", "");
    let said = refused(&config).await;
    for named in [
        "rules-2025, marriage_age",
        "rules-2025, bigamy",
        "rules-2027, marriage_age",
        "[[decisions]]",
    ] {
        assert!(said.contains(named), "{named}: {said}");
    }
}
