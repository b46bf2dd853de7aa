//! The HTML rendering: one file that needs nothing else, neither scripts nor the network.
//!
//! The templates fill in figures and escape what they are given; the charts are SVG from
//! `chart`. The page's own policy forbids whatever is not in it, scripts other than its own included.

mod chart;
pub mod rollout;
pub mod status;
mod view;

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use ring::digest::{SHA256, digest};

use super::Named;
use super::checks::ChecksReport;
use view::Whole;

/// How the pages that are files begin.
const HEAD: &str = include_str!("head.html");
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What the page may load and run: its own style, and its script by its hash.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src {}; base-uri 'none'; form-action 'none'",
        hash(SCRIPT)
    )
});

/// A part of a page, as a content security policy names it.
fn hash(part: &str) -> String {
    let digest = digest(&SHA256, part.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

/// Writes a page with what follows from several checks together, and a section for each report.
///
/// # Panics
/// Never for lack of anything in the reports: the templates are part of the program, and tests render
/// all of them.
pub fn render(reports: &[Named<'_>], whole: Option<&ChecksReport>) -> String {
    let environment = environment();
    let page = environment
        .template_from_str(PAGE)
        .expect("the template is valid");
    page.render(context! {
        policy => POLICY.as_str(),
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
        .add_template("head.html", HEAD)
        .expect("the template is valid");
    environment
}
