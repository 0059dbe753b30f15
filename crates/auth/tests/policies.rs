//! The policies that the platform ships, and those in its documents, can be read.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::Path;

use egov_auth::Policies;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies"))
}

#[test]
fn every_policy_that_is_shipped_is_understood() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let policies = Policies::from_toml(&[(&name, &text)]);
            assert!(policies.is_ok(), "{}", policies.unwrap_err());
        }
    }
}

#[test]
fn the_example_of_the_format_is_understood() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, after) = readme.split_once("```toml\n").unwrap();
    let (example, _) = after.split_once("```").unwrap();
    let policies = Policies::from_toml(&[("README.md", example)]).unwrap();
    assert_eq!(policies.grants().len(), 1);
    assert!(policies.declares("one_stop_clerk"));
}
