//! Lines of text, read by what their server was told to write: `$status "$request"`, or `%RESPONSE_CODE%`.

use memchr::memmem::Finder;

use super::entry::{Entry, Role, Slot};

/// What a line consists of.
#[derive(Debug)]
pub(super) struct Template {
    /// What stands before the first field.
    prefix: Vec<u8>,
    fields: Vec<Field>,
    /// Whether a line may go on after the last field.
    is_open: bool,
}

#[derive(Debug)]
struct Field {
    name: String,
    slot: Slot,
    /// What ends it; `None` for the last one, at the end of the line.
    end: Option<Finder<'static>>,
    /// Whether it is a list of nginx's, with `, ` and ` : ` between.
    is_list: bool,
}

impl Template {
    /// Reads a log format of nginx's or Envoy's; `Err` names a field that nothing separates from the next.
    pub(super) fn parse(text: &str, slot: impl Fn(&str) -> Slot) -> Result<Self, String> {
        let (text, is_open) = match text.strip_suffix('…') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (prefix, mut rest) = literal(text);
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (name, after) = name(rest);
            let (end, next) = literal(after);
            if end.is_empty() && !next.is_empty() {
                return Err(name.to_owned());
            }
            let end = (!end.is_empty()).then(|| Finder::new(end.as_bytes()).into_owned());
            fields.push(Field {
                name: name.to_owned(),
                slot: slot(name),
                end,
                is_list: name.starts_with("upstream_"),
            });
            rest = next;
        }
        Ok(Self {
            prefix: prefix.as_bytes().to_vec(),
            fields,
            is_open,
        })
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.fields.iter().map(|field| field.slot)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|field| &*field.name).collect()
    }

    /// Reads a line; `false` where it does not fit.
    pub(super) fn read(&self, line: &[u8], entry: &mut Entry) -> bool {
        entry.clear();
        let Some(mut rest) = line.strip_prefix(&self.prefix[..]) else {
            return false;
        };
        for field in &self.fields {
            let Some((value, after)) = field.cut(rest, self.is_open) else {
                return false;
            };
            let is_fit = match field.slot.role {
                Some(Role::Status) => is_status(value),
                // Else what stands before the line would be a part of the address.
                Some(Role::Client) => !value.contains(&b' '),
                _ => true,
            };
            if !is_fit {
                return false;
            }
            if field.slot.is_wanted() {
                entry.put(field.slot, value);
            }
            rest = after;
        }
        rest.is_empty() || self.is_open
    }
}

impl Field {
    /// Its value, and what follows what ends it.
    fn cut<'l>(&self, rest: &'l [u8], is_open: bool) -> Option<(&'l [u8], &'l [u8])> {
        let Some(end) = &self.end else {
            let length = if is_open {
                word_end(rest, self.is_list)
            } else {
                rest.len()
            };
            return (length > 0).then(|| rest.split_at(length));
        };
        let length = if self.is_list && end.needle()[0] == b' ' {
            let length = word_end(rest, true);
            rest[length..].starts_with(end.needle()).then_some(length)?
        } else {
            end.find(rest)?
        };
        Some((&rest[..length], &rest[length + end.needle().len()..]))
    }
}

/// Where the first word ends, with the rest of its list where it is one.
fn word_end(text: &[u8], is_list: bool) -> usize {
    let mut from = 0;
    loop {
        let Some(space) = memchr::memchr(b' ', &text[from..]) else {
            return text.len();
        };
        let end = from + space;
        let goes_on = text[..end].ends_with(b",") || text[end..].starts_with(b" : ");
        if !is_list || !goes_on {
            return end;
        }
        from = if text[end..].starts_with(b" : ") {
            end + 3
        } else {
            end + 1
        };
    }
}

fn is_status(value: &[u8]) -> bool {
    matches!(value, [b'0'] | [b'-', b'1'])
        || value.len() == 3 && value.iter().all(u8::is_ascii_digit)
}

/// The text before the first field, and the rest.
fn literal(text: &str) -> (&str, &str) {
    let starts = |at: usize| {
        let rest = &text[at + 1..];
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        match text.as_bytes()[at] {
            b'$' => rest.starts_with('{') || rest.starts_with(begins),
            _ => rest.starts_with(begins) && rest.contains('%'),
        }
    };
    let fields = text.match_indices(['$', '%']).map(|(at, _)| at);
    let at = fields.into_iter().find(|&at| starts(at));
    text.split_at(at.unwrap_or(text.len()))
}

/// The name of the field with which the text begins, and the rest. Envoy's older and newer spellings are one.
fn name(text: &str) -> (&str, &str) {
    let inner = &text[1..];
    if text.starts_with('%') {
        return inner.split_once('%').unwrap_or((inner, ""));
    }
    if let Some(braced) = inner.strip_prefix('{') {
        return braced.split_once('}').unwrap_or((braced, ""));
    }
    let end = inner
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inner.len());
    inner.split_at(end)
}
