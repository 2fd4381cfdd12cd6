//! What a function needs to know from its environment, read from a list of variables.
//!
//! Not here: where the list comes from. Every variable that is missing is named at once, so that an
//! operator mends a deployment in one go.

use std::borrow::Cow;
use std::fmt;

use crate::json::Document;
use crate::signature::{PartnerKeys, ShopifyKeys};

/// The environment of a function: names and values. A list, since each instance reads it once.
pub type Vars = Vec<(String, String)>;

/// The variables that are missing, by name; never with a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing(Vec<&'static str>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing or empty: {}", self.0.join(", "))
    }
}

/// Reads settings and remembers what was missing.
#[derive(Debug)]
pub struct Reader<'a> {
    vars: &'a Vars,
    missing: Missing,
}

/// Where the database answers and how to say who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// The project's URL, without a slash at its end.
    pub url: String,
    /// A legacy JWT, or an `sb_secret_…` or `sb_publishable_…` key.
    key: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({}, key redacted)", self.url)
    }
}

impl Database {
    /// The headers that identify us. A legacy key is a JWT and goes into `Authorization` too; a new key
    /// is none, and there it would be refused.
    pub fn credentials(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("apikey", self.key.clone())];
        if !self.key.starts_with("sb_") {
            headers.push(("authorization", format!("Bearer {}", self.key)));
        }
        headers
    }
}

impl<'a> Reader<'a> {
    /// Reads from `vars`.
    pub fn new(vars: &'a Vars) -> Reader<'a> {
        Reader { vars, missing: Missing::default() }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.vars.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// The database as the service: `SUPABASE_URL`, and `SUPABASE_SERVICE_ROLE_KEY` or else the default of
    /// `SUPABASE_SECRET_KEYS`.
    pub fn database(&mut self) -> Database {
        self.with_key(
            ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS"],
            "SUPABASE_SERVICE_ROLE_KEY (or SUPABASE_SECRET_KEYS with a default)",
        )
    }

    /// The database as browsers come to it, where a login says who it is: `SUPABASE_URL`, and `SUPABASE_ANON_KEY` or else
    /// the default of `SUPABASE_PUBLISHABLE_KEYS`.
    pub fn browser(&mut self) -> Database {
        self.with_key(
            ["SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEYS"],
            "SUPABASE_ANON_KEY (or SUPABASE_PUBLISHABLE_KEYS with a default)",
        )
    }

    fn with_key(&mut self, [legacy, list]: [&str; 2], missing: &'static str) -> Database {
        let url = self.get("SUPABASE_URL").unwrap_or_else(|| self.lacks("SUPABASE_URL"));
        let listed = || {
            let keys = Document::parse(self.get(list)?).ok()?;
            let [default] = keys.root().fields(["default"])?;
            default?.string().map(Cow::into_owned).filter(|key| !key.is_empty())
        };
        let key = self.get(legacy).map(str::to_owned).or_else(listed);
        let key = key.unwrap_or_else(|| self.lacks(missing).to_owned());
        Database { url: url.trim_end_matches('/').to_owned(), key }
    }

    /// `SHOPIFY_WEBHOOK_SECRET` and every `SHOPIFY_<CODE>_WEBHOOK_SECRET`; at least one must be there.
    pub fn shopify_keys(&mut self) -> ShopifyKeys {
        let mut keys = ShopifyKeys::default();
        keys.add(None, self.get("SHOPIFY_WEBHOOK_SECRET").unwrap_or_default());
        for (name, list) in self.vars {
            let code = name.strip_prefix("SHOPIFY_").and_then(|rest| rest.strip_suffix("_WEBHOOK_SECRET"));
            if let Some(code) = code.filter(|code| !code.is_empty()) {
                keys.add(Some(&code.to_ascii_lowercase()), list);
            }
        }
        if keys.is_empty() {
            self.lacks("SHOPIFY_WEBHOOK_SECRET");
        }
        keys
    }

    /// `ORDAK_ORDERS_SECRET`, with which partners sign.
    pub fn orders_keys(&mut self) -> PartnerKeys {
        self.partner_keys("ORDAK_ORDERS_SECRET")
    }

    /// `ORDAK_SIGNING_SECRET`, with which our own servers sign.
    pub fn signing_keys(&mut self) -> PartnerKeys {
        self.partner_keys("ORDAK_SIGNING_SECRET")
    }

    fn partner_keys(&mut self, name: &'static str) -> PartnerKeys {
        let mut keys = PartnerKeys::default();
        keys.add(self.get(name).unwrap_or_default());
        if keys.is_empty() {
            self.lacks(name);
        }
        keys
    }

    fn lacks(&mut self, name: &'static str) -> &'static str {
        self.missing.0.push(name);
        ""
    }

    /// What was read, or everything that was missing.
    ///
    /// # Errors
    /// [`Missing`] with the name of every variable that was asked for and not there.
    pub fn finish<T>(self, settings: T) -> Result<T, Missing> {
        if self.missing.0.is_empty() { Ok(settings) } else { Err(self.missing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::sign_shopify;

    fn vars(pairs: &[(&str, &str)]) -> Vars {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn database(pairs: &[(&str, &str)]) -> Result<Database, Missing> {
        let vars = vars(pairs);
        let mut reader = Reader::new(&vars);
        let database = reader.database();
        reader.finish(database)
    }

    #[test]
    fn every_missing_variable_is_named_at_once() {
        // What cannot be decoded is no secret either.
        let vars = vars(&[("SUPABASE_URL", " "), ("ORDAK_ORDERS_SECRET", "whsec_*")]);
        let mut reader = Reader::new(&vars);
        let databases = (reader.database(), reader.browser());
        let settings = (databases, reader.shopify_keys(), reader.orders_keys(), reader.signing_keys());
        let text = reader.finish(settings).unwrap_err().to_string();
        let names = [
            "SUPABASE_URL",
            "SUPABASE_SERVICE_ROLE_KEY",
            "SUPABASE_ANON_KEY",
            "SHOPIFY_WEBHOOK_SECRET",
            "ORDAK_ORDERS_SECRET",
            "ORDAK_SIGNING_SECRET",
        ];
        for name in names {
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn a_legacy_key_goes_into_both_headers_and_a_new_one_into_apikey_alone() {
        let legacy =
            database(&[("SUPABASE_URL", "http://x/"), ("SUPABASE_SERVICE_ROLE_KEY", "ey.a.b")]).unwrap();
        assert_eq!(legacy.url, "http://x");
        assert_eq!(
            legacy.credentials(),
            [("apikey", "ey.a.b".to_owned()), ("authorization", "Bearer ey.a.b".to_owned())]
        );
        let new = database(&[
            ("SUPABASE_URL", "http://x"),
            ("SUPABASE_SECRET_KEYS", r#"{"default":"sb_secret_1"}"#),
        ]);
        assert_eq!(new.unwrap().credentials(), [("apikey", "sb_secret_1".to_owned())]);
    }

    #[test]
    fn a_key_is_never_shown() {
        let database = database(&[("SUPABASE_URL", "http://x"), ("SUPABASE_SERVICE_ROLE_KEY", "hush")]);
        assert!(!format!("{database:?}").contains("hush"));
    }

    #[test]
    fn a_store_needs_only_a_variable() {
        let vars = vars(&[("SHOPIFY_BANNOS_WEBHOOK_SECRET", "cake"), ("SHOPIFY__WEBHOOK_SECRET", "no")]);
        let keys = Reader::new(&vars).shopify_keys();
        let signed = sign_shopify("cake", b"x");
        assert_eq!(keys.verify(b"x", signed.as_deref()).unwrap().store, Some("bannos"));
        assert!(keys.verify(b"x", sign_shopify("no", b"x").as_deref()).is_err());
    }
}
