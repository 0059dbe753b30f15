//! Issuers of agencies, links of accounts to what an issuer calls somebody, and sign-ins under way.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, corrupt, digest, exactly_one};
use crate::domain::federated_sign_in::Flow;
use crate::domain::id_token::SigningAlgorithm;
use crate::domain::issuer::{ClientAuthentication, FederatedIssuer, IssuerSettings};
use crate::domain::secret::SecretHash;

struct IssuerRow {
    issuer_id: Uuid,
    issuer: String,
    title: String,
    client_id: String,
    client_authentication: String,
    redirect_uris: Vec<String>,
    unit_ids: Vec<i32>,
    algorithms: Vec<String>,
    second_factor_acr: Vec<String>,
    second_factor_amr: Vec<String>,
    max_auth_age: i32,
    disabled: bool,
    version: i64,
}

impl TryFrom<IssuerRow> for FederatedIssuer {
    type Error = egov_fault::Fault;

    fn try_from(row: IssuerRow) -> Result<Self> {
        let algorithms: Option<Vec<_>> = row
            .algorithms
            .iter()
            .map(|name| SigningAlgorithm::from_name(name))
            .collect();
        Ok(Self {
            issuer_id: row.issuer_id,
            issuer: row.issuer,
            settings: IssuerSettings {
                title: row.title,
                client_id: row.client_id,
                authentication: ClientAuthentication::from_word(&row.client_authentication)
                    .ok_or_else(|| corrupt("an issuer with an unknown client authentication"))?,
                redirect_uris: row.redirect_uris,
                unit_ids: row.unit_ids,
                algorithms: algorithms.ok_or_else(|| corrupt("an issuer with an unknown algorithm"))?,
                second_factor_acr: row.second_factor_acr,
                second_factor_amr: row.second_factor_amr,
                max_auth_age: row.max_auth_age,
            },
            disabled: row.disabled,
            version: row.version,
        })
    }
}

/// The shared secret of a client as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct SealedSecret {
    /// Sealed.
    pub sealed: Vec<u8>,
    /// Under which key.
    pub key_id: String,
}

fn names(algorithms: &[SigningAlgorithm]) -> Vec<String> {
    algorithms.iter().map(|one| one.as_str().to_owned()).collect()
}

/// Adds an issuer. `false` if its URL is registered already.
pub(crate) async fn insert_issuer(
    conn: &mut PgConnection,
    issuer: &FederatedIssuer,
    secret: Option<&SealedSecret>,
    now: Timestamp,
) -> Result<bool> {
    let settings = &issuer.settings;
    let inserted = sqlx::query!(
        "INSERT INTO federated_issuers (issuer_id, issuer, title, client_id, client_authentication, client_secret, seal_key_id,
                                        redirect_uris, unit_ids, algorithms, second_factor_acr, second_factor_amr,
                                        max_auth_age, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
         ON CONFLICT ON CONSTRAINT federated_issuers_issuer_key DO NOTHING",
        issuer.issuer_id,
        issuer.issuer,
        settings.title,
        settings.client_id,
        settings.authentication.as_str(),
        secret.map(|secret| secret.sealed.as_slice()),
        secret.map(|secret| secret.key_id.as_str()),
        &settings.redirect_uris,
        &settings.unit_ids,
        &names(&settings.algorithms),
        &settings.second_factor_acr,
        &settings.second_factor_amr,
        settings.max_auth_age,
        issuer.version,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(inserted == 1)
}

/// Stores what was said of a locked issuer.
pub(crate) async fn update_issuer(
    conn: &mut PgConnection,
    issuer: &FederatedIssuer,
    secret: Option<&SealedSecret>,
    now: Timestamp,
) -> Result<()> {
    let settings = &issuer.settings;
    sqlx::query!(
        "UPDATE federated_issuers
         SET title = $2, client_id = $3, client_authentication = $4, client_secret = $5, seal_key_id = $6, redirect_uris = $7,
             unit_ids = $8, algorithms = $9, second_factor_acr = $10, second_factor_amr = $11, max_auth_age = $12,
             disabled_time = CASE WHEN $13 THEN coalesce(disabled_time, $15) END, version = $14, update_time = $15
         WHERE issuer_id = $1",
        issuer.issuer_id,
        settings.title,
        settings.client_id,
        settings.authentication.as_str(),
        secret.map(|secret| secret.sealed.as_slice()),
        secret.map(|secret| secret.key_id.as_str()),
        &settings.redirect_uris,
        &settings.unit_ids,
        &names(&settings.algorithms),
        &settings.second_factor_acr,
        &settings.second_factor_amr,
        settings.max_auth_age,
        issuer.disabled,
        issuer.version,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Appends what an issuer became, who did it and why.
pub(crate) async fn insert_issuer_history(
    conn: &mut PgConnection,
    issuer: &FederatedIssuer,
    actor: Uuid,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    let settings = serde_json::to_value(&issuer.settings).map_err(egov_fault::Fault::internal)?;
    sqlx::query!(
        "INSERT INTO federated_issuer_history (issuer_id, version, settings, disabled, actor_id, reason, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        issuer.issuer_id,
        issuer.version,
        settings,
        issuer.disabled,
        actor,
        reason,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The issuers, as a row is read, that a condition chooses.
macro_rules! select_issuer {
    ($which:literal, $($value:expr),+ $(,)?) => {
        sqlx::query_as!(
            IssuerRow,
            r#"SELECT issuer_id, issuer, title, client_id, client_authentication, redirect_uris, unit_ids, algorithms,
                      second_factor_acr, second_factor_amr, max_auth_age, disabled_time IS NOT NULL AS "disabled!", version
               FROM federated_issuers "# + $which,
            $($value),+
        )
    };
}

/// The issuer of an id.
pub(crate) async fn issuer(conn: &mut PgConnection, issuer_id: Uuid) -> Result<Option<FederatedIssuer>> {
    select_issuer!(r#"WHERE issuer_id = $1"#, issuer_id)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)?
        .map(FederatedIssuer::try_from)
        .transpose()
}

/// The issuer of an id, locked against changes until the end of the transaction; sign-ins by it do not wait for one another.
pub(crate) async fn hold_issuer(conn: &mut PgConnection, issuer_id: Uuid) -> Result<Option<FederatedIssuer>> {
    select_issuer!(r#"WHERE issuer_id = $1 FOR SHARE"#, issuer_id)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)?
        .map(FederatedIssuer::try_from)
        .transpose()
}

/// Locks an issuer, to change it, until the end of the transaction. Not its key: whoever opens a session of the issuer refers to it and
/// does not wait, while holding a challenge for which the change waits.
pub(crate) async fn lock_issuer(conn: &mut PgConnection, issuer_id: Uuid) -> Result<Option<FederatedIssuer>> {
    select_issuer!(r#"WHERE issuer_id = $1 FOR NO KEY UPDATE"#, issuer_id)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)?
        .map(FederatedIssuer::try_from)
        .transpose()
}

/// The issuer of a URL.
pub(crate) async fn issuer_by_url(conn: &mut PgConnection, url: &str) -> Result<Option<FederatedIssuer>> {
    select_issuer!(r#"WHERE issuer = $1"#, url)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)?
        .map(FederatedIssuer::try_from)
        .transpose()
}

/// From here to the commit nobody else says where an issuer sends the browser.
pub(crate) async fn hold_redirect_uris(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('egov.identity.redirect_uris', 0))")
        .execute(conn)
        .await
        .map(drop)
        .map_err(sql_fault)
}

/// Which of these redirect URIs an enabled issuer of another URL has.
pub(crate) async fn redirect_uris_of_others(
    conn: &mut PgConnection,
    issuer: &str,
    redirect_uris: &[String],
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT uri AS "uri!" FROM unnest($2::text[]) AS uri
           WHERE EXISTS (SELECT 1 FROM federated_issuers
                         WHERE issuer <> $1 AND disabled_time IS NULL AND uri = ANY(redirect_uris))"#,
        issuer,
        redirect_uris
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}

/// The issuers after an id, by id: all, or those with one of these units among theirs.
pub(crate) async fn list_issuers(
    conn: &mut PgConnection,
    units: Option<&[i32]>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<FederatedIssuer>> {
    select_issuer!(
        r#"WHERE ($1::int[] IS NULL OR unit_ids && $1) AND ($2::uuid IS NULL OR issuer_id > $2)
           ORDER BY issuer_id LIMIT $3"#,
        units as Option<&[i32]>,
        after as Option<Uuid>,
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?
    .into_iter()
    .map(FederatedIssuer::try_from)
    .collect()
}

/// Every issuer as it is stored, with its id and its version; none if its row is nothing that the platform writes.
pub(crate) async fn issuers_as_stored(conn: &mut PgConnection) -> Result<Vec<(Uuid, i64, Option<FederatedIssuer>)>> {
    select_issuer!(r#"WHERE issuer_id >= $1 ORDER BY issuer_id"#, Uuid::nil())
        .fetch_all(conn)
        .await
        .map(|rows| {
            rows.into_iter()
                .map(|row| (row.issuer_id, row.version, FederatedIssuer::try_from(row).ok()))
                .collect()
        })
        .map_err(sql_fault)
}

/// The sealed secret of an issuer, if it has one.
pub(crate) async fn sealed_secret(conn: &mut PgConnection, issuer_id: Uuid) -> Result<Option<SealedSecret>> {
    sqlx::query!(
        r#"SELECT client_secret AS "client_secret!", seal_key_id AS "seal_key_id!" FROM federated_issuers
           WHERE issuer_id = $1 AND client_secret IS NOT NULL"#,
        issuer_id
    )
    .fetch_optional(conn)
    .await
    .map(|row| {
        row.map(|row| SealedSecret {
            sealed: row.client_secret,
            key_id: row.seal_key_id,
        })
    })
    .map_err(sql_fault)
}

/// Secrets that are sealed under another key than the present one; locked until the end of the transaction.
pub(crate) async fn sealed_otherwise(
    conn: &mut PgConnection,
    key_id: &str,
    limit: i64,
) -> Result<Vec<(Uuid, Vec<u8>)>> {
    sqlx::query!(
        r#"SELECT issuer_id, client_secret AS "client_secret!" FROM federated_issuers
           WHERE seal_key_id <> $1 LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        key_id,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(|row| (row.issuer_id, row.client_secret)).collect())
    .map_err(sql_fault)
}

/// Stores a secret that was sealed anew.
pub(crate) async fn set_sealed(conn: &mut PgConnection, issuer_id: Uuid, sealed: &[u8], key_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE federated_issuers SET client_secret = $2, seal_key_id = $3 WHERE issuer_id = $1",
        issuer_id,
        sealed,
        key_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// A link as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Link {
    /// Its id.
    pub identity_id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// The issuer.
    pub issuer_id: Uuid,
    /// The issuer's title.
    pub issuer_title: String,
    /// When it was linked.
    pub link_time: Timestamp,
    /// Who linked it.
    pub linked_by: Uuid,
}

/// Links an account. `false` if the subject is linked, or the account has a link at the issuer.
pub(crate) async fn link(conn: &mut PgConnection, new: &Link, subject_digest: &[u8; 32]) -> Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO federated_identities (identity_id, account_id, issuer_id, subject_digest, link_time, linked_by)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        new.identity_id,
        new.account_id,
        new.issuer_id,
        subject_digest.as_slice(),
        new.link_time.to_sqlx() as _,
        new.linked_by
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(inserted == 1)
}

/// The open links of an account.
pub(crate) async fn identities_of(conn: &mut PgConnection, account_id: Uuid) -> Result<Vec<Link>> {
    sqlx::query!(
        "SELECT l.identity_id, l.account_id, l.issuer_id, i.title, l.link_time, l.linked_by
         FROM federated_identities l JOIN federated_issuers i USING (issuer_id)
         WHERE l.account_id = $1 AND l.unlink_time IS NULL ORDER BY l.identity_id",
        account_id
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| Link {
                identity_id: row.identity_id,
                account_id: row.account_id,
                issuer_id: row.issuer_id,
                issuer_title: row.title,
                link_time: row.link_time.to_jiff(),
                linked_by: row.linked_by,
            })
            .collect()
    })
    .map_err(sql_fault)
}

/// A link as its row is.
#[derive(Clone, Debug)]
pub(crate) struct StoredLink {
    /// Its id.
    pub identity_id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// The issuer.
    pub issuer_id: Uuid,
    /// What the issuer calls the person, as a keyed digest.
    pub subject_digest: Vec<u8>,
    /// When it was linked.
    pub link_time: Timestamp,
    /// Who linked it.
    pub linked_by: Uuid,
    /// When it was taken away, if it was.
    pub unlink_time: Option<Timestamp>,
    /// Who took it away.
    pub unlinked_by: Option<Uuid>,
    /// Why.
    pub unlink_reason: String,
}

/// The links after an id, by id, as their rows are: open or taken away, of all accounts that may be seen.
pub(crate) async fn links_as_stored(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<StoredLink>> {
    sqlx::query_as!(
        StoredLinkRow,
        "SELECT identity_id, account_id, issuer_id, subject_digest, link_time, linked_by, unlink_time, unlinked_by, unlink_reason
         FROM federated_identities WHERE $1::uuid IS NULL OR identity_id > $1 ORDER BY identity_id LIMIT $2",
        after as Option<Uuid>,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(StoredLink::from).collect())
    .map_err(sql_fault)
}

/// A link as its row is; none if there is none that may be seen.
pub(crate) async fn link_as_stored(conn: &mut PgConnection, identity_id: Uuid) -> Result<Option<StoredLink>> {
    sqlx::query_as!(
        StoredLinkRow,
        "SELECT identity_id, account_id, issuer_id, subject_digest, link_time, linked_by, unlink_time, unlinked_by, unlink_reason
         FROM federated_identities WHERE identity_id = $1",
        identity_id
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map(StoredLink::from))
    .map_err(sql_fault)
}

struct StoredLinkRow {
    identity_id: Uuid,
    account_id: Uuid,
    issuer_id: Uuid,
    subject_digest: Vec<u8>,
    link_time: jiff_sqlx::Timestamp,
    linked_by: Uuid,
    unlink_time: Option<jiff_sqlx::Timestamp>,
    unlinked_by: Option<Uuid>,
    unlink_reason: String,
}

impl From<StoredLinkRow> for StoredLink {
    fn from(row: StoredLinkRow) -> Self {
        Self {
            identity_id: row.identity_id,
            account_id: row.account_id,
            issuer_id: row.issuer_id,
            subject_digest: row.subject_digest,
            link_time: row.link_time.to_jiff(),
            linked_by: row.linked_by,
            unlink_time: row.unlink_time.map(jiff_sqlx::Timestamp::to_jiff),
            unlinked_by: row.unlinked_by,
            unlink_reason: row.unlink_reason,
        }
    }
}

/// Account and issuer of an open link that the caller may see; locked until the end of the transaction.
pub(crate) async fn lock_identity(conn: &mut PgConnection, identity_id: Uuid) -> Result<Option<(Uuid, Uuid)>> {
    sqlx::query!(
        "SELECT account_id, issuer_id FROM federated_identities
         WHERE identity_id = $1 AND unlink_time IS NULL FOR UPDATE",
        identity_id
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map(|row| (row.account_id, row.issuer_id)))
    .map_err(sql_fault)
}

/// Takes a locked link away.
pub(crate) async fn unlink(
    conn: &mut PgConnection,
    identity_id: Uuid,
    by: Uuid,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE federated_identities SET unlink_time = $2, unlinked_by = $3, unlink_reason = $4 WHERE identity_id = $1",
        identity_id,
        now.to_sqlx() as _,
        by,
        reason
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Whom an issuer calls so; the link stays until the end of the transaction.
pub(crate) async fn account_of(
    conn: &mut PgConnection,
    issuer_id: Uuid,
    subject_digest: &[u8; 32],
) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT account_id FROM federated_identities
         WHERE issuer_id = $1 AND subject_digest = $2 AND unlink_time IS NULL FOR SHARE",
        issuer_id,
        subject_digest.as_slice()
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// What a sign-in needs to know of an account that may have no password.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The unit.
    pub unit_id: i32,
    /// True if it was closed.
    pub disabled: bool,
    /// Whether it has an authenticator here.
    pub has_authenticator: bool,
}

/// The account of an id, held as it is until the end of the transaction.
pub(crate) async fn member(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Member>> {
    sqlx::query!(
        r#"SELECT responsible_unit_id, disabled_time IS NOT NULL AS "disabled!",
                  EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = a.account_id) AS "has_authenticator!"
           FROM accounts a WHERE account_id = $1 FOR SHARE"#,
        account_id
    )
    .fetch_optional(conn)
    .await
    .map(|row| {
        row.map(|row| Member {
            unit_id: row.responsible_unit_id,
            disabled: row.disabled,
            has_authenticator: row.has_authenticator,
        })
    })
    .map_err(sql_fault)
}

/// How many sign-ins by an issuer are under way.
pub(crate) async fn under_way(conn: &mut PgConnection, issuer_id: Uuid, now: Timestamp) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM federated_sign_ins
           WHERE issuer_id = $1 AND used_time IS NULL AND expire_time > $2"#,
        issuer_id,
        now.to_sqlx() as _
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Adds a sign-in that begins.
pub(crate) async fn begin(conn: &mut PgConnection, state_hash: &SecretHash, flow: &Flow) -> Result<()> {
    sqlx::query!(
        "INSERT INTO federated_sign_ins (state_hash, binding_hash, issuer_id, redirect_uri, begin_time, expire_time)
         VALUES ($1, $2, $3, $4, $5, $6)",
        state_hash.as_slice(),
        flow.binding_hash.as_slice(),
        flow.issuer_id,
        flow.redirect_uri,
        flow.begin_time.to_sqlx() as _,
        flow.expire_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The sign-in of a state; locked until the end of the transaction.
pub(crate) async fn lock_flow(conn: &mut PgConnection, state_hash: &SecretHash) -> Result<Option<Flow>> {
    let row = sqlx::query!(
        "SELECT issuer_id, redirect_uri, binding_hash, begin_time, expire_time, attempts, used_time
         FROM federated_sign_ins WHERE state_hash = $1 FOR UPDATE",
        state_hash.as_slice()
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?;
    row.map(|row| {
        Ok(Flow {
            issuer_id: row.issuer_id,
            redirect_uri: row.redirect_uri,
            binding_hash: digest(row.binding_hash)?,
            begin_time: row.begin_time.to_jiff(),
            expire_time: row.expire_time.to_jiff(),
            attempts: row.attempts,
            used_time: row.used_time.map(jiff_sqlx::Timestamp::to_jiff),
        })
    })
    .transpose()
}

/// Uses a locked sign-in up.
pub(crate) async fn use_flow(conn: &mut PgConnection, state_hash: &SecretHash, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "UPDATE federated_sign_ins SET used_time = $2 WHERE state_hash = $1",
        state_hash.as_slice(),
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Counts an attempt to complete a locked sign-in.
pub(crate) async fn count_attempt(conn: &mut PgConnection, state_hash: &SecretHash) -> Result<()> {
    sqlx::query!(
        "UPDATE federated_sign_ins SET attempts = attempts + 1 WHERE state_hash = $1",
        state_hash.as_slice()
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Takes a counted attempt back; a sign-in that was forgotten meanwhile stays forgotten.
pub(crate) async fn take_attempt_back(conn: &mut PgConnection, state_hash: &SecretHash) -> Result<()> {
    sqlx::query!(
        "UPDATE federated_sign_ins SET attempts = attempts - 1 WHERE state_hash = $1",
        state_hash.as_slice()
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Removes sign-ins that are void since an instant.
pub(crate) async fn purge(conn: &mut PgConnection, before: Timestamp) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM federated_sign_ins WHERE expire_time < $1",
        before.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(sql_fault)
}

/// Ends what began by an issuer, of one account or of all: challenges become void, and these are the sessions that ended.
pub(crate) async fn end_begun_by(
    conn: &mut PgConnection,
    issuer_id: Uuid,
    account_id: Option<Uuid>,
    why: crate::domain::session::SessionEnd,
    now: Timestamp,
) -> Result<Vec<Uuid>> {
    sqlx::query!(
        "UPDATE sign_in_challenges SET used_time = $3
         WHERE issuer_id = $1 AND used_time IS NULL AND ($2::uuid IS NULL OR account_id = $2)",
        issuer_id,
        account_id as Option<Uuid>,
        now.to_sqlx() as _
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?;
    sqlx::query_scalar!(
        "UPDATE sessions SET end_time = $3, end_reason = $4
         WHERE issuer_id = $1 AND end_time IS NULL AND expire_time > $3 AND ($2::uuid IS NULL OR account_id = $2)
         RETURNING session_id",
        issuer_id,
        account_id as Option<Uuid>,
        now.to_sqlx() as _,
        why.as_str()
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}
