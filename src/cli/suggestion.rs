//! What was probably meant by a misspelt word.

/// How alike two words must be, by Jaro and Winkler's measure, for one to be taken for the other.
const ALIKE: f64 = 0.85;

/// The known word that resembles `word` most, where one does.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// What to say when the first argument is a misspelt subcommand. clap takes it for a URL, and would say that nobody
/// of that name answers.
pub(super) fn misspelt_subcommand(argument: &str, known: &[&str]) -> Option<String> {
    let is_a_word = argument
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        && !argument.starts_with('-')
        && argument != "localhost";
    if !is_a_word || known.contains(&argument) {
        return None;
    }
    let meant = nearest(argument, known)?;
    Some(format!(
        "there is no subcommand '{argument}'; did you mean '{meant}'? An ingress of that name is http://{argument}/"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_subcommand_is_told_from_the_name_of_an_ingress() {
        let told = |argument| misspelt_subcommand(argument, &["demo", "analyze", "plan"]);
        for (argument, meant) in [("dmeo", "demo"), ("analyse", "analyze"), ("plna", "plan")] {
            let sentence = told(argument).unwrap();
            assert!(sentence.contains(&format!("'{meant}'")), "{sentence}");
        }
        for argument in [
            "demo",
            "localhost",
            "http://demp/",
            "demo.example",
            "demo:80",
            "shop",
            "--dmeo",
            "",
        ] {
            assert_eq!(told(argument), None, "{argument}");
        }
    }
}
