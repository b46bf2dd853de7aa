//! The running share over the run, inside the funnel where the test accepts it.

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::{Chart, MARGIN, MOST_SERIES, WIDTH, short};
use crate::format::percent;
use crate::report::{BackendReport, Report, WindowReport};
use crate::verdict::intervals::critical_chi_square;

const HEIGHT: f64 = 150.0;
/// Room for the share's axis, at the left.
const LEFT: f64 = 52.0;
/// The funnel is drawn at so many places.
const STEPS: usize = 40;

#[expect(clippy::too_many_lines, reason = "the chart from top to bottom")]
pub(super) fn chart(report: &Report, section: usize) -> Option<Chart> {
    let counts: Vec<&[u64]> = report
        .windows
        .iter()
        .map(|window| &*window.counts)
        .collect();
    let total = |window: &WindowReport| window.counts.iter().sum::<u64>() + window.unmapped;
    let totals: Vec<u64> = report.windows.iter().map(total).collect();
    let n: u64 = totals.iter().sum();
    let positive: Vec<(usize, &BackendReport)> = report
        .backends
        .iter()
        .enumerate()
        .filter(|(_, backend)| backend.expected_share > 0.0 && backend.expected_share < 1.0)
        .collect();
    if n < 20 || counts.len() < 3 || positive.is_empty() {
        return None;
    }
    // Of two backends one tells all: the smaller, as a rule the canary.
    let panels: Vec<(usize, &BackendReport)> = if positive.len() == 2 {
        let smaller = positive
            .into_iter()
            .min_by(|(_, a), (_, b)| a.expected_share.total_cmp(&b.expected_share));
        smaller.into_iter().collect()
    } else {
        positive.into_iter().take(MOST_SERIES).collect()
    };
    let backends = report
        .backends
        .iter()
        .filter(|backend| backend.expected_share > 0.0)
        .count();
    let design_effect = report
        .test
        .as_ref()
        .and_then(|test| test.design_effect)
        .unwrap_or(1.0);
    let critical = critical_chi_square(backends, report.plan.alpha, design_effect);
    let mut svg = Svg::default();
    let mut described = Vec::new();
    let mut top = 0.0;
    for (index, backend) in &panels {
        let running = running(&counts, &totals, *index);
        let panel = Panel {
            backend,
            critical,
            n: n as f64,
            running: &running,
            change: report.change.as_ref().and_then(|change| change.request),
        };
        panel.draw(&mut svg, top);
        described.push(panel.described());
        top += HEIGHT + 26.0;
    }
    svg.text(
        "tick",
        (WIDTH - MARGIN, top + 10.0),
        Anchor::End,
        "attributed responses, as they were sent",
    );
    let title = "Running share";
    Some(Chart {
        kind: "running",
        title: title.to_owned(),
        caption: format!(
            "The share among the responses so far. Where the line leaves the shaded funnel, a test of \
             that many responses at alpha {} would reject the expected split; dashed lines bound the \
             tolerance.",
            report.plan.alpha
        ),
        svg: svg.finish(
            &format!("running-{section}"),
            title,
            &described.join(". "),
            top + 18.0,
        ),
    })
}

/// `(responses, share)` after each block.
fn running(counts: &[&[u64]], totals: &[u64], backend: usize) -> Vec<(f64, f64)> {
    let (mut hits, mut all) = (0, 0);
    let blocks = counts.iter().zip(totals);
    blocks
        .filter_map(|(counts, total)| {
            hits += counts.get(backend).copied().unwrap_or(0);
            all += total;
            (all > 0).then(|| (all as f64, hits as f64 / all as f64))
        })
        .collect()
}

/// The run of one backend's share.
struct Panel<'a> {
    backend: &'a BackendReport,
    critical: f64,
    n: f64,
    running: &'a [(f64, f64)],
    change: Option<u64>,
}

impl Panel<'_> {
    /// Half the width of the funnel: by Pearson's statistic, which is at least the squared standardised
    /// deviation of any one backend.
    fn half_width(&self, n: f64) -> f64 {
        let p = self.backend.expected_share;
        (self.critical * p * (1.0 - p) / n).sqrt()
    }

    fn draw(&self, svg: &mut Svg, top: f64) {
        let p = self.backend.expected_share;
        let tolerance = self.backend.tolerance_share;
        let early = self.n / 20.0;
        let late = self.running.iter().filter(|(n, _)| *n >= early);
        let farthest = late.map(|(_, share)| (share - p).abs()).fold(0.0, f64::max);
        let reach = farthest.max(tolerance).max(self.half_width(early)) * 1.1;
        let (low, high) = ((p - reach).max(0.0), (p + reach).min(1.0));
        let x = Axis::linear((0.0, self.n), (LEFT, WIDTH - MARGIN));
        let (ceiling, floor) = (top + 22.0, top + HEIGHT);
        let y = Axis::linear((low * 100.0, high * 100.0), (floor, ceiling));
        let share = |share: f64| y.place(share * 100.0);
        let steps = (1..=STEPS).map(|step| self.n * (step as f64 / STEPS as f64).powi(2));
        let places: Vec<f64> = steps.collect();
        let upper = places
            .iter()
            .map(|&n| (x.place(n), share(p + self.half_width(n))));
        let lower = places
            .iter()
            .rev()
            .map(|&n| (x.place(n), share(p - self.half_width(n))));
        svg.path("band", &upper.chain(lower).collect::<Vec<_>>(), true);
        x.draw(svg, floor, ceiling, 4, |n| format!("{n}"));
        for tick in y.ticks(4) {
            let at = y.place(tick);
            svg.line("grid", (LEFT, at), (WIDTH - MARGIN, at));
            svg.text(
                "tick",
                (LEFT - 6.0, at + 4.0),
                Anchor::End,
                &format!("{tick} %"),
            );
        }
        for bound in [p - tolerance, p + tolerance] {
            if (low..=high).contains(&bound) {
                svg.line(
                    "tolerance",
                    (LEFT, share(bound)),
                    (WIDTH - MARGIN, share(bound)),
                );
            }
        }
        svg.line("expected", (LEFT, share(p)), (WIDTH - MARGIN, share(p)));
        let points = self
            .running
            .iter()
            .map(|&(n, seen)| (x.place(n), share(seen)));
        svg.path("run", &points.collect::<Vec<_>>(), false);
        if let Some(change) = self.change {
            let at = x.place(change as f64);
            svg.line("change", (at, ceiling), (at, floor));
            svg.text(
                "figure halo",
                (at + 4.0, ceiling + 12.0),
                Anchor::Start,
                &format!("change near {change}"),
            );
        }
        let label = format!("{}, expected {}", short(&self.backend.label), percent(p));
        svg.text("label halo", (LEFT, top + 14.0), Anchor::Start, &label);
    }

    fn described(&self) -> String {
        let outside = self.running.iter().filter(|&&(n, share)| {
            (share - self.backend.expected_share).abs() > self.half_width(n)
        });
        let last = self.running.last().map_or(0.0, |(_, share)| *share);
        format!(
            "{} ends at {:.2} % and is outside the funnel at {} of {} points",
            self.backend.label,
            last * 100.0,
            outside.count(),
            self.running.len()
        )
    }
}
