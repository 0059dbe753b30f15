//! Họ, tên đệm, tên: the lists of a pack.

use egov_codes::Sex;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{PopulationError, Weighted};

/// The files of the pack, as text.
#[derive(Clone, Copy, Debug)]
pub struct NamePack<'a> {
    /// surnames.csv
    pub surnames: &'a str,
    /// middle_names.csv
    pub middle_names: &'a str,
    /// given_names.csv
    pub given_names: &'a str,
    /// name_lengths.csv
    pub name_lengths: &'a str,
}

#[derive(Deserialize)]
struct SurnameRow {
    surname: String,
    share: f64,
}

#[derive(Deserialize)]
struct MiddleRow {
    sex: String,
    born_from: i16,
    born_to: i16,
    position: String,
    middle: String,
    share: f64,
}

#[derive(Deserialize)]
struct GivenRow {
    sex: String,
    born_from: i16,
    born_to: i16,
    given: String,
    share: f64,
}

#[derive(Deserialize)]
struct LengthRow {
    sex: String,
    words: u8,
    share: f64,
}

/// A list for the people of a sex born in some years.
#[derive(Debug)]
struct Cohort {
    sex: Sex,
    born_from: i16,
    born_to: i16,
    names: Weighted<String>,
}

/// Names with their shares.
#[derive(Debug)]
pub struct NameLists {
    surnames: Weighted<String>,
    first_middles: Vec<Cohort>,
    second_middles: Vec<Cohort>,
    given: Vec<Cohort>,
    /// How many words a name has: of men, of women.
    lengths: [Weighted<u8>; 2],
}

/// A drawn name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) surname: String,
    pub(crate) full: String,
}

const fn word(sex: Sex) -> &'static str {
    match sex {
        Sex::Male => "male",
        Sex::Female => "female",
    }
}

fn rows<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<Vec<T>, PopulationError> {
    csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|source| PopulationError::Table { file, source })
}

/// Groups rows by sex and years; the lists of one kind must not overlap, the first that fits is taken.
fn cohorts(
    what: &str,
    rows: impl Iterator<Item = (String, i16, i16, String, f64)>,
) -> Result<Vec<Cohort>, PopulationError> {
    type Names = Vec<(String, f64)>;
    let mut groups: Vec<((String, i16, i16), Names)> = Vec::new();
    for (sex, from, to, name, share) in rows {
        let key = (sex, from, to);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, names)) => names.push((name, share)),
            None => groups.push((key, vec![(name, share)])),
        }
    }
    groups
        .into_iter()
        .map(|((sex, born_from, born_to), names)| {
            Ok(Cohort {
                sex: if sex == word(Sex::Male) { Sex::Male } else { Sex::Female },
                born_from,
                born_to,
                names: Weighted::new(&format!("{what} of {sex} born {born_from} to {born_to}"), names)?,
            })
        })
        .collect()
}

fn find<'a>(
    list: &'static str,
    cohorts: &'a [Cohort],
    sex: Sex,
    year: i16,
) -> Result<&'a Weighted<String>, PopulationError> {
    cohorts
        .iter()
        .find(|cohort| cohort.sex == sex && (cohort.born_from..=cohort.born_to).contains(&year))
        .map(|cohort| &cohort.names)
        .ok_or_else(|| PopulationError::Uncovered {
            list,
            sex: word(sex),
            year,
        })
}

impl NameLists {
    /// Reads the lists.
    pub fn from_text(pack: &NamePack<'_>) -> Result<Self, PopulationError> {
        let surnames: Vec<SurnameRow> = rows("surnames.csv", pack.surnames)?;
        let middles: Vec<MiddleRow> = rows("middle_names.csv", pack.middle_names)?;
        let given: Vec<GivenRow> = rows("given_names.csv", pack.given_names)?;
        let lengths: Vec<LengthRow> = rows("name_lengths.csv", pack.name_lengths)?;
        let (first, second): (Vec<MiddleRow>, Vec<MiddleRow>) =
            middles.into_iter().partition(|row| row.position == "first");
        let middle = |row: MiddleRow| (row.sex, row.born_from, row.born_to, row.middle, row.share);
        let length = |sex: Sex| {
            let of_sex = lengths.iter().filter(|row| row.sex == word(sex));
            Weighted::new("name_lengths.csv", of_sex.map(|row| (row.words, row.share)))
        };
        Ok(Self {
            surnames: Weighted::new("surnames.csv", surnames.into_iter().map(|row| (row.surname, row.share)))?,
            first_middles: cohorts("first middle names", first.into_iter().map(middle))?,
            second_middles: cohorts("second middle names", second.into_iter().map(middle))?,
            given: cohorts(
                "given names",
                given
                    .into_iter()
                    .map(|row| (row.sex, row.born_from, row.born_to, row.given, row.share)),
            )?,
            lengths: [length(Sex::Male)?, length(Sex::Female)?],
        })
    }

    /// Fails unless everybody born in these years can be named.
    pub(crate) fn cover(&self, born: (i16, i16)) -> Result<(), PopulationError> {
        for year in born.0..=born.1 {
            for sex in [Sex::Male, Sex::Female] {
                find("middle_names.csv", &self.first_middles, sex, year)?;
                find("middle_names.csv", &self.second_middles, sex, year)?;
                find("given_names.csv", &self.given, sex, year)?;
            }
        }
        Ok(())
    }

    /// Draws a name for somebody of this sex and year of birth.
    pub(crate) fn draw(&self, rng: &mut impl rand::Rng, sex: Sex, year: i16) -> Result<Name, PopulationError> {
        let [of_men, of_women] = &self.lengths;
        let words = *match sex {
            Sex::Male => of_men,
            Sex::Female => of_women,
        }
        .draw(rng);
        let surname = self.surnames.draw(rng).clone();
        let mut full = surname.clone();
        let first = find("middle_names.csv", &self.first_middles, sex, year)?.draw(rng);
        let second = find("middle_names.csv", &self.second_middles, sex, year)?.draw(rng);
        let given = find("given_names.csv", &self.given, sex, year)?.draw(rng);
        if words >= 3 {
            full.push(' ');
            full.push_str(first);
        }
        // The same word twice (Ngọc Ngọc) is nobody's name; it is left out then.
        if words >= 4 && second != first && second != given {
            full.push(' ');
            full.push_str(second);
        }
        full.push(' ');
        full.push_str(given);
        Ok(Name { surname, full })
    }

    /// The surnames of the pack.
    pub fn surnames(&self) -> &[String] {
        self.surnames.things()
    }
}
