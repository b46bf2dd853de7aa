//! The pages for browsers, in Debian's Chromium.

mod chromium;
mod status;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::formats::hostile;
use crate::program::lbtest;

/// What a page became in the browser.
struct Rendered {
    /// The document after its script ran, as HTML.
    document: String,
    /// What the browser's console said.
    console: Vec<String>,
}

/// Opens a file in a browser of its own, `width` pixels wide.
fn render(file: &Path, width: u32) -> Rendered {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command
        .args(["900", "chromium"])
        .args(chromium::FLAGS)
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            "--dump-dom",
        ])
        .arg(format!("--window-size={width},1000"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", file.display()));
    let ran = command.output().expect("timeout is of coreutils");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (document, log) = (text(ran.stdout), text(ran.stderr));
    assert!(
        document.contains("</html>"),
        "chromium is there: scripts/test packages installs it: {log}"
    );
    let console = log.lines().filter(|line| line.contains("CONSOLE"));
    Rendered {
        console: console.map(str::to_owned).collect(),
        document,
    }
}

/// The page of a run, its own and one that measures itself: how wide it and its tables are.
fn pages(name: &str, html: &str, folder: &Path) -> [std::path::PathBuf; 2] {
    let measure = "<script>addEventListener('load', () => {\
        const wide = [...document.querySelectorAll('.scroll')]\
            .filter((table) => table.scrollWidth > table.clientWidth + 1)\
            .map((table) => table.getAttribute('aria-label'));\
        const page = document.documentElement;\
        page.dataset.measured = page.scrollWidth <= page.clientWidth ? 'fits' : 'too wide';\
        page.dataset.scrolling = wide.join(',');\
        });</script>";
    let start = html
        .find("<meta http-equiv=\"Content-Security-Policy\"")
        .unwrap();
    let end = start + html[start..].find('>').unwrap() + 1;
    let open = format!("{}{}", &html[..start], &html[end..]);
    let measuring = open.replace("</body>", &format!("{measure}</body>"));
    let own = folder.join(format!("{name}.html"));
    let other = folder.join(format!("{name}-measuring.html"));
    fs::write(&own, html).unwrap();
    fs::write(&other, measuring).unwrap();
    [own, other]
}

fn demo(more: &[&str]) -> String {
    let base = ["demo", "--expect", "v1=70,v2=30", "--html", "-"];
    lbtest(&[&base[..], more].concat()).stdout
}

#[test]
fn pages_render_without_a_complaint_a_request_or_a_table_that_is_too_wide() {
    let folder = tempfile::tempdir().unwrap();
    for (name, word, html) in [
        ("pass", "PASS", demo(&[])),
        ("fail", "FAIL", demo(&["--split", "v1=60,v2=40"])),
        (
            "drift",
            "changed at about",
            demo(&["--shift", "1500:v1=50,v2=50"]),
        ),
    ] {
        assert!(html.len() <= 300 * 1024, "{name}: {} bytes", html.len());
        let [own, measuring] = pages(name, &html, folder.path());
        let rendered = render(&own, 1200);
        // What the policy forbids, whoever asks for it, is a complaint too.
        assert!(
            rendered.console.is_empty(),
            "{name}: {:?}",
            rendered.console
        );
        let document = &rendered.document;
        assert!(document.contains(word), "{name}");
        assert_eq!(document.matches("<svg").count(), 4, "{name}");
        // The script ran.
        assert!(document.contains("class=\"sort\""), "{name}");
        assert!(document.contains("Theme: as the system"), "{name}");
        for (width, scrolling) in [(1200, Some("")), (800, Some("")), (500, None)] {
            let document = render(&measuring, width).document;
            assert!(
                document.contains("data-measured=\"fits\""),
                "{name} at {width}"
            );
            if let Some(tables) = scrolling {
                let expected = format!("data-scrolling=\"{tables}\"");
                let head = document.split_once("<head>").unwrap().0;
                assert!(document.contains(&expected), "{name} at {width}: {head}");
            }
        }
    }
}

#[test]
fn a_page_is_whole_without_scripts() {
    let folder = tempfile::tempdir().unwrap();
    // Another hash in the policy forbids the page's own script.
    let html = demo(&[]).replace("sha256-", "sha256-0");
    let [own, _] = pages("plain", &html, folder.path());
    let rendered = render(&own, 1200);
    assert!(!rendered.console.is_empty(), "the script ran");
    let document = &rendered.document;
    assert!(
        document.contains("PASS") && document.contains("<svg"),
        "{document}"
    );
    assert!(!document.contains("class=\"sort\""));
    // What only a script can make work is not offered.
    assert!(document.contains("id=\"theme\" hidden"), "{document}");
}

#[test]
fn hostile_names_are_text_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let html = hostile(&["--html", "-"]).stdout;
    let [own, _] = pages("hostile", &html, folder.path());
    let rendered = render(&own, 1200);
    assert!(rendered.console.is_empty(), "{:?}", rendered.console);
    let document = &rendered.document;
    assert!(document.contains("&lt;script&gt;alert(1)"), "{document}");
    assert_eq!(document.matches("<script").count(), 1);
    for element in ["<img", "<iframe", "<object", "<link", "<base"] {
        assert!(!document.contains(element), "{element}: {document}");
    }
}

/// The relative luminance of `#rrggbb` (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

#[test]
fn words_and_charts_stand_out_from_their_ground_in_every_palette() {
    let html = lbtest(&[
        "analyze",
        "--expect",
        "v1=1",
        "--observed",
        "v1=9",
        "--html",
        "-",
    ])
    .stdout;
    let palettes: Vec<&str> = html.split("--page:").skip(1).collect();
    // Light, dark by the system, dark by choice, print.
    assert_eq!(palettes.len(), 4);
    for palette in palettes {
        let palette = format!("--page:{palette}");
        let colour = |name: &str| {
            let (_, rest) = palette.split_once(&format!("--{name}: ")).unwrap();
            let short = rest.split(';').next().unwrap().trim();
            match short.len() {
                4 => short
                    .chars()
                    .flat_map(|c| if c == '#' { vec![c] } else { vec![c, c] })
                    .collect(),
                _ => short.to_owned(),
            }
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (luminance(&colour(a)), luminance(&colour(b)));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        // Text: 4.5 to 1; what must be seen of graphics: 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11).
        for (ink, ground) in [
            ("ink", "page"),
            ("ink", "card"),
            ("soft", "page"),
            ("soft", "card"),
            ("soft", "band"),
            ("link", "card"),
            ("pass", "pass-soft"),
            ("fail", "fail-soft"),
            ("doubt", "doubt-soft"),
        ] {
            assert!(
                contrast(ink, ground) >= 4.5,
                "{ink} on {ground}: {}",
                contrast(ink, ground)
            );
        }
        for graphic in [
            "s0", "s1", "s2", "s3", "s4", "s5", "others", "run", "pass", "fail", "doubt",
        ] {
            assert!(
                contrast(graphic, "card") >= 3.0,
                "{graphic}: {}",
                contrast(graphic, "card")
            );
        }
    }
}
