//! The database's own catalogue: what must hold for every object, now and for those yet to come.

use ordak_core::error::Code;

use crate::support::*;

/// The rows of a query of one text column; the tests expect none.
async fn found(sql: &str) -> Vec<String> {
    let database = database(&shared().stack).await;
    database.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
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
                   where n.nspname = 'ordak' and (has_function_privilege('authenticated', p.oid, 'execute')
                                                  or has_function_privilege('service_role', p.oid, 'execute'))";
        assert_eq!(found(sql).await, [""; 0]);
    });
}

#[test]
fn functions_with_their_owners_rights_are_closed_to_tricks() {
    run(async {
        let definers = "from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
                        where n.nspname in ('api', 'ordak')";
        let path = format!(
            "select p.oid::regprocedure::text {definers} and not coalesce('search_path=\"\"' = any (p.proconfig), false)"
        );
        assert_eq!(found(&path).await, [""; 0], "without an empty search_path");
        let check = format!(
            "select p.oid::regprocedure::text {definers} and n.nspname = 'api' and p.prosecdef
             and p.prosrc !~ '^\\s*(declare.*?)?begin\\s+perform ordak\\.require_'"
        );
        assert_eq!(found(&check).await, [""; 0], "does not open with a caller check");
    });
}

#[test]
fn tables_are_closed() {
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
        }
    });
}

#[test]
fn every_foreign_key_has_an_index() {
    run(async {
        let sql =
            "select k.conname::text from pg_constraint as k join pg_namespace as n on n.oid = k.connamespace
                   where k.contype = 'f' and n.nspname = 'ordak' and k.confrelid <> 'ordak.stores'::regclass
                     and not exists (select from pg_index as i where i.indrelid = k.conrelid
                                     and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)";
        assert_eq!(found(sql).await, [""; 0]);
    });
}

#[test]
fn anonymous_and_foreign_callers_read_and_change_nothing() {
    run(async {
        let keys = &shared().stack.keys;
        let client = reqwest::Client::new();
        let tables = found("select c.relname::text from pg_class as c where relnamespace = 'ordak'::regnamespace and relkind = 'r'").await;
        assert!(tables.len() >= 6, "{tables:?}");
        // Schema `api` has no such tables, and is closed to anonymous callers; schema `ordak` is not exposed.
        for (key, in_api) in [(&keys.anon, 401), (&keys.service_role, 404)] {
            for table in &tables {
                for (schema, expected) in [("api", in_api), ("ordak", 406)] {
                    for method in ["GET", "POST", "PATCH", "DELETE"] {
                        let url = format!("{}/rest/v1/{table}", shared().stack.url());
                        let request =
                            client.request(method.parse().unwrap(), url).header("apikey", key).body("{}");
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
