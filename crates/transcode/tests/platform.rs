//! The platform's own contracts over HTTP.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::Path;

use egov_transcode::{Rest, document};

fn ours(service: &str) -> bool {
    service.starts_with("egov.")
}

#[test]
fn every_rpc_of_the_platform_is_served_over_http() {
    let rest = Rest::compile(&egov_proto::POOL, ours).unwrap();
    let served = rest.rpcs();
    for service in egov_proto::POOL.services().filter(|service| ours(service.full_name())) {
        // A stream has no place in REST.
        let unary =
            |method: &prost_reflect::MethodDescriptor| !method.is_client_streaming() && !method.is_server_streaming();
        for method in service.methods().filter(unary) {
            let name = format!("{}/{}", service.full_name(), method.name());
            assert!(served.contains(name.as_str()), "{name} has no google.api.http");
        }
    }
}

#[test]
fn the_document_of_the_platform_is_the_one_that_was_reviewed() {
    let mut text = serde_json::to_string_pretty(&document(&egov_proto::POOL, ours)).unwrap();
    text.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/openapi/egov.json");
    if std::env::var_os("EGOV_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == reviewed,
        "the contracts changed what callers see over HTTP: write the new document with EGOV_WRITE_OPENAPI=1 and read the difference"
    );
}
