//! CorrectEntry (đăng ký thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc).

use egov_auth::{Caller, Resource, RowScope};
use egov_database::UnitOfWork;
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book, subjects};
use super::register_birth::settle;
use super::statistics::recount;
use super::{Asked, CivilRegistry, READ_ENTRIES};
use crate::domain::book::EventKind;
use crate::domain::correction::{self, Correction};
use crate::domain::entry::{Content, Details, Entry, RegistrationKind};
use crate::domain::finding::{Decision, Findings};
use crate::domain::rules::deciding::{self, Deciding};
use crate::domain::rules::pack::Level;
use crate::error::Error;
use crate::store::{corrections, entries};

const REGISTER: &str = "civil_registry.entries.register";

/// A correction as somebody wants to register it.
pub(crate) struct WantedCorrection {
    /// Today if it is not said.
    pub(crate) registration_date: Option<Date>,
    pub(crate) correction: Correction,
    pub(crate) signer_name: String,
    pub(crate) signer_title: String,
    /// Empty if the title signs by itself.
    pub(crate) signer_authorisation: String,
    pub(crate) performer_name: String,
    pub(crate) note: String,
    pub(crate) decisions: Vec<Decision>,
}

/// The entries that correct an entry, in their order.
pub(super) async fn correcting(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<Entry>, Error> {
    let mut found = Vec::new();
    for id in corrections::of_entry(&mut *connection, entry_id, scope).await? {
        found.extend(entries::get(&mut *connection, id, scope).await?);
    }
    Ok(found)
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
        let rules = self.law.rules(on).ok_or(Error::RulesNotKnown(on))?;
        let violations = match after {
            Details::Birth(birth) => birth.judge(rules, &self.law.calendar, on, today)?.findings.violations,
            Details::Death(death) => death.judge(rules, &self.law.calendar, on, today)?.findings.violations,
            // Of a marriage names and residences become otherwise; whether the two could marry was judged on its day.
            Details::Marriage(_) | Details::Correction(_) => Vec::new(),
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
                let registration_date = wanted.registration_date.unwrap_or(today);
                // From here on everybody else who corrects this entry waits for the commit, and then judges by what stands then.
                let position = unit
                    .next_number(&entry.entry_id.to_string(), "civil.correction", "all")
                    .await?;
                correction.person_ids = subjects(&entry);
                correction.position = i32::try_from(position).map_err(Fault::internal)?;
                let corrected_by = correcting(unit.conn(), entry.entry_id, &scope).await?;
                let stands = standing(&entry, &corrected_by);
                let after = correction::judge(
                    &entry,
                    &stands,
                    &correction,
                    &self.law.ethnic_groups,
                    (registration_date, today),
                )?;
                let mut findings = self.judge_after(&entry, &after, today)?;
                let rules = self
                    .law
                    .rules(registration_date)
                    .ok_or(Error::RulesNotKnown(registration_date))?;
                let here = [entry.unit_id];
                let deciding = Deciding {
                    level: Level::Commune,
                    unit_id: entry.unit_id,
                    of_residence: &here,
                    is_foreign: false,
                    title: &wanted.signer_title,
                    authorisation: &wanted.signer_authorisation,
                };
                findings.join(deciding::judge(rules, &deciding));
                let settled = settle(&findings, &wanted.decisions)?;
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
                    content: Content {
                        registration_place: commune.name,
                        signer_name: wanted.signer_name,
                        signer_title: wanted.signer_title,
                        signer_authorisation: wanted.signer_authorisation,
                        performer_name: wanted.performer_name,
                        note: wanted.note,
                        settled,
                        details: Details::Correction(Box::new(correction)),
                    },
                };
                let entered = enter(unit, caller, draft, "civil_entry_corrected").await?;
                let position = i32::try_from(position).map_err(Fault::internal)?;
                recount(unit, &entry, (&stands, &after), position).await?;
                Ok::<_, Error>(answer(&entered))
            })
            .await?;
        Ok(written.into_answer())
    }
}
