-- Unlogged usage, contract 3: what the client's own accounts say a session used and no log has.
--
-- Owns: the columns unlogged_* of token_usage_sessions, the tables token_usage_session_unlogged and
-- token_usage_daily_unlogged, and the views that show logged, unlogged and total side by side. Changes no column and
-- no row of contract 2: what is logged stays what it was, and unlogged usage is never mixed into it. Refuses what
-- the migration before refuses, and unlogged usage that does not add up. Fails as a whole: one transaction, which
-- may be run again at any time after the migration before it. Runs as role `postgres` on PostgreSQL 15 to 18.
--
-- Unlogged usage is a part of a session's value and goes with it. Of two values the greater rank is kept:
--     rank = (revision, message_count, output_tokens, all tokens, fewer incomplete_messages,
--             unlogged tokens and web searches, digest)

begin;

set local lock_timeout = '5s';
set local statement_timeout = 0;
set local client_min_messages = warning;

-- 1. Tables ------------------------------------------------------------------------------------------------------
-- Columns with a constant default: no row is written anew. None is indexed, so that updates stay in their page.

alter table public.token_usage_sessions
  add column if not exists unlogged_input_tokens bigint not null default 0,
  add column if not exists unlogged_output_tokens bigint not null default 0,
  add column if not exists unlogged_cache_creation_tokens bigint not null default 0,
  add column if not exists unlogged_cache_creation_1h_tokens bigint not null default 0,
  add column if not exists unlogged_cache_read_tokens bigint not null default 0,
  add column if not exists unlogged_web_search_requests bigint not null default 0,
  add column if not exists unlogged_unpriced_tokens bigint not null default 0,
  add column if not exists unlogged_cost_usd numeric(24,12) not null default 0;

-- What of it is of which day and model. The model is as the client names it, and may be one that nothing logged has.
create table if not exists public.token_usage_session_unlogged (
  user_id uuid not null references auth.users (id) on delete cascade,
  session_id text not null,
  usage_date date not null,
  model text collate "C" not null,
  unlogged_input_tokens bigint not null default 0,
  unlogged_output_tokens bigint not null default 0,
  unlogged_cache_creation_tokens bigint not null default 0,
  unlogged_cache_creation_1h_tokens bigint not null default 0,
  unlogged_cache_read_tokens bigint not null default 0,
  unlogged_web_search_requests bigint not null default 0,
  unlogged_unpriced_tokens bigint not null default 0,
  unlogged_cost_usd numeric(24,12) not null default 0,
  unlogged_total_tokens bigint not null generated always as (
    unlogged_input_tokens + unlogged_output_tokens + unlogged_cache_creation_tokens
      + unlogged_cache_read_tokens) stored,
  primary key (user_id, session_id, usage_date, model)
) with (fillfactor = 80);

create table if not exists public.token_usage_daily_unlogged (
  user_id uuid not null references auth.users (id) on delete cascade,
  usage_date date not null,
  daily_unlogged_input_tokens bigint not null default 0,
  daily_unlogged_output_tokens bigint not null default 0,
  daily_unlogged_cache_creation_tokens bigint not null default 0,
  daily_unlogged_cache_creation_1h_tokens bigint not null default 0,
  daily_unlogged_cache_read_tokens bigint not null default 0,
  daily_unlogged_web_search_requests bigint not null default 0,
  daily_unlogged_unpriced_tokens bigint not null default 0,
  daily_unlogged_cost_usd numeric(24,12) not null default 0,
  daily_unlogged_session_count bigint not null default 0,
  daily_unlogged_total_tokens bigint not null generated always as (
    daily_unlogged_input_tokens + daily_unlogged_output_tokens + daily_unlogged_cache_creation_tokens
      + daily_unlogged_cache_read_tokens) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, usage_date)
) with (fillfactor = 70);
create index if not exists token_usage_daily_unlogged_usage_date_idx
  on public.token_usage_daily_unlogged (usage_date, user_id);

comment on table public.token_usage_session_unlogged is
  'What the client''s account of a session has and no log does, by UTC day and the client''s name of the model.';
comment on table public.token_usage_daily_unlogged is
  'Unlogged usage of a user on a UTC day: at every commit the sum of token_usage_session_unlogged.';
comment on column public.token_usage_sessions.unlogged_cost_usd is
  'What the unlogged usage costs; no part of estimated_cost_usd.';
comment on column public.token_usage_sessions.unlogged_unpriced_tokens is
  'Unlogged tokens without a known price: where there are any, unlogged_cost_usd is a lower bound.';

-- 2. Views -------------------------------------------------------------------------------------------------------
-- total = logged + unlogged. They show a reader the rows that he may read: the rights are the caller's.

create or replace view public.token_usage_session_totals with (security_invoker = true) as
select user_id, session_id, session_started_at, last_message_at,
       total_tokens as logged_tokens,
       unlogged_input_tokens + unlogged_output_tokens + unlogged_cache_creation_tokens + unlogged_cache_read_tokens
         as unlogged_tokens,
       total_tokens + unlogged_input_tokens + unlogged_output_tokens + unlogged_cache_creation_tokens
         + unlogged_cache_read_tokens as total_tokens,
       estimated_cost_usd as logged_cost_usd, unlogged_cost_usd,
       estimated_cost_usd + unlogged_cost_usd as total_cost_usd,
       message_count, incomplete_messages,
       cost_is_complete and unlogged_unpriced_tokens = 0 as cost_is_complete
from public.token_usage_sessions;

create or replace view public.token_usage_daily_totals with (security_invoker = true) as
select user_id, usage_date,
       coalesce(daily_total_tokens, 0) as logged_tokens, coalesce(daily_unlogged_total_tokens, 0) as unlogged_tokens,
       coalesce(daily_total_tokens, 0) + coalesce(daily_unlogged_total_tokens, 0) as total_tokens,
       coalesce(daily_cost_usd, 0) as logged_cost_usd, coalesce(daily_unlogged_cost_usd, 0) as unlogged_cost_usd,
       coalesce(daily_cost_usd, 0) + coalesce(daily_unlogged_cost_usd, 0) as total_cost_usd,
       coalesce(daily_message_count, 0) as message_count,
       coalesce(daily_incomplete_messages, 0) as incomplete_messages,
       coalesce(cost_is_complete, true) and coalesce(daily_unlogged_unpriced_tokens, 0) = 0 as cost_is_complete
from public.token_usage_daily full join public.token_usage_daily_unlogged using (user_id, usage_date);

create or replace view public.token_usage_model_totals with (security_invoker = true) as
select user_id, usage_date, model, sum(logged)::bigint as logged_tokens, sum(unlogged)::bigint as unlogged_tokens,
       sum(logged + unlogged)::bigint as total_tokens, sum(logged_cost) as logged_cost_usd,
       sum(unlogged_cost) as unlogged_cost_usd, sum(logged_cost + unlogged_cost) as total_cost_usd,
       bool_and(is_complete) as cost_is_complete
from (
  select user_id, usage_date, model, total_tokens as logged, 0 as unlogged, estimated_cost_usd as logged_cost,
         0 as unlogged_cost, cost_is_complete as is_complete
  from public.token_usage_session_days
  union all
  select user_id, usage_date, model, 0, unlogged_total_tokens, 0, unlogged_cost_usd, unlogged_unpriced_tokens = 0
  from public.token_usage_session_unlogged
) as part
group by user_id, usage_date, model;

-- 3. Who may read --------------------------------------------------------------------------------------------------

alter table public.token_usage_session_unlogged enable row level security;
alter table public.token_usage_daily_unlogged enable row level security;
revoke all on public.token_usage_session_unlogged, public.token_usage_daily_unlogged,
  public.token_usage_session_totals, public.token_usage_daily_totals, public.token_usage_model_totals
  from public, anon, authenticated, service_role;
grant select on public.token_usage_session_unlogged, public.token_usage_daily_unlogged,
  public.token_usage_session_totals, public.token_usage_daily_totals, public.token_usage_model_totals
  to authenticated, service_role;
drop policy if exists token_usage_session_unlogged_owner on public.token_usage_session_unlogged;
drop policy if exists token_usage_daily_unlogged_owner on public.token_usage_daily_unlogged;
create policy token_usage_session_unlogged_owner on public.token_usage_session_unlogged
  for select to authenticated using ((select auth.uid()) = user_id);
create policy token_usage_daily_unlogged_owner on public.token_usage_daily_unlogged
  for select to authenticated using ((select auth.uid()) = user_id);

-- 4. Values --------------------------------------------------------------------------------------------------------
-- Types of their own: those of contract 2 stay as its functions know them. `index` ties a value to its item of the
-- call, `lines` are its part of the digest.

do $types$
begin
  if to_regtype('token_usage_private.unlogged_day') is null then
    create type token_usage_private.unlogged_day as (
      usage_date date, model text, input_tokens bigint, output_tokens bigint, cache_creation_tokens bigint,
      cache_creation_1h_tokens bigint, cache_read_tokens bigint, web_search_requests bigint,
      unpriced_tokens bigint, cost numeric(24,12));
  end if;
  if to_regtype('token_usage_private.unlogged_value') is null then
    create type token_usage_private.unlogged_value as (
      index integer, input_tokens bigint, output_tokens bigint, cache_creation_tokens bigint,
      cache_creation_1h_tokens bigint, cache_read_tokens bigint, web_search_requests bigint,
      unpriced_tokens bigint, cost numeric(24,12), lines text, days token_usage_private.unlogged_day[]);
  end if;
end
$types$;

-- 5. Functions -----------------------------------------------------------------------------------------------------

-- Whether a value says anything of unlogged usage. One without revision, of an old caller, does not.
create or replace function token_usage_private.tells_unlogged(session_data jsonb) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select session_data ?| array['unlogged_days', 'unlogged_input_tokens', 'unlogged_output_tokens',
      'unlogged_cache_creation_tokens', 'unlogged_cache_creation_1h_tokens', 'unlogged_cache_read_tokens',
      'unlogged_web_search_requests', 'unlogged_unpriced_tokens', 'unlogged_cost_usd']
    and coalesce(jsonb_typeof(session_data -> 'revision'), 'null') <> 'null'
$$;

-- Why the unlogged part of a value cannot be taken, in words for the person who sends it: null if it can be.
create or replace function token_usage_private.unlogged_fault(session_data jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  keys text[] := array['unlogged_input_tokens', 'unlogged_output_tokens', 'unlogged_cache_creation_tokens',
    'unlogged_cache_creation_1h_tokens', 'unlogged_cache_read_tokens', 'unlogged_web_search_requests',
    'unlogged_unpriced_tokens'];
  days jsonb := coalesce(nullif(session_data -> 'unlogged_days', 'null'), '[]');
  fault text := coalesce(
    token_usage_private.counters_fault('session_data', keys, 0, session_data),
    token_usage_private.cost_fault('session_data', 'unlogged_cost_usd',
      coalesce(nullif(session_data -> 'unlogged_cost_usd', 'null'), '0'), true));
begin
  if fault is not null then
    return fault;
  elsif jsonb_typeof(days) <> 'array' then
    return format('session_data.unlogged_days is %s; allowed: an array', token_usage_private.kind(days));
  end if;
  select one.fault into fault
  from (
    select position, format('session_data.unlogged_days[%s]', position - 1) as place, day
    from jsonb_array_elements(days) with ordinality as element (day, position)
  ) as element, lateral (select coalesce(
      case when jsonb_typeof(day) <> 'object' then
        format('%s is %s; allowed: an object', place, token_usage_private.kind(day)) end,
      token_usage_private.day_fault(place, day -> 'usage_date'),
      token_usage_private.text_fault(place, 'model', day -> 'model', true),
      token_usage_private.counters_fault(place, keys, 0, day),
      token_usage_private.cost_fault(place, 'unlogged_cost_usd',
        coalesce(nullif(day -> 'unlogged_cost_usd', 'null'), '0'), true),
      case when coalesce((day ->> 'unlogged_cache_creation_1h_tokens')::numeric, 0)
             > coalesce((day ->> 'unlogged_cache_creation_tokens')::numeric, 0) then
        format('%s.unlogged_cache_creation_1h_tokens is above unlogged_cache_creation_tokens, of which it is a part',
               place) end) as fault) as one
  where one.fault is not null order by position limit 1;
  if fault is not null then
    return fault;
  end if;
  return coalesce(
    (select format('session_data.unlogged_days has two of %s and the same model', day ->> 'usage_date')
     from jsonb_array_elements(days) as day
     group by day ->> 'usage_date', day ->> 'model' having count(*) > 1 limit 1),
    (select format('session_data.%s is not the sum of unlogged_days[].%s', key, key)
     from unnest(keys || 'unlogged_cost_usd'::text) as key
     where coalesce((session_data ->> key)::numeric, 0) <> (
       select coalesce(sum((day ->> key)::numeric), 0) from jsonb_array_elements(days) as day)
     limit 1));
end
$$;

-- The unlogged parts of those items that have the given places and tell of any, and break no rule. Raises a data
-- exception, or leaves an item out, where one does.
create or replace function token_usage_private.parse_unlogged(items jsonb, first_index integer, places integer[])
returns token_usage_private.unlogged_value[]
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
set plan_cache_mode = force_generic_plan as $$
declare
  last_day date := now()::date + 2;
  parsed token_usage_private.unlogged_value[];
begin
  select array_agg(row(first_index + position - 1, input, output, creation, creation_1h, read, searches, unpriced,
      cost, lines, days)::token_usage_private.unlogged_value)
  into parsed
  from (
    select position, s.*,
           coalesce(unlogged_input_tokens, '0')::bigint as input,
           coalesce(unlogged_output_tokens, '0')::bigint as output,
           coalesce(unlogged_cache_creation_tokens, '0')::bigint as creation,
           coalesce(unlogged_cache_creation_1h_tokens, '0')::bigint as creation_1h,
           coalesce(unlogged_cache_read_tokens, '0')::bigint as read,
           coalesce(unlogged_web_search_requests, '0')::bigint as searches,
           coalesce(unlogged_unpriced_tokens, '0')::bigint as unpriced,
           coalesce(unlogged_cost_usd, '0')::numeric as cost
    from jsonb_array_elements(items) with ordinality as one (item, position),
      jsonb_to_record(item -> 'session_data') as s (unlogged_days jsonb,
        unlogged_input_tokens text, unlogged_output_tokens text, unlogged_cache_creation_tokens text,
        unlogged_cache_creation_1h_tokens text, unlogged_cache_read_tokens text,
        unlogged_web_search_requests text, unlogged_unpriced_tokens text, unlogged_cost_usd text)
    where first_index + position - 1 = any (places) and token_usage_private.tells_unlogged(item -> 'session_data')
    offset 0
  ) as session
  cross join lateral (
    select array_agg(row(day, model_text, input, output, creation, creation_1h, read, searches, unpriced,
             cost)::token_usage_private.unlogged_day) filter (where is_any) as days,
           string_agg(concat_ws('|', to_char(day, 'YYYY-MM-DD'), input, output, creation, creation_1h, read, searches,
             unpriced, cost::numeric(24,12), octet_length(model_text), model_text) || chr(10), ''
             order by day, model_text collate "C") filter (where is_any) as lines,
           count(*) = count(distinct (day, model_text collate "C")) as distinct_days,
           coalesce(sum(input), 0) as input_sum, coalesce(sum(output), 0) as output_sum,
           coalesce(sum(creation), 0) as creation_sum, coalesce(sum(creation_1h), 0) as creation_1h_sum,
           coalesce(sum(read), 0) as read_sum, coalesce(sum(searches), 0) as searches_sum,
           coalesce(sum(unpriced), 0) as unpriced_sum, coalesce(sum(cost), 0) as cost_sum,
           coalesce(bool_and((
             least(input, output, creation, creation_1h, read, searches, unpriced) >= 0
             and greatest(input, output, creation, creation_1h, read, searches, unpriced) <= 1000000000000000
             and creation_1h <= creation
             and concat_ws(' ', coalesce(unlogged_input_tokens, '0'), coalesce(unlogged_output_tokens, '0'),
               coalesce(unlogged_cache_creation_tokens, '0'), coalesce(unlogged_cache_creation_1h_tokens, '0'),
               coalesce(unlogged_cache_read_tokens, '0'), coalesce(unlogged_web_search_requests, '0'),
               coalesce(unlogged_unpriced_tokens, '0'))
              = concat_ws(' ', input, output, creation, creation_1h, read, searches, unpriced)
             and coalesce(unlogged_cost_usd, '0') ~ '^[0-9]{1,10}([.][0-9]+)?$' and cost <= 1e9
             and cost = trunc(cost, 12)
             and jsonb_typeof(model) = 'string' and length(model_text) between 1 and 200
             and day between date '2020-01-01' and last_day and to_char(day, 'YYYY-MM-DD') = usage_date) is true),
             true) as good_days
    from (
      select c.*, c.model #>> '{}' as model_text, usage_date::date as day,
             coalesce(unlogged_input_tokens, '0')::bigint as input,
             coalesce(unlogged_output_tokens, '0')::bigint as output,
             coalesce(unlogged_cache_creation_tokens, '0')::bigint as creation,
             coalesce(unlogged_cache_creation_1h_tokens, '0')::bigint as creation_1h,
             coalesce(unlogged_cache_read_tokens, '0')::bigint as read,
             coalesce(unlogged_web_search_requests, '0')::bigint as searches,
             coalesce(unlogged_unpriced_tokens, '0')::bigint as unpriced,
             coalesce(unlogged_cost_usd, '0')::numeric as cost,
             concat_ws('', nullif(unlogged_input_tokens, '0'), nullif(unlogged_output_tokens, '0'),
               nullif(unlogged_cache_creation_tokens, '0'), nullif(unlogged_cache_creation_1h_tokens, '0'),
               nullif(unlogged_cache_read_tokens, '0'), nullif(unlogged_web_search_requests, '0'),
               nullif(unlogged_unpriced_tokens, '0'), nullif(trim(both '0.' from unlogged_cost_usd), ''))
               <> '' as is_any
      from jsonb_to_recordset(case jsonb_typeof(unlogged_days) when 'array' then unlogged_days else '[]' end)
        as c (usage_date text, model jsonb,
          unlogged_input_tokens text, unlogged_output_tokens text, unlogged_cache_creation_tokens text,
          unlogged_cache_creation_1h_tokens text, unlogged_cache_read_tokens text,
          unlogged_web_search_requests text, unlogged_unpriced_tokens text, unlogged_cost_usd text)
      offset 0
    ) as one
  ) as total
  where good_days and distinct_days and coalesce(jsonb_typeof(unlogged_days), 'null') in ('array', 'null')
    and concat_ws(' ', coalesce(unlogged_input_tokens, '0'), coalesce(unlogged_output_tokens, '0'),
      coalesce(unlogged_cache_creation_tokens, '0'), coalesce(unlogged_cache_creation_1h_tokens, '0'),
      coalesce(unlogged_cache_read_tokens, '0'), coalesce(unlogged_web_search_requests, '0'),
      coalesce(unlogged_unpriced_tokens, '0'))
     = concat_ws(' ', input, output, creation, creation_1h, read, searches, unpriced)
    and coalesce(unlogged_cost_usd, '0') ~ '^[0-9]{1,10}([.][0-9]+)?$' and cost <= 1e9
    and greatest(input, output, creation, creation_1h, read, searches, unpriced) <= 1000000000000000
    -- Equal to sums of numbers that are not negative: so these are not negative either.
    and (input, output, creation, creation_1h, read, searches, unpriced, cost)
     = (input_sum, output_sum, creation_sum, creation_1h_sum, read_sum, searches_sum, unpriced_sum, cost_sum);
  return parsed;
end
$$;

-- Puts the unlogged parts in the place of the sessions' old ones, and the exact difference into the days' rows. The
-- sessions' rows are locked by the caller.
create or replace function token_usage_private.replace_unlogged(
  owner uuid, sessions token_usage_private.session_value[], unlogged token_usage_private.unlogged_value[])
returns void language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off as $$
declare
  emptied date[];
begin
  with new as materialized (
    select session.session_id, day.usage_date, day.model collate "C" as model,
           day.input_tokens, day.output_tokens, day.cache_creation_tokens, day.cache_creation_1h_tokens,
           day.cache_read_tokens, day.web_search_requests, day.unpriced_tokens, day.cost
    from unnest(sessions) as session join unnest(unlogged) as part using (index), unnest(part.days) as day
  ), old as materialized (
    select stored.*
    from unnest(sessions) as session cross join lateral (
      select session_id, usage_date, model,
             unlogged_input_tokens as input_tokens, unlogged_output_tokens as output_tokens,
             unlogged_cache_creation_tokens as cache_creation_tokens,
             unlogged_cache_creation_1h_tokens as cache_creation_1h_tokens,
             unlogged_cache_read_tokens as cache_read_tokens,
             unlogged_web_search_requests as web_search_requests, unlogged_unpriced_tokens as unpriced_tokens,
             unlogged_cost_usd as cost
      from public.token_usage_session_unlogged as kept
      where kept.user_id = owner and kept.session_id = session.session_id offset 0) as stored
  ), removed as (
    delete from public.token_usage_session_unlogged as kept using old
    where kept.user_id = owner and kept.session_id = old.session_id and kept.usage_date = old.usage_date
      and kept.model = old.model
      and (old.session_id, old.usage_date, old.model) not in (select session_id, usage_date, model from new)
  ), written as (
    insert into public.token_usage_session_unlogged (user_id, session_id, usage_date, model,
      unlogged_input_tokens, unlogged_output_tokens, unlogged_cache_creation_tokens,
      unlogged_cache_creation_1h_tokens, unlogged_cache_read_tokens, unlogged_web_search_requests,
      unlogged_unpriced_tokens, unlogged_cost_usd)
    select owner, changed.* from (select * from new except select * from old) as changed
    on conflict (user_id, session_id, usage_date, model) do update set
      unlogged_input_tokens = excluded.unlogged_input_tokens,
      unlogged_output_tokens = excluded.unlogged_output_tokens,
      unlogged_cache_creation_tokens = excluded.unlogged_cache_creation_tokens,
      unlogged_cache_creation_1h_tokens = excluded.unlogged_cache_creation_1h_tokens,
      unlogged_cache_read_tokens = excluded.unlogged_cache_read_tokens,
      unlogged_web_search_requests = excluded.unlogged_web_search_requests,
      unlogged_unpriced_tokens = excluded.unlogged_unpriced_tokens,
      unlogged_cost_usd = excluded.unlogged_cost_usd
  ), difference as (
    select usage_date,
           sum(sign * input_tokens) as input_tokens, sum(sign * output_tokens) as output_tokens,
           sum(sign * cache_creation_tokens) as cache_creation_tokens,
           sum(sign * cache_creation_1h_tokens) as cache_creation_1h_tokens,
           sum(sign * cache_read_tokens) as cache_read_tokens,
           sum(sign * web_search_requests) as web_search_requests,
           sum(sign * unpriced_tokens) as unpriced_tokens, sum(sign * cost) as cost,
           count(distinct session_id) filter (where sign = 1)
             - count(distinct session_id) filter (where sign = -1) as session_count
    from (select 1 as sign, * from new union all select -1, * from old) as change
    group by usage_date
  ), booked as (
    insert into public.token_usage_daily_unlogged as daily (user_id, usage_date,
      daily_unlogged_input_tokens, daily_unlogged_output_tokens, daily_unlogged_cache_creation_tokens,
      daily_unlogged_cache_creation_1h_tokens, daily_unlogged_cache_read_tokens,
      daily_unlogged_web_search_requests, daily_unlogged_unpriced_tokens, daily_unlogged_cost_usd,
      daily_unlogged_session_count)
    select owner, difference.* from difference
    where (input_tokens, output_tokens, cache_creation_tokens, cache_creation_1h_tokens,
      cache_read_tokens, web_search_requests, unpriced_tokens, cost, session_count) <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
    order by usage_date
    on conflict (user_id, usage_date) do update set
      daily_unlogged_input_tokens = daily.daily_unlogged_input_tokens + excluded.daily_unlogged_input_tokens,
      daily_unlogged_output_tokens =
        daily.daily_unlogged_output_tokens + excluded.daily_unlogged_output_tokens,
      daily_unlogged_cache_creation_tokens =
        daily.daily_unlogged_cache_creation_tokens + excluded.daily_unlogged_cache_creation_tokens,
      daily_unlogged_cache_creation_1h_tokens =
        daily.daily_unlogged_cache_creation_1h_tokens + excluded.daily_unlogged_cache_creation_1h_tokens,
      daily_unlogged_cache_read_tokens =
        daily.daily_unlogged_cache_read_tokens + excluded.daily_unlogged_cache_read_tokens,
      daily_unlogged_web_search_requests =
        daily.daily_unlogged_web_search_requests + excluded.daily_unlogged_web_search_requests,
      daily_unlogged_unpriced_tokens =
        daily.daily_unlogged_unpriced_tokens + excluded.daily_unlogged_unpriced_tokens,
      daily_unlogged_cost_usd = daily.daily_unlogged_cost_usd + excluded.daily_unlogged_cost_usd,
      daily_unlogged_session_count =
        daily.daily_unlogged_session_count + excluded.daily_unlogged_session_count,
      updated_at = now()
    returning usage_date, daily_unlogged_session_count
  )
  select array_agg(usage_date) filter (where daily_unlogged_session_count = 0) into emptied from booked;
  if emptied is not null then
    delete from public.token_usage_daily_unlogged where user_id = owner and usage_date = any (emptied);
  end if;
end
$$;

-- As merge_values of contract 2, of values with their unlogged parts: keeps of each session the value with the
-- greatest rank, whole. Locks are taken in the order of the keys, sessions before days, days of what is logged before
-- those of what is not.
create or replace function token_usage_private.merge_whole(
  owner uuid, sessions token_usage_private.session_value[], unlogged token_usage_private.unlogged_value[])
returns integer[] language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  better token_usage_private.session_value[];
  leave_running_totals boolean;
  won text[];
begin
  select array_agg(v.value), bool_or((v.value).revision > 0 and coalesce(stored.revision, 0) = 0)
  into better, leave_running_totals
  from (
    select distinct on (v.session_id) v as value, v.*,
           coalesce(u.input_tokens + u.output_tokens + u.cache_creation_tokens + u.cache_read_tokens
             + u.web_search_requests, 0) as unlogged_usage
    from unnest(sessions) as v left join unnest(unlogged) as u on u.index = v.index
    order by v.session_id, v.revision desc, v.message_count desc, v.output_tokens desc,
      v.input_tokens + v.output_tokens + v.cache_creation_tokens + v.cache_read_tokens desc, v.incomplete_messages,
      unlogged_usage desc, v.digest desc, v.index
  ) as v
  left join lateral (
    select * from public.token_usage_sessions where user_id = owner and session_id = v.session_id offset 0
  ) as stored on true
  where stored.user_id is null or v.revision = 0
    or (v.revision, v.message_count, v.output_tokens,
        v.input_tokens + v.output_tokens + v.cache_creation_tokens + v.cache_read_tokens, -v.incomplete_messages,
        v.unlogged_usage, v.digest)
     > (stored.revision, stored.message_count, stored.output_tokens, stored.total_tokens,
        -stored.incomplete_messages, stored.unlogged_input_tokens + stored.unlogged_output_tokens
          + stored.unlogged_cache_creation_tokens + stored.unlogged_cache_read_tokens
          + stored.unlogged_web_search_requests, stored.value_digest);
  if better is null then
    return '{}';
  end if;
  -- Keeps the user from being deleted until the call has ended. A new row's foreign key asks for this lock too, but
  -- when sessions are locked already, for which a deletion waits that holds it: a deadlock. (One may still be
  -- where the owner of this function may only read auth.users.)
  if has_table_privilege('auth.users', 'update') then
    perform from auth.users where id = owner for key share;
  end if;
  with written as (
    insert into public.token_usage_sessions as stored (user_id, session_id, revision, input_tokens, output_tokens,
      cache_creation_tokens, cache_creation_1h_tokens, cache_read_tokens, thinking_tokens, message_count,
      web_search_requests, incomplete_messages, unpriced_messages, unpriced_tokens, estimated_cost_usd,
      session_started_at, last_message_at, model_used, value_digest, unlogged_input_tokens,
      unlogged_output_tokens, unlogged_cache_creation_tokens, unlogged_cache_creation_1h_tokens,
      unlogged_cache_read_tokens, unlogged_web_search_requests, unlogged_unpriced_tokens, unlogged_cost_usd)
    select owner, v.session_id, v.revision, v.input_tokens, v.output_tokens, v.cache_creation_tokens,
           v.cache_creation_1h_tokens, v.cache_read_tokens, v.thinking_tokens, v.message_count,
           v.web_search_requests, v.incomplete_messages, v.unpriced_messages, v.unpriced_tokens,
           v.estimated_cost_usd, v.session_started_at, v.last_message_at, v.model_used, v.digest,
           coalesce(u.input_tokens, 0), coalesce(u.output_tokens, 0), coalesce(u.cache_creation_tokens, 0),
           coalesce(u.cache_creation_1h_tokens, 0), coalesce(u.cache_read_tokens, 0),
           coalesce(u.web_search_requests, 0), coalesce(u.unpriced_tokens, 0), coalesce(u.cost, 0)
    from unnest(better) as v left join unnest(unlogged) as u on u.index = v.index
    order by v.session_id
    on conflict (user_id, session_id) do update set
      revision = excluded.revision, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
      cache_creation_tokens = excluded.cache_creation_tokens,
      cache_creation_1h_tokens = excluded.cache_creation_1h_tokens,
      cache_read_tokens = excluded.cache_read_tokens, thinking_tokens = excluded.thinking_tokens,
      message_count = excluded.message_count, web_search_requests = excluded.web_search_requests,
      incomplete_messages = excluded.incomplete_messages, unpriced_messages = excluded.unpriced_messages,
      unpriced_tokens = excluded.unpriced_tokens, estimated_cost_usd = excluded.estimated_cost_usd,
      session_started_at = excluded.session_started_at, last_message_at = excluded.last_message_at,
      model_used = excluded.model_used, value_digest = excluded.value_digest, last_updated_at = now(),
      unlogged_input_tokens = excluded.unlogged_input_tokens,
      unlogged_output_tokens = excluded.unlogged_output_tokens,
      unlogged_cache_creation_tokens = excluded.unlogged_cache_creation_tokens,
      unlogged_cache_creation_1h_tokens = excluded.unlogged_cache_creation_1h_tokens,
      unlogged_cache_read_tokens = excluded.unlogged_cache_read_tokens,
      unlogged_web_search_requests = excluded.unlogged_web_search_requests,
      unlogged_unpriced_tokens = excluded.unlogged_unpriced_tokens, unlogged_cost_usd = excluded.unlogged_cost_usd
    where (excluded.revision = 0 and stored.revision = 0)
      or (excluded.revision, excluded.message_count, excluded.output_tokens,
          excluded.input_tokens + excluded.output_tokens + excluded.cache_creation_tokens
            + excluded.cache_read_tokens, -excluded.incomplete_messages,
          excluded.unlogged_input_tokens + excluded.unlogged_output_tokens
            + excluded.unlogged_cache_creation_tokens + excluded.unlogged_cache_read_tokens
            + excluded.unlogged_web_search_requests,
          excluded.value_digest)
       > (stored.revision, stored.message_count, stored.output_tokens, stored.total_tokens,
          -stored.incomplete_messages, stored.unlogged_input_tokens + stored.unlogged_output_tokens
            + stored.unlogged_cache_creation_tokens + stored.unlogged_cache_read_tokens
            + stored.unlogged_web_search_requests, stored.value_digest)
    returning session_id
  )
  select array_agg(session_id) into won from written;
  if won is null then
    return '{}';
  end if;
  if cardinality(won) < cardinality(better) then
    better := array(select v from unnest(better) as v where v.session_id = any (won));
  end if;
  if leave_running_totals then
    delete from token_usage_private.running_totals
    where user_id = owner
      and session_id = any (array(select v.session_id from unnest(better) as v where v.revision > 0));
  end if;
  perform token_usage_private.replace_cells(owner, better);
  if cardinality(unlogged) > 0 or exists (
      select from unnest(better) as v
      join public.token_usage_session_unlogged as kept on kept.user_id = owner and kept.session_id = v.session_id)
  then
    perform token_usage_private.replace_unlogged(owner, better, unlogged);
  end if;
  return array(select v.index from unnest(better) as v);
end
$$;

-- The sessions whose unlogged parts break no rule, those with such a part under a digest of the whole; the parts; and
-- for each of the others why it cannot be taken.
create or replace function token_usage_private.take_unlogged(
  items jsonb, inout sessions token_usage_private.session_value[], inout faults text[],
  out unlogged token_usage_private.unlogged_value[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  telling integer[] := array(
    select v.index from unnest(sessions) as v
    where token_usage_private.tells_unlogged(items #> array[v.index::text, 'session_data']));
  place integer;
begin
  unlogged := '{}';
  if cardinality(telling) = 0 then
    return;
  end if;
  begin
    unlogged := coalesce(token_usage_private.parse_unlogged(items, 0, telling), '{}');
  exception when data_exception then
    -- One of them is broken: each for itself then.
    foreach place in array telling loop
      begin
        unlogged := unlogged || coalesce(token_usage_private.parse_unlogged(
          jsonb_build_array(items -> place), place, array[place]), '{}');
      exception when data_exception then
        null;  -- explained below
      end;
    end loop;
  end;
  for place in
    select n from unnest(telling) as n where n <> all (array(select part.index from unnest(unlogged) as part))
  loop
    faults[place + 1] := coalesce(
      token_usage_private.unlogged_fault(items #> array[place::text, 'session_data']), 'not acceptable');
  end loop;
  -- What says that there is none says what a value says that is silent.
  unlogged := array(select part from unnest(unlogged) as part where part.days is not null);
  sessions := array(
    select row(v.index, v.session_id, v.revision, v.input_tokens, v.output_tokens, v.cache_creation_tokens,
      v.cache_creation_1h_tokens, v.cache_read_tokens, v.thinking_tokens, v.message_count, v.web_search_requests,
      v.incomplete_messages, v.unpriced_messages, v.unpriced_tokens, v.estimated_cost_usd, v.session_started_at,
      v.last_message_at, v.model_used,
      case when part.lines is null then v.digest else sha256(v.digest || convert_to(part.lines, 'UTF8')) end,
      v.cells)::token_usage_private.session_value
    from unnest(sessions) as v left join unnest(unlogged) as part on part.index = v.index
    where faults[v.index + 1] is null);
end
$$;

-- Takes items for a user: the answers, in their order. As that of contract 2, with the unlogged parts.
create or replace function token_usage_private.take(items jsonb, owner uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  item_count integer := jsonb_array_length(items);
  sessions token_usage_private.session_value[];
  unlogged token_usage_private.unlogged_value[] := '{}';
  running token_usage_private.running_value[] := '{}';
  running_value token_usage_private.running_value;
  accepted integer[] := '{}';
  faults text[] := array_fill(null::text, array[item_count]);
  item jsonb;
  position integer;
begin
  begin
    sessions := token_usage_private.parse_values(items, 0, owner);
  exception when data_exception then
    -- One of the items is broken: each for itself then.
    for position in 0 .. item_count - 1 loop
      begin
        sessions := sessions
          || token_usage_private.parse_values(jsonb_build_array(items -> position), position, owner);
      exception when data_exception then
        null;  -- explained below
      end;
    end loop;
  end;
  if coalesce(cardinality(sessions), 0) < item_count then
    for position in
      select n from generate_series(0, item_count - 1) as n
      where n <> all (array(select index from unnest(sessions)))
    loop
      item := items -> position;
      running_value := token_usage_private.parse_running(item -> 'session_data', item -> 'daily_data', position, owner);
      if running_value is distinct from null then
        running := running || running_value;
      else
        faults[position + 1] := coalesce(
          token_usage_private.fault(item -> 'session_data', item -> 'daily_data', owner), 'not acceptable');
      end if;
    end loop;
  end if;
  if sessions is not null then
    select told.sessions, told.faults, told.unlogged into sessions, faults, unlogged
    from token_usage_private.take_unlogged(items, sessions, faults) as told;
  end if;
  if cardinality(running) > 0 then
    select merged.sessions, merged.accepted into sessions, accepted
    from token_usage_private.merge_running(owner, running, sessions) as merged;
  end if;
  if sessions is not null then
    accepted := accepted || token_usage_private.merge_whole(owner, sessions, unlogged);
  end if;
  return (
    select jsonb_agg(case
        when faults[n] is not null then jsonb_build_object('index', n - 1, 'session_id', id, 'status', 'rejected',
          'code', '22023', 'message', faults[n])
        else jsonb_build_object('index', n - 1, 'session_id', id, 'status',
          case when n - 1 = any (accepted) then 'accepted' else 'unchanged' end)
      end order by n)
    from jsonb_array_elements(items) with ordinality as answer (value, n),
      left(answer.value #>> '{session_data,session_id}', 200) as id);
end
$$;

create or replace function public.token_usage_check(p_user_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  caller text := token_usage_private.caller_role();
begin
  if caller = 'authenticated' and p_user_id is distinct from auth.uid() then
    raise exception using errcode = '42501', message = 'p_user_id is not the caller''s own';
  end if;
  return jsonb_build_object('contract', 3,
    'user_exists', exists (select from auth.users where id = p_user_id),
    'server_time', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'role', caller);
end
$$;

-- 6. Who may call --------------------------------------------------------------------------------------------------

revoke all on all functions in schema token_usage_private from public, anon, authenticated, service_role;
revoke all on function public.token_usage_check(uuid) from public, anon, authenticated, service_role;
grant execute on function public.token_usage_check(uuid) to authenticated, service_role;

notify pgrst, 'reload schema';

commit;
