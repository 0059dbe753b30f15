//! ListMySessions, ListSessions, EndSession, EndAllSessions.

use egov_auth::{Caller, CallerKind, ReadRecord, RowScope};
use egov_clock::Clock as _;
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    EndAllSessionsRequest, EndAllSessionsResponse, EndSessionRequest, EndSessionResponse, Session,
};
use uuid::Uuid;

use super::disable_account::administers;
use super::permission::READ_ACCOUNTS;
use super::read_access::wanted_account;
use super::recording::{About, record};
use crate::domain::account::Account;
use crate::domain::record::RecordKind;
use crate::domain::session::SessionEnd;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::store::revocations::Target;
use crate::{store, wire};

const END: &str = "/egov.identity.v1.SessionService/EndSession";
const END_ALL: &str = "/egov.identity.v1.SessionService/EndAllSessions";

/// The caller's own open sessions.
pub(crate) async fn list_my_sessions(identity: &Identity, caller: &Caller) -> Result<Vec<Session>, Fault> {
    let own = caller.principal.subject;
    let scope = RowScope {
        owner: Some(own),
        ..RowScope::none()
    };
    list(identity, caller, &scope, own).await
}

/// The open sessions of an account in the caller's scope. When somebody is at work is about them: reading another's is recorded.
pub(crate) async fn list_sessions(
    identity: &Identity,
    caller: &Caller,
    account_id: &str,
) -> Result<Vec<Session>, Fault> {
    let account_id = resource_id(account_id, IdentityError::AccountNotFound)?;
    let sessions = list(identity, caller, &caller.scope(READ_ACCOUNTS), account_id).await?;
    if account_id != caller.principal.subject {
        let resources = vec![format!("accounts/{account_id}/sessions")];
        let record = ReadRecord::of(caller, vec![account_id], resources, identity.clock.now());
        identity.reads.record(record).await?;
    }
    Ok(sessions)
}

async fn list(identity: &Identity, caller: &Caller, scope: &RowScope, account_id: Uuid) -> Result<Vec<Session>, Fault> {
    let now = identity.clock.now();
    let sessions = identity
        .database
        .read(scope, async |conn| {
            store::accounts::get(conn, scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            store::sessions::open_of(conn, account_id, now).await
        })
        .await?;
    Ok(sessions
        .iter()
        .map(|session| wire::session(session, caller.principal.session))
        .collect())
}

/// Ends a session of the caller's own, or of an account that the caller administers.
pub(crate) async fn end_session(
    identity: &Identity,
    caller: &Caller,
    request: &EndSessionRequest,
) -> Result<EndSessionResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let session_id = resource_id(&request.session_id, IdentityError::SessionNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, END, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let now = write.now();
            let account_id = store::sessions::lock_open(write.conn(), session_id, now)
                .await?
                .ok_or(IdentityError::SessionNotFound)?;
            let account = store::accounts::get(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::SessionNotFound)?;
            may_end(caller, write, &account)?;
            store::sessions::end(write.conn(), session_id, SessionEnd::Ended, now).await?;
            record(
                write,
                RecordKind::SessionEnded,
                about(caller, &account),
                format!("session {session_id}"),
            )
            .await?;
            let expiry = Identity::revocation_expiry(now);
            store::revocations::append(write.conn(), &Target::Session(session_id), now, expiry).await?;
            Ok::<_, Fault>(EndSessionResponse {})
        })
        .await?;
    identity.spread().await;
    Ok(EndSessionResponse {})
}

/// Signs out everywhere. Without the exception one entry of the feed makes void whatever was issued; with it each session has its
/// own, so that the one of this call goes on.
pub(crate) async fn end_all_sessions(
    identity: &Identity,
    caller: &Caller,
    request: &EndAllSessionsRequest,
) -> Result<EndAllSessionsResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let own = caller.principal.subject;
    let account_id = wanted_account(&request.account_id)?.unwrap_or(own);
    let but = caller
        .principal
        .session
        .filter(|_| request.except_current && account_id == own);
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, END_ALL, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let now = write.now();
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            may_end(caller, write, &account)?;
            let ended = store::sessions::end_all_but(write.conn(), account_id, but, SessionEnd::Ended, now).await?;
            let number = ended.len();
            record(
                write,
                RecordKind::SessionsEnded,
                about(caller, &account),
                format!("{number} sessions"),
            )
            .await?;
            let targets = match but {
                None => vec![Target::Subject(account_id)],
                Some(_) => ended.into_iter().map(Target::Session).collect(),
            };
            for target in targets {
                let expiry = Identity::revocation_expiry(now);
                store::revocations::append(write.conn(), &target, now, expiry).await?;
            }
            Ok::<_, Fault>(EndAllSessionsResponse {
                ended: i32::try_from(number).unwrap_or(i32::MAX),
            })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}

/// One's own sessions, or those of an account that one administers wholly.
fn may_end(caller: &Caller, write: &UnitOfWork<'_>, account: &Account) -> Result<(), Fault> {
    if caller.principal.kind == CallerKind::Staff && caller.principal.subject == account.account_id {
        return Ok(());
    }
    administers(caller, account, write.today())
}

fn about(caller: &Caller, account: &Account) -> About {
    About {
        subject: Some(account.account_id),
        unit: Some(account.unit_id),
        actor: Some(caller.principal.subject).filter(|actor| *actor != account.account_id),
    }
}
