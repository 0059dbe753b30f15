//! Công khai: what is published of figures, so that nothing is said of a single case.

/// The fewest decided cases of a published row.
pub const SMALLEST: i64 = 5;

/// How punctual one unit was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Punctuality {
    /// The unit.
    pub unit_id: i32,
    /// Đã xử lý.
    pub processed: i64,
    /// Of these in time.
    pub in_time: i64,
}

/// What may be published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Units with enough cases, by id.
    pub units: Vec<Punctuality>,
    /// The others together, at least two of them: their sum.
    pub others: Option<(i64, i64)>,
}

/// Puts units with fewer than `smallest` cases together. If that leaves fewer than two units or too few cases together, the
/// smallest published one joins them: otherwise a total from elsewhere would give the hidden row away. Where even all units
/// together have too few, nothing is published.
pub fn publish(rows: &[Punctuality], smallest: i64) -> Published {
    let mut rows: Vec<Punctuality> = rows.iter().copied().filter(|row| row.processed > 0).collect();
    rows.sort_by_key(|row| (row.processed, row.unit_id));
    let mut hidden = rows.iter().take_while(|row| row.processed < smallest).count();
    if hidden > 0 {
        let sum = |count: usize| rows.iter().take(count).map(|row| row.processed).sum::<i64>();
        while hidden < rows.len() && (hidden < 2 || sum(hidden) < smallest) {
            hidden += 1;
        }
        if hidden < 2 || sum(hidden) < smallest {
            return Published::default();
        }
    }
    let mut units = rows.split_off(hidden);
    units.sort_by_key(|row| row.unit_id);
    let others = (!rows.is_empty()).then(|| {
        rows.iter().fold((0, 0), |(all, in_time), row| {
            (all + row.processed, in_time + row.in_time)
        })
    });
    Published { units, others }
}
