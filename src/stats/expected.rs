//! What counts are tested against.

/// The expected split that a run is judged against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its shares.
    pub shares: &'a [f64],
    /// The tolerance, a share.
    pub tolerance: f64,
    /// The promised error rate, as a rate of errors.
    pub alpha: f64,
}
