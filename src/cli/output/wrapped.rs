//! Lines that fit a terminal: broken between words, and not within them as a terminal does.

use textwrap::{Options, WordSplitter};

/// `text` in lines of at most `width` characters. A command that can be pasted stays on one line, and so does a word that is
/// longer.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => fitting(line, width) + "\n",
            None => fitting(line, width),
        })
        .collect()
}

/// One line, what follows its first part indented a little more.
fn fitting(line: &str, width: usize) -> String {
    if line.starts_with("  lbtest ") {
        return line.to_owned();
    }
    let indent = " ".repeat(line.len() - line.trim_start().len() + 2);
    let options = Options::new(width)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(line, options)
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
