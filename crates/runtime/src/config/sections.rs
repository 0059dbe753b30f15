//! The sections that every service has. The README of this crate lists every key.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Period, Secret};

/// `[server]`: where and how a service listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What a caller may ask for at once.
    pub limits: LimitsConfig,
    /// How dead connections are found and old ones ended.
    pub keepalive: KeepaliveConfig,
    /// How a stop goes.
    pub drain: DrainConfig,
    /// Encryption; off while no certificate is named.
    pub tls: TlsConfig,
    /// Which pages of other origins may call from a browser.
    pub cors: CorsConfig,
    /// Whether `/openapi.json` and the page `/docs` are served.
    pub docs: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            limits: LimitsConfig::default(),
            keepalive: KeepaliveConfig::default(),
            drain: DrainConfig::default(),
            tls: TlsConfig::default(),
            cors: CorsConfig::default(),
            docs: true,
        }
    }
}

/// `[server.cors]`: which pages of other origins may call from a browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Their origins, as in `https://dichvucong.nghean.gov.vn`. None is allowed if none is named, and there is no
    /// word for all.
    pub origins: Vec<String>,
}

/// `[server.limits]`: what a caller may ask for at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The largest request message, in bytes on the wire; for plain HTTP the largest body.
    pub message_bytes: usize,
    /// The largest set of request headers, in bytes.
    pub header_bytes: u32,
    /// Calls in progress at once in the whole process; more are refused with `OVERLOADED`.
    pub concurrent_calls: usize,
    /// Calls in progress at once on one HTTP/2 connection; more wait at the client.
    pub concurrent_streams: u32,
    /// Open connections; more wait in the system's queue.
    pub connections: usize,
    /// How long a call may take whose caller sets no deadline.
    pub deadline: Period,
    /// The longest deadline that a caller may set; a longer one is cut.
    pub deadline_max: Period,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            message_bytes: 4 * 1024 * 1024,
            header_bytes: 16 * 1024,
            concurrent_calls: 512,
            concurrent_streams: 128,
            connections: 4096,
            deadline: Period::seconds(30),
            deadline_max: Period::seconds(120),
        }
    }
}

/// `[server.keepalive]`: how dead connections are found and old ones ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveConfig {
    /// Time between two HTTP/2 pings; zero sends none.
    pub interval: Period,
    /// How long an answer to a ping may take before the connection is closed.
    pub timeout: Period,
    /// How long a new connection may take to encrypt and to send its first request.
    pub handshake: Period,
    /// The age at which a connection is asked to end, so that callers spread over new replicas; zero never asks.
    pub connection_age: Period,
    /// How long a connection may be without a call before it is asked to end; zero never asks.
    pub idle: Period,
    /// How long an answer may wait without the client taking anything of it, before its connection is closed; zero waits for ever.
    pub unread: Period,
}

impl Default for KeepaliveConfig {
    fn default() -> Self {
        Self {
            interval: Period::seconds(30),
            timeout: Period::seconds(10),
            handshake: Period::seconds(10),
            connection_age: Period::ZERO,
            idle: Period::seconds(300),
            unread: Period::seconds(120),
        }
    }
}

/// `[server.drain]`: how a stop goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainConfig {
    /// Time between "not serving" in the health service and the end of listening, in which a load balancer turns away.
    pub delay: Period,
    /// How long open streams may go on before they are told to end; at most half of `grace`.
    pub streams: Period,
    /// How long calls in progress may go on before they are aborted.
    pub grace: Period,
    /// How long background jobs may take to end, after the calls.
    pub jobs: Period,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            delay: Period::ZERO,
            streams: Period::seconds(5),
            grace: Period::seconds(30),
            jobs: Period::seconds(10),
        }
    }
}

/// `[server.tls]`: encryption; off while no certificate is named.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, PEM, the server's own first.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The authorities whose client certificates are accepted, PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificates,
    /// Time between two looks at the files; a change is served to new connections. Zero looks at SIGHUP only.
    pub reload: Period,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            client_certificates: ClientCertificates::Off,
            reload: Period::seconds(30),
        }
    }
}

/// Whether clients show a certificate (mTLS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    Off,
    /// They may; a certificate of another authority is refused.
    Optional,
    /// They must.
    Required,
}

/// `[telemetry]`: logs, traces and metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where this runs, as traces and metrics show it (`production`, `trial`); empty says nothing.
    pub environment: String,
    /// The share of traces begun here that are recorded, from 0 to 1. A caller's decision is kept.
    pub trace_ratio: f64,
    /// The log.
    pub log: LogConfig,
    /// Where traces and metrics are sent.
    pub otlp: OtlpConfig,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            environment: String::new(),
            trace_ratio: 1.0,
            log: LogConfig::default(),
            otlp: OtlpConfig::default(),
        }
    }
}

/// `[telemetry.log]`: what is written to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Levels by target, as in `info,egov_database=debug`.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Json,
        }
    }
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// Time, level and `key=value`, for a person at a terminal.
    Text,
}

/// `[telemetry.otlp]`: where traces and metrics are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// The collector, `http://host:4317` or `https://…`; empty sends nothing.
    pub endpoint: String,
    /// The authority of the collector's certificate, PEM; without it an `https` endpoint is refused.
    pub ca: Option<PathBuf>,
    /// The value of the header `authorization`, if the collector wants one.
    pub authorization: Secret,
    /// Time between two exports of metrics.
    pub interval: Period,
    /// How long one export may take, and the last one at a stop.
    pub timeout: Period,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            ca: None,
            authorization: Secret::default(),
            interval: Period::seconds(60),
            timeout: Period::seconds(3),
        }
    }
}
