//! The bearer token that callers present.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// A secret, which is never printed.
struct Token(Box<[u8]>);

/// The token as it is now: that of a file is replaced with it.
#[derive(Debug)]
pub struct Secret {
    state: RwLock<State>,
    file: Option<PathBuf>,
}

#[derive(Debug)]
struct State {
    token: Token,
    /// Whether it was told that the file holds none any more.
    is_told: bool,
}

/// A token file holds no more; `/dev/zero` has no end.
const MOST_BYTES: u64 = 64 << 10;

/// Why a text or a file is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is no token, and may have no end.
    #[error("is larger than 64 KiB")]
    Large,
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
    fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::NotVisible);
        }
        Ok(Self(text.into()))
    }

    fn read(path: &Path) -> Result<Self, TokenError> {
        let mut text = Vec::new();
        let file = File::open(path)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(TokenError::Large);
        }
        Self::parse(&text)
    }

    /// Whether `presented` is the token. The time that it takes tells nothing but the length.
    fn is(&self, presented: &[u8]) -> bool {
        self.0.ct_eq(presented).into()
    }
}

impl Secret {
    /// A token that stays, as a variable holds it.
    ///
    /// # Errors
    /// It is empty, or cannot stand in a header.
    pub fn fixed(text: &[u8]) -> Result<Self, TokenError> {
        Ok(Self::new(Token::parse(text)?, None))
    }

    /// The token in a file.
    ///
    /// # Errors
    /// The file cannot be read or holds no token.
    pub fn of_file(path: PathBuf) -> Result<Self, TokenError> {
        Ok(Self::new(Token::read(&path)?, Some(path)))
    }

    fn new(token: Token, file: Option<PathBuf>) -> Self {
        let is_told = false;
        Self {
            state: RwLock::new(State { token, is_told }),
            file,
        }
    }

    /// Reads the file again. `None` where nothing is to be told: the token is the same, or what is wrong with the file
    /// was told already. A token that is known stays until there is another.
    pub(super) fn reread(&self) -> Option<Result<(), TokenError>> {
        // A pipe gives its token once, and is waited for.
        let is_file = |path: &&PathBuf| !fs::metadata(path).is_ok_and(|file| !file.is_file());
        let read = Token::read(self.file.as_ref().filter(is_file)?);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let was_told = std::mem::replace(&mut state.is_told, read.is_err());
        match read {
            Ok(token) if state.token.is(&token.0) => None,
            Ok(token) => {
                state.token = token;
                Some(Ok(()))
            }
            Err(error) => (!was_told).then_some(Err(error)),
        }
    }

    /// Whether `presented` is the token.
    pub(super) fn is(&self, presented: &[u8]) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.token.is(presented)
    }

    /// Whether the `Authorization` header presents it (RFC 6750 §2.1).
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        presented(headers, "bearer ").is_some_and(|token| self.is(token))
    }

    /// Whether the header presents it as the password of whatever name (RFC 7617), as a browser does that was asked for one.
    pub(super) fn is_password_in(&self, headers: &HeaderMap) -> bool {
        let pair = presented(headers, "basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let pair = pair.unwrap_or_default();
        let colon = memchr::memchr(b':', &pair);
        colon.is_some_and(|colon| self.is(&pair[colon + 1..]))
    }
}

/// What the `Authorization` header presents by this scheme.
fn presented<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a [u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (own, presented) = value.split_at_checked(scheme.len())?;
    own.eq_ignore_ascii_case(scheme.as_bytes())
        .then(|| presented.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_one_line_of_visible_characters() {
        assert!(Token::parse(b"  s3cret\n").unwrap().is(b"s3cret"));
        assert!(matches!(Token::parse(b" \n"), Err(TokenError::Empty)));
        for text in [&b"a b"[..], b"a\nb", b"a\0", "ä".as_bytes()] {
            assert!(matches!(Token::parse(text), Err(TokenError::NotVisible)));
        }
        assert_eq!(
            format!("{:?}", Token::parse(b"s3cret").unwrap()),
            "Token(..)"
        );
    }

    #[test]
    fn only_the_bearer_scheme_with_the_whole_token_opens() {
        let token = Secret::fixed(b"s3cret").unwrap();
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

    #[test]
    fn a_browser_presents_it_as_a_password() {
        let token = Secret::fixed(b"s3:cret").unwrap();
        let opens = |pair: &str| {
            let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            assert!(!token.is_in(&headers));
            token.is_password_in(&headers)
        };
        assert!(opens("anyone:s3:cret") && opens(":s3:cret"));
        for pair in [
            "s3:cret",
            "",
            ":",
            "anyone:",
            "anyone:s3:cre",
            "s3:cret:anyone",
        ] {
            assert!(!opens(pair), "{pair}");
        }
        for value in [
            "Basic",
            "Basic ",
            "Basic !",
            "Basic czM6Y3JldA",
            "Bearer s3:cret",
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            assert!(!token.is_password_in(&headers), "{value}");
        }
    }

    #[test]
    fn the_token_of_a_file_is_replaced_with_it_and_stays_while_the_file_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "first").unwrap();
        let token = Secret::of_file(path.clone()).unwrap();
        assert!(token.reread().is_none());
        fs::write(&path, "second\n").unwrap();
        assert!(matches!(token.reread(), Some(Ok(()))));
        assert!(token.is(b"second") && !token.is(b"first"));
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            token.reread(),
            Some(Err(TokenError::Unreadable(_)))
        ));
        assert!(token.reread().is_none() && token.is(b"second"));
        fs::write(&path, "third").unwrap();
        assert!(matches!(token.reread(), Some(Ok(()))));
    }
}
