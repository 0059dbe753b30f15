//! `cargo egov`: the operator's command. One command brings a whole one-stop centre up; the others import, migrate, call,
//! demonstrate, test, back up and restore it. README.md lists them.

mod accounts;
mod backup;
mod bench;
mod call;
mod client;
mod debian;
mod demo;
mod drill;
mod generate;
mod import;
mod import_cases;
mod keys;
mod ledger;
mod nats;
mod new_service;
mod packs;
mod partner;
mod place;
mod postgres;
mod prepare;
mod problem;
mod reach;
mod readings;
mod remote;
mod review;
mod say;
mod services;
mod simulate;
mod stack;
mod staff;
mod statistics;
mod status;
mod temporary;
mod test;
mod token;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use egov_onestop::domain::pack;

/// An e-government one-stop centre: start it, try it, look after it.
#[derive(Debug, Parser)]
#[command(name = "egov", bin_name = "cargo egov", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything in one process: PostgreSQL, migrations, packs, accounts, services.
    Up(up::Arguments),
    /// Play the main job through the public API: a birth registration from filing to result.
    Demo(demo::Arguments),
    /// Run the whole test suite with its own set-up.
    Test(test::Arguments),
    /// Call any RPC by reflection.
    Call(remote::Arguments),
    /// Accounts of staff from a list: made, and closed.
    Accounts {
        #[command(subcommand)]
        command: staff::Command,
    },
    /// Who has what where.
    Access {
        #[command(subcommand)]
        command: review::Command,
    },
    /// The figures of one-stop case handling: a table of a period, or all of them worked out anew.
    Statistics {
        #[command(subcommand)]
        command: statistics::Command,
    },
    /// How a running installation stands: health, backlogs, ledger, leases, keys.
    Status(status::Arguments),
    /// Who read whose personal data, why, and on which legal basis.
    Readings(Box<readings::Arguments>),
    /// What whoever connects a system needs: a sandbox with keys and an agreement, a token, a tester for webhooks.
    Partner {
        #[command(subcommand)]
        command: partner::Command,
    },
    /// The keys: list, rotate, withdraw; revoke the tokens of everybody.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Rehearse what is done with keys, on a stack of its own, and write the protocol.
    Drill {
        #[command(subcommand)]
        command: drill::Command,
    },
    /// Print an access token of a demo account, for curl and the page /docs.
    Token(token::Arguments),
    /// Import the packs of law and units; or the cases of an old system.
    Import(Box<import::ImportArguments>),
    /// Make roles and databases, and run the migrations.
    Migrate(import::Arguments),
    /// Fill an empty demonstration with generated cases whose truth is known.
    Generate(generate::GenerateArguments),
    /// Check that what is stored of cases fits together; or receipts and whole logs of the ledger, offline.
    Verify(generate::VerifyArguments),
    /// Measure it against anchors that are not ours.
    Bench(bench::Arguments),
    /// Start the province's partners, simulated, and print their addresses.
    Simulate(simulate::Arguments),
    /// Save the databases and files in a new folder, and the keys in another.
    Backup(backup::BackupArguments),
    /// Bring a backup back into an empty data folder.
    Restore(backup::RestoreArguments),
    /// What developers need of the databases.
    Db {
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Begin something new in the house's shape.
    New {
        #[command(subcommand)]
        command: NewCommand,
    },
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Regenerate the checked metadata of the queries (services/*/.sqlx), which lets them build without a database.
    Prepare(prepare::Arguments),
}

#[derive(Debug, Subcommand)]
enum NewCommand {
    /// Write a new service: contract, migration, operations, tests, policy, README.
    Service(new_service::Arguments),
}

/// What every command that touches an installation takes.
#[derive(Clone, Debug, Args)]
struct Installation {
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
    /// The folder with `packs` and `policies`; else ./deploy, the one of the sources, /usr/share/egov.
    #[arg(long, value_name = "DIR", env = "EGOV_DEPLOY")]
    deploy: Option<PathBuf>,
    /// What may be relied on: a demonstration decides open facts visibly, production refuses them.
    #[arg(long, value_enum, default_value_t = Profile::Demo)]
    profile: Profile,
    /// A superuser's connection to a PostgreSQL server of your own; without it a private cluster is started.
    #[arg(long, value_name = "URL", env = "EGOV_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// What may be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Profile {
    /// Demonstration: open facts are decided by the demo pack; ready accounts.
    Demo,
    /// Real cases: only what is confirmed or decided; an administrator and nobody else.
    Production,
}

impl From<Profile> for pack::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Demo => Self::Demo,
            Profile::Production => Self::Production,
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(arguments) => Box::pin(up::run(arguments)).await,
        Command::Demo(arguments) => Box::pin(demo::run(arguments)).await,
        Command::Test(arguments) => test::run(arguments).await,
        Command::Call(arguments) => Box::pin(remote::run(arguments)).await,
        Command::Accounts { command } => Box::pin(staff::run(command)).await,
        Command::Access { command } => Box::pin(review::run(command)).await,
        Command::Statistics { command } => Box::pin(statistics::run(command)).await,
        Command::Status(arguments) => Box::pin(status::run(arguments)).await,
        Command::Readings(arguments) => Box::pin(readings::run(*arguments)).await,
        Command::Partner { command } => Box::pin(partner::run(command)).await,
        Command::Keys { command } => Box::pin(keys::run(command)).await,
        Command::Drill { command } => Box::pin(drill::run(command)).await,
        Command::Token(arguments) => Box::pin(token::run(arguments)).await,
        Command::Import(arguments) => Box::pin(import::run(*arguments)).await,
        Command::Migrate(arguments) => Box::pin(import::migrate(arguments)).await,
        Command::Generate(arguments) => Box::pin(generate::generate(arguments)).await,
        Command::Verify(arguments) => Box::pin(generate::verify(arguments)).await,
        Command::Bench(arguments) => Box::pin(bench::run(arguments)).await,
        Command::Simulate(arguments) => Box::pin(simulate::run(arguments)).await,
        Command::Backup(arguments) => Box::pin(backup::backup(arguments)).await,
        Command::Restore(arguments) => Box::pin(backup::restore(arguments)).await,
        Command::Db {
            command: DbCommand::Prepare(arguments),
        } => Box::pin(prepare::run(arguments)).await,
        Command::New {
            command: NewCommand::Service(arguments),
        } => Box::pin(new_service::run(arguments)).await,
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(Box::pin(run(cli.command))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::note(problem::report(&error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }
}
