//! One HTTP line to a partner.
//!
//! No redirects, no proxy of the environment, only allowed hosts, encrypted unless on this machine, a limit on what is read
//! and on how long it may take, and a circuit breaker. A failure is told apart by whether it can have had an effect.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use egov_clock::{SharedClock, SharedIds};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Client, Url, redirect};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Partner;
use crate::backoff::Backoff;
use crate::breaker::{Breaker, BreakerConfig};
use crate::outcome::{CallError, Doubt, NotSent};

/// How a partner is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LineConfig {
    /// Its address: https, or http on this machine.
    pub address: String,
    /// The hosts that may be called; the address's host must be among them.
    pub hosts: Vec<String>,
    /// The version of its contract that we speak, e.g. `sim-1`.
    pub contract: String,
    /// How long one try may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long a call may take with all its tries, in milliseconds.
    pub dead_line_ms: u64,
    /// The most bytes of an answer.
    pub answer_bytes: usize,
    /// The most tries of a call that is safe to repeat.
    pub tries: u32,
    /// The waits between them.
    pub backoff: Backoff,
    /// When the partner is left alone.
    pub breaker: BreakerConfig,
}

impl Default for LineConfig {
    fn default() -> Self {
        Self {
            address: String::new(),
            hosts: Vec::new(),
            contract: "sim-1".to_owned(),
            timeout_ms: 10_000,
            dead_line_ms: 30_000,
            answer_bytes: 1024 * 1024,
            tries: 3,
            backoff: Backoff::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

/// Why a line cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not an address that may be called.
    #[error("{partner}: {address:?} is not an https address of an allowed host, nor an http address of this machine")]
    Address {
        /// Whose line.
        partner: Partner,
        /// The address.
        address: String,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A request to a partner. It is `Debug` without its content: that is personal data.
pub struct Outgoing {
    /// The HTTP method.
    pub method: Method,
    /// The path below the line's address, without a leading slash; ids and codes only.
    pub path: String,
    /// Headers beside `Content-Type`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The type of the body; empty if there is none.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// What came back: a status below 500 and the whole body.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer if its status is 2xx; a refusal named by its status otherwise.
    pub fn success(self) -> Result<Self, CallError> {
        match self.status {
            200..=299 => Ok(self),
            300..=399 => Err(CallError::unreadable(format_args!(
                "a redirect, status {}",
                self.status
            ))),
            status => Err(CallError::refused(format!("http_{status}"), "")),
        }
    }

    /// What came of it, if its status is about who calls, and where, and not about what was sent: that was not done, and may be when the
    /// way is open again.
    pub fn barred(&self) -> Option<CallError> {
        matches!(self.status, 401 | 403 | 404 | 405 | 407 | 421 | 451)
            .then(|| CallError::NotSent(NotSent::RefusedBefore(format!("http_{}", self.status))))
    }

    /// One header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The line.
pub struct Line {
    partner: Partner,
    config: LineConfig,
    base: Url,
    client: Client,
    breaker: Breaker,
    clock: SharedClock,
    ids: SharedIds,
}

impl Line {
    /// Opens a line; nothing is sent yet.
    pub fn open(partner: Partner, config: LineConfig, clock: SharedClock, ids: SharedIds) -> Result<Self, LineError> {
        let refused = || LineError::Address {
            partner,
            address: config.address.clone(),
        };
        let mut base = Url::parse(&config.address).map_err(|_| refused())?;
        if !may_be_called(&base, &config.hosts) {
            return Err(refused());
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(config.timeout_ms.min(5_000)))
            .timeout(Duration::from_millis(config.timeout_ms))
            // A redirect could lead to a host that nobody allowed.
            .redirect(redirect::Policy::none())
            // Whether to repeat is decided here, by what the operation is.
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()?;
        Ok(Self {
            partner,
            base,
            client,
            breaker: Breaker::new(config.breaker, clock.clone()),
            clock,
            ids,
            config,
        })
    }

    /// Whose line it is.
    pub fn partner(&self) -> Partner {
        self.partner
    }

    /// The version of the contract that is spoken.
    pub fn contract(&self) -> &str {
        &self.config.contract
    }

    /// The clock of the line.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Whether the breaker would refuse a call now.
    pub fn is_resting(&self) -> bool {
        self.breaker.is_waiting()
    }

    /// The address of a path, as it is signed.
    pub fn address(&self, path: &str) -> Result<Url, CallError> {
        let url = self
            .base
            .join(path)
            .map_err(|_| CallError::NotSent(NotSent::Unsendable("path")))?;
        // `join` would follow `//host` or `https:` in a path elsewhere.
        let same = url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
            && url.scheme() == self.base.scheme()
            && url.path().starts_with(self.base.path());
        if same {
            Ok(url)
        } else {
            Err(CallError::NotSent(NotSent::Unsendable("path")))
        }
    }

    /// One try.
    #[tracing::instrument(name = "partner.call", level = "debug", skip_all, fields(partner = %self.partner))]
    pub async fn once(&self, outgoing: &Outgoing) -> Result<Answer, CallError> {
        let url = self.address(&outgoing.path)?;
        let Some(permit) = self.breaker.admit() else {
            return Err(CallError::NotSent(NotSent::BreakerOpen));
        };
        let answer = self.exchange(url, outgoing).await;
        match &answer {
            Ok(_) | Err(CallError::Refused { .. } | CallError::NotSent(NotSent::Unsendable(_))) => permit.well(),
            Err(_) => permit.badly(),
        }
        answer
    }

    async fn exchange(&self, url: Url, outgoing: &Outgoing) -> Result<Answer, CallError> {
        let mut request = self.client.request(outgoing.method.clone(), url);
        for (name, value) in &outgoing.headers {
            request = request.header(name, value);
        }
        if !outgoing.content_type.is_empty() {
            request = request
                .header(http::header::CONTENT_TYPE, outgoing.content_type)
                .body(outgoing.body.clone());
        }
        let mut response = request.send().await.map_err(|error| judge(&error))?;
        let status = response.status().as_u16();
        match status {
            429 => return Err(CallError::NotSent(NotSent::Throttled)),
            408 | 500.. => return Err(CallError::Unknown(Doubt::Failed(status))),
            _ => {}
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| match judge(&error) {
            // Something was sent: an answer had begun.
            CallError::NotSent(_) => CallError::Unknown(Doubt::CutOff),
            other => other,
        })? {
            if body.len() + chunk.len() > self.config.answer_bytes {
                return Err(CallError::Unknown(Doubt::TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// The tries of one call, for operations that are safe to repeat: readings, and what carries a key by which the partner
    /// recognises it.
    pub fn tries(&self) -> Tries<'_> {
        Tries {
            line: self,
            dead_line: Instant::now() + Duration::from_millis(self.config.dead_line_ms),
            number: 0,
        }
    }
}

/// The tries of one call: `loop { if let Some(result) = tries.attempt(call()).await { return result; } }`.
#[derive(Debug)]
pub struct Tries<'a> {
    line: &'a Line,
    dead_line: Instant,
    number: u32,
}

impl Tries<'_> {
    /// Makes one try. None if it failed, the wait is over, and another one is due.
    pub async fn attempt<T>(
        &mut self,
        call: impl Future<Output = Result<T, CallError>> + Send,
    ) -> Option<Result<T, CallError>> {
        let Ok(result) = tokio::time::timeout_at(self.dead_line, call).await else {
            return Some(Err(CallError::Unknown(Doubt::TimedOut)));
        };
        let error = match result {
            Ok(value) => return Some(Ok(value)),
            Err(error) => error,
        };
        self.number += 1;
        // An open breaker means: leave it alone.
        let resting = error == CallError::NotSent(NotSent::BreakerOpen);
        if resting || !error.may_pass() || self.number >= self.line.config.tries {
            return Some(Err(error));
        }
        let wait = self.line.config.backoff.wait(self.number - 1, self.line.ids.as_ref());
        if Instant::now() + wait >= self.dead_line {
            return Some(Err(error));
        }
        tracing::debug!(partner = %self.line.partner, attempt = self.number, problem = error.word(), "tried again");
        tokio::time::sleep(wait).await;
        None
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("partner", &self.partner)
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

fn judge(error: &reqwest::Error) -> CallError {
    if error.is_builder() {
        CallError::NotSent(NotSent::Unsendable("request"))
    } else if error.is_connect() {
        CallError::NotSent(NotSent::NoConnection)
    } else if error.is_timeout() {
        CallError::Unknown(Doubt::TimedOut)
    } else {
        CallError::Unknown(Doubt::CutOff)
    }
}

fn may_be_called(url: &Url, hosts: &[String]) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let clean =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let allowed = hosts.iter().any(|allowed| allowed == host);
    clean && allowed && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::{SystemClock, SystemIds};

    fn line(address: &str, hosts: &[&str]) -> Result<Line, LineError> {
        let config = LineConfig {
            address: address.to_owned(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..LineConfig::default()
        };
        Line::open(
            Partner::NationalPortal,
            config,
            SystemClock::shared(),
            SystemIds::shared(),
        )
    }

    #[test]
    fn only_allowed_hosts_are_called_and_only_encrypted_unless_on_this_machine() {
        assert!(line("https://portal.example/api", &["portal.example"]).is_ok());
        assert!(line("http://127.0.0.1:1/", &["127.0.0.1"]).is_ok());
        for (address, host) in [
            ("https://other.example/", "portal.example"),
            ("http://portal.example/", "portal.example"),
            ("https://user@portal.example/", "portal.example"),
            ("ftp://127.0.0.1/", "127.0.0.1"),
            ("portal.example", "portal.example"),
        ] {
            assert!(
                matches!(line(address, &[host]), Err(LineError::Address { .. })),
                "{address}"
            );
        }
    }

    #[test]
    fn a_path_never_leaves_the_partners_address() {
        let line = line("https://portal.example/api", &["portal.example"]).unwrap();
        assert_eq!(
            line.address("session").unwrap().as_str(),
            "https://portal.example/api/session"
        );
        for path in ["//other.example/x", "https://other.example/", "/elsewhere", "../../x"] {
            assert!(line.address(path).is_err(), "{path}");
        }
    }
}
