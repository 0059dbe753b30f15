//! `cargo egov call`: the command line around [`crate::call`].

use clap::Args;
use egov_clock::{Ids as _, SystemClock, SystemIds};
use egov_fault::fault_of;

use crate::call::Remote;
use crate::client::{self, Callers};
use crate::place::Place;
use crate::problem::Problem;
use crate::say;

/// `cargo egov call`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The RPC: `egov.onestop.v1.CaseService/GetCase`, or the end of it that is unique: `GetCase`.
    #[arg(required_unless_present = "list")]
    method: Option<String>,
    /// The request in the JSON mapping of protobuf. A `requestId` that is missing is made.
    #[arg(default_value = "{}")]
    json: String,
    /// List all RPCs.
    #[arg(long)]
    list: bool,
    /// Call as this demo account: admin, clerk, officer, leader, reader, accountant, neighbour, controller, auditor, portal, citizen,
    /// system.
    #[arg(long = "as", value_name = "NAME", conflicts_with = "token")]
    caller: Option<String>,
    /// Call with this access token.
    #[arg(long, value_name = "TOKEN", env = "EGOV_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Why personal data is read, for example `case_handling` or `own_case`.
    #[arg(long)]
    purpose: Option<String>,
    /// The address of the stack; else the one that runs on the data folder.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: std::path::PathBuf,
}

/// `cargo egov call`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    let url = match &arguments.address {
        Some(address) if address.contains("://") => address.trim_end_matches('/').to_owned(),
        Some(address) => format!("http://{address}"),
        None => client::running(&place)?.url(),
    };
    let channel = client::connect(&url).await?;
    let remote = Remote::connect(channel.clone()).await?;
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let Some(name) = arguments.method.filter(|_| !arguments.list) else {
        let rows = remote
            .list()
            .into_iter()
            .map(|listed| vec![listed.method, listed.summary]);
        say::line(say::table(rows));
        return Ok(());
    };
    let method = remote.method(&name)?;
    let request_id = ids.uuid().to_string();
    let token = match (&arguments.caller, arguments.token) {
        (Some(caller), _) => Some(Callers::open(place, url, channel, clock, ids)?.token(caller).await?),
        (None, token) => token,
    };
    let answer = remote
        .call(
            &method,
            &arguments.json,
            token.as_deref(),
            arguments.purpose.as_deref(),
            &request_id,
        )
        .await?;
    match answer {
        Ok(answer) => {
            say::line(serde_json::to_string_pretty(&answer)?);
            Ok(())
        }
        Err(status) => Err(Problem::refused(&fault_of(&status)).into()),
    }
}
