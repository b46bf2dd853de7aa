//! Pods that are to share the requests equally: what each gets of its equal share, the most first.

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::{Chart, MARGIN, WIDTH};
use crate::report::Report;
use crate::report::escape::terminal;
use crate::report::names::{cut_within, distinct};
use crate::report::text::MOST_PODS;

const ROW: f64 = 18.0;
/// Where the names end.
const NAMES: f64 = 150.0;
/// Where the figures begin.
const FIGURES: f64 = WIDTH - MARGIN - 44.0;

/// A pod, in multiples of its equal share.
#[derive(Debug, Clone, Copy)]
struct Pod<'a> {
    name: &'a str,
    ratio: f64,
    low: f64,
    high: f64,
    tolerance: f64,
}

/// A line of the chart.
enum Row<'a> {
    Pod(Pod<'a>),
    /// So many that have no line of their own.
    Folded(usize),
}

pub(super) fn chart(report: &Report, section: usize) -> Option<Chart> {
    let mut pods = pods(report);
    pods.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let reach = pods.iter().map(|pod| pod.high.max(1.0 + pod.tolerance));
    let reach = reach.fold(0.0, f64::max) * 1.05;
    if pods.is_empty() {
        return None;
    }
    let rows = folded(&pods);
    let axis = Axis::linear((0.0, reach), (NAMES, FIGURES));
    let bottom = ROW * rows.len() as f64;
    let mut svg = Svg::default();
    axis.draw(&mut svg, bottom, 0.0, 5, |ratio| format!("{ratio} ×"));
    for (index, (row, name)) in rows.iter().zip(names(&rows)).enumerate() {
        draw(&mut svg, &axis, (index as f64 + 0.5) * ROW, (row, &name));
    }
    svg.line(
        "expected",
        (axis.place(1.0), 0.0),
        (axis.place(1.0), bottom),
    );
    let described: Vec<String> = rows.iter().map(description).collect();
    let title = "Pods against an equal share";
    Some(Chart {
        kind: "pods",
        title: title.to_owned(),
        caption: "What each pod gets, in multiples of its equal share. The line through a mark is its 95 % interval, the \
                  shaded band the tolerance."
            .to_owned(),
        svg: svg.finish(
            &format!("pods-{section}"),
            title,
            &described.join(". "),
            bottom + 24.0,
        ),
    })
}

/// Those of the claim, silent ones too where they are known by name.
fn pods(report: &Report) -> Vec<Pod<'_>> {
    if let Some(evenness) = &report.evenness {
        let pod = |backend: &'_ crate::report::BackendReport| {
            let of_equal = |share: f64| share / backend.expected_share;
            Some((
                of_equal(backend.share?),
                of_equal(backend.interval_low?),
                of_equal(backend.interval_high?),
            ))
        };
        let own = report.backends.iter().filter_map(|backend| {
            let (ratio, low, high) = pod(backend)?;
            Some(Pod {
                name: &backend.label,
                ratio,
                low,
                high,
                tolerance: evenness.tolerance_ratio,
            })
        });
        return own.collect();
    }
    let own = report.pods.iter().filter_map(|pod| {
        let (ratio, share) = (pod.equal_share_ratio?, pod.share?);
        let label = pod.label.as_ref()?;
        let claim = report
            .evenness_by_backend
            .iter()
            .find(|part| part.label == *label)?;
        let of_equal = |end: f64| {
            if share > 0.0 {
                end * ratio / share
            } else {
                0.0
            }
        };
        Some(Pod {
            name: &pod.name,
            ratio,
            low: of_equal(pod.interval_low?),
            high: of_equal(pod.interval_high?),
            tolerance: claim.tolerance_ratio,
        })
    });
    own.collect()
}

/// The pods that get most and least, with the number of those between.
fn folded<'a>(pods: &[Pod<'a>]) -> Vec<Row<'a>> {
    let Some(more) = pods.len().checked_sub(MOST_PODS).filter(|&more| more > 0) else {
        return pods.iter().copied().map(Row::Pod).collect();
    };
    let (most, rest) = pods.split_at(MOST_PODS / 2);
    let least = &rest[more..];
    let rows = most.iter().copied().map(Row::Pod);
    rows.chain([Row::Folded(more)])
        .chain(least.iter().copied().map(Row::Pod))
        .collect()
}

fn draw(svg: &mut Svg, axis: &Axis, middle: f64, (row, name): (&Row<'_>, &str)) {
    let place = (NAMES - 8.0, middle + 4.0);
    let Row::Pod(pod) = row else {
        svg.text("tick halo", place, Anchor::End, name);
        return;
    };
    let (from, to) = (
        axis.place(1.0 - pod.tolerance),
        axis.place(1.0 + pod.tolerance),
    );
    svg.rect("band", from, middle - ROW / 2.0, to - from, ROW);
    let is_off = pod.low >= 1.0 + pod.tolerance || pod.high <= 1.0 - pod.tolerance;
    let is_within = pod.high < 1.0 + pod.tolerance && pod.low > 1.0 - pod.tolerance;
    let class = match (is_off, is_within) {
        (true, _) => "off",
        (_, true) => "fits",
        _ => "unsettled",
    };
    let (low, high) = (axis.place(pod.low), axis.place(pod.high));
    svg.line(&format!("interval {class}"), (low, middle), (high, middle));
    svg.mark(class, axis.place(pod.ratio), middle, !is_off);
    svg.text("tick", place, Anchor::End, name);
    let figure = format!("{:.2} ×", pod.ratio);
    svg.text("tick", (WIDTH - MARGIN, place.1), Anchor::End, &figure);
}

/// What stands before each row: what tells the pods apart, in the room that there is.
fn names(rows: &[Row<'_>]) -> Vec<String> {
    const SHOWN: usize = 16;
    let name = |row: &Row<'_>| match row {
        Row::Pod(pod) => terminal(pod.name).into_owned(),
        Row::Folded(_) => description(row),
    };
    let names: Vec<String> = rows.iter().map(name).collect();
    let names = distinct(&names, SHOWN).into_iter();
    names.map(|name| cut_within(&name, SHOWN)).collect()
}

fn description(row: &Row<'_>) -> String {
    match row {
        Row::Pod(pod) => format!("{}: {:.2} × its equal share", pod.name, pod.ratio),
        Row::Folded(more) => format!("… {more} more"),
    }
}
