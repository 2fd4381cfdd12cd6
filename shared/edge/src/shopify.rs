//! The client of Shopify's Admin API: one POST, an answer or why there is none. Not here: what is asked and what an
//! answer means (`ordak-core`).

use js_sys::{Date, Object};

use crate::host::{self, post, set};

/// How long an answer may take, in ms.
const PATIENCE_MS: u32 = 15_000;

/// A shop, and our right to it.
pub struct Shop {
    url: String,
    headers: Object,
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The version of the API that answered.
    pub version: Option<String>,
    /// When, by Shopify's clock, RFC 3339; by ours where it does not say.
    pub at: String,
    /// The body.
    pub body: String,
}

impl Shop {
    /// The shop whose API has that URL.
    pub fn new(url: String, token: &str) -> Shop {
        let headers = Object::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-shopify-access-token", token),
            ("accept", "application/json"),
        ] {
            set(&headers, name, &value.into());
        }
        Shop { url, headers }
    }

    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Why there is none, for a person.
    pub async fn ask(&self, body: &str) -> Result<Answered, String> {
        let (response, body) =
            post(&self.url, &self.headers, &body.into(), PATIENCE_MS).await.map_err(|thrown| {
                let (name, _) = host::exception(&thrown);
                match name == "TimeoutError" {
                    true => "Shopify did not answer in time".to_owned(),
                    false => format!("Shopify cannot be reached ({name})"),
                }
            })?;
        let headers = response.headers();
        let header = |name: &str| headers.get(name).ok().flatten();
        let at = header("date").map(|date| Date::parse(&date)).filter(|ms| ms.is_finite());
        Ok(Answered {
            status: response.status(),
            retry_after: header("retry-after"),
            version: header("x-shopify-api-version"),
            at: host::rfc3339(at.unwrap_or_else(host::now)),
            body,
        })
    }
}
