//! The latency distributions by backend, on one logarithmic axis.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::{Chart, MARGIN, WIDTH, left_out, short, shown};
use crate::format::time;
use crate::report::{BackendReport, Report};

const ROW: f64 = 74.0;
const CURVE: f64 = 44.0;
/// Columns of a distribution.
const BINS: usize = 72;

/// One backend's latencies; its histogram is in microseconds.
struct Row<'a> {
    place: usize,
    backend: &'a BackendReport,
    histogram: Histogram<u64>,
}

pub(super) fn chart(report: &Report, section: usize) -> Option<Chart> {
    let rows: Vec<Row<'_>> = shown(report)
        .filter_map(|(place, backend)| {
            let histogram = decoded(backend.latency_histogram.as_deref()?)?;
            (!histogram.is_empty()).then_some(Row {
                place,
                backend,
                histogram,
            })
        })
        .collect();
    let least = rows.iter().map(|row| row.histogram.min().max(1)).min()?;
    let most = rows
        .iter()
        .map(|row| row.histogram.value_at_quantile(0.9995))
        .max()?;
    // A distribution narrower than this would look like noise.
    let (low, high) = (least as f64, (most as f64 * 1.02).max(least as f64 * 1.5));
    let x = Axis::logarithmic((low / 1e6, high / 1e6), (MARGIN, WIDTH - MARGIN));
    let bottom = ROW * rows.len() as f64;
    let mut svg = Svg::default();
    x.draw(&mut svg, bottom, 0.0, 6, tick);
    for (index, row) in rows.iter().enumerate() {
        draw(&mut svg, &x, (low, high), index as f64 * ROW, row);
    }
    let described: Vec<String> = rows
        .iter()
        .map(|row| format!("{}: {}", row.backend.label, quantiles(row.backend)))
        .collect();
    let title = "Latency by backend";
    Some(Chart {
        kind: "latency",
        title: title.to_owned(),
        caption: format!(
            "How long whole responses took, on a logarithmic scale; the lines mark the median and the \
             99th percentile.{}",
            left_out(report)
        ),
        svg: svg.finish(
            &format!("latency-{section}"),
            title,
            &described.join(". "),
            bottom + 24.0,
        ),
    })
}

/// A histogram as reports carry it; `None` when it is none.
fn decoded(encoded: &str) -> Option<Histogram<u64>> {
    let compressed = STANDARD.decode(encoded).ok()?;
    Deserializer::new().deserialize(&mut &*compressed).ok()
}

fn quantiles(backend: &BackendReport) -> String {
    let describe = |seconds: Option<f64>| seconds.map_or_else(|| "unknown".to_owned(), time);
    format!(
        "p50 {}, p99 {}",
        describe(backend.latency_p50_seconds),
        describe(backend.latency_p99_seconds)
    )
}

fn draw(svg: &mut Svg, x: &Axis, (low, high): (f64, f64), top: f64, row: &Row<'_>) {
    let floor = top + ROW - 6.0;
    let mut bins = [0_u64; BINS];
    let width = (high / low).ln() / BINS as f64;
    for recorded in row.histogram.iter_recorded() {
        let value = (recorded.value_iterated_to() as f64).max(low);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and cut to the last bin"
        )]
        let bin = ((value / low).ln() / width) as usize;
        bins[bin.min(BINS - 1)] += recorded.count_since_last_iteration();
    }
    let highest = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
    let mut points = vec![(x.place(low / 1e6), floor)];
    for (bin, &count) in bins.iter().enumerate() {
        let height = CURVE * count as f64 / highest;
        for edge in [bin, bin + 1] {
            let value = low * (width * edge as f64).exp();
            points.push((x.place(value / 1e6), floor - height));
        }
    }
    points.push((x.place(high / 1e6), floor));
    svg.path(&format!("s{} soft", row.place), &points, true);
    let Row { backend, .. } = row;
    for seconds in [backend.latency_p50_seconds, backend.latency_p99_seconds]
        .into_iter()
        .flatten()
    {
        let at = x.place(seconds);
        svg.line("quantile", (at, floor - CURVE), (at, floor));
    }
    let baseline = top + 14.0;
    svg.text(
        "label halo",
        (MARGIN, baseline),
        Anchor::Start,
        &short(&backend.label),
    );
    svg.text(
        "figure halo",
        (WIDTH - MARGIN, baseline),
        Anchor::End,
        &quantiles(backend),
    );
}

/// `5 ms`: a round time without decimals.
fn tick(seconds: f64) -> String {
    let (value, unit) = if seconds < 0.999e-3 {
        (seconds * 1e6, "µs")
    } else if seconds < 0.999 {
        (seconds * 1e3, "ms")
    } else {
        (seconds, "s")
    };
    format!("{value:.0} {unit}")
}
