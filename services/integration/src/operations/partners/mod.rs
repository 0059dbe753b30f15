//! The use cases towards partners.

mod civil_status;
mod deliver;
mod follow;
mod follow_books;
mod inspect;
mod payments;
mod population;
mod portal;
mod reconcile;
mod reconcile_books;
mod register_changes;
mod synchronisations;

use std::sync::Arc;

use egov_auth::{ReadRecorder, RowScope};
use egov_clock::Clock as _;
use egov_database::{Database, Event, Leaf, UnitOfWork};
use egov_partners::Partner;
use egov_partners::case_mapping::{NotMappable, SaidNames};
use egov_partners::civil_books::BookEntry;
use egov_partners::civil_status::{Entry, Submission};
use egov_partners::code_tables::Unmapped;
use egov_partners::payment::{NewOrder, NewRefund, Order, Refund};
use egov_partners::portal::{CaseItem, NationalPortal, ProgressItem, ToldCase};
use egov_partners::portal_rest::Dossier;
use egov_partners::signing::sha256_hex;
use egov_partners::wire_time::WireTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use civil_status::Entered;
pub use deliver::Round;
pub use follow::Followed;
pub use follow_books::FollowedBooks;
pub(crate) use payments::{NoticeRefusal, ORDER, canonical as canonical_order};
pub(crate) use population::{QUESTION, Question, WantedNumber, canonical as canonical_question};
pub use reconcile::Reconciled;
pub use reconcile_books::ReconciledBooks;
pub use register_changes::ReceivedChanges;
pub(crate) use register_changes::ShownChange;

use crate::domain::delivery::{Delivery, State};
use crate::error::Error;
use crate::operations::agencies::Agencies;
use crate::partners::{Connection, Connections};
use crate::sealing::{open, seal};
use crate::store::{deliveries, partner_records};

/// What every use case works with.
pub(crate) struct Partners {
    pub(crate) database: Database,
    pub(crate) connections: Connections,
    pub(crate) reads: ReadRecorder,
    pub(crate) agencies: Agencies,
}

/// What is said to a partner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Message {
    SyncCase {
        item: Box<CaseItem>,
        /// None in what was handed in by a version of before.
        #[serde(default)]
        dossier: Option<Box<Dossier>>,
        #[serde(default)]
        told_time: Option<WireTime>,
        /// What the unit's own software said with it, now or before. None in what was handed in by a version of before.
        #[serde(default)]
        said: Option<SaidNames>,
    },
    ReportProgress {
        item: ProgressItem,
    },
    CreateOrder {
        order: NewOrder,
    },
    RefundOrder {
        refund: NewRefund,
    },
    Register {
        submission: Submission,
    },
    /// An entry of a commune's book, as it stands.
    Enter {
        entry: Box<BookEntry>,
    },
}

/// The act of telling the civil-status register an entry of a book.
pub(crate) const ENTER: &str = "tell_entry";

/// What a partner answered, when it has done what was asked.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    Told,
    Order(Order),
    Refund(Refund),
    Entry(Entry),
}

impl Message {
    /// A case as the portal is told of it.
    fn of_case(told: ToldCase, said: SaidNames) -> Self {
        Self::SyncCase {
            item: Box::new(told.item),
            dossier: Some(Box::new(told.dossier)),
            told_time: Some(told.told_time),
            said: Some(said),
        }
    }

    fn act(&self) -> &'static str {
        match self {
            Self::SyncCase { .. } => "sync_case",
            Self::ReportProgress { .. } => "report_progress",
            Self::CreateOrder { .. } => "create_order",
            Self::RefundOrder { .. } => "refund_order",
            Self::Register { .. } => "register",
            Self::Enter { .. } => ENTER,
        }
    }

    fn partner(&self) -> Partner {
        match self {
            Self::SyncCase { .. } | Self::ReportProgress { .. } => Partner::NationalPortal,
            Self::CreateOrder { .. } | Self::RefundOrder { .. } => Partner::PaymentPlatform,
            Self::Register { .. } | Self::Enter { .. } => Partner::CivilStatusRegister,
        }
    }

    /// Whether the partner knows the act again by a key of ours, so that doing it twice does nothing. The portal knows a case by its
    /// code, but neither the version of it nor a step.
    fn has_own_key(&self) -> bool {
        match self {
            Self::SyncCase { .. } | Self::ReportProgress { .. } => false,
            Self::CreateOrder { .. } | Self::RefundOrder { .. } | Self::Register { .. } | Self::Enter { .. } => true,
        }
    }

    /// What other services hear when it is done.
    fn done_event(&self) -> &'static str {
        match self {
            Self::SyncCase { .. } | Self::ReportProgress { .. } => "portal_acknowledged",
            Self::CreateOrder { .. } => "payment_order_created",
            Self::RefundOrder { .. } => "payment_refund_made",
            Self::Register { .. } => "civil_status_registered",
            Self::Enter { .. } => "civil_register_acknowledged",
        }
    }
}

/// A delivery to be handed in.
pub(crate) struct NewDelivery<'a> {
    pub(crate) unit_id: i32,
    /// By which the partner recognises it.
    pub(crate) partner_key: &'a str,
    /// What is sent in order.
    pub(crate) order_key: &'a str,
    pub(crate) message: &'a Message,
    /// By what its content is known again; empty where nothing is compared.
    pub(crate) content_digest: &'a str,
    /// The persons concerned, for the record of who reads its answer.
    pub(crate) subjects: Vec<Uuid>,
    pub(crate) actor: &'a str,
}

/// Who acts when nobody calls.
const JOB: &str = "job:integration.deliveries";

fn connected<P: ?Sized>(connection: Option<&Connection<P>>, partner: Partner) -> Result<&Connection<P>, Error> {
    connection.ok_or(Error::PartnerNotConfigured(partner))
}

impl Partners {
    /// Hands a delivery in: within the caller's write, with its history, event and leaf.
    async fn hand_in(
        &self,
        unit: &mut UnitOfWork<'_>,
        new: NewDelivery<'_>,
        contract: &str,
    ) -> Result<Delivery, Error> {
        let now = unit.now();
        let delivery = Delivery {
            id: unit.new_id(),
            unit_id: new.unit_id,
            partner: new.message.partner().name().to_owned(),
            act: new.message.act().to_owned(),
            partner_key: new.partner_key.to_owned(),
            order_key: new.order_key.to_owned(),
            contract: contract.to_owned(),
            state: State::Queued,
            attempts: 0,
            problem: String::new(),
            partner_code: String::new(),
            reference: String::new(),
            subjects: new.subjects,
            denied_time: None,
            taken_time: None,
            content_digest: new.content_digest.to_owned(),
            due_time: now,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let message = serde_json::to_vec(new.message).map_err(|error| Error::Unreadable(error.into()))?;
        let sealed = seal(&self.connections.keyring, &message, &sealed_for("message", delivery.id));
        deliveries::insert(unit.conn(), &delivery, &sealed).await?;
        record(
            unit,
            &delivery,
            new.actor,
            Some(&sha256_hex(&message)),
            "delivery_queued",
        )
        .await?;
        Ok(delivery)
    }

    /// The portal, by the generation of its contract in force today.
    fn portal(&self) -> Option<&Connection<dyn NationalPortal>> {
        self.connections.portal_on(self.database.clock().today())
    }

    fn open_message(&self, id: Uuid, sealed: &[u8]) -> Result<Message, Error> {
        let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| Error::Unreadable(error);
        let plain = open(&self.connections.keyring, sealed, &sealed_for("message", id))
            .map_err(|error| unreadable(error.into()))?;
        serde_json::from_slice(&plain).map_err(|error| unreadable(error.into()))
    }

    /// Counts codes that could not be translated, as part of a write.
    async fn report(&self, unit: &mut UnitOfWork<'_>, unit_id: i32, unmapped: &[Unmapped]) -> Result<(), Error> {
        let now = unit.now();
        for one in unmapped {
            let id = unit.new_id();
            let mut one = one.clone();
            // It came from outside.
            one.value = one
                .value
                .chars()
                .filter(|letter| !letter.is_control())
                .take(100)
                .collect();
            partner_records::count_unmapped(unit.conn(), id, unit_id, &one, now).await?;
        }
        Ok(())
    }

    /// The same, as a write of its own.
    async fn report_alone(&self, unit_id: i32, unmapped: &[Unmapped]) -> Result<(), Error> {
        if unmapped.is_empty() {
            return Ok(());
        }
        let scope = RowScope {
            units: vec![unit_id],
            ..RowScope::default()
        };
        self.database
            .write_unkeyed(&scope, async |unit: &mut UnitOfWork<'_>| {
                self.report(unit, unit_id, unmapped).await
            })
            .await
    }

    /// Counts the code, if there is one, for which a case cannot be told at all.
    async fn report_not_mappable(&self, unit_id: i32, why: &NotMappable) -> Result<(), Error> {
        match why {
            NotMappable::Unmapped(value) => self.report_alone(unit_id, std::slice::from_ref(value)).await,
            NotMappable::Missing(_) => Ok(()),
        }
    }

    fn now(&self) -> jiff::Timestamp {
        self.database.clock().now()
    }

    fn today(&self) -> jiff::civil::Date {
        self.database.clock().today()
    }
}

/// What a sealed column is sealed for.
pub(crate) fn sealed_for(column: &str, id: Uuid) -> Vec<u8> {
    format!("egov integration delivery {column} {id}").into_bytes()
}

/// Adds a delivery as it is now to its history and commits to it; an event of this kind tells the others, unless it is empty.
async fn record(
    unit: &mut UnitOfWork<'_>,
    delivery: &Delivery,
    actor: &str,
    message_digest: Option<&str>,
    event: &'static str,
) -> Result<(), Error> {
    deliveries::append_history(unit.conn(), delivery, actor).await?;
    if !event.is_empty() {
        unit.publish(Event {
            aggregate_kind: "delivery",
            aggregate_id: delivery.id,
            version: delivery.version,
            kind: event,
            payload: serde_json::json!({
                "unit_id": delivery.unit_id,
                "partner": delivery.partner,
                "act": delivery.act,
                "state": delivery.state.number(),
                "partner_key": delivery.partner_key,
                "problem": delivery.problem,
            }),
        });
    }
    unit.leaf(Leaf {
        kind: DELIVERY,
        resource: delivery.id,
        version: delivery.version,
        canonical: canonical_delivery(delivery, actor, message_digest)
            .to_string()
            .as_bytes(),
    });
    unit.led_to("delivery", delivery.id, delivery.version);
    Ok(())
}

/// The kind of the leaves of deliveries.
pub(crate) const DELIVERY: &str = "delivery";

/// What the leaf of a delivery commits to: only the first one to the message.
pub(crate) fn canonical_delivery(delivery: &Delivery, actor: &str, message_digest: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "delivery_id": delivery.id,
        "unit_id": delivery.unit_id,
        "partner": delivery.partner,
        "act": delivery.act,
        "partner_key": delivery.partner_key,
        "contract": delivery.contract,
        "state": delivery.state.number(),
        "attempts": delivery.attempts,
        "problem": delivery.problem,
        "partner_code": delivery.partner_code,
        "reference": delivery.reference,
        "actor": actor,
        "message_sha256": message_digest,
        "time": delivery.update_time,
    })
}

/// The connections as the job and the handlers share them.
pub(crate) type Shared = Arc<Partners>;
