//! Names of pods wherever they stand in a text: by their shape, or by a key that says what they are.
//!
//! A Deployment's pod is called `NAME-<hash>-<suffix>` in two narrow alphabets ([`workload`](super::workload)), which no
//! word and hardly any other identifier is. An ordinal (`web-0`) is taken where its key says that it is a pod or a host.

use std::sync::LazyLock;

use memchr::memchr_iter;
use regex::bytes::Regex;

use super::MAX_NAME_LENGTH;
use super::workload::{is_deployment_pod, is_generated_name};

/// The shape as a regular expression, for an `--identify` that a person can read.
pub(super) const PATTERN: &str =
    r"[a-z0-9][-a-z0-9]*-[b-df-hj-np-tv-xz24-9]{6,10}-[b-df-hj-np-tv-xz24-9]{5}\b";

/// The length of what stands after the last dash of a pod's name.
const SUFFIX_LENGTH: usize = 5;

/// A name and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub name: &'a str,
    pub start: usize,
}

/// The tokens of `text` that have the shape of a Deployment's pod. Time is linear: a dash is looked at closely only where
/// a suffix follows it and ends the word.
pub(super) fn tokens(text: &[u8]) -> impl Iterator<Item = Token<'_>> {
    memchr_iter(b'-', text).filter_map(move |dash| {
        let end = dash + 1 + SUFFIX_LENGTH;
        let suffix = text.get(dash + 1..end)?;
        let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !suffix.iter().all(is_word) || !ends_here(&text[end..]) {
            return None;
        }
        let head = &text[..dash];
        let length = head
            .iter()
            .rev()
            .take(MAX_NAME_LENGTH)
            .take_while(|byte| is_word(byte) || **byte == b'-')
            .count();
        let start = dash - length;
        // What goes on before, in letters that names of pods have not, is another word.
        let goes_on =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'%' | 0x80..);
        if start > 0 && goes_on(&text[start - 1]) {
            return None;
        }
        let name = std::str::from_utf8(&text[start..end]).ok()?;
        (is_deployment_pod(name) && !is_of_a_proxy(&text[..start])).then_some(Token { name, start })
    })
}

/// Headers that proxies add to a request and that apps echo, which name the proxy.
const OF_PROXIES: [&[u8]; 3] = [b"x-forwarded-", b"x-envoy-", b"x-original-"];

/// Whether what stands before a name says, as the name of an echoed header in its line, that it is a proxy's.
fn is_of_a_proxy(before: &[u8]) -> bool {
    let ends_field = |byte: &u8| matches!(byte, b'\n' | b',' | b'{' | b'>');
    let field = before.iter().rev().take(MAX_NAME_LENGTH);
    let length = field.take_while(|byte| !ends_field(byte)).count();
    let field = &before[before.len() - length..];
    OF_PROXIES.iter().any(|header| {
        let mut places = field.windows(header.len());
        places.any(|place| place.eq_ignore_ascii_case(header))
    })
}

/// Whether a header by this name, in lower case, is a proxy's.
pub(super) fn is_header_of_a_proxy(name: &str) -> bool {
    let name = name.as_bytes();
    OF_PROXIES.iter().any(|header| name.starts_with(header))
}

/// Whether a name ends before `rest`: no letter, digit or dash follows, and a dot only where it ends a sentence or begins
/// the domain of a cluster, not the ending of a file.
fn ends_here(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [b'.', after, ..] if after.is_ascii_alphanumeric() => {
            let length = rest.iter().take_while(|byte| !byte.is_ascii_whitespace());
            let domain = &rest[..length.take(MAX_NAME_LENGTH).count()];
            memchr::memmem::find(domain, b".svc").is_some()
        }
        [b'-' | b'%' | 0x80.., ..] => false,
        [byte, ..] => !byte.is_ascii_alphanumeric(),
    }
}

/// What a key says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    Pod,
    /// That it is a host, an instance or the like.
    Host,
}

/// Keys whose values are hosts, by their letters alone.
const HOSTS: [&str; 9] = [
    "hostname",
    "servername",
    "servedby",
    "server",
    "backend",
    "backendserver",
    "instance",
    "instanceid",
    "instancename",
];

/// What `key` says of its value, if anything: `podName`, `X-Pod`, `hostname`, `served_by`.
pub(super) fn says(key: &str) -> Option<Says> {
    let letters = key.bytes().filter(u8::is_ascii_alphanumeric);
    let key: String = letters
        .map(|byte| byte.to_ascii_lowercase() as char)
        .collect();
    let key = key.strip_prefix('x').unwrap_or(&key);
    if ["pod", "podname", "podid"]
        .iter()
        .any(|end| key.ends_with(end))
    {
        return Some(Says::Pod);
    }
    HOSTS.contains(&key).then_some(Says::Host)
}

/// A key, and the name that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyed<'a> {
    pub key: &'a str,
    /// What stands between the key and the name.
    pub between: &'a str,
    pub says: Says,
    pub name: &'a str,
}

/// What may stand between a key and its value: quotes, a colon or an equals sign, blanks, and tags.
const BETWEEN: &str = r#"["']?[ \t]*[:=]?[ \t]*(?:</?[a-z0-9]+>\s*[:=]?\s*)*["']?"#;

/// The names in `text` whose key says that they are pods or hosts, in one of the forms that Kubernetes gives them.
pub(super) fn keyed(text: &[u8]) -> impl Iterator<Item = Keyed<'_>> {
    static KEYED: LazyLock<Regex> = LazyLock::new(|| {
        let keys = r#"pod(?:[ _.-]?(?:name|id)|["']?\s*:\s*\{\s*["']?name)?|host[ _-]?name|server(?:[ _-]?name)?|served[ _-]?by|backend|instance(?:[ _-]?(?:id|name))?"#;
        let expression = format!(
            r"(?i-u)\b((?:[a-z0-9]+[_.-])*[a-z0-9]*?(?:{keys}))({BETWEEN})([a-z0-9][-a-z0-9]*[a-z0-9])(?:[^-a-z0-9_]|$)"
        );
        Regex::new(&expression).expect("the expression is one")
    });
    KEYED.captures_iter(text).filter_map(|found| {
        let group = |index| std::str::from_utf8(found.get(index)?.as_bytes()).ok();
        let (key, between, name) = (group(1)?, group(2)?, group(3)?);
        let says = says(key)?;
        is_generated_name(name).then_some(Keyed {
            key,
            between,
            says,
            name,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        tokens(text.as_bytes()).map(|token| token.name).collect()
    }

    #[test]
    fn a_pods_name_is_found_whatever_stands_around_it() {
        const POD: &str = "shop-7c5ddbdf54-x7kfd";
        for text in [
            "POD",
            "Running on: POD | v=1",
            "{\"instance\":\"POD\"}",
            "<td>POD</td>",
            "[pod/POD/web] x",
            "hello from POD!",
            "POD.",
            "it was POD. Next",
            "http://POD:8080/",
            "POD.shop.svc.cluster.local",
            "(POD)",
            "id=POD&x=1",
            "POD_shop_web.log",
            "node\tPOD\n",
            "'POD'",
            "a POD\u{a0}b",
        ] {
            let page = text.replace("POD", POD);
            let expected: &[&str] = if text.contains('\u{a0}') { &[] } else { &[POD] };
            assert_eq!(names(&page), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_pods_name_is_none() {
        for text in [
            "shop-7c5ddbdf54",
            "main-7c5ddbdf54-x7kfd.js",
            "shop-7c5ddbdf54-x7kfda",
            "shop-7c5ddbdf54-x7kf",
            "SHOP-7c5ddbdf54-x7kfd",
            "a.shop-7c5ddbdf54-x7kfd",
            "shop-7c5ddbdf54-x7kfd-",
            "550e8400-e29b-41d4-a716-446655440000",
            "web-0",
            "x7kfd",
            "2024-11-23-x7kfd",
            "well-known-words",
            "-7c5ddbdf54-x7kfd",
            "shop-abcdef-x7kfd",
            "us-east-west1",
            "%2fshop-7c5ddbdf54-x7kfd%20",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn ordinals_count_where_their_key_says_so() {
        let found = |text: &'static str| {
            keyed(text.as_bytes())
                .map(|one| (one.says, one.name))
                .collect::<Vec<_>>()
        };
        for text in [
            "pod: web-0",
            "\"podName\": \"web-0\"",
            "POD_NAME=web-0",
            "<th>pod:</th>\n <td>web-0</td>",
            "from pod web-0!",
            "k8s.pod.name=web-0",
            "'pod' : 'web-0'",
            "<b>Pod</b>: web-0 <br>",
        ] {
            assert_eq!(found(text), [(Says::Pod, "web-0")], "{text}");
        }
        for text in [
            "hostname=web-0",
            "served by web-0",
            "Server: web-0",
            "\"instance\":\"web-0\"",
        ] {
            assert_eq!(found(text), [(Says::Host, "web-0")], "{text}");
        }
        for text in [
            "pods: web-0",
            "podIP: web-0",
            "X-Original-Hostname: web-0",
            "tier: web-0",
            "pod_namespace: web-0",
            "pod: web",
            "pod: none",
            "virtual-hostname=web-0",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn long_texts_that_almost_name_a_pod_name_none() {
        for unit in [
            "-bcdfg",
            "-bcdfg ",
            "a-",
            "pod ",
            "pod:\"",
            "shop-7c5ddbdf54-x7kf",
            "hostname</b>",
        ] {
            let text = unit.repeat((1 << 20) / unit.len());
            assert_eq!(names(&text), [""; 0], "{unit}");
            assert_eq!(keyed(text.as_bytes()).count(), 0, "{unit}");
        }
    }
}
