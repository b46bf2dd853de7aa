//! Lines that fit a terminal: broken between words, and not within them as a terminal does.

/// `text` in lines of at most `width` characters. A command that can be pasted stays on one line, and so does a word that is
/// longer.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let (line, end) = line
                .strip_suffix('\n')
                .map_or((line, ""), |line| (line, "\n"));
            if shown_width(line) <= width || line.starts_with("  lbtest ") {
                format!("{line}{end}")
            } else {
                broken(line, width) + end
            }
        })
        .collect()
}

/// A line that is too long, what follows indented a little more.
fn broken(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start().len();
    let further = format!("\n{}", " ".repeat(indent + 2));
    let mut out = String::with_capacity(line.len() + 16);
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let needed = shown_width(word.trim_end());
        if column > indent && column + needed > width {
            out.truncate(out.trim_end().len());
            out.push_str(&further);
            column = indent + 2;
        }
        out.push_str(word);
        column += shown_width(word);
    }
    out
}

/// Characters, without the escape sequences of colours.
fn shown_width(text: &str) -> usize {
    let mut is_escape = false;
    let is_shown = |c: &char| {
        let was_escape = is_escape;
        is_escape = *c == '\u{1b}' || is_escape && *c != 'm';
        !was_escape && !is_escape
    };
    text.chars().filter(is_shown).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = "short\n  a line that is longer than twenty\nlast";
        assert_eq!(
            wrapped(text, 20),
            "short\n  a line that is\n    longer than\n    twenty\nlast"
        );
        let coloured = "\u{1b}[1m\u{1b}[32mPASS\u{1b}[0m  v1 matches";
        assert_eq!(wrapped(coloured, 16), coloured);
        assert_eq!(
            wrapped("a/very/long/path/indeed here", 10),
            "a/very/long/path/indeed\n  here"
        );
    }

    #[test]
    fn a_command_can_be_pasted_however_long_it_is() {
        let command = "  lbtest http://10.0.0.7/ --host shop.example --expect v1=70,v2=30\n";
        assert_eq!(wrapped(command, 40), command);
    }
}
