-- What a hosted Supabase database has before our first migration, for the local stack alone: the roles, the
-- schema `auth` with what policies call, and an owner for our objects that is no superuser.
-- `:password` is replaced before it runs.

create role anon          nologin noinherit;
create role authenticated nologin noinherit;
create role service_role  nologin noinherit bypassrls;
create role authenticator login noinherit password ':password';
grant anon, authenticated, service_role to authenticator;

create role postgres login createrole createdb bypassrls password ':password';
grant anon, authenticated, service_role to postgres with admin option;
grant all on database ordak to postgres;
grant pg_monitor, pg_signal_backend to postgres;

-- The Auth service owns its schema and nothing else. The functions stay the superuser's: it would replace
-- its own with versions that read settings which PostgREST does not make.
create role supabase_auth_admin login noinherit password ':password';
alter role supabase_auth_admin set client_min_messages = warning;
create schema auth authorization supabase_auth_admin;
grant usage on schema auth to anon, authenticated, service_role, postgres;

-- A hosted project's owner reads who has signed up.
alter default privileges for role supabase_auth_admin in schema auth grant select on tables to postgres;

create function auth.jwt() returns jsonb language sql stable
as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
create function auth.uid() returns uuid language sql stable
as $$ select (auth.jwt() ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable
as $$ select auth.jwt() ->> 'role' $$;
create function auth.email() returns text language sql stable
as $$ select auth.jwt() ->> 'email' $$;

create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;
create extension pgcrypto with schema extensions;
create extension pg_stat_statements with schema extensions;

-- The record of applied migrations, where the Supabase CLI keeps it too.
create schema supabase_migrations authorization postgres;
