//! People of a seed.

use egov_codes::{PersonalNumber, PhoneNumber, Sex, fold};
use jiff::civil::Date;
use rand::{Rng, RngExt as _};
use uuid::{Builder, Uuid};

use crate::{NameLists, PopulationError, source};

/// The most people that a population may have: the last six digits of a personal number tell them apart.
pub(crate) const LARGEST: u64 = 1_000_000;

/// Which draws are made for a person, apart from those for other things of the same seed.
const PURPOSE: u32 = 0x5045_4F50;

/// The beginnings of mobile numbers, without the leading zero.
const MOBILE: [&str; 12] = ["32", "33", "34", "36", "38", "39", "86", "91", "94", "96", "97", "98"];

/// Somebody who does not exist.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their number in the population, from 0.
    pub index: u64,
    /// Họ.
    pub surname: String,
    /// Họ và tên.
    pub full_name: String,
    /// Giới tính.
    pub sex: Sex,
    /// Ngày sinh.
    pub birth: Date,
    /// Số định danh cá nhân: Nghệ An (040), sex, century and year of birth as they are.
    pub personal_number: PersonalNumber,
    /// Số điện thoại di động.
    pub phone: PhoneNumber,
    /// Thư điện tử in a domain that nobody has (RFC 2606).
    pub email: String,
    /// The citizen's account with an issuer of electronic identities.
    pub account: Uuid,
    /// Số nhà, and the number of the hamlet.
    pub house: (u16, u8),
}

/// The people of a seed.
#[derive(Debug)]
pub struct Population {
    names: NameLists,
    seed: u64,
    size: u64,
    born: (i16, i16),
}

impl Population {
    /// `size` people born in these years, both included.
    ///
    /// # Errors
    /// When there would be more than a million people, nobody, or somebody without a name.
    pub fn new(names: NameLists, seed: u64, size: u64, born: (i16, i16)) -> Result<Self, PopulationError> {
        if size > LARGEST {
            return Err(PopulationError::TooLarge);
        }
        if size == 0 || born.0 > born.1 {
            return Err(PopulationError::NothingToDraw {
                what: "the population".to_owned(),
            });
        }
        names.cover(born)?;
        Ok(Self {
            names,
            seed,
            size,
            born,
        })
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The person with this number; numbers beyond the last begin again.
    ///
    /// # Errors
    /// None that [`Population::new`] has not excluded.
    pub fn person(&self, index: u64) -> Result<Person, PopulationError> {
        let index = index % self.size;
        let mut rng = source(self.seed, PURPOSE, index);
        let sex = if rng.random_bool(0.5) { Sex::Male } else { Sex::Female };
        let year = rng.random_range(self.born.0..=self.born.1);
        let first = Date::new(year, 1, 1).unwrap_or(Date::ZERO);
        let birth = first
            .checked_add(jiff::Span::new().days(rng.random_range(0..i64::from(first.days_in_year()))))
            .unwrap_or(first);
        let name = self.names.draw(&mut rng, sex, year)?;

        // Multipliers without a factor in common with a power of ten, so that different people get different digits.
        let last_six = (index * 999_983 + self.seed % LARGEST) % LARGEST;
        let century = (year - 1900) / 100 * 2 + i16::from(sex == Sex::Female);
        let personal_number = format!("040{century}{:02}{last_six:06}", year.rem_euclid(100))
            .parse()
            .map_err(|_| PopulationError::TooLarge)?;
        let beginning = MOBILE.get(rng.random_range(0..MOBILE.len())).copied().unwrap_or("91");
        let subscriber = (index * 7_654_321 + self.seed % 10_000_000) % 10_000_000;
        let phone = format!("0{beginning}{subscriber:07}")
            .parse()
            .map_err(|_| PopulationError::TooLarge)?;
        let address: String = fold(&name.full)
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        Ok(Person {
            index,
            surname: name.surname,
            email: format!("{address}.{index}@example.vn"),
            full_name: name.full,
            sex,
            birth,
            personal_number,
            phone,
            account: Builder::from_random_bytes(random_16(&mut rng)).into_uuid(),
            house: (rng.random_range(1..=220), rng.random_range(1..=24)),
        })
    }
}

fn random_16(rng: &mut impl Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    bytes
}
