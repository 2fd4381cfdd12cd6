-- What a development database starts with. A deployment inserts its own stores.

insert into ordak.stores (code, name, shop_domain, letter, time_zone, location) values
  ('bannos',    'Bannos',    'bannos.myshopify.com',     'B', 'Australia/Sydney', 'gid://shopify/Location/70001'),
  ('flourlane', 'Flourlane', 'flour-lane.myshopify.com', 'F', 'Australia/Sydney', 'gid://shopify/Location/70002')
on conflict (code) do nothing;
