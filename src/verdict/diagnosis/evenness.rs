//! What pods look like that do not share the requests equally, and what that costs.

use super::{Finding, Symptoms};
use crate::stats::goodness_of_fit::goodness_of_fit;

/// What the counts look like; empty where equal shares explain them.
pub(super) fn causes(symptoms: &Symptoms<'_>) -> Vec<Finding> {
    let observed = &symptoms.counts.observed;
    let n = symptoms.attributed();
    // Shares that changed are none that a pod has.
    if !symptoms.is_off() || n == 0 || symptoms.change.is_some() {
        return Vec::new();
    }
    let ratio = |pod: usize| observed[pod] as f64 * observed.len() as f64 / n as f64;
    let by_ratio = |a: &usize, b: &usize| ratio(*a).total_cmp(&ratio(*b));
    let off = |pod: usize| (ratio(pod) - 1.0).abs();
    let Some(hottest) = (0..observed.len()).max_by(by_ratio) else {
        return Vec::new();
    };
    if observed[hottest] == n {
        return vec![alone(symptoms, hottest)];
    }
    let farthest = (0..observed.len()).max_by(|&a, &b| off(a).total_cmp(&off(b)));
    let mut findings: Vec<Finding> = farthest
        .and_then(|pod| outlier(symptoms, pod, ratio(pod)))
        .or_else(|| two_groups(symptoms))
        .into_iter()
        .collect();
    let hot = ratio(hottest);
    let message = format!(
        "the hottest pod, {}, gets {hot:.2} × its equal share: it is full when the fleet runs at {:.0} %",
        symptoms.label(hottest),
        100.0 / hot
    );
    findings.push(
        Finding::new("hottest_pod", message)
            .with("ratio", hot)
            .with("full_at_share", 1.0 / hot),
    );
    findings
}

/// Everything on one pod.
fn alone(symptoms: &Symptoms<'_>, pod: usize) -> Finding {
    let message = format!(
        "every request was answered by {}: is there one ready pod, or is the balancer sticky by what all \
         requests share: the client's address, a header, a cookie, a connection? All of lbtest's requests come from one address \
         and look alike: vary that with --header, --cookie, or --shard on machines of other addresses, and drop --keep-alive",
        symptoms.label(pod)
    );
    Finding::new("one_pod_alone", message)
}

/// One pod that is off while the others share the rest equally.
fn outlier(symptoms: &Symptoms<'_>, pod: usize, ratio: f64) -> Option<Finding> {
    let mut rest = symptoms.independent.observed.clone();
    rest.remove(pod);
    let shares = vec![1.0 / rest.len() as f64; rest.len()];
    let fit = goodness_of_fit(&rest, &shares, symptoms.alpha, symptoms.seed).ok()??;
    if fit.p_value <= symptoms.alpha {
        return None;
    }
    let (code, what) = match ratio {
        _ if symptoms.counts.observed[pod] == 0 => return None,
        ratio if ratio < 1.0 => (
            "pod_cold",
            "is it new, failing its probes at times, in a zone of its own, or of a lower weight?",
        ),
        _ => (
            "pod_hot",
            "is it the target of a hash or of kept connections, or of a higher weight?",
        ),
    };
    let message = format!(
        "{} alone gets {ratio:.2} × its equal share, and the others share the rest equally: {what}",
        symptoms.label(pod)
    );
    let finding = Finding::new(code, message)
        .with("ratio", ratio)
        .with("others_p_value", fit.p_value);
    Some(finding)
}

/// Two groups of at least two pods each, which share equally within either.
fn two_groups(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let observed = &symptoms.independent.observed;
    let mut pods: Vec<usize> = (0..observed.len()).collect();
    pods.sort_by_key(|&pod| std::cmp::Reverse(observed[pod]));
    let counts = |pods: &[usize]| -> Vec<u64> { pods.iter().map(|&pod| observed[pod]).collect() };
    let mean = |pods: &[usize]| counts(pods).iter().sum::<u64>() as f64 / pods.len() as f64;
    // What is between two groups of these sizes: the most where they are apart.
    let between = |&most: &usize| {
        let (hot, cold) = pods.split_at(most);
        let weight = (hot.len() * cold.len()) as f64 / pods.len() as f64;
        weight * (mean(hot) - mean(cold)).powi(2)
    };
    let cuts = 2..pods.len().saturating_sub(1);
    let most = cuts.max_by(|a, b| between(a).total_cmp(&between(b)))?;
    let (hot, cold) = pods.split_at(most);
    let fit = |pods: &[usize]| {
        let equal = vec![1.0 / pods.len() as f64; pods.len()];
        let fit = goodness_of_fit(&counts(pods), &equal, symptoms.alpha, symptoms.seed);
        fit.ok()?.map(|fit| fit.p_value)
    };
    let p_value = fit(hot)?.min(fit(cold)?);
    let equal = mean(&pods);
    if p_value <= symptoms.alpha || observed[cold[0]] == 0 {
        return None;
    }
    let (more, less) = (mean(hot) / equal, mean(cold) / equal);
    let share = more * hot.len() as f64 / pods.len() as f64;
    let describe = |pods: &[usize], ratio: f64| {
        let (number, first) = (pods.len(), symptoms.label(pods[0]));
        format!("{number} pods get {ratio:.2} × their equal share each ({first} is one)")
    };
    let message = format!(
        "{}, and {}, evenly within either group; the first group has {:.0} % of the requests: are they in zones or on nodes \
         of their own, which are served alike whatever pods they have (topology, externalTrafficPolicy: Local), or of two weights?",
        describe(hot, more),
        describe(cold, less),
        100.0 * share
    );
    let finding = Finding::new("pods_in_two_groups", message)
        .with("pods_with_more", hot.len() as f64)
        .with("ratio_of_more", more)
        .with("ratio_of_less", less)
        .with("group_share", share)
        .with("within_p_value", p_value);
    Some(finding)
}
