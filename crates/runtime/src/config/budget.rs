//! One budget of database connections, shared out among the pools.

use std::collections::BTreeMap;

/// How many connections each pool of a deployment may open, such that together they never exceed what PostgreSQL
/// allows: a pool that grows by itself takes connections from a pool of a service that it does not know.
///
/// ```
/// use egov_runtime::config::ConnectionBudget;
///
/// let budget = ConnectionBudget::share(50, &[("identity", 1), ("onestop", 3)])?;
/// assert_eq!((budget.of("identity"), budget.of("onestop")), (13, 37));
/// # Ok::<(), egov_runtime::config::BudgetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionBudget(BTreeMap<String, u32>);

/// Why a budget cannot be shared out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// There are more pools than connections.
    #[error("{total} database connections are too few for {pools} pools: raise max_connections or run fewer services")]
    TooFew {
        /// The connections to share out.
        total: u32,
        /// The pools that want some.
        pools: usize,
    },
    /// A pool without weight would get no connection and could never answer.
    #[error("the pool {0} has weight 0")]
    NoWeight(String),
    /// Two pools have one name.
    #[error("the pool {0} is named twice")]
    Twice(String),
}

impl ConnectionBudget {
    /// Shares `total` connections out by weight. Every pool gets at least one; all are given out, and what division
    /// leaves over goes to the largest remainders, in the order given where they are equal.
    ///
    /// `total` is what remains of `max_connections` after those for administration.
    ///
    /// # Errors
    /// See [`BudgetError`].
    pub fn share(total: u32, pools: &[(&str, u32)]) -> Result<Self, BudgetError> {
        let mut shares = BTreeMap::new();
        for (name, weight) in pools {
            if *weight == 0 {
                return Err(BudgetError::NoWeight((*name).to_owned()));
            }
            if shares.insert((*name).to_owned(), 1).is_some() {
                return Err(BudgetError::Twice((*name).to_owned()));
            }
        }
        let Some(rest) = u32::try_from(pools.len())
            .ok()
            .and_then(|count| total.checked_sub(count))
        else {
            return Err(BudgetError::TooFew {
                total,
                pools: pools.len(),
            });
        };

        let sum: u64 = pools.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut given = 0;
        let mut remainders = Vec::with_capacity(pools.len());
        for (name, weight) in pools {
            let exact = u64::from(rest) * u64::from(*weight);
            let whole = (exact / sum.max(1)) as u32;
            given += whole;
            remainders.push((exact % sum.max(1), *name));
            if let Some(share) = shares.get_mut(*name) {
                *share += whole;
            }
        }
        remainders.sort_by_key(|(remainder, _)| std::cmp::Reverse(*remainder));
        for (_, name) in remainders.iter().take((rest - given) as usize) {
            if let Some(share) = shares.get_mut(*name) {
                *share += 1;
            }
        }
        Ok(Self(shares))
    }

    /// The connections of one pool; 0 for a name that takes no part.
    pub fn of(&self, pool: &str) -> u32 {
        self.0.get(pool).copied().unwrap_or_default()
    }

    /// The connections of all pools together.
    pub fn total(&self) -> u32 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_shared_is_refused_with_the_reason() {
        let too_few = ConnectionBudget::share(1, &[("a", 1), ("b", 1)]).unwrap_err();
        assert!(too_few.to_string().contains("too few for 2 pools"));
        assert_eq!(
            ConnectionBudget::share(9, &[("a", 0)]),
            Err(BudgetError::NoWeight("a".to_owned()))
        );
        assert_eq!(
            ConnectionBudget::share(9, &[("a", 1), ("a", 2)]),
            Err(BudgetError::Twice("a".to_owned()))
        );
        assert_eq!(ConnectionBudget::share(9, &[]).unwrap().total(), 0);
    }

    proptest! {
        #[test]
        fn all_connections_are_given_out_by_weight_and_nobody_goes_empty(
            weights in prop::collection::vec(1_u32..1000, 1..20),
            spare in 0_u32..5000,
        ) {
            let names: Vec<String> = (0..weights.len()).map(|index| format!("pool{index}")).collect();
            let pools: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
            let total = weights.len() as u32 + spare;
            let budget = ConnectionBudget::share(total, &pools).unwrap();
            prop_assert_eq!(budget.total(), total);
            let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (name, weight) in &pools {
                let exact = 1.0 + f64::from(spare) * f64::from(*weight) / sum;
                prop_assert!(budget.of(name) >= 1);
                prop_assert!((f64::from(budget.of(name)) - exact).abs() <= 1.0);
            }
        }
    }
}
