//! The HTML rendering: one file that needs nothing else, neither scripts nor the network.
//!
//! The templates fill in figures and escape what they are given; the charts are SVG from
//! `chart`. The page's own policy forbids whatever is not in it, scripts other than its own included.

mod chart;
pub mod rollout;
pub mod status;
mod view;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use super::Named;
use super::checks::ChecksReport;
use view::Whole;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What the page may load and run: its own style, and the script with this hash (a test compares it).
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'sha256-QQTJAOI0HVBDkFs+wg0R8/AgZ/QMfJHxbnM1i1j8lUI='; base-uri 'none'; form-action 'none'";

/// Writes a page with what follows from several checks together, and a section for each report.
///
/// # Panics
/// Never for lack of anything in the reports: the templates are part of the program, and tests render
/// all of them.
#[must_use]
pub fn render(reports: &[Named<'_>], whole: Option<&ChecksReport>) -> String {
    let environment = environment();
    let page = environment
        .template_from_str(PAGE)
        .expect("the template is valid");
    page.render(context! {
        policy => POLICY,
        style => STYLE,
        script => SCRIPT,
        version => env!("CARGO_PKG_VERSION"),
        title => view::title(reports, whole),
        command => view::command(reports),
        whole => Serde(whole.map(Whole::of)),
        sections => Serde(view::sections(reports)),
    })
    .expect("the template uses what the view has")
}

/// Templates that escape what they are given, and need all that they name.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}
