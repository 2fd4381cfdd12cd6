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


-- on_break: whether somebody is on a break of this shift.
create function ordak.on_break(shift bigint) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from ordak.breaks as b where b.shift = on_break.shift and b.ended_at is null)
$$;
