//! The configuration file, `lbtest.toml`: `[target]` has defaults, every `[[check]]` is one check, and
//! `[serve]` says how `lbtest serve` serves them.
//!
//! A key of a check stands above the same key of `[target]`, and the command line and its environment
//! variables stand above both; what nobody says has the built-in default.

pub mod serve;
mod source;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Plan;
use super::settings::{Settings, SettingsError};
use serve::Serve;
pub use source::ConfigError;
use source::{Source, is_key};

/// The name under which the file is looked for.
pub const FILE_NAME: &str = "lbtest.toml";
/// A file larger than this, in bytes, is no configuration.
pub const MOST_BYTES: u64 = 1 << 20;
/// More checks than this are refused.
const MOST_CHECKS: usize = 1000;
/// A check's name is at most so many bytes long.
const MOST_NAME_BYTES: usize = 100;

/// Three tables: defaults, the checks, and how they are served.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct Config {
    /// Defaults of every check.
    pub target: Settings,
    /// The checks, in the order in which they run.
    pub check: Vec<Check>,
    /// How `lbtest serve` serves the checks.
    pub serve: Serve,
    /// The file's name, for messages.
    #[schemars(skip)]
    file: String,
}

/// One check.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Check {
    /// What is said about the check itself.
    #[schemars(flatten)]
    pub own: CheckKeys,
    /// What is sent and what is promised: the check's own settings over those of `[target]`.
    #[schemars(flatten)]
    pub settings: Settings,
    /// The check's own settings alone.
    #[schemars(skip)]
    asked: Settings,
    /// Where the check stands in the file, for messages.
    #[schemars(skip)]
    line: usize,
}

/// The keys that a check has and `[target]` has not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckKeys {
    /// Names the check in reports and requests: letters, digits, '-', '_' and '.'.
    pub name: String,
}

impl Config {
    /// Reads the text of `file`, which is named in errors.
    ///
    /// # Errors
    /// What is no TOML, a key that is unknown, a value of the wrong kind, a check without a name or with
    /// the name of another, settings that make no plan.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let root = DeTable::parse(text)
            .map_err(|error| source.refused(&error))?
            .into_inner();
        source.known_keys::<Self>("the file", &root)?;
        let target = match root.get("target") {
            Some(found) => source.table("target", found)?.clone(),
            None => DeTable::new(),
        };
        source.known_keys::<Settings>("[target]", &target)?;
        let mut config = Self {
            target: source.settings(&target, 0..0)?,
            check: Vec::new(),
            serve: serve(&source, &root)?,
            file: file.to_owned(),
        };
        for item in list(&source, &root)? {
            let check = check(&source, item, &target)?;
            let name = &check.own.name;
            if config.check.iter().any(|known| known.own.name == *name) {
                let what = format!("two checks are called '{name}': give each its own name");
                return Err(source.error(Some(item.span().start), &what));
            }
            config.check.push(check);
        }
        for check in &config.check {
            let idle = check.settings.refuse_idle(&check.asked);
            idle.map_err(|error| config.refused(check, &error))?;
        }
        // What comes from manifests is known when they are read.
        let is_whole = |check: &&Check| check.settings.expectation.expect_from.is_empty();
        for check in config.check.iter().filter(is_whole) {
            config.plan(check)?;
        }
        Ok(config)
    }

    /// The plan of one of the checks, as the file alone describes it.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn plan(&self, check: &Check) -> Result<Plan, ConfigError> {
        let plan = check.settings.plan();
        plan.map_err(|error| self.refused(check, &error))
    }

    fn refused(&self, check: &Check, error: &SettingsError) -> ConfigError {
        let name = &check.own.name;
        let what = format!("check '{name}': {}", source::in_keys(&error.to_string()));
        ConfigError::new(&self.file, Some(check.line), &what)
    }

    /// The checks that are called by these names, in the file's order; all of them for no name at all.
    ///
    /// # Errors
    /// A name that no check has, or a file without checks.
    pub fn named(&self, names: &[String]) -> Result<Vec<&Check>, ConfigError> {
        let refused = |what: &str| ConfigError::new(&self.file, None, what);
        if self.check.is_empty() {
            return Err(refused(
                "there is no check: add a [[check]] with a name and the weights to expect, or give --expect",
            ));
        }
        let known: Vec<&str> = self.check.iter().map(|check| &*check.own.name).collect();
        for name in names {
            if !known.contains(&name.as_str()) {
                let what = source::unknown("check", name, &known);
                return Err(refused(&what));
            }
        }
        let asked = |check: &&Check| names.is_empty() || names.contains(&check.own.name);
        Ok(self.check.iter().filter(asked).collect())
    }

    /// Whether `[target]` by itself describes a check, and there is no other.
    pub fn is_one_check(&self) -> bool {
        self.check.is_empty() && self.target.expectation.is_given()
    }
}

/// The items of `[[check]]`.
fn list<'t, 'i>(
    source: &Source<'_>,
    root: &'t DeTable<'i>,
) -> Result<&'t [Spanned<DeValue<'i>>], ConfigError> {
    let Some(found) = root.get("check") else {
        return Ok(&[]);
    };
    let refused = |what: &str| source.error(Some(found.span().start), what);
    let items = found.get_ref().as_array().map(|items| &**items);
    match items {
        Some(items) if items.len() > MOST_CHECKS => Err(refused(&format!(
            "{} checks are too many: at most {MOST_CHECKS} are supported",
            items.len()
        ))),
        Some(items) => Ok(items),
        None => Err(refused("check is not a list of tables: write [[check]]")),
    }
}

/// The table `[serve]`.
fn serve(source: &Source<'_>, root: &DeTable<'_>) -> Result<Serve, ConfigError> {
    let Some(found) = root.get("serve") else {
        return Ok(Serve::default());
    };
    let table = source.table("serve", found)?;
    source.known_keys::<Serve>("[serve]", table)?;
    source.read(table, found.span())
}

/// One item of `[[check]]`, over the defaults.
fn check(
    source: &Source<'_>,
    item: &Spanned<DeValue<'_>>,
    target: &DeTable<'_>,
) -> Result<Check, ConfigError> {
    let table = source.table("check", item)?;
    let start = item.span().start;
    source.known_keys::<Check>("a [[check]]", table)?;
    let (own, mut settings): (DeTable<'_>, DeTable<'_>) = table
        .clone()
        .into_iter()
        .partition(|(key, _)| is_key::<CheckKeys>(key.get_ref()));
    if !own.contains_key("name") {
        let what = "a [[check]] has no name: add one, such as name = \"canary\"";
        return Err(source.error(Some(start), what));
    }
    let asked = source.settings(&settings, item.span())?;
    for (key, value) in target {
        if !settings.contains_key(key) {
            settings.insert(key.clone(), value.clone());
        }
    }
    let own: CheckKeys = source.read(&own, item.span())?;
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_short = (1..=MOST_NAME_BYTES).contains(&own.name.len());
    if !(is_short && own.name.chars().all(is_name_character)) {
        let what = format!(
            "name '{}' is not the name of a check: use at most {MOST_NAME_BYTES} letters, digits, '-', '_' and '.'",
            own.name.escape_debug()
        );
        return Err(source.error(Some(start), &what));
    }
    Ok(Check {
        own,
        settings: source.settings(&settings, item.span())?,
        asked,
        line: source.line(start),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SIX: &str = r#"
[target]
url = "http://127.0.0.1:8080/"
host = "shop.example"
tolerance = 10
timeout = "2s"

[[check]]
name = "weights"
expect = { v1 = 70, v2 = 30 }

[[check]]
name = "always"
expect = "v1=0,v2=100"
header = { X-Canary = "always" }
timeout = "3s"
"#;

    fn refused(text: &str) -> String {
        Config::parse("lbtest.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_checks_own_keys_stand_above_the_defaults() {
        let config = Config::parse("lbtest.toml", SIX).unwrap();
        let plans: Vec<Plan> = config
            .check
            .iter()
            .map(|check| config.plan(check).unwrap())
            .collect();
        assert_eq!(plans[0].load.timeout, Duration::from_secs(2));
        assert_eq!(plans[1].load.timeout, Duration::from_secs(3));
        assert_eq!(plans[1].target.url, "http://127.0.0.1:8080/");
        assert_eq!(plans[1].request.headers["x-canary"], "always");
        assert_eq!(plans[0].claim.split.to_string(), "v1=70,v2=30");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_one_that_was_meant() {
        let message = refused("[target]\nhost = \"a\"\ntolerence = 5\n");
        assert_eq!(
            message,
            "lbtest.toml, line 3: [target] has an unknown key 'tolerence': did you mean 'tolerance'?"
        );
        let message = refused("[[check]]\nname = \"a\"\nmax-duration = \"1m\"\n");
        assert!(
            message.contains("line 3") && message.contains("'max_duration'"),
            "{message}"
        );
        assert!(refused("[tarket]\n").contains("'target'"));
        assert!(refused("[[check]]\nname = \"a\"\nzzz = 1\n").contains("known are"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_key_line_and_remedy() {
        let check = |line: &str| refused(&format!("[[check]]\nname = \"a\"\n{line}\n"));
        for (line, message) in [
            (
                "expect = true",
                "expect: invalid type: boolean `true`, expected a text",
            ),
            (
                "requests = 0",
                "requests: '0' is not a whole number from 1 to 10^12",
            ),
            ("timeout = \"soon\"", "timeout: 'soon' is not a duration"),
            ("keep_alive = \"yes\"", "keep_alive: invalid type"),
            ("judge = \"guess\"", "judge: unknown variant"),
            (
                "header = [\"a: b\", 3]",
                "header: invalid type: integer `3`",
            ),
            ("expect = { a = [1] }", "expect: invalid type: sequence"),
        ] {
            let refused = check(line);
            assert!(
                refused.starts_with("lbtest.toml, line 3: ") && refused.contains(message),
                "{line}: {refused}"
            );
        }
    }

    #[test]
    fn the_serve_table_has_defaults_and_its_own_refusals() {
        let config = Config::parse("lbtest.toml", SIX).unwrap();
        assert_eq!(config.serve, Serve::default());
        let text =
            "[serve]\nlisten = \":9000\"\ninterval = \"off\"\nmax_age = \"2m\"\nmax_runs = 3\n";
        let serve = Config::parse("lbtest.toml", text).unwrap().serve;
        assert_eq!(serve.listen.to_string(), "127.0.0.1:9000");
        assert_eq!((serve.interval, serve.max_runs.get()), (None, 3));
        assert_eq!(serve.max_age, Duration::from_mins(2));
        for (line, message) in [
            (
                "listen = \"localhost\"",
                "line 2: listen: 'localhost' is not ADDRESS:PORT",
            ),
            ("interval = 0", "line 2: interval: '0' is not a duration"),
            (
                "max_connections = 0",
                "line 2: max_connections: '0' is not a whole number",
            ),
            ("token = \"secret\"", "did you mean 'token_file'?"),
        ] {
            let message_now = refused(&format!("[serve]\n{line}\n"));
            assert!(message_now.contains(message), "{line}: {message_now}");
        }
        assert!(refused("serve = 3\n").contains("serve is not a table"));
    }

    #[test]
    fn settings_that_make_no_plan_are_named_by_their_keys() {
        let message = refused("\n[[check]]\nname = \"a\"\nexpect = \"v1=1\"\nalpha = 2\n");
        assert!(
            message.starts_with("lbtest.toml, line 2: check 'a': alpha 2 is not an error rate"),
            "{message}"
        );
        let message = refused("[[check]]\nname = \"a\"\n");
        assert!(
            message.contains("check 'a': expect is missing"),
            "{message}"
        );
    }

    #[test]
    fn a_key_that_changes_nothing_is_refused_in_a_check_and_may_stand_among_the_defaults() {
        let even = "[[check]]\nname = \"a\"\nexpect_even = 5\n";
        let message = refused(&format!("{even}tolerance = 2\n"));
        assert!(
            message.ends_with("write even_tolerance PCT") && message.contains("'a': tolerance is"),
            "{message}"
        );
        let split = "[[check]]\nname = \"b\"\nexpect = \"v1=1,v2=1\"\n";
        let message = refused(&format!("{split}even_tolerance = 20\n"));
        assert!(message.contains("'b': even_tolerance is"), "{message}");
        let defaults = "[target]\ntolerance = 2\neven_tolerance = 10\n";
        Config::parse("lbtest.toml", &format!("{defaults}{even}{split}")).unwrap();
    }

    #[test]
    fn checks_need_names_of_their_own() {
        assert!(refused("[[check]]\nexpect = \"a=1\"\n").contains("no name"));
        let twice = "[[check]]\nname = \"a\"\n".repeat(2);
        assert!(refused(&twice).contains("line 3"), "{}", refused(&twice));
        assert!(refused("[[check]]\nname = \"a/b\"\n").contains("'a/b'"));
        assert!(refused("check = 3\n").contains("[[check]]"));
        assert!(refused("[check]\nname = \"a\"\n").contains("[[check]]"));
        assert!(refused("target = 3\n").contains("not a table"));
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        assert!(refused("a = \n").starts_with("lbtest.toml, line 1: "));
        assert!(refused(&format!("a = {}", "[".repeat(100_000))).starts_with("lbtest.toml"));
        assert!(refused("[target]\nhost = \"a\"\nhost = \"b\"").contains("line 3"));
    }

    #[test]
    fn a_check_is_found_by_name() {
        let config = Config::parse("lbtest.toml", SIX).unwrap();
        assert_eq!(config.named(&[]).unwrap().len(), 2);
        let one = config.named(&["always".to_owned()]).unwrap();
        assert_eq!(one[0].own.name, "always");
        let error = config.named(&["alwais".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("'always'"), "{error}");
    }
}
