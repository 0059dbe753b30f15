//! Configuration: one precedence, no key that nobody reads, no secret that is shown.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::path::PathBuf;

use egov_runtime::config::{
    ClientCertificates, ConfigError, LogFormat, Period, Secret, ServerConfig, TelemetryConfig, load_from,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    server: ServerConfig,
    telemetry: TelemetryConfig,
    store: Store,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Store {
    password: Secret,
    token: Option<Secret>,
    url: Option<String>,
    retries: Option<u16>,
    hosts: Vec<String>,
    /// A key of its own, although it ends like a twin.
    log_file: PathBuf,
}

struct Case {
    folder: TempDir,
    toml: Option<PathBuf>,
}

impl Case {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            toml: None,
        }
    }

    fn toml(mut self, text: &str) -> Self {
        self.toml = Some(self.file("onestop.toml", text));
        self
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_from("onestop", self.toml.as_deref(), environment)
    }

    fn error(&self, environment: &[(&str, &str)]) -> String {
        self.load(environment).unwrap_err().to_string()
    }
}

#[test]
fn without_file_and_environment_the_defaults_hold() {
    let config = Case::new().load(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.limits.message_bytes, 4 * 1024 * 1024);
    assert_eq!(config.server.drain.grace, Period::seconds(30));
    assert_eq!(config.server.tls.client_certificates, ClientCertificates::Off);
    assert!(config.telemetry.otlp.endpoint.is_empty(), "OTLP is off");
    assert!(config.store.password.is_empty());
}

#[test]
fn the_file_beats_the_defaults_and_the_environment_beats_the_file() {
    let case = Case::new().toml(
        "[server]\nlisten = \"0.0.0.0:9000\"\n[server.limits]\nconcurrent_calls = 7\ndeadline = \"5s\"\n\
         [telemetry.log]\nformat = \"text\"\n",
    );
    let config = case
        .load(&[
            ("EGOV_ONESTOP__SERVER__LIMITS__CONCURRENT_CALLS", "9"),
            ("EGOV_ONESTOP__TELEMETRY__TRACE_RATIO", "0.25"),
            ("EGOV_ONESTOP__STORE__HOSTS", "[\"a\", \"b\"]"),
            ("EGOV_IDENTITY__SERVER__LISTEN", "127.0.0.1:1"),
            ("PATH", "/usr/bin"),
        ])
        .unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.server.limits.concurrent_calls, 9);
    assert_eq!(config.server.limits.deadline, Period::seconds(5));
    assert_eq!(
        config.server.limits.deadline_max,
        Period::seconds(120),
        "beside it the default"
    );
    assert_eq!(config.telemetry.log.format, LogFormat::Text);
    assert!((config.telemetry.trace_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.store.hosts, ["a", "b"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_its_place() {
    let case = Case::new().toml("[server.limits]\nconcurent_calls = 7\n");
    let error = case.error(&[]);
    assert!(
        error.contains("concurent_calls") && error.contains("onestop.toml"),
        "{error}"
    );

    let error = Case::new().error(&[("EGOV_ONESTOP__SERVER__LISTENS", "127.0.0.1:1")]);
    assert!(
        error.contains("EGOV_ONESTOP__SERVER__LISTENS") && error.contains("environment"),
        "{error}"
    );

    let error = Case::new().toml("[sever]\n").error(&[]);
    assert!(error.contains("sever"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_key_and_place() {
    let error = Case::new().toml("[server]\nlisten = \"everywhere\"\n").error(&[]);
    assert!(error.contains("listen") && error.contains("onestop.toml"), "{error}");
    let error = Case::new().error(&[("EGOV_ONESTOP__SERVER__LIMITS__CONNECTIONS", "many")]);
    assert!(error.contains("EGOV_ONESTOP__SERVER__LIMITS__CONNECTIONS"), "{error}");
    let error = Case::new().toml("[server.drain]\ngrace = \"-1s\"\n").error(&[]);
    assert!(error.contains("negative") && error.contains("grace"), "{error}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let mut case = Case::new();
    case.toml = Some(case.folder.path().join("nowhere.toml"));
    assert!(case.error(&[]).contains("nowhere.toml"));
    let error = Case::new().toml("[server\n").error(&[]);
    assert!(error.contains("onestop.toml"), "{error}");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let case = Case::new();
    let password = case.file("password", "Mật khẩu 0123\n");
    let case = case.toml(&format!("[store]\npassword_file = {password:?}\n"));
    assert_eq!(case.load(&[]).unwrap().store.password.expose(), "Mật khẩu 0123");

    let token = case.file("token", "t0ken\r\n");
    let config = case
        .load(&[("EGOV_ONESTOP__STORE__TOKEN_FILE", token.to_str().unwrap())])
        .unwrap();
    assert_eq!(config.store.token.unwrap().expose(), "t0ken");
}

#[test]
fn a_secret_given_twice_or_in_a_missing_file_stops_the_start() {
    let case = Case::new();
    let password = case.file("password", "x");
    let case = case.toml(&format!("[store]\npassword_file = {password:?}\n"));
    let error = case.error(&[("EGOV_ONESTOP__STORE__PASSWORD", "y")]);
    assert_eq!(
        error,
        "store.password and store.password_file are both given: keep one of them"
    );

    let error = Case::new().error(&[("EGOV_ONESTOP__STORE__PASSWORD_FILE", "/nowhere/password")]);
    assert!(
        error.contains("/nowhere/password") && error.contains("store.password_file"),
        "{error}"
    );
}

#[test]
fn a_key_that_only_looks_like_a_twin_is_left_alone() {
    let config = Case::new()
        .toml("[store]\nlog_file = \"/var/log/x\"\n")
        .load(&[])
        .unwrap();
    assert_eq!(config.store.log_file, PathBuf::from("/var/log/x"));
    let error = Case::new().toml("[store]\nretry_file = \"x\"\n").error(&[]);
    assert!(error.contains("retry_file"), "{error}");
}

#[test]
fn variables_keep_their_text_unless_a_number_is_wanted() {
    let config = Case::new()
        .load(&[
            ("EGOV_ONESTOP__STORE__PASSWORD", "0123"),
            ("EGOV_ONESTOP__STORE__TOKEN", "true"),
            ("EGOV_ONESTOP__STORE__URL", "12"),
            ("EGOV_ONESTOP__STORE__RETRIES", "3"),
        ])
        .unwrap();
    assert_eq!(config.store.password.expose(), "0123", "not the number 123");
    assert_eq!(config.store.token.unwrap().expose(), "true");
    assert_eq!(config.store.url.as_deref(), Some("12"));
    assert_eq!(config.store.retries, Some(3));
    let error = Case::new().error(&[("EGOV_ONESTOP__STORE__RETRIES", "often")]);
    assert!(error.contains("EGOV_ONESTOP__STORE__RETRIES"), "{error}");
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let error = Case::new().toml("[store]\npassword = 424242\n").error(&[]);
    assert!(!error.contains("424242") && error.contains("password"), "{error}");
    let config = Case::new()
        .load(&[("EGOV_ONESTOP__STORE__PASSWORD", "hunter2")])
        .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_key_of_the_shared_sections_stands_in_the_readme() {
    fn keys(section: &str, value: &serde_json::Value, into: &mut Vec<String>) {
        for (key, value) in value.as_object().unwrap() {
            let path = format!("{section}.{key}");
            if value.is_object() {
                keys(&path, value, into);
            } else {
                into.push(path);
            }
        }
    }
    let readme = include_str!("../README.md");
    let mut all = Vec::new();
    keys(
        "server",
        &serde_json::to_value(ServerConfig::default()).unwrap(),
        &mut all,
    );
    keys(
        "telemetry",
        &serde_json::to_value(TelemetryConfig::default()).unwrap(),
        &mut all,
    );
    let missing: Vec<_> = all.iter().filter(|key| !readme.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "README.md does not explain {missing:?}");
}
