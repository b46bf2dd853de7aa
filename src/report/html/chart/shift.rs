//! The split against the expectation: each backend's shift, its interval, and the tolerance band.

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::{Chart, MARGIN, WIDTH, left_out, shown};
use crate::format::percent;
use crate::report::standing::{Standing, sentence, standing};
use crate::report::{BackendReport, Report};

const ROW: f64 = 52.0;
const BAR: f64 = 18.0;

/// One row of the chart.
struct Row<'a> {
    backend: &'a BackendReport,
    standing: Standing,
    share: f64,
    low: f64,
    high: f64,
}

pub(super) fn chart(report: &Report, section: usize) -> Option<Chart> {
    let rows: Vec<Row<'_>> = shown(report)
        .filter_map(|(_, backend)| {
            Some(Row {
                backend,
                standing: standing(report, backend),
                share: backend.share?,
                low: backend.interval_low?,
                high: backend.interval_high?,
            })
        })
        .collect();
    let reach = rows.iter().map(|row| {
        let expected = row.backend.expected_share;
        let ends = [row.low - expected, row.high - expected];
        let farthest = ends.into_iter().map(f64::abs).fold(0.0, f64::max);
        farthest.max(row.backend.tolerance_share)
    });
    let reach = reach.fold(0.0, f64::max) * 1.15;
    if reach <= 0.0 {
        return None;
    }
    let axis = Axis::linear((-reach * 100.0, reach * 100.0), (MARGIN, WIDTH - MARGIN));
    let bottom = ROW * rows.len() as f64;
    let mut svg = Svg::default();
    axis.draw(&mut svg, bottom, 0.0, 6, |points| {
        // Rounding leaves zero a sign.
        if points.abs() < 1e-9 {
            "0 pp".to_owned()
        } else {
            format!("{points:+} pp")
        }
    });
    svg.line(
        "expected",
        (axis.place(0.0), 0.0),
        (axis.place(0.0), bottom),
    );
    for (index, row) in rows.iter().enumerate() {
        draw(&mut svg, &axis, index as f64 * ROW, row);
    }
    let described: Vec<String> = rows
        .iter()
        .map(|row| format!("{}: {}", row.backend.label, sentence(row.backend)))
        .collect();
    let title = "Split against expectation";
    Some(Chart {
        kind: "shift",
        title: title.to_owned(),
        caption: format!(
            "How far each backend's share is from what it should get, in percentage points. The line \
             through a mark is its 95 % interval, the shaded band the tolerance.{}",
            left_out(report)
        ),
        svg: svg.finish(
            &format!("shift-{section}"),
            title,
            &described.join(". "),
            bottom + 24.0,
        ),
    })
}

fn draw(svg: &mut Svg, axis: &Axis, top: f64, row: &Row<'_>) {
    let Row { backend, .. } = row;
    let expected = backend.expected_share;
    let place = |share: f64| axis.place((share - expected) * 100.0);
    let middle = top + ROW - BAR / 2.0 - 8.0;
    let tolerance = backend.tolerance_share;
    let (from, to) = (place(expected - tolerance), place(expected + tolerance));
    svg.rect("band", from, middle - BAR / 2.0, to - from, BAR);
    let class = match row.standing {
        Standing::Fits => "fits",
        Standing::Off => "off",
        Standing::Unsettled | Standing::NotJudged => "unsettled",
    };
    let (low, high) = (place(row.low), place(row.high));
    let line = format!("interval {class}");
    svg.line(&line, (low, middle), (high, middle));
    for end in [low, high] {
        svg.line(&line, (end, middle - 5.0), (end, middle + 5.0));
    }
    let is_round = row.standing != Standing::Off;
    svg.mark(class, place(row.share), middle, is_round);
    let baseline = top + 16.0;
    svg.text(
        "label halo",
        (MARGIN, baseline),
        Anchor::Start,
        &super::short(&backend.label),
    );
    let message = format!(
        "{:.2} % of {} expected",
        row.share * 100.0,
        percent(expected)
    );
    svg.text(
        "figure halo",
        (WIDTH - MARGIN, baseline),
        Anchor::End,
        &message,
    );
}
