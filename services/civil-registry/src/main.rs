//! The civil registry as a process of its own: `egov-civil-registry [CONFIG.toml]`.

use std::path::PathBuf;

#[cfg(feature = "printing")]
use egov_civil_registry::press::PressFault;
use egov_civil_registry::press::SharedPress;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    egov_civil_registry::config::run(file.as_deref(), press()?).await
}

/// The press of papers (feature `printing`).
#[cfg(feature = "printing")]
fn press() -> anyhow::Result<Option<SharedPress>> {
    let press = egov_papers::Press::new()?;
    Ok(Some(std::sync::Arc::new(
        move |content: &[u8]| -> Result<Vec<u8>, PressFault> { Ok(press.print_json(content)?.pdf) },
    )))
}

/// Built without one: papers are issued and not printed.
#[cfg(not(feature = "printing"))]
#[expect(clippy::unnecessary_wraps, reason = "as with a press")]
fn press() -> anyhow::Result<Option<SharedPress>> {
    Ok(None)
}
