//! `cargo egov simulate`: the province's partners, simulated, until Ctrl-C.

use anyhow::Context as _;
use clap::Args;
use egov_clock::SystemClock;
use egov_simulators::{CivilStatusSimulator, PaymentSimulator, PopulationSimulator, PortalSimulator};
use serde_json::json;

use crate::say;

/// `cargo egov simulate`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
    /// So many of a thousand requests meet a fault.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    faults: u32,
    /// By which the faults are drawn.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

/// `cargo egov simulate`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let clock = SystemClock::shared;
    let portal = PortalSimulator::start(clock()).await?;
    let payment = PaymentSimulator::start(clock()).await?;
    let population = PopulationSimulator::start(clock()).await?;
    let civil_status = CivilStatusSimulator::start(clock()).await?;
    for faults in [
        portal.faults(),
        payment.faults(),
        population.faults(),
        civil_status.faults(),
    ] {
        faults.seeded(arguments.seed, arguments.faults);
    }
    let addresses = [
        ("national-portal", portal.url()),
        ("payment-platform", payment.url()),
        ("population-register", population.url()),
        ("civil-status-register", civil_status.url()),
    ];
    if arguments.json {
        let by_name: serde_json::Map<_, _> = addresses
            .into_iter()
            .map(|(name, url)| (name.to_owned(), json!(url)))
            .collect();
        say::json(&by_name);
    } else {
        say::line(say::table(addresses.map(|(name, url)| vec![name.to_owned(), url])));
        say::note("simulated partners; Ctrl-C stops them");
    }
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}
