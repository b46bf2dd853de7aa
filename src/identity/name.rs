//! The words of names: `challenge-app-v2` ends in `v2`, and its stem is `challenge-app`.

/// The words of a name or label.
pub(super) fn tokens(name: &str) -> Vec<&str> {
    name.split(['-', '.', '_', '/', ':'])
        .filter(|token| !token.is_empty())
        .collect()
}

/// Whether the words are the same, whatever their ASCII case.
pub(super) fn same(words: &[&str], others: &[&str]) -> bool {
    words.len() == others.len()
        && words
            .iter()
            .zip(others)
            .all(|(word, other)| word.eq_ignore_ascii_case(other))
}

/// Whether a name ends in the words of a label.
pub(super) fn ends_in(name: &[&str], label: &[&str]) -> bool {
    let start = name.len().checked_sub(label.len());
    !label.is_empty() && start.is_some_and(|start| same(&name[start..], label))
}

/// Whether a word is a version: `v2`, `2`, `V10`.
pub(super) fn is_version(token: &str) -> bool {
    let digits = token.strip_prefix(['v', 'V']).unwrap_or(token);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word is what a canary's name ends in, by custom.
pub(super) fn is_of_a_canary(token: &str) -> bool {
    let words = [
        "canary",
        "candidate",
        "preview",
        "next",
        "new",
        "beta",
        "experiment",
    ];
    words.iter().any(|word| word.eq_ignore_ascii_case(token))
}

/// Whether the words `stem` are those of `name` without its last word, or without the `label` at its end.
pub(super) fn is_stem(stem: &[&str], name: &[&str], label: &[&str]) -> bool {
    let without_label = &name[..name.len() - label.len().min(name.len())];
    let without_last = name.split_last().map_or(&[][..], |(_, rest)| rest);
    !stem.is_empty() && ((ends_in(name, label) && stem == without_label) || stem == without_last)
}
