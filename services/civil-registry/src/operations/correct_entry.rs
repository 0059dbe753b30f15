//! CorrectEntry (đăng ký thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc).

use egov_auth::{Caller, Resource};
use egov_database::UnitOfWork;
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;

use super::duplicates::keep_corrected;
use super::entries::{Draft, enter, open_book, subjects};
use super::registration::{REGISTER, Signing};
use super::statistics::recount;
use super::{Asked, CivilRegistry, READ_ENTRIES};
use crate::domain::book::EventKind;
use crate::domain::correction::{self, Correction};
use crate::domain::entry::{Details, Entry, RegistrationKind};
use crate::domain::finding::Findings;
use crate::error::Error;
use crate::store::entries;

/// A correction as somebody wants to register it.
pub(crate) struct WantedCorrection {
    pub(crate) correction: Correction,
    pub(crate) signing: Signing,
}

/// What an entry says with its corrections applied.
pub(super) fn standing(entry: &Entry, corrected_by: &[Entry]) -> Details {
    let applied: Vec<Correction> = corrected_by
        .iter()
        .filter_map(|entry| match &entry.content.details {
            Details::Correction(correction) => Some((**correction).clone()),
            _ => None,
        })
        .collect();
    correction::standing(&entry.content.details, &applied)
}

impl CivilRegistry {
    /// What the rules of its registration say of an entry as it is to stand: what stood in nobody's way before must not now.
    fn judge_after(&self, entry: &Entry, after: &Details, today: Date) -> Result<Findings, Error> {
        let on = entry.registration_date;
        let rules = self.rules_of(on)?;
        let violations = match after {
            Details::Birth(birth) => birth.judge(rules, &self.law.calendar, on, today)?.findings.violations,
            Details::Death(death) => death.judge(rules, &self.law.calendar, on, today)?.findings.violations,
            // Of a marriage, a guardianship, a recognition and an adoption names and residences become otherwise; whether they could be was judged on
            // their day.
            Details::Marriage(_)
            | Details::Guardianship(_)
            | Details::Recognition(_)
            | Details::Adoption(_)
            | Details::Correction(_) => Vec::new(),
        };
        Ok(Findings {
            violations,
            // What was asked about the entry is settled with it.
            questions: Vec::new(),
        })
    }

    /// Enters what becomes otherwise of an entry in the book of changes of its commune.
    pub(crate) async fn correct_entry<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedCorrection,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let written = self
            .database
            .write(asked.write(caller, READ_ENTRIES), async |unit: &mut UnitOfWork<'_>| {
                let mut correction = wanted.correction;
                let entry = entries::get(unit.conn(), correction.corrected_entry_id, &scope)
                    .await?
                    .ok_or(Error::EntryNotFound)?;
                caller.require(REGISTER, &Resource::of_unit(entry.unit_id))?;
                if matches!(entry.content.details, Details::Correction(_)) {
                    return Err(Error::EntryNotCorrectable);
                }
                let today = unit.today();
                let registration_date = wanted.signing.registration_date.unwrap_or(today);
                // From here on everybody else who corrects this entry waits for the commit, and then judges by what stands then.
                let position = unit
                    .next_number(&entry.entry_id.to_string(), "civil.correction", "all")
                    .await?;
                correction.person_ids = subjects(&entry);
                correction.position = i32::try_from(position).map_err(Fault::internal)?;
                let corrected_by = entries::correcting(unit.conn(), entry.entry_id, &scope).await?;
                let stands = standing(&entry, &corrected_by);
                let after = correction::judge(
                    &entry,
                    &stands,
                    &correction,
                    &self.law.ethnic_groups,
                    (registration_date, today),
                )?;
                let findings = self.judge_after(&entry, &after, today)?;
                let rules = self.rules_of(registration_date)?;
                let settled = Self::settle(rules, entry.unit_id, false, &wanted.signing, findings)?;
                let commune = self.commune(entry.unit_id, registration_date)?;
                let book = open_book(unit, entry.unit_id, EventKind::Change, registration_date).await?;
                let persons = correction::told(&entry, &stands, &after, correction.kind, registration_date);
                let draft = Draft {
                    entry_id: unit.new_id(),
                    book,
                    // A correction has no term.
                    registration_kind: RegistrationKind::OnTime,
                    registration_date,
                    subject_id: entry.subject_id,
                    persons,
                    relations: Vec::new(),
                    content: wanted
                        .signing
                        .content(commune.name, settled, Details::Correction(Box::new(correction))),
                };
                let entered = enter(unit, caller, draft, "civil_entry_corrected").await?;
                let position = i32::try_from(position).map_err(Fault::internal)?;
                recount(unit, &entry, (&stands, &after), position).await?;
                keep_corrected(unit, &entry, &after).await?;
                Ok::<_, Error>(answer(&entered))
            })
            .await?;
        Ok(written.into_answer())
    }
}
