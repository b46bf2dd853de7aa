//! The table for readers, and the part of it that stands in `statistics.md`.

use std::fmt::Write as _;

use crate::suite::conformance::{FEW_REQUESTS, REQUESTS};
use crate::suite::row::Row;

/// Where the comparison stands in `statistics.md`.
const BEGIN: &str =
    "<!-- begin of the comparison: written by `cargo run --release --example calibrate` -->\n";
const END: &str = "<!-- end of the comparison -->\n";

const HEAD: &str = "\
# Calibration: how often the verdict is wrong

Written by `cargo run --release --example calibrate`; the same figures and more stand in [calibration.csv](calibration.csv).
α = 0.001 and τ = 5 pp (at most half of a backend's share) throughout. [statistics.md](statistics.md) explains the method.

A plain rate is enumerated: the sum of the probabilities of all the counts that lead to the verdict. A rate with ± is from seeded
runs (their number stands in the CSV), with its standard error. **Bold** rates are above the promise: enumerated ones by any
amount, simulated ones by more than 4.5 standard errors.
";

/// The whole of `calibration.md`.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let table = Table { rows };
    let mut text = HEAD.to_owned();
    table.sizes(&mut text);
    table.wrong_passes(&mut text);
    table.missing(&mut text);
    table.sequential(&mut text);
    table.pinned(&mut text);
    text.push_str(&table.clients());
    table.drift(&mut text);
    text.push_str(&table.dependent());
    text.push_str(&table.coverage());
    text.push_str(&table.even());
    text.push_str(&table.within());
    text.push_str(&table.two());
    text.push_str(
        "\n## Rules in use elsewhere\n\nChance to PASS an expected 70/30, by the true split.\n\n",
    );
    text.push_str(&comparison(rows));
    text
}

/// The errors of a 70/30 that is judged as if its answers were independent: FAIL of a right split with a fixed number, PASS at
/// 65/35, and FAIL of a right split of a sequential run.
const BEFORE: [(&str, &str, &str, &str); 11] = [
    ("independent", ".0011", "", ".0008"),
    ("repeats with 0.1", ".0028", ".0017", ".0042"),
    ("repeats with 0.333", ".0185", ".0109", ".049"),
    ("bursts of 2", ".0188", ".0095", ".054"),
    ("bursts of 4", ".105", ".0203", ".338"),
    ("bursts of 10", ".290", ".0049", ".832"),
    ("bursts of 50", ".660", "0", "1"),
    ("bursts of 200", ".905", "0", "1"),
    ("2 workers with one seed", ".019", ".012", ""),
    ("4 workers with one seed", ".099", ".033", ""),
    ("1000 hash keys", ".089", ".050", ""),
];

/// The PASS rate of splits that change.
const PASSED_BEFORE: [(&str, &str); 4] = [
    ("75/25 to 65/35 linearly", ".53"),
    ("73/27 to 67/33 linearly", ".92"),
    ("72/28 then 68/32", ".86"),
    ("90/10 and 50/50 every 32", ".999"),
];

/// What it was before in this cell; empty where that was not measured.
fn before(row: &Row) -> &'static str {
    let known = BEFORE.iter().find(|known| known.0 == row.setting);
    match known.filter(|_| row.split == "70/30") {
        Some(known) => match (row.truth == row.split, row.method == "lbtest") {
            (true, true) => known.1,
            (false, true) => known.2,
            (true, false) => known.3,
            (false, false) => "",
        },
        None => "",
    }
}

/// The rows as they stand, those of fewer backends first.
fn by_backends<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a Row> {
    let mut rows: Vec<&Row> = rows.collect();
    rows.sort_by_key(|row| row.split.matches('/').count());
    rows
}

const DEPENDENT: &str = "\n## Answers that depend on those before them\n";

/// `text` with its comparison replaced; `None` where it has no place for one.
pub(crate) fn with_comparison(text: &str, rows: &[Row]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", comparison(rows)))
}

/// The chance of a PASS by rule and true split.
fn comparison(rows: &[Row]) -> String {
    let by_lbtest = rows
        .iter()
        .filter(|row| row.part == "rules" && row.method == "lbtest");
    let planned = by_lbtest.map(|row| row.requests).max().unwrap_or(0);
    let rules = [
        ("`lbtest`", "lbtest", planned),
        ("`lbtest --sequential`", "lbtest_sequential", planned),
        (
            "Gateway API conformance: ±5 pp, ten tries",
            "gateway_api_conformance",
            REQUESTS,
        ),
        ("±5 pp", "within_5pp", REQUESTS),
        ("±5 pp", "within_5pp", FEW_REQUESTS),
        ("χ² at α = 0.05", "chi_square_0.05", REQUESTS),
    ];
    let truths = ["70/30", "68/32", "66/34", "65/35", "62/38", "60/40"];
    let mut text = format!("| rule | requests | {} |\n", truths.join(" | "));
    let _ = writeln!(text, "|---|--:|{}", "--:|".repeat(truths.len()));
    for (name, method, requests) in rules {
        let of_rule = |row: &&Row| {
            row.part == "rules"
                && row.method == method
                && (row.requests == requests || method == "lbtest_sequential")
        };
        let mean = rows
            .iter()
            .filter(of_rule)
            .find(|row| row.outcome == "mean_requests");
        let requests = mean.map_or_else(
            || format!("{requests}"),
            |row| format!("{:.0} on average", row.value),
        );
        let _ = write!(text, "| {name} | {requests} |");
        for truth in truths {
            let pass = rows
                .iter()
                .filter(of_rule)
                .find(|row| row.truth == truth && row.outcome == "pass");
            let _ = write!(
                text,
                " {} |",
                pass.map_or_else(String::new, |row| rate(row.value))
            );
        }
        text.push('\n');
    }
    text
}

/// What else was set, behind the split.
fn setting(row: &Row) -> String {
    match &*row.setting {
        "" => String::new(),
        setting => format!(" `{setting}`"),
    }
}

struct Table<'a> {
    rows: &'a [Row],
}

impl<'a> Table<'a> {
    fn part(&self, part: &'static str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.part == part)
    }

    /// The row of another method in the same cell.
    fn beside(&self, row: &Row, method: &str) -> Option<&'a Row> {
        self.part(row.part).find(|other| {
            other.method == method
                && other.outcome == row.outcome
                && other.split == row.split
                && other.requests == row.requests
                && other.setting == row.setting
                && other.truth == row.truth
        })
    }

    fn sizes(&self, text: &mut String) {
        text.push_str(
            "\n## A correct split fails\n\nPromised: at most 0.001. \"χ²\" is Pearson's test by the χ² tail.\n\n\
             | split | requests | lbtest | χ² at 0.001 | χ² at 0.05 |\n|---|--:|--:|--:|--:|\n",
        );
        let plain = |row: &&Row| row.method == "lbtest" && row.outcome == "fail";
        for row in self.part("size").filter(plain) {
            let _ = writeln!(
                text,
                "| {}{} | {} | {} | {} | {} |",
                row.split,
                setting(row),
                row.requests,
                cell(Some(row)),
                cell(self.beside(row, "chi_square_0.001")),
                cell(self.beside(row, "chi_square_0.05")),
            );
        }
    }

    fn wrong_passes(&self, text: &mut String) {
        text.push_str(
            "\n## A split that is off by its tolerance passes\n\nPromised: at most 0.001. One backend is at an edge \
             of its tolerance, the others in proportion; at the planned number of requests (fewer pass less often: see \
             the CSV).\n\n\
             | split | truth | requests | lbtest | χ² at 0.05 |\n|---|---|--:|--:|--:|\n",
        );
        let most = |split: &str| {
            let of_split = self.part("wrong_pass").filter(|row| row.split == split);
            of_split.map(|row| row.requests).max()
        };
        for row in self.part("wrong_pass") {
            if row.method == "lbtest" && Some(row.requests) == most(&row.split) {
                let _ = writeln!(
                    text,
                    "| {}{} | {} | {} | {} | {} |",
                    row.split,
                    setting(row),
                    row.truth,
                    row.requests,
                    cell(Some(row)),
                    cell(self.beside(row, "chi_square_0.05")),
                );
            }
        }
    }

    fn missing(&self, text: &mut String) {
        text.push_str(
            "\n## Responses without an identity\n\nPromised: at most 0.001, whoever's responses they are. \"Dropped\" \
             is what the same tests come to when they are left out. Wrong PASS: the largest over the edges of the \
             tolerance.\n\n\
             | split | requests | without identity | correct fails | dropped | wrong PASS | dropped |\n\
             |---|--:|---|--:|--:|--:|--:|\n",
        );
        for row in self
            .part("missing_size")
            .filter(|row| row.method == "lbtest")
        {
            let worst = |method: &str| {
                let same = self.part("missing_wrong_pass").filter(|other| {
                    other.method == method
                        && other.split == row.split
                        && other.requests == row.requests
                        && other.setting == row.setting
                });
                same.max_by(|a, b| a.value.total_cmp(&b.value))
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row.split,
                row.requests,
                row.setting.replace(" missing", ""),
                cell(Some(row)),
                cell(self.beside(row, "drop_missing")),
                cell(worst("lbtest")),
                cell(worst("drop_missing")),
            );
        }
    }

    fn sequential(&self, text: &mut String) {
        text.push_str(
            "\n## Sequential\n\nA look after every response, up to the cap. Wald's bound is the least mean that any test \
             with this error rate can have for the verdict that the truth deserves. With identified responses two \
             backends are enumerated; a second line is from seeded runs.\n\n\
             | split | truth | setting | cap | wrong verdict | mean requests | 5 – 95 % | Wald's bound |\n\
             |---|---|---|--:|--:|--:|--:|--:|\n",
        );
        for row in self
            .part("sequential_requests")
            .filter(|row| row.outcome == "mean_requests")
        {
            let same = |other: &&Row| {
                other.split == row.split
                    && other.truth == row.truth
                    && other.setting == row.setting
                    && other.requests == row.requests
            };
            let wrong = self
                .part("sequential_size")
                .chain(self.part("sequential_wrong_pass"))
                .find(same);
            let kind = match wrong.map(|row| row.outcome) {
                Some("pass") => "PASS ",
                Some(_) => "FAIL ",
                None => "",
            };
            let quantile = |outcome: &str| {
                let of_row = self.part("sequential_requests").filter(same);
                let mut found = of_row.filter(|other| other.outcome == outcome);
                found.next().map(|row| format!("{:.0}", row.value))
            };
            let range = quantile("requests_quantile_0.05")
                .zip(quantile("requests_quantile_0.95"))
                .map_or_else(String::new, |(low, high)| format!("{low} – {high}"));
            let mean = match row.standard_error {
                Some(error) => format!("{:.0} ± {error:.0}", row.value),
                None => format!("{:.1}", row.value),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {kind}{} | {mean} | {range} | {} |",
                row.split,
                row.truth,
                row.setting,
                row.requests,
                cell(wrong),
                row.bound
                    .map_or_else(String::new, |bound| format!("{bound:.0}")),
            );
        }
    }

    fn pinned(&self, text: &mut String) {
        text.push_str(
            "\n## Connections that stick to a backend\n\nC×R: so many connections of so many requests, of several lengths \
             with a plus; \"stick\": a response repeats its connection's backend with this chance, \"markov\": the response \
             before, \"beta\": connections draw their shares, with this correlation. Promised with several requests to a \
             connection: at most 0.002. \"First responses\" judges these alone (promised: 0.001), \"independent\" takes \
             all responses for independent draws.\n\n\
             | split | truth | connections | wrong | lbtest | first responses | independent |\n\
             |---|---|---|---|--:|--:|--:|\n",
        );
        for row in self
            .part("pinned_size")
            .chain(self.part("pinned_wrong_pass"))
        {
            if row.method == "lbtest" {
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    row.split,
                    row.truth,
                    row.setting.replace('x', "×"),
                    row.outcome.to_uppercase(),
                    cell(Some(row)),
                    cell(self.beside(row, "first_responses")),
                    cell(self.beside(row, "independent")),
                );
            }
        }
    }

    fn dependent(&self) -> String {
        let mut text = DEPENDENT.to_owned();
        text.push_str(
            "\nThe whole decision over the order of dispatch; 20,000 seeded runs a cell, rates with their 95 % Wilson \
             intervals. FAIL where the split is right and PASS where it is off are the errors, promised at most 0.001; \"before\" \
             is that error where answers are judged as if they were independent (10,000 runs; PASS at 65/35). In bursts of 200 a run of 3664 \
             is 19 or 20 draws, all of which fall to the backend of 70 % in .0010 of the runs: then nothing shows that \
             the answers depend on one another, and the other backend never answered.\n\n\
             **Outside the promise** are workers that start with one seed and hash keys that are used again, since their \
             answers look independent ([why](statistics.md#answers-that-depend-on-those-before-them)).\n\n\
             | expected | true | answers | mode | before | PASS | FAIL | INCONCLUSIVE |\n|---|---|---|---|--:|--:|--:|--:|\n",
        );
        let rows = by_backends(self.part("dependent"));
        for rows in rows.chunks(3) {
            let [pass, fail, inconclusive] = rows else {
                continue;
            };
            let mode = if pass.method == "lbtest" {
                "fixed"
            } else {
                "sequential"
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {mode} | {} | {} | {} | {} |",
                pass.split,
                pass.truth,
                pass.setting,
                before(pass),
                with_interval(pass),
                with_interval(fail),
                with_interval(inconclusive),
            );
        }
        text
    }

    /// Nothing until it was measured.
    fn clients(&self) -> String {
        if self.part("clients").next().is_none() {
            return String::new();
        }
        let mut text = "\n## Access logs whose clients keep to a backend\n".to_owned();
        text.push_str(
            "\n`lbtest analyze --expect v1=70,v2=30 --format …`, from 20,000 seeded logs a cell that are written and read as a whole, \
             rates with their 95 % Wilson intervals; some clients ask far more often than others. \"By client\" is the \
             default, \"independent\" is `--independent`, the test that takes each line for a draw of its own. Promised by client: a FAIL \
             of a right split, or a PASS of one that is off by 5 pp, at most 0.002. Anew: `cargo run --release --example calibrate -- \
             --only clients`.\n\n\
             | clients | lines | true | judged | PASS | FAIL | INCONCLUSIVE |\n|---|--:|---|---|--:|--:|--:|\n",
        );
        for rows in self.part("clients").collect::<Vec<_>>().chunks(3) {
            let [pass, fail, inconclusive] = rows else {
                continue;
            };
            let judged = if pass.method == "lbtest" {
                "by client"
            } else {
                "independent"
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {judged} | {} | {} | {} |",
                pass.setting,
                pass.requests,
                pass.truth,
                with_interval(pass),
                with_interval(fail),
                with_interval(inconclusive),
            );
        }
        text
    }

    fn coverage(&self) -> String {
        let mut text = "\n## Intervals\n\nHow often the printed 95 % interval of the first backend's share misses the true one, \
                        at most 0.05, of 20,000 seeded runs a cell with 95 % intervals. An interval that took answers for independent \
                        missed in .55 to .64 of the runs where connections stick to a backend, and in .03 to .08 where a run stopped by itself.\n\n\
                        | true | answers or connections | mode | missed |\n|---|---|---|--:|\n"
            .to_owned();
        for row in by_backends(self.part("coverage").chain(self.part("pinned_coverage"))) {
            let mode = if row.method == "lbtest" {
                "fixed"
            } else {
                "sequential"
            };
            let _ = writeln!(
                text,
                "| {} | {} | {mode} | {} |",
                row.truth,
                row.setting,
                with_interval(row)
            );
        }
        text
    }

    fn two(&self) -> String {
        let text = "\n## Two ingresses that are asked the same\n\n`lbtest compare --before URL --after URL`: one splits as \
                    expected, the other by the true split; n is each side's, first the planned number, then half of it. \
                    FAIL where both are alike and PASS where one is off by the tolerance are the errors.\n\n\
                    | split | requests | the other | PASS | FAIL | INCONCLUSIVE |\n|---|--:|---|--:|--:|--:|\n";
        self.triples(text.to_owned(), "two")
    }

    fn even(&self) -> String {
        let mut text = "\n## Pods that are to share equally\n".to_owned();
        text.push_str(
            "\n`--expect-even=N` at the planned number of requests, where a PASS rules out 20 % of an equal share; with two \
             pods enumerated, else 20,000 seeded runs a cell, with 95 % intervals. FAIL where shares are equal and PASS \
             where some are off are the errors.\n\n\
             | pods | requests | true | PASS | FAIL | INCONCLUSIVE |\n|--:|--:|---|--:|--:|--:|\n",
        );
        self.triples(text, "even")
    }

    /// Nothing until it was measured.
    fn within(&self) -> String {
        if self.part("within").next().is_none() {
            return String::new();
        }
        let text = "\n## Pods that are to share equally, beside a split\n\n`--expect v1=70,v2=30 --expect-even=v1=N,v2=N` at the \
                    planned number of requests: the split and both backends' pods in one verdict, each at a third of α. 20,000 seeded \
                    runs a cell; FAIL where all is right and PASS where a part is off by its tolerance are the errors.\n\n\
                    | pods | requests | true | PASS | FAIL | INCONCLUSIVE |\n|--:|--:|---|--:|--:|--:|\n";
        self.triples(text.to_owned(), "within")
    }

    /// A line for each three rows of `part`, by verdict.
    fn triples(&self, mut text: String, part: &'static str) -> String {
        for rows in self.part(part).collect::<Vec<_>>().chunks(3) {
            let [pass, fail, inconclusive] = rows else {
                continue;
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                pass.split,
                pass.requests,
                pass.truth,
                percents(pass),
                percents(fail),
                percents(inconclusive),
            );
        }
        text
    }

    fn drift(&self, text: &mut String) {
        text.push_str(
            "\n## A split that changes during the run\n\nThe whole decision. A run in which a change is seen at α never passes; a steady \
             split is taken for a changing one at most once in 1000 runs, which turns a PASS into INCONCLUSIVE. What a PASS claims is the \
             average of the run, and by how much its halves can differ at α: this is \"apart by less than\" in the report (here its mean), and \"wrongly\" \
             is how often the true halves differ by more. \"Before\" is the PASS rate of 10,000 runs without it.\n\n\
             | split | truth | requests | before | PASS | FAIL | INCONCLUSIVE | drift seen | apart by less than | wrongly |\n\
             |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for row in self.part("drift").filter(|row| row.outcome == "pass") {
            let of = |outcome: &str| {
                self.part("drift").find(|other| {
                    other.outcome == outcome && other.split == row.split && other.truth == row.truth
                })
            };
            let before = PASSED_BEFORE.iter().find(|before| before.0 == row.truth);
            let apart = of("mean_refuted").map_or(0.0, |row| 100.0 * row.value);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {apart:.1} pp | {} |",
                row.split,
                row.truth,
                row.requests,
                before.map_or("", |before| before.1),
                cell(Some(row)),
                cell(of("fail")),
                cell(of("inconclusive")),
                cell(of("drift_seen")),
                cell(of("refuted_wrongly")),
            );
        }
    }
}

/// A rate with its standard error; bold where it breaks its promise.
fn cell(row: Option<&Row>) -> String {
    let Some(row) = row else {
        return String::new();
    };
    let text = match row.standard_error {
        Some(error) if row.value > 0.0 => format!("{} ± {}", rate(row.value), rate(error)),
        Some(_) | None => rate(row.value),
    };
    if row.holds() == Some(false) {
        format!("**{text}**")
    } else {
        text
    }
}

/// A rate of pods: of seeded runs with its interval.
fn percents(row: &Row) -> String {
    match row.runs {
        Some(_) if ["even", "within"].contains(&row.part) => with_interval(row),
        _ => cell(Some(row)),
    }
}

/// A simulated rate with its 95 % Wilson interval; bold where it breaks its promise.
fn with_interval(row: &Row) -> String {
    const Z: f64 = 1.96;
    let n = row.runs.unwrap_or(1) as f64;
    let middle = (row.value + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let reach =
        Z / (1.0 + Z * Z / n) * (row.value * (1.0 - row.value) / n + Z * Z / (4.0 * n * n)).sqrt();
    let text = format!(
        "{:.4} [{:.4}, {:.4}]",
        row.value,
        (middle - reach).max(0.0),
        (middle + reach).min(1.0)
    );
    if row.holds() == Some(false) {
        format!("**{text}**")
    } else {
        text
    }
}

/// Three significant digits.
fn rate(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value < 1e-5 {
        return format!("{value:.0e}");
    }
    if 1.0 - value < 1e-5 {
        return "1".to_owned();
    }
    // Near 1 the digits of what is missing count.
    let small = value.min(1.0 - value);
    let zeros = (1..5).filter(|&power| small < 10_f64.powi(-power)).count();
    let text = format!("{value:.*}", zeros + 2 + usize::from(small < 0.1));
    text.trim_end_matches('0').to_owned()
}
