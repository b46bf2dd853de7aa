//! The staircase of a rollout: what each step asked for, and what its tests measured, over time.

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::windows::elapsed;
use super::{Chart, MARGIN, MOST_SERIES, WIDTH, short};
use crate::report::VerdictName;
use crate::report::rollout::{ShareReport, StepReport, TrialReport};

const HEIGHT: f64 = 190.0;
/// Room for the share's axis, at the left.
const LEFT: f64 = 52.0;
/// Room for the label above a panel.
const ABOVE: f64 = 24.0;

/// The chart of steps that took `seconds` in all; `None` where there is nothing to draw.
pub(in crate::report::html) fn chart(steps: &[StepReport], seconds: f64) -> Option<Chart> {
    let mut labels: Vec<&str> = Vec::new();
    for share in steps.iter().flat_map(|step| &step.expected) {
        if !labels.contains(&share.label.as_str()) {
            labels.push(&share.label);
        }
    }
    // Of two backends one tells all: the last, which a rollout moves to.
    let skipped = labels.len().saturating_sub(1);
    let shown: Vec<&str> = if labels.len() == 2 {
        labels.into_iter().skip(skipped).collect()
    } else {
        labels.into_iter().take(MOST_SERIES).collect()
    };
    if shown.is_empty() {
        return None;
    }
    let mut svg = Svg::default();
    let x = Axis::linear((0.0, seconds), (LEFT, WIDTH - MARGIN));
    let mut top = 0.0;
    for label in &shown {
        panel(&mut svg, (&x, top), steps, label, seconds);
        top += HEIGHT + 26.0;
    }
    let title = "Asked for and measured";
    let described = steps.iter().map(|step| step.text().trim_end().to_owned());
    Some(Chart {
        kind: "staircase",
        title: title.to_owned(),
        caption: "The line is the share that was asked for. Each bar is a test that came to an end: as wide as it took, at the \
                  share that it measured, with the 95 % interval. A round mark passed, a square one failed."
            .to_owned(),
        svg: svg.finish("staircase", title, &described.collect::<Vec<_>>().join(". "), top - 4.0),
    })
}

/// What `label` was to get and got.
fn panel(svg: &mut Svg, (x, top): (&Axis, f64), steps: &[StepReport], label: &str, seconds: f64) {
    let (ceiling, floor) = (top + ABOVE, top + HEIGHT);
    let y = Axis::linear((0.0, 1.0), (floor, ceiling));
    x.draw(svg, floor, ceiling, 4, |at| elapsed(at, seconds));
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = y.place(share);
        svg.line("grid", (LEFT, at), (WIDTH - MARGIN, at));
        let message = format!("{} %", share * 100.0);
        svg.text("tick", (LEFT - 6.0, at + 4.0), Anchor::End, &message);
    }
    let ends = steps
        .iter()
        .skip(1)
        .map(|next| next.asked_after_seconds)
        .chain([seconds]);
    let mut asked = Vec::new();
    for (step, end) in steps.iter().zip(ends) {
        let share = y.place(
            share_of(&step.expected, label)
                .and_then(|found| found.share)
                .unwrap_or(0.0),
        );
        asked.extend([
            (x.place(step.asked_after_seconds), share),
            (x.place(end), share),
        ]);
    }
    svg.path("expected", &asked, false);
    for step in steps {
        for trial in &step.trials {
            mark(svg, (x, &y), step.asked_after_seconds, trial, label);
        }
    }
    svg.text(
        "label halo",
        (LEFT, top + 14.0),
        Anchor::Start,
        &short(label),
    );
}

/// What one test measured.
fn mark(svg: &mut Svg, (x, y): (&Axis, &Axis), asked: f64, trial: &TrialReport, label: &str) {
    let Some(measured) = share_of(&trial.backends, label) else {
        return;
    };
    let Some(share) = measured.share else { return };
    let (from, to) = (
        x.place(asked + trial.begun_seconds),
        x.place(asked + trial.ended_seconds),
    );
    let (at, middle) = (y.place(share), f64::midpoint(from, to));
    let class = match trial.verdict {
        VerdictName::Pass => "fits",
        VerdictName::Fail => "off",
        _ => "unsettled",
    };
    let interval = format!("interval {class}");
    svg.line(&interval, (from, at), (to, at));
    if let (Some(low), Some(high)) = (measured.interval_low, measured.interval_high) {
        svg.line(&interval, (middle, y.place(low)), (middle, y.place(high)));
    }
    svg.mark(class, middle, at, trial.verdict != VerdictName::Fail);
}

fn share_of<'s>(shares: &'s [ShareReport], label: &str) -> Option<&'s ShareReport> {
    shares.iter().find(|share| share.label == label)
}
