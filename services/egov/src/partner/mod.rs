//! `cargo egov partner`: what whoever connects a system to the platform needs on the first day: keys, entries and a sandbox
//! agreement; a token; a tester for webhooks.

mod contracts;
mod desk;
mod keys;
mod new;
mod sandbox;
mod sending;
mod token;
mod webhook;

use clap::Subcommand;

/// `cargo egov partner`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connect a system in a running demonstration: keys, entries, a sandbox agreement in force, a first call, samples to go on from.
    New(new::Arguments),
    /// Print an access token of a partner that was made here.
    Token(token::Arguments),
    /// Receive webhooks and judge each of them; or, with --send, send some and judge a receiver.
    Webhook(webhook::Arguments),
}

pub(crate) use keys::Key;
pub(crate) use webhook::LISTEN as WEBHOOK_TESTER;

/// `cargo egov partner`
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => Box::pin(new::run(arguments)).await,
        Command::Token(arguments) => Box::pin(token::run(arguments)).await,
        Command::Webhook(arguments) => Box::pin(webhook::run(arguments)).await,
    }
}
