//! Options with a syntax of their own that belong to the ingress as a whole.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, HeaderValue, header};

use super::error::ConfigError;
use crate::split::Split;

/// `--shift 1500:v1=50,v2=50`: another split from one request on.
#[derive(Debug, Clone, PartialEq)]
pub struct Shift {
    /// The ordinal, from 0, of the first request that it holds for.
    pub from: u64,
    /// The split from there on; a backend that it does not name gets nothing.
    pub split: Split,
}

impl FromStr for Shift {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let syntax =
            || ConfigError::syntax("--shift", text, "REQUEST:SPLIT such as 1500:v1=50,v2=50");
        let (from, split) = text.split_once(':').ok_or_else(syntax)?;
        Ok(Self {
            from: from.trim().parse().map_err(|_| syntax())?,
            split: split.parse().map_err(|reason| ConfigError::BadSplit {
                flag: "--shift",
                reason,
            })?,
        })
    }
}

/// `--header 'Age: 30'`: a header of every answer of a pod; `{pod}` in its value becomes the pod's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHeader {
    name: HeaderName,
    value: String,
}

impl ExtraHeader {
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The header's value in the answers of `pod`.
    pub(super) fn value(&self, pod: &str) -> HeaderValue {
        HeaderValue::from_str(&self.value.replace("{pod}", pod))
            .expect("the template and pod names hold visible ASCII alone")
    }
}

impl FromStr for ExtraHeader {
    type Err = ConfigError;

    /// Reads `NAME: VALUE`; headers that frame the message are refused.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let syntax = || {
            ConfigError::syntax(
                "--response-header",
                text,
                "NAME: VALUE, not one that frames the message, such as 'Age: 30' or 'X-Pod: {pod}'",
            )
        };
        let (name, value) = text.split_once(':').ok_or_else(syntax)?;
        let name: HeaderName = name.trim().parse().map_err(|_| syntax())?;
        let value = value.trim();
        let framing = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ];
        let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if framing.contains(&name) || !printable {
            return Err(syntax());
        }
        Ok(Self {
            name,
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for ExtraHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_and_headers_are_read() {
        let shift: Shift = "1500:v1=50,v2=50".parse().unwrap();
        assert_eq!((shift.from, shift.split.shares()), (1500, &[0.5, 0.5][..]));
        let header: ExtraHeader = "X-Pod: {pod}".parse().unwrap();
        assert_eq!(header.value("a-1"), "a-1");
    }

    #[test]
    fn bad_shifts_and_headers_are_refused_naming_the_flag() {
        for text in ["", "v1=1", "x:v1=1", "-1:v1=1", "9:v1", "9:v1=0"] {
            let error = text.parse::<Shift>().unwrap_err().to_string();
            assert!(error.starts_with("--shift"), "{error}");
        }
        for text in [
            "",
            "Age",
            ": 1",
            "A b: 1",
            "Content-Length: 5",
            "X: \u{1b}[2J",
            "X: ä",
        ] {
            let error = text.parse::<ExtraHeader>().unwrap_err().to_string();
            assert!(error.starts_with("--response-header"), "{error}");
        }
    }
}
