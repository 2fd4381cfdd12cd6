-- The ground that every other object stands on: schemas, privileges, errors, who is calling.
--
-- `ordak` holds the tables and what works on them, and is not exposed. `api` is what PostgREST exposes:
-- functions for writing, views for reading. A function in `api` runs with its owner's rights, so each one
-- opens with a caller check.

-- PUBLIC may execute every new function unless the creating role's global defaults say otherwise; the
-- same statement for one schema would do nothing. Hence first, and without `in schema`.
alter default privileges revoke execute on functions from public;
alter default privileges revoke usage on types from public;

create schema ordak;
create schema api;
comment on schema api is 'Ordak Edge: orders, kitchen and stock of the bakery';

grant usage on schema api to authenticated, service_role;


-- error_status: the HTTP status of each of our error codes; null for a code that is not ours.
create function ordak.error_status(code text) returns int
language sql immutable set search_path = '' as $$
  select status
  from (values
    ('ORD001', 404), ('ORD002', 409), ('ORD003', 409), ('ORD004', 422), ('ORD005', 409), ('ORD006', 409),
    ('INV001', 409), ('INV002', 404), ('INV003', 422),
    ('AUTH001', 401), ('AUTH002', 403),
    ('SYNC001', 502), ('SYNC002', 200),
    ('VAL001', 422),
    ('SYS001', 503), ('SYS002', 504), ('SYS003', 500), ('SYS004', 503), ('SYS005', 500)
  ) as codes (code, status)
  where codes.code = error_status.code
$$;


-- fail: ends the transaction with one of our errors.
--
-- PostgREST understands SQLSTATE 'PGRST' and answers with exactly this body and status, so that a caller
-- reads the same `code` from the database as from a function.
create function ordak.fail(code text, message text, hint text default null, details text default null)
returns void
language plpgsql set search_path = '' as $$
declare
  v_status  constant int  := ordak.error_status(code);
  -- What passes by itself says when to come back.
  v_headers constant json := case when v_status in (503, 504) then '{"Retry-After": "5"}' else '{}' end;
begin
  raise sqlstate 'PGRST' using
    message = json_build_object('code', code, 'message', message, 'details', details, 'hint', hint)::text,
    detail  = json_build_object('status', v_status, 'headers', v_headers)::text;
end
$$;


-- A function stops waiting after four seconds, but PostgREST does not tell the database: without this a call
-- that nobody waits for any more would keep its connection for as long as a lock lasts.
alter role service_role set statement_timeout = '4s';
alter role authenticated set statement_timeout = '4s';
notify pgrst, 'reload config';


-- check_text: refuses with VAL001 a text that is empty, blank at its ends or longer than `most` characters;
-- null passes unless it is `needed`.
create function ordak.check_text(field text, value text, most int, needed boolean default false) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if value is null and not needed then
    return;
  elsif value is null or length(value) not between 1 and most or value <> btrim(value, E' \t\r\n') then
    perform ordak.fail('VAL001', format(
      'expected %s of 1 to %s characters without blanks at its ends, but found %s', field, most,
      case when value is null then 'none' when value = '' then 'an empty one'
           when length(value) > most then format('%s characters', length(value)) else 'blanks there' end));
  end if;
end
$$;


-- check_page: refuses with VAL001 a page of no or of too many rows.
create function ordak.check_page(page_size int) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if page_size between 1 and 200 is not true then
    perform ordak.fail('VAL001', format('expected a page_size of 1 to 200, but found %s', coalesce(page_size::text, 'none')));
  end if;
end
$$;


-- check_reason: a reason that a person gives, which whoever reads the log later will need.
create function ordak.check_reason(reason text) returns void
language sql immutable set search_path = '' as $$
  select ordak.check_text('a reason', reason, 500, true)
$$;


-- pause: its one row is there while an operator has paused all writing, as for a restore.
create table ordak.pause (
  one       boolean     primary key default true,
  reason    text        not null,
  paused_at timestamptz not null default now(),

  constraint pause_one check (one)
);
alter table ordak.pause enable row level security;


-- require_running: refuses with SYS004 to write while writing is paused. What only reads runs in a transaction that is
-- read-only, and goes on.
--
-- Volatile, and by two statements: having looked at the table is what pause_writers waits for, and who waits for
-- pause_writers must then see what it wrote; who reads waits for neither.
create function ordak.require_running() returns void
language plpgsql set search_path = '' as $$
begin
  if current_setting('transaction_read_only') = 'on' then
    return;
  end if;
  if exists (select from ordak.pause) then
    perform ordak.fail('SYS004', 'writing is paused by an operator', 'send it again later');
  end if;
end
$$;


-- require_service_always: only our own functions pass, which call with the service key; also while writing is paused.
--
-- `role` is what PostgREST switched to for this request after it checked the token; a definer function
-- changes current_user, not this.
create function ordak.require_service_always() returns void
language plpgsql stable set search_path = '' as $$
begin
  if current_setting('role', true) is distinct from 'service_role' then
    perform ordak.fail('AUTH001', 'expected the service key, but found another caller',
                       'call the function in front of this one instead');
  end if;
end
$$;


-- require_service: the same, for everything that waits while writing is paused.
create function ordak.require_service() returns void
language plpgsql stable set search_path = '' as $$
begin
  perform ordak.require_service_always();
  perform ordak.require_running();
end
$$;


create function api.ready() returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  return coalesce((
    select case when b.at < now() - s.alert_schedule_late then 'late' else 'on time' end
    from ordak.schedule_beats as b cross join ordak.sync_settings as s where b.name = 'sync-worker'), 'none');
end
$$;
grant execute on function api.ready() to service_role;
comment on function api.ready() is $$
Answers once the database is up and migrated, with how the worker's schedule is; what `GET /api/health?ready` asks.

returns  on time; late: it has not come for alert_schedule_late; none: it never came
raises   AUTH001
role     service
example  {}
$$;
