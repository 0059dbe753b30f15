//! The rules that keep the house in order (ARCHITECTURE.md), as far as a look at the imports shows them.

use std::path::Path;

fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn each_layer_imports_only_what_it_may() {
    for (folder, forbidden) in [
        (
            "domain",
            &[
                "crate::store",
                "crate::operations",
                "crate::api",
                "egov_proto",
                "sqlx",
                "tonic",
                "egov_database",
            ][..],
        ),
        ("store", &["crate::operations", "crate::api", "egov_proto", "tonic"][..]),
        ("operations", &["crate::api", "tonic", "sqlx::query"][..]),
        ("api", &["crate::store", "sqlx"][..]),
    ] {
        for (path, text) in sources(folder) {
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for name in forbidden {
                    assert!(!line.contains(name), "{path} must not know {name}: {line}");
                }
            }
        }
    }
}
