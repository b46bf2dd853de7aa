//! The shares by time window, as stacked bars.

use std::cmp::Ordering;

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::{Chart, MARGIN, MOST_SERIES, WIDTH, left_out, short, shown};
use crate::report::{Report, WindowReport};

const HEIGHT: f64 = 170.0;
const LEFT: f64 = 52.0;
/// Neighbouring windows are joined until there are at most so many.
const MOST_BARS: usize = 32;

/// The responses of neighbouring windows.
pub(in crate::report::html) struct Bar {
    pub(in crate::report::html) start_seconds: f64,
    /// In the order of the report's backends.
    pub(in crate::report::html) counts: Vec<u64>,
    /// Those of workloads that are no backend.
    pub(in crate::report::html) unmapped: u64,
    /// Requests without an identity.
    unidentified: u64,
}

impl Bar {
    pub(in crate::report::html) fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.unmapped
    }
}

/// A time since the start, in the unit and with the digits that suit `last`, the latest of its axis.
pub(super) fn elapsed(seconds: f64, last: f64) -> String {
    let (value, last, unit) = match last {
        ..0.1 => (seconds * 1e3, last * 1e3, "ms"),
        0.1..300.0 => (seconds, last, "s"),
        _ => (seconds / 60.0, last / 60.0, "min"),
    };
    let digits = usize::from(last < 10.0);
    format!("{value:.digits$} {unit}")
}

/// The windows, joined.
pub(in crate::report::html) fn bars(report: &Report) -> Vec<Bar> {
    let joined = report.windows.len().div_ceil(MOST_BARS).max(1);
    let join = |windows: &[WindowReport]| {
        let mut counts = vec![0; report.backends.len()];
        for window in windows {
            for (sum, count) in counts.iter_mut().zip(&window.counts) {
                *sum += count;
            }
        }
        let starts = windows.iter().map(|window| window.start_seconds);
        Bar {
            start_seconds: starts.fold(f64::INFINITY, f64::min),
            counts,
            unmapped: windows.iter().map(|window| window.unmapped).sum(),
            unidentified: windows.iter().map(|window| window.unidentified).sum(),
        }
    };
    let all = report.windows.chunks(joined).map(join);
    all.filter(|bar| bar.total() + bar.unidentified > 0)
        .collect()
}

#[expect(clippy::too_many_lines, reason = "the chart from top to bottom")]
pub(super) fn chart(report: &Report, section: usize) -> Option<Chart> {
    let bars = bars(report);
    if bars.len() < 2 {
        return None;
    }
    let floor = HEIGHT;
    let y = Axis::linear((0.0, 1.0), (floor, 22.0));
    let x = Axis::linear((0.0, bars.len() as f64), (LEFT, WIDTH - MARGIN));
    let mut svg = Svg::default();
    draw(&mut svg, (&x, &y), &bars, report);
    let last = bars.last().map_or(0.0, |bar| bar.start_seconds);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let label = format!("{} %", share * 100.0);
        svg.text(
            "tick",
            (LEFT - 6.0, y.place(share) + 4.0),
            Anchor::End,
            &label,
        );
    }
    boundaries(&mut svg, &y, report);
    for index in x.ticks(4) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a tick of whole numbers from 0 to MOST_BARS"
        )]
        let start = bars
            .get(index.round() as usize)
            .map(|bar| bar.start_seconds);
        if let Some(start) = start.filter(|_| index.fract() == 0.0) {
            svg.text(
                "tick",
                (x.place(index), floor + 16.0),
                // In the middle of its place the first would touch the share below which it stands.
                if index == 0.0 {
                    Anchor::Start
                } else {
                    Anchor::Middle
                },
                &elapsed(start, last),
            );
        }
    }
    legend(&mut svg, report);
    let described: Vec<String> = shown(report)
        .map(|(backend, about)| {
            let shares = bars
                .iter()
                .map(|bar| bar.counts[backend] as f64 / bar.total().max(1) as f64);
            let (low, high) = shares.fold((1.0, 0.0), |(low, high): (f64, f64), share| {
                (low.min(share), high.max(share))
            });
            format!(
                "{} between {:.1} % and {:.1} %",
                about.label,
                low * 100.0,
                high * 100.0
            )
        })
        .collect();
    let title = "Shares by time window";
    Some(Chart {
        kind: "windows",
        title: title.to_owned(),
        caption: format!(
            "The shares among the requests of each window, by when its first request was sent. Lines \
             mark where the expected split has its boundaries.{}",
            left_out(report)
        ),
        svg: svg.finish(
            &format!("windows-{section}"),
            title,
            &described.join(". "),
            HEIGHT + 22.0,
        ),
    })
}

/// The bars of every series, which stand one on the other.
fn draw(svg: &mut Svg, (x, y): (&Axis, &Axis), bars: &[Bar], report: &Report) {
    let counted = report.backends.len().min(MOST_SERIES);
    let count_of = |bar: &Bar, series: usize| -> u64 {
        match series.cmp(&counted) {
            Ordering::Less => bar.counts[series],
            Ordering::Equal => bar.total() - bar.counts[..counted].iter().sum::<u64>(),
            Ordering::Greater => bar.unidentified,
        }
    };
    for series in 0..counted + 2 {
        let mut areas = Vec::new();
        for (index, bar) in bars.iter().enumerate() {
            let all = (bar.total() + bar.unidentified) as f64;
            let below: u64 = (0..series).map(|below| count_of(bar, below)).sum();
            let count = count_of(bar, series);
            if count > 0 {
                let (from, to) = (x.place(index as f64), x.place(index as f64 + 1.0));
                let gap = ((to - from) * 0.1).min(1.0);
                let top = y.place((below + count) as f64 / all);
                let height = y.place(below as f64 / all) - top;
                areas.push([from, top, to - from - gap, height]);
            }
        }
        let (class, message) = match report.backends.get(series).filter(|_| series < counted) {
            Some(backend) => (format!("s{series}"), short(&backend.label)),
            None if series == counted => ("others".to_owned(), others(report).to_owned()),
            None => ("missing".to_owned(), MISSING.to_owned()),
        };
        svg.rects(&class, &areas, &message);
    }
}

/// What the series of requests without an identity is called.
const MISSING: &str = "names no pod";

/// What the last series holds.
fn others(report: &Report) -> &'static str {
    if report.unmapped.is_empty() {
        "others"
    } else if report.backends.len() > MOST_SERIES {
        "others and no backend"
    } else {
        "no backend"
    }
}

/// Where the expected shares end.
fn boundaries(svg: &mut Svg, y: &Axis, report: &Report) {
    let mut sum = 0.0;
    for (_, backend) in shown(report) {
        sum += backend.expected_share;
        if sum < 1.0 - 1e-9 {
            svg.line(
                "boundary",
                (LEFT, y.place(sum)),
                (WIDTH - MARGIN, y.place(sum)),
            );
        }
    }
}

fn legend(svg: &mut Svg, report: &Report) {
    let shown_count = report.backends.len().min(MOST_SERIES);
    let has_others = report.backends.len() > shown_count || !report.unmapped.is_empty();
    let has_missing = report.windows.iter().any(|window| window.unidentified > 0);
    let places = shown_count + usize::from(has_others) + usize::from(has_missing);
    let room = (WIDTH - LEFT - MARGIN) / places.max(1) as f64;
    let mut tell = |place: usize, class: &str, label: &str| {
        let x = LEFT + room * place as f64;
        svg.rect(class, x, 3.0, 11.0, 11.0);
        let width = if places > 3 { 7 } else { 16 };
        let label = crate::report::names::cut_within(label, width);
        svg.text("tick", (x + 15.0, 13.0), Anchor::Start, &label);
    };
    for (backend, about) in shown(report) {
        tell(backend, &format!("s{backend}"), &short(&about.label));
    }
    if has_others {
        tell(shown_count, "others", others(report));
    }
    if has_missing {
        tell(shown_count + usize::from(has_others), "missing", MISSING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_of_an_axis_have_one_unit() {
        let describe = |last: f64| [0.000_302, 0.49 * last].map(|seconds| elapsed(seconds, last));
        assert_eq!(describe(0.8), ["0.0 s", "0.4 s"]);
        assert_eq!(describe(0.05), ["0 ms", "24 ms"]);
        assert_eq!(describe(45.0), ["0 s", "22 s"]);
        assert_eq!(describe(3600.0), ["0 min", "29 min"]);
    }
}
