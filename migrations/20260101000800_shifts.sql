-- Shifts and breaks: who is at work. Staff who are not, or are on a break, work on no task (see lifecycle).

create table ordak.shifts (
  id         bigint generated always as identity primary key,
  -- What callers name it by.
  shift_id   uuid        not null default gen_random_uuid(),
  staff      bigint      not null,
  store      text        not null,
  started_at timestamptz not null default now(),
  ended_at   timestamptz,

  constraint shifts_shift_id_key unique (shift_id),
  constraint shifts_staff_fkey   foreign key (staff) references ordak.staff_shared (id),
  constraint shifts_store_fkey   foreign key (store) references ordak.stores (code),
  constraint shifts_order        check (ended_at > started_at)
);
create unique index shifts_open_key on ordak.shifts (staff) where ended_at is null;
create index shifts_staff_idx on ordak.shifts (staff, started_at);
create index shifts_store_idx on ordak.shifts (store, started_at);
alter table ordak.shifts enable row level security;

create table ordak.breaks (
  id         bigint generated always as identity primary key,
  shift      bigint      not null,
  started_at timestamptz not null default now(),
  ended_at   timestamptz,

  constraint breaks_shift_fkey foreign key (shift) references ordak.shifts (id),
  constraint breaks_order      check (ended_at > started_at)
);
create unique index breaks_open_key on ordak.breaks (shift) where ended_at is null;
create index breaks_shift_idx on ordak.breaks (shift);
alter table ordak.breaks enable row level security;


-- shift_end: when a shift ends or has ended. Nobody works longer than twelve hours: who forgot to clock out has
-- then left, whether or not somebody has written it down yet.
create function ordak.shift_end(shift ordak.shifts) returns timestamptz
language sql immutable set search_path = '' as $$
  select coalesce(shift.ended_at, shift.started_at + interval '12 hours')
$$;


-- open_shift: the shift that a member of staff is on at an instant; null where they are on none.
create function ordak.open_shift(staff bigint, at timestamptz default now()) returns ordak.shifts
language sql stable set search_path = '' as $$
  select s from ordak.shifts as s
  where s.staff = open_shift.staff and s.ended_at is null and ordak.shift_end(s) > open_shift.at
$$;


-- break_end: when a break ends or has ended. Nobody is on one longer than two hours: who forgot to end it is back then.
create function ordak.break_end(pause ordak.breaks) returns timestamptz
language sql immutable set search_path = '' as $$
  select coalesce(pause.ended_at, pause.started_at + interval '2 hours')
$$;


-- on_break: whether somebody is on a break of this shift at an instant.
create function ordak.on_break(shift bigint, at timestamptz default now()) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from ordak.breaks as b
                 where b.shift = on_break.shift and b.ended_at is null and ordak.break_end(b) > on_break.at)
$$;


-- break_time: how much of a shift was break up to an instant. Summed for one shift at a time: a join of shifts with
-- their breaks would count a shift once for each.
create function ordak.break_time(worked ordak.shifts, at timestamptz) returns interval
language sql stable set search_path = '' as $$
  select coalesce(sum(least(ordak.break_end(b), ordak.shift_end(worked), at) - b.started_at), '0')
  from ordak.breaks as b
  where b.shift = worked.id and b.started_at < at
$$;


-- minutes: a length of time as people read it.
create function ordak.minutes(length interval) returns numeric
language sql immutable set search_path = '' as $$
  select round(extract(epoch from length) / 60, 2)
$$;


create type api.shift as (
  shift_id         uuid,
  staff_id         uuid,
  full_name        text,
  store            text,
  started_at       timestamptz,
  ended_at         timestamptz,
  on_break         boolean,
  break_started_at timestamptz,
  break_minutes    numeric
);
comment on type api.shift is 'A shift; ended_at is null while it lasts, which is twelve hours at most';

create type api.shift_change as (changed boolean, shift api.shift);
comment on type api.shift_change is 'A shift as it is now, and whether the call changed anything';

create type api.shift_total as (
  staff_id      uuid,
  full_name     text,
  days_worked   int,
  shifts        int,
  shift_minutes numeric,
  break_minutes numeric,
  net_minutes   numeric,
  hourly_rate   numeric,
  pay           numeric(12, 2)
);
comment on type api.shift_total is 'What somebody has worked; pay is null for who has no hourly rate';


-- shift_at: a shift as it is at an instant.
create function ordak.shift_at(worked ordak.shifts, at timestamptz) returns api.shift
language sql stable set search_path = '' as $$
  select (
    worked.shift_id, p.user_id, p.full_name, worked.store, worked.started_at,
    case when ordak.shift_end(worked) <= at then ordak.shift_end(worked) end,
    b.id is not null, b.started_at, ordak.minutes(ordak.break_time(worked, at))
  )::api.shift
  from ordak.staff_shared as p
  left join ordak.breaks as b on b.shift = worked.id and b.ended_at is null and ordak.break_end(b) > at
    and ordak.shift_end(worked) > at
  where p.id = worked.staff
$$;


-- shift_change: what is answered about a shift. What somebody has changed for another is written to the audit log.
create function ordak.shift_change(
  me ordak.staff_shared, action text, changed boolean, worked ordak.shifts, at timestamptz
) returns api.shift_change
language plpgsql set search_path = '' as $$
begin
  if changed and me.id <> worked.staff then
    perform ordak.audit(me.id, worked.store, action, worked.shift_id::text, null, jsonb_build_object('at', at));
  end if;
  return (changed, ordak.shift_at(worked, at))::api.shift_change;
end
$$;


-- lock_person: whose shift is meant, locked against every other change to their shifts until the transaction ends: the
-- caller where nobody is named, somebody else for an Admin alone.
--
-- Whoever has waited here reads the clock only afterwards, so that no shift ends before it has begun.
create function ordak.lock_person(me ordak.staff_shared, staff_id uuid) returns ordak.staff_shared
language plpgsql set search_path = '' as $$
declare
  v_person ordak.staff_shared;
begin
  if lock_person.staff_id <> me.user_id and me.role < 'Admin' then
    perform ordak.fail('AUTH002', format('expected an Admin, for the shift of somebody else, but found %s', me.role),
                       'ask an Admin');
  end if;
  select * into v_person from ordak.staff_shared as p
  where p.user_id = coalesce(lock_person.staff_id, me.user_id)
  for no key update;
  if not found then
    perform ordak.fail('VAL001', 'expected the id of a member of staff, but found another', 'see list_staff');
  elsif v_person.id <> me.id and me.store is not null and me.store is distinct from v_person.store then
    perform ordak.fail('AUTH002', format('expected somebody of store %s, but found one of another', me.store),
                       'ask an Admin of all stores');
  end if;
  return v_person;
end
$$;


-- require_shifts: refuses with VAL001 a store that keeps no shifts.
create function ordak.require_shifts(store text) returns void
language plpgsql stable set search_path = '' as $$
begin
  if not exists (select from ordak.settings as s where s.store = require_shifts.store and s.shifts_enabled) then
    perform ordak.fail('VAL001', format('expected a store that keeps shifts, but found %s, where they are off', store),
                       'nobody needs a shift there; an Admin switches them on with save_settings');
  end if;
end
$$;


-- close_break: writes down that the open break of a shift ended, at an instant or when it had ended by itself. False
-- where there is none, or it had.
create function ordak.close_break(shift bigint, at timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_end timestamptz;
begin
  update ordak.breaks as b set ended_at = greatest(least(ordak.break_end(b), close_break.at), b.started_at + interval '1 ms')
  where b.shift = close_break.shift and b.ended_at is null
  returning ended_at into v_end;
  return coalesce(v_end >= close_break.at, false);
end
$$;


-- close_shift: writes down when a shift began and that it ended at an instant, and its open break with it.
create function ordak.close_shift(worked ordak.shifts, at timestamptz) returns ordak.shifts
language plpgsql set search_path = '' as $$
begin
  perform ordak.close_break(worked.id, at);
  update ordak.shifts as s set started_at = worked.started_at, ended_at = at where s.id = worked.id
  returning * into worked;
  return worked;
end
$$;


-- last_shift: the shift that somebody began last; null where they never did.
create function ordak.last_shift(staff bigint) returns ordak.shifts
language sql stable set search_path = '' as $$
  select s from ordak.shifts as s where s.staff = last_shift.staff order by s.started_at desc limit 1
$$;


-- start_shift: somebody, locked, comes to work at an instant.
create function ordak.start_shift(me ordak.staff_shared, person ordak.staff_shared, store text, at timestamptz)
returns api.shift_change
language plpgsql set search_path = '' as $$
declare
  v_shift ordak.shifts;
begin
  if not (person.is_active and person.approved) then
    perform ordak.fail('VAL001', 'expected an active, approved member of staff, but found one who is not',
                       'see list_staff');
  end if;
  perform ordak.require_store(person, start_shift.store);
  perform ordak.require_shifts(start_shift.store);
  select * into v_shift from ordak.shifts as s where s.staff = person.id and s.ended_at is null;
  if ordak.shift_end(v_shift) > at then
    if v_shift.store <> start_shift.store then
      perform ordak.fail('AUTH002',
                         format('expected somebody on no shift, but found one on shift in %s', v_shift.store),
                         'end that shift first');
    end if;
    return ordak.shift_change(me, 'start_shift', false, v_shift, at);
  elsif v_shift.id is not null then
    perform ordak.close_shift(v_shift, ordak.shift_end(v_shift));
  end if;
  insert into ordak.shifts (staff, store, started_at) values (person.id, start_shift.store, at)
  returning * into v_shift;
  return ordak.shift_change(me, 'start_shift', true, v_shift, at);
end
$$;


-- end_shift: somebody, locked, leaves work at an instant.
create function ordak.end_shift(me ordak.staff_shared, person ordak.staff_shared, at timestamptz)
returns api.shift_change
language plpgsql set search_path = '' as $$
declare
  v_shift ordak.shifts := ordak.open_shift(person.id, at);
begin
  if v_shift.id is null then
    return ordak.shift_change(me, 'end_shift', false, ordak.last_shift(person.id), at);
  end if;
  return ordak.shift_change(me, 'end_shift', true, ordak.close_shift(v_shift, at), at);
end
$$;


-- start_break: somebody, locked, goes on a break at an instant.
create function ordak.start_break(me ordak.staff_shared, person ordak.staff_shared, at timestamptz)
returns api.shift_change
language plpgsql set search_path = '' as $$
declare
  v_shift   ordak.shifts := ordak.open_shift(person.id, at);
  v_changed boolean;
begin
  if v_shift.id is null then
    perform ordak.fail('AUTH002', 'expected somebody on shift, but found one who is not', 'start a shift first');
  end if;
  perform ordak.require_shifts(v_shift.store);
  v_changed := not ordak.on_break(v_shift.id, at);
  if v_changed then
    perform ordak.close_break(v_shift.id, at);
    insert into ordak.breaks (shift, started_at) values (v_shift.id, at);
  end if;
  return ordak.shift_change(me, 'start_break', v_changed, v_shift, at);
end
$$;


-- end_break: somebody, locked, is back from a break at an instant.
create function ordak.end_break(me ordak.staff_shared, person ordak.staff_shared, at timestamptz)
returns api.shift_change
language plpgsql set search_path = '' as $$
declare
  v_shift ordak.shifts := ordak.open_shift(person.id, at);
begin
  if v_shift.id is null then
    return ordak.shift_change(me, 'end_break', false, ordak.last_shift(person.id), at);
  end if;
  return ordak.shift_change(me, 'end_break', ordak.close_break(v_shift.id, at), v_shift, at);
end
$$;


-- check_shift_times: refuses with VAL001 times that no shift can have had.
create function ordak.check_shift_times(started_at timestamptz, ended_at timestamptz, at timestamptz) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if started_at is null or ended_at is null then
    perform ordak.fail('VAL001', 'expected started_at and ended_at, but found null');
  elsif ended_at <= started_at then
    perform ordak.fail('VAL001', 'expected ended_at after started_at, but found it before or at it');
  elsif ended_at > at then
    perform ordak.fail('VAL001', 'expected ended_at to have passed, but found it in the future');
  elsif ended_at > started_at + interval '24 hours' then
    perform ordak.fail('VAL001', 'expected at most 24 hours from started_at to ended_at, but found more');
  elsif ended_at < at - interval '7 days' then
    perform ordak.fail('VAL001', 'expected ended_at within the last 7 days, but found it before');
  end if;
end
$$;


-- check_shift_fits: refuses with VAL001 times of a shift at which the person was on another.
create function ordak.check_shift_fits(worked ordak.shifts, started_at timestamptz, ended_at timestamptz) returns void
language plpgsql stable set search_path = '' as $$
begin
  if exists (
    select from ordak.shifts as s
    where s.staff = worked.staff and s.id <> worked.id
      -- No shift is longer than a day, so the index need not be read further back.
      and s.started_at > check_shift_fits.started_at - interval '24 hours'
      and s.started_at < check_shift_fits.ended_at
      and ordak.shift_end(s) > check_shift_fits.started_at
  ) then
    perform ordak.fail('VAL001', 'expected times apart from the person''s other shifts, but found one at that time');
  end if;
end
$$;


-- cut_breaks: leaves of a shift's breaks what lies within other times of it. Returns those that were cut, as they were.
create function ordak.cut_breaks(worked ordak.shifts, started_at timestamptz, ended_at timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_cut jsonb;
begin
  select jsonb_agg(jsonb_build_array(b.started_at, ordak.break_end(b)) order by b.started_at) into v_cut
  from ordak.breaks as b
  where b.shift = worked.id and (b.started_at < cut_breaks.started_at or ordak.break_end(b) > cut_breaks.ended_at);
  delete from ordak.breaks as b
  where b.shift = worked.id
    and (b.started_at >= cut_breaks.ended_at or ordak.break_end(b) <= cut_breaks.started_at);
  update ordak.breaks as b
  set started_at = greatest(b.started_at, cut_breaks.started_at), ended_at = least(ordak.break_end(b), cut_breaks.ended_at)
  where b.shift = worked.id;
  return v_cut;
end
$$;


-- adjust_shift: gives a shift other times, for an Admin, as of an instant. Raises as api.adjust_shift does.
create function ordak.adjust_shift(
  me ordak.staff_shared, shift_id uuid, started_at timestamptz, ended_at timestamptz, note text, at timestamptz
) returns api.shift_change
language plpgsql set search_path = '' as $$
declare
  v_old ordak.shifts;
  v_new ordak.shifts;
  v_cut jsonb;
begin
  -- The person first, as everything else does that changes a shift, and only then the shift as it is by now.
  perform from ordak.staff_shared as p
  where p.id = (select s.staff from ordak.shifts as s where s.shift_id = adjust_shift.shift_id)
  for no key update;
  select * into v_old from ordak.shifts as s where s.shift_id = adjust_shift.shift_id;
  if not found then
    perform ordak.fail('VAL001', 'expected the id of a shift, but found another', 'see shifts_of');
  end if;
  perform ordak.require_store(me, v_old.store);
  if (v_old.started_at, v_old.ended_at) = (adjust_shift.started_at, adjust_shift.ended_at) then
    return (false, ordak.shift_at(v_old, at))::api.shift_change;
  elsif ordak.shift_end(v_old) < at - interval '7 days' then
    perform ordak.fail('AUTH002', 'expected a shift that ended within the last 7 days, but found an older one',
                       'its hours are final');
  end if;
  perform ordak.check_shift_fits(v_old, adjust_shift.started_at, adjust_shift.ended_at);
  v_cut := ordak.cut_breaks(v_old, adjust_shift.started_at, adjust_shift.ended_at);
  v_new := v_old;
  v_new.started_at := adjust_shift.started_at;
  v_new := ordak.close_shift(v_new, adjust_shift.ended_at);
  perform ordak.audit(me.id, v_old.store, 'adjust_shift', v_old.shift_id::text,
    ordak.changed_fields(to_jsonb(v_old), to_jsonb(v_new))
      || case when v_cut is null then '{}' else jsonb_build_object('breaks', v_cut) end,
    ordak.changed_fields(to_jsonb(v_new), to_jsonb(v_old)) || jsonb_build_object('note', note));
  return (true, ordak.shift_at(v_new, at))::api.shift_change;
end
$$;


-- stores_meant: the store that a caller names, or else all that they work for.
create function ordak.stores_meant(store text) returns text[]
language sql stable set search_path = '' as $$
  select case when store is null then ordak.visible_stores() else array[store] end
$$;


-- shift_totals: what people have worked in some stores, in shifts that began on some days, up to an instant.
create function ordak.shift_totals(stores text[], first_day date, last_day date, at timestamptz)
returns setof api.shift_total
language sql stable set search_path = '' as $$
  with worked as (
    select
      s.staff, ordak.local_day(z.time_zone, s.started_at) as day,
      least(ordak.shift_end(s), at) - s.started_at as shift_time, ordak.break_time(s, at) as break_time
    from ordak.stores as z
    join ordak.shifts as s
      on s.store = z.code
      and s.started_at >= ordak.day_start(z.time_zone, first_day)
      and s.started_at < least(ordak.day_start(z.time_zone, last_day + 1), at)
    where z.code = any (stores)
  ), summed as (
    select
      staff, count(distinct day)::int as days_worked, count(*)::int as shifts,
      sum(shift_time) as shift_time, sum(break_time) as break_time
    from worked
    group by staff
  )
  select
    p.user_id, p.full_name, t.days_worked, t.shifts, ordak.minutes(t.shift_time), ordak.minutes(t.break_time),
    ordak.minutes(t.shift_time - t.break_time), p.hourly_rate,
    -- From the exact time: minutes are rounded for reading only.
    (extract(epoch from t.shift_time - t.break_time) / 3600 * p.hourly_rate)::numeric(12, 2)
  from summed as t
  join ordak.staff_shared as p on p.id = t.staff
  order by p.full_name, p.id
  limit 200
$$;


-- check_days: refuses with VAL001 what is no span of 1 to 366 days.
create function ordak.check_days(first_day date, last_day date) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if not coalesce(first_day between '2000-01-01' and '2199-12-31' and last_day between '2000-01-01' and '2199-12-31', false) then
    perform ordak.fail('VAL001', 'expected first_day and last_day between 2000 and 2199, but found another or null');
  elsif last_day - first_day not between 0 and 365 then
    perform ordak.fail('VAL001', format('expected 1 to 366 days from first_day to last_day, but found %s',
                                        last_day - first_day + 1));
  end if;
end
$$;


create function api.start_shift(store text default null, staff_id uuid default null) returns api.shift_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_person ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff', store);
  v_person := ordak.lock_person(v_me, staff_id);
  perform ordak.check_store(coalesce(store, v_person.store), true);
  return ordak.start_shift(v_me, v_person, coalesce(store, v_person.store), clock_timestamp());
end
$$;
grant execute on function api.start_shift(text, uuid) to authenticated;
comment on function api.start_shift(text, uuid) is $$
Starts a shift. One that nobody ended counts as ended twelve hours after its start.

store     the code of the store; whoever works for all stores must name it
staff_id  whose shift, for an Admin of that person's store; left out for one's own
returns   the shift; changed is false for who is on shift there already
raises    AUTH001; AUTH002 somebody else's shift and no Admin of theirs, or another store, or on shift in another store;
          VAL001 nobody of that id, or who is not active; no store, or one where shifts are switched off
role      Staff
example   {"store": "bannos"}
$$;


create function api.end_shift(staff_id uuid default null) returns api.shift_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_person ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  v_person := ordak.lock_person(v_me, staff_id);
  return ordak.end_shift(v_me, v_person, clock_timestamp());
end
$$;
grant execute on function api.end_shift(uuid) to authenticated;
comment on function api.end_shift(uuid) is $$
Ends a shift, and the break that its person is on.

staff_id  whose shift, for an Admin of that person's store; left out for one's own
returns   the shift; changed is false for who is on none, with the last one that they were on, or null
raises    AUTH001; AUTH002 somebody else's shift and no Admin of theirs; VAL001 nobody of that id
role      Staff
example   {}
$$;


create function api.start_break(staff_id uuid default null) returns api.shift_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_person ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  v_person := ordak.lock_person(v_me, staff_id);
  return ordak.start_break(v_me, v_person, clock_timestamp());
end
$$;
grant execute on function api.start_break(uuid) to authenticated;
comment on function api.start_break(uuid) is $$
Starts a break, during which Staff work on no task.

staff_id  whose break, for an Admin of that person's store; left out for one's own
returns   the shift; changed is false for who is on a break already
raises    AUTH001; AUTH002 somebody else's shift and no Admin of theirs, or who is on no shift; VAL001 nobody of that
          id, or a store where shifts are switched off
role      Staff
example   {}
$$;


create function api.end_break(staff_id uuid default null) returns api.shift_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_person ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  v_person := ordak.lock_person(v_me, staff_id);
  return ordak.end_break(v_me, v_person, clock_timestamp());
end
$$;
grant execute on function api.end_break(uuid) to authenticated;
comment on function api.end_break(uuid) is $$
Ends a break.

staff_id  whose break, for an Admin of that person's store; left out for one's own
returns   the shift; changed is false for who is on no break; the last shift, or null, for who is on none
raises    AUTH001; AUTH002 somebody else's shift and no Admin of theirs; VAL001 nobody of that id
role      Staff
example   {}
$$;


create function api.my_shift() returns setof api.shift
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff');
  -- A set, since no shift at all would otherwise be answered as one of nulls.
  return query
    select f.* from ordak.open_shift(v_me.id) as s cross join ordak.shift_at(s, now()) as f where s.id is not null;
end
$$;
grant execute on function api.my_shift() to authenticated;
comment on function api.my_shift() is $$
The shift that the caller is on.

returns  one row, or none for who is on no shift
raises   AUTH001
role     Staff
example  {}
$$;


create function api.list_shifts(store text default null) returns setof api.shift
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store);
  return query
    select f.*
    from ordak.shifts as s
    cross join ordak.shift_at(s, now()) as f
    where s.ended_at is null
      and ordak.shift_end(s) > now()
      and s.store = any (ordak.stores_meant(list_shifts.store))
    order by s.started_at, s.id
    limit 200;
end
$$;
grant execute on function api.list_shifts(text) to authenticated;
comment on function api.list_shifts(text) is $$
Who is on shift now, in the order in which they came.

store    the code of a store; left out for all that the caller works for
returns  at most 200
raises   AUTH001; AUTH002 Staff, or somebody of another store; VAL001
role     Supervisor
example  {"store": "bannos"}
$$;


create function api.shifts_of(staff_id uuid, first_day date, last_day date) returns setof api.shift
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Admin');
  perform ordak.check_days(first_day, last_day);
  return query
    select f.*
    from ordak.staff_shared as p
    join ordak.shifts as s on s.staff = p.id
    join ordak.stores as z on z.code = s.store
    cross join ordak.shift_at(s, now()) as f
    where p.user_id = shifts_of.staff_id
      and s.store = any (ordak.visible_stores())
      and s.started_at >= ordak.day_start(z.time_zone, first_day)
      and s.started_at < ordak.day_start(z.time_zone, last_day + 1)
    order by s.started_at
    limit 200;
end
$$;
grant execute on function api.shifts_of(uuid, date, date) to authenticated;
comment on function api.shifts_of(uuid, date, date) is $$
The shifts of somebody in the caller's stores that began on some days, one after the other: the detail behind
shift_totals, and where to find the one to adjust.

staff_id   whose
first_day  the first day
last_day   the last day; at most 366 days in all
returns    at most 200
raises     AUTH001; AUTH002 not an Admin; VAL001
role       Admin
example    {"staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "first_day": "2026-11-01", "last_day": "2026-11-30"}
$$;


create function api.adjust_shift(shift_id uuid, started_at timestamptz, ended_at timestamptz, note text)
returns api.shift_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_text('note', note, 500, true);
  perform ordak.check_shift_times(started_at, ended_at, now());
  return ordak.adjust_shift(v_me, shift_id, started_at, ended_at, note, now());
end
$$;
grant execute on function api.adjust_shift(uuid, timestamptz, timestamptz, text) to authenticated;
comment on function api.adjust_shift(uuid, timestamptz, timestamptz, text) is $$
Corrects when a shift started and ended, and ends one that still lasts. A shift is final seven days after its end.

shift_id    which shift
started_at  at most 24 hours before its end; no other shift of the person may be at that time
ended_at    in the last seven days; what lies outside of the two is cut off the shift's breaks
note        why, for the audit log; 1 to 500 characters
returns     the shift; changed is false where its times were so already
raises      AUTH001; AUTH002 not an Admin of the shift's store, or a shift that is final; VAL001
role        Admin
example     {"shift_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "started_at": "2026-11-24T06:00+11", "ended_at": "2026-11-24T14:00+11", "note": "Forgot"}
$$;


create function api.shift_totals(first_day date, last_day date, store text default null) returns setof api.shift_total
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Admin', store);
  perform ordak.check_days(first_day, last_day);
  perform ordak.check_store(store);
  return query
    select t.* from ordak.shift_totals(ordak.stores_meant(store), first_day, last_day, now()) as t;
end
$$;
grant execute on function api.shift_totals(date, date, text) to authenticated;
comment on function api.shift_totals(date, date, text) is $$
What everyone has worked, by name. A shift belongs to the day of its store on which it began. One that lasts counts up
to now, and for twelve hours at most.

first_day  the first day
last_day   the last day; at most 366 days in all
store      the code of a store; left out for all that the caller works for
returns    at most 200; net_minutes is shifts less breaks, and pay is that at today's hourly rate
raises     AUTH001; AUTH002 not an Admin, or one of another store; VAL001
role       Admin
example    {"first_day": "2026-11-01", "last_day": "2026-11-30", "store": "bannos"}
$$;
