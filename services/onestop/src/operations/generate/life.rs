//! How a case goes: the acts of the service on it, one after the other, at times at which they are plausible.
//!
//! Every act is judged by the rule that judges it behind the port (`operations/*`), so that what is generated is what the
//! service would have accepted. Nothing happens after the end of the span: what is open then stays open.

use std::collections::BTreeMap;

use egov_calendar::{vietnam_instant, vietnam_time};
use egov_codes::CaseCode;
use egov_database::{PastEvent, PastLeaves};
use egov_directory::UnitKind;
use egov_population::{Pcg64Mcg, Person, Rng as _, RngExt as _};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use uuid::{Builder, Uuid};

use super::hours::{office_after, office_between};
use super::parameters::Span;
use super::plan::{Offer, Office, owners};
use super::truth::{Known, Truth};
use super::{GenerateError, Maker, Role};
use crate::domain::case::{Case, CaseResult, FiledComponent, SupplementItem};
use crate::domain::definition::Done;
use crate::domain::forecast::{DueNext, NoticeKind, due_next};
use crate::domain::listing::Versioned;
use crate::domain::lookup;
use crate::domain::pack::Channel;
use crate::domain::party::{Party, PartyKind};
use crate::domain::search::tokens_of;
use crate::domain::statistics::{Key, Snapshot, When, changes};
use crate::domain::transitions::State;
use crate::domain::verify::KIND;
use crate::domain::work::follow::{Progress, Stand, follow};
use crate::domain::work::task::Task;
use crate::error::Error;
use crate::operations::act::{Act, Actor, Facts, Recorded, Version, deadline_changed, entry, event_of, perform};
use crate::operations::submit_case::{self, Filing, Submission};
use crate::operations::{
    accept_case, approve_case, assign_case, rate_case, record_step, reject_case, request_supplement, return_result,
    stop_case, supply_components, withdraw_case,
};
use crate::store::bulk::CaseRows;

/// The least time between two acts on a case.
const BREATH: SignedDuration = SignedDuration::from_secs(40);

/// After so long without what was asked for, some cases are stopped.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Somebody at an office: who files what, when.
pub(super) struct Visit<'a> {
    pub(super) offer: &'a Offer,
    pub(super) office: &'a Office,
    /// Where it is received, if elsewhere.
    pub(super) receiving: &'a Office,
    pub(super) at: DateTime,
    /// The case's number of the day at the agency.
    pub(super) number: u32,
    pub(super) digits: u8,
    pub(super) rng: Pcg64Mcg,
}

/// What was made and is to be copied.
#[derive(Default)]
pub(super) struct Made {
    pub(super) rows: CaseRows,
    pub(super) leaves: PastLeaves,
    pub(super) events: Vec<PastEvent>,
    pub(super) truth: Truth,
    /// What the acts changed in the figures, added up.
    pub(super) counted: BTreeMap<Key, i64>,
}

impl Made {
    /// The figures as rows.
    pub(super) fn close(&mut self) {
        for (key, amount) in std::mem::take(&mut self.counted)
            .into_iter()
            .filter(|(_, amount)| *amount != 0)
        {
            self.rows.push_counted(&key, amount);
        }
    }
}

/// A case on its way.
struct Life<'a> {
    maker: &'a Maker,
    office: &'a Office,
    receiving: &'a Office,
    version: &'a Versioned,
    rng: Pcg64Mcg,
    case: Case,
    last: Timestamp,
    decided: Option<Timestamp>,
    /// Việc of the case, by number.
    tasks: Vec<Task>,
    made: &'a mut Made,
}

/// Whether the case goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    /// It has ended, or the rest lies after the end of the span.
    NoFurther,
}

/// Hours as a duration, to the microsecond.
fn hours(count: f64) -> SignedDuration {
    SignedDuration::from_micros((count * 3_600_000_000.0) as i64)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A UUID of version 7 for an instant. It repeats with the seed, as the case does.
pub(super) fn id_at(rng: &mut Pcg64Mcg, at: Timestamp) -> Uuid {
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Makes one case from filing to where it stands at the end of the span.
pub(super) fn live(maker: &Maker, visit: Visit<'_>, made: &mut Made) -> Result<(), GenerateError> {
    let Visit {
        offer,
        office,
        receiving,
        at,
        number,
        digits,
        mut rng,
    } = visit;
    let now = vietnam_instant(at).map_err(|_| GenerateError::NothingToFile)?;
    let owner = maker.population.person(rng.random_range(0..maker.population.size()))?;
    let (mut submission, surname) = submission(maker, offer, office, receiving, &owner, &mut rng)?;
    let conditions = submit_case::judge(&offer.version.procedure, Some(office.level), &mut submission, now)?;
    let case_id = id_at(&mut rng, now);
    // The secret is a secret also here: it does not follow from the seed.
    let secret = lookup::secret(|bytes| maker.ids.random_bytes(bytes));
    let filing = Filing {
        case_id,
        now,
        responsible_unit_id: office.unit_id,
        receiving_unit_id: receiving.unit_id,
        support_unit_id: None,
        owner_id: (offer.channel == Channel::Online).then_some(owner.account),
        code_provisional: office.provisional,
        lookup_secret: maker.keyring.seal(
            egov_keyring::Purpose::LookupSecrets,
            secret.as_bytes(),
            case_id.as_bytes(),
        ),
    };
    let case_code = CaseCode::issue(&office.agency, at.date(), number, digits).map_err(|_| {
        GenerateError::DailyNumbersExhausted {
            unit: office.code.clone(),
            day: at.date(),
        }
    })?;
    let case = submit_case::new_case(&offer.version, submission, conditions, case_code.to_string(), filing);

    let mut life = Life {
        maker,
        office,
        receiving,
        version: &offer.version,
        rng,
        last: now,
        decided: None,
        tasks: Vec::new(),
        made,
        case,
    };
    let actor = life.filer();
    let recorded = submit_case::recorded_of(&life.case);
    life.follow(submit_case::OPERATION, &actor);
    life.keep(None, &actor, submit_case::OPERATION, submit_case::EVENT, recorded)?;
    life.go()?;

    let Life {
        case,
        last,
        decided,
        made,
        tasks,
        version,
        ..
    } = life;
    made.rows.push(&case, last)?;
    for task in &tasks {
        made.rows.push_task(task);
    }
    if let Some(next) = next_at_the_end(maker, version, &case) {
        made.rows.push_due(&next);
    }
    made.truth.count(
        &case,
        &Known {
            unit_code: &office.code,
            surname: surname.as_deref(),
            filed: at,
            decided,
            as_of: maker.as_of,
            words: tokens_of(&case).len() as u64,
        },
    );
    Ok(())
}

/// What is due next of a case at the end of the span; of notices only those that come after it.
fn next_at_the_end(maker: &Maker, version: &Versioned, case: &Case) -> Option<DueNext> {
    let law = &maker.law;
    let rules = law.deadline_rules_on(vietnam_time(maker.as_of).date());
    let mut next = due_next(
        case,
        &version.procedure,
        &law.calendar,
        rules.map(|rules| &rules.reminder),
    )?;
    if next.notice.is_some_and(|(_, at)| at < maker.as_of) {
        next.notice = (next.due_time >= maker.as_of).then_some((NoticeKind::Overdue, next.due_time));
    }
    Some(next)
}

/// What is filed, and the surname of the owner if it is a person.
fn submission(
    maker: &Maker,
    offer: &Offer,
    office: &Office,
    receiving: &Office,
    owner: &Person,
    rng: &mut Pcg64Mcg,
) -> Result<(Submission, Option<String>), GenerateError> {
    let procedure = &offer.version.procedure;
    let people = &maker.parameters.people;
    let (by_person, by_organisation) = owners(&procedure.applicants);
    let organisation = by_organisation && (!by_person || rng.random_bool(people.organisations));
    let address = |person: &Person| {
        let (house, hamlet) = person.house;
        let hamlets = if office.kind == UnitKind::Ward {
            "khối"
        } else {
            "xóm"
        };
        format!("Số {house}, {hamlets} {hamlet}, {}", office.name)
    };
    let mut person = |person: &Person| Party {
        kind: PartyKind::Citizen,
        full_name: person.full_name.clone(),
        personal_number: person.personal_number.reveal().to_owned(),
        organisation_number: String::new(),
        phone: person.phone.international(),
        email: if rng.random_bool(people.with_email) {
            person.email.clone()
        } else {
            String::new()
        },
        address: address(person),
        date_of_birth: None,
    };
    let natural = person(owner);
    let (party, surname) = if organisation {
        let party = Party {
            kind: PartyKind::Organisation,
            full_name: format!("Công ty TNHH {}", owner.full_name),
            personal_number: String::new(),
            // Ten digits that nobody checks: the number of the person, who is its representative.
            organisation_number: format!("29{:08}", owner.index),
            ..natural.clone()
        };
        (party, None)
    } else {
        (natural.clone(), Some(owner.surname.clone()))
    };
    let submitter = if organisation {
        Some(natural)
    } else if offer.channel != Channel::Online && rng.random_bool(people.another_submits) {
        let another = maker.population.person(rng.random_range(0..maker.population.size()))?;
        Some(Party {
            kind: PartyKind::Citizen,
            full_name: another.full_name.clone(),
            personal_number: another.personal_number.reveal().to_owned(),
            organisation_number: String::new(),
            phone: another.phone.international(),
            email: String::new(),
            address: address(&another),
            date_of_birth: None,
        })
    } else {
        None
    };
    #[expect(clippy::indexing_slicing, reason = "the plan keeps no offer without a variant")]
    let variant = &offer.variants[rng.random_range(0..offer.variants.len())];
    let submission = Submission {
        procedure_code: procedure.code.as_str().to_owned(),
        competent_unit_code: office.code.clone(),
        receiving_unit_code: (receiving.unit_id != office.unit_id).then(|| receiving.code.clone()),
        support_unit_code: None,
        channel: offer.channel,
        owner: party,
        submitter,
        components: variant.components.clone(),
        conditions: variant.stated.clone(),
        subject: procedure.name.clone(),
    };
    Ok((submission, surname))
}

impl Life<'_> {
    /// An evenly drawn number of hours.
    fn some_hours(&mut self, [least, most]: Span) -> SignedDuration {
        hours(self.rng.random_range(least..most))
    }

    fn some_days(&mut self, [least, most]: Span) -> SignedDuration {
        hours(self.rng.random_range(least..most) * 24.0)
    }

    fn chance(&mut self, chance: f64) -> bool {
        self.rng.random_bool(chance)
    }

    /// An office instant after so much office time.
    fn office(&self, at: Timestamp, time: SignedDuration) -> Result<Timestamp, GenerateError> {
        Ok(office_after(&self.maker.law.calendar, at, time)?)
    }

    /// An official of the competent unit.
    fn staff(&self, role: Role) -> Actor {
        let unit = match role {
            Role::Clerk => self.receiving.unit_id,
            Role::Officer | Role::Leader => self.office.unit_id,
        };
        Actor {
            id: self.maker.official(unit, role),
            kind: "staff",
            on_behalf_of: None,
        }
    }

    /// Who files, and does everything else for the citizen: the portal, or the clerk.
    fn filer(&self) -> Actor {
        match self.case.owner_id {
            Some(citizen) => Actor {
                id: self.maker.portal,
                kind: "system",
                on_behalf_of: Some(citizen),
            },
            None => self.staff(Role::Clerk),
        }
    }

    /// Keeps the version that the case has now.
    fn keep(
        &mut self,
        before: Option<&Case>,
        actor: &Actor,
        operation: &str,
        event: &'static str,
        recorded: Recorded,
    ) -> Result<(), GenerateError> {
        let snapshot = before.map(Snapshot::of);
        for (key, amount) in changes(snapshot.as_ref(), &Snapshot::of(&self.case), When::now(self.last)) {
            *self.made.counted.entry(key).or_default() += amount;
        }
        let entry = entry(actor, before, &self.case, operation, recorded, self.last);
        self.made.rows.push_entry(self.case.case_id, &entry)?;
        self.made.truth.count_act(operation);
        self.made.events.push(PastEvent {
            event_id: id_at(&mut self.rng, self.last),
            time: self.last,
            event: event_of(&self.case, event),
        });
        let leaf_id = id_at(&mut self.rng, self.last);
        let mut salt = [0; 32];
        // A salt that could be worked out would hide nothing.
        self.maker.ids.random_bytes(&mut salt);
        let canonical = self.case.canonical()?;
        self.made.leaves.push(
            self.maker.epoch,
            leaf_id,
            KIND,
            self.case.case_id,
            self.case.version,
            &canonical,
            salt,
            self.last,
        );
        Ok(())
    }

    /// Lets the tasks follow, by the steps of the version that judged the act.
    fn follow(&mut self, operation: &str, actor: &Actor) {
        let progress = Progress {
            steps: &self.version.procedure.steps,
            operation,
            stand: Stand::from(&self.case),
            actor: actor.id,
            now: self.last,
        };
        let (rng, last) = (&mut self.rng, self.last);
        follow(&mut self.tasks, &progress, || id_at(rng, last));
    }

    /// Does an act at that time or as soon after the last one as is possible; not after the end of the span.
    fn act(
        &mut self,
        at: Timestamp,
        act: &Act,
        actor: Actor,
        judge: impl FnOnce(&mut Case, &Facts<'_>) -> Result<Recorded, Error>,
    ) -> Result<Goes, GenerateError> {
        // The database keeps microseconds, and a leaf commits to what it keeps.
        let now = at.max(later(self.last, BREATH));
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        if now >= self.maker.as_of {
            return Ok(Goes::NoFurther);
        }
        let version = match act.version {
            Version::OfTheCase => self.version,
            Version::InForceToday => self
                .maker
                .plan
                .version_on(&self.case.procedure_code, vietnam_time(now).date())
                .map_or(self.version, |version| version.as_ref()),
        };
        let facts = Facts {
            now,
            transitions: self.maker.law.transitions(&version.procedure.transitions)?,
            procedure: version,
            calendar: &self.maker.law.calendar,
            deadline_rules: self.maker.law.deadline_rules_on(vietnam_time(now).date()),
            profile: self.maker.profile,
        };
        let (after, recorded) = perform(&self.case, &facts, judge)?;
        let before = std::mem::replace(&mut self.case, after);
        self.last = now;
        self.version = version;
        self.follow(act.operation, &actor);
        if let Some(change) = deadline_changed(&before, &self.case, act.operation, now) {
            self.made.rows.push_change(&change);
        }
        self.keep(Some(&before), &actor, act.operation, act.event, recorded)?;
        Ok(Goes::On)
    }

    fn go(&mut self) -> Result<(), GenerateError> {
        if self.until_accepted()? == Goes::On && self.until_decided()? == Goes::On {
            self.afterwards()?;
        }
        Ok(())
    }

    /// From filing to acceptance, refusal or withdrawal.
    fn until_accepted(&mut self) -> Result<Goes, GenerateError> {
        let maker = self.maker;
        let life = &maker.parameters.life;
        let online = self.case.channel == Channel::Online;
        let wait = if online {
            self.some_hours(life.online_wait_hours)
        } else {
            self.some_hours([0.02, 0.3])
        };
        let seen = self.office(self.last, wait)?;
        if online && self.chance(life.withdrawn_before) {
            let at = later(self.last, self.some_hours_before(seen));
            return self.withdraw(at);
        }
        if self.chance(life.rejected) {
            self.act(seen, &reject_case::ACT, self.staff(Role::Clerk), |case, facts| {
                reject_case::judge(case, facts, "Không thuộc phạm vi giải quyết của cơ quan", "")
            })?;
            return Ok(Goes::NoFurther);
        }
        let mut accept_at = seen;
        let anything_filed = !self.case.components.is_empty();
        if anything_filed && self.chance(life.supplement_before) {
            if self.ask_for_supplement(seen)? == Goes::NoFurther {
                return Ok(Goes::NoFurther);
            }
            if self.chance(life.never_supplied) {
                return self.give_up();
            }
            if self.supply()? == Goes::NoFurther {
                return Ok(Goes::NoFurther);
            }
            accept_at = self.office(self.last, hours(0.5))?;
        }
        let goes = self.act(
            accept_at,
            &accept_case::ACT,
            self.staff(Role::Clerk),
            accept_case::judge,
        )?;
        if goes == Goes::On {
            let day = vietnam_time(self.last).date();
            let plan = &self.maker.plan;
            if let Some(version) = plan.version_on(&self.case.procedure_code, day) {
                self.version = version;
            }
        }
        Ok(goes)
    }

    /// Some time before an instant, after the last act.
    fn some_hours_before(&mut self, until: Timestamp) -> SignedDuration {
        let whole = until.duration_since(self.last).max(BREATH);
        let share = self.rng.random_range(0.1..0.9);
        SignedDuration::from_micros((whole.as_micros() as f64 * share) as i64)
    }

    /// From acceptance to the decision.
    fn until_decided(&mut self) -> Result<Goes, GenerateError> {
        let maker = self.maker;
        let life = &maker.parameters.life;
        let (Some(accepted), Some(due)) = (
            self.case.accept_time,
            self.case.deadline.as_ref().map(|deadline| deadline.due_time),
        ) else {
            return Ok(Goes::NoFurther);
        };
        let whole = office_between(&self.maker.law.calendar, accepted, due)?.max(SignedDuration::from_mins(20));
        let share = if self.chance(life.late) {
            self.rng.random_range(life.late_by[0]..life.late_by[1])
        } else {
            self.rng.random_range(life.in_time[0]..life.in_time[1])
        };
        let working = SignedDuration::from_micros((whole.as_micros() as f64 * share) as i64);

        let steps: Vec<(String, State)> = self
            .version
            .procedure
            .steps
            .iter()
            .filter(|step| matches!(step.state, State::Processing | State::PaymentRequested))
            .map(|step| (step.code.clone(), step.state))
            .collect();
        // The work is cut into equal parts: before each step, and before the decision.
        let part = working / i32::try_from(steps.len() + 2).unwrap_or(i32::MAX);

        let assign_after = self.some_hours(life.assign_hours).min(part);
        let at = self.office(self.last, assign_after)?;
        let officer = self.maker.official(self.office.unit_id, Role::Officer);
        let assigned = self.act(at, &assign_case::ACT, self.staff(Role::Leader), |case, facts| {
            assign_case::judge(case, facts, officer, "")
        })?;
        if assigned == Goes::NoFurther {
            return Ok(assigned);
        }

        // What befalls some cases, and before which step.
        let places = steps.len().max(1);
        let befalls = |life: &mut Self, chance: f64| {
            let place = life.rng.random_range(0..places);
            life.chance(chance).then_some(place)
        };
        let withdrawn = befalls(self, life.withdrawn_during);
        let stopped = befalls(self, life.stopped);
        let asked = befalls(self, life.supplement_during).filter(|_| !self.case.components.is_empty());
        for (place, (step, state)) in steps.iter().enumerate() {
            let at = self.office(self.last, part)?;
            if withdrawn == Some(place) {
                return self.withdraw(at);
            }
            if stopped == Some(place) {
                return self.stop(at);
            }
            if asked == Some(place) && self.case.state == State::Processing && self.round(at)? == Goes::NoFurther {
                return Ok(Goes::NoFurther);
            }
            // A payment that is awaited ends with the payment, not with the work.
            let at = if self.case.state == State::PaymentRequested {
                let paid = self.some_days(life.pay_days);
                self.office(later(self.last, paid), SignedDuration::ZERO)?
            } else {
                self.office(self.last, part)?
            };
            // A payment that follows another one is no step of its own: the transitions have no way from 6 to 6.
            if self.case.state != State::PaymentRequested || *state != State::PaymentRequested {
                let procedure = &self.version.procedure;
                let conditions = &self.case.conditions;
                // A step off the way of this case is none of it.
                if !procedure
                    .reached_by(self.case.done(), conditions)
                    .contains(step.as_str())
                {
                    continue;
                }
                // Nobody finds anything out of the ordinary: of steps that end with an outcome, the first.
                let outcome = if procedure.takes_outcome(step, conditions, "") {
                    String::new()
                } else {
                    let outcomes = procedure.outcomes(step, conditions);
                    outcomes.first().map(|first| (*first).to_owned()).unwrap_or_default()
                };
                let recorded = self.act(at, &record_step::ACT, self.staff(Role::Officer), |case, facts| {
                    let done = Done {
                        step,
                        outcome: &outcome,
                    };
                    record_step::judge(case, facts, done, Vec::new(), "")
                })?;
                if recorded == Goes::NoFurther {
                    return Ok(recorded);
                }
            }
            if self.case.state == State::PaymentRequested && self.chance(life.paid_never) {
                return self.give_up();
            }
        }
        let at = self.office(self.last, part)?;
        self.approve(at)
    }

    /// A round of supplements while the case is handled, rarely a second one.
    fn round(&mut self, at: Timestamp) -> Result<Goes, GenerateError> {
        let maker = self.maker;
        let life = &maker.parameters.life;
        if self.ask_for_supplement(at)? == Goes::NoFurther {
            return Ok(Goes::NoFurther);
        }
        if self.chance(life.never_supplied) {
            return self.give_up();
        }
        if self.supply()? == Goes::NoFurther {
            return Ok(Goes::NoFurther);
        }
        if self.chance(life.second_supplement) {
            let at = self.office(self.last, hours(2.0))?;
            if self.ask_for_supplement(at)? == Goes::NoFurther {
                return Ok(Goes::NoFurther);
            }
            return self.supply();
        }
        Ok(Goes::On)
    }

    fn ask_for_supplement(&mut self, at: Timestamp) -> Result<Goes, GenerateError> {
        let component_code = self
            .case
            .components
            .first()
            .map(|component| component.component_code.clone())
            .unwrap_or_default();
        let items = vec![SupplementItem {
            component_code,
            instruction: "Nộp bản rõ, đủ chữ ký".to_owned(),
        }];
        let basis = self
            .version
            .procedure
            .legal_basis
            .first()
            .map(|basis| basis.number.clone());
        let asked = request_supplement::Asked {
            reason: "Giấy tờ chưa rõ hoặc chưa đủ",
            stage: "thẩm tra hồ sơ",
            legal_basis: basis.as_deref().unwrap_or("61/2018/NĐ-CP"),
        };
        self.act(
            at,
            &request_supplement::ACT,
            self.staff(Role::Officer),
            |case, facts| request_supplement::judge(case, facts, items, &asked),
        )
    }

    fn supply(&mut self) -> Result<Goes, GenerateError> {
        let days = self.maker.parameters.life.supply_days;
        let after = self.some_days(days);
        let mut at = later(self.last, after);
        if self.case.channel != Channel::Online {
            at = self.office(at, SignedDuration::ZERO)?;
        }
        let supplied: Vec<FiledComponent> = self
            .case
            .supplement_items
            .iter()
            .filter(|item| !item.component_code.is_empty())
            .map(|item| FiledComponent {
                round: 0,
                component_code: item.component_code.clone(),
                originals: 1,
                copies: 0,
                replaced_by_data: String::new(),
                file_ids: Vec::new(),
                form_data: None,
            })
            .collect();
        let actor = self.filer();
        self.act(at, &supply_components::ACT, actor, |case, facts| {
            supply_components::judge(case, facts, supplied)
        })
    }

    /// What was asked for does not come: some of these cases are stopped after a month, where the transitions allow it.
    fn give_up(&mut self) -> Result<Goes, GenerateError> {
        let at = self.office(later(self.last, GIVEN_UP), hours(1.0))?;
        if self.chance(0.5) {
            return self.stop(at);
        }
        Ok(Goes::NoFurther)
    }

    fn withdraw(&mut self, at: Timestamp) -> Result<Goes, GenerateError> {
        let actor = self.filer();
        self.act(at, &withdraw_case::ACT, actor, |case, facts| {
            withdraw_case::judge(case, facts, "Người nộp đề nghị rút hồ sơ")
        })?;
        Ok(Goes::NoFurther)
    }

    fn stop(&mut self, at: Timestamp) -> Result<Goes, GenerateError> {
        self.act(at, &stop_case::ACT, self.staff(Role::Leader), |case, facts| {
            stop_case::judge(case, facts, "Không đủ điều kiện giải quyết", "")
        })?;
        Ok(Goes::NoFurther)
    }

    fn approve(&mut self, at: Timestamp) -> Result<Goes, GenerateError> {
        let kinds = &self.version.procedure.results;
        let result_code = (!kinds.is_empty())
            .then(|| self.rng.random_range(0..kinds.len()))
            .and_then(|place| kinds.get(place))
            .map(|kind| kind.code.clone());
        let number = self.case.case_code.rsplit('-').next().unwrap_or_default();
        let number = format!("{number}/{}", vietnam_time(at).year());
        let results = result_code
            .into_iter()
            .map(|result_code| CaseResult::issued(result_code, number.clone(), None))
            .collect();
        let approved = self.act(at, &approve_case::ACT, self.staff(Role::Leader), |case, facts| {
            approve_case::judge(case, facts, results, "")
        })?;
        if approved == Goes::On {
            self.decided = Some(self.last);
        }
        Ok(approved)
    }

    /// The result is fetched or sent, and rated by citizens with an account.
    fn afterwards(&mut self) -> Result<(), GenerateError> {
        let maker = self.maker;
        let life = &maker.parameters.life;
        let channel = self.case.channel;
        let after = self.some_days(life.fetched_days);
        let at = self.office(later(self.last, after), SignedDuration::ZERO)?;
        let recipient = if self.chance(life.fetched_by_another) {
            let index = self.rng.random_range(0..self.maker.population.size());
            self.maker.population.person(index)?.full_name
        } else {
            String::new()
        };
        let returned = self.act(at, &return_result::ACT, self.staff(Role::Clerk), |case, facts| {
            return_result::judge(case, facts, channel, &recipient)
        })?;
        if returned == Goes::On && self.case.owner_id.is_some() && self.chance(life.rated) {
            let score = match self.rng.random_range(0..100) {
                0..5 => 1,
                5..45 => 2,
                _ => 3,
            };
            let rated_after = self.some_hours([0.1, 70.0]);
            let actor = self.filer();
            self.act(later(self.last, rated_after), &rate_case::ACT, actor, |case, facts| {
                rate_case::judge(case, facts, score, "")
            })?;
        }
        Ok(())
    }
}
