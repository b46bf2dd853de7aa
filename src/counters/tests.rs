//! What proxies show of their counters, and what follows.

use super::*;
use crate::split::Split;

fn mappings() -> Mappings {
    let split: Split = "v1=70,v2=30".parse().unwrap();
    Mappings::parse(split.labels(), &[]).unwrap()
}

fn asked(query: &str, by: &[&str]) -> Counters {
    Counters {
        selector: (!query.is_empty()).then(|| Selector::parse(query).unwrap()),
        by: by.iter().map(|&label| label.to_owned()).collect(),
    }
}

fn between(asked: &Counters, before: &str, after: &str) -> Result<Read, CountersError> {
    let (mut before, mut after) = (before.as_bytes(), after.as_bytes());
    asked.between(
        [("before.prom", &mut before), ("after.prom", &mut after)],
        mappings(),
    )
}

fn gained(read: &Read) -> Vec<(&str, u64)> {
    let gained = read.summary.gained.iter();
    gained
        .map(|(name, &count)| (name.as_str(), count))
        .collect()
}

/// Of each program two readings, and what was gained by whom.
type Reading = (&'static str, &'static str, &'static [(&'static str, u64)]);

const READINGS: &[Reading] = &[
    (
        r#"nginx_ingress_controller_requests{canary="",service="web",status="200"} 10
nginx_ingress_controller_requests{canary="",service="",status="404"} 1"#,
        r#"nginx_ingress_controller_requests{canary="",service="web",status="200"} 80
nginx_ingress_controller_requests{canary="",service="",status="404"} 3
nginx_ingress_controller_requests{canary="shop-web-canary-80",service="web",status="200"} 30"#,
        &[("shop-web-canary-80", 30), ("web", 70)],
    ),
    (
        r#"envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="v1"} 10
envoy_cluster_internal_upstream_rq{envoy_response_code="200",envoy_cluster_name="v1"} 10"#,
        r#"envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="v1"} 75
envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="v1"} 5
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="v2"} 30
envoy_cluster_internal_upstream_rq{envoy_response_code="200",envoy_cluster_name="v1"} 75"#,
        &[("v1", 70), ("v2", 30)],
    ),
    (
        r#"istio_requests_total{reporter="source",destination_workload="shop-v1"} 0
istio_requests_total{reporter="destination",destination_workload="shop-v1"} 0"#,
        r#"istio_requests_total{reporter="source",destination_workload="shop-v1"} 70
istio_requests_total{reporter="destination",destination_workload="shop-v1"} 70
istio_requests_total{reporter="source",destination_workload="shop-v2"} 30
istio_requests_total{reporter="destination",destination_workload="shop-v2"} 29"#,
        &[("shop-v1", 70), ("shop-v2", 30)],
    ),
    (
        r#"istio_requests_total{reporter="destination",destination_workload="shop-v1"} 1"#,
        r#"istio_requests_total{reporter="destination",destination_workload="shop-v1"} 8"#,
        &[("shop-v1", 7)],
    ),
    (
        r#"traefik_service_requests_total{code="200",method="GET",protocol="http",service="v1@file"} 0"#,
        r#"traefik_service_requests_total{code="200",method="GET",protocol="http",service="v1@file"} 7e+01
traefik_service_requests_total{code="200",method="GET",protocol="http",service="v2@file"} 3e+01"#,
        &[("v1@file", 70), ("v2@file", 30)],
    ),
    (
        r#"haproxy_server_http_responses_total{proxy="apps",server="v1",code="2xx"} 0
haproxy_server_http_responses_total{proxy="apps",server="v2",code="2xx"} 0
haproxy_server_sessions_total{proxy="apps",server="v1"} 0"#,
        r#"haproxy_server_http_responses_total{proxy="apps",server="v1",code="2xx"} 70
haproxy_server_http_responses_total{proxy="apps",server="v2",code="2xx"} 30
haproxy_server_sessions_total{proxy="apps",server="v1"} 71"#,
        &[("v1", 70), ("v2", 30)],
    ),
    // In mode tcp HAProxy counts no responses.
    (
        r#"haproxy_server_http_responses_total{proxy="apps",server="v1",code="2xx"} 0
haproxy_server_sessions_total{proxy="apps",server="v1"} 0"#,
        r#"haproxy_server_http_responses_total{proxy="apps",server="v1",code="2xx"} 0
haproxy_server_sessions_total{proxy="apps",server="v1"} 71"#,
        &[("v1", 71)],
    ),
    (
        r#"outbound_http_route_backend_response_statuses_total{backend_name="web",http_status="200"} 0
response_total{direction="outbound",dst_service="web"} 0"#,
        r#"outbound_http_route_backend_response_statuses_total{backend_name="web",http_status="200"} 70
outbound_http_route_backend_response_statuses_total{backend_name="web-canary",http_status="200"} 30
response_total{direction="outbound",dst_service="web"} 100"#,
        &[("web", 70), ("web-canary", 30)],
    ),
    (
        r#"response_total{direction="inbound",dst_service="self"} 0"#,
        r#"response_total{direction="inbound",dst_service="self"} 9
response_total{direction="outbound",dst_service="web"} 4"#,
        &[("web", 4)],
    ),
];

#[test]
fn the_counters_of_every_program_are_known_by_name() {
    for (before, after, expected) in READINGS {
        let read = between(&Counters::default(), before, after).unwrap();
        assert_eq!(gained(&read), *expected, "{after}");
        let sum: u64 = read.evidence.observed.iter().sum();
        assert_eq!(
            sum + read.summary.nameless,
            read.summary.requests(),
            "{after}"
        );
    }
    // What nothing names is an answer without an identity.
    let (before, after, _) = READINGS[0];
    let read = between(&Counters::default(), before, after).unwrap();
    assert_eq!(read.evidence.unattributed, 2);
    assert_eq!(read.summary.findings()[0].code, "counters_without_backend");
}

#[test]
fn another_label_and_other_counters_can_be_meant() {
    let before = "hits{to=\"v1\",code=\"200\"} 1\nhits{to=\"v2\",code=\"500\"} 1\n";
    let after = "hits{to=\"v1\",code=\"200\"} 8\nhits{to=\"v2\",code=\"500\"} 4\n";
    let read = between(&asked("hits", &["pod", "to"]), before, after).unwrap();
    assert_eq!(gained(&read), [("v1", 7), ("v2", 3)]);
    let read = between(&asked("hits{code=~\"2..\"}", &["to"]), before, after).unwrap();
    assert_eq!(gained(&read), [("v1", 7)]);
    let (before, after, _) = READINGS[0];
    let read = between(&asked("", &["status"]), before, after).unwrap();
    assert_eq!(gained(&read), [("200", 100), ("404", 2)]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_says_nothing_of_who_answered_is_explained() {
    let refusal = |query: &str, by: &[&str], before: &str, after: &str| {
        let error = between(&asked(query, by), before, after).unwrap_err();
        error.to_string()
    };
    let hits = "hits{to=\"v1\"} 1\n";
    for (error, said) in [
        (
            refusal("", &[], "up 1\n", "up 1\n"),
            "no counter is known by name (istio_requests_total, nginx_ingress",
        ),
        (
            refusal(
                "",
                &[],
                "nginx_http_requests_total 3",
                "nginx_http_requests_total 4",
            ),
            "--format nginx",
        ),
        (
            refusal(
                "",
                &[],
                "up 1\n",
                "caddy_http_requests_total{handler=\"x\"} 4",
            ),
            "--format caddy",
        ),
        (
            refusal("hits", &[], hits, hits),
            "--by is missing: say which label of hits names who answered; it has to",
        ),
        (refusal("hits", &["to"], hits, hits), "hits did not grow"),
        // The first reading came to nothing: all that was ever counted would be judged.
        (
            refusal("hits", &["to"], "", hits),
            "before.prom shows no counters",
        ),
        (
            refusal("hits", &["to"], hits, "<html>404 Not Found</html>"),
            "after.prom shows no counters",
        ),
        (
            refusal("hits", &["pod"], hits, "hits{to=\"v1\"} 2\n"),
            "no series of hits that grew has the label pod; it has to",
        ),
        (
            refusal("misses", &["to"], hits, hits),
            "no series is selected",
        ),
        (
            refusal("hits", &["to"], "hits{to=\"v1\"} 1.5\n", hits),
            "which is no number of requests",
        ),
        (
            refusal("hits", &["to"], "up 1\n", "hits{to=\"v1\"} NaN\n"),
            "which is no number of requests",
        ),
        (
            refusal("hits", &["to"], "# TYPE hits gauge\n", hits),
            "is a gauge",
        ),
        (
            refusal(
                "{to=\"v1\"}",
                &["to"],
                hits,
                "hits{to=\"v1\"} 2\nmisses{to=\"v1\"} 2\n",
            ),
            "several counters (hits, misses)",
        ),
        (
            refusal(
                "hits",
                &["to"],
                "hits{to=\"v1\"} 1\nhits{to=\"v2\"} 1\n",
                "hits{to=\"v1\"} 2\n",
            ),
            "hits{to=\"v2\"} is in the first reading and not in the second",
        ),
    ] {
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_restart_between_two_readings_is_noticed() {
    let birth = |at: u64| {
        format!("# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {at}\n")
    };
    let before = "hits{to=\"v1\"} 70\nhits{to=\"v2\"} 3\n";
    let after = "hits{to=\"v1\"} 71\nhits{to=\"v2\"} 30\n";
    let read = |before: &str, after: &str| between(&asked("hits", &["to"]), before, after).unwrap();
    let same = read(&(birth(5) + before), &(birth(5) + after));
    assert_eq!(
        (gained(&same), same.summary.resets),
        (vec![("v1", 1), ("v2", 27)], 0)
    );
    let other = read(&(birth(5) + before), &(birth(500) + after));
    assert_eq!(
        (gained(&other), other.summary.resets),
        (vec![("v1", 71), ("v2", 30)], 1)
    );
    let fell = read(before, "hits{to=\"v1\"} 7\nhits{to=\"v2\"} 5\n");
    assert_eq!(
        (gained(&fell), fell.summary.resets),
        (vec![("v1", 7), ("v2", 5)], 1)
    );
    assert_eq!(fell.summary.findings()[0].code, "counters_reset");
}

#[test]
fn every_scrape_of_a_server_counts_and_a_change_is_seen() {
    let scrapes = |by: &str, counts: &[u64]| {
        let mut sum = 0;
        let values = (0..).zip(counts).map(|(time, count)| {
            sum += count;
            serde_json::json!([1_700_000_000.5 + f64::from(time) * 15.0, sum.to_string()])
        });
        serde_json::json!({
            // What the scraped target is called goes before what the proxy says.
            "metric": {"__name__": "nginx_ingress_controller_requests", "service": "metrics", "exported_service": by,
                "job": "ingress", "instance": "10.0.0.7:10254"},
            "values": values.collect::<Vec<_>>()
        })
    };
    let answer = |rows: &[serde_json::Value]| {
        let data = serde_json::json!({"resultType": "matrix", "result": rows});
        serde_json::json!({"status": "success", "data": data, "warnings": ["partial"]}).to_string()
    };
    let body = answer(&[
        scrapes("v1", &[1000, 70, 70, 0]),
        scrapes("v2", &[50, 30, 30, 1]),
    ]);
    let read = Counters::default()
        .over_range(body.as_bytes(), mappings())
        .unwrap();
    assert_eq!(gained(&read), [("v1", 140), ("v2", 61)]);
    assert_eq!(read.summary.warnings, ["partial"]);
    let windows: u64 = read.evidence.windows.iter().flatten().sum();
    assert_eq!((windows, read.evidence.windows.len()), (201, 64));

    for (body, said) in [
        (
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
            "refuses the query: parse error",
        ),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
            "NAME[10m]",
        ),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            "no series is selected",
        ),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"2"]]}]}}"#,
            "without sum()",
        ),
        ("<html>", "no Prometheus server"),
    ] {
        let error = Counters::default()
            .over_range(body.as_bytes(), mappings())
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
