//! The database's own catalogue: what must hold for every object, now and for those yet to come.

use ordak_core::error::Code;

use crate::support::*;

/// The rows of a query of one text column; the tests expect none.
async fn found(sql: &str) -> Vec<String> {
    let database = database(&shared().stack).await;
    database.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Every table of ours.
pub async fn tables() -> Vec<String> {
    let tables = found(
        "select relname::text from pg_class where relnamespace = 'ordak'::regnamespace and relkind = 'r'",
    )
    .await;
    assert!(tables.len() >= 6, "{tables:?}");
    tables
}

#[test]
fn codes_have_the_same_status_in_sql_and_in_rust() {
    run(async {
        let database = database(&shared().stack).await;
        for code in Code::ALL {
            let row = database.query_one("select ordak.error_status($1)", &[&code.as_str()]).await.unwrap();
            assert_eq!(row.get::<_, Option<i32>>(0), Some(code.status().into()), "{code:?}");
        }
        let row = database.query_one("select ordak.error_status('XXX001')", &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<i32>>(0), None);
    });
}

#[test]
fn nothing_of_ours_is_executable_by_everyone() {
    run(async {
        let sql = "select p.oid::regprocedure::text from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
                   where n.nspname in ('api', 'ordak') and has_function_privilege('anon', p.oid, 'execute')";
        assert_eq!(found(sql).await, [""; 0]);
        let sql = "select p.oid::regprocedure::text from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
                   where n.nspname = 'ordak' and has_function_privilege('service_role', p.oid, 'execute')";
        assert_eq!(found(sql).await, [""; 0]);
    });
}

#[test]
fn functions_are_granted_as_the_document_says_and_no_others() {
    run(async {
        let granted = found(
            "select format('| `%s` | %s |', replace(p.oid::regprocedure::text, ' ', ''), r.rolname)
             from pg_proc as p
             cross join lateral aclexplode(p.proacl) as a
             join pg_roles as r on r.oid = a.grantee and r.oid <> p.proowner
             where p.pronamespace in ('api'::regnamespace, 'ordak'::regnamespace)",
        )
        .await;
        let document = std::fs::read_to_string(xtask::project::root().join("docs/grants.md")).unwrap();
        let mut rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        let mut granted: Vec<_> = granted.iter().map(String::as_str).collect();
        rows.sort_unstable();
        granted.sort_unstable();
        assert_eq!(granted, rows, "left: the database, right: docs/grants.md");
    });
}

#[test]
fn every_function_of_ours_has_an_empty_search_path() {
    run(async {
        let sql = "select p.oid::regprocedure::text from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
                   where n.nspname in ('api', 'ordak') and not coalesce('search_path=\"\"' = any (p.proconfig), false)";
        assert_eq!(found(sql).await, [""; 0]);
    });
}

/// Functions in `api` that do not run with their owner's rights, or do anything before they check their
/// caller.
///
/// Comments, texts and quoted names are taken out first, for a check may stand in one. What would need a
/// real parser to take out (dollar quotes, backslashes, comments in comments) is found as well, and so is a
/// handler of exceptions, which might catch the refusal: it belongs into a function of `ordak`.
const UNCHECKED: &str = r#"
    select p.proname::text
    from pg_proc as p
    join pg_language as l on l.oid = p.prolang
    cross join regexp_replace(
      p.prosrc, '--[^\n]*|/\*[^*]*\*+([^/*][^*]*\*+)*/|''[^'']*''|"[^"]*"', ' ', 'g'
    ) as code
    where p.pronamespace = 'api'::regnamespace
      and (l.lanname <> 'plpgsql' or not p.prosecdef
           or code !~ '^\s*(declare((?!\mbegin\M).)*)?begin\s+(perform|\w+\s*:=)\s+ordak\.require_\w+\([^()]*\)\s*;'
           or p.prosrc ~ '[$\\]' or code ~* '\*/|\mexception\s+when\M')
    order by p.proname"#;

#[test]
fn every_function_of_the_api_opens_with_a_caller_check() {
    run(async { assert_eq!(found(UNCHECKED).await, [""; 0]) });
}

/// The test above would find a function that only looks as if it checked.
#[test]
fn a_function_that_only_seems_to_check_its_caller_is_found() {
    let cheats = [
        ("no_check", "language plpgsql security definer as $f$ begin return true; end $f$"),
        ("no_definer", "language plpgsql as $f$ begin perform ordak.require_service(); return true; end $f$"),
        ("sql", "language sql security definer as $f$ select true $f$"),
        ("atomic", "language sql security definer begin atomic select true; end"),
        (
            "late",
            "language plpgsql security definer as $f$ begin null;
             perform ordak.require_service(); return true; end $f$",
        ),
        (
            "nested",
            "language plpgsql security definer as $f$ declare v int; begin null;
             begin perform ordak.require_service(); end; return true; end $f$",
        ),
        (
            "never",
            "language plpgsql security definer as $f$ begin perform ordak.require_service() where false;
             return true; end $f$",
        ),
        (
            "only_a_comment",
            "language plpgsql security definer as $f$ declare /* begin perform ordak.require_service(); */ v int;
             begin return true; end $f$",
        ),
        (
            "only_a_line_of_comment",
            "language plpgsql security definer as $f$ declare -- begin perform ordak.require_service();
             v int; begin return true; end $f$",
        ),
        (
            "only_a_text",
            "language plpgsql security definer as $f$ declare v text := 'begin perform ordak.require_service();';
             begin return true; end $f$",
        ),
        (
            "only_a_quoted_text",
            "language plpgsql security definer as $f$ declare v text := $$begin perform ordak.require_service();$$;
             begin return true; end $f$",
        ),
        (
            "only_an_escaped_text",
            r"language plpgsql security definer as $f$ declare v text := E'\' begin perform ordak.require_service(); --';
             begin return true; end $f$",
        ),
        (
            "only_a_comment_in_a_comment",
            "language plpgsql security definer as $f$ declare /* /* */ begin perform ordak.require_service(); */ v int;
             begin return true; end $f$",
        ),
        (
            "only_a_name",
            "language plpgsql security definer as $f$ declare \"begin perform ordak.require_service();\" int;
             begin return true; end $f$",
        ),
        (
            "caught",
            "language plpgsql security definer as $f$ begin perform ordak.require_service(); return true;
             exception when others then return true; end $f$",
        ),
    ];
    run(async {
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        for (name, rest) in cheats {
            transaction
                .batch_execute(&format!("create function api.{name}() returns boolean {rest}"))
                .await
                .unwrap();
        }
        let good = "create function api.good() returns boolean language plpgsql security definer as $f$
                    declare
                      -- What begins here is checked first.
                      v_beginning text := 'begin';
                    begin
                      perform ordak.require_service();
                      begin return true; end;
                    end $f$";
        transaction.batch_execute(good).await.unwrap();
        let rows = transaction.query(UNCHECKED, &[]).await.unwrap();
        transaction.rollback().await.unwrap();
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut expected = cheats.map(|(name, _)| name);
        expected.sort_unstable();
        assert_eq!(found, expected);
    });
}

/// Not how it is written but what it does: the owner of all of it is nobody to them.
#[test]
fn every_function_of_the_api_refuses_whom_it_does_not_know() {
    run(async {
        let calls = found(
            "select format('select api.%I(%s)', p.proname,
                           (select string_agg('null::' || t.oid::regtype, ', ' order by position)
                            from unnest(p.proargtypes) with ordinality as t (oid, position)))
             from pg_proc as p where p.pronamespace = 'api'::regnamespace and p.prokind = 'f'",
        )
        .await;
        assert!(calls.len() >= 4, "{calls:?}");
        let database = database(&shared().stack).await;
        for call in calls {
            let error = database.query(&call, &[]).await.expect_err(&call);
            let message = error.as_db_error().unwrap().message().to_owned();
            assert!(message.contains("AUTH00"), "{call}: {message}");
        }
    });
}

#[test]
fn tables_and_sequences_are_closed() {
    run(async {
        let tables = "from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
                      where n.nspname in ('api', 'ordak') and c.relkind in ('r', 'p', 'v', 'm')";
        let rls = format!(
            "select c.oid::regclass::text {tables} and c.relkind in ('r', 'p') and not c.relrowsecurity"
        );
        assert_eq!(found(&rls).await, [""; 0], "without row level security");
        for role in ["anon", "authenticated", "service_role"] {
            let open = format!(
                "select c.oid::regclass::text {tables} and n.nspname = 'ordak'
                 and has_table_privilege('{role}', c.oid, 'select, insert, update, delete, truncate, references, trigger')"
            );
            assert_eq!(found(&open).await, [""; 0], "open to {role}");
            let sequences = format!(
                "select c.oid::regclass::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
                 where n.nspname in ('api', 'ordak') and case when c.relkind = 'S'
                   then has_sequence_privilege('{role}', c.oid, 'usage, select, update') end"
            );
            assert_eq!(found(&sequences).await, [""; 0], "open to {role}");
        }
    });
}

#[test]
fn every_foreign_key_has_an_index() {
    run(async {
        let sql =
            "select k.conname::text from pg_constraint as k join pg_namespace as n on n.oid = k.connamespace
                   where k.contype = 'f' and n.nspname = 'ordak'
                     and not exists (select from pg_index as i where i.indrelid = k.conrelid and i.indpred is null
                                     and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)";
        assert_eq!(found(sql).await, [""; 0]);
    });
}

#[test]
fn anonymous_and_foreign_callers_read_and_change_nothing() {
    run(async {
        let keys = &shared().stack.keys;
        let tables = tables().await;
        // Schema `api` has no such tables, and is closed to anonymous callers; schema `ordak` is not exposed.
        for (key, in_api) in [(&keys.anon, 401), (&keys.service_role, 404)] {
            for table in &tables {
                for (schema, expected) in [("api", in_api), ("ordak", 406)] {
                    for method in ["GET", "POST", "PATCH", "DELETE"] {
                        let url = format!("{}/rest/v1/{table}", shared().stack.url());
                        let request =
                            client().request(method.parse().unwrap(), url).header("apikey", key).body("{}");
                        let request =
                            request.header("accept-profile", schema).header("content-profile", schema);
                        let status =
                            request.header("content-type", "application/json").send().await.unwrap().status();
                        assert_eq!(status.as_u16(), expected, "{method} {schema}.{table}");
                    }
                }
            }
        }
    });
}
