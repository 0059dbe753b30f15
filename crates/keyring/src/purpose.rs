//! What a key is for.

use std::fmt;
use std::str::FromStr;

use crate::KeyringError;

/// What a key is for. A key of one purpose is never used for another, and the purpose is part of what a sealed text
/// and an authentication code are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Signs the access tokens that identity issues.
    TokenSigning,
    /// Signs the snapshots of the unit tree that the other services cache.
    TreeSigning,
    /// Seals the page tokens of lists.
    PageTokens,
    /// Seals the stored answers of writes and columns with personal data.
    Answers,
    /// Signs receipts (giấy tiếp nhận hồ sơ và hẹn trả kết quả).
    Receipts,
    /// Signs the checkpoints of the ledger.
    Checkpoints,
    /// Authenticates what is sent to other systems.
    Webhooks,
    /// Authenticates the secrets with which the public looks up a case.
    LookupSecrets,
    /// Signs the assertions with which identity proves at foreign OpenID Connect issuers that it is their client.
    ClientAssertions,
    /// Seals what may lie sealed for years: bodies of exchanges, messages in mailboxes, what is sent to partners and what they
    /// answered.
    Bodies,
}

impl Purpose {
    /// Every purpose, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::TokenSigning,
        Self::TreeSigning,
        Self::PageTokens,
        Self::Answers,
        Self::Receipts,
        Self::Checkpoints,
        Self::Webhooks,
        Self::LookupSecrets,
        Self::ClientAssertions,
        Self::Bodies,
    ];

    /// The purpose's name: the file's name without `.json`, and the name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenSigning => "token-signing",
            Self::TreeSigning => "tree-signing",
            Self::PageTokens => "page-tokens",
            Self::Answers => "answers",
            Self::Receipts => "receipts",
            Self::Checkpoints => "checkpoints",
            Self::Webhooks => "webhooks",
            Self::LookupSecrets => "lookup-secrets",
            Self::ClientAssertions => "client-assertions",
            Self::Bodies => "bodies",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Purpose {
    type Err = KeyringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.name() == text)
            .ok_or(KeyringError::UnknownPurpose)
    }
}

/// One value for every purpose: a map that cannot lack one.
#[derive(Clone, Debug)]
pub(crate) struct PerPurpose<T> {
    token_signing: T,
    tree_signing: T,
    page_tokens: T,
    answers: T,
    receipts: T,
    checkpoints: T,
    webhooks: T,
    lookup_secrets: T,
    client_assertions: T,
    bodies: T,
}

impl<T> PerPurpose<T> {
    pub(crate) fn try_new<E>(mut make: impl FnMut(Purpose) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            token_signing: make(Purpose::TokenSigning)?,
            tree_signing: make(Purpose::TreeSigning)?,
            page_tokens: make(Purpose::PageTokens)?,
            answers: make(Purpose::Answers)?,
            receipts: make(Purpose::Receipts)?,
            checkpoints: make(Purpose::Checkpoints)?,
            webhooks: make(Purpose::Webhooks)?,
            lookup_secrets: make(Purpose::LookupSecrets)?,
            client_assertions: make(Purpose::ClientAssertions)?,
            bodies: make(Purpose::Bodies)?,
        })
    }

    pub(crate) fn get(&self, purpose: Purpose) -> &T {
        match purpose {
            Purpose::TokenSigning => &self.token_signing,
            Purpose::TreeSigning => &self.tree_signing,
            Purpose::PageTokens => &self.page_tokens,
            Purpose::Answers => &self.answers,
            Purpose::Receipts => &self.receipts,
            Purpose::Checkpoints => &self.checkpoints,
            Purpose::Webhooks => &self.webhooks,
            Purpose::LookupSecrets => &self.lookup_secrets,
            Purpose::ClientAssertions => &self.client_assertions,
            Purpose::Bodies => &self.bodies,
        }
    }

    pub(crate) fn get_mut(&mut self, purpose: Purpose) -> &mut T {
        match purpose {
            Purpose::TokenSigning => &mut self.token_signing,
            Purpose::TreeSigning => &mut self.tree_signing,
            Purpose::PageTokens => &mut self.page_tokens,
            Purpose::Answers => &mut self.answers,
            Purpose::Receipts => &mut self.receipts,
            Purpose::Checkpoints => &mut self.checkpoints,
            Purpose::Webhooks => &mut self.webhooks,
            Purpose::LookupSecrets => &mut self.lookup_secrets,
            Purpose::ClientAssertions => &mut self.client_assertions,
            Purpose::Bodies => &mut self.bodies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_read_back_from_its_name() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.to_string().parse::<Purpose>().unwrap(), purpose);
        }
        assert!("tokens".parse::<Purpose>().is_err());
    }

    #[test]
    fn every_purpose_has_its_own_place() {
        let mut names = PerPurpose::try_new(|purpose| Ok::<_, ()>(purpose.name())).unwrap();
        for purpose in Purpose::ALL {
            assert_eq!(*names.get(purpose), purpose.name());
            *names.get_mut(purpose) = "";
            assert_eq!(*names.get(purpose), "");
        }
    }
}
