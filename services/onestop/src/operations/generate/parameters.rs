//! What the generated cases are drawn from: `deploy/packs/population/parameters.toml`.

use std::collections::BTreeMap;

use egov_population::{Arrivals, Rhythm};
use serde::Deserialize;

use super::GenerateError;

/// Smallest and largest value of something drawn evenly.
pub(super) type Span = [f64; 2];

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    pub(super) status: String,
    pub(super) source: String,
    months: [f64; 12],
    channels: BTreeMap<String, Rhythm>,
    pub(super) units: Units,
    pub(super) procedures: Procedures,
    pub(super) people: People,
    pub(super) life: Life,
}

/// Which unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Units {
    pub(super) commune: f64,
    pub(super) ward: f64,
    pub(super) department: f64,
    pub(super) commune_share: f64,
    pub(super) elsewhere: f64,
}

/// Which procedure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Procedures {
    pub(super) other: f64,
    pub(super) by_code: BTreeMap<String, f64>,
}

/// Who files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct People {
    pub(super) born: (i16, i16),
    pub(super) per_hundred_cases: u64,
    pub(super) organisations: f64,
    pub(super) with_email: f64,
    pub(super) another_submits: f64,
}

/// How cases go. Chances, except where the name says hours or days, and where in its period a case is decided.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Life {
    pub(super) online_wait_hours: Span,
    pub(super) rejected: f64,
    pub(super) supplement_before: f64,
    pub(super) withdrawn_before: f64,
    pub(super) assign_hours: Span,
    pub(super) supplement_during: f64,
    pub(super) second_supplement: f64,
    pub(super) never_supplied: f64,
    pub(super) withdrawn_during: f64,
    pub(super) stopped: f64,
    pub(super) paid_never: f64,
    pub(super) supply_days: Span,
    pub(super) pay_days: Span,
    pub(super) in_time: Span,
    pub(super) late: f64,
    pub(super) late_by: Span,
    pub(super) fetched_days: Span,
    pub(super) fetched_by_another: f64,
    pub(super) rated: f64,
}

impl Parameters {
    /// Reads the file. Chances are between 0 and 1, and spans run forwards.
    pub(super) fn from_toml(text: &str) -> Result<Self, GenerateError> {
        let parameters: Self = toml::from_str(text).map_err(|error| GenerateError::Parameters(error.to_string()))?;
        let life = &parameters.life;
        let chances = [
            life.rejected,
            life.supplement_before,
            life.withdrawn_before,
            life.supplement_during,
            life.second_supplement,
            life.never_supplied,
            life.withdrawn_during,
            life.stopped,
            life.paid_never,
            life.late,
            life.fetched_by_another,
            life.rated,
            parameters.units.commune_share,
            parameters.units.elsewhere,
            parameters.people.organisations,
            parameters.people.with_email,
            parameters.people.another_submits,
        ];
        if chances.iter().any(|chance| !(0.0..=1.0).contains(chance)) {
            return Err(GenerateError::Parameters("a chance is not between 0 and 1".to_owned()));
        }
        let spans = [
            life.online_wait_hours,
            life.assign_hours,
            life.supply_days,
            life.pay_days,
            life.in_time,
            life.late_by,
            life.fetched_days,
        ];
        if spans.iter().any(|[least, most]| !(*least > 0.0 && least < most)) {
            return Err(GenerateError::Parameters(
                "a span does not run from a positive number to a larger one".to_owned(),
            ));
        }
        if parameters.people.per_hundred_cases == 0 {
            return Err(GenerateError::Parameters("there is nobody to file".to_owned()));
        }
        Ok(parameters)
    }

    /// When they come.
    pub(super) fn arrivals(&self) -> Result<Arrivals, GenerateError> {
        Ok(Arrivals::new(self.months, self.channels.clone())?)
    }
}
