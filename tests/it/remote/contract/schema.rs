//! What the migration leaves in the catalog: the same whatever the project was before, and nothing that the rules
//! forbid. The rules stand in for Supabase's own linter, which is on no registry.

use super::migration;
use crate::remote::{Database, Stack, Template};

/// Every table, column, constraint, index, policy, right, type, function and comment of ours, a line each.
const CATALOG: &str = r"
  with tables as (
    select c.oid::regclass::text as name, c.* from pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'token_usage_private'::regnamespace) and c.relkind in ('r', 'c')
  )
  select format('column %s.%s %s %s null=%s generated=%s default=%s collation=%s acl=%s', t.name, a.attname,
      row_number() over (partition by t.oid order by a.attnum), format_type(a.atttypid, a.atttypmod), not a.attnotnull,
      a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation, a.attacl)
    from tables as t join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef as d on d.adrelid = t.oid and d.adnum = a.attnum
  union all select format('table %s kind=%s owner=%s rls=%s forced=%s options=%s', name, relkind, relowner::regrole,
      relrowsecurity, relforcerowsecurity, reloptions) from tables
  union all select format('right on %s: %s', name, item) from tables,
      unnest(coalesce(relacl, acldefault('r', relowner))) as item
  union all select format('constraint %s on %s: %s', conname, t.name, pg_get_constraintdef(c.oid))
    from pg_constraint as c join tables as t on t.oid = conrelid
  union all select format('index %s', indexdef) from pg_indexes
    where schemaname in ('public', 'token_usage_private')
  union all select format('policy %s', p) from pg_policies as p
  union all select format('trigger %s on %s', tgname, t.name) from pg_trigger join tables as t on t.oid = tgrelid
    where not tgisinternal
  union all select format('function %s returns %s definer=%s volatile=%s settings=%s body=%s', p.oid::regprocedure,
      prorettype::regtype, prosecdef, provolatile, proconfig, md5(prosrc)) from pg_proc as p
    where pronamespace in ('public'::regnamespace, 'token_usage_private'::regnamespace)
  union all select format('right on %s: %s', p.oid::regprocedure, item) from pg_proc as p,
      unnest(coalesce(proacl, acldefault('f', proowner))) as item
    where pronamespace in ('public'::regnamespace, 'token_usage_private'::regnamespace)
  union all select format('schema token_usage_private: %s', item) from pg_namespace,
      unnest(coalesce(nspacl, acldefault('n', nspowner))) as item where nspname = 'token_usage_private'
  union all select format('comment on %s %s: %s', objoid::regclass, objsubid, description) from pg_description
    where classoid = 'pg_class'::regclass and objoid in (select oid from tables)
  order by 1";

/// The catalog, a line each.
pub(super) fn catalog(database: &Database) -> Vec<String> {
    let rows = database.owner().query(CATALOG, &[]).unwrap_or_else(|error| panic!("{error:?}"));
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(lines.len() > 150, "{lines:#?}");
    lines
}

/// The first lines that two catalogs do not share.
pub(super) fn same(found: &[String], expected: &[String], what: &str) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).take(5).cloned().collect()
    };
    let (more, less) = (only(found, expected), only(expected, found));
    assert!(
        more.is_empty() && less.is_empty() && found.len() == expected.len(),
        "{what}\nmore: {more:#?}\nless: {less:#?}"
    );
}

#[test]
fn every_project_ends_in_the_same_schema() {
    let stack = Stack::get();
    let sql = migration();
    let fresh = stack.unserved(Template::Blank);
    fresh.execute(&sql);
    let expected = catalog(&fresh);
    for template in [Template::Blank, Template::BlankLegacy, Template::Prototype] {
        let database = stack.unserved(template);
        database.execute(&sql);
        same(&catalog(&database), &expected, &format!("{template:?}"));
        database.execute(&sql);
        same(&catalog(&database), &expected, &format!("{template:?}, run twice"));
    }
}

/// The names of what breaks a rule.
fn breaks(query: &str) -> String {
    Stack::get()
        .contract()
        .text(&format!("select string_agg(name, ', ' order by name) from ({query}) as broken (name)"))
}

const OURS: &str = "in ('public'::regnamespace, 'token_usage_private'::regnamespace)";

#[test]
fn every_table_has_row_level_security() {
    let query = format!(
        "select relname::text from pg_class where relkind = 'r' and not relrowsecurity and relnamespace {OURS}"
    );
    assert_eq!(breaks(&query), "");
}

#[test]
fn every_function_pins_its_search_path_with_temporary_objects_last() {
    let query = format!(
        "select proname::text from pg_proc where pronamespace {OURS}
         and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)"
    );
    assert_eq!(breaks(&query), "");
}

#[test]
fn no_body_reads_otherwise_with_a_caller_s_settings() {
    let query = format!(
        r"select proname::text from pg_proc where pronamespace {OURS} and strpos(prosrc, chr(92)) > 0"
    );
    assert_eq!(breaks(&query), "");
}

#[test]
fn three_functions_have_the_rights_of_their_owner() {
    let query = format!("select proname::text from pg_proc where pronamespace {OURS} and prosecdef");
    assert_eq!(breaks(&query), "token_usage_check, upsert_token_usage, upsert_token_usage_batch");
}

/// One policy a table, for reading, by users, evaluated once a query; none for a role that passes by.
#[test]
fn policies_are_one_a_table_and_not_evaluated_per_row() {
    let query = "select format('%s %s %s %s %s', tablename, cmd, roles, permissive, qual) from pg_policies";
    let told = |table: &str| {
        format!("{table} SELECT {{authenticated}} PERMISSIVE (( SELECT auth.uid() AS uid) = user_id)")
    };
    let tables = [
        "token_usage_daily",
        "token_usage_daily_unlogged",
        "token_usage_session_days",
        "token_usage_session_unlogged",
        "token_usage_sessions",
    ];
    assert_eq!(breaks(query), tables.map(told).join(", "));
}

#[test]
fn anon_and_everybody_have_no_right() {
    for template in [Template::Contract, Template::ContractLegacy, Template::Prototype] {
        let database = Stack::get().unserved(template);
        database.execute(&migration());
        for role in ["anon", "public"] {
            let rights = database.text(&format!(
                "select string_agg(name, ', ') from (
                   select relname::text || ' ' || kind from pg_class,
                     unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as kind
                   where relkind in ('r', 'v') and relnamespace {OURS} and (has_table_privilege('{role}', oid, kind)
                     or (kind in ('select', 'insert', 'update') and has_any_column_privilege('{role}', oid, kind)))
                   union all select proname::text from pg_proc
                   where pronamespace {OURS} and has_function_privilege('{role}', oid, 'execute')
                   union all select nspname::text from pg_namespace
                   where nspname = 'token_usage_private' and has_schema_privilege('{role}', oid, 'usage, create')
                 ) as given (name)"
            ));
            assert_eq!(rights, "", "{template:?} {role}");
        }
    }
}

#[test]
fn keys_start_with_the_user() {
    let query = format!(
        "select indexrelid::regclass::text from pg_index join pg_class on pg_class.oid = indrelid
         where relnamespace {OURS} and indisunique
         and (select attname from pg_attribute where attrelid = indrelid and attnum = indkey[0]) <> 'user_id'"
    );
    assert_eq!(breaks(&query), "");
}

/// A view with the rights of who made it would show everybody's rows.
#[test]
fn every_view_reads_with_the_rights_of_the_caller() {
    let query = format!(
        "select relname::text from pg_class where relkind = 'v' and relnamespace {OURS}
         and not coalesce('security_invoker=true' = any (reloptions), false)"
    );
    assert_eq!(breaks(&query), "");
    let views = format!("select relname::text from pg_class where relkind = 'v' and relnamespace {OURS}");
    assert_eq!(
        breaks(&views),
        "token_usage_daily_totals, token_usage_model_totals, token_usage_session_totals"
    );
}

/// An update that changes no indexed column stays in its page.
#[test]
fn no_index_is_on_a_column_that_changes() {
    let query = format!(
        "select indexrelid::regclass || '.' || attname from pg_index join pg_class on pg_class.oid = indrelid
           join pg_attribute on attrelid = indrelid and attnum = any (indkey)
         where relnamespace {OURS} and attname not in ('user_id', 'session_id', 'usage_date', 'model')"
    );
    assert_eq!(breaks(&query), "");
}
