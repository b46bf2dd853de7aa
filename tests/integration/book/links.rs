//! Links and the table of contents.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::{pages, root};

/// Where a page's links lead, as they are written.
fn destinations(markdown: &str) -> Vec<String> {
    Parser::new(markdown)
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        })
        .collect()
}

/// The anchors of a page's headings, as GitHub and mdBook form them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap());
                let numbered = (1..).map(|n| format!("{anchor}-{n}"));
                let mut names = std::iter::once(anchor.clone()).chain(numbered);
                anchors.insert(names.find(|name| !anchors.contains(name)).unwrap());
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    let text = heading.chars().filter(kept).collect::<String>();
    text.to_lowercase().replace(' ', "-")
}

/// What is wrong with a link of a page.
fn fault(page: &Path, destination: &str) -> Option<String> {
    if destination.contains("://") || destination.starts_with("mailto:") {
        return None;
    }
    let (file, wanted) = destination.split_once('#').unwrap_or((destination, ""));
    let target = if file.is_empty() {
        page.to_owned()
    } else {
        page.parent().unwrap().join(file)
    };
    if !target.exists() {
        return Some(format!("there is no {file}"));
    }
    let has = || anchors(&fs::read_to_string(&target).unwrap()).contains(wanted);
    (!wanted.is_empty() && !has()).then(|| format!("{file} has no heading {wanted}"))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut all = Vec::new();
    for folder in ["docs", "scripts", "dashboards"] {
        all.extend(pages(&root().join(folder)));
    }
    all.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in &all {
        for destination in destinations(&fs::read_to_string(page).unwrap()) {
            seen += 1;
            let fault = fault(page, &destination);
            faults.extend(fault.map(|fault| format!("{}: {fault}", page.display())));
        }
    }
    assert!(seen > 20, "{seen} links");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_broken_link_is_noticed() {
    let page = root().join("README.md");
    assert!(fault(&page, "docs/nothing.md").is_some());
    assert!(fault(&page, "#no-such-heading").is_some());
    assert!(fault(&page, "docs/SUMMARY.md").is_none());
    let found = anchors("# The `--json` report\n## A & B\n## A & B\n");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["a--b", "a--b-1", "the---json-report"]
    );
}

#[test]
fn the_table_of_contents_has_every_page_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let listed = destinations(&fs::read_to_string(&summary).unwrap());
    let mut listed: Vec<PathBuf> = listed.iter().map(|page| docs.join(page)).collect();
    listed.push(summary);
    listed.sort();
    assert_eq!(listed, pages(&docs));
}
