//! One round of the deliveries job: under a lease, each due delivery is begun, sent or asked about, and what came of it is
//! recorded. Whatever happens between the steps, the partner is asked before anything is repeated.

use std::time::Duration;

use egov_auth::RowScope;
use egov_database::{Lease, UnitOfWork};
use egov_partners::Partner;
use egov_partners::civil_books::holds;
use egov_partners::outcome::{CallError, NotSent};
use egov_partners::payment::{Order, OrderState, Refund};
use egov_partners::portal::{CaseItem, NationalPortal, ToldCase};
use egov_partners::portal_rest::{AttachedFile, Dossier};
use egov_partners::wire_time::WireTime;
use jiff::SignedDuration;
use uuid::Uuid;

use super::{Done, ENTER, JOB, Message, Partners, record, sealed_for};
use crate::domain::case_version;
use crate::domain::delivery::{Answer, CASE_UNKNOWN, Delivery, Next, Patience, State};
use crate::error::Error;
use crate::onestop::FileContent;
use crate::sealing::seal;
use crate::store::{civil_register, deliveries, payments, synchronisations};

const LEASE: &str = "integration.deliveries";
const LEASE_TIME: Duration = Duration::from_mins(2);
const BATCH: i64 = 50;

/// The files of a case are handed over in so long, or in another try: the lease lasts longer.
const FILES_TIME: Duration = Duration::from_secs(45);

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Deliveries that were sent or asked about.
    pub tried: usize,
    /// Those that the partner has done.
    pub acknowledged: usize,
    /// Those that were given up or refused.
    pub stuck: usize,
    /// Pending payments about which the platform was asked.
    pub payments_asked: usize,
}

impl Partners {
    /// One round; none if another process has the lease.
    pub(crate) async fn round(&self) -> Result<Option<Round>, Error> {
        let Some(mut lease) = self.database.acquire_lease(LEASE, LEASE_TIME).await? else {
            return Ok(None);
        };
        let mut round = Round::default();
        let outcome = self.deliver_due(&mut lease, &mut round).await;
        lease.release().await?;
        outcome.map(|()| Some(round))
    }

    /// Partners do not wait for one another: one that is slow holds up its own deliveries only.
    async fn deliver_due(&self, lease: &mut Lease, round: &mut Round) -> Result<(), Error> {
        loop {
            if lease.is_due() {
                lease.renew().await?;
            }
            let held = &*lease;
            let (portal, payment, civil_status) = tokio::join!(
                Box::pin(self.deliver_to(Partner::NationalPortal, held)),
                Box::pin(self.deliver_to(Partner::PaymentPlatform, held)),
                Box::pin(self.deliver_to(Partner::CivilStatusRegister, held)),
            );
            let mut tried = 0;
            for done in [portal, payment, civil_status] {
                let done = done?;
                tried += done.tried;
                round.tried += done.tried;
                round.acknowledged += done.acknowledged;
                round.stuck += done.stuck;
            }
            if tried == 0 {
                break;
            }
        }
        self.ask_payments(lease, round).await
    }

    /// What is due to one partner, a few at once, until the lease wants to be renewed.
    async fn deliver_to(&self, partner: Partner, lease: &Lease) -> Result<Round, Error> {
        let mut round = Round::default();
        // A partner that failed a moment ago is left alone, and what waits for it is not touched: each try would be two changes of a
        // delivery that say nothing new.
        if self.is_resting(partner) {
            return Ok(round);
        }
        let now = self.now();
        let due = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(deliveries::due(connection, partner.name(), now, BATCH).await?)
            })
            .await?;
        // What is due is of different matters: nothing in it waits for anything else in it.
        let at_once = self.connections.delivering.at_once.max(1);
        for some in due.chunks(usize::from(at_once)) {
            let delivered = some.iter().map(|id| Box::pin(self.deliver(lease, *id)));
            for state in futures::future::join_all(delivered).await {
                round.tried += 1;
                match state? {
                    Some(State::Acknowledged) => round.acknowledged += 1,
                    Some(State::Failed | State::Dead) => round.stuck += 1,
                    _ => {}
                }
            }
            if lease.is_due() {
                break;
            }
        }
        Ok(round)
    }

    /// Whether a partner failed so often a moment ago that nothing would be sent to it now.
    fn is_resting(&self, partner: Partner) -> bool {
        let connections = &self.connections;
        match partner {
            Partner::NationalPortal => self.portal().is_some_and(|portal| portal.partner.is_resting()),
            Partner::PaymentPlatform => connections.payment.as_ref().is_some_and(|to| to.partner.is_resting()),
            Partner::CivilStatusRegister => connections
                .civil_status
                .as_ref()
                .is_some_and(|to| to.partner.is_resting()),
            // Nothing is delivered to it: it is asked, by whoever waits for its answer.
            Partner::PopulationRegister => false,
        }
    }

    /// One try of one delivery; where it is after it.
    async fn deliver(&self, lease: &Lease, id: Uuid) -> Result<Option<State>, Error> {
        let begun = self
            .database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let Some((mut delivery, message)) = deliveries::lock(unit.conn(), id).await? else {
                    return Ok::<_, Error>(None);
                };
                let open_since = deliveries::open_since(unit.conn(), id)
                    .await?
                    .unwrap_or(delivery.create_time);
                let patience = self.connections.delivering.patience(open_since);
                let Some(next) = delivery.begin(unit.now(), patience) else {
                    return Ok(None);
                };
                deliveries::update(unit.conn(), &delivery, None).await?;
                let event = if next == Next::GiveUp { "delivery_dead" } else { "" };
                record(unit, &delivery, JOB, None, event).await?;
                Ok(Some((delivery, next, message, patience)))
            })
            .await?;
        let Some((begun, next, sealed, patience)) = begun else {
            return Ok(None);
        };
        if next == Next::GiveUp {
            return Ok(Some(begun.state));
        }
        let message = self.open_message(id, &sealed.unwrap_or_default());
        let (sent, asked) = match (&message, next) {
            (Ok(message), Next::Send) => (Some(self.send(message).await), None),
            (Ok(message), Next::Ask | Next::GiveUp) => (None, Some(self.ask(message).await)),
            // The keyring no longer opens it: it cannot be sent, and an operator has to know.
            (Err(_), _) => (Some(Err(CallError::NotSent(NotSent::Unsendable("message")))), None),
        };
        let event = message.as_ref().map_or("", Message::done_event);
        let told_state: Option<i16> = match &message {
            Ok(Message::SyncCase { item, .. }) => item.state.parse().ok(),
            _ => None,
        };
        let patience = Patience {
            believe_after: match &message {
                Ok(message) if message.has_own_key() => SignedDuration::ZERO,
                _ => patience.believe_after,
            },
            ..patience
        };
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let Some((mut delivery, _)) = deliveries::lock(unit.conn(), id).await? else {
                    return Ok(None);
                };
                // Somebody else acted on it meanwhile: what we know is out of date.
                if delivery.version != begun.version {
                    return Ok(Some(delivery.state));
                }
                self.conclude(unit, &mut delivery, sent.as_ref(), asked.as_ref(), event, patience)
                    .await?;
                if let (State::Acknowledged, Some(state), Some(version)) =
                    (delivery.state, told_state, case_version::of(&delivery.partner_key))
                {
                    let (case, at) = ((delivery.order_key.as_str(), delivery.unit_id), unit.now());
                    let digest = delivery.content_digest.as_str();
                    synchronisations::acknowledged(unit.conn(), case, (version, state, digest), at).await?;
                }
                if delivery.state == State::Acknowledged
                    && delivery.act == ENTER
                    && let (Some(version), Ok(entry_id)) = (
                        case_version::of(&delivery.partner_key),
                        Uuid::try_parse(&delivery.order_key),
                    )
                {
                    let (digest, at) = (delivery.content_digest.as_str(), unit.now());
                    civil_register::acknowledged(unit.conn(), entry_id, (version, digest), at).await?;
                }
                if delivery.state == State::Acknowledged && delivery.act == "sync_case" {
                    tell_steps_of(unit, &delivery).await?;
                }
                Ok(Some(delivery.state))
            })
            .await
    }

    async fn conclude(
        &self,
        unit: &mut UnitOfWork<'_>,
        delivery: &mut Delivery,
        sent: Option<&Result<Answer<Done>, CallError>>,
        asked: Option<&Result<Option<Answer<Done>>, CallError>>,
        done_event: &'static str,
        patience: Patience,
    ) -> Result<(), Error> {
        let attempt = u32::try_from(delivery.attempts.saturating_sub(1)).unwrap_or_default();
        let wait = self
            .connections
            .delivering
            .backoff
            .wait(attempt, self.database.ids().as_ref());
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_mins(15));
        let now = unit.now();
        let done = match (sent, asked) {
            (Some(Ok(Answer::Done(done))), _) | (None, Some(Ok(Some(Answer::Done(done))))) => Some(done.clone()),
            _ => None,
        };
        if let Some(sent) = sent {
            let result = sent.as_ref().map(|answer| answer.map(reference)).map_err(Clone::clone);
            delivery.sent(&result, now, wait, patience);
        } else if let Some(asked) = asked {
            let result = asked
                .as_ref()
                .map(|answer| answer.as_ref().map(|answer| answer.map(reference)))
                .map_err(Clone::clone);
            delivery.asked(&result, now, wait, patience);
        }
        let answer = match &done {
            Some(Done::Entry(entry)) => {
                let plain = serde_json::to_vec(entry).map_err(|error| Error::Unreadable(error.into()))?;
                let bound = sealed_for("answer", delivery.id);
                Some(seal(&self.connections.keyring, &plain, &bound))
            }
            _ => None,
        };
        deliveries::update(unit.conn(), delivery, answer.as_deref()).await?;
        let event = match delivery.state {
            State::Acknowledged => done_event,
            State::Failed => "delivery_failed",
            State::Dead => "delivery_dead",
            State::Queued | State::Sent | State::OutcomeUnknown => "",
        };
        record(unit, delivery, JOB, None, event).await?;
        if let Some(Done::Order(order)) = &done {
            let again = SignedDuration::from_secs(self.connections.delivering.ask_payment_seconds.into());
            let at = now.checked_add(again).unwrap_or(now);
            payments::ask_at(unit.conn(), &order.order_code, at).await?;
            self.settle(unit, order, None).await?;
        }
        if let Some(Done::Refund(refund)) = &done {
            let refunded = Order {
                order_code: refund.order_code.clone(),
                amount: refund.amount,
                state: OrderState::Refunded,
                transaction: String::new(),
                pay_url: String::new(),
                settle_time: None,
                refund_time: refund.done_time,
            };
            self.settle(unit, &refunded, None).await?;
        }
        Ok(())
    }

    /// Asks about pending payments, in case a call-back was lost.
    async fn ask_payments(&self, lease: &mut Lease, round: &mut Round) -> Result<(), Error> {
        let Some(platform) = self.connections.payment.as_ref() else {
            return Ok(());
        };
        let now = self.now();
        let codes = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(payments::to_ask(connection, now, BATCH).await?)
            })
            .await?;
        for code in codes {
            round.payments_asked += 1;
            // A platform that is slow takes longer for all of them than the lease lasts.
            if lease.is_due() {
                lease.renew().await?;
            }
            let found = platform.partner.find_order(&code).await;
            self.database
                .work(lease, async |unit: &mut UnitOfWork<'_>| {
                    let again = SignedDuration::from_secs(self.connections.delivering.ask_payment_seconds.into());
                    let at = unit.now().checked_add(again).unwrap_or_else(|_| unit.now());
                    payments::ask_at(unit.conn(), &code, at).await?;
                    if let Ok(Some(order)) = &found {
                        self.settle(unit, order, None).await?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
        }
        Ok(())
    }

    /// A case as a message says it. One of before has no dossier: it is told with what its item says.
    fn told(&self, item: &CaseItem, dossier: Option<&Dossier>, told_time: Option<WireTime>) -> ToldCase {
        let dossier = dossier.cloned().unwrap_or_else(|| Dossier::of_item(item));
        ToldCase {
            item: item.clone(),
            dossier,
            told_time: told_time.unwrap_or_else(|| WireTime::of(self.now())),
        }
    }

    /// Before a case is made at a portal that takes contents: reads its files at one-stop, which records each reading for whose papers they
    /// are, and hands them over. A file that one-stop does not show to this system, or that is larger than what is handed over, is left out;
    /// a reconciliation finds that it lacks there. Doing it twice is one file, since the portal knows a content again.
    async fn hand_over_files(&self, portal: &dyn NationalPortal, told: &mut ToldCase) -> Result<(), CallError> {
        let Some(follow) = self.connections.follow.as_ref().filter(|_| portal.takes_files()) else {
            return Ok(());
        };
        let most = u64::from(self.connections.delivering.most_file_bytes);
        let mut attached = Vec::new();
        for component in &told.dossier.components {
            let mut files = Vec::new();
            for file in told.files_of(&component.code) {
                let read = follow.cases.file(&file.attachment_id, most).await.map_err(|fault| {
                    tracing::warn!(reason = fault.reason(), error = ?fault, "a file of a case was not read at one-stop");
                    CallError::NotSent(NotSent::FilesAway)
                })?;
                let content = match read {
                    FileContent::Whole(content) => content,
                    FileContent::NotShown => {
                        tracing::warn!(
                            file = file.attachment_id,
                            "one-stop does not show this file: it is left out"
                        );
                        continue;
                    }
                    FileContent::TooLarge => {
                        tracing::warn!(
                            file = file.attachment_id,
                            most,
                            "this file is too large: it is left out"
                        );
                        continue;
                    }
                };
                let uploaded = portal.upload_file(&file.file_name, &content).await;
                // A question that comes first: nothing of the case was sent.
                let uploaded = uploaded.map_err(CallError::before_sending)?;
                files.push(AttachedFile {
                    file_id: uploaded.file_id,
                    result_code: String::new(),
                    name: file.file_name.clone(),
                    hash: uploaded.hash,
                });
            }
            attached.push(files);
        }
        for (component, files) in told.dossier.components.iter_mut().zip(attached) {
            component.files = files;
        }
        Ok(())
    }

    /// Sends a message: one try.
    async fn send(&self, message: &Message) -> Result<Answer<Done>, CallError> {
        let gone = |_: Partner| CallError::NotSent(NotSent::NoConnection);
        match message {
            Message::SyncCase {
                item,
                dossier,
                told_time,
                ..
            } => {
                let portal = self.portal().ok_or_else(|| gone(Partner::NationalPortal))?;
                let told = self.told(item, dossier.as_deref(), *told_time);
                // Whether it is an update is what the portal has, not what we remember.
                let there = portal.partner.find_case(&item.case_code).await;
                // A question that failed, or was refused, says nothing of the case: nothing was sent.
                let there = there.map_err(CallError::before_sending)?;
                match there {
                    Some(there) if portal.partner.holds(&told, &there) => Ok(Answer::Done(Done::Told)),
                    there => {
                        let mut told = told;
                        if there.is_none() {
                            let files = Box::pin(self.hand_over_files(portal.partner.as_ref(), &mut told));
                            let handed_over = tokio::time::timeout(FILES_TIME, files).await;
                            handed_over.unwrap_or(Err(CallError::NotSent(NotSent::NoTime)))?;
                        }
                        portal.partner.sync_case(&told, there.is_some()).await?;
                        Ok(Answer::Done(Done::Told))
                    }
                }
            }
            Message::ReportProgress { item } => {
                let portal = self.portal().ok_or_else(|| gone(Partner::NationalPortal))?;
                portal.partner.report_progress(item).await?;
                Ok(Answer::Done(Done::Told))
            }
            Message::CreateOrder { order } => {
                let platform = self
                    .connections
                    .payment
                    .as_ref()
                    .ok_or_else(|| gone(Partner::PaymentPlatform))?;
                let made = platform.partner.create_order(order).await?;
                Ok(Answer::Done(Done::Order(made)))
            }
            Message::RefundOrder { refund } => {
                let platform = self
                    .connections
                    .payment
                    .as_ref()
                    .ok_or_else(|| gone(Partner::PaymentPlatform))?;
                let made = platform.partner.refund_order(refund).await?;
                Ok(refunded(made))
            }
            Message::Register { submission } => {
                let register = self
                    .connections
                    .civil_status
                    .as_ref()
                    .ok_or_else(|| gone(Partner::CivilStatusRegister))?;
                let entry = register.partner.submit(submission).await?;
                Ok(Answer::Done(Done::Entry(entry)))
            }
            Message::Enter { entry } => {
                let register = self
                    .connections
                    .civil_status
                    .as_ref()
                    .ok_or_else(|| gone(Partner::CivilStatusRegister))?;
                register.partner.tell(entry).await?;
                Ok(Answer::Done(Done::Told))
            }
        }
    }

    /// Asks a partner whether it has done what a message asks for.
    async fn ask(&self, message: &Message) -> Result<Option<Answer<Done>>, CallError> {
        let gone = || CallError::NotSent(NotSent::NoConnection);
        match message {
            Message::SyncCase {
                item,
                dossier,
                told_time,
                ..
            } => {
                let portal = self.portal().ok_or_else(gone)?;
                let told = self.told(item, dossier.as_deref(), *told_time);
                let there = portal.partner.find_case(&item.case_code).await?;
                Ok(there
                    .filter(|there| portal.partner.holds(&told, there))
                    .map(|_| Answer::Done(Done::Told)))
            }
            Message::ReportProgress { item } => {
                let portal = self.portal().ok_or_else(gone)?;
                let there = portal.partner.find_case(&item.case_code).await?;
                Ok(there
                    .filter(|there| there.progress.contains(item))
                    .map(|_| Answer::Done(Done::Told)))
            }
            Message::CreateOrder { order } => {
                let platform = self.connections.payment.as_ref().ok_or_else(gone)?;
                let found = platform.partner.find_order(&order.order_code).await?;
                Ok(found.map(|order| Answer::Done(Done::Order(order))))
            }
            Message::RefundOrder { refund } => {
                let platform = self.connections.payment.as_ref().ok_or_else(gone)?;
                let refunds = platform.partner.refunds(&refund.order_code).await?;
                let ours = refunds.into_iter().filter(|made| made.amount == refund.amount);
                // The money went back if any of them says so.
                Ok(ours.max_by_key(|made| made.done).map(refunded))
            }
            Message::Register { submission } => {
                let register = self.connections.civil_status.as_ref().ok_or_else(gone)?;
                let found = register.partner.find(&submission.key).await?;
                Ok(found.map(|entry| Answer::Done(Done::Entry(entry))))
            }
            Message::Enter { entry } => {
                let register = self.connections.civil_status.as_ref().ok_or_else(gone)?;
                let there = register.partner.find_told(&entry.key).await?;
                Ok(there
                    .filter(|there| holds(&there.held(), entry))
                    .map(|_| Answer::Done(Done::Told)))
            }
        }
    }
}

/// The portal knows a case by now: steps of it that came before it are told, in their order.
async fn tell_steps_of(unit: &mut UnitOfWork<'_>, case: &Delivery) -> Result<(), Error> {
    let matter = (case.partner.as_str(), "report_progress", case.order_key.as_str());
    for id in deliveries::failed_with(unit.conn(), matter, CASE_UNKNOWN).await? {
        let Some((mut step, _)) = deliveries::lock(unit.conn(), id).await? else {
            continue;
        };
        // Unless somebody has sent it again meanwhile.
        if step.follow_case(unit.now()) {
            deliveries::update(unit.conn(), &step, None).await?;
            record(unit, &step, JOB, None, "delivery_redriven").await?;
        }
    }
    Ok(())
}

/// What a refund that the platform has comes to: it may take it at once, and give the money back hours or days later.
fn refunded(made: Refund) -> Answer<Done> {
    if made.done {
        Answer::Done(Done::Refund(made))
    } else {
        Answer::Taken
    }
}

/// The partner's own reference in what it answered: never personal data.
fn reference(done: &Done) -> String {
    match done {
        Done::Told => String::new(),
        Done::Order(order) => order.transaction.clone(),
        Done::Refund(refund) => refund.order_code.clone(),
        Done::Entry(entry) => format!("{} {}", entry.number, entry.book),
    }
}
