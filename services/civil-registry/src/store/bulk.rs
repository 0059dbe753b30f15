//! Births by COPY: the rows that a registration would have left, in the order in which they refer to one another.

use egov_database::{BulkLoad, CopyRows};
use egov_fault::Fault;
use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::book::Book;
use crate::domain::entry::{Entry, Particulars, Registration, Relation};
use crate::domain::person::{Born, PersonName, Sex};
use crate::domain::person_search::{beside, words};
use crate::domain::statistics;

/// Rows of every table that a birth is kept in, ready to be copied.
#[derive(Debug, Default)]
pub(crate) struct BirthRows {
    books: CopyRows,
    book_history: CopyRows,
    persons: CopyRows,
    numbers: CopyRows,
    entries: CopyRows,
    particulars: CopyRows,
    tokens: CopyRows,
    relations: CopyRows,
    duplicate_words: CopyRows,
    counts: CopyRows,
}

/// Whether any book is there.
pub(crate) async fn any_book(load: &mut BulkLoad) -> Result<bool, Fault> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM books)")
        .fetch_one(load.conn())
        .await
        .map_err(Fault::internal)
}

impl BirthRows {
    /// Adds a book as it is after its last act.
    pub(crate) fn push_book(&mut self, book: &Book) {
        self.books.push(&[
            &book.book_id,
            &book.unit_id,
            &book.event.code(),
            &book.year,
            &book.state.code(),
            &book.open_date,
            &book.close_date,
            &book.pages_per_volume,
            &book.entries_per_page,
            &book.version,
        ]);
    }

    /// Adds an act on a book, by an official.
    pub(crate) fn push_act(&mut self, book: &Book, act: &'static str, actor_id: Uuid, content: &str, time: Timestamp) {
        self.book_history.push(&[
            &book.book_id,
            &book.version,
            &book.unit_id,
            &act,
            &actor_id,
            &"staff",
            &content,
            &time,
        ]);
    }

    /// Adds a person, with the number if there is one.
    pub(crate) fn push_person(&mut self, person_id: Uuid, number: Option<&str>, time: Timestamp) {
        self.persons.push(&[&person_id, &time]);
        if let Some(number) = number {
            self.numbers.push(&[&number, &person_id, &time]);
        }
    }

    /// Adds an entry with what it tells, the words by which a repetition is found, and what it counts for; `content` is what it says, as it is kept.
    pub(crate) fn push_entry<'a>(
        &mut self,
        registration: &Registration,
        content: &str,
        kept_under: impl IntoIterator<Item = &'a String>,
    ) {
        let entry = &registration.entry;
        self.entries.push(&[
            &entry.entry_id,
            &entry.unit_id,
            &entry.book_id,
            &entry.event.code(),
            &entry.year,
            &entry.number,
            &entry.volume,
            &entry.page,
            &entry.registration_kind.code(),
            &entry.registration_date,
            &entry.subject_id,
            &content,
            &entry.actor_id,
            &entry.actor_kind,
            &entry.record_time,
            &1_i16,
        ]);
        for said in &registration.persons {
            self.push_particulars(entry, said);
        }
        for relation in &registration.relations {
            self.push_relation(entry, relation);
        }
        for word in kept_under {
            self.duplicate_words.push(&[word, &entry.entry_id, &entry.unit_id]);
        }
        if let Some(change) = statistics::entered(entry) {
            self.counts.push(&[
                &entry.entry_id,
                &change.place,
                &entry.unit_id,
                &change.counted.event.code(),
                &entry.year,
                &i16::from(entry.registration_date.month()),
                &change.counted.sex.map_or(0, Sex::code),
                &change.counted.ethnic_group,
                &entry.registration_kind.code(),
                &change.amount,
                &change.record_time,
            ]);
        }
    }

    fn push_particulars(&mut self, entry: &Entry, said: &Particulars) {
        let (year, month, day) = match said.born.map(Born::parts) {
            None => (None, None, None),
            Some((year, month, day)) => (Some(year), month, day),
        };
        self.particulars.push(&[
            &said.person_id,
            &entry.entry_id,
            &entry.unit_id,
            &said.full_name,
            &said.sex.code(),
            &year,
            &month,
            &day,
            &said.ethnic_group,
            &said.nationality,
            &said.other_nationality,
            &said.valid_from,
            &entry.record_time,
        ]);
        let Ok(name) = PersonName::read(&said.full_name) else {
            return;
        };
        let tokens = words(&name);
        let all = beside(&tokens);
        for token in &tokens {
            self.tokens
                .push(&[token, &year.unwrap_or_default(), &said.person_id, &entry.unit_id, &all]);
        }
    }

    fn push_relation(&mut self, entry: &Entry, relation: &Relation) {
        self.relations.push(&[
            &relation.relation_id,
            &relation.version,
            &entry.unit_id,
            &relation.kind.code(),
            &relation.person_id,
            &relation.relative_id,
            &relation.valid_from,
            &relation.valid_to,
            &entry.entry_id,
            &entry.record_time,
        ]);
    }

    /// Copies all of it.
    pub(crate) async fn copy(&self, load: &mut BulkLoad) -> Result<(), Fault> {
        for (table, columns, rows) in [
            (
                "books",
                "(book_id, responsible_unit_id, event, year, state, open_date, close_date, pages_per_volume, entries_per_page, version)",
                &self.books,
            ),
            (
                "book_history",
                "(book_id, version, responsible_unit_id, act, actor_id, actor_kind, content, record_time)",
                &self.book_history,
            ),
            ("persons", "(person_id, create_time)", &self.persons),
            (
                "personal_numbers",
                "(personal_number, person_id, record_time)",
                &self.numbers,
            ),
            (
                "entries",
                "(entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind, registration_date, \
                 subject_id, content, actor_id, actor_kind, record_time, occurrence)",
                &self.entries,
            ),
            (
                "person_particulars",
                "(person_id, entry_id, responsible_unit_id, full_name, sex, birth_year, birth_month, birth_day, ethnic_group, \
                 nationality, other_nationality, valid_from, record_time)",
                &self.particulars,
            ),
            (
                "person_tokens",
                "(token, birth_year, person_id, responsible_unit_id, words)",
                &self.tokens,
            ),
            (
                "family_relations",
                "(relation_id, version, responsible_unit_id, kind, person_id, relative_id, valid_from, valid_to, entry_id, record_time)",
                &self.relations,
            ),
            (
                "duplicate_words",
                "(word, entry_id, responsible_unit_id)",
                &self.duplicate_words,
            ),
            (
                "vital_counts",
                "(entry_id, change, responsible_unit_id, event, year, month, sex, ethnic_group, registration_kind, amount, record_time)",
                &self.counts,
            ),
        ] {
            load.copy(table, columns, rows).await?;
        }
        Ok(())
    }
}
