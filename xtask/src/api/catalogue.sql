-- Everything that schema `api` holds, as one JSON document: see catalogue.rs for its shape.
with
types as (
  select t.oid, jsonb_build_object(
    'name', e.typname,
    'kind', case when e.typtype = 'e' then 'Enumeration'
                 when e.typnamespace <> 'api'::regnamespace then 'Plain'
                 when c.relkind = 'v' then 'View'
                 when c.relkind = 'c' then 'Composite'
                 else 'Plain' end,
    'array', t.oid <> e.oid,
    'words', coalesce((select jsonb_agg(w.enumlabel order by w.enumsortorder)
                       from pg_enum as w where w.enumtypid = e.oid), '[]')
  ) as type
  from pg_type as t
  join pg_type as e on e.oid = case when t.typcategory = 'A' then t.typelem else t.oid end
  left join pg_class as c on c.oid = e.typrelid
),
-- What a caller may name: where a function was first made says what it belongs to, and in which order it is read.
migrations as (
  select version, statements[1] as text, substring(statements[1] from '^-- ([^:.\n]+)') as title
  from supabase_migrations.schema_migrations
),
functions as (
  select jsonb_build_object(
    'name',      p.proname,
    'area',      coalesce(m.title, 'Others'),
    'body',      p.prosrc,
    'comment',   coalesce(obj_description(p.oid, 'pg_proc'), ''),
    'arguments', (select coalesce(jsonb_agg(jsonb_build_object(
                           'name', a.name, 'type', t.type, 'default', pg_get_function_arg_default(p.oid, a.n::int)
                         ) order by a.n), '[]')
                  from unnest(p.proargnames, p.proargtypes::oid[]) with ordinality as a (name, oid, n)
                  join types as t on t.oid = a.oid),
    'result',    r.type,
    'set',       p.proretset
  ) as function, m.version, m.place, p.proname
  from pg_proc as p
  join types as r on r.oid = p.prorettype
  left join lateral (
    select m.title, m.version, strpos(m.text, format('function api.%I(', p.proname)) as place
    from migrations as m
    where strpos(m.text, format('function api.%I(', p.proname)) > 0
    order by m.version limit 1
  ) as m on true
  where p.pronamespace = 'api'::regnamespace
),
relations as (
  select c.relname, c.relkind, jsonb_build_object(
    'name',    c.relname,
    'comment', coalesce(obj_description(c.oid, 'pg_class'), obj_description(c.reltype, 'pg_type'), ''),
    'columns', (select jsonb_agg(jsonb_build_object('name', a.attname, 'type', t.type) order by a.attnum)
                from pg_attribute as a join types as t on t.oid = a.atttypid
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
  ) as relation
  from pg_class as c
  where c.relnamespace = 'api'::regnamespace and c.relkind in ('v', 'c')
)
select jsonb_build_object(
  'functions', (select coalesce(jsonb_agg(function order by version, place, proname), '[]') from functions),
  'views',     (select coalesce(jsonb_agg(relation order by relname), '[]') from relations where relkind = 'v'),
  'types',     (select coalesce(jsonb_agg(relation order by relname), '[]') from relations where relkind = 'c')
)::text
