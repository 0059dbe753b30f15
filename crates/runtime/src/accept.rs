//! The one entry of every handler.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::Caller;
use egov_fault::{Code, Fault};
use prost_reflect::ReflectMessage;
use rustls_pki_types::CertificateDer;
use tonic::metadata::MetadataMap;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Extensions, Request, Status};

use crate::contract::Contract;

/// The name of a request: the caller's header `x-request-id`, or one made here. It stands in the log and in the
/// answer's header, and is not the `request_id` of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub(crate) fn new(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request whose message keeps every rule of its contract.
#[derive(Debug)]
pub struct Accepted<T> {
    /// The message.
    pub message: T,
    caller: Option<Caller>,
    metadata: MetadataMap,
    extensions: Extensions,
}

/// Takes a request in: checks its message against the contract and picks up who calls.
///
/// ```ignore
/// async fn get_case(&self, request: Request<GetCaseRequest>) -> Result<Response<GetCaseResponse>, Status> {
///     let request = accept(&self.contract, request)?;
///     let case = self.operations.get_case(request.caller()?, request.message).await?;
///     Ok(Response::new(case))
/// }
/// ```
///
/// # Errors
/// `INVALID_ARGUMENT` / `INVALID_FIELD` with every violation.
pub fn accept<T: ReflectMessage>(contract: &Contract, request: Request<T>) -> Result<Accepted<T>, Status> {
    let (metadata, mut extensions, message) = request.into_parts();
    contract.validate(&message)?;
    Ok(Accepted {
        message,
        caller: extensions.remove::<Caller>(),
        metadata,
        extensions,
    })
}

impl<T> Accepted<T> {
    /// Who calls.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` / `TOKEN_MISSING` if the RPC is public and was called without a token.
    pub fn caller(&self) -> Result<&Caller, Fault> {
        self.caller.as_ref().ok_or_else(|| {
            Fault::new(
                Code::Unauthenticated,
                "TOKEN_MISSING",
                "cần đăng nhập để thực hiện",
                "no token was sent",
            )
        })
    }

    /// Who calls, or `None` for a public RPC without a token.
    pub fn caller_if_known(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// For which purpose personal data is read: what the caller said in `x-egov-purpose`.
    pub fn purpose(&self) -> Option<&str> {
        self.caller.as_ref()?.purpose.as_deref()
    }

    /// The name of the request; `None` outside of a [`Server`](crate::server::Server).
    pub fn request_id(&self) -> Option<&str> {
        self.extensions.get::<RequestId>().map(RequestId::as_str)
    }

    /// The time left until the caller's deadline; `None` outside of a [`Server`](crate::server::Server).
    pub fn remaining(&self) -> Option<Duration> {
        crate::server::remaining()
    }

    /// The certificate chain that the client showed, its own first; `None` without mTLS.
    pub fn client_certificates(&self) -> Option<Arc<Vec<CertificateDer<'static>>>> {
        self.extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.peer_certs()
    }

    /// The metadata of the request.
    pub fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }
}
