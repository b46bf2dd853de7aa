//! One shard's measurement, checked: what does not fit together is refused, since every number in it may be
//! anything.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;

use crate::claim::Claim;
use crate::format::{TOLD, cut};
use crate::identity::assignment::Group;
use crate::measured::{Address, Connections, Ending, Measured, RateLimit, Trial};
use crate::observation::{Failure, status};
use crate::report::measurement::{
    AddressMeasurement, DependenceMeasurement, GroupMeasurement, LimiterMeasurement,
    SetAsideMeasurement, ShardMeasurement, WindowMeasurement,
};
use crate::split::Split;
use crate::stats::dependence::ConnectionSums;
use crate::tally::addresses::{AddressTally, Addresses};
use crate::tally::connections;
use crate::tally::counted::{Counted, GroupCounted};
use crate::tally::latency::Latency;
use crate::tally::pods::{MAX_GROUPS, MAX_PODS};
use crate::tally::sequence::{REMEMBERED, group_of, unpacked};
use crate::tally::set_aside::{Reason, SetAside};
use crate::tally::signs::Signs;
use crate::tally::windows::{Block, Windows};

/// Counts beyond this are no counts of requests; sums stay exact in double precision.
pub(super) const MOST: u64 = 1_000_000_000_000_000;
/// Longer times are none that a run takes.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A part of a measurement, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} {what}")]
pub struct DecodeError {
    part: String,
    what: &'static str,
}

fn wrong(part: impl Into<String>, what: &'static str) -> DecodeError {
    DecodeError {
        part: part.into(),
        what,
    }
}

/// Checks a measurement of one of so many shards of a run of `claim` that was tried so.
pub(super) fn decode(
    claim: &Claim,
    trial: &Trial,
    shards: u32,
    shard: &ShardMeasurement,
) -> Result<Measured, DecodeError> {
    let counted = counted(claim, trial, shards, shard)?;
    let ending = shard.ending.as_deref().unwrap_or_default();
    let ending = Ending::ALL.into_iter().find(|one| one.code() == ending);
    let started_at = shard.started_at.as_deref().unwrap_or_default();
    let started_at = humantime::parse_rfc3339(started_at)
        .map_err(|_| wrong("started_at", "is not a time (RFC 3339)"))?;
    let signs = &shard.signs;
    let (mut addresses, mut by_address) = (Vec::new(), Addresses::default());
    for (place, address) in shard.addresses.iter().enumerate() {
        let (address, tally) = self::address(address, counted.groups.len())?;
        addresses.push(address);
        by_address.add(place, &tally);
    }
    Ok(Measured {
        set_aside: set_aside(&shard.set_aside, counted.groups.len())?,
        limiter: shard.limiter.map(limiter).transpose()?,
        limiter_undecided: shard.limiter_undecided,
        connections: Connections {
            opened: count("connections_opened", shard.connections_opened)?,
            reopened: count("connections_reopened", shard.connections_reopened)?,
            most_open: count("connections_most_open", shard.connections_most_open)?,
        },
        port_waits: count("port_waits", shard.port_waits)?,
        slow_dials: count("slow_dials", shard.slow_dials)?,
        addresses,
        by_address,
        failure_messages: shard
            .failure_messages
            .iter()
            .map(|(kind, message)| Ok((failure("failure_messages", kind)?, cut(message, 2 * TOLD))))
            .collect::<Result<_, _>>()?,
        signs: Signs {
            inspected: count("signs", signs.inspected)?,
            cached: count("signs", signs.cached)?,
            set_cookie: count("signs", signs.set_cookie)?,
            ingress_nginx: 0,
        },
        started_at: Some(started_at),
        elapsed: seconds("duration_seconds", shard.duration_seconds)?,
        ending: Ok(ending.ok_or_else(|| wrong("ending", "is not one that is known"))?),
        counted,
        ..Measured::nothing(trial.clone())
    })
}

fn counted(
    claim: &Claim,
    trial: &Trial,
    shards: u32,
    shard: &ShardMeasurement,
) -> Result<Counted, DecodeError> {
    if shard.groups.len() > 3 * MAX_GROUPS {
        return Err(wrong("groups", "are more than a run tells apart"));
    }
    let groups = shard.groups.iter().enumerate();
    let groups: Vec<GroupCounted> = groups
        .map(|(index, group)| self::group(&format!("groups[{index}]"), group, &claim.split))
        .collect::<Result<_, _>>()?;
    let pods: usize = groups.iter().map(|group| group.pods.len()).sum();
    if pods > MAX_PODS + 3 * MAX_GROUPS {
        return Err(wrong("groups", "have more pods than a run tells apart"));
    }
    let identified = sum("groups", groups.iter().map(GroupCounted::observed))?;
    let by_status = statuses("by_status", &shard.by_status)?;
    let unidentified_by_status = statuses("unidentified_by_status", &shard.unidentified_by_status)?;
    let responses = sum("by_status", by_status.values().copied())?;
    let unidentified = unidentified_by_status.values().copied();
    let unidentified = sum("unidentified_by_status", unidentified)?;
    if identified + unidentified != responses {
        return Err(wrong(
            "groups",
            "and unidentified_by_status don't sum to by_status",
        ));
    }
    let by_failure = shard.by_failure.iter();
    let by_failure: BTreeMap<Failure, u64> = by_failure
        .map(|(kind, &failures)| Ok((failure("by_failure", kind)?, count("by_failure", failures)?)))
        .collect::<Result<_, _>>()?;
    sum("by_failure", by_failure.values().copied())?;
    let unidentified_latency = histogram("histogram", &shard.histogram)?;
    if unidentified_latency.count() != unidentified {
        return Err(wrong(
            "histogram",
            "does not hold as many latencies as unidentified_by_status",
        ));
    }
    let observed: Vec<u64> = groups.iter().map(GroupCounted::observed).collect();
    Ok(Counted {
        windows: windows(shard.window_length, &shard.windows, &observed)?,
        sequence: sequence(shards, shard, groups.len())?,
        connections: match &shard.dependence {
            Some(dependence) => self::dependence(dependence, &observed)?,
            None if trial.connection_use.is_fresh() => connections::Connections::default(),
            None => return Err(wrong("dependence", "is missing")),
        },
        groups,
        by_status,
        unidentified_by_status,
        by_failure,
        unidentified_latency,
    })
}

fn group(part: &str, group: &GroupMeasurement, split: &Split) -> Result<GroupCounted, DecodeError> {
    let explicit = match &group.label {
        Some(label) => Some(
            split
                .position(label)
                .ok_or_else(|| wrong(format!("{part}.label"), "is no backend of the split"))?,
        ),
        None => None,
    };
    let pods = group.pods.clone();
    let observed = sum(&format!("{part}.pods"), pods.values().copied())?;
    let latency = histogram(&format!("{part}.histogram"), &group.histogram)?;
    if latency.count() != observed {
        return Err(wrong(
            format!("{part}.histogram"),
            "does not hold as many latencies as pods have responses",
        ));
    }
    if group.errors > observed {
        return Err(wrong(format!("{part}.errors"), "exceed the responses"));
    }
    Ok(GroupCounted {
        group: Group {
            workload: group.workload.clone(),
            owner: group.owner.clone(),
            explicit,
            is_foreign: group.is_foreign,
        },
        pods,
        errors: group.errors,
        latency,
    })
}

fn windows(
    length: u64,
    windows: &[WindowMeasurement],
    observed: &[u64],
) -> Result<Windows, DecodeError> {
    let mut sums = vec![0_u64; observed.len()];
    let mut blocks = Vec::with_capacity(windows.len());
    for window in windows {
        if window.counts.len() > observed.len() {
            return Err(wrong("windows", "count more groups than there are"));
        }
        for (sum, &counted) in sums.iter_mut().zip(&window.counts) {
            *sum = sum.saturating_add(counted);
        }
        let start = window.start_seconds;
        blocks.push(Block {
            start: start.map(|start| seconds("windows", start)).transpose()?,
            counts: window.counts.clone(),
            unidentified: count("windows", window.unidentified)?,
        });
    }
    if sums != observed {
        return Err(wrong("windows", "don't sum to the responses of the groups"));
    }
    Windows::restore(length, blocks).ok_or_else(|| {
        wrong(
            "windows",
            "are too many, or of a length that is no power of two",
        )
    })
}

/// The places of the shard's own requests.
fn sequence(shards: u32, shard: &ShardMeasurement, groups: usize) -> Result<Vec<u16>, DecodeError> {
    let refused = |what| wrong("sequence", what);
    let compressed = STANDARD
        .decode(&shard.sequence)
        .map_err(|_| refused("is not base64"))?;
    // A number takes three bytes at most.
    let most = u64::try_from(3 * REMEMBERED).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    ZlibDecoder::new(compressed.as_slice())
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| refused("is not whole"))?;
    let sequence = unpacked(&bytes).ok_or_else(|| refused("is not whole"))?;
    if sequence.len() > REMEMBERED {
        return Err(refused("is longer than a run remembers"));
    }
    let is_own = (0..shards).cycle().map(|place| place == shard.index);
    for (&code, is_own) in sequence.iter().zip(is_own) {
        match group_of(code) {
            Some(group) if code != u16::MAX && group >= groups => {
                return Err(refused("names a group that there is not"));
            }
            Some(_) if !is_own => return Err(refused("holds places of other shards")),
            _ => {}
        }
    }
    Ok(sequence)
}

fn dependence(
    dependence: &DependenceMeasurement,
    observed: &[u64],
) -> Result<connections::Connections, DecodeError> {
    let within = |counts: &[u64]| {
        counts.len() <= observed.len() && counts.iter().zip(observed).all(|(part, all)| part <= all)
    };
    let sample = &dependence.sample;
    let is_row = |row: &Vec<u32>| {
        let responses: u64 = row.iter().map(|&count| u64::from(count)).sum();
        row.len() <= observed.len() && u32::try_from(responses).is_ok()
    };
    if !within(&dependence.observed) || !sample.iter().all(is_row) {
        return Err(wrong("dependence", "counts more than the groups"));
    }
    count(
        "dependence.unidentified_first",
        dependence.unidentified_first,
    )?;
    let sums = ConnectionSums::restore(
        dependence.connections,
        dependence.unidentified_first,
        dependence.squared_sizes,
        dependence.observed.clone(),
        dependence.first.clone(),
        dependence.products.clone(),
    );
    let sums = sums.ok_or_else(|| wrong("dependence", "holds sums that no connections have"))?;
    Ok(connections::Connections::restore(sums, sample.clone()))
}

fn address(
    address: &AddressMeasurement,
    groups: usize,
) -> Result<(Address, AddressTally), DecodeError> {
    if address.observed.len() > groups {
        return Err(wrong("addresses", "count more groups than there are"));
    }
    sum("addresses", address.observed.iter().copied())?;
    let place = match address.address.parse() {
        Ok(address) => Address::Ip(address),
        Err(_) => Address::UnixSocket(PathBuf::from(&address.address)),
    };
    let tally = AddressTally {
        connections: count("addresses", address.connections)?,
        failed_dials: count("addresses", address.failed_dials)?,
        observed: address.observed.clone(),
        unidentified: count("addresses", address.unidentified)?,
        failed: count("addresses", address.failed)?,
    };
    Ok((place, tally))
}

fn set_aside(measured: &SetAsideMeasurement, groups: usize) -> Result<SetAside, DecodeError> {
    if measured.observed.len() > groups {
        return Err(wrong("set_aside", "counts more groups than there are"));
    }
    sum("set_aside", measured.observed.iter().copied())?;
    let reason = |(code, &requests): (&String, &u64)| {
        let known = Reason::ALL.into_iter().find(|one| one.code() == code);
        let reason = known.ok_or_else(|| wrong("set_aside", "names a reason that is not known"))?;
        Ok((reason, count("set_aside", requests)?))
    };
    let by_reason: BTreeMap<_, _> = measured
        .by_reason
        .iter()
        .map(reason)
        .collect::<Result<_, _>>()?;
    let by_status = statuses("set_aside", &measured.by_status)?;
    let by_failure: BTreeMap<_, _> = measured
        .by_failure
        .iter()
        .map(|(kind, &failures)| Ok((failure("set_aside", kind)?, count("set_aside", failures)?)))
        .collect::<Result<_, _>>()?;
    sum("set_aside", by_status.values().copied())?;
    sum("set_aside", by_failure.values().copied())?;
    let (identified, observed) = (measured.identified, measured.observed.clone());
    let restored = SetAside::restore(by_reason, by_status, by_failure, identified, observed);
    restored.ok_or_else(|| {
        wrong(
            "set_aside",
            "has reasons or groups that don't sum to its responses and failures",
        )
    })
}

fn limiter(measured: LimiterMeasurement) -> Result<RateLimit, DecodeError> {
    let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
    if !is_rate(measured.per_second) || !is_rate(measured.pace_per_second) {
        return Err(wrong("limiter", "has an impossible rate"));
    }
    Ok(RateLimit {
        per_second: measured.per_second,
        accepted: count("limiter", measured.accepted)?,
        over: seconds("limiter", measured.over_seconds)?,
        pace_per_second: measured.pace_per_second,
        is_explicit: measured.is_explicit,
        slowdowns: measured.slowdowns,
    })
}

fn statuses(
    part: &str,
    by_status: &BTreeMap<String, u64>,
) -> Result<BTreeMap<u16, u64>, DecodeError> {
    let row = |(status, &responses): (&String, &u64)| {
        let number = status::parse(status);
        let status = number.ok_or_else(|| wrong(part, "has an impossible status"))?;
        Ok((status, count(part, responses)?))
    };
    by_status.iter().map(row).collect()
}

fn failure(part: &str, kind: &str) -> Result<Failure, DecodeError> {
    let known = Failure::ALL
        .into_iter()
        .find(|failure| failure.code() == kind);
    known.ok_or_else(|| wrong(part, "names a kind of failure that is not known"))
}

fn histogram(part: &str, text: &str) -> Result<Latency, DecodeError> {
    let bytes = STANDARD.decode(text).ok();
    bytes
        .and_then(|bytes| Latency::from_hdr_v2_deflate(&bytes).ok())
        .ok_or_else(|| wrong(part, "is not a whole histogram of this program"))
}

fn seconds(part: &str, seconds: f64) -> Result<Duration, DecodeError> {
    let time = Duration::try_from_secs_f64(seconds).ok();
    time.filter(|time| *time <= LONGEST)
        .ok_or_else(|| wrong(part, "is not a time of a run"))
}

/// Checks that what was added up is counted exactly.
pub(super) fn within_reach(measured: &Measured) -> Result<(), DecodeError> {
    let (counted, set_aside) = (&measured.counted, &measured.set_aside);
    let set_aside_failures = set_aside.by_failure().map(|(_, count)| count);
    let failures = counted.by_failure.values().copied();
    let responses = [counted.responses(), set_aside.sent()];
    let all = failures.chain(set_aside_failures).chain(responses);
    sum("requests", all).map(|_| ())
}

fn count(part: &str, count: u64) -> Result<u64, DecodeError> {
    sum(part, std::iter::once(count))
}

fn sum(part: &str, counts: impl Iterator<Item = u64>) -> Result<u64, DecodeError> {
    let mut sum = 0_u64;
    for count in counts {
        sum = sum.saturating_add(count);
    }
    (sum <= MOST)
        .then_some(sum)
        .ok_or_else(|| wrong(part, "is more than 10^15"))
}
