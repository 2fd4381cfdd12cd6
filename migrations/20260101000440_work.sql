-- Work: what is left to be done outside of the transaction that finds it, and what a person must be told.

-- work_queue: "this still has to be done", never "do this once more": a thousand marks of one thing make one row.
create table ordak.work_queue (
  id         bigint generated always as identity primary key,
  topic      text        not null,
  store      text        not null,
  -- What it is to be done to: an order's or a product's id at Shopify.
  key        text        not null,
  state      text        not null default 'ready',
  -- Counts the marks, so that one that comes while the work is under way is not lost.
  version    bigint      not null default 1,
  run_at     timestamptz not null default now(),
  created_at timestamptz not null default now(),

  constraint work_queue_store_fkey foreign key (store) references ordak.stores (code),
  constraint work_queue_key        unique (topic, store, key),
  constraint work_queue_state_word check (state in ('ready'))
);
create index work_queue_store_idx on ordak.work_queue (store, topic, run_at);
alter table ordak.work_queue enable row level security;


-- mark: says that something has to be done. Doing nothing where a row is there would lose a mark that comes after the
-- worker has read and before it has finished; hence the version.
create function ordak.mark(topic text, store text, key text) returns void
language sql set search_path = '' as $$
  insert into ordak.work_queue as w (topic, store, key) values (mark.topic, mark.store, mark.key)
  on conflict on constraint work_queue_key do update set version = w.version + 1
$$;


-- alerts: what a person must be told, once each until it is resolved.
create table ordak.alerts (
  id          bigint generated always as identity primary key,
  kind        text        not null,
  store       text        not null,
  -- What it is about; with kind and store it names the alert while it is open.
  subject     text        not null,
  -- For a person; never with a customer's name or address.
  message     text        not null,
  raised_at   timestamptz not null default now(),
  resolved_at timestamptz,

  constraint alerts_store_fkey foreign key (store) references ordak.stores (code)
);
create unique index alerts_open_key on ordak.alerts (kind, store, subject) where resolved_at is null;
create index alerts_store_idx on ordak.alerts (store, id);
alter table ordak.alerts enable row level security;


-- alert: raises an alert, unless the same one is open.
create function ordak.alert(kind text, store text, subject text, message text) returns void
language sql set search_path = '' as $$
  insert into ordak.alerts (kind, store, subject, message) values (alert.kind, alert.store, alert.subject, alert.message)
  on conflict (kind, store, subject) where resolved_at is null do nothing
$$;


-- resolve_alert: closes an alert whose cause has gone.
create function ordak.resolve_alert(kind text, store text, subject text) returns void
language sql set search_path = '' as $$
  update ordak.alerts as a set resolved_at = now()
  where a.kind = resolve_alert.kind and a.store = resolve_alert.store and a.subject = resolve_alert.subject
    and a.resolved_at is null
$$;
