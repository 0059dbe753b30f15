//! Configuration: one typed struct for each service, three layers, no key that nobody reads.
//!
//! Precedence, the later wins: the defaults of the struct, the TOML file, the environment. An environment variable is
//! named `EGOV_<SERVICE>__<SECTION>__<KEY>`, for example `EGOV_ONESTOP__SERVER__LISTEN`. Every text can be given as a
//! file instead, by the same key with `_file` behind it (`password_file = "/run/secrets/db"`); giving both is an
//! error. A key that the struct does not have is an error that names the key and where it stands.
//!
//! The struct of a service derives `Serialize` and `Deserialize` with `#[serde(default, deny_unknown_fields)]`,
//! implements `Default`, and holds the sections of this crate beside its own:
//!
//! ```
//! use egov_runtime::config::{self, Secret, ServerConfig, TelemetryConfig};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct OneStopConfig {
//!     server: ServerConfig,
//!     telemetry: TelemetryConfig,
//!     national_portal_key: Secret,
//! }
//!
//! let config: OneStopConfig = config::load("onestop", None)?;
//! assert!(config.national_portal_key.is_empty(), "a secret has no default");
//! # Ok::<(), config::ConfigError>(())
//! ```

mod budget;
mod layers;
mod period;
mod secret;
mod sections;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use budget::{BudgetError, ConnectionBudget};
pub use period::Period;
pub use secret::Secret;
pub use sections::{
    ClientCertificates, CorsConfig, DrainConfig, KeepaliveConfig, LimitsConfig, LogConfig, LogFormat, OtlpConfig,
    ServerConfig, TelemetryConfig, TlsConfig,
};

/// Why a service has no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file named by a `_file` key cannot be read.
    #[error("cannot read {path}, which {key} names: {source}")]
    UnreadableValue {
        /// The key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A value is given directly and by its `_file` twin.
    #[error("{key} and {key}_file are both given: keep one of them")]
    GivenTwice {
        /// The key without `_file`.
        key: String,
    },
    /// A key is unknown, or a value has the wrong type or an impossible value. The text names key and place.
    #[error("invalid configuration: {0}")]
    Invalid(#[from] Box<figment::Error>),
}

/// Reads the configuration of `service` from its defaults, the TOML file `path` and the process's environment.
///
/// `service` is the name in lower case (`civil-registry`); in the names of variables it is in upper case with
/// underscores (`EGOV_CIVIL_REGISTRY__…`).
///
/// # Errors
/// See [`ConfigError`]; each names the key and the file or variable.
pub fn load<T>(service: &str, path: Option<&Path>) -> Result<T, ConfigError>
where
    T: Default + Serialize + DeserializeOwned,
{
    // Names that are not UTF-8 cannot be ours; a value that is not is reported by its key like any other wrong one.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    load_from(service, path, environment)
}

/// As [`load`], with the environment passed in.
///
/// # Errors
/// See [`load`].
pub fn load_from<T>(
    service: &str,
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError>
where
    T: Default + Serialize + DeserializeOwned,
{
    layers::load(service, path, environment)
}
