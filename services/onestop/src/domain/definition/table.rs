//! Bảng quyết định: eligibility and fees, a row at a time, each with its article and the days on which it is in force.

use egov_calendar::vietnam_time;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::case::CaseFee;
use crate::domain::deadline::basis_of;
use crate::domain::pack::{Channel, Fact, Fee, Procedure};
use crate::domain::party::PartyKind;

/// What a case is, as far as decision tables ask.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Kênh nộp.
    pub channel: Channel,
    /// Loại đối tượng of the owner.
    pub applicant: PartyKind,
    /// All conditions that hold.
    pub conditions: &'a [String],
    /// The day on which it is asked.
    pub on: Date,
}

impl<'a> Asked<'a> {
    /// A case as it is asked about at an instant.
    pub fn at(channel: Channel, applicant: PartyKind, conditions: &'a [String], at: Timestamp) -> Self {
        Self {
            channel,
            applicant,
            conditions,
            on: vietnam_time(at).date(),
        }
    }
}

/// The left side of a row: it applies where all of this holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowWhen {
    /// On one of these channels; empty: on any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// For owners of this kind; absent: for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applicant: Option<PartyKind>,
    /// All of these conditions hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<String>,
    /// None of these conditions holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<String>,
}

impl RowWhen {
    /// Whether it applies.
    pub fn holds(&self, asked: &Asked<'_>) -> bool {
        (self.channels.is_empty() || self.channels.contains(&asked.channel))
            && self.applicant.is_none_or(|kind| kind == asked.applicant)
            && self.all.iter().all(|code| asked.conditions.contains(code))
            && !self.none.iter().any(|code| asked.conditions.contains(code))
    }

    /// Whether it applies wherever the other does.
    pub fn covers(&self, other: &Self) -> bool {
        let channels = self.channels.is_empty()
            || (!other.channels.is_empty() && other.channels.iter().all(|channel| self.channels.contains(channel)));
        channels
            && (self.applicant.is_none() || self.applicant == other.applicant)
            && self.all.iter().all(|code| other.all.contains(code))
            && self.none.iter().all(|code| other.none.contains(code))
    }
}

/// Điều kiện thực hiện: a row that says whether a case may be filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EligibilityRow {
    /// Our own code, unique in the table.
    pub code: String,
    /// When it applies.
    #[serde(default)]
    pub when: RowWhen,
    /// Whether it may be filed then.
    pub eligible: bool,
    /// What the applicant is told, in Vietnamese.
    pub text: String,
    /// Điều, khoản with the number of the document, e.g. `Điều 16 Luật Hộ tịch 60/2014/QH13`.
    pub article: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<Date>,
    /// How it is established.
    pub fact: Fact,
}

/// Mức thu: a row that says how much a fee is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeRow {
    /// Our own code, unique in the table.
    pub code: String,
    /// Code of the fee of a channel whose amount it says.
    pub fee: String,
    /// When it applies.
    #[serde(default)]
    pub when: RowWhen,
    /// The amount in đồng; 0 is free of charge (miễn). Lacking while the fact is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_vnd: Option<i64>,
    /// Điều, khoản with the number of the document.
    pub article: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<Date>,
    /// How it is established.
    pub fact: Fact,
}

/// Whether a row with these days is in force on a day.
fn in_force(from: Date, to: Option<Date>, on: Date) -> bool {
    from <= on && to.is_none_or(|end| on < end)
}

impl Procedure {
    /// The row that decides whether a case may be filed; none: nothing speaks against it.
    pub fn eligibility_for(&self, asked: &Asked<'_>) -> Option<&EligibilityRow> {
        self.eligibility
            .iter()
            .find(|row| in_force(row.effective_from, row.effective_to, asked.on) && row.when.holds(asked))
    }

    /// The row that says how much a fee of the case is; none: the amount of its channel stands.
    pub fn fee_row_for(&self, fee: &str, asked: &Asked<'_>) -> Option<&FeeRow> {
        self.fee_rows.iter().find(|row| {
            row.fee == fee && in_force(row.effective_from, row.effective_to, asked.on) && row.when.holds(asked)
        })
    }

    /// Phí, lệ phí of a case on a day: those of its channel, with the amounts of the table.
    pub fn fees_on(&self, asked: &Asked<'_>) -> Vec<CaseFee> {
        self.fees_for(asked.channel, asked.conditions)
            .into_iter()
            .map(|fee| self.fee_on(fee, asked))
            .collect()
    }

    fn fee_on(&self, fee: &Fee, asked: &Asked<'_>) -> CaseFee {
        let kind = fee.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default();
        match self.fee_row_for(&fee.code, asked) {
            None => CaseFee {
                name: fee.name.clone(),
                kind,
                amount_vnd: fee.amount_vnd,
                basis: basis_of(&fee.fact),
            },
            Some(row) => {
                let mut basis = basis_of(&row.fact);
                basis.basis = format!("{}; {}", row.article, basis.basis);
                CaseFee {
                    name: fee.name.clone(),
                    kind,
                    amount_vnd: row.amount_vnd,
                    basis,
                }
            }
        }
    }
}
