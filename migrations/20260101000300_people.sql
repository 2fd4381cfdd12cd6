-- People: who may do what. Whoever logs in is known by the auth user id alone; an e-mail proves nothing.

create type ordak.role as enum ('Staff', 'Supervisor', 'Admin');
comment on type ordak.role is 'In rising order: an Admin may do all that a Supervisor may, and so on';

create table ordak.staff_shared (
  id          bigint generated always as identity primary key,
  user_id     uuid        not null,
  full_name   text        not null,
  email       text        not null,
  phone       text,
  role        ordak.role  not null default 'Staff',
  -- The one store that the person works for; null for all of them.
  store       text,
  is_active   boolean     not null default true,
  -- A person signs up by themselves and can do nothing until an Admin approves.
  approved    boolean     not null default false,
  hourly_rate numeric(8, 2),
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),

  constraint staff_shared_user_id_key          unique (user_id),
  constraint staff_shared_email_key            unique (email),
  constraint staff_shared_store_fkey           foreign key (store) references ordak.stores (code),
  constraint staff_shared_full_name_length     check (length(full_name) between 1 and 100),
  constraint staff_shared_email_length         check (length(email) between 3 and 255),
  constraint staff_shared_phone_length         check (length(phone) between 1 and 40),
  constraint staff_shared_hourly_rate_positive check (hourly_rate >= 0)
);
create index staff_shared_store_idx on ordak.staff_shared (store);
alter table ordak.staff_shared enable row level security;
comment on table ordak.staff_shared is 'Everyone who works here; wages are shown to Admins alone';


-- require_store: refuses a member of staff of another store with AUTH002. Null is no store, and passes.
create function ordak.require_store(me ordak.staff_shared, store text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if me.store <> require_store.store then
    perform ordak.fail('AUTH002', format('expected somebody of store %s, but found one of %s', require_store.store, me.store),
                       'ask somebody of that store');
  end if;
end
$$;


-- check_staff: refuses a member of staff who may not act, with AUTH001, or has not at least a role, with AUTH002.
create function ordak.check_staff(me ordak.staff_shared, role ordak.role) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if me.id is null then
    perform ordak.fail('AUTH001', 'expected a member of staff, but found somebody we do not know',
                       'sign up, call register, and ask an Admin to approve you');
  elsif not me.is_active then
    perform ordak.fail('AUTH001', 'expected an active member of staff, but found one who has left',
                       'ask an Admin to activate you');
  elsif not me.approved then
    perform ordak.fail('AUTH001', 'expected an approved member of staff, but found one who still waits for it',
                       'ask an Admin to approve you');
  elsif me.role < check_staff.role then
    perform ordak.fail('AUTH002', format('expected at least the role %s, but found %s', check_staff.role, me.role),
                       'ask somebody of that role');
  end if;
end
$$;


-- staff_caller: the caller, who must be someone we know, of at least this role, and of this store.
--
-- role      the least role that may pass
-- store     the store that is asked about; null where the call is about no store
-- returns   the caller's row
-- raises    AUTH001 nobody, or nobody we know, or inactive, or not approved; AUTH002 role or store
create function ordak.staff_caller(role ordak.role, store text default null) returns ordak.staff_shared
language plpgsql stable set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  select * into v_me from ordak.staff_shared where user_id = auth.uid();
  perform ordak.check_staff(v_me, role);
  perform ordak.require_store(v_me, store);
  return v_me;
end
$$;


-- require_all_stores: refuses with AUTH002 somebody who works for one store alone, where a call concerns all of them.
create function ordak.require_all_stores(me ordak.staff_shared) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if me.store is not null then
    perform ordak.fail('AUTH002', format('expected somebody of all stores, but found one of %s', me.store),
                       'ask an Admin of all stores');
  end if;
end
$$;


-- require_staff: the same, for everything that waits while writing is paused.
create function ordak.require_staff(role ordak.role, store text default null) returns ordak.staff_shared
language plpgsql stable set search_path = '' as $$
declare
  v_me constant ordak.staff_shared := ordak.staff_caller(role, store);
begin
  perform ordak.require_running();
  return v_me;
end
$$;


-- require_operator: an Admin, for what must work also while writing is paused.
create function ordak.require_operator() returns ordak.staff_shared
language sql stable set search_path = '' as $$
  select ordak.staff_caller('Admin')
$$;


-- require_login: anybody who has logged in, known to us or not; the way in for somebody new.
--
-- returns   the auth user id
-- raises    AUTH001 nobody
create function ordak.require_login() returns uuid
language plpgsql stable set search_path = '' as $$
begin
  if auth.uid() is null then
    perform ordak.fail('AUTH001', 'expected somebody who has logged in, but found nobody', 'log in first');
  end if;
  perform ordak.require_running();
  return auth.uid();
end
$$;


-- audit_log: who changed what, and from what to what. Append-only; written by the functions here alone.
create table ordak.audit_log (
  id      bigint generated always as identity primary key,
  at      timestamptz not null default clock_timestamp(),
  -- The staff row of whoever did it; null for the system itself.
  actor   bigint,
  -- The store that it happened in; null where it concerns all of them.
  store   text,
  action  text        not null,
  -- What it was done to, as people call it: an order id, a task number, an e-mail.
  subject text        not null,
  old     jsonb,
  new     jsonb,

  constraint audit_log_actor_fkey foreign key (actor) references ordak.staff_shared (id),
  constraint audit_log_store_fkey foreign key (store) references ordak.stores (code)
);
create index audit_log_actor_idx on ordak.audit_log (actor);
create index audit_log_store_idx on ordak.audit_log (store, id);
create index audit_log_subject_idx on ordak.audit_log (subject, id);
alter table ordak.audit_log enable row level security;

create function ordak.refuse_change() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform ordak.fail('AUTH002', format('%I is append-only', tg_table_name));
  return null;
end
$$;
create trigger audit_log_append_only before update or delete or truncate on ordak.audit_log
  for each statement execute function ordak.refuse_change();


-- audit: writes one line of the audit log. Old and new hold the fields that changed, never a whole row.
create function ordak.audit(actor bigint, store text, action text, subject text, old jsonb, new jsonb) returns void
language sql set search_path = '' as $$
  insert into ordak.audit_log (actor, store, action, subject, old, new)
  values (actor, store, action, subject, old, new)
$$;


create type api.staff as (
  staff_id    uuid,
  full_name   text,
  email       text,
  phone       text,
  role        ordak.role,
  store       text,
  is_active   boolean,
  approved    boolean,
  hourly_rate numeric
);
comment on type api.staff is 'A member of staff; what the caller may not see is null';

create type api.staff_change as (changed boolean, staff api.staff);
comment on type api.staff_change is 'A member of staff as they are now, and whether the call changed anything';


-- staff_for: a member of staff as somebody may see them: Staff see names, Supervisors contacts, Admins wages
-- too; everyone their own contacts.
create function ordak.staff_for(me ordak.staff_shared, staff ordak.staff_shared) returns api.staff
language sql immutable set search_path = '' as $$
  select (
    staff.user_id, staff.full_name,
    case when me.role > 'Staff' or me.id = staff.id then staff.email end,
    case when me.role > 'Staff' or me.id = staff.id then staff.phone end,
    staff.role, staff.store, staff.is_active, staff.approved,
    case when me.role = 'Admin' then staff.hourly_rate end
  )::api.staff
$$;


-- change_staff: applies a change to a member of staff, for an Admin, and writes it to the audit log.
--
-- change    the columns and their new values; any of role, store, is_active, approved, hourly_rate
-- returns   the person as they are now, with `changed`
-- raises    AUTH002 somebody of another store, or nobody could approve anybody any more; VAL001 nobody of that id
create function ordak.change_staff(me ordak.staff_shared, staff_id uuid, action text, change jsonb)
returns api.staff_change
language plpgsql set search_path = '' as $$
declare
  v_old ordak.staff_shared;
  v_new ordak.staff_shared;
begin
  -- One at a time, or two Admins could take each other's role at the same instant and leave none.
  lock table ordak.staff_shared in share row exclusive mode;
  -- Whoever waited here may have been an Admin only until then.
  select * into me from ordak.staff_shared as s where s.id = me.id;
  perform ordak.check_staff(me, 'Admin');
  select * into v_old from ordak.staff_shared where user_id = change_staff.staff_id;
  if not found then
    perform ordak.fail('VAL001', 'expected the id of a member of staff, but found another', 'see list_staff');
  end if;
  v_new := jsonb_populate_record(v_old, change_staff.change);
  -- An Admin of one store decides about that store's people and makes nobody more than that.
  if me.store is not null and (me.store is distinct from v_old.store or me.store is distinct from v_new.store) then
    perform ordak.fail('AUTH002', format('expected somebody of store %s, but found one of another', me.store),
                       'ask an Admin of all stores');
  end if;
  if v_new is not distinct from v_old then
    return (false, ordak.staff_for(me, v_old))::api.staff_change;
  end if;
  update ordak.staff_shared
  set role = v_new.role, store = v_new.store, is_active = v_new.is_active, approved = v_new.approved,
      hourly_rate = v_new.hourly_rate, updated_at = now()
  where id = v_old.id;
  if not exists (select from ordak.staff_shared where role = 'Admin' and is_active and approved and store is null) then
    perform ordak.fail('AUTH002', 'expected that an Admin of all stores remains, but this was the last one',
                       'make somebody else an Admin first');
  end if;
  perform ordak.audit(me.id, v_old.store, action, v_old.email,
    (select jsonb_object_agg(key, to_jsonb(v_old) -> key) from jsonb_object_keys(change) as key), change);
  return (true, ordak.staff_for(me, v_new))::api.staff_change;
end
$$;


create function api.pause_writers(reason text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_operator();
  perform ordak.require_all_stores(v_me);
  perform ordak.check_reason(reason);
  -- Whoever was let through may still write: once this answers, nobody does.
  lock table ordak.pause in access exclusive mode;
  insert into ordak.pause (reason) values (pause_writers.reason) on conflict do nothing;
  if not found then
    return false;
  end if;
  perform ordak.audit(v_me.id, null, 'pause_writers', 'writing', null, jsonb_build_object('reason', pause_writers.reason));
  return true;
end
$$;
grant execute on function api.pause_writers(text) to authenticated;
comment on function api.pause_writers(text) is $$
Pauses all writing, of people and of functions alike, as for a restore: every call that would write answers SYS004 with
Retry-After, Shopify sends its deliveries again later, and reading goes on. Once it answers, what was being written is
written.

reason   why, 1 to 500 characters
returns  true; false where writing was paused already
raises   AUTH001; AUTH002 not an Admin of all stores; VAL001
role     Admin
example  {"reason": "Restore of this morning"}
$$;


create function api.resume_writers() returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_operator();
  perform ordak.require_all_stores(v_me);
  delete from ordak.pause;
  if not found then
    return false;
  end if;
  perform ordak.audit(v_me.id, null, 'resume_writers', 'writing', null, null);
  return true;
end
$$;
grant execute on function api.resume_writers() to authenticated;
comment on function api.resume_writers() is $$
Ends the pause of writing.

returns  true; false where writing was not paused
raises   AUTH001; AUTH002 not an Admin of all stores
role     Admin
example  {}
$$;


create function api.me() returns api.staff
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  return ordak.staff_for(v_me, v_me);
end
$$;
grant execute on function api.me() to authenticated;
comment on function api.me() is $$
Who the caller is to us.

returns  the caller's own row; the wage for Admins alone
raises   AUTH001
role     Staff
example  {}
$$;


create function api.register(full_name text, store text default null, phone text default null)
returns api.staff_change
language plpgsql security definer set search_path = '' as $$
declare
  v_user constant uuid := auth.uid();
  v_row  ordak.staff_shared;
begin
  perform ordak.require_login();
  perform ordak.check_text('full_name', full_name, 100, true);
  perform ordak.check_text('phone', phone, 40);
  perform ordak.check_store(store);
  if exists (select from ordak.staff_shared as s where s.email = auth.email() and s.user_id <> v_user) then
    perform ordak.fail('AUTH001', 'expected somebody new, but found the e-mail of another member of staff',
                       'ask an Admin');
  end if;
  insert into ordak.staff_shared (user_id, full_name, email, phone, store)
  values (v_user, register.full_name, auth.email(), register.phone, register.store)
  on conflict (user_id) do nothing
  returning * into v_row;
  if found then
    perform ordak.audit(v_row.id, v_row.store, 'register', v_row.email, null, null);
    return (true, ordak.staff_for(v_row, v_row))::api.staff_change;
  end if;
  select * into v_row from ordak.staff_shared where user_id = v_user;
  return (false, ordak.staff_for(v_row, v_row))::api.staff_change;
end
$$;
grant execute on function api.register(text, text, text) to authenticated;
comment on function api.register(text, text, text) is $$
Asks to be let in, for somebody who has just signed up; an Admin approves.

full_name  1 to 100 characters
store      the code of the store they will work for; left out for all of them
phone      at most 40 characters
returns    the new row; changed is false where they had registered before
raises     AUTH001 not logged in, or the e-mail is another person's; VAL001
role       logged in
example    {"full_name": "Ada Baker", "store": "bannos"}
$$;


create function api.list_staff() returns setof api.staff
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  return query
    select f.*
    from ordak.staff_shared as s
    cross join ordak.staff_for(v_me, s) as f
    where v_me.store is null or s.store is null or s.store = v_me.store
    order by s.is_active and s.approved desc, s.full_name, s.id;
end
$$;
grant execute on function api.list_staff() to authenticated;
comment on function api.list_staff() is $$
Everyone who works in the caller's stores, by name.

returns  at most 200, those who work here first; contacts are null for Staff, wages for all but Admins
raises   AUTH001
role     Staff
example  {}
$$;


create function api.set_role(staff_id uuid, role text, store text) returns api.staff_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  if not pg_input_is_valid(role, 'ordak.role') then
    perform ordak.fail('VAL001', 'expected the role Staff, Supervisor or Admin, but found another');
  end if;
  perform ordak.check_store(store);
  return ordak.change_staff(v_me, staff_id, 'set_role', jsonb_build_object('role', role, 'store', store));
end
$$;
grant execute on function api.set_role(uuid, text, text) to authenticated;
comment on function api.set_role(uuid, text, text) is $$
Gives a member of staff another role and store.

staff_id  whom
role      Staff, Supervisor or Admin
store     the code of the store; null for all of them
returns   the person as they are now
raises    AUTH001; AUTH002 not an Admin, somebody of another store, or the last Admin would be gone; VAL001
role      Admin
example   {"staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "role": "Supervisor", "store": "bannos"}
$$;


create function api.approve_staff(staff_id uuid) returns api.staff_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  return ordak.change_staff(v_me, staff_id, 'approve_staff', '{"approved": true}');
end
$$;
grant execute on function api.approve_staff(uuid) to authenticated;
comment on function api.approve_staff(uuid) is $$
Lets in a person who has registered.

staff_id  whom
returns   the person as they are now
raises    AUTH001; AUTH002 not an Admin, or somebody of another store; VAL001
role      Admin
example   {"staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


create function api.set_wage(staff_id uuid, hourly_rate numeric) returns api.staff_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  if hourly_rate not between 0 and 1000 then
    perform ordak.fail('VAL001', 'expected an hourly_rate of 0 to 1000, but found another');
  end if;
  return ordak.change_staff(v_me, staff_id, 'set_wage', jsonb_build_object('hourly_rate', round(hourly_rate, 2)));
end
$$;
grant execute on function api.set_wage(uuid, numeric) to authenticated;
comment on function api.set_wage(uuid, numeric) is $$
Says what a member of staff is paid an hour.

staff_id     whom
hourly_rate  0 to 1000 in AUD; null where it is not known
returns      the person as they are now
raises       AUTH001; AUTH002 not an Admin, or somebody of another store; VAL001
role         Admin
example      {"staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "hourly_rate": 31.5}
$$;


create function api.set_active(staff_id uuid, active boolean) returns api.staff_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_person api.staff_change;
begin
  v_me := ordak.require_staff('Admin');
  if active is null then
    perform ordak.fail('VAL001', 'expected active to be true or false, but found null');
  end if;
  v_person := ordak.change_staff(v_me, staff_id, 'set_active', jsonb_build_object('is_active', active));
  if not active then
    perform ordak.leave(v_me, staff_id);
  end if;
  return v_person;
end
$$;
grant execute on function api.set_active(uuid, boolean) to authenticated;
comment on function api.set_active(uuid, boolean) is $$
Deactivates a member of staff who has left, or activates one who is back. Who leaves is on shift no more, and nobody is
assigned to what was theirs.

staff_id  whom
active    false for who has left, true for who is back
returns   the person as they are now
raises    AUTH001; AUTH002 not an Admin, somebody of another store, or the last Admin would be gone; VAL001
role      Admin
example   {"staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "active": false}
$$;


-- visible_stores: the stores that the caller may look into; none for somebody we do not know. Row policies ask it
-- once for each statement.
create function ordak.visible_stores() returns text[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(s.code), '{}')
  from ordak.staff_shared as me
  join ordak.stores as s on me.store is null or me.store = s.code
  where me.user_id = auth.uid() and me.is_active and me.approved
$$;
grant execute on function ordak.visible_stores() to authenticated;


-- admin_stores: the stores that the caller is an Admin of; an empty text stands for what concerns all of them.
create function ordak.admin_stores() returns text[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(s.code), '{}')
  from ordak.staff_shared as me
  join (select code from ordak.stores union all select '') as s on me.store is null or me.store = s.code
  where me.user_id = auth.uid() and me.is_active and me.approved and me.role = 'Admin'
$$;
grant execute on function ordak.admin_stores() to authenticated;
