//! The document about schema `api`: every function and view with what it takes, answers and refuses.

use std::fmt::Write as _;

use super::catalogue::{Api, Argument, Column, Function, Kind, Relation, Type};
use super::comment::Comment;

/// The heading of the functions that no person can call.
const SERVICE: &str = "For our own functions alone";

/// What every call with curl carries.
const LOGIN: &str = r#"-H "apikey: $SUPABASE_ANON_KEY" -H "authorization: Bearer $TOKEN""#;

/// The whole document.
pub(crate) fn document(api: &Api) -> String {
    let mut areas: Vec<(&str, Vec<_>)> = Vec::new();
    let (service, people): (Vec<_>, Vec<_>) =
        api.functions.iter().partition(|(_, comment)| comment.role() == "service");
    for entry in people {
        match areas.iter_mut().find(|(area, _)| *area == entry.0.area) {
            Some((_, entries)) => entries.push(entry),
            None => areas.push((&entry.0.area, vec![entry])),
        }
    }
    areas.push((SERVICE, service));

    let mut text = include_str!("head.md").to_owned();
    for (area, entries) in &areas {
        let names: Vec<_> =
            entries.iter().map(|(function, _)| link(&function.name, &function.name)).collect();
        let _ = writeln!(text, "- {area}: {}", names.join(", "));
    }
    let views: Vec<_> =
        api.views.iter().map(|(view, _)| link(&view.name, &anchor("view", &view.name))).collect();
    let types: Vec<_> = api.types.iter().map(|of| link(&of.name, &anchor("type", &of.name))).collect();
    let _ = writeln!(text, "- Views: {}\n- Types of results: {}", views.join(", "), types.join(", "));

    for (area, entries) in &areas {
        let _ = writeln!(text, "\n## Functions: {area}");
        entries.iter().for_each(|(function, comment)| write_function(&mut text, function, comment));
    }
    text.push_str("\n## Views\n");
    api.views.iter().for_each(|(view, comment)| write_view(&mut text, view, comment));
    text.push_str("\n## Types of results\n");
    for of in &api.types {
        let _ = writeln!(text, "\n### Type {}\n\n{}.\n", of.name, of.comment);
        write_columns(&mut text, "field", &of.columns);
    }
    text
}

fn write_function(text: &mut String, function: &Function, comment: &Comment) {
    let name = &function.name;
    let _ = writeln!(text, "\n### {name}\n\n{}\n\n```sql\n{}\n```\n", comment.about, signature(function));
    if !function.arguments.is_empty() {
        text.push_str("| argument | type | default | what it is |\n| --- | --- | --- | --- |\n");
    }
    for (position, Argument { name, of, default }) in function.arguments.iter().enumerate() {
        let default = default.as_deref().map_or(String::new(), |sql| format!("`{}`", plain_default(sql)));
        let _ =
            writeln!(text, "| `{name}` | {} | {default} | {} |", shown(of), cell(comment.argument(position)));
    }
    let result = format!("{}{}", if function.set { "any number of " } else { "" }, shown(&function.result));
    let blank = if function.arguments.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{blank}- **Returns** {result}: {}", comment.returns());
    let _ = writeln!(text, "- **Role** {}", comment.role());
    let _ = writeln!(text, "- **Raises** {}", comment.raises());
    if comment.role() == "service" {
        return;
    }
    let (javascript, curl) = match comment.example() {
        "{}" => (String::new(), "{}".to_owned()),
        example => (format!(", {example}"), example.replace('\'', r"'\''")),
    };
    write_examples(
        text,
        &format!("await supabase.rpc(\"{name}\"{javascript});"),
        &format!(
            "curl \"$SUPABASE_URL/rest/v1/rpc/{name}\" {LOGIN} \\
  -H 'content-type: application/json' -d '{curl}'"
        ),
    );
}

fn write_view(text: &mut String, view: &Relation, comment: &Comment) {
    let (name, query) = (&view.name, comment.example());
    let _ = writeln!(text, "\n### View {name}\n\n{}\n", comment.about);
    write_columns(text, "column", &view.columns);
    let _ = writeln!(text, "\n- **Role** {}", comment.role());
    write_examples(
        text,
        &format!("await supabase.from(\"{name}\"){};", builder(query)),
        &format!("curl \"$SUPABASE_URL/rest/v1/{name}?{query}\" {LOGIN}"),
    );
}

fn write_examples(text: &mut String, javascript: &str, curl: &str) {
    let _ = writeln!(text, "\n```js\n{javascript}\n```\n\n```sh\n{curl}\n```");
}

fn write_columns(text: &mut String, heading: &str, columns: &[Column]) {
    let _ = writeln!(text, "| {heading} | type |\n| --- | --- |");
    for Column { name, of } in columns {
        let _ = writeln!(text, "| `{name}` | {} |", shown(of));
    }
}

/// A PostgREST query as supabase-js builds it.
fn builder(query: &str) -> String {
    let parameters: Vec<_> = query.split('&').filter_map(|parameter| parameter.split_once('=')).collect();
    let select = parameters.iter().find(|(name, _)| *name == "select").map_or("", |(_, columns)| columns);
    let mut text = if select.is_empty() { ".select()".to_owned() } else { format!(".select(\"{select}\")") };
    for (name, value) in parameters {
        match (name, value.split_once('.').unwrap_or((value, ""))) {
            ("select", _) => {}
            ("order", (column, direction)) => {
                let _ =
                    write!(text, ".order(\"{column}\", {{ ascending: {} }})", !direction.starts_with("desc"));
            }
            ("limit", _) => {
                let _ = write!(text, ".limit({value})");
            }
            (_, ("eq", value)) => {
                let _ = write!(text, ".eq(\"{name}\", \"{value}\")");
            }
            (_, (operator, value)) => {
                let _ = write!(text, ".filter(\"{name}\", \"{operator}\", \"{value}\")");
            }
        }
    }
    text
}

fn signature(function: &Function) -> String {
    let argument = |Argument { name, of, default }: &Argument| {
        let default =
            default.as_deref().map_or(String::new(), |sql| format!(" default {}", plain_default(sql)));
        format!("{name} {}{default}", sql_name(of))
    };
    let arguments: Vec<_> = function.arguments.iter().map(argument).collect();
    let set = if function.set { "setof " } else { "" };
    format!("{}({}) returns {set}{}", function.name, arguments.join(", "), sql_name(&function.result))
}

/// A default without the cast that the catalogue writes behind it.
fn plain_default(sql: &str) -> String {
    let value = sql.split("::").next().unwrap_or(sql);
    if value == "NULL" { "null".into() } else { value.into() }
}

/// A type's name as migrations write it.
fn sql_name(of: &Type) -> String {
    let name = match of.name.as_str() {
        "int4" => "int",
        "int8" => "bigint",
        "bool" => "boolean",
        name => name,
    };
    format!("{name}{}", if of.array { "[]" } else { "" })
}

/// A type for a table's cell, leading to where it is described.
fn shown(of: &Type) -> String {
    match of.kind {
        Kind::Plain => format!("`{}`", sql_name(of)),
        Kind::Enumeration => {
            let words: Vec<_> = of.words.iter().map(|word| format!("`{word}`")).collect();
            format!("{} of {}", if of.array { "any" } else { "one" }, words.join(", "))
        }
        Kind::View => link(&sql_name(of), &anchor("view", &of.name)),
        Kind::Composite => link(&sql_name(of), &anchor("type", &of.name)),
    }
}

fn link(text: &str, anchor: &str) -> String {
    format!("[{}](#{anchor})", text.replace("[]", r"\[\]"))
}

/// What a heading of two words is called in a link.
fn anchor(kind: &str, name: &str) -> String {
    format!("{kind}-{name}")
}

/// A text that ends no cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_built_as_supabase_js_builds_it() {
        for (query, built) in [
            ("select=store,name", r#".select("store,name")"#),
            ("order_id=eq.bannos-1", r#".select().eq("order_id", "bannos-1")"#),
            (
                "subject=eq.a&order=at.desc",
                r#".select().eq("subject", "a").order("at", { ascending: false })"#,
            ),
            (
                "at=gte.2026-01-01&limit=5&order=at",
                concat!(
                    r#".select().filter("at", "gte", "2026-01-01").limit(5)"#,
                    r#".order("at", { ascending: true })"#
                ),
            ),
            ("stage=in.(Filling,Packing)", r#".select().filter("stage", "in", "(Filling,Packing)")"#),
        ] {
            assert_eq!(builder(query), built);
        }
    }

    #[test]
    fn a_default_is_shown_as_a_migration_writes_it() {
        for (sql, plain) in [("NULL::text", "null"), ("'Filling'::text", "'Filling'"), ("50", "50")] {
            assert_eq!(plain_default(sql), plain);
        }
    }
}
