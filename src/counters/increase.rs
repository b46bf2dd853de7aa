//! What counters gained, whenever they began anew.
//!
//! The counters of one target begin anew together, since its process does. So where one of them fell, all of that target
//! count from zero, those that have grown beyond their old value meanwhile as well. A counter that appears later than
//! others of its target has counted from zero, unlike in `PromQL`'s `increase`.

use std::collections::{BTreeMap, BTreeSet};

use super::selector::Labels;

/// A counter, read several times.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// When, in seconds, and its value; in the order of time.
    pub(super) points: Vec<(f64, f64)>,
}

/// What a process is called that is scraped: its job and its instance; both empty in what it shows itself.
pub(super) type Target = (String, String);

pub(super) fn target(labels: &Labels) -> Target {
    let label = |name| labels.get(name).cloned().unwrap_or_default();
    (label("job"), label("instance"))
}

/// What one counter gained at one reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) series: usize,
    pub(super) time: f64,
    pub(super) count: f64,
}

/// What all of them gained.
#[derive(Debug, Default)]
pub(super) struct Increase {
    pub(super) steps: Vec<Step>,
    /// How often a target began anew.
    pub(super) resets: u64,
    /// A counter that is gone at the end, though its target did not begin anew.
    pub(super) vanished: Option<usize>,
}

/// Adds up what the counters gained. `first` is when all targets were read first, whatever they had then; `None` for the first
/// point of each. Targets that are known to have `restarted` begin anew at their second reading.
pub(super) fn increase(
    series: &[Series],
    first: Option<f64>,
    restarted: &BTreeSet<Target>,
) -> Increase {
    let mut by_target: BTreeMap<Target, Vec<usize>> = BTreeMap::new();
    for (index, one) in series.iter().enumerate() {
        by_target
            .entry(target(&one.labels))
            .or_default()
            .push(index);
    }
    let mut increase = Increase::default();
    for (target, members) in by_target {
        increase.add(series, &members, first, restarted.contains(&target));
    }
    increase
}

impl Increase {
    fn add(&mut self, series: &[Series], members: &[usize], first: Option<f64>, restarted: bool) {
        let mut times: Vec<f64> = members
            .iter()
            .flat_map(|&index| series[index].points.iter().map(|point| point.0))
            .chain(first)
            .collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let mut last = vec![0.0; members.len()];
        let mut next = vec![0; members.len()];
        let mut resets = 0;
        for (reading, &time) in times.iter().enumerate() {
            let mut now = Vec::new();
            for (place, &index) in members.iter().enumerate() {
                let point = series[index].points.get(next[place]);
                if let Some(&(_, value)) = point.filter(|point| point.0 <= time) {
                    next[place] += 1;
                    now.push((place, value));
                }
            }
            let fell = now.iter().any(|&(place, value)| value < last[place]);
            if fell || restarted && reading == 1 {
                resets += 1;
                last.fill(0.0);
            }
            for (place, value) in now {
                let count = value - last[place];
                if reading > 0 && count > 0.0 {
                    let series = members[place];
                    self.steps.push(Step {
                        series,
                        time,
                        count,
                    });
                }
                last[place] = value;
            }
        }
        self.resets += resets;
        if first.is_some() && resets == 0 {
            let is_gone = |&&index: &&usize| {
                series[index]
                    .points
                    .iter()
                    .all(|point| Some(point.0) == first)
            };
            self.vanished = self.vanished.or(members.iter().find(is_gone).copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(instance: &str, by: &str, points: &[(f64, f64)]) -> Series {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Series {
            labels: Labels::from([label("instance", instance), label("by", by)]),
            points: points.to_vec(),
        }
    }

    fn gained(
        all: &[Series],
        first: Option<f64>,
        restarted: &[Target],
    ) -> (Vec<f64>, u64, Option<usize>) {
        let restarted = restarted.iter().cloned().collect();
        let increase = increase(all, first, &restarted);
        let mut sums = vec![0.0; all.len()];
        for step in &increase.steps {
            sums[step.series] += step.count;
        }
        (sums, increase.resets, increase.vanished)
    }

    #[test]
    fn all_counters_of_a_target_begin_anew_together() {
        let all = [
            series("a", "v1", &[(0.0, 700.0), (1.0, 70.0)]),
            // Beyond its old value, and from zero all the same.
            series("a", "v2", &[(0.0, 3.0), (1.0, 30.0)]),
            series("b", "v1", &[(0.0, 5.0), (1.0, 12.0)]),
        ];
        assert_eq!(
            gained(&all, Some(0.0), &[]),
            (vec![70.0, 30.0, 7.0], 1, None)
        );
        // Both grew, and the process is another.
        let grown = [series("a", "v1", &[(0.0, 7.0), (1.0, 70.0)])];
        assert_eq!(gained(&grown, Some(0.0), &[]).0, [63.0]);
        let restarted = [(String::new(), "a".to_owned())];
        assert_eq!(gained(&grown, Some(0.0), &restarted), (vec![70.0], 1, None));
    }

    #[test]
    fn a_counter_that_comes_later_counts_from_zero_and_one_that_goes_is_told() {
        let all = [
            series("a", "v1", &[(10.0, 100.0), (20.0, 170.0), (30.0, 180.0)]),
            series("a", "v2", &[(20.0, 30.0), (30.0, 31.0)]),
        ];
        assert_eq!(gained(&all, None, &[]).0, [80.0, 31.0]);
        let late = [series("a", "v1", &[(1.0, 70.0)])];
        assert_eq!(gained(&late, Some(0.0), &[]).0, [70.0]);
        assert_eq!(gained(&late, None, &[]).0, [0.0]);
        let gone = [
            series("a", "v1", &[(0.0, 1.0), (1.0, 2.0)]),
            series("a", "v2", &[(0.0, 1.0)]),
        ];
        assert_eq!(gained(&gone, Some(0.0), &[]).2, Some(1));
    }

    #[test]
    fn resets_within_a_range_add_up() {
        let all = [
            series(
                "a",
                "v1",
                &[(1.0, 10.0), (2.0, 20.0), (3.0, 4.0), (4.0, 9.0), (5.0, 2.0)],
            ),
            series("a", "v2", &[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 3.0)]),
        ];
        assert_eq!(gained(&all, None, &[]), (vec![21.0, 4.0], 2, None));
    }
}
