//! Statistics of a split: pure functions over slices and numbers, without I/O, clock or plan.
//!
//! Throughout, `observed[i]` is the count of backend `i` and `shares[i]` its expected share; shares sum
//! to 1, and a share of 0 means "must get nothing": such a backend is dropped while it has no hit, and
//! a single hit on it refutes the split. Significance levels and tolerances are shares in `0..=1`.

#![cfg_attr(
    test,
    expect(clippy::float_cmp, reason = "what is exact by definition is tested so")
)]

pub mod binomial;
mod cells;
pub mod change_point;
pub mod chi_square;
pub mod dealing;
pub mod density;
pub mod dependence;
pub mod dispatch_order;
pub mod drift;
pub mod e_value;
mod equal_shares;
pub mod equivalence;
pub mod evenness;
pub mod exact;
pub mod expected;
pub mod goodness_of_fit;
pub mod holm;
pub mod homogeneity;
pub mod intervals;
pub mod judge;
pub mod likelihood;
pub mod monte_carlo;
pub mod multinomial;
pub mod noncentral;
pub mod order;
pub mod permutation;
pub mod power;
pub mod prospects;
#[cfg(test)]
mod reference;
pub mod regions;
pub mod runs;
pub mod sample_size;
#[cfg(test)]
mod scipy_reference;
pub mod sequential;
pub mod silence;
pub mod stickiness;
pub mod student;
pub mod two_sample;
pub mod unattributed;
pub mod waves;
mod wedge;
