//! People as they might live in Nghệ An, and when they come to an office: for test data, drawn from a seed.
//!
//! * [`NameLists`]: surnames, middle names and given names with their shares, by sex and year of birth, read from a pack
//!   (`deploy/packs/population`).
//! * [`Population`]: people of a seed. The same seed and number give the same person, whoever asks and in which order;
//!   no two people of a population share a personal number, a phone number or an account.
//! * [`Arrivals`]: how many come on a day, by which way, and at which time of the day.
//! * [`apportion`]: a whole number shared out by weights, to the last one.
//!
//! Nothing here is a statement about real people: a name, a personal number or a phone number of a real person may come
//! out by chance, as it may of any list of valid ones.

mod arrivals;
mod draw;
mod names;
mod people;

pub use arrivals::{Arrivals, Rhythm};
pub use draw::{Weighted, apportion, source};
pub use names::{NameLists, NamePack};
pub use people::{Person, Population};
/// The sources of chance here and their trait, so that callers draw with the same version.
pub use rand::{Rng, RngExt, SeedableRng};
pub use rand_pcg::Pcg64Mcg;

/// What is wrong with a pack.
#[derive(Debug, thiserror::Error)]
pub enum PopulationError {
    /// A file is not CSV of the expected columns.
    #[error("{file}: {source}")]
    Table {
        /// The file.
        file: &'static str,
        /// What is wrong.
        source: csv::Error,
    },
    /// A list is empty, or a share is no positive number.
    #[error("{what}: nothing can be drawn from it: it is empty, or a share is negative or not a number")]
    NothingToDraw {
        /// The list.
        what: String,
    },
    /// People of a year and sex would have no name.
    #[error("{list}: no entry for {sex} born in {year}")]
    Uncovered {
        /// The list.
        list: &'static str,
        /// male or female.
        sex: &'static str,
        /// The year of birth.
        year: i16,
    },
    /// More people than there are personal numbers.
    #[error("a population has at most {} people", people::LARGEST)]
    TooLarge,
}
