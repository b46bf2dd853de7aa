//! A rule that delegates: what its matches and those of the delegate's rule ask for together.
//!
//! Each match of the delegate must be a part of one of the root's, or Istio leaves the delegate's rule out; a regex in
//! both places is never taken for a part (`pilot/pkg/model/virtualservice.go`, `mergeHTTPMatchRequests`).

use super::matched::{Match, read_match};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;

/// The matches of `root` and `leaf`, which are rules, as one; `None` where Istio leaves the rule out.
pub(super) fn merged(
    root: &Field<'_>,
    leaf: &Field<'_>,
) -> Result<Option<Vec<Match>>, ManifestError> {
    let (roots, leaves) = (root.at("match")?.items()?, leaf.at("match")?.items()?);
    if roots.is_empty() || leaves.is_empty() {
        let own = roots.iter().chain(&leaves);
        return own.map(read_match).collect::<Result<_, _>>().map(Some);
    }
    let mut merged = Vec::new();
    for leaf in &leaves {
        let before = merged.len();
        for root in &roots {
            if !conflict(root, leaf)? {
                merged.push(both(root, leaf)?);
            }
        }
        if merged.len() == before {
            return Ok(None);
        }
    }
    Ok(Some(merged))
}

/// What `root` and `leaf` ask for together; where both ask for one thing, the leaf does it more narrowly.
fn both(root: &Field<'_>, leaf: &Field<'_>) -> Result<Match, ManifestError> {
    let (wide, mut both) = (read_match(root)?, read_match(leaf)?);
    if !leaf.at("uri")?.is_there() {
        both.path = wide.path;
    }
    both.authority = both.authority.or(wide.authority);
    both.is_partial |= wide.is_partial;
    for condition in wide.conditions {
        if !both.conditions.contains(&condition) {
            both.conditions.push(condition);
        }
    }
    Ok(both)
}

/// Whether `leaf` asks for what `root` does not lead to it.
fn conflict(root: &Field<'_>, leaf: &Field<'_>) -> Result<bool, ManifestError> {
    for key in ["uri", "scheme", "method", "authority"] {
        if is_outside(&root.at(key)?, &leaf.at(key)?)? {
            return Ok(true);
        }
    }
    for key in ["headers", "queryParams"] {
        let (root, leaf) = (root.at(key)?, leaf.at(key)?);
        for name in leaf.keys()? {
            if is_outside(&root.at(name)?, &leaf.at(name)?)? {
                return Ok(true);
            }
        }
    }
    let (one, other) = (root.at("port")?.whole()?, leaf.at("port")?.whole()?);
    let is_other_port = one.is_some() && other.is_some() && one != other;
    Ok(is_other_port || root.at("ignoreUriCase")?.flag()? != leaf.at("ignoreUriCase")?.flag()?)
}

/// Whether a text that `leaf` takes may be none of `root`'s, where both ask for one.
fn is_outside(root: &Field<'_>, leaf: &Field<'_>) -> Result<bool, ManifestError> {
    if !root.is_there() || !leaf.is_there() {
        return Ok(false);
    }
    let has_regex = root.at("regex")?.is_there() || leaf.at("regex")?.is_there();
    let (exact, prefix) = (leaf.at("exact")?.text()?, leaf.at("prefix")?.text()?);
    Ok(match root.at("exact")?.text()? {
        _ if has_regex => true,
        Some(root) => exact != Some(root),
        None => {
            let begin = root.at("prefix")?.text()?;
            let narrow = exact.or(prefix);
            !matches!((begin, narrow), (Some(begin), Some(narrow)) if narrow.starts_with(begin))
        }
    })
}
