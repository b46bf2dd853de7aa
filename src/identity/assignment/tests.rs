use std::collections::BTreeSet;

use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Groups of pods, without duplicates, in the order of first sight.
fn groups(labels: &[String], mappings: &[&str], pods: &[&str]) -> Vec<Group> {
    let mappings = Mappings::parse(labels, &strings(mappings)).unwrap();
    let mut groups = Vec::new();
    for pod in pods {
        let group = mappings.group(pod);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn assigned(labels: &[&str], mappings: &[&str], pods: &[&str]) -> Assignment {
    let labels = strings(labels);
    assign(&equal(&labels), &groups(&labels, mappings, pods))
}

fn equal(labels: &[String]) -> Split {
    Split::new(labels.iter().map(|label| (label.as_str(), 1.0))).unwrap()
}

#[test]
fn the_only_workload_is_the_only_backend_that_may_get_anything_unless_its_name_says_otherwise() {
    for (split, pods, fixed) in [
        ("v1=100,v2=0", &[PRIMARY][..], Some(0)),
        ("v1=100,v2=0,v3=0", &[PRIMARY], Some(0)),
        ("stable=1,canary=0", &[PRIMARY], Some(0)),
        ("v1=100,v2=0", &[CANARY], Some(1)),
        // The switch to v2 may not have happened: the name without a version is v1's as likely.
        ("v1=0,v2=100", &[PRIMARY], None),
        ("v2=100", &[PRIMARY], None),
        ("v1=70,v2=30", &[PRIMARY], None),
        ("v1=70,v2=30,v3=0", &[PRIMARY], None),
        ("blue=100,green=0", &[PRIMARY], None),
        ("canary=100,stable=0", &[PRIMARY], None),
        ("v1=100,v2=0", &["challenge-app-v3-0"], None),
        ("stable=100,canary=0", &["web-beta-0"], None),
        // Two ReplicaSets may be two backends.
        (
            "v1=100,v2=0",
            &[PRIMARY, "challenge-app-54b75887bb-nnjmj"],
            None,
        ),
    ] {
        let split: Split = split.parse().unwrap();
        let assignment = assign(&split, &groups(split.labels(), &[], pods));
        assert!(
            assignment.fixed.iter().all(|backend| *backend == fixed),
            "{split:?} {pods:?}"
        );
    }
}

fn bases(assignment: &Assignment) -> Vec<(&str, usize, Basis)> {
    let inferences = assignment.inferences.iter();
    inferences
        .map(|known| (known.workload.as_str(), known.label, known.basis))
        .collect()
}

/// Labels, mappings, pods, and what each pod's group is fixed to.
type Case<'a> = (
    &'a [&'a str],
    &'a [&'a str],
    &'a [&'a str],
    &'a [Option<usize>],
);

fn assert_fixed(cases: &[Case]) {
    for (labels, mappings, pods, fixed) in cases {
        let assignment = assigned(labels, mappings, pods);
        assert_eq!(assignment.fixed, *fixed, "{labels:?} {mappings:?} {pods:?}");
    }
}

const PRIMARY: &str = "challenge-app-6f79ff6b8d-fmzvc";
const CANARY: &str = "challenge-app-v2-6b8464cddd-nnjmj";

#[test]
fn the_challenge_apps_are_told_apart_by_token_and_stem() {
    let assignment = assigned(&["v1", "v2"], &[], &[PRIMARY, CANARY]);
    assert_eq!(assignment.fixed, [Some(0), Some(1)]);
    assert_eq!(
        bases(&assignment),
        [
            ("challenge-app", 0, Basis::LeftOver),
            ("challenge-app-v2", 1, Basis::NameToken)
        ]
    );
    assert_eq!(assignment.ambiguous, []);
    assert!(assignment.suggestions.is_empty());
    let all: Vec<_> = assignment.possibilities(1).unwrap().collect();
    assert_eq!(all, [[Some(0), Some(1)]]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn names_that_leave_no_doubt_are_fixed() {
    assert_fixed(&[
        // The canary alone; the primary then never answered.
        (&["v1", "v2"], &[], &[CANARY], &[Some(1)]),
        (
            &["v1", "v2"],
            &[],
            &["app-v1-x7kfd", "app-v2-x7kfd"],
            &[Some(0), Some(1)],
        ),
        (
            &["V1", "V2"],
            &[],
            &["app-v2-x7kfd", "app-v1-x7kfd"],
            &[Some(1), Some(0)],
        ),
        (
            &["blue", "green"],
            &[],
            &["green-0", "shop.blue"],
            &[Some(1), Some(0)],
        ),
        // Exact names, for which other labels' tokens don't matter.
        (
            &["challenge-app", "challenge-app-v2"],
            &[],
            &[PRIMARY, CANARY],
            &[Some(0), Some(1)],
        ),
        (
            &["app", "v2"],
            &[],
            &["app-0", "app-v2-0"],
            &[Some(0), Some(1)],
        ),
        (
            &["app-1", "app-2"],
            &[],
            &["app-2", "app-1"],
            &[Some(1), Some(0)],
        ),
        // A label of several tokens.
        (
            &["shop", "canary-v2"],
            &[],
            &["shop-canary-v2-0", "shop-0"],
            &[Some(1), Some(0)],
        ),
        // Several ReplicaSets of one fitting workload.
        (
            &["v1", "v2"],
            &[],
            &["app-v2-6f79ff6b8d-fmzvc", "app-v2-54b75887bb-fmzvc"],
            &[Some(1), Some(1)],
        ),
        // Flagger's primary, and the canary by its stem.
        (
            &["primary", "canary"],
            &[],
            &["podinfo-primary-0", "podinfo-0"],
            &[Some(0), Some(1)],
        ),
        // The one left over is the longer name.
        (
            &["challenge-app", "canary"],
            &[],
            &[PRIMARY, CANARY],
            &[Some(0), Some(1)],
        ),
        (
            &["v1", "v2", "v3"],
            &[],
            &["app-v3-0", "app-0", "app-v2-0"],
            &[Some(2), Some(0), Some(1)],
        ),
    ]);
}

#[test]
fn what_a_mapping_names_is_fixed_and_what_it_leaves_is_inferred() {
    assert_fixed(&[
        (
            &["v1", "v2"],
            &["v1=foo", "v2=b*"],
            &["foo-0", "bar-0"],
            &[Some(0), Some(1)],
        ),
        (
            &["v1", "v2"],
            &["v2=challenge-app"],
            &[PRIMARY, CANARY],
            &[Some(1), None],
        ),
        (
            &["stable", "next"],
            &["next=challenge-app-v2"],
            &[PRIMARY, CANARY],
            &[Some(0), Some(1)],
        ),
        (
            &["stable", "canary"],
            &["stable=rollout-6f79ff6b8d-*"],
            &["rollout-6f79ff6b8d-fmzvc", "rollout-54b75887bb-fmzvc"],
            &[Some(0), Some(1)],
        ),
    ]);
}

#[test]
fn names_that_leave_a_doubt_are_ambiguous() {
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        // Nothing to compare the one workload with.
        (&["v1", "v2"], &[], &[PRIMARY]),
        (&["v1"], &[], &[PRIMARY]),
        // Two ReplicaSets of one workload may be two backends.
        (
            &["stable", "canary"],
            &[],
            &["rollout-6f79ff6b8d-fmzvc", "rollout-54b75887bb-fmzvc"],
        ),
        // No stem in common, or none but a first word.
        (&["v1", "v2"], &[], &["foo-0", "bar-0"]),
        (&["v1", "v2"], &[], &["shop-v2x-0", "shop-db-0"]),
        // The label at the start.
        (&["v1", "v2"], &[], &["v1-app-0", "v2-app-0"]),
        // One label, two workloads.
        (&["v1", "v2"], &[], &["east-app-v2-0", "west-app-v2-0"]),
        // Containers are called by their identifiers.
        (&["v1", "v2"], &[], &["83eaa3309703", "921ef0b60cdb"]),
    ];
    for (labels, mappings, pods) in cases {
        let assignment = assigned(labels, mappings, pods);
        let open = assignment.fixed.iter().filter(|fixed| fixed.is_none());
        assert_eq!(open.count(), assignment.fixed.len(), "{labels:?} {pods:?}");
        for ambiguity in &assignment.ambiguous {
            let anything: Vec<_> = (0..labels.len()).map(Some).chain([None]).collect();
            assert_eq!(*ambiguity.candidates, *anything, "{labels:?} {pods:?}");
        }
    }
}

#[test]
fn a_doubt_about_one_workload_leaves_the_others_fixed() {
    assert_fixed(&[
        // A backend of neither label.
        (
            &["v1", "v2"],
            &[][..],
            &["app-v1-0", "app-v2-0", "default-backend-0"][..],
            &[Some(0), Some(1), None][..],
        ),
        // The one left over shares no stem, or only a first word, or contradicts its label.
        (
            &["v1", "v2"],
            &[],
            &["app-v2-0", "other-0"],
            &[Some(1), None],
        ),
        (
            &["v1", "v2"],
            &[],
            &["shop-v2-0", "shop-db-0"],
            &[Some(1), None],
        ),
        (
            &["v1", "v2"],
            &[],
            &["app-v2-0", "app-v3-0"],
            &[Some(1), None],
        ),
        (
            &["v1", "v2"],
            &["v2=app"],
            &["app-0", "app-v3-0"],
            &[Some(1), None],
        ),
        // Two are left over.
        (
            &["v1", "v2"],
            &[],
            &["app-v2-0", "app-0", "app-old-0"],
            &[Some(1), None, None],
        ),
        // The label is taken, by its exact name or by a mapping.
        (&["v1", "v2"], &[], &["v2-0", "app-v2-0"], &[Some(1), None]),
        (
            &["v1", "v2"],
            &["v2=blue"],
            &["blue-0", "app-v2-0"],
            &[Some(1), None],
        ),
        // Of three ReplicaSets a mapping names one.
        (
            &["v1", "v2"],
            &["v1=r-6f79ff6b8d-*"],
            &[
                "r-6f79ff6b8d-fmzvc",
                "r-54b75887bb-fmzvc",
                "r-749cf45bd6-fmzvc",
            ],
            &[Some(0), None, None],
        ),
    ]);
}

#[test]
fn a_name_that_ends_in_two_labels_is_one_of_them() {
    let labels = ["v2", "canary-v2", "v1"];
    let assignment = assigned(&labels, &[], &["app-canary-v2-0", "app-v1-0"]);
    assert_eq!(assignment.fixed, [None, Some(2)]);
    assert_eq!(*assignment.ambiguous[0].candidates, [Some(0), Some(1)]);
    // Unless another workload lays claim to one of them.
    let assignment = assigned(&labels, &[], &["app-canary-v2-0", "app-v2-0"]);
    assert_eq!(assignment.fixed, [None, None]);
    assert_eq!(assignment.ambiguous[0].candidates.len(), 4);
}

#[test]
fn a_mapping_that_matches_nothing_closes_no_label() {
    let assignment = assigned(&["v1", "v2"], &["v2=chalenge-app-v2"], &[PRIMARY, CANARY]);
    assert_eq!(assignment.fixed, [Some(0), Some(1)]);
}

#[test]
fn possibilities_run_over_every_candidate_once() {
    let assignment = assigned(&["v1", "v2"], &[], &["foo-0", "bar-0", "x-v2-0"]);
    assert_eq!(assignment.fixed, [None, None, Some(1)]);
    let all: BTreeSet<_> = assignment.possibilities(9).unwrap().collect();
    assert_eq!(all.len(), 9);
    assert!(all.iter().all(|each| each.len() == 3 && each[2] == Some(1)));
    assert!(all.contains(&vec![None, None, Some(1)]));
    assert!(all.contains(&vec![Some(1), Some(0), Some(1)]));
    assert_eq!(assignment.possibilities(9).unwrap().count(), 9);
    assert!(assignment.possibilities(8).is_none());
}

#[test]
fn suggestions_name_the_option_to_add() {
    for (labels, pods, lines) in [
        (
            &["v1", "v2"][..],
            &[PRIMARY][..],
            &["--backend LABEL=challenge-app"][..],
        ),
        (&["v1"], &[PRIMARY], &["--backend v1=challenge-app"]),
        (
            &["v1", "v2"],
            &["app-v2-0", "other-0"],
            &["--backend v1=other"],
        ),
        (
            &["v1", "v2"],
            &["v2-app-0", "v1-app-0"],
            &["--backend v1=v1-app", "--backend v2=v2-app"],
        ),
        (
            &["stable", "canary"],
            &["r-6f79ff6b8d-fmzvc", "r-54b75887bb-fmzvc"],
            &[
                "--backend 'LABEL=r-6f79ff6b8d-*'",
                "--backend 'LABEL=r-54b75887bb-*'",
            ],
        ),
        (
            &["v1", "v2"],
            &["web-0", "web-1"],
            &["--backend LABEL=web-0", "--backend LABEL=web-1"],
        ),
        (
            &["v1", "v2"],
            &["it's $(x)"],
            &[r"--backend 'LABEL=it'\''s $(x)'"],
        ),
    ] {
        let assignment = assigned(labels, &[], pods);
        assert_eq!(assignment.suggestions, lines);
    }
}

#[test]
fn following_a_suggestion_settles_the_group() {
    let labels = strings(&["stable", "canary"]);
    let pods = ["r-6f79ff6b8d-fmzvc", "r-54b75887bb-fmzvc", "r-x7kfd", "r-0"];
    let assignment = assign(&equal(&labels), &groups(&labels, &[], &pods));
    assert_eq!(assignment.ambiguous.len(), 4);
    for (number, line) in assignment.suggestions.iter().enumerate() {
        let option = line.trim_start_matches("--backend ").trim_matches('\'');
        let mapping = option.replace("LABEL", "canary");
        let settled = assign(&equal(&labels), &groups(&labels, &[&mapping], &pods));
        let fixed: Vec<_> = settled.fixed.iter().map(Option::is_some).collect();
        let expected: Vec<_> = (0..4).map(|index| index == number).collect();
        assert_eq!(fixed, expected, "{mapping}");
    }
}

#[test]
fn no_groups_and_ten_thousand_hostile_ones_are_survived() {
    assert_eq!(
        assigned(&["v1"], &[], &[])
            .possibilities(1)
            .unwrap()
            .count(),
        1
    );
    let labels: Vec<_> = (0..255).map(|index| format!("v{index}")).collect();
    let groups: Vec<_> = (0..10_000)
        .map(|index| Group {
            workload: format!("{}{index}", "a-".repeat(120)),
            owner: format!("{index}"),
            explicit: None,
            is_foreign: false,
        })
        .collect();
    let assignment = assign(&equal(&labels), &groups);
    assert_eq!(assignment.ambiguous.len(), 10_000);
    assert_eq!(assignment.suggestions.len(), MAX_SUGGESTIONS);
    assert!(assignment.possibilities(4096).is_none());
}

#[test]
fn the_order_of_the_groups_changes_nothing() {
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};
    let labels = strings(&["v1", "v2", "canary-v2"]);
    let stems = [
        "app",
        "shop",
        "app-v1",
        "app-v2",
        "v2",
        "shop-canary-v2",
        "x-v1",
    ];
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    for _ in 0..2_000 {
        let mut pods: Vec<_> = (0..random.random_range(0..5))
            .map(|_| {
                let stem = stems[random.random_range(0..stems.len())];
                format!(
                    "{stem}-6f79ff6b8d-{}",
                    ["fmzvc", "nnjmj"][random.random_range(0..2)]
                )
            })
            .collect();
        let outcome = |pods: &[String]| {
            let names: Vec<_> = pods.iter().map(String::as_str).collect();
            let groups = groups(&labels, &[], &names);
            let assignment = assign(&equal(&labels), &groups);
            // Every group is either fixed or ambiguous.
            let open = |index: &usize| assignment.fixed[*index].is_none();
            let open: Vec<_> = (0..groups.len()).filter(open).collect();
            let listed: Vec<_> = assignment.ambiguous.iter().map(|a| a.group).collect();
            assert_eq!(open, listed);
            // No two workloads are taken for one label by their names.
            let by_label: BTreeSet<_> = assignment.inferences.iter().map(|i| i.label).collect();
            assert_eq!(by_label.len(), assignment.inferences.len());
            let mut sorted: Vec<_> = groups.into_iter().zip(assignment.fixed).collect();
            sorted.sort();
            (sorted, assignment.inferences, assignment.suggestions)
        };
        let expected = outcome(&pods);
        pods.shuffle(&mut random);
        assert_eq!(outcome(&pods), expected, "{pods:?}");
    }
}
