//! The province's partners: what is said to each, how, and what an answer means.
//!
//! * [`line`](mod@line): one HTTP line to a partner: allow-list, limits, dead line, circuit breaker, retries where they are safe.
//! * [`outcome`]: whether an act was done, was not done, was refused, or is not known.
//! * [`portal`] and [`portal_rest`] (Cổng dịch vụ công quốc gia, both generations of its contract), [`payment`] (nền tảng thanh toán), [`population`] (CSDL quốc gia về dân cư),
//!   [`civil_status`] (hộ tịch điện tử của Bộ Tư pháp): one trait and one client each.
//! * [`code_tables`]: code tables (bảng mã) between partners, dated, with what they do not know reported.
//! * [`case_mapping`]: a case of one-stop as the portal wants it.
//! * [`civil_books`] and [`civil_mapping`]: the books of the civil registry at the civil-status register, and an entry of them as it wants it.
//!
//! No database and no gRPC server: the service that uses this crate keeps the record of what was sent.

pub mod backoff;
pub mod breaker;
pub mod case_mapping;
pub mod civil_books;
pub mod civil_mapping;
pub mod civil_status;
pub mod code_tables;
mod lenient;
pub mod line;
pub mod outcome;
pub mod payment;
pub mod population;
pub mod portal;
pub mod portal_rest;
pub mod signing;
pub mod wire_time;
pub mod xml;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A partner of the province.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partner {
    /// Cổng dịch vụ công quốc gia.
    NationalPortal,
    /// Nền tảng thanh toán.
    PaymentPlatform,
    /// Cơ sở dữ liệu quốc gia về dân cư.
    PopulationRegister,
    /// Cơ sở dữ liệu hộ tịch điện tử (Bộ Tư pháp).
    CivilStatusRegister,
}

impl Partner {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::NationalPortal,
        Self::PaymentPlatform,
        Self::PopulationRegister,
        Self::CivilStatusRegister,
    ];

    /// The word for it in tables, files and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NationalPortal => "national-portal",
            Self::PaymentPlatform => "payment-platform",
            Self::PopulationRegister => "population-register",
            Self::CivilStatusRegister => "civil-status-register",
        }
    }
}

impl fmt::Display for Partner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such partner")]
pub struct UnknownPartner;

impl FromStr for Partner {
    type Err = UnknownPartner;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|partner| partner.name() == text)
            .ok_or(UnknownPartner)
    }
}
