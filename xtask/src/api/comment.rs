//! The comments on functions and views: a paragraph, a blank line, and named lines in a fixed order.

use ordak_core::error::Code;
use serde_json::{Map, Value};

/// What stands in a comment on a function or a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    /// What it does.
    pub(crate) about: String,
    /// The named lines, in order.
    lines: Vec<(String, String)>,
}

/// The lines behind a function's arguments.
const FUNCTION: &[&str] = &["returns", "raises", "role", "example"];

/// The lines of a view.
const VIEW: &[&str] = &["role", "example"];

/// What a role may be called.
const ROLES: &[&str] = &["Staff", "Supervisor", "Admin", "logged in", "service"];

impl Comment {
    /// Reads the comment on a function with these arguments.
    pub(crate) fn of_function(text: &str, arguments: &[&str]) -> Result<Comment, String> {
        let comment = Comment::read(text, &[arguments, FUNCTION].concat())?;
        let codes = comment.last("raises").split(|c: char| !c.is_ascii_alphanumeric());
        let unknown = codes.filter(|word| looks_like_a_code(word)).find(|word| Code::parse(word).is_none());
        match unknown {
            Some(code) => Err(format!("expected `raises` to name error codes, but found {code}")),
            None => Ok(comment),
        }
    }

    /// Reads the comment on a view.
    pub(crate) fn of_view(text: &str) -> Result<Comment, String> {
        Comment::read(text, VIEW)
    }

    fn read(text: &str, expected: &[&str]) -> Result<Comment, String> {
        let (about, rest) = text.trim().split_once("\n\n").ok_or("expected a paragraph and named lines")?;
        let mut lines: Vec<(String, String)> = Vec::new();
        for line in rest.lines() {
            match (line.strip_prefix(' '), line.split_once("  "), lines.last_mut()) {
                (Some(more), _, Some((_, last))) => *last = format!("{last} {}", more.trim()),
                (None, Some((name, text)), _) => lines.push((name.to_owned(), text.trim().to_owned())),
                _ => return Err(format!("expected `name  text`, but found `{line}`")),
            }
        }
        let found: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
        if found != expected {
            return Err(format!(
                "expected lines for {}, but found {}",
                expected.join(", "),
                found.join(", ")
            ));
        }
        let comment = Comment { about: about.split_whitespace().collect::<Vec<_>>().join(" "), lines };
        if !ROLES.contains(&comment.role()) {
            return Err(format!("expected a role of {}, but found {}", ROLES.join(", "), comment.role()));
        }
        Ok(comment)
    }

    /// What is said about the argument at a position.
    pub(crate) fn argument(&self, position: usize) -> &str {
        &self.lines[position].1
    }

    /// What is answered.
    pub(crate) fn returns(&self) -> &str {
        self.last("returns")
    }

    /// What is refused, and with which code.
    pub(crate) fn raises(&self) -> &str {
        self.last("raises")
    }

    /// The least role that may call it.
    pub(crate) fn role(&self) -> &str {
        self.last("role")
    }

    /// The arguments of a call in JSON, or the query of a view.
    pub(crate) fn example(&self) -> &str {
        self.last("example")
    }

    /// From the end, since an argument may be called `role` too.
    fn last(&self, name: &str) -> &str {
        self.lines.iter().rfind(|(line, _)| line == name).map_or("", |(_, text)| text)
    }

    /// The example's arguments, which must be those of the function; `needed` ones may not lack.
    pub(crate) fn check_example(&self, arguments: &[&str], needed: &[&str]) -> Result<(), String> {
        let example: Map<String, Value> = serde_json::from_str(self.example())
            .map_err(|error| format!("expected `example` to be a JSON object: {error}"))?;
        if let Some(name) = example.keys().find(|name| !arguments.contains(&name.as_str())) {
            return Err(format!("expected the example to hold arguments, but found {name}"));
        }
        match needed.iter().find(|name| !example.contains_key(**name)) {
            Some(name) => Err(format!("expected the example to hold {name}")),
            None => Ok(()),
        }
    }
}

/// The role that a function's body checks first, as a comment calls it.
pub(crate) fn checked_role(body: &str) -> Option<&str> {
    let (name, rest) = body.split_once("ordak.require_")?.1.split_once('(')?;
    match name {
        "service" | "service_always" => Some("service"),
        "login" => Some("logged in"),
        // An Admin too, but one who may also write while writing is paused.
        "operator" => Some("Admin"),
        _ => rest.split(')').next()?.split('\'').nth(1),
    }
}

fn looks_like_a_code(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    letters.len() >= 3 && letters.len() + 3 == word.len() && letters.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
Gives somebody another role
and store.

staff_id  whom
role      Staff, Supervisor or Admin;
          never another
returns   the person
raises    AUTH001; AUTH002 not an Admin
role      Admin
example   {\"staff_id\": \"1\", \"role\": \"Staff\"}
";

    fn read(text: &str) -> Result<Comment, String> {
        Comment::of_function(text, &["staff_id", "role"])
    }

    #[test]
    fn every_part_of_a_comment_is_read() {
        let comment = read(GOOD).unwrap();
        assert_eq!(comment.about, "Gives somebody another role and store.");
        assert_eq!(comment.argument(1), "Staff, Supervisor or Admin; never another");
        assert_eq!(comment.returns(), "the person");
        assert_eq!(comment.raises(), "AUTH001; AUTH002 not an Admin");
        assert_eq!(comment.role(), "Admin", "the line of that name, not the argument");
        comment.check_example(&["staff_id", "role", "store"], &["staff_id", "role"]).unwrap();
    }

    #[test]
    fn a_comment_that_disagrees_with_its_function_is_refused() {
        for (from, to, expected) in [
            ("staff_id  whom\n", "", "expected lines for staff_id, role, returns"),
            ("returns ", "store     where\nreturns ", "but found staff_id, role, store"),
            ("returns   the person\n", "", "expected lines for"),
            ("role      Admin\n", "role      King\n", "but found King"),
            ("AUTH002", "AUTH009", "but found AUTH009"),
            ("staff_id  whom", "staff_id whom", "but found `staff_id whom`"),
            ("\n\n", "\n", "expected a paragraph"),
        ] {
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{from:?} → {to:?}: {error}");
        }
        assert!(read("").is_err());
    }

    #[test]
    fn an_example_that_could_not_be_sent_is_refused() {
        for (arguments, needed, expected) in [
            (&["staff_id"][..], &[][..], "found role"),
            (&["staff_id", "role", "store"], &["store"], "to hold store"),
        ] {
            let error = read(GOOD).unwrap().check_example(arguments, needed).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let broken = read(&GOOD.replace("\"1\", ", "")).unwrap();
        assert!(broken.check_example(&[], &[]).unwrap_err().contains("JSON object"));
    }

    #[test]
    fn a_view_has_a_role_and_a_query() {
        let comment = Comment::of_view("The stores.\n\nrole     Staff\nexample  select=store\n").unwrap();
        assert_eq!((comment.role(), comment.example()), ("Staff", "select=store"));
        assert!(Comment::of_view("The stores.\n\nrole  Staff\n").is_err());
    }

    #[test]
    fn the_role_is_the_one_that_the_body_checks() {
        for (body, role) in [
            ("begin perform ordak.require_service(); end", Some("service")),
            ("begin perform ordak.require_service_always(); end", Some("service")),
            ("begin perform ordak.require_login(); end", Some("logged in")),
            ("begin v_me := ordak.require_operator(); end", Some("Admin")),
            ("begin v_me := ordak.require_staff('Supervisor', store); end", Some("Supervisor")),
            ("begin v_me := ordak.require_staff(v_role); perform 'Admin'; end", None),
            ("begin end", None),
        ] {
            assert_eq!(checked_role(body), role, "{body}");
        }
    }
}
