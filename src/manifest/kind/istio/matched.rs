//! What a rule of a `VirtualService` asks of a request: one of its matches.

use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::route::PathRule;

#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) path: PathRule,
    pub(super) authority: Option<String>,
    pub(super) conditions: Vec<Condition>,
    /// Whether it asks for something that conditions don't tell, such as a port or a gateway.
    pub(super) is_partial: bool,
}

impl Match {
    pub(super) fn any() -> Self {
        Self {
            path: PathRule::any(),
            authority: None,
            conditions: Vec::new(),
            is_partial: false,
        }
    }

    /// Whether it takes every request of `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        !self.is_partial
            && self.path.covers(&other.path)
            && self
                .conditions
                .iter()
                .all(|one| other.conditions.contains(one))
            && (self.authority.is_none() || self.authority == other.authority)
    }
}

/// Reads one of the matches of a rule.
#[expect(clippy::too_many_lines, reason = "each arm is a field")]
pub(super) fn read_match(field: &Field<'_>) -> Result<Match, ManifestError> {
    let mut read = Match::any();
    for key in field.keys()? {
        let value = field.at(key)?;
        match key {
            "uri" => {
                read.path = if let Some(path) = value.at("exact")?.text()? {
                    PathRule::Exact(path.to_owned())
                } else if let Some(path) = value.at("prefix")?.text()? {
                    PathRule::Prefix(path.to_owned())
                } else {
                    let pattern = value.at("regex")?.text()?.unwrap_or("*");
                    if pattern == ".*" || pattern == "/.*" {
                        PathRule::any()
                    } else {
                        PathRule::Pattern(pattern.to_owned())
                    }
                };
            }
            "authority" if value.at("exact")?.is_there() => {
                read.authority = value.at("exact")?.text()?.map(str::to_owned);
            }
            "headers" | "withoutHeaders" | "queryParams" => {
                let noun = if key == "queryParams" {
                    "query parameter"
                } else {
                    "header"
                };
                let not = if key == "withoutHeaders" { "no " } else { "" };
                for name in value.keys()? {
                    let mut message = format!("{not}{noun} {name}");
                    for (how, shown) in [
                        ("exact", ": "),
                        ("prefix", ": prefix "),
                        ("regex", ": regex "),
                    ] {
                        if let Some(text) = value.at(name)?.at(how)?.text()? {
                            message.push_str(shown);
                            message.push_str(text);
                        }
                    }
                    let exact = value.at(name)?.at("exact")?.text()?;
                    let pattern = value.at(name)?.at("regex")?.text()?;
                    read.conditions.push(match (key, exact, pattern) {
                        ("withoutHeaders", ..) => message.into(),
                        ("headers", Some(_), _) => Condition::header(name, exact),
                        ("queryParams", Some(_), _) => Condition::query(name, exact),
                        ("headers", None, Some(pattern)) => {
                            Condition::header_like(name, pattern, message)
                        }
                        ("queryParams", None, Some(pattern)) => {
                            Condition::query_like(name, pattern, message)
                        }
                        _ => Condition::special(message),
                    });
                }
            }
            // These say how the rest is called.
            "name" | "statPrefix" => {}
            "method" if value.at("exact")?.text()? == Some("GET") => read.is_partial = true,
            "ignoreUriCase" | "gateways" | "port" | "scheme" | "authority" | "sourceNamespace" => {
                read.is_partial = true;
            }
            "method" if value.at("exact")?.is_there() => {
                let method = value.at("exact")?.required()?;
                read.conditions.push(Condition::method(method));
            }
            other => read.conditions.push(other.to_owned().into()),
        }
    }
    Ok(read)
}
