//! Time stamps (dấu thời gian, RFC 3161): an authority of its own says that a checkpoint existed at a time.
//!
//! What is stamped is SHA-256 of the text that the log signed. A token is believed if its signature is that of a certificate for time stamping
//! which leads, at the time that it says, to a root that the operator named. That the token itself names the certificate (RFC 5035) is
//! not checked: another certificate of the same key would have to be issued by the same authority.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{self, Algorithm, SHA256, SHA384, SHA512};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Int, ObjectIdentifier, OctetString};
use der::{Any, Decode as _, Encode as _};
use egov_auth::RowScope;
use egov_database::UnitOfWork;
use egov_fault::{Code, Fault};
use egov_runtime::config::Period;
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::spki::AlgorithmIdentifier;
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

use crate::error::Error;
use crate::log::Log;
use crate::store::{self, StoredStamp};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// id-kp-timeStamping, 1.3.6.1.5.5.7.3.8, as bytes.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 256 * 1024;

/// `[[ledger.time_stamps]]`: an authority of time stamps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityConfig {
    /// Its name in this configuration.
    pub name: String,
    /// Its address. Plain HTTP is usual and enough: the token proves itself.
    pub url: String,
    /// The certificates to which its own must lead, PEM.
    pub roots: PathBuf,
    /// How often a checkpoint is stamped.
    #[serde(default = "hourly")]
    pub every: Period,
}

fn hourly() -> Period {
    Period::seconds(3600)
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampProblem {
    /// The token is not of this form.
    #[error("it is not a token: {0}")]
    Malformed(&'static str),
    /// The authority refused.
    #[error("the authority refused with status {0}")]
    Refused(u32),
    /// It is over something else.
    #[error("it is over another text")]
    OtherText,
    /// It answers another request.
    #[error("it answers another request")]
    OtherRequest,
    /// Its certificate does not lead to a root that is trusted.
    #[error("its certificate is not one for time stamps that leads to a trusted root")]
    NotTrusted,
    /// Its signature is wrong.
    #[error("its signature is wrong")]
    WrongSignature,
}

/// The roots of an authority.
#[derive(Clone, Debug)]
pub struct StampRoots {
    certificates: Vec<CertificateDer<'static>>,
}

impl StampRoots {
    /// Reads the certificates of a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, StampProblem> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| StampProblem::Malformed("the roots are not PEM"))?;
        if certificates.is_empty() {
            return Err(StampProblem::Malformed("there is no root"));
        }
        Ok(Self { certificates })
    }

    /// Checks that a token is over this text; answers with the time in it.
    pub fn verify(&self, token: &[u8], text: &[u8]) -> Result<Timestamp, StampProblem> {
        let (info, content, signed) = open(token)?;
        if info.message_imprint.hash_algorithm.oid != SHA_256
            || info.message_imprint.hashed_message.as_bytes() != digest::digest(&SHA256, text).as_ref()
        {
            return Err(StampProblem::OtherText);
        }
        let [signer] = signed.signer_infos.0.as_slice() else {
            return Err(StampProblem::Malformed("it has not exactly one signer"));
        };
        let message = signed_message(signer, &content)?;
        let certificates = certificates(&signed)?;
        let own = certificates
            .iter()
            .find(|(certificate, _)| is_of(certificate, &signer.sid))
            .ok_or(StampProblem::NotTrusted)?;
        let seconds = info.gen_time.to_unix_duration();
        let der: Vec<CertificateDer<'_>> = certificates
            .iter()
            .map(|(_, der)| CertificateDer::from(der.as_slice()))
            .collect();
        let own_der = CertificateDer::from(own.1.as_slice());
        let own = webpki::EndEntityCert::try_from(&own_der).map_err(|_| StampProblem::NotTrusted)?;
        let anchors: Vec<_> = self
            .certificates
            .iter()
            .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
            .collect();
        own.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &der,
            UnixTime::since_unix_epoch(seconds),
            webpki::KeyUsage::required(TIME_STAMPING),
            None,
            None,
        )
        .map_err(|_| StampProblem::NotTrusted)?;
        // The key allows one kind of signature; which digest it is over, the signature itself decides.
        let holds = webpki::ALL_VERIFICATION_ALGS.iter().any(|algorithm| {
            own.verify_signature(*algorithm, &message, signer.signature.as_bytes())
                .is_ok()
        });
        if !holds {
            return Err(StampProblem::WrongSignature);
        }
        i64::try_from(seconds.as_secs())
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or(StampProblem::Malformed("its time is out of range"))
    }
}

fn malformed(what: &'static str) -> impl Fn(der::Error) -> StampProblem {
    move |_| StampProblem::Malformed(what)
}

/// What a token says, the bytes that its signer digested, and who signed.
fn open(token: &[u8]) -> Result<(TstInfo, Vec<u8>, SignedData), StampProblem> {
    let token = ContentInfo::from_der(token).map_err(malformed("no CMS"))?;
    if token.content_type != SIGNED_DATA {
        return Err(StampProblem::Malformed("it is not signed"));
    }
    let signed: SignedData = token.content.decode_as().map_err(malformed("no signed data"))?;
    if signed.encap_content_info.econtent_type != TST_INFO {
        return Err(StampProblem::Malformed("it is not a time stamp"));
    }
    let content = signed.encap_content_info.econtent.as_ref().map(Any::value);
    let content = content.ok_or(StampProblem::Malformed("it has no content"))?.to_vec();
    let info = TstInfo::from_der(&content).map_err(malformed("no time stamp"))?;
    Ok((info, content, signed))
}

/// The bytes that the signer signed: its attributes, which must name the kind and the digest of the content.
fn signed_message(signer: &SignerInfo, content: &[u8]) -> Result<Vec<u8>, StampProblem> {
    let attributes = signer
        .signed_attrs
        .as_ref()
        .ok_or(StampProblem::Malformed("it has no signed attributes"))?;
    let value = |wanted: ObjectIdentifier| {
        attributes
            .iter()
            .find(|attribute| attribute.oid == wanted)
            .and_then(|attribute| attribute.values.get(0))
            .ok_or(StampProblem::Malformed("it lacks a signed attribute"))
    };
    let kind: ObjectIdentifier = value(CONTENT_TYPE)?.decode_as().map_err(malformed("no kind"))?;
    let stated: OctetString = value(MESSAGE_DIGEST)?.decode_as().map_err(malformed("no digest"))?;
    let algorithm: &'static Algorithm = match signer.digest_alg.oid {
        SHA_256 => &SHA256,
        SHA_384 => &SHA384,
        SHA_512 => &SHA512,
        _ => return Err(StampProblem::Malformed("its digest is not SHA-2")),
    };
    if kind != TST_INFO || digest::digest(algorithm, content).as_ref() != stated.as_bytes() {
        return Err(StampProblem::WrongSignature);
    }
    attributes.to_der().map_err(malformed("no attributes"))
}

fn certificates(signed: &SignedData) -> Result<Vec<(Certificate, Vec<u8>)>, StampProblem> {
    let set = signed.certificates.as_ref().ok_or(StampProblem::NotTrusted)?;
    set.0
        .iter()
        .filter_map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => Some(certificate),
            CertificateChoices::Other(_) => None,
        })
        .map(|certificate| {
            Ok((
                certificate.clone(),
                certificate.to_der().map_err(malformed("no certificate"))?,
            ))
        })
        .collect()
}

fn is_of(certificate: &Certificate, sid: &SignerIdentifier) -> bool {
    let own = &certificate.tbs_certificate;
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            own.issuer == named.issuer && own.serial_number == named.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(named) => own
            .get::<SubjectKeyIdentifier>()
            .ok()
            .flatten()
            .is_some_and(|(_, id)| id == *named),
    }
}

/// The request over a text.
fn request(text: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, StampProblem> {
    let imprint = digest::digest(&SHA256, text);
    let request = TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifier {
                oid: SHA_256,
                parameters: Some(Any::null()),
            },
            hashed_message: OctetString::new(imprint.as_ref()).map_err(malformed("no imprint"))?,
        },
        req_policy: None,
        nonce: Some(Int::new(&nonce).map_err(malformed("no nonce"))?),
        cert_req: true,
        extensions: None,
    };
    request.to_der().map_err(malformed("no request"))
}

/// The token of an answer to the request with this nonce.
fn token_of(answer: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, StampProblem> {
    let answer = TimeStampResp::from_der(answer).map_err(malformed("no answer"))?;
    let status = answer.status.status as u32;
    let token = match answer.time_stamp_token {
        Some(token) if status <= 1 => token.to_der().map_err(malformed("no token"))?,
        _ => return Err(StampProblem::Refused(status)),
    };
    let (info, ..) = open(&token)?;
    let answered = info.nonce.map(|nonce| nonce.as_bytes().to_vec());
    if answered.as_deref() != Some(nonce.as_slice()) {
        return Err(StampProblem::OtherRequest);
    }
    Ok(token)
}

/// An authority that is asked for time stamps.
#[derive(Clone, Debug)]
pub struct StampAuthority {
    name: String,
    url: String,
    roots: StampRoots,
    every: Duration,
    http: reqwest::Client,
}

impl StampAuthority {
    /// The authority of this configuration.
    pub fn new(config: &AuthorityConfig, roots: StampRoots, http: reqwest::Client) -> Self {
        Self {
            name: config.name.clone(),
            url: config.url.clone(),
            roots,
            every: config.every.get(),
            http,
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its certificates must lead.
    pub fn roots(&self) -> &StampRoots {
        &self.roots
    }

    /// Has the newest checkpoint stamped, unless it is already; the size, or none if there is nothing to stamp.
    pub async fn stamp(&self, log: &Log) -> Result<Option<u64>, Error> {
        let (epoch, last, known) = log
            .database
            .read(&RowScope::none(), async |conn| {
                let epoch = store::current_epoch(conn).await?;
                let last = store::last_checkpoint(conn, epoch).await?;
                let size = last.as_ref().map_or(0, |last| last.size);
                let known = store::stamps(conn, epoch, Some(size)).await?;
                Ok::<_, Error>((epoch, last, known))
            })
            .await?;
        let Some(last) = last.filter(|_| known.iter().all(|stamp| stamp.authority != self.name)) else {
            return Ok(None);
        };
        let signed: egov_ledger::SignedCheckpoint = last.note.parse()?;
        let text = signed.note().text.as_bytes();
        let mut nonce = [0; 8];
        log.database.ids().random_bytes(&mut nonce);
        // A positive number without leading zeros, so that its bytes come back as they are.
        nonce[0] = nonce[0] & 0x3f | 0x40;
        let failed = |problem: &(dyn std::error::Error + 'static)| {
            Fault::new(
                Code::Unavailable,
                "TIME_STAMP_FAILED",
                "không lấy được dấu thời gian",
                format!("the authority {} gave no time stamp: {problem}", self.name),
            )
        };
        let asked = request(text, nonce).map_err(|problem| failed(&problem))?;
        let answer = self
            .http
            .post(&self.url)
            .header("content-type", "application/timestamp-query")
            .header("accept", "application/timestamp-reply")
            .body(asked)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| failed(&error))?;
        let mut body = Vec::new();
        let mut answer = answer;
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(failed(&StampProblem::Malformed("its answer is too long")).into());
            }
        }
        let token = token_of(&body, nonce).map_err(|problem| failed(&problem))?;
        let time = self.roots.verify(&token, text).map_err(|problem| failed(&problem))?;
        let stamp = StoredStamp {
            size: last.size,
            authority: self.name.clone(),
            token,
            time,
        };
        log.database
            .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                store::add_stamp(unit.conn(), epoch, &stamp, now).await
            })
            .await?;
        Ok(Some(last.size))
    }

    /// Has checkpoints stamped until `shutdown`.
    pub async fn stamp_until(self, log: Arc<Log>, shutdown: CancellationToken) {
        loop {
            let pause = match self.stamp(&log).await {
                Ok(_) => self.every,
                Err(error) => {
                    tracing::warn!(log = log.id(), authority = self.name, %error, "no time stamp");
                    self.every.min(Duration::from_mins(1))
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
