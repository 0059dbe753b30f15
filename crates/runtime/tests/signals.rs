//! The signals of the operating system. One test alone in its process: a signal reaches all of it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::process::Command;
use std::time::Duration;

use egov_runtime::server::Shutdown;
use tokio::time::timeout;

/// As an operator sends it.
fn send(signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &std::process::id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn the_first_signal_asks_for_the_drain_and_the_second_for_the_end() {
    let shutdown = Shutdown::new();
    shutdown.on_signals().unwrap();
    let patience = Duration::from_secs(10);
    let moment = Duration::from_millis(100);

    send("-HUP");
    assert!(
        timeout(moment, shutdown.draining()).await.is_err(),
        "SIGHUP does not stop"
    );
    send("-TERM");
    timeout(patience, shutdown.draining()).await.unwrap();
    assert!(
        timeout(moment, shutdown.aborted()).await.is_err(),
        "one signal does not abort"
    );
    send("-INT");
    timeout(patience, shutdown.aborted()).await.unwrap();
}
