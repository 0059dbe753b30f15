//! The identity service as a process of its own. `egov-identity [CONFIG.toml]`; see the README for the configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use egov_identity::{SERVICE, ServiceConfig};

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("egov-identity: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let config: ServiceConfig = egov_runtime::config::load(SERVICE, path.as_deref())?;
    egov_identity::run(config).await
}
