-- Alerts: what a person must be told, once each until its cause has gone. Who finds the cause raises and resolves them.

create table ordak.alerts (
  id              bigint generated always as identity primary key,
  kind            text        not null,
  -- Null where it concerns all stores.
  store           text,
  -- What it is about; with kind and store it names the alert while it is open.
  subject         text        not null,
  -- For a person; never with a customer's name or address.
  message         text        not null,
  raised_at       timestamptz not null default now(),
  resolved_at     timestamptz,
  -- When people were told of it, and that it is over.
  sent_at         timestamptz,
  resolve_sent_at timestamptz,
  -- Who is telling them now, and until when nobody else does.
  lease_token     uuid,
  lease_until     timestamptz,

  constraint alerts_store_fkey     foreign key (store) references ordak.stores (code),
  constraint alerts_message_length check (length(message) between 1 and 500),
  constraint alerts_resolve_sent   check (resolve_sent_at is null or sent_at is not null and resolved_at is not null),
  constraint alerts_lease          check ((lease_token is null) = (lease_until is null))
);
create unique index alerts_open_key on ordak.alerts (kind, coalesce(store, ''), subject) where resolved_at is null;
create index alerts_store_fkey_idx on ordak.alerts (store);
-- What concerns all stores is a store of its own here. The newest first, and by nothing that another index has: by that all
-- alerts might be read where a store has few.
create index alerts_store_idx on ordak.alerts (coalesce(store, ''), (-id));
create index alerts_open_idx on ordak.alerts (coalesce(store, ''), (-id)) where resolved_at is null;
-- What is still to be told: what was over before anybody was told of it is not.
create index alerts_unsent_idx on ordak.alerts (id)
  where (sent_at is null and resolved_at is null or sent_at is not null and resolved_at is not null)
    and resolve_sent_at is null;
create index alerts_leased_idx on ordak.alerts (lease_until) where lease_until is not null;
alter table ordak.alerts enable row level security;


-- alert: raises an alert, unless the same one is open.
create function ordak.alert(kind text, store text, subject text, message text) returns void
language sql set search_path = '' as $$
  insert into ordak.alerts (kind, store, subject, message)
  values (alert.kind, alert.store, alert.subject, left(alert.message, 500))
  on conflict (kind, coalesce(store, ''), subject) where resolved_at is null do nothing
$$;


-- resolve_alert: closes an alert whose cause has gone.
create function ordak.resolve_alert(kind text, store text, subject text) returns void
language sql set search_path = '' as $$
  update ordak.alerts as a set resolved_at = now()
  where a.kind = resolve_alert.kind and coalesce(a.store, '') = coalesce(resolve_alert.store, '')
    and a.subject = resolve_alert.subject and a.resolved_at is null
$$;


-- alert_severity: how bad what an alert tells of is: critical where orders, or Shopify's stock, go wrong until somebody
-- acts.
create function ordak.alert_severity(kind text) returns text
language sql immutable set search_path = '' as $$
  select case when kind in ('store_stopped', 'sync_dead', 'sync_bug', 'sync_errors', 'no_orders', 'schedule_missed',
                            'task_stuck_long') then 'critical' else 'warning' end
$$;
