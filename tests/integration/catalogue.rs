//! The database's own catalogue: what must hold for every object, now and for those yet to come.

use ordak_core::error::Code;

use crate::support::*;

/// The rows of a query of one text column.
pub async fn found(sql: &str) -> Vec<String> {
    let database = database(&shared().stack).await;
    database.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Every table of ours.
pub async fn tables() -> Vec<String> {
    relations("ordak", "r").await
}

/// Every view that callers see.
pub async fn views() -> Vec<String> {
    relations("api", "v").await
}

async fn relations(schema: &str, kind: &str) -> Vec<String> {
    let sql = format!(
        "select relname::text from pg_class where relnamespace = '{schema}'::regnamespace and relkind = '{kind}'"
    );
    let names = found(&sql).await;
    assert!(names.len() >= 4, "{names:?}");
    names
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
        assert_documented(granted, |row| row.contains('('));
    });
}

#[test]
fn relations_are_readable_as_the_document_says_and_no_others() {
    run(async {
        let readable = format!(
            "select format('| `%s` | %s |', relation, case when bool_or(column_name is null) then 'all'
                           else string_agg(column_name, ', ' order by position) end)
             from ({GRANTS}) as g group by relation"
        );
        assert_documented(found(&readable).await, |row| !row.contains('('));
    });
}

/// Compares rows with those of docs/grants.md that `wanted` chooses.
fn assert_documented(mut rows: Vec<String>, wanted: impl Fn(&str) -> bool) {
    let document = std::fs::read_to_string(xtask::project::root().join("docs/grants.md")).unwrap();
    let documented = document.lines().filter(|line| line.starts_with("| `") && wanted(line));
    let mut documented: Vec<_> = documented.collect();
    rows.sort_unstable();
    documented.sort_unstable();
    assert_eq!(rows, documented, "left: the database, right: docs/grants.md");
}

/// Everything that anybody but their owner may do with our tables, views and sequences, or columns of them.
const GRANTS: &str = "
    select format('%s.%s', n.nspname, c.relname) as relation, c.relkind, a.attname as column_name, a.attnum as position,
           coalesce(r.rolname, 'public') as role, lower(x.privilege_type) as privilege
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    cross join lateral (
      select null as attname, 0 as attnum, c.relacl as acl
      union all
      select attname, attnum, attacl from pg_attribute where attrelid = c.oid
    ) as a
    cross join lateral aclexplode(a.acl) as x
    left join pg_roles as r on r.oid = x.grantee
    where n.nspname in ('api', 'ordak') and x.grantee <> c.relowner";

/// Shows that a rule finds cheats: each with how it is made and what must be found. Each is made in a
/// transaction of its own, and never committed.
async fn assert_found(rule: &str, cheats: &[(&str, &str)]) {
    for (cheat, expected) in cheats {
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        transaction.batch_execute(cheat).await.unwrap_or_else(|error| panic!("{cheat}: {error}"));
        let rows = transaction.query(rule, &[]).await.unwrap();
        transaction.rollback().await.unwrap();
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(found, [*expected], "{cheat}");
    }
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
fn nobody_may_do_more_with_a_relation_than_read_it_logged_in() {
    let open = format!(
        "select format('%s %s %s', relation, role, privilege) from ({GRANTS}) as g
         where role <> 'authenticated' or privilege <> 'select' or relkind not in ('r', 'v')"
    );
    run(async {
        assert_eq!(found(&open).await, [""; 0]);
        let cheats = [
            ("grant insert on ordak.orders to authenticated", "ordak.orders authenticated insert"),
            ("grant update (notes) on ordak.orders to authenticated", "ordak.orders authenticated update"),
            ("grant select on ordak.settings to service_role", "ordak.settings service_role select"),
            ("grant select (store) on ordak.settings to anon", "ordak.settings anon select"),
            ("grant select on api.orders to public", "api.orders public select"),
            (
                "grant select on sequence ordak.orders_id_seq to authenticated",
                "ordak.orders_id_seq authenticated select",
            ),
        ];
        assert_found(&open, &cheats).await;
    });
}

#[test]
fn every_table_has_row_level_security() {
    let without = "select c.oid::regclass::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
                   where n.nspname in ('api', 'ordak') and c.relkind in ('r', 'p', 'f') and not c.relrowsecurity";
    run(async {
        assert_eq!(found(without).await, [""; 0]);
        let cheats = [
            ("create table ordak.cheat (id int)", "ordak.cheat"),
            ("alter table ordak.orders disable row level security", "ordak.orders"),
        ];
        assert_found(without, &cheats).await;
    });
}

/// A view runs with its owner's rights unless it is told not to, and its owner sees every row.
#[test]
fn every_relation_of_the_api_is_a_view_with_its_readers_rights() {
    let without = "select c.oid::regclass::text from pg_class as c
                   where c.relnamespace = 'api'::regnamespace and c.relkind not in ('c', 'i')
                     and not (c.relkind = 'v' and exists (
                       select from pg_options_to_table(c.reloptions)
                       where option_name = 'security_invoker' and option_value::boolean))";
    run(async {
        assert_eq!(found(without).await, [""; 0]);
        let cheats = [
            ("create view api.cheat as select 1 as one", "api.cheat"),
            ("create view api.cheat with (security_invoker = off) as select 1 as one", "api.cheat"),
            ("create materialized view api.cheat as select * from ordak.orders", "api.cheat"),
            ("alter view api.orders reset (security_invoker)", "api.orders"),
        ];
        assert_found(without, &cheats).await;
    });
}

/// Policies that let somebody do more than read, or that ask for every row who is calling: what does not
/// depend on the row stands in a subselect of its own, which is evaluated once.
const POLICIES: &str = r"
    select p.polname::text
    from pg_policy as p
    join pg_class as c on c.oid = p.polrelid
    cross join lateral regexp_replace(
      pg_get_expr(p.polqual, p.polrelid), '\( SELECT (ordak|auth)\.\w+\(\) AS \w+\)', '', 'g'
    ) as condition
    where c.relnamespace in ('api'::regnamespace, 'ordak'::regnamespace)
      and (p.polcmd <> 'r' or p.polroles <> array['authenticated'::regrole::oid]
           or condition ~* '\m(auth|ordak|api)\.\w+\(|\mcurrent_setting\(|\mcurrent_(user|role)\M|\msession_user\M')";

#[test]
fn policies_let_staff_read_and_ask_once_who_they_are() {
    run(async {
        assert_eq!(found(POLICIES).await, [""; 0]);
        for rest in [
            "for select to anon using (true)",
            "for select using (true)",
            "for select to authenticated, service_role using (true)",
            "for all to authenticated using (true)",
            "for insert to authenticated with check (true)",
            "for select to authenticated using (auth.uid() is not null)",
            "for select to authenticated using ((auth.jwt() ->> 'role') = 'Admin')",
            "for select to authenticated using (current_setting('role') = 'authenticated')",
            "for select to authenticated using (store = any (ordak.visible_stores()))",
            "for select to authenticated using ((select ordak.local_day(store, created_at)) is not null)",
            "for select to authenticated using (exists (
               select from ordak.tasks as t where t.store = any (ordak.visible_stores())))",
        ] {
            let cheat = format!("create policy cheat on ordak.orders {rest}");
            assert_found(POLICIES, &[(&cheat, "cheat")]).await;
        }
    });
}

#[test]
fn documents_and_types_are_those_of_the_database() {
    run(async {
        let generated = xtask::api::generate(&database(&shared().stack).await).await.unwrap();
        for xtask::api::Generated { path, text } in generated {
            let committed = std::fs::read_to_string(xtask::project::root().join(path)).unwrap_or_default();
            let line = text.lines().zip(committed.lines()).find(|(made, there)| made != there);
            assert!(
                text == committed,
                "{path} is not what the database says: run `cargo xtask api`; {line:?}"
            );
        }
    });
}

#[test]
fn whatever_of_the_api_is_badly_described_is_found() {
    let lines = "returns  true\nraises  AUTH001\nrole  service\nexample  {}";
    let function = |arguments: &str, comment: &str| {
        format!(
            "create function api.cheat({arguments}) returns boolean language plpgsql security definer as $f$
             begin perform ordak.require_service(); return true; end $f$;
             comment on function api.cheat is $$\nCheats.\n\n{comment}\n$$"
        )
    };
    let cheats = [
        (function("", ""), "api.cheat: expected a paragraph"),
        (function("x int", lines), "api.cheat: expected lines for x, returns"),
        (function("", &format!("x  a number\n{lines}")), "api.cheat: expected lines for returns"),
        (function("", &lines.replace("service", "Staff")), "role Staff, but its body checks service"),
        (
            function("", &lines.replace("{}", r#"{"x": 1}"#)),
            "api.cheat: expected the example to hold arguments",
        ),
        (function("x int", &format!("x  a number\n{lines}")), "api.cheat: expected the example to hold x"),
        (
            format!(
                "{}; create function api.cheat(x int) returns int language sql as 'select 1'",
                function("", lines)
            ),
            "api.cheat: expected one function of this name",
        ),
        (
            "create view api.cheat with (security_invoker = true) as select 1 as x".into(),
            "view api.cheat: expected",
        ),
        ("create type api.cheat as (x int)".into(), "type api.cheat: expected a comment"),
    ];
    run(async {
        for (cheat, expected) in cheats {
            let database = database(&shared().stack).await;
            // Never committed: the connection ends before.
            database.batch_execute("begin").await.unwrap();
            database.batch_execute(&cheat).await.unwrap_or_else(|error| panic!("{cheat}: {error}"));
            let error = xtask::api::generate(&database).await.expect_err(&cheat).to_string();
            assert!(error.contains(expected), "{cheat}\n{error}");
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
