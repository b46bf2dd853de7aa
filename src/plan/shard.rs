//! One machine's part of a run that several share: which requests are its own.
//!
//! The whole run has one dispatch order; shard I of N takes the places I, I + N, I + 2N, … of it. So the
//! parts sum to the whole, and the shards' blocks and sequences add up to those of one run.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use super::Plan;
use super::pace::Rate;
use super::settings::{Settings, SettingsError};

/// The largest number of shards of a run.
pub const MAX_SHARDS: u32 = 10_000;

/// Shard `index` (from 0) of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

/// Why a text is not a shard.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShardError {
    /// The text has another form.
    #[error(
        "--shard '{0}' is not a shard: write it as I/N, from 0/N, or as N where JOB_COMPLETION_INDEX gives I"
    )]
    Form(String),
    /// The number of shards is out of range.
    #[error("--shard '{0}': there must be from 1 to {MAX_SHARDS} shards")]
    Count(String),
    /// The index is not below the count.
    #[error("--shard {index}/{count}: shards count from 0, so that the last of {count} is {}/{count}", .count - 1)]
    Index {
        /// The index that was given.
        index: u32,
        /// The number of shards.
        count: u32,
    },
    /// The index is left to the environment, which has none.
    #[error(
        "--shard '{0}' leaves the index to JOB_COMPLETION_INDEX, which is not set: write --shard I/N"
    )]
    NoIndex(String),
    /// The environment's index is no number.
    #[error("JOB_COMPLETION_INDEX '{0}' is not the index of a shard, which --shard leaves to it")]
    BadIndex(String),
    /// A sequential run has one order of looks.
    #[error(
        "--shard and --sequential exclude each other: a sequential run looks at all of its responses in one \
         order, which no shard sees; drop --sequential"
    )]
    Sequential,
    /// Sessions are judged where they were measured.
    #[error(
        "--shard and --expect-sticky exclude each other: the sessions of one machine are enough; drop --shard"
    )]
    Sticky,
    /// Every shard would count the pods by itself.
    #[error(
        "--shard needs the number of pods, since each shard would count them by itself: say it with --expect-even=N"
    )]
    Even,
    /// What the whole run was asked for is no plan.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Some shard would have no request.
    #[error("--shard {shard}: {requests} requests don't give every shard one; ask for -n {least} or more", least = .shard.count)]
    TooFewRequests {
        /// The shard.
        shard: Shard,
        /// The requests of the whole run.
        requests: u64,
    },
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// No shard, more than [`MAX_SHARDS`], or an index that is not below the count.
    pub fn new(index: u32, count: u32) -> Result<Self, ShardError> {
        let wanted = NonZeroU32::new(count).filter(|count| count.get() <= MAX_SHARDS);
        let count = wanted.ok_or_else(|| ShardError::Count(count.to_string()))?;
        if index >= count.get() {
            let count = count.get();
            return Err(ShardError::Index { index, count });
        }
        Ok(Self { index, count })
    }

    /// Reads `I/N`, or `N` and `auto/N` with the index that the environment gives.
    ///
    /// # Errors
    /// Another form, or numbers that make no shard.
    pub fn parse(text: &str, environment: Option<&str>) -> Result<Self, ShardError> {
        let shown = || text.escape_debug().to_string();
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let (index, count) = text.split_once('/').unwrap_or(("auto", text));
        let count = number(count).ok_or_else(|| ShardError::Form(shown()))?;
        let index = if index.trim() == "auto" {
            let given = environment.ok_or_else(|| ShardError::NoIndex(shown()))?;
            number(given).ok_or_else(|| ShardError::BadIndex(given.escape_debug().to_string()))?
        } else {
            number(index).ok_or_else(|| ShardError::Form(shown()))?
        };
        Self::new(index, count)
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many shards the run has.
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// Its part of the requests of the whole run; the parts of all shards sum to them.
    ///
    /// # Errors
    /// Fewer requests than shards.
    pub fn part_of(self, requests: NonZeroU64) -> Result<NonZeroU64, ShardError> {
        let (whole, count) = (requests.get(), u64::from(self.count()));
        let part = whole / count + u64::from(u64::from(self.index) < whole % count);
        let part = NonZeroU64::new(part).filter(|_| whole >= count);
        part.ok_or(ShardError::TooFewRequests {
            shard: self,
            requests: whole,
        })
    }

    /// The place in the dispatch order of the whole run of its request `ticket` (from 0).
    pub fn place(self, ticket: u64) -> u64 {
        ticket
            .saturating_mul(u64::from(self.count()))
            .saturating_add(u64::from(self.index))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A shard, and what was asked of the whole run; the budget and the pace of its plan are its own part.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharding {
    /// Which part this is.
    pub shard: Shard,
    /// The requests of the whole run; `None` when a duration alone bounds it.
    pub requests: Option<NonZeroU64>,
    /// The pace of the whole run.
    pub rate: Option<Rate>,
    /// The same for all shards of a run, and another for other settings; see [`Settings::digest`].
    pub digest: String,
}

impl Settings {
    /// The plan of one shard: its part of the requests, at its part of the pace. Connections and times are
    /// those of every shard.
    ///
    /// # Errors
    /// Settings that are no plan, or that shards cannot share.
    pub fn plan_shard(&self, shard: Shard) -> Result<Plan, ShardError> {
        let mut plan = self.plan()?;
        if plan.sequential {
            return Err(ShardError::Sequential);
        }
        if plan.claim.sessions.is_some() {
            return Err(ShardError::Sticky);
        }
        if plan.preparation.discovers_pods {
            return Err(ShardError::Even);
        }
        plan.shard = Some(Sharding {
            shard,
            requests: plan.budget.requests,
            rate: plan.load.rate,
            digest: self.digest(),
        });
        let part = plan.budget.requests.map(|requests| shard.part_of(requests));
        plan.budget.requests = part.transpose()?;
        plan.load.rate = plan.load.rate.map(|rate| rate.shared_by(shard.count));
        let most = plan
            .budget
            .requests
            .and_then(|n| NonZeroUsize::try_from(n).ok());
        if let Some(most) = most {
            plan.load.concurrency = plan.load.concurrency.min(most);
            plan.load.threads = plan.load.threads.min(most);
        }
        Ok(plan)
    }

    /// Tells settings apart that measure or judge differently: 16 hexadecimal digits (FNV-1a of all of them).
    ///
    /// Left out are connections and threads, which may suit the machine; where connections are dialled for
    /// the URL, so that each shard may look at a replica of its own; and the password and the value of an
    /// `Authorization` header, which no report should help to guess.
    pub fn digest(&self) -> String {
        let mut common = self.clone();
        (common.pace.concurrency, common.pace.threads) = (None, None);
        let connection = &mut common.connection;
        (connection.connect_to, connection.resolve) = (Vec::new(), Vec::new());
        connection.unix_socket = None;
        // It did its part where these settings were laid over others.
        connection.http1 = false;
        let request = &mut common.request;
        // The name alone, without the password.
        let user = request.user.take();
        request.user = user.and_then(|user| Some(user.split_once(':')?.0.to_owned()));
        for header in &mut request.header {
            let name = header.split(':').next().unwrap_or_default();
            if name.trim().to_ascii_lowercase().ends_with("authorization") {
                header.truncate(name.len());
            }
        }
        // The offset basis and prime of the 64-bit FNV-1a.
        let digest = format!("{common:?}")
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        format!("{digest:016x}")
    }
}

impl Plan {
    /// The place in the dispatch order of the whole run of this plan's request `ticket`.
    pub fn place(&self, ticket: u64) -> u64 {
        self.shard
            .as_ref()
            .map_or(ticket, |sharding| sharding.shard.place(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_sum_to_the_whole_and_the_places_cover_it() {
        for (whole, count) in [(3664_u64, 8_u32), (3665, 8), (7, 7), (100, 3), (1, 1)] {
            let mut places = Vec::new();
            for index in 0..count {
                let shard = Shard::new(index, count).unwrap();
                let part = shard.part_of(NonZeroU64::new(whole).unwrap()).unwrap();
                places.extend((0..part.get()).map(|ticket| shard.place(ticket)));
            }
            places.sort_unstable();
            assert!(places.iter().copied().eq(0..whole), "{whole} over {count}");
        }
    }

    #[test]
    fn the_index_comes_from_the_text_or_the_environment() {
        let parsed = |text, environment| Shard::parse(text, environment).map(|s| s.to_string());
        assert_eq!(parsed("3/8", Some("5")).unwrap(), "3/8");
        assert_eq!(parsed("8", Some("5")).unwrap(), "5/8");
        assert_eq!(parsed("auto/8", Some("0")).unwrap(), "0/8");
        for (text, environment, part) in [
            ("8", None, "JOB_COMPLETION_INDEX"),
            ("8", Some("x"), "JOB_COMPLETION_INDEX 'x'"),
            ("8", Some("8"), "7/8"),
            ("8/8", None, "7/8"),
            ("0/0", None, "from 1 to"),
            ("0/10001", None, "from 1 to"),
            ("-1/8", None, "I/N"),
            ("1/", None, "I/N"),
            ("/8", None, "I/N"),
            ("1/2/3", None, "I/N"),
            ("", None, "I/N"),
        ] {
            let message = parsed(text, environment).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.expectation.expect = Some("v1=70,v2=30".to_owned());
        settings
    }

    #[test]
    fn requests_and_pace_are_of_the_whole_run() {
        let mut asked = settings();
        asked.budget.requests = NonZeroU64::new(100);
        asked.pace.rate = "80/m".parse().ok();
        let plan = asked.plan_shard(Shard::new(3, 8).unwrap()).unwrap();
        assert_eq!(plan.budget.requests.map(NonZeroU64::get), Some(13));
        assert_eq!(plan.load.rate.unwrap().to_string(), "10/m");
        assert_eq!(plan.load.concurrency.get(), 13);
        assert_eq!(plan.shard.as_ref().unwrap().requests, asked.budget.requests);
        assert_eq!((plan.place(0), plan.place(12)), (3, 99));
        let mut sequential = settings();
        sequential.budget.sequential = true;
        let refused = sequential.plan_shard(Shard::new(0, 8).unwrap());
        assert_eq!(refused.unwrap_err(), ShardError::Sequential);
    }

    #[test]
    fn the_digest_tells_apart_what_measures_differently() {
        let mut same = settings();
        same.pace.threads = NonZeroUsize::new(3);
        same.pace.concurrency = NonZeroUsize::new(7);
        assert_eq!(same.digest(), settings().digest());
        let with = |header: &str| {
            let mut settings = settings();
            settings.request.header.push(header.to_owned());
            settings
        };
        assert_ne!(with("X-Canary: always").digest(), settings().digest());
        assert_ne!(
            with("X-Canary: always").digest(),
            with("X-Canary: never").digest()
        );
        assert_eq!(
            with("Authorization: a").digest(),
            with("Authorization: b").digest()
        );
    }

    #[test]
    fn a_run_of_fewer_requests_than_shards_is_refused() {
        let shard = Shard::new(0, 8).unwrap();
        let message = shard.part_of(NonZeroU64::new(7).unwrap()).unwrap_err();
        assert!(message.to_string().contains("-n 8"), "{message}");
    }
}
