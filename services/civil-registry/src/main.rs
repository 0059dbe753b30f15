//! The civil registry as a process of its own: `egov-civil-registry [CONFIG.toml]`.

use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    egov_civil_registry::config::run(file.as_deref()).await
}
