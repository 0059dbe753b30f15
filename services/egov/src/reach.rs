//! How a command of administration reaches a running stack: as whom, where.

use std::path::PathBuf;

use aws_lc_rs::digest;
use clap::Args;
use egov_clock::{SystemClock, SystemIds};
use egov_proto::egov::identity::v1::ResolveUnitRequest;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use jiff::civil::Date;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::client::{self, Callers, Carrier};
use crate::place::Place;
use crate::problem::Problem;

/// As whom, and where.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reach {
    /// Call as this account of the data folder.
    #[arg(long = "as", value_name = "NAME", default_value = "admin", conflicts_with = "token")]
    caller: String,
    /// Call with this access token.
    #[arg(long, value_name = "TOKEN", env = "EGOV_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The address of the stack; else the one that runs on the data folder.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
}

/// A channel with a token and a purpose on every call.
pub(crate) type Line = InterceptedService<Channel, Carrier>;

/// An open connection, and whose it is.
pub(crate) struct Reached {
    /// For calls in the caller's name.
    pub(crate) line: Line,
    /// For public calls.
    pub(crate) channel: Channel,
    /// What makes request ids distinct between callers.
    pub(crate) caller: String,
}

impl Reach {
    /// The data folder.
    pub(crate) fn place(&self) -> anyhow::Result<Place> {
        Place::at(&self.data)
    }

    /// Connects, and gets a token if none was given.
    pub(crate) async fn open(&self, purpose: &'static str) -> anyhow::Result<Reached> {
        let place = Place::at(&self.data)?;
        let url = match &self.address {
            Some(address) if address.contains("://") => address.trim_end_matches('/').to_owned(),
            Some(address) => format!("http://{address}"),
            None => client::running(&place)?.url(),
        };
        let channel = client::connect(&url).await?;
        let token = match &self.token {
            Some(token) => token.clone(),
            None => {
                let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
                let callers = Callers::open(place, url, channel.clone(), clock, ids)?;
                callers.token(&self.caller).await?
            }
        };
        Ok(Reached {
            line: InterceptedService::new(channel.clone(), Carrier::of(token, purpose)),
            channel,
            caller: self.caller.clone(),
        })
    }
}

impl Reached {
    /// The id of the unit that carries a code today.
    pub(crate) async fn unit(&self, code: &str) -> anyhow::Result<i32> {
        unit_id(&self.channel, code).await
    }
}

/// The id of the unit that carries a code today.
pub(crate) async fn unit_id(channel: &Channel, code: &str) -> anyhow::Result<i32> {
    let request = ResolveUnitRequest {
        code: code.to_owned(),
        on: None,
    };
    let found = UnitServiceClient::new(channel.clone())
        .resolve_unit(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(found.into_inner().unit.unwrap_or_default().unit_id)
}

/// The id of a request: the same of the same content, so that a run that was cut off is simply repeated.
pub(crate) fn request_id(area: &str, caller: &str, content: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(format!("egov {area}\0").as_bytes());
    context.update(caller.as_bytes());
    context.update(&[0]);
    context.update(content);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A refusal as an error for people.
pub(crate) fn refused(status: &Status) -> anyhow::Error {
    Problem::refused(&egov_fault::fault_of(status)).into()
}

/// A day as people write it, `31/12/2026`, or as ISO 8601 does.
pub(crate) fn parse_day(text: &str) -> Result<Date, String> {
    Date::strptime("%d/%m/%Y", text)
        .or_else(|_| text.parse::<Date>())
        .map_err(|_| format!("{text:?} is no day; write dd/mm/yyyy · không phải một ngày, hãy viết dd/mm/yyyy"))
}

/// A day for people.
pub(crate) fn day(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_people_and_as_machines_write_it() {
        let expected = jiff::civil::date(2026, 12, 31);
        assert_eq!(parse_day("31/12/2026"), Ok(expected));
        assert_eq!(parse_day("2026-12-31"), Ok(expected));
        assert!(parse_day("31/02/2026").is_err());
        assert_eq!(day(expected), "31/12/2026");
    }
}
