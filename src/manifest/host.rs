//! Names of hosts, of which each may begin with a wildcard: what two of them have in common.

/// The hosts that are asked for and taken; none means any. `None` if not one is both.
pub(super) fn common(asked: &[String], taken: &[String]) -> Option<Vec<String>> {
    let mut both: Vec<String> = Vec::new();
    let pairs = match (asked, taken) {
        ([], hosts) | (hosts, []) => hosts.iter().map(|host| (host, host)).collect(),
        _ => asked
            .iter()
            .flat_map(|one| taken.iter().map(move |other| (one, other)))
            .collect::<Vec<_>>(),
    };
    let is_any = pairs.is_empty();
    for (one, other) in pairs {
        if let Some(host) = narrower(one, other)
            && !both.iter().any(|known| known == host)
        {
            both.push(host.to_owned());
        }
    }
    (is_any || !both.is_empty()).then_some(both)
}

/// The one of two names that the other includes; a wildcard stands for one label or more.
fn narrower<'h>(one: &'h str, other: &'h str) -> Option<&'h str> {
    let includes = |wide: &str, narrow: &str| {
        let (wide, narrow) = (wide.to_ascii_lowercase(), narrow.to_ascii_lowercase());
        match wide.strip_prefix('*') {
            Some(end) => narrow.len() > end.len() && narrow.ends_with(end),
            None => wide == narrow,
        }
    };
    if includes(other, one) {
        Some(one)
    } else {
        includes(one, other).then_some(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lists_of_hosts_have_the_narrower_names_in_common() {
        let list = |hosts: &str| {
            hosts
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for (asked, taken, both) in [
            ("*.example", "shop.example", Some("shop.example")),
            ("shop.example", "*.example", Some("shop.example")),
            ("*.a.example", "*.example", Some("*.a.example")),
            ("x.y.example", "*.example", Some("x.y.example")),
            ("SHOP.example", "shop.example", Some("SHOP.example")),
            ("", "shop.example shop.example", Some("shop.example")),
            ("shop.example", "", Some("shop.example")),
            ("", "", Some("")),
            (
                "a.example b.example",
                "b.example c.example",
                Some("b.example"),
            ),
            ("example", "*.example", None),
            (".example", "*.example", None),
            ("a.example", "b.example", None),
        ] {
            let found = common(&list(asked), &list(taken));
            assert_eq!(found, both.map(list), "{asked} and {taken}");
        }
    }
}
