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

/// An SVG document in the making; lengths are in its own units.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// A rectangle.
    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A rectangle that tells its figures where a pointer rests on it.
    pub(super) fn told_rect(&mut self, class: &str, area: [f64; 4], told: &str) {
        let [x, y, width, height] = area;
        let told = html(told);
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{told}</title></rect>"
        ));
    }

    /// A line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.element(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line through all points, or the area between them when `closed`.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let mut path = String::with_capacity(points.len() * 12);
        for (index, (x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        if closed {
            path.push('Z');
        }
        self.element(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    /// A round mark, or a square one on its corner.
    pub(super) fn mark(&mut self, class: &str, x: f64, y: f64, is_round: bool) {
        const RADIUS: f64 = 5.0;
        if is_round {
            self.element(format_args!(
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\"/>"
            ));
        } else {
            let r = RADIUS * 1.3;
            let corners = [(x - r, y), (x, y - r), (x + r, y), (x, y + r)];
            self.path(class, &corners, true);
        }
    }

    /// A text, cut to what a chart has room for.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let (x, y) = at;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = html(text);
        self.element(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
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
