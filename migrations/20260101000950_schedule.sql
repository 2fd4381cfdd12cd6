-- Schedule: how a hosted project has the sync worker run every ten seconds, without anything outside of its database.
-- Where pg_cron, pg_net or Vault is missing, as on the local stack, something else must call it: see docs/sync.md.

create extension if not exists pgcrypto with schema extensions;

create type ordak.signed_request as (url text, headers jsonb, body jsonb);

-- signature: what `webhook-signature` says of a message, as Standard Webhooks 1.0 has it.
--
-- secret  `whsec_` and base64, or the secret itself
create function ordak.signature(secret text, id text, seconds bigint, body text) returns text
language sql immutable set search_path = '' as $$
  select 'v1,' || encode(extensions.hmac(
    convert_to(concat_ws('.', id, seconds, body), 'UTF8'),
    case when secret like 'whsec\_%' then decode(substr(secret, 7), 'base64') else convert_to(secret, 'UTF8') end,
    'sha256'), 'base64')
$$;


-- worker_request: the request that has the sync worker run, signed for a few minutes from now.
--
-- project_url  the project's, as functions know it by SUPABASE_URL
-- secrets      those of ORDAK_SIGNING_SECRET, of which the first signs
create function ordak.worker_request(project_url text, secrets text) returns ordak.signed_request
language plpgsql set search_path = '' as $$
declare
  -- pg_net sends a body as its own text form, so that is what is signed.
  v_body    constant jsonb  := '{"for": "sync-worker", "trigger": "schedule"}';
  v_id      constant text   := gen_random_uuid();
  v_seconds constant bigint := extract(epoch from clock_timestamp());
begin
  return (
    rtrim(project_url, '/') || '/functions/v1/sync-worker',
    jsonb_build_object(
      'content-type', 'application/json', 'webhook-id', v_id, 'webhook-timestamp', v_seconds::text,
      'webhook-signature', ordak.signature(btrim(split_part(secrets, ',', 1)), v_id, v_seconds, v_body::text)),
    v_body)::ordak.signed_request;
end
$$;


-- call_sync_worker: has pg_net send that request once this transaction has committed; called by pg_cron alone.
--
-- That pg_cron says "succeeded" means only that it is queued: whether it came is seen by schedule_beats.
create function ordak.call_sync_worker() returns void
language plpgsql set search_path = '' as $$
declare
  v_secrets jsonb;
  v_request ordak.signed_request;
begin
  select jsonb_object_agg(s.name, s.decrypted_secret) into v_secrets
  from vault.decrypted_secrets as s where s.name in ('ordak_project_url', 'ordak_signing_secret');
  if v_secrets ?& array['ordak_project_url', 'ordak_signing_secret'] is not true then
    raise exception 'expected ordak_project_url and ordak_signing_secret in Vault, but found %',
      coalesce((select string_agg(k, ', ') from jsonb_object_keys(v_secrets) as k), 'neither')
      using hint = 'add them: select vault.create_secret(''…'', ''ordak_signing_secret'')';
  end if;
  v_request := ordak.worker_request(v_secrets ->> 'ordak_project_url', v_secrets ->> 'ordak_signing_secret');
  -- The worker answers at once and works on; its own five seconds are too short for a cold start.
  perform net.http_post(url => v_request.url, headers => v_request.headers, body => v_request.body,
                        timeout_milliseconds => 15000);
end
$$;


-- schedule_sync: has pg_cron call the sync worker from now on, and says whether it will. To be called by hand where the
-- extensions came after this migration, or pg_cron was told to stop; again does no harm.
create function ordak.schedule_sync() returns boolean
language plpgsql set search_path = '' as $$
begin
  -- pg_cron is made in one database of a server, and only where the server has loaded it.
  if current_setting('cron.database_name', true) is distinct from current_database()::text
    or (select count(*) from pg_available_extensions where name in ('pg_cron', 'pg_net', 'supabase_vault')) < 3 then
    raise notice 'without pg_cron in this database, pg_net and supabase_vault nothing here calls the sync worker';
    return false;
  end if;
  create extension if not exists pg_cron;
  create extension if not exists pg_net with schema extensions;
  create extension if not exists supabase_vault;
  perform cron.schedule('ordak-sync', '10 seconds', 'select ordak.call_sync_worker()');
  -- pg_cron keeps a row of every run for ever; one has no end where the server was lost meanwhile. Those of other jobs
  -- stay.
  perform cron.schedule('ordak-sync-log', '17 3 * * *',
    'delete from cron.job_run_details as d using cron.job as j
     where j.jobid = d.jobid and j.jobname in (''ordak-sync'', ''ordak-sync-log'')
       and coalesce(d.end_time, d.start_time, ''-infinity'') < now() - interval ''7 days''');
  return true;
end
$$;

select ordak.schedule_sync();
