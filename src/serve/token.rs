//! The bearer token that callers present.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// A secret, which is never printed.
pub struct Token(Box<[u8]>);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It cannot stand in a header.
    #[error("is not one line of visible ASCII characters")]
    NotVisible,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Takes a token as a file or a variable holds it, white space around it left away.
    ///
    /// # Errors
    /// It is empty, or cannot stand in a header.
    pub fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::NotVisible);
        }
        Ok(Self(text.into()))
    }

    /// Whether `presented` is the token. The time that it takes tells nothing but the length.
    pub(super) fn is(&self, presented: &[u8]) -> bool {
        self.0.ct_eq(presented).into()
    }

    /// Whether the `Authorization` header presents it (RFC 6750 §2.1).
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let presented = presented.and_then(|value| value.split_at_checked("bearer ".len()));
        presented.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && self.is(token.trim_ascii())
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_one_line_of_visible_characters() {
        assert!(Token::parse(b"  s3cret\n").unwrap().is(b"s3cret"));
        assert_eq!(Token::parse(b" \n").unwrap_err(), TokenError::Empty);
        for text in [&b"a b"[..], b"a\nb", b"a\0", "ä".as_bytes()] {
            assert_eq!(Token::parse(text).unwrap_err(), TokenError::NotVisible);
        }
        assert_eq!(
            format!("{:?}", Token::parse(b"s3cret").unwrap()),
            "Token(..)"
        );
    }

    #[test]
    fn only_the_bearer_scheme_with_the_whole_token_opens() {
        let token = Token::parse(b"s3cret").unwrap();
        let opens = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            token.is_in(&headers)
        };
        for value in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret "] {
            assert!(opens(value), "{value}");
        }
        for value in [
            "",
            "s3cret",
            "Bearer",
            "Bearer ",
            "Basic s3cret",
            "Bearer s3cre",
            "Bearer s3crets",
        ] {
            assert!(!opens(value), "{value}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
