//! The one-stop service alone, as containers run it: `egov-onestop [CONFIG.toml]`.

use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    egov_onestop::config::run(file.as_deref()).await
}
