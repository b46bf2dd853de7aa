//! What a Prometheus server answers to a query for a range: every scrape of every series, as it was.

use serde::Deserialize;
use serde_json::Value;

use super::error::CountersError;
use super::increase::Series;
use super::selector::{Labels, NAME};

#[derive(Debug, Deserialize)]
struct Answer {
    error: Option<String>,
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Row {
    metric: Labels,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// The series of an answer, and what the server warns of.
///
/// # Errors
/// It is an error, none of Prometheus', or no range of samples.
pub(super) fn series(body: &[u8]) -> Result<(Vec<Series>, Vec<String>), CountersError> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| CountersError::NoAnswer(error.to_string()))?;
    let Some(data) = answer.data else {
        let why = answer.error.unwrap_or_else(|| "it has no data".to_owned());
        return Err(CountersError::Refused(why));
    };
    if data.result_type != "matrix" {
        return Err(CountersError::NoRange);
    }
    let rows: Vec<Row> = serde_json::from_value(data.result)
        .map_err(|error| CountersError::NoAnswer(error.to_string()))?;
    let mut series = Vec::with_capacity(rows.len());
    for Row { metric, values } in rows {
        if !metric.contains_key(NAME) {
            return Err(CountersError::Computed);
        }
        let points = values
            .into_iter()
            .map(|(time, value)| (time, value.parse().unwrap_or(f64::NAN)));
        series.push(Series {
            labels: metric,
            points: points.collect(),
        });
    }
    Ok((series, answer.warnings))
}
