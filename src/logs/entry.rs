//! What one line says, whatever its format; its memory is used again for the next.

/// What a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The addresses that the request went to, in turn.
    Upstream,
    /// Who asked.
    Client,
    /// The same, as a proxy in front tells it: counts before [`Role::Client`].
    Forwarded,
    Host,
    Path,
    /// Method, path and version.
    Request,
    Status,
    Time,
    /// `HAProxy`'s retries: a `+` says that the last was on another server.
    Redispatched,
    /// Retries, of which the last upstream alone is named.
    Retries,
    /// Attempts, of which the last upstream alone is named.
    Attempts,
}

const ROLES: usize = 11;
/// Names of which the first that is there says who answered.
pub(super) const MOST_IDENTITIES: usize = 2;

/// What a field is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub role: Option<Role>,
    /// Its place among the names that say who answered.
    pub identity: Option<usize>,
}

impl Slot {
    pub(super) fn is_wanted(self) -> bool {
        self != Self::default()
    }
}

/// What one line says.
#[derive(Debug, Default)]
pub(super) struct Entry {
    by_role: [Vec<u8>; ROLES],
    identity: [Vec<u8>; MOST_IDENTITIES],
    /// Whether the log says that the request went nowhere.
    is_unrouted: bool,
}

/// Who answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named<'e> {
    /// This upstream first.
    One { name: &'e str, is_retried: bool },
    /// Several in turn, of which the first is not told.
    Moved,
    /// No upstream.
    Nobody,
}

impl Entry {
    pub(super) fn clear(&mut self) {
        self.by_role.iter_mut().for_each(Vec::clear);
        self.identity.iter_mut().for_each(Vec::clear);
        self.is_unrouted = false;
    }

    /// Takes a field; the first that is filled in counts.
    pub(super) fn put(&mut self, slot: Slot, value: &[u8]) {
        let is_empty = matches!(value, b"" | b"-" | b"<NOSRV>" | b"<STATS>");
        if let Some(role) = slot.role {
            self.is_unrouted |= is_empty && role == Role::Upstream;
            let known = &mut self.by_role[role as usize];
            if !is_empty && known.is_empty() {
                known.extend_from_slice(value);
            }
        }
        if let Some(place) = slot.identity
            && !is_empty
            && self.identity[place].is_empty()
        {
            self.identity[place].extend_from_slice(value);
        }
    }

    /// What is said of `role`; empty where nothing is.
    pub(super) fn get(&self, role: Role) -> &[u8] {
        &self.by_role[role as usize]
    }

    /// Who answered first.
    pub(super) fn named(&self) -> Named<'_> {
        let identity = self.identity.iter().find(|identity| !identity.is_empty());
        let Some(identity) = identity.filter(|_| !self.is_unrouted) else {
            return Named::Nobody;
        };
        let number = |role| {
            std::str::from_utf8(self.get(role))
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let is_moved = self.get(Role::Redispatched).starts_with(b"+")
            || number(Role::Retries) > 0
            || number(Role::Attempts) > 1;
        let (first, is_several) = first_of(identity);
        let is_retried = is_several || first_of(self.get(Role::Upstream)).1;
        if is_moved && !is_retried {
            return Named::Moved;
        }
        let first = first
            .strip_prefix(b"http://")
            .or_else(|| first.strip_prefix(b"https://"))
            .unwrap_or(first);
        let is_name = |name: &&str| {
            !name.is_empty()
                && *name != "-"
                && !name.contains(char::is_control)
                && (self.get(Role::Upstream) != *identity || is_address(name))
        };
        std::str::from_utf8(first)
            .ok()
            .filter(is_name)
            .map_or(Named::Nobody, |name| Named::One { name, is_retried })
    }

    /// The client's address without its port; empty where it is not told.
    pub(super) fn client(&self) -> &[u8] {
        let forwarded = self.get(Role::Forwarded);
        if !forwarded.is_empty() {
            let end = memchr::memchr(b',', forwarded).unwrap_or(forwarded.len());
            return without_port(forwarded[..end].trim_ascii());
        }
        without_port(self.get(Role::Client))
    }

    /// The host that was asked for, without its port.
    pub(super) fn host(&self) -> &[u8] {
        let host = self.get(Role::Host);
        if !host.is_empty() {
            return without_port(host);
        }
        let target = self.target();
        let Some(start) = memchr::memmem::find(target, b"://") else {
            return b"";
        };
        let rest = &target[start + 3..];
        let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        without_port(&rest[..end])
    }

    /// The path that was asked for.
    pub(super) fn path(&self) -> &[u8] {
        let target = self.target();
        match memchr::memmem::find(target, b"://") {
            Some(start) if !target.starts_with(b"/") => {
                let rest = &target[start + 3..];
                memchr::memchr(b'/', rest).map_or(b"/", |slash| &rest[slash..])
            }
            _ => target,
        }
    }

    fn target(&self) -> &[u8] {
        let path = self.get(Role::Path);
        if !path.is_empty() {
            return path;
        }
        let mut words = self.get(Role::Request).split(|&byte| byte == b' ');
        words.nth(1).unwrap_or_default()
    }
}

/// Whether `name` may be an upstream's: what stands in its place where a log has another field is a time, a size, a quoted
/// header, `key=value` or `key:`.
fn is_address(name: &str) -> bool {
    name.parse::<f64>().is_err() && !name.contains(['"', '=']) && !name.ends_with(':')
}

/// The first of a list of nginx's (`a, b : c`), and whether there are more.
fn first_of(list: &[u8]) -> (&[u8], bool) {
    match memchr::memchr2(b',', b' ', list) {
        Some(end) => (&list[..end], true),
        None => (list, false),
    }
}

/// An address or a host without its port.
fn without_port(address: &[u8]) -> &[u8] {
    if let Some(rest) = address.strip_prefix(b"[") {
        let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
        return &rest[..end];
    }
    let mut colons = memchr::memchr_iter(b':', address);
    match (colons.next(), colons.next()) {
        (Some(colon), None) => &address[..colon],
        _ => address,
    }
}
