//! Drawing by weights.

use rand::distr::Distribution as _;
use rand::distr::weighted::WeightedIndex;
use rand::{Rng, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use crate::PopulationError;

/// A source of chance for one purpose and number of a seed. What is drawn for one number does not depend on what was drawn
/// for another, so that work can be divided without changing its outcome.
pub fn source(seed: u64, purpose: u32, number: u64) -> Pcg64Mcg {
    // Each input is spread over all bits before the next is added (the finaliser of SplitMix64: Steele, Lea, Flood 2014).
    let spread = |value: u64| {
        let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    };
    Pcg64Mcg::seed_from_u64(spread(spread(spread(seed) ^ u64::from(purpose)) ^ number))
}

/// Things that are drawn by their weights.
#[derive(Clone, Debug)]
pub struct Weighted<T> {
    things: Vec<T>,
    index: WeightedIndex<f64>,
}

impl<T> Weighted<T> {
    /// Things with their weights; `what` names the list in errors.
    pub fn new(what: &str, weighted: impl IntoIterator<Item = (T, f64)>) -> Result<Self, PopulationError> {
        let (things, weights): (Vec<T>, Vec<f64>) = weighted.into_iter().unzip();
        let index =
            WeightedIndex::new(&weights).map_err(|_| PopulationError::NothingToDraw { what: what.to_owned() })?;
        Ok(Self { things, index })
    }

    /// Draws one.
    pub fn draw(&self, rng: &mut impl Rng) -> &T {
        #[expect(clippy::indexing_slicing, reason = "the index has one weight for each thing")]
        &self.things[self.index.sample(rng)]
    }

    /// All of them.
    pub fn things(&self) -> &[T] {
        &self.things
    }
}

/// Shares a whole number out by weights, so that the parts add up to it: each gets its part rounded down, and what is left
/// goes to those with the largest remainders, the earlier first. Weights that are not above zero get nothing; if none is,
/// nobody gets anything.
pub fn apportion(total: u64, weights: &[f64]) -> Vec<u64> {
    let weight = |weight: f64| {
        if weight > 0.0 && weight.is_finite() {
            weight
        } else {
            0.0
        }
    };
    let sum: f64 = weights.iter().copied().map(weight).sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|&part| total as f64 * weight(part) / sum).collect();
    let mut parts: Vec<u64> = exact.iter().map(|part| part.floor() as u64).collect();
    // Rounding of floating-point numbers may give one too many of a very large total.
    let mut left = total.saturating_sub(parts.iter().sum());
    let mut order: Vec<usize> = (0..weights.len())
        .filter(|&at| exact.get(at).is_some_and(|&part| part > 0.0))
        .collect();
    let remainder = |at: usize| exact.get(at).map_or(0.0, |part| part.fract());
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(&b)));
    for at in order.into_iter().cycle() {
        if left == 0 {
            break;
        }
        if let Some(part) = parts.get_mut(at) {
            *part += 1;
            left -= 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_drawn_for_one_number_is_the_same_whatever_was_drawn_before() {
        let first = |number| source(7, 1, number).random_range(0..u64::MAX);
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
        assert_ne!(source(7, 2, 3).random_range(0..u64::MAX), first(3));
        assert_ne!(source(8, 1, 3).random_range(0..u64::MAX), first(3));
    }

    #[test]
    fn things_come_about_as_often_as_they_weigh() {
        let coins = Weighted::new("coins", [("heads", 3.0), ("tails", 1.0)]).unwrap();
        let mut rng = source(1, 0, 0);
        let heads = (0..10_000).filter(|_| *coins.draw(&mut rng) == "heads").count();
        assert!((7_300..7_700).contains(&heads), "{heads}");
        assert!(Weighted::<u8>::new("nothing", []).is_err());
        assert!(Weighted::new("negative", [(1, -1.0)]).is_err());
    }

    proptest! {
        #[test]
        fn the_parts_add_up_and_follow_the_weights(
            total in 0_u64..2_000_000,
            weights in proptest::collection::vec(0.0_f64..100.0, 1..60),
        ) {
            let parts = apportion(total, &weights);
            let sum: f64 = weights.iter().sum();
            prop_assert_eq!(parts.iter().sum::<u64>(), if sum > 0.0 { total } else { 0 });
            for (part, weight) in parts.iter().zip(&weights) {
                if sum > 0.0 {
                    let exact = total as f64 * weight / sum;
                    prop_assert!((*part as f64 - exact).abs() < 1.0 + 1e-6, "{} of {}", part, exact);
                }
            }
        }
    }
}
