//! What tests of the platform need: a database of their own, a clock that stands still, tokens of a test issuer.
//!
//! ```no_run
//! # static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
//! # async fn example() {
//! use egov_testkit::{Tokens, clock, database};
//!
//! let database = database("onestop", &MIGRATOR).await; // empty, migrated, gone at the end of the test
//! let clock = clock(); // Monday, 23 November 2026, eight o'clock in Vietnam
//! let tokens = Tokens::new(); // an issuer whose keys a verifier takes from `tokens.issuer()`
//! # let _ = (database.app_url.as_str(), clock, tokens);
//! # }
//! ```
//!
//! # Databases
//!
//! The first test process that asks starts one throw-away PostgreSQL for all (`target/egov-test/<uid>`); it stops when
//! the last test process has ended, however it ends. `cargo egov test` may start one beforehand and say so in
//! [`SERVER_VARIABLE`].
//!
//! A service's migrations run once into a template, kept under a name that holds their hash. Each test gets a clone of
//! it, which takes some tens of milliseconds, and which is dropped with the [`TestDatabase`]. What a crashed test left
//! is swept by the next process. Test binaries run side by side, each with many threads.
//!
//! # What is the same everywhere
//!
//! [`clock`] always starts at the same instant and [`ids`] always gives the same sequence, so a failure can be
//! repeated.

mod database;
mod error;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "own-postgres")]
mod own;
#[cfg(feature = "s3")]
pub mod s3;
mod server;
mod template;
mod tokens;
mod url;

use jiff::Timestamp;

pub use database::{TestDatabase, database, prepared_database, try_database};
pub use egov_clock::{Clock, Ids, ManualClock, SeededIds};
pub use error::TestkitError;
#[cfg(feature = "own-postgres")]
pub use own::OwnServer;
pub use server::SERVER_VARIABLE;
pub use tokens::{TOKEN_AUDIENCE, TOKEN_ISSUER, TOKEN_LIFETIME, Tokens};

/// When tests take place, unless they say otherwise: 2026-11-23T08:00:00+07:00, a Monday, the day before a holiday.
pub const START: Timestamp = Timestamp::constant(1_795_395_600, 0);

/// A clock that stands at [`START`] until the test moves it.
pub fn clock() -> ManualClock {
    ManualClock::at(START)
}

/// Ids that are the same in every run, made at [`START`]. Two calls give the same sequence: a test makes one source and
/// hands it around.
pub fn ids() -> SeededIds {
    SeededIds::with_clock(2026, clock().shared())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_begin_on_a_monday_at_eight_in_vietnam() {
        let zoned = clock().now().to_zoned(egov_clock::vietnam());
        assert_eq!(zoned.to_string(), "2026-11-23T08:00:00+07:00[Asia/Ho_Chi_Minh]");
        assert_eq!(zoned.weekday(), jiff::civil::Weekday::Monday);
    }

    #[test]
    fn ids_are_the_same_in_every_run() {
        assert_eq!(ids().uuid(), ids().uuid());
        let ids = ids();
        assert_ne!(ids.uuid(), ids.uuid());
    }
}
