-- What a development database starts with. A deployment inserts its own stores.

insert into ordak.stores (code, name, shop_domain, letter, time_zone, location) values
  ('bannos',    'Bannos',    'bannos.myshopify.com',     'B', 'Australia/Sydney', 'gid://shopify/Location/70001'),
  ('flourlane', 'Flourlane', 'flour-lane.myshopify.com', 'F', 'Australia/Sydney', 'gid://shopify/Location/70002')
on conflict (code) do nothing;

-- Flourlane sells and stores more than the usual; once somebody has saved its settings, they stay as they are.
update ordak.settings as t
set flavours          = '{Vanilla,Chocolate,Strawberry,"Red Velvet",Lemon,Coffee,Matcha,"Salted Caramel"}',
    storage_locations = '{"Store Fridge","Store Freezer","Kitchen Coolroom","Kitchen Freezer","Basement Coolroom",'
                        '"Display Case"}'
from ordak.stores as s
where s.code = 'flourlane' and t.store = s.code and t.updated_at = s.created_at;

-- People of every role, as far as they have signed up: `cargo xtask dev` does that for these addresses.
insert into ordak.staff_shared (user_id, full_name, email, role, store, approved)
select u.id, p.full_name, p.email, p.role::ordak.role, p.store, true
from (values
  ('admin@bakery.example',      'Ava Admin',      'Admin',      null),
  ('supervisor@bakery.example', 'Sam Supervisor', 'Supervisor', null),
  ('bannos@bakery.example',     'Bea Bannos',     'Staff',      'bannos'),
  ('flourlane@bakery.example',  'Finn Flourlane', 'Staff',      'flourlane')
) as p (email, full_name, role, store)
join auth.users as u on u.email = p.email
on conflict (user_id) do nothing;
