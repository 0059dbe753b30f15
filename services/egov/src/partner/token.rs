//! `cargo egov partner token`: an access token of a partner that was made here.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use egov_clock::{SystemClock, SystemIds};

use super::keys::Key;
use super::new::{CARD, Card};
use crate::client::{self, Callers};
use crate::place::Place;
use crate::problem::Problem;
use crate::say;

/// `cargo egov partner token`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The partner.
    name: String,
    /// The folder that `partner new` wrote; else `partners/NAME` in the data folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
}

/// `cargo egov partner token`: nothing but the token, so that a shell can take it.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    let folder = match arguments.out {
        Some(folder) => folder,
        None => place.path("partners").join(&arguments.name),
    };
    let path = folder.join(CARD);
    let text = std::fs::read(&path).map_err(|error| {
        Problem::new(
            format!("cannot read {}: {error}", path.display()),
            format!("make the partner first: cargo egov partner new {}", arguments.name),
        )
        .or("or name its folder: --out DIR")
    })?;
    let card: Card = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    let key = Key::open(&folder.join(&card.client_key))?;
    let url = client::running(&place)?.url();
    let channel = client::connect(&url).await?;
    let callers = Callers::open(place, url, channel, SystemClock::shared(), SystemIds::shared())?;
    let token = callers
        .token_of_system(&card.client_id, |claims| key.assertion(claims))
        .await?;
    say::line(token.access_token);
    Ok(())
}
