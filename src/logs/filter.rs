//! Which lines of a log are meant.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::SystemTime;

use super::entry::{Entry, Role};

/// Which lines are meant; a line that does not say what is asked for is not.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Requests of this host.
    pub host: Option<String>,
    /// Requests whose path begins so.
    pub path: Option<String>,
    /// Requests that were answered with one of these.
    pub statuses: Option<Statuses>,
    /// Requests from then on.
    pub since: Option<SystemTime>,
    /// Requests before then.
    pub until: Option<SystemTime>,
}

/// Statuses: `200`, `2xx`, `200-399`, and several with commas between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let status = |text: &str| {
            let number = text.trim().parse::<u16>().ok();
            number.filter(|number| (100..=999).contains(number))
        };
        let range = |text: &str| {
            let text = text.trim();
            if let Some(class) = text.strip_suffix("xx") {
                let low = status(&format!("{class}00"))?;
                return Some(low..=low + 99);
            }
            match text.split_once('-') {
                Some((low, high)) => Some(status(low)?..=status(high)?),
                None => status(text).map(|status| status..=status),
            }
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.map(Self).ok_or_else(|| {
            format!(
                "'{}' is not a status: write 200, 2xx, 200-399, or several with commas between",
                text.escape_debug()
            )
        })
    }
}

impl Filter {
    /// The roles that it asks for, and the option that does.
    pub(super) fn asks_for(&self) -> impl Iterator<Item = (&'static str, &'static [Role])> {
        let asked: [(bool, &str, &[Role]); 4] = [
            (self.host.is_some(), "--host", &[Role::Host]),
            (self.path.is_some(), "--path", &[Role::Path, Role::Request]),
            (self.statuses.is_some(), "--status", &[Role::Status]),
            (
                self.since.is_some() || self.until.is_some(),
                "--since and --until",
                &[Role::Time],
            ),
        ];
        asked
            .into_iter()
            .filter(|asked| asked.0)
            .map(|(_, option, roles)| (option, roles))
    }

    /// Whether a line is meant.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let host = |host: &String| entry.host().eq_ignore_ascii_case(host.as_bytes());
        let path = |path: &String| entry.path().starts_with(path.as_bytes());
        let text = |role| std::str::from_utf8(entry.get(role)).ok();
        let statuses = |Statuses(ranges): &Statuses| {
            let status = text(Role::Status).and_then(|status| status.parse().ok());
            status.is_some_and(|status| ranges.iter().any(|range| range.contains(&status)))
        };
        self.host.as_ref().is_none_or(host)
            && self.path.as_ref().is_none_or(path)
            && self.statuses.as_ref().is_none_or(statuses)
            && (self.since.is_none() && self.until.is_none()
                || text(Role::Time)
                    .and_then(super::time::parse)
                    .is_some_and(|time| {
                        self.since.is_none_or(|since| since <= time)
                            && self.until.is_none_or(|until| time < until)
                    }))
    }
}
