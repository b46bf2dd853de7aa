//! A moment by both clocks of the machine, since either errs alone: one is set, the other stands while the machine sleeps.

use std::time::{Duration, Instant, SystemTime};

/// Now, or what once was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The time of day, which callers share.
    pub(super) wall: SystemTime,
    /// What nobody sets.
    pub(super) steady: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }

    /// How long ago it was, by the clock that says more.
    pub(super) fn age(&self, now: Self) -> Duration {
        let by_wall = now.wall.duration_since(self.wall).unwrap_or_default();
        by_wall.max(now.steady.saturating_duration_since(self.steady))
    }

    /// Whether less than `age` has passed since, by both clocks. A time of day that was set back tells nothing.
    pub(super) fn is_within(&self, age: Duration, now: Self) -> bool {
        now.wall >= self.wall && self.age(now) < age
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;

    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// So many seconds after the beginning of the test, by both clocks.
    pub(in crate::serve) fn at(seconds: u64) -> Moment {
        Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds),
            steady: *BEGUN + Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_younger() {
        let limit = Duration::from_mins(10);
        let then = at(1000);
        assert!(then.is_within(limit, at(1599)) && !then.is_within(limit, at(1600)));
        // Set back before it, and by a little less.
        for wall in [at(900), at(1100)] {
            let now = Moment {
                wall: wall.wall,
                ..at(1700)
            };
            assert!(!then.is_within(limit, now));
            assert_eq!(then.age(now), Duration::from_secs(700));
        }
        // The machine slept, which stops the other.
        let woken = Moment {
            wall: at(9000).wall,
            ..at(1001)
        };
        assert!(!then.is_within(limit, woken));
    }
}
