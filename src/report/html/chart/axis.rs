//! Axes: from values to places, and ticks at round numbers.

use super::svg::{Anchor, Svg};

/// A mapping of a range of values to places along one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    values: (f64, f64),
    places: (f64, f64),
    is_logarithmic: bool,
}

impl Axis {
    /// Equal distances stand for equal differences.
    pub(super) fn linear(values: (f64, f64), places: (f64, f64)) -> Self {
        Self {
            values,
            places,
            is_logarithmic: false,
        }
    }

    /// Equal distances stand for equal ratios; the values are positive.
    pub(super) fn logarithmic(values: (f64, f64), places: (f64, f64)) -> Self {
        Self {
            values,
            places,
            is_logarithmic: true,
        }
    }

    /// Where a value stands; beyond the range, at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let scaled = |value: f64| {
            if self.is_logarithmic {
                value.ln()
            } else {
                value
            }
        };
        let (low, high) = (scaled(self.values.0), scaled(self.values.1));
        let part = if high > low {
            (scaled(value) - low) / (high - low)
        } else {
            0.5
        };
        let (from, to) = self.places;
        from + part.clamp(0.0, 1.0) * (to - from)
    }

    /// About `count` round values within the range.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let (low, high) = self.values;
        if self.is_logarithmic {
            return logarithmic_ticks(low, high, count);
        }
        let Some(step) = round_step((high - low) / count as f64) else {
            return Vec::new();
        };
        let first = (low / step).ceil();
        let last = (high / step + 1e-9).floor();
        let mut ticks = Vec::new();
        let mut tick = first;
        while tick <= last {
            ticks.push(tick * step);
            tick += 1.0;
        }
        ticks
    }

    /// Draws ticks with their labels below `y`, and lines up to `top`.
    #[expect(
        clippy::too_many_arguments,
        reason = "where it stands, and what it says"
    )]
    pub(super) fn draw(
        &self,
        svg: &mut Svg,
        y: f64,
        top: f64,
        count: usize,
        label: impl Fn(f64) -> String,
    ) {
        svg.line("axis", (self.places.0, y), (self.places.1, y));
        for tick in self.ticks(count) {
            let x = self.place(tick);
            svg.line("grid", (x, top), (x, y));
            svg.text("tick", (x, y + 16.0), Anchor::Middle, &label(tick));
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`; `None` unless that is positive and finite.
fn round_step(least: f64) -> Option<f64> {
    if !(least > 0.0 && least.is_finite()) {
        return None;
    }
    let power = 10_f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors
        .into_iter()
        .map(|factor| factor * power)
        .find(|&step| step >= least * (1.0 - 1e-9))
}

/// Powers of ten, and twice and five times them where there is room.
fn logarithmic_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let within = |factors: &[f64]| -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut power = 10_f64.powf(low.log10().floor());
        while power <= high {
            let all = factors.iter().map(|factor| factor * power);
            ticks.extend(all.filter(|tick| (low..=high).contains(tick)));
            power *= 10.0;
        }
        ticks
    };
    let fine = within(&[1.0, 2.0, 5.0]);
    if fine.len() <= count {
        fine
    } else {
        within(&[1.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        let axis = Axis::linear((-7.3, 7.3), (0.0, 100.0));
        assert_eq!(axis.ticks(4), [-5.0, 0.0, 5.0]);
        let axis = Axis::logarithmic((0.0012, 0.3), (0.0, 100.0));
        assert_eq!(axis.ticks(4), [0.01, 0.1]);
    }

    #[test]
    fn a_range_of_one_value_has_its_place_in_the_middle_and_no_ticks() {
        let axis = Axis::linear((3.0, 3.0), (0.0, 100.0));
        assert!((axis.place(3.0) - 50.0).abs() < 1e-9);
        assert!(axis.ticks(4).is_empty());
    }

    #[test]
    fn values_beyond_the_range_stand_at_its_end() {
        let axis = Axis::linear((0.0, 1.0), (100.0, 0.0));
        assert!((axis.place(-1.0) - 100.0).abs() < 1e-9);
        assert!(axis.place(2.0).abs() < 1e-9);
    }
}
