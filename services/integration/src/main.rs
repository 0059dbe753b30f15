//! The service integration as a process of its own: `egov-integration [CONFIG.toml]`.

use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    egov_integration::config::run(file.as_deref()).await
}
