//! A private PostgreSQL in a folder, until the end of standard input:
//! `cargo run -p egov-postgres --example private -- /tmp/try`
//!
//! Installs Debian's package first where no server is found and this process is root.

#![expect(clippy::print_stdout, reason = "a program that talks to its user")]

use std::env;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Instant;

use egov_postgres::{Cluster, ClusterOptions, MINIMUM_VERSION, PostgresError, discover_for, install_debian};

fn run(data: PathBuf) -> Result<(), PostgresError> {
    let installation = match discover_for(&data, MINIMUM_VERSION) {
        Err(PostgresError::NotFound { .. }) => install_debian()?,
        outcome => outcome?,
    };
    let begin = Instant::now();
    let cluster = Cluster::start(&installation, ClusterOptions::new(data))?;
    println!(
        "PostgreSQL {} is ready after {} ms: psql '{}'",
        installation.version,
        begin.elapsed().as_millis(),
        cluster.url("postgres")
    );
    if let Some(notice) = cluster.notice() {
        println!("{notice}");
    }
    // Until Ctrl-D. After Ctrl-C or a kill the watcher stops the server.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    cluster.stop()
}

fn main() {
    let data = env::args_os().nth(1).unwrap_or_else(|| "egov-postgres".into());
    if let Err(error) = run(data.into()) {
        println!("{error}\n{}", error.vi());
        std::process::exit(1);
    }
}
