//! The accounts and systems of a data folder: who they are, and the credentials with which the command speaks for them.
//!
//! The credentials are made once and kept in `DATA/demo.json`, which only its owner may read. They are saved before the
//! accounts are made, so that a start that was cut off can go on with the same ones.

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use egov_clock::Ids;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Profile;
use crate::place::Place;

/// The file in the data folder.
pub(crate) const FILE: &str = "demo.json";

/// The stand-in for VNeID under `up`: an issuer whose keys lie in the data folder.
pub(crate) const CITIZEN_ISSUER: &str = "https://vneid.test.invalid";

/// The client id of the portal.
pub(crate) const PORTAL: &str = "national-portal";

/// Who is there in a demonstration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The user name, and the name for `--as`.
    pub(crate) name: &'static str,
    /// The person's name.
    pub(crate) full_name: &'static str,
    /// What they are.
    pub(crate) title: &'static str,
    /// The role, as the policies name it.
    pub(crate) role: &'static str,
    /// The unit to which they belong.
    pub(crate) home: &'static str,
    /// The unit at which they have the role.
    pub(crate) unit: &'static str,
}

/// The administrator, who is there in every profile.
pub(crate) const ADMIN: Member = Member {
    name: "admin",
    full_name: "Nguyễn Quản Trị",
    title: "quản trị hệ thống",
    role: "province_admin",
    home: "40",
    unit: "40",
};

/// The staff of the demonstration.
pub(crate) const STAFF: [Member; 10] = [
    Member {
        name: "clerk",
        full_name: "Trần Thị Một Cửa",
        title: "công chức bộ phận một cửa, phường Trường Vinh",
        role: "one_stop_clerk",
        home: "16690.PVHCC",
        unit: "16690",
    },
    Member {
        name: "officer",
        full_name: "Lê Văn Hộ Tịch",
        title: "công chức tư pháp - hộ tịch, phường Trường Vinh",
        role: "officer",
        home: "16690",
        unit: "16690",
    },
    Member {
        name: "leader",
        full_name: "Phạm Thị Lãnh Đạo",
        title: "lãnh đạo, phường Trường Vinh",
        role: "unit_leader",
        home: "16690",
        unit: "16690",
    },
    Member {
        name: "reader",
        full_name: "Hoàng Văn Theo Dõi",
        title: "công chức theo dõi (chỉ đọc), phường Trường Vinh",
        role: "case_reader",
        home: "16690",
        unit: "16690",
    },
    Member {
        name: "accountant",
        full_name: "Ngô Thị Kế Toán",
        title: "kế toán phí, lệ phí, phường Trường Vinh",
        role: "fee_accountant",
        home: "16690",
        unit: "16690",
    },
    Member {
        name: "neighbour",
        full_name: "Võ Thị Láng Giềng",
        title: "công chức hộ tịch, phường Thành Vinh",
        role: "officer",
        home: "16681",
        unit: "16681",
    },
    Member {
        name: "registrar",
        full_name: "Phan Thị Sổ Bộ",
        title: "công chức tư pháp - hộ tịch giữ sổ, phường Trường Vinh",
        role: "civil_status_officer",
        home: "16690",
        unit: "16690",
    },
    Member {
        name: "chair",
        full_name: "Hồ Văn Chủ Tịch",
        title: "Chủ tịch Uỷ ban nhân dân phường Trường Vinh (hộ tịch)",
        role: "civil_status_chair",
        home: "16690",
        unit: "16690",
    },
    Member {
        name: "controller",
        full_name: "Đặng Văn Kiểm Soát",
        title: "công chức kiểm soát thủ tục hành chính, tỉnh Nghệ An",
        role: "procedure_controller",
        home: "40",
        unit: "40",
    },
    Member {
        name: "auditor",
        full_name: "Bùi Thị Giám Sát",
        title: "giám sát bảo vệ dữ liệu cá nhân, tỉnh Nghệ An",
        role: "data_protection_auditor",
        home: "40",
        unit: "40",
    },
];

/// What each profile has.
pub(crate) fn members(profile: Profile) -> Vec<Member> {
    let mut members = vec![ADMIN];
    if profile == Profile::Demo {
        members.extend(STAFF);
    }
    members
}

/// The credentials of a data folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Of the staff.
    pub(crate) accounts: Vec<Account>,
    /// Of the portal.
    pub(crate) portal: Option<Portal>,
    /// Of the stand-in for VNeID.
    pub(crate) citizen_issuer: Option<Key>,
    /// The citizen who files.
    pub(crate) citizen: Option<Citizen>,
}

/// A member of staff.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// The user name.
    pub(crate) name: String,
    /// The password.
    pub(crate) password: String,
    /// The secret of the one-time codes, base32.
    pub(crate) totp_secret: String,
    /// The account's id, once it was made.
    pub(crate) id: Option<Uuid>,
}

/// The portal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Portal {
    /// Its client id.
    pub(crate) client_id: String,
    /// Its key.
    pub(crate) key: Key,
}

/// The citizen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Citizen {
    /// Who it is for the issuer.
    pub(crate) subject: String,
    /// The name.
    pub(crate) full_name: String,
    /// Số định danh cá nhân; made up, of a form that is valid.
    pub(crate) personal_number: String,
}

/// A key for ES256 signatures.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// The private half: PKCS #8, base64.
    private: String,
    /// The public half, a JWK.
    pub(crate) public: serde_json::Value,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A new key.
    fn generate(ids: &dyn Ids) -> anyhow::Result<Self> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .ok()
            .context("no key could be made")?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
            .ok()
            .context("the new key cannot be read")?;
        // SEC 1: 4, then both coordinates.
        let point = pair.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .and_then(|both| both.split_at_checked(32))
            .context("the new key is no point")?;
        Ok(Self {
            private: STANDARD.encode(document.as_ref()),
            public: serde_json::json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": ids.uuid().to_string(),
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            }),
        })
    }

    /// Signs the claims of an assertion.
    pub(crate) fn assertion(&self, claims: &serde_json::Value) -> anyhow::Result<String> {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = self
            .public
            .get("kid")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        let private = STANDARD
            .decode(&self.private)
            .context("a key of the demonstration is damaged")?;
        let key = jsonwebtoken::EncodingKey::from_ec_der(&private);
        jsonwebtoken::encode(&header, claims, &key).context("an assertion cannot be signed")
    }
}

impl Credentials {
    /// The credentials of the folder, with what the profile still lacks made and saved.
    pub(crate) fn complete(place: &Place, profile: Profile, ids: &dyn Ids) -> anyhow::Result<Self> {
        let mut credentials: Self = place.read(FILE)?.unwrap_or_default();
        for member in members(profile) {
            if credentials.account(member.name).is_none() {
                let mut secret = [0; egov_identity::totp::SECRET_BYTES];
                ids.random_bytes(&mut secret);
                credentials.accounts.push(Account {
                    name: member.name.to_owned(),
                    password: secret_text(ids),
                    totp_secret: egov_identity::totp::base32(&secret),
                    id: None,
                });
            }
        }
        if profile == Profile::Demo {
            if credentials.portal.is_none() {
                credentials.portal = Some(Portal {
                    client_id: PORTAL.to_owned(),
                    key: Key::generate(ids)?,
                });
            }
            if credentials.citizen_issuer.is_none() {
                credentials.citizen_issuer = Some(Key::generate(ids)?);
            }
            if credentials.citizen.is_none() {
                credentials.citizen = Some(Citizen {
                    subject: ids.uuid().to_string(),
                    full_name: "Nguyễn Thị Hường".to_owned(),
                    personal_number: "040190000123".to_owned(),
                });
            }
        }
        credentials.save(place)?;
        Ok(credentials)
    }

    /// The credentials of the folder as they are.
    pub(crate) fn load(place: &Place) -> anyhow::Result<Self> {
        Ok(place.read(FILE)?.unwrap_or_default())
    }

    /// Keeps them.
    pub(crate) fn save(&self, place: &Place) -> anyhow::Result<()> {
        place.write(FILE, self)
    }

    /// An account by its name.
    pub(crate) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }
}

/// A secret that nobody guesses: 24 random bytes as text.
pub(crate) fn secret_text(ids: &dyn Ids) -> String {
    let mut bytes = [0; 24];
    ids.random_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use egov_clock::SystemIds;

    use super::*;

    #[test]
    fn credentials_are_made_once_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::make(folder.path()).unwrap();
        let ids = SystemIds::default();
        let first = Credentials::complete(&place, Profile::Demo, &ids).unwrap();
        let second = Credentials::complete(&place, Profile::Demo, &ids).unwrap();
        assert_eq!(
            first.account("clerk").unwrap().password,
            second.account("clerk").unwrap().password
        );
        assert_eq!(first.portal.unwrap().key.public, second.portal.unwrap().key.public);
        let mode = std::fs::metadata(place.path(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn production_has_an_administrator_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::make(folder.path()).unwrap();
        let made = Credentials::complete(&place, Profile::Production, &SystemIds::default()).unwrap();
        assert_eq!(made.accounts.len(), 1);
        assert!(made.portal.is_none() && made.citizen_issuer.is_none());
    }
}
