//! Writes: one transaction, one request id, one answer.

use std::borrow::Cow;

use aws_lc_rs::digest;
use egov_auth::{Caller, RowScope};
use egov_fault::{Code, Fault};
use egov_keyring::Purpose;
use prost::Message;
use sqlx::{PgConnection, Postgres, Row as _, Transaction};
use uuid::Uuid;

use crate::database::{Database, roll_back};
use crate::fault::sql_fault;
use crate::lease::Lease;
use crate::scope::Mode;
use crate::unit::UnitOfWork;

/// A write as a caller asked for it.
#[derive(Debug)]
pub struct WriteRequest<'a, M> {
    caller_key: Cow<'a, str>,
    scope: RowScope,
    method: &'static str,
    request_id: Uuid,
    body: &'a M,
}

impl<'a, M: Message> WriteRequest<'a, M> {
    /// A write by an authenticated caller.
    ///
    /// `read_permission` is the permission by which the caller reads what it is about to change: the rows in that scope
    /// are the rows that the transaction sees and may write. `method` is the full gRPC name, `body` the whole request
    /// message.
    pub fn by(caller: &Caller, read_permission: &str, method: &'static str, request_id: Uuid, body: &'a M) -> Self {
        Self {
            caller_key: Cow::Owned(caller.key()),
            scope: caller.scope(read_permission),
            method,
            request_id,
            body,
        }
    }

    /// A write by somebody who has no token but a key of another kind, for example a look-up session.
    pub fn keyed(
        caller_key: impl Into<Cow<'a, str>>,
        scope: RowScope,
        method: &'static str,
        request_id: Uuid,
        body: &'a M,
    ) -> Self {
        Self {
            caller_key: caller_key.into(),
            scope,
            method,
            request_id,
            body,
        }
    }

    /// SHA-256 of the message as our own encoder writes it: the same through gRPC and REST, whatever order or unknown
    /// fields came in. Messages with map fields must be generated with ordered maps.
    fn hash(&self) -> [u8; 32] {
        sha256(&self.body.encode_to_vec())
    }

    /// What a stored answer is sealed for: it opens for this caller, method, id and content only.
    fn sealed_for(&self, hash: &[u8; 32]) -> Vec<u8> {
        bound_to(&[
            b"egov answer",
            self.caller_key.as_bytes(),
            self.method.as_bytes(),
            self.request_id.as_bytes(),
            hash,
        ])
    }
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// What the caller gets, now or again.
    pub answer: T,
    /// Whether this is the stored answer to an earlier request, and nothing was written now.
    pub replayed: bool,
}

impl<T> Written<T> {
    /// The answer alone.
    pub fn into_answer(self) -> T {
        self.answer
    }
}

impl Database {
    /// Does a write at most once.
    ///
    /// The request id is claimed first: the same request again, even at the same moment, gets the first one's answer and
    /// `f` does not run; another request under the same id fails with `ALREADY_EXISTS` / `REQUEST_ID_REUSED`; the ids of
    /// other callers and methods are independent. Then `f` runs; what it returns is sealed and stored with the events
    /// and leaves in the same transaction. If `f` refuses, nothing at all is stored.
    ///
    /// When the connection breaks during the commit, the outcome is not known: `UNAVAILABLE` / `OUTCOME_UNKNOWN`. The
    /// caller repeats the request under its id and gets the answer, whichever way it went.
    #[tracing::instrument(name = "db.write", level = "debug", skip_all, fields(rpc.method = request.method))]
    pub async fn write<T, E, M>(
        &self,
        request: WriteRequest<'_, M>,
        f: impl AsyncFnOnce(&mut UnitOfWork<'_>) -> Result<T, E>,
    ) -> Result<Written<T>, E>
    where
        T: Message + Default,
        E: From<Fault>,
        M: Message,
    {
        let hash = request.hash();
        let mut held = self.hold().await?;
        let mut transaction = held.begin(Mode::Write, &request.scope).await?;
        if let Some(stored) = claim(&mut transaction, &request).await? {
            roll_back(transaction).await;
            return Ok(self.replay(&request, &hash, &stored)?);
        }
        let mut unit = UnitOfWork::new(&mut transaction, self.inner(), request.scope.clone());
        match Box::pin(f(&mut unit)).await {
            Ok(answer) => {
                let pending = unit.into_pending();
                let sealed =
                    self.inner()
                        .keyring
                        .seal(Purpose::Answers, &answer.encode_to_vec(), &request.sealed_for(&hash));
                pending
                    .store_with_answer(&mut transaction, &request.key(), &hash, &sealed)
                    .await?;
                self.commit(transaction, pending.has_events()).await?;
                Ok(Written {
                    answer,
                    replayed: false,
                })
            }
            Err(refusal) => {
                roll_back(transaction).await;
                Err(refusal)
            }
        }
    }

    /// A write that carries no request id, because repeating it is harmless or is meant: a failed sign-in that is
    /// counted, an import that is idempotent by its content. For what a caller asks for with a request id, use
    /// [`write`](Self::write).
    pub async fn write_unkeyed<T, E>(
        &self,
        scope: &RowScope,
        f: impl AsyncFnOnce(&mut UnitOfWork<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Fault>,
    {
        self.unkeyed(scope, None, f).await
    }

    /// A write of a background job, over all rows. It is refused with `ABORTED` / `LEASE_LOST` if somebody else has the
    /// lease by now, and nobody can take the lease before it has committed.
    pub async fn work<T, E>(
        &self,
        lease: &Lease,
        f: impl AsyncFnOnce(&mut UnitOfWork<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Fault>,
    {
        self.unkeyed(&RowScope::everything(), Some(lease), f).await
    }

    #[tracing::instrument(name = "db.write", level = "debug", skip_all, fields(job = lease.map(Lease::name)))]
    async fn unkeyed<T, E>(
        &self,
        scope: &RowScope,
        lease: Option<&Lease>,
        f: impl AsyncFnOnce(&mut UnitOfWork<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Fault>,
    {
        let mut held = self.hold().await?;
        let mut transaction = held.begin(Mode::Write, scope).await?;
        if let Some(lease) = lease {
            lease.fence_in(&mut transaction).await?;
        }
        let mut unit = UnitOfWork::new(&mut transaction, self.inner(), scope.clone());
        match Box::pin(f(&mut unit)).await {
            Ok(value) => {
                let pending = unit.into_pending();
                pending.store(&mut transaction).await?;
                self.commit(transaction, pending.has_events()).await?;
                Ok(value)
            }
            Err(refusal) => {
                roll_back(transaction).await;
                Err(refusal)
            }
        }
    }

    async fn commit(&self, transaction: Transaction<'_, Postgres>, has_events: bool) -> Result<(), Fault> {
        transaction.commit().await.map_err(|error| match error {
            // Of class 57 are the last words of a server that shuts down, before or after the commit. Everything else that
            // it says is an answer: the transaction was rolled back.
            sqlx::Error::Database(said) if !said.code().is_some_and(|state| state.starts_with("57P")) => {
                sql_fault(sqlx::Error::Database(said))
            }
            lost => outcome_unknown(lost),
        })?;
        if has_events {
            self.inner().published.send_modify(|commits| *commits += 1);
        }
        Ok(())
    }

    fn replay<T, M>(&self, request: &WriteRequest<'_, M>, hash: &[u8; 32], stored: &Stored) -> Result<Written<T>, Fault>
    where
        T: Message + Default,
        M: Message,
    {
        if stored.request_hash != hash {
            return Err(Fault::new(
                Code::AlreadyExists,
                "REQUEST_ID_REUSED",
                "mã yêu cầu này đã được dùng cho một yêu cầu khác",
                "this request id was used for a different request",
            )
            .with("request_id", request.request_id.to_string()));
        }
        let opened = self
            .inner()
            .keyring
            .open_sealed(Purpose::Answers, &stored.answer, &request.sealed_for(hash));
        let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| {
            let mut fault = Fault::new(
                Code::DataLoss,
                "ANSWER_UNREADABLE",
                "yêu cầu đã được thực hiện nhưng không đọc lại được kết quả đã lưu",
                "the request was carried out, but its stored answer can no longer be read",
            )
            .caused_by(source);
            if let Some((kind, id)) = &stored.resource {
                fault = fault.with("resource", format!("{kind}/{id}"));
            }
            fault
        };
        let answer = opened.map_err(|error| unreadable(error.into()))?;
        Ok(Written {
            answer: T::decode(answer.as_slice()).map_err(|error| unreadable(error.into()))?,
            replayed: true,
        })
    }
}

/// Under what a stored answer is found.
pub(crate) struct RequestKey<'a> {
    pub(crate) caller: &'a str,
    pub(crate) method: &'static str,
    pub(crate) request_id: Uuid,
}

impl<M> WriteRequest<'_, M> {
    fn key(&self) -> RequestKey<'_> {
        RequestKey {
            caller: &self.caller_key,
            method: self.method,
            request_id: self.request_id,
        }
    }
}

struct Stored {
    request_hash: Vec<u8>,
    answer: Vec<u8>,
    resource: Option<(String, Uuid)>,
}

async fn claim<M>(conn: &mut PgConnection, request: &WriteRequest<'_, M>) -> Result<Option<Stored>, Fault> {
    let row =
        sqlx::query("SELECT request_hash, answer, resource_kind, resource_id FROM egov.claim_request($1, $2, $3)")
            .bind(request.caller_key.as_ref())
            .bind(request.method)
            .bind(request.request_id)
            .fetch_optional(conn)
            .await
            .map_err(sql_fault)?;
    row.map(|row| {
        let kind: Option<String> = row.try_get("resource_kind")?;
        let id: Option<Uuid> = row.try_get("resource_id")?;
        Ok(Stored {
            request_hash: row.try_get("request_hash")?,
            answer: row.try_get("answer")?,
            resource: kind.zip(id),
        })
    })
    .transpose()
    .map_err(sql_fault)
}

fn outcome_unknown(source: sqlx::Error) -> Fault {
    Fault::new(
        Code::Unavailable,
        "OUTCOME_UNKNOWN",
        "chưa biết kết quả của thao tác; hãy gửi lại đúng yêu cầu này",
        "whether the write happened is not known; send the same request again under its id",
    )
    .retry_after(std::time::Duration::from_secs(1))
    .caused_by(source)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// The parts, each with its length, so that no two lists of parts give the same bytes.
pub(crate) fn bound_to(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_lists_of_parts_never_give_the_same_bytes() {
        assert_ne!(bound_to(&[b"ab", b"c"]), bound_to(&[b"a", b"bc"]));
        assert_ne!(bound_to(&[b"ab"]), bound_to(&[b"ab", b""]));
    }

    #[test]
    fn the_hash_is_sha_256() {
        // FIPS 180-4, the empty message.
        assert_eq!(sha256(b"")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }
}
