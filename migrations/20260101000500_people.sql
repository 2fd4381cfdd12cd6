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


-- require_staff: the caller, who must be someone we know, of at least this role, and of this store.
--
-- role      the least role that may pass
-- store     the store that is asked about; null where the call is about no store
-- returns   the caller's row
-- raises    AUTH001 nobody, or nobody we know, or inactive, or not approved; AUTH002 role or store
create function ordak.require_staff(role ordak.role, store text default null) returns ordak.staff_shared
language plpgsql stable set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  select * into v_me from ordak.staff_shared where user_id = auth.uid();
  if not found then
    perform ordak.fail('AUTH001', 'expected a member of staff, but found somebody we do not know',
                       'sign up, call register, and ask an Admin to approve you');
  elsif not v_me.is_active then
    perform ordak.fail('AUTH001', 'expected an active member of staff, but found one who has left',
                       'ask an Admin to activate you');
  elsif not v_me.approved then
    perform ordak.fail('AUTH001', 'expected an approved member of staff, but found one who still waits for it',
                       'ask an Admin to approve you');
  elsif v_me.role < require_staff.role then
    perform ordak.fail('AUTH002', format('expected at least the role %s, but found %s', require_staff.role, v_me.role),
                       'ask somebody of that role');
  elsif v_me.store <> require_staff.store then
    perform ordak.fail('AUTH002', format('expected somebody of store %s, but found one of %s', require_staff.store, v_me.store),
                       'ask somebody of that store');
  end if;
  return v_me;
end
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
  return auth.uid();
end
$$;


-- audit_log: who changed what, and from what to what. Append-only; written by the functions here alone.
create table ordak.audit_log (
  id      bigint generated always as identity primary key,
  at      timestamptz not null default now(),
  -- The staff row of whoever did it; null for the system itself.
  actor   bigint,
  action  text        not null,
  -- What it was done to, as people call it: an order id, a task number, an e-mail.
  subject text        not null,
  old     jsonb,
  new     jsonb,

  constraint audit_log_actor_fkey foreign key (actor) references ordak.staff_shared (id)
);
create index audit_log_actor_idx on ordak.audit_log (actor);
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


-- audit: writes one line of the audit log.
create function ordak.audit(actor bigint, action text, subject text, old jsonb, new jsonb) returns void
language sql set search_path = '' as $$
  insert into ordak.audit_log (actor, action, subject, old, new) values (actor, action, subject, old, new)
$$;


-- staff_json: a member of staff as callers see them. The wage is added for Admins alone, by who asks for it.
create function ordak.staff_json(staff ordak.staff_shared) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'staff_id', staff.user_id, 'full_name', staff.full_name, 'email', staff.email, 'phone', staff.phone,
    'role', staff.role, 'store', staff.store, 'is_active', staff.is_active, 'approved', staff.approved
  )
$$;


-- check_store: refuses what is no store's code with VAL001; null stands for all stores.
create function ordak.check_store(store text) returns void
language plpgsql stable set search_path = '' as $$
begin
  if store is not null and not exists (select from ordak.stores where code = check_store.store) then
    perform ordak.fail('VAL001', 'expected the code of a store, but found another');
  end if;
end
$$;


-- change_staff: applies a change to a member of staff, for an Admin, and writes it to the audit log.
--
-- change    the columns and their new values; any of role, store, is_active, approved, hourly_rate
-- returns   the person as they are now, with `changed`
-- raises    AUTH002 somebody of another store, or nobody could approve anybody any more; VAL001 nobody of that id
create function ordak.change_staff(me ordak.staff_shared, staff_id uuid, action text, change jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_old ordak.staff_shared;
  v_new ordak.staff_shared;
begin
  -- One at a time, or two Admins could take each other's role at the same instant and leave none.
  lock table ordak.staff_shared in share row exclusive mode;
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
    return ordak.staff_json(v_old) || '{"changed": false}';
  end if;
  update ordak.staff_shared
  set role = v_new.role, store = v_new.store, is_active = v_new.is_active, approved = v_new.approved,
      hourly_rate = v_new.hourly_rate, updated_at = now()
  where id = v_old.id;
  if not exists (select from ordak.staff_shared where role = 'Admin' and is_active and approved and store is null) then
    perform ordak.fail('AUTH002', 'expected that an Admin of all stores remains, but this was the last one',
                       'make somebody else an Admin first');
  end if;
  perform ordak.audit(me.id, action, v_old.email,
    (select jsonb_object_agg(key, to_jsonb(v_old) -> key) from jsonb_object_keys(change) as key), change);
  return ordak.staff_json(v_new) || '{"changed": true}';
end
$$;


-- me: who the caller is to us.
--
-- returns   the caller's own row, wage left out
-- raises    AUTH001
create function api.me() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  return ordak.staff_json(v_me);
end
$$;
grant execute on function api.me() to authenticated;


-- register: somebody who has just signed up asks to be let in; an Admin approves.
--
-- full_name 1 to 100 characters
-- store     the store they will work for; null for all
-- phone     optional
-- returns   the new row with `changed`; a repeat changes nothing
-- raises    AUTH001 not logged in, or the e-mail is another person's; VAL001
create function api.register(full_name text, store text default null, phone text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_user constant uuid := auth.uid();
  v_row  ordak.staff_shared;
begin
  perform ordak.require_login();
  if full_name is null or length(full_name) not between 1 and 100 then
    perform ordak.fail('VAL001', 'expected a full_name of 1 to 100 characters, but found another');
  elsif length(phone) not between 1 and 40 then
    perform ordak.fail('VAL001', 'expected a phone of 1 to 40 characters, but found another');
  end if;
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
    perform ordak.audit(null, 'register', v_row.email, null, ordak.staff_json(v_row));
    return ordak.staff_json(v_row) || '{"changed": true}';
  end if;
  select * into v_row from ordak.staff_shared where user_id = v_user;
  return ordak.staff_json(v_row) || '{"changed": false}';
end
$$;
grant execute on function api.register(text, text, text) to authenticated;


-- list_staff: everyone who works here, by name. Staff see names, Supervisors contacts, Admins wages too.
--
-- returns   a list of {staff_id, full_name, role, store, is_active, approved[, email, phone[, hourly_rate]]}
-- raises    AUTH001
create function api.list_staff() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  return coalesce((
    select jsonb_agg(
      ordak.staff_json(s) - case when v_me.role = 'Staff' then array['email', 'phone'] else '{}' end
        || case when v_me.role = 'Admin' then jsonb_build_object('hourly_rate', s.hourly_rate) else '{}' end
      order by s.full_name, s.id)
    from ordak.staff_shared as s
    where v_me.store is null or s.store is null or s.store = v_me.store
  ), '[]');
end
$$;
grant execute on function api.list_staff() to authenticated;


-- set_role: gives a member of staff another role and store.
--
-- store     the store's code; null for all stores
-- returns   the person as they are now, with `changed`
-- raises    AUTH001, AUTH002 not an Admin, or the last Admin would be gone; VAL001
create function api.set_role(staff_id uuid, role text, store text default null) returns jsonb
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


-- approve_staff: lets a person in who has registered.
--
-- returns   the person as they are now, with `changed`
-- raises    AUTH001, AUTH002 not an Admin; VAL001
create function api.approve_staff(staff_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  return ordak.change_staff(v_me, staff_id, 'approve_staff', '{"approved": true}');
end
$$;
grant execute on function api.approve_staff(uuid) to authenticated;


-- set_active: deactivates a member of staff who has left, or activates one who is back.
--
-- returns   the person as they are now, with `changed`
-- raises    AUTH001, AUTH002 not an Admin, or the last Admin would be gone; VAL001
create function api.set_active(staff_id uuid, active boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  if active is null then
    perform ordak.fail('VAL001', 'expected active to be true or false, but found null');
  end if;
  return ordak.change_staff(v_me, staff_id, 'set_active', jsonb_build_object('is_active', active));
end
$$;
grant execute on function api.set_active(uuid, boolean) to authenticated;
