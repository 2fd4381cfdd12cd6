-- Sync repairs: what is waiting and what failed, for whoever looks after the sync, and how it is tried again.

create type api.failed_work as (
  work_id  bigint,
  topic    text,
  store    text,
  key      text,
  sku      text,
  reason   text,
  attempts int,
  died_at  timestamptz
);
comment on type api.failed_work is 'What was tried too often and given up: of what (key), for the item (sku), and why';


create function api.list_failed_sync(
  store text default null, topic text default null, before bigint default null, page_size int default 50
) returns setof api.failed_work
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  return query
    select w.id, w.topic, w.store, w.key, i.sku, w.last_error, w.attempts, w.died_at
    from ordak.work_queue as w
    left join ordak.listings as g
      on g.id = case when w.topic in ('inventory_push', 'base_listing') then w.key::bigint end
    left join ordak.items as i on i.id = coalesce(g.item, case w.topic when 'find_listing' then w.key::bigint end)
    where w.state = 'dead' and w.store = coalesce(list_failed_sync.store, v_me.store, w.store)
      and w.topic = coalesce(list_failed_sync.topic, w.topic) and w.id < coalesce(before, 9223372036854775807)
    order by w.id desc
    limit page_size;
end
$$;
grant execute on function api.list_failed_sync(text, text, bigint, int) to authenticated;
comment on function api.list_failed_sync(text, text, bigint, int) is $$
What was tried too often and given up, newest first.

store      the code of a store; left out for all of the caller's
topic      inventory_push, find_listing, base_listing, refetch_order, list_orders or product_image; left out for all
before     only what has a lower work_id: that of the last one of the page before
page_size  1 to 200
returns    them; reason is what Shopify said last
raises     AUTH001; AUTH002 not an Admin of the store; VAL001
role       Admin
example    {"store": "bannos"}
$$;


create function api.retry_failed_sync(store text default null, topic text default null, work_id bigint default null)
returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_done jsonb;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store);
  with dead as materialized (
    select w.id from ordak.work_queue as w
    where w.state = 'dead' and w.store = coalesce(retry_failed_sync.store, v_me.store, w.store)
      and w.topic = coalesce(retry_failed_sync.topic, w.topic) and w.id = coalesce(work_id, w.id)
    order by w.topic, w.store, w.key limit 5000 for update
  ), revived as (
    update ordak.work_queue as w
    set state = 'ready', attempts = 0, losses = 0, run_at = now(), died_at = null, last_error = null
    from dead where w.id = dead.id
    returning w.store, w.topic
  )
  select jsonb_object_agg(r.store, r.topics) into v_done
  from (select t.store, jsonb_object_agg(t.topic, t.count) as topics
        from (select v.store, v.topic, count(*) as count from revived as v group by v.store, v.topic) as t
        group by t.store) as r;
  perform ordak.audit(v_me.id, d.store, 'retry_failed_sync', d.store, null, d.topics)
  from jsonb_each(v_done) as d (store, topics);
  return (select coalesce(sum(t.count::bigint), 0) from jsonb_each(v_done) as d (store, topics)
          cross join jsonb_each_text(d.topics) as t (topic, count));
end
$$;
grant execute on function api.retry_failed_sync(text, text, bigint) to authenticated;
comment on function api.retry_failed_sync(text, text, bigint) is $$
Has what was given up tried again, after its cause is gone: as if it had never failed.

store    the code of a store; left out for all of the caller's
topic    only this topic, see list_failed_sync
work_id  only this one, see list_failed_sync
returns  how many there are, at most 5000: call again until 0
raises   AUTH001; AUTH002 not an Admin of the store; VAL001
role     Admin
example  {"store": "bannos", "topic": "inventory_push"}
$$;


create type api.sync_statistic as (
  store          text,
  topic          text,
  state          text,
  depth          bigint,
  due            bigint,
  oldest_at      timestamptz,
  oldest_seconds bigint
);
comment on type api.sync_statistic is
  'How much work of a topic is ready, leased or dead, how much of it is due, and since when the oldest is there';


create function api.sync_statistics(store text default null) returns setof api.sync_statistic
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store);
  return query
    select w.store, w.topic, w.state, count(*), count(*) filter (where w.state = 'ready' and w.run_at <= now()),
           min(w.created_at), floor(extract(epoch from now() - min(w.created_at)))::bigint
    from ordak.work_queue as w
    where w.store = coalesce(sync_statistics.store, v_me.store, w.store)
    group by w.store, w.topic, w.state
    order by w.store, w.topic, w.state;
end
$$;
grant execute on function api.sync_statistics(text) to authenticated;
comment on function api.sync_statistics(text) is $$
What is waiting, under way and given up, by store and topic.

store    the code of a store; left out for all of the caller's
returns  one row for each state that there is work in; oldest_seconds is how long its oldest has been there
raises   AUTH001; AUTH002 not an Admin of the store; VAL001
role     Admin
example  {"store": "bannos"}
$$;
