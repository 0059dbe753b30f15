//! `EGOV_DATABASE_URL`: a server that somebody else runs.

use egov_postgres::{Cluster, ClusterOptions, Durability};

use crate::support::*;

#[test]
fn a_server_that_is_given_is_used_and_left_running_and_one_that_may_lose_data_is_refused() {
    let folder = folder();
    let installation = egov_postgres::discover(egov_postgres::MINIMUM_VERSION).unwrap();
    let options =
        |durability| ClusterOptions::new(folder.path().join(format!("{durability:?}"))).durability(durability);

    let weak = Cluster::start(&installation, options(Durability::TestOnly)).unwrap();
    let refused = egov()
        .env("EGOV_DATABASE_URL", weak.url("postgres"))
        .args(["up", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("refused"))
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused).contains("fsync"), "{}", text(&refused));
    weak.stop().unwrap();

    let mut server = Cluster::start(&installation, options(Durability::Full)).unwrap();
    let data = folder.path().join("data");
    let up = Up::start_with(&data, "127.0.0.1:0", &[("EGOV_DATABASE_URL", &server.url("postgres"))]);
    let demo = json(&on(&data, &["demo", "--json"]));
    assert_eq!(demo["states"], serde_json::json!([1, 2, 4, 5, 4, 9, 10]));
    up.stop();
    assert!(server.is_running(), "what it did not start it does not stop");
    server.stop().unwrap();
}
