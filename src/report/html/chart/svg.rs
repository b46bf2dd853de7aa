//! A drawing that grows element by element.

use std::fmt::{Display, Write};

use super::WIDTH;
use crate::report::escape::html;

/// Where a text stands from its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A place or a length with one decimal, which is finer than a pixel.
fn tenth(length: f64) -> f64 {
    // Rounding leaves zero a sign.
    (length * 10.0).round() / 10.0 + 0.0
}

/// An SVG document in the making; lengths are in its own units.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// A rectangle.
    #[expect(clippy::too_many_arguments, reason = "the attributes of SVG")]
    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(tenth);
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    /// Rectangles of one series, as `[x, y, width, height]`; a pointer that rests on one is told the series.
    pub(super) fn rects(&mut self, class: &str, areas: &[[f64; 4]], message: &str) {
        if areas.is_empty() {
            return;
        }
        let mut path = String::new();
        for area in areas {
            let [x, y, width, height] = area.map(tenth);
            let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
        let message = html(message);
        self.element(format_args!(
            "<path class=\"{class}\" d=\"{path}\"><title>{message}</title></path>"
        ));
    }

    /// A line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(tenth);
        self.element(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// A line through all points, or the area between them when `closed`. Steps are shorter to write than places.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let mut path = String::with_capacity(points.len() * 8);
        let mut at = (0.0, 0.0);
        for (index, &(x, y)) in points.iter().enumerate() {
            let to = (tenth(x), tenth(y));
            let (across, down) = (tenth(to.0 - at.0), tenth(to.1 - at.1));
            let _ = match (index, across == 0.0, down == 0.0) {
                (0, ..) => write!(path, "M{across} {down}"),
                (_, true, true) => Ok(()),
                (_, true, false) => write!(path, "v{down}"),
                (_, false, true) => write!(path, "h{across}"),
                (_, false, false) => write!(path, "l{across} {down}"),
            };
            at = to;
        }
        if closed {
            path.push('z');
        }
        self.element(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    /// A round mark, or a square one on its corner.
    pub(super) fn mark(&mut self, class: &str, x: f64, y: f64, is_round: bool) {
        const RADIUS: f64 = 5.0;
        if is_round {
            let [x, y] = [x, y].map(tenth);
            self.element(format_args!(
                "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\"/>"
            ));
        } else {
            let r = RADIUS * 1.3;
            let corners = [(x - r, y), (x, y - r), (x + r, y), (x, y + r)];
            self.path(class, &corners, true);
        }
    }

    /// A text, cut to what a chart has room for.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let [x, y] = [at.0, at.1].map(tenth);
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = html(text);
        self.element(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// Writing to a `String` cannot fail.
    fn element(&mut self, element: impl Display) {
        let _ = writeln!(self.body, "{element}");
    }

    /// The document: an image with a name and a description for those who don't see it.
    pub(super) fn finish(self, id: &str, title: &str, description: &str, height: f64) -> String {
        let (title, description) = (html(title), html(description));
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-labelledby=\"{id}-title {id}-description\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-description\">{description}</desc>\n{}</svg>",
            self.body
        )
    }
}
