//! Names and other text that is cut to the room it has; names in the rows of a table so that each still differs from the
//! others.

use std::collections::BTreeSet;

/// `names` in `width` characters each. Where their beginnings and ends don't tell them apart, what the long ones have in
/// common goes; where that is not enough, nothing is cut.
pub(super) fn distinct(names: &[String], width: usize) -> Vec<String> {
    let number = |names: &[String]| names.iter().collect::<BTreeSet<_>>().len();
    let all = number(names);
    let is_long = |name: &str| name.chars().count() > width;
    let long = names
        .iter()
        .map(String::as_str)
        .filter(|name| is_long(name));
    let common = common_words(&long.collect::<Vec<_>>());
    let without = |name: &String| match name.get(common..) {
        Some(own) if is_long(name) && common > 0 => cut_within(&format!("…{own}"), width),
        _ => name.clone(),
    };
    let cut: [Vec<String>; 2] = [
        names.iter().map(|name| cut_within(name, width)).collect(),
        names.iter().map(without).collect(),
    ];
    let told_apart = cut.into_iter().find(|cut| number(cut) == all);
    told_apart.unwrap_or_else(|| names.to_vec())
}

/// The first `width` characters of `text`, the last of them an ellipsis where something is cut off.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The beginning and the end of `text`, which is what tells pods and versions apart, in `width` characters.
pub(super) fn cut_within(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let end = 2 * width / 3;
    let kept: String = text.chars().skip(length - end).collect();
    format!("{}{kept}", cut(text, width.saturating_sub(end)))
}

/// The length of the words, up to a `-`, that all `names` begin with.
fn common_words(names: &[&str]) -> usize {
    let Some((first, others)) = names.split_first() else {
        return 0;
    };
    let ends = first.match_indices('-').map(|(place, _)| place + 1);
    ends.take_while(|&end| others.iter().all(|other| other.starts_with(&first[..end])))
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_to(width: usize, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        distinct(&names, width)
    }

    #[test]
    fn a_name_that_is_cut_keeps_what_tells_it_from_its_like() {
        let cut = cut_within("challenge-app-v2-68df7ddd7b-x7kfd", 18);
        assert_eq!(cut, "chall…7ddd7b-x7kfd");
        assert_eq!(cut_within("v1", 18), "v1");
    }

    #[test]
    fn names_with_the_same_beginning_and_end_are_told_apart_by_what_is_between() {
        let names = [
            "challenge-app-v3-5d6c5b8f64-x2kqz",
            "challenge-app-v4-5d6c5b8f64-x2kqz",
        ];
        assert_eq!(
            cut_to(20, &names),
            ["…v3-5d6c5b8f64-x2kqz", "…v4-5d6c5b8f64-x2kqz"]
        );
        let names = [
            "… 5 more",
            "web-1-of-a-very-long-name-x2kqz",
            "web-2-of-a-very-long-name-x2kqz",
        ];
        assert_eq!(
            cut_to(12, &names),
            ["… 5 more", "…1-…me-x2kqz", "…2-…me-x2kqz"]
        );
        // Nothing short tells these apart.
        let names = [
            "a-long-name-in-1-the-middle-x2kqz",
            "a-long-name-of-2-the-middle-x2kqz",
            "a-long-name-of-3-the-middle-x2kqz",
            "b",
        ];
        assert_eq!(cut_to(12, &names), names);
    }

    #[test]
    fn two_rows_of_one_name_are_cut_as_any() {
        assert_eq!(
            cut_to(6, &["abcdefgh", "abcdefgh", "-"]),
            ["a…efgh", "a…efgh", "-"]
        );
    }
}
