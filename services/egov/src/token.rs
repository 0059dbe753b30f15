//! `cargo egov token`: an access token of a demo account, for curl and for the page `/docs`.

use clap::Args;
use egov_clock::{SystemClock, SystemIds};

use crate::client::{self, Callers};
use crate::place::Place;
use crate::say;

/// `cargo egov token`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Whose: admin, clerk, officer, leader, reader, accountant, neighbour, controller, auditor, portal, citizen, system.
    #[arg(long = "as", value_name = "NAME")]
    caller: String,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: std::path::PathBuf,
}

/// `cargo egov token`: nothing but the token, so that a shell can take it.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    let url = client::running(&place)?.url();
    let channel = client::connect(&url).await?;
    let callers = Callers::open(place, url, channel, SystemClock::shared(), SystemIds::shared())?;
    say::line(callers.token(&arguments.caller).await?);
    Ok(())
}
