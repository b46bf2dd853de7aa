//! Two routing tables → rule by rule, whether both send the same requests to the same backends.
//!
//! A rule is compared by requests that it takes: what the other side does with them counts, however it is
//! written there. A rule of which no request can be made up is compared by its words.

mod parts;

use std::collections::BTreeSet;

use super::kind::{listener, rule};
use super::object::Object;
use super::probe::Probe;
use super::route::{Backend, PathRule, Route};
use super::table::Table;
use super::{ManifestError, Manifests};
use crate::format::percent;
use crate::report::compare::{CompareReport, Compared, ComparedRule, RuleBackend, RuleSide};
use parts::{differences, other_forms, parts};

impl Manifests {
    /// These rules against those of `new`, at `step` of a rollout.
    ///
    /// # Errors
    /// Objects that can't be joined; a side without any rule.
    pub fn compare(&self, new: &Self, step: Option<usize>) -> Result<CompareReport, ManifestError> {
        let tables = [self, new].map(|side| Table::read(&side.objects, step, None));
        let [old, new] = tables;
        let (old, new) = (old?, new?);
        for (table, side) in [(&old, "old"), (&new, "new")] {
            if table.rows.is_empty() {
                let refused = table.refused.first().cloned();
                let error = refused.unwrap_or_else(|| super::choice::no_route(table.objects));
                let error = Box::new(error);
                return Err(ManifestError::Side { side, error });
            }
        }
        let shares_doors = !old.doors(None).is_disjoint(&new.doors(None));
        let forth = Sides {
            here: &old,
            there: &new,
            is_old: true,
            shares_doors,
        };
        let back = Sides {
            here: &new,
            there: &old,
            is_old: false,
            shares_doors,
        };
        let mut rules: Vec<ComparedRule> = Vec::new();
        rules.extend(old.rows.iter().filter_map(|row| forth.compare(row)));
        let is_own = |row: &&Route<'_>| back.counterpart(row).is_none();
        rules.extend(
            new.rows
                .iter()
                .filter(is_own)
                .filter_map(|row| back.compare(row)),
        );
        let mut notes = Vec::new();
        for (table, name) in [(&old, "old"), (&new, "new")] {
            rules.extend(table.refused.iter().map(unread));
            notes.extend(beside(table.objects).map(|note| format!("{name}: {note}")));
        }
        Ok(CompareReport::new(rules, notes))
    }
}

/// The side that a rule stands on, and the one that it is looked for on.
struct Sides<'t, 'a, 'b> {
    here: &'t Table<'a>,
    there: &'t Table<'b>,
    is_old: bool,
    /// Whether a door of one side has the name of one of the other's.
    shares_doors: bool,
}

/// How requests of a rule compare, with the rule that takes them on the other side.
type Found<'t, 'b> = (Compared, Option<&'t Route<'b>>, Vec<String>);

impl<'b> Sides<'_, '_, 'b> {
    /// How `row` compares; `None` for one that gets no request.
    fn compare(&self, row: &Route<'_>) -> Option<ComparedRule> {
        let probes = if row.takes_connections() {
            Vec::new()
        } else {
            Probe::of(row)
        };
        let probes: Vec<Probe> = probes.iter().map(Probe::with_any_host).collect();
        let takers: Vec<_> = probes.iter().map(|probe| self.here.taker(probe)).collect();
        let is_own = |taker: &Route<'_>| std::ptr::eq(taker, row);
        let is_others = |taker: &Result<Option<&Route<'_>>, _>| matches!(taker, Ok(Some(taker)) if !is_own(taker));
        if !takers.is_empty() && takers.iter().all(is_others) {
            return None;
        }
        let own = probes.iter().zip(&takers);
        let own = own.filter(|(_, taker)| matches!(taker, Ok(Some(taker)) if is_own(taker)));
        let found = own.flat_map(|(probe, _)| self.ask_at_each_door(row, probe));
        let worst = found.reduce(|worst, next| {
            if weight(next.0) > weight(worst.0) {
                next
            } else {
                worst
            }
        });
        let by_words = || {
            let alone = || {
                let message =
                    "no request can be made up that takes it for sure, and no rule has its words";
                (self.only(), None, vec![message.to_owned()])
            };
            self.counterpart(row)
                .map_or_else(alone, |other| self.judge(row, other))
        };
        let (result, other, reasons) = worst.unwrap_or_else(by_words);
        let (own, other) = (Some(side(row)), other.map(side));
        let (old, new) = if self.is_old {
            (own, other)
        } else {
            (other, own)
        };
        Some(ComparedRule {
            result,
            host: row.hosts.first().cloned(),
            path: row.path.description(),
            conditions: asked(row),
            old,
            new,
            reasons,
        })
    }

    /// What the other side does with a request of `row` wherever it may come in there: by the door of the same name,
    /// or by each that knows the host.
    fn ask_at_each_door(&self, row: &Route<'_>, probe: &Probe) -> Vec<Found<'_, 'b>> {
        let mut doors = self.there.doors(probe.host.as_deref());
        if let Some(own) = row.doors.first().filter(|own| doors.contains(own)) {
            doors = BTreeSet::from([own]);
        }
        if doors.is_empty() {
            return vec![self.ask(row, &probe.at(None))];
        }
        let at = |door: &String| self.ask(row, &probe.at(Some(door.clone())));
        doors.into_iter().map(at).collect()
    }

    /// The first rule of the other side that asks for the same.
    fn counterpart(&self, row: &Route<'_>) -> Option<&Route<'b>> {
        self.there
            .counterpart(row, |other| self.is_counterpart(row, other))
    }

    /// Whether two rules ask for the same.
    fn is_counterpart(&self, row: &Route<'_>, other: &Route<'_>) -> bool {
        let is_apart = self.shares_doors
            && !row.doors.is_empty()
            && !other.doors.is_empty()
            && row.doors != other.doors;
        !is_apart && is_counterpart(row, other)
    }

    /// What the other side does with a request of `row`.
    fn ask(&self, row: &Route<'_>, probe: &Probe) -> Found<'_, 'b> {
        let there = if self.is_old { "new" } else { "old" };
        let request = probe.description();
        let other = match self.there.taker(probe) {
            Ok(Some(other)) => other,
            Ok(None) => {
                return (
                    self.only(),
                    None,
                    vec![format!("{there} has no rule for {request}")],
                );
            }
            Err(other) => {
                let message =
                    format!("{request} may go to this rule of {there}: that can't be told");
                return (Compared::Unclear, Some(other), vec![message]);
            }
        };
        let (mut result, taker, mut reasons) = self.judge(row, other);
        if !self.is_counterpart(row, other) {
            let is_like = row.conditions.len() == other.conditions.len()
                && row.path.shown() == other.path.shown();
            if result == Compared::Differs && !is_like {
                result = self.only();
            }
            // What differs is shown with both rules.
            let by = match result {
                Compared::Same => other.describe(),
                _ => "this rule".to_owned(),
            };
            let message = format!("{there} takes {request} by {by}");
            reasons.insert(0, message);
        }
        (result, taker, reasons)
    }

    fn only(&self) -> Compared {
        if self.is_old {
            Compared::OnlyOld
        } else {
            Compared::OnlyNew
        }
    }

    /// Whether `row` and `other` split alike.
    fn judge<'t>(&'t self, row: &Route<'_>, other: &'t Route<'b>) -> Found<'t, 'b> {
        let parts = parts(row, self.here).and_then(|own| Ok((own, parts(other, self.there)?)));
        let (own, others) = match parts {
            Ok(parts) => parts,
            Err(error) => return (Compared::Unclear, Some(other), vec![error.to_string()]),
        };
        let (old, new) = if self.is_old {
            (&own, &others)
        } else {
            (&others, &own)
        };
        let mut reasons = differences(old, new);
        let result = if reasons.is_empty() {
            Compared::Same
        } else {
            Compared::Differs
        };
        let totals = [ignored_total(row), ignored_total(other)];
        reasons.extend(totals.into_iter().flatten());
        if result == Compared::Same {
            reasons.extend(other_forms(old, new));
            reasons.extend(without_weight(row));
            reasons.extend(without_weight(other));
            reasons.extend(path_types(row, other));
        }
        // Both sides may say the same.
        let mut message = BTreeSet::new();
        reasons.retain(|reason| message.insert(reason.clone()));
        (result, Some(other), reasons)
    }
}

/// What is worse, by number.
fn weight(result: Compared) -> u8 {
    match result {
        Compared::Same => 0,
        Compared::Unclear => 1,
        Compared::OnlyOld | Compared::OnlyNew => 2,
        Compared::Differs => 3,
    }
}

/// Whether two rules ask for the same.
fn is_counterpart(row: &Route<'_>, other: &Route<'_>) -> bool {
    if row.takes_connections() || other.takes_connections() {
        return row.takes_connections() == other.takes_connections()
            && row.object.full_name() == other.object.full_name()
            && row.rule == other.rule;
    }
    let has_all = |row: &Route<'_>, other: &Route<'_>| {
        let mut asked = row.conditions.iter();
        asked.all(|asked| other.conditions.iter().any(|other| asked.is_same(other)))
    };
    let host = |row: &Route<'_>| row.hosts.first().map(|host| host.to_ascii_lowercase());
    host(row) == host(other)
        && row.path.covers(&other.path)
        && other.path.covers(&row.path)
        && has_all(row, other)
        && has_all(other, row)
}

/// What a request of `row` must have beside host and path, with the door that it comes in by.
fn asked(row: &Route<'_>) -> Vec<String> {
    let doors = row.doors.iter().map(|door| format!("at {door}"));
    let conditions = row.conditions.iter().map(ToString::to_string);
    conditions.chain(doors).collect()
}

/// That ingress-nginx counts no total below 100.
fn ignored_total(row: &Route<'_>) -> Option<String> {
    // Where a header or a cookie decides, no weight does.
    row.backends
        .iter()
        .filter(|backend| backend.weight > 0.0)
        .nth(1)?;
    let objects = row.related.iter().copied().chain([row.object]);
    for object in objects.filter(|object| rule::is_ingress(object)) {
        let Ok(Some(canary)) = rule::canary(object) else {
            continue;
        };
        let Some(written) = canary.written_total.filter(|&total| total < canary.total()) else {
            continue;
        };
        let share = |total: u64| percent(canary.weight as f64 / total.max(1) as f64);
        return Some(format!(
            "the canary-weight-total of {written} in {} counts for nothing, as ingress-nginx takes one below 100 for \
             100: weight {} is {}, not {}",
            object.title(),
            canary.weight,
            share(canary.total()),
            share(written)
        ));
    }
    None
}

/// That a weight which is left out counts as 1.
fn without_weight(row: &Route<'_>) -> Option<String> {
    if row.object.group != listener::GROUP || row.backends.len() < 2 {
        return None;
    }
    let is_absent = |backend: &&Backend<'_>| {
        let (object, path) = &backend.field;
        let pointer = format!(
            "/{}",
            path.replace('[', "/").replace(']', "").replace('.', "/")
        );
        object
            .value
            .pointer(&pointer)
            .is_none_or(serde_json::Value::is_null)
    };
    let absent = row.backends.iter().find(is_absent)?;
    Some(format!(
        "{} has no weight in {}, which means 1",
        absent.name,
        row.object.title()
    ))
}

/// That two types of path mean the same.
fn path_types(row: &Route<'_>, other: &Route<'_>) -> Option<String> {
    let written = |row: &Route<'_>| {
        let rules = rule::rules(row.object).ok()?;
        let rule = rules.into_iter().find(|rule| rule.number == row.rule)?;
        Some(rule.path_type.to_owned())
    };
    let is_left_open = |row| written(row).as_deref() == Some("ImplementationSpecific");
    if matches!(row.path, PathRule::Prefix(_)) && is_left_open(row) != is_left_open(other) {
        return Some("ImplementationSpecific is a prefix to ingress-nginx".to_owned());
    }
    None
}

fn side(row: &Route<'_>) -> RuleSide {
    let total = row.total();
    let backend = |backend: &Backend<'_>| RuleBackend {
        name: backend.name.clone(),
        share: if total > 0.0 {
            backend.weight / total
        } else {
            0.0
        },
    };
    RuleSide {
        rule: row.describe(),
        file: row.object.origin.file.to_string(),
        backends: row.backends.iter().map(backend).collect(),
    }
}

/// An object that could not be read: its rules are unclear.
fn unread(error: &ManifestError) -> ComparedRule {
    ComparedRule {
        result: Compared::Unclear,
        host: None,
        path: "(not read)".to_owned(),
        conditions: Vec::new(),
        old: None,
        new: None,
        reasons: vec![error.to_string()],
    }
}

/// What objects say beside the split.
fn beside(objects: &[Object]) -> impl Iterator<Item = String> {
    objects.iter().filter_map(|object| {
        if rule::is_ingress(object) {
            let annotations = object.value["metadata"]["annotations"].as_object()?;
            let names = annotations
                .keys()
                .filter_map(|key| key.strip_prefix(rule::PREFIX));
            let names: Vec<&str> = names.filter(|name| !name.starts_with("canary")).collect();
            let message = format!("{} has {}: not compared", object.title(), names.join(", "));
            return (!names.is_empty()).then_some(message);
        }
        if object.group != listener::GROUP {
            return None;
        }
        let rules = object.value["spec"]["rules"].as_array()?;
        let leads_nowhere =
            |rule: &serde_json::Value| rule["backendRefs"].as_array().is_none_or(Vec::is_empty);
        let rule = rules.iter().position(leads_nowhere)? + 1;
        let title = object.title();
        Some(format!(
            "{title} rule {rule} has no backendRefs, and answers by itself: not compared"
        ))
    })
}
