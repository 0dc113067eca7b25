-- Token usage of Claude Code, contract 2: what a tallyd (or an old caller) sends, counted exactly once.
--
-- Owns: the tables token_usage_sessions, token_usage_session_days, token_usage_daily and
-- token_usage_daily_before_tallyd, the three functions upsert_token_usage, upsert_token_usage_batch and
-- token_usage_check, and the schema token_usage_private. Refuses to give anybody but the owner of the tables
-- a right to write to them: all writing goes through the functions. Fails as a whole: one transaction, which
-- may be run again at any time. Runs as role `postgres` (no superuser) on PostgreSQL 15 to 18.
--
-- A session is one value: totals, and cells (UTC day, model) that add up to them. Of all values that were ever
-- sent for a session the one with the greatest rank is kept, whole:
--     rank = (revision, message_count, output_tokens, all tokens, fewer incomplete_messages, digest)
-- The rank depends on the value alone, so calls may be repeated, lost, reordered or batched in any way.
-- README.md beside this folder tells the contract.

begin;

-- A table in use is not waited for with everybody else queueing behind; an upgrade of many rows may take long.
set local lock_timeout = '5s';
set local statement_timeout = 0;
set local client_min_messages = warning;

create schema if not exists token_usage_private;
revoke all on schema token_usage_private from public, anon, authenticated, service_role;

-- 1. Tables ------------------------------------------------------------------------------------------------------
-- The tables of contract 1, where they are missing: a fresh project and an old one are then upgraded along the
-- same path and end in the same schema.

create table if not exists public.token_usage_sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  session_id text not null,
  input_tokens integer not null default 0,
  output_tokens integer not null default 0,
  cache_creation_tokens integer not null default 0,
  cache_read_tokens integer not null default 0,
  thinking_tokens integer not null default 0,
  total_tokens integer generated always as (
    input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens + thinking_tokens) stored,
  message_count integer not null default 0,
  session_started_at timestamptz not null,
  last_updated_at timestamptz not null default now(),
  estimated_cost_usd numeric(10,6) not null default 0,
  model_used text,
  unique (user_id, session_id)
);

create table if not exists public.token_usage_daily (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  usage_date date not null,
  daily_input_tokens bigint not null default 0,
  daily_output_tokens bigint not null default 0,
  daily_cache_creation_tokens bigint not null default 0,
  daily_cache_read_tokens bigint not null default 0,
  daily_thinking_tokens bigint not null default 0,
  daily_total_tokens bigint generated always as (
    daily_input_tokens + daily_output_tokens + daily_cache_creation_tokens + daily_cache_read_tokens
      + daily_thinking_tokens) stored,
  daily_session_count integer not null default 0,
  daily_message_count integer not null default 0,
  daily_cost_usd numeric(12,6) not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (user_id, usage_date)
);

-- The three new tables refer to auth.users only at the end of the upgrade: to be referred to locks that table
-- against sign-ups and sign-ins, which write to it, and the copying before may take minutes. (A user who is deleted
-- meanwhile goes first, and the migration fails whole, with a deadlock: run it again.)

-- The daily rows of contract 1 as they were found, for audit. Nothing writes to it after the upgrade.
create table if not exists public.token_usage_daily_before_tallyd (
  user_id uuid not null,
  usage_date date not null,
  daily_input_tokens bigint not null,
  daily_output_tokens bigint not null,
  daily_cache_creation_tokens bigint not null,
  daily_cache_read_tokens bigint not null,
  daily_thinking_tokens bigint not null,
  daily_total_tokens bigint not null,
  daily_session_count bigint not null,
  daily_message_count bigint not null,
  daily_cost_usd numeric(12,6) not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (user_id, usage_date)
);

-- The cells. `model` is '' where an old caller did not say which model answered what.
create table if not exists public.token_usage_session_days (
  user_id uuid not null,
  session_id text not null,
  usage_date date not null,
  model text collate "C" not null,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cache_creation_tokens bigint not null default 0,
  cache_creation_1h_tokens bigint not null default 0,
  cache_read_tokens bigint not null default 0,
  thinking_tokens bigint not null default 0,
  total_tokens bigint not null generated always as (
    input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens) stored,
  message_count bigint not null default 0,
  web_search_requests bigint not null default 0,
  incomplete_messages bigint not null default 0,
  unpriced_messages bigint not null default 0,
  unpriced_tokens bigint not null default 0,
  estimated_cost_usd numeric(24,12) not null default 0,
  cost_is_complete boolean not null generated always as (unpriced_messages = 0) stored,
  primary key (user_id, session_id, usage_date, model)
) with (fillfactor = 80);

-- What old callers said a session's totals had grown to, by the day they said it of: the greatest of each
-- counter. Everything else of such a session is computed from these rows, so no order of calls matters.
create table if not exists token_usage_private.running_totals (
  user_id uuid not null,
  session_id text not null,
  usage_date date not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_creation_tokens bigint not null,
  cache_read_tokens bigint not null,
  thinking_tokens bigint not null,
  message_count bigint not null,
  estimated_cost_usd numeric(24,12) not null,
  session_started_at timestamptz not null,
  model_used text collate "C" not null,
  primary key (user_id, session_id, usage_date)
);

do $upgrade$
declare
  old_key text;
begin
  if exists (select from pg_catalog.pg_attribute where attname = 'revision' and not attisdropped
             and attrelid = 'public.token_usage_sessions'::regclass) then
    return;  -- upgraded before
  end if;
  lock table public.token_usage_sessions, public.token_usage_daily in access exclusive mode;

  insert into public.token_usage_daily_before_tallyd
  select user_id, usage_date, daily_input_tokens, daily_output_tokens, daily_cache_creation_tokens,
         daily_cache_read_tokens, daily_thinking_tokens, daily_total_tokens, daily_session_count,
         daily_message_count, daily_cost_usd, created_at, updated_at
  from public.token_usage_daily;

  -- Doubles of the keys, and indexes on columns that change, which make every update write every index.
  drop index if exists public.idx_token_sessions_user_id, public.idx_token_sessions_date,
    public.idx_token_sessions_session_id, public.idx_token_daily_user_id, public.idx_token_daily_date,
    public.idx_token_daily_cost;
  -- Thinking tokens are output tokens already: a total that adds them counts them twice.
  alter table public.token_usage_sessions
    drop column total_tokens,
    set (fillfactor = 80);
  alter table public.token_usage_daily
    drop column daily_total_tokens,
    set (fillfactor = 70);
  -- Whatever the keys are called: a project may have renamed them, or made its tables by hand.
  for old_key in
    select format('alter table %s drop constraint %I', conrelid::regclass, conname) from pg_catalog.pg_constraint
    where conrelid in ('public.token_usage_sessions'::regclass, 'public.token_usage_daily'::regclass)
      and contype in ('p', 'u')
  loop
    execute old_key;
  end loop;
  truncate public.token_usage_daily;  -- rebuilt below from the sessions

  -- Contract 1 took negative numbers and dollars that are no number (which no difference takes out of a sum
  -- again); none was ever used.
  alter table public.token_usage_sessions
    alter column id set default gen_random_uuid(),
    alter column input_tokens type bigint using greatest(input_tokens, 0),
    alter column output_tokens type bigint using greatest(output_tokens, 0),
    alter column cache_creation_tokens type bigint using greatest(cache_creation_tokens, 0),
    alter column cache_read_tokens type bigint using greatest(cache_read_tokens, 0),
    alter column thinking_tokens type bigint using greatest(thinking_tokens, 0),
    alter column message_count type bigint using greatest(message_count, 0),
    alter column estimated_cost_usd type numeric(24,12) using greatest(nullif(estimated_cost_usd, 'NaN'), 0),
    alter column estimated_cost_usd set default 0,
    alter column model_used type text using coalesce(model_used, ''),
    alter column model_used set default '',
    alter column model_used set not null,
    add column revision bigint not null default 0,
    add column cache_creation_1h_tokens bigint not null default 0,
    add column web_search_requests bigint not null default 0,
    add column incomplete_messages bigint not null default 0,
    add column unpriced_messages bigint not null default 0,
    add column unpriced_tokens bigint not null default 0,
    add column last_message_at timestamptz,
    add column total_tokens bigint not null generated always as (
      input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens) stored,
    add column cost_is_complete boolean not null generated always as (unpriced_messages = 0) stored,
    add column value_digest bytea not null default '',
    add primary key (user_id, session_id);
  alter table public.token_usage_daily
    alter column id set default gen_random_uuid(),
    alter column daily_session_count type bigint,
    alter column daily_message_count type bigint,
    alter column daily_cost_usd type numeric(24,12),
    alter column daily_cost_usd set default 0,
    add column daily_cache_creation_1h_tokens bigint not null default 0,
    add column daily_web_search_requests bigint not null default 0,
    add column daily_incomplete_messages bigint not null default 0,
    add column daily_unpriced_messages bigint not null default 0,
    add column daily_unpriced_tokens bigint not null default 0,
    add column daily_total_tokens bigint not null generated always as (
      daily_input_tokens + daily_output_tokens + daily_cache_creation_tokens + daily_cache_read_tokens) stored,
    add column cost_is_complete boolean not null generated always as (daily_unpriced_messages = 0) stored,
    add primary key (user_id, usage_date);
  -- Reports over all users ask for a span of days; a row's day never changes, so updates stay in their page.
  create index token_usage_daily_usage_date_idx on public.token_usage_daily (usage_date, user_id);

  -- The sessions' totals are what can be trusted of contract 1: running totals as of the day they were last sent.
  insert into token_usage_private.running_totals
  select user_id, session_id, (last_updated_at at time zone 'UTC')::date, input_tokens, output_tokens,
         cache_creation_tokens, cache_read_tokens, thinking_tokens, message_count, estimated_cost_usd,
         session_started_at, model_used
  from public.token_usage_sessions;
  insert into public.token_usage_session_days (user_id, session_id, usage_date, model, input_tokens, output_tokens,
    cache_creation_tokens, cache_read_tokens, thinking_tokens, message_count, estimated_cost_usd)
  select user_id, session_id, usage_date, '', input_tokens, output_tokens, cache_creation_tokens,
         cache_read_tokens, thinking_tokens, message_count, estimated_cost_usd
  from token_usage_private.running_totals
  where (input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens, thinking_tokens, message_count,
         estimated_cost_usd) <> (0, 0, 0, 0, 0, 0, 0);
  insert into public.token_usage_daily (user_id, usage_date, daily_input_tokens, daily_output_tokens,
    daily_cache_creation_tokens, daily_cache_read_tokens, daily_thinking_tokens, daily_session_count,
    daily_message_count, daily_cost_usd)
  select user_id, usage_date, sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
         sum(cache_read_tokens), sum(thinking_tokens), count(*), sum(message_count), sum(estimated_cost_usd)
  from public.token_usage_session_days group by user_id, usage_date;

  alter table public.token_usage_daily_before_tallyd
    add foreign key (user_id) references auth.users (id) on delete cascade;
  alter table public.token_usage_session_days
    add foreign key (user_id) references auth.users (id) on delete cascade;
  alter table token_usage_private.running_totals
    add foreign key (user_id) references auth.users (id) on delete cascade;
end
$upgrade$;

comment on table public.token_usage_sessions is
  'Best value ever sent of each session; equal to the sum of its rows in token_usage_session_days.';
comment on table public.token_usage_session_days is
  'What a session used on a UTC day with a model. Model '''' : sent by an old caller, which does not tell.';
comment on table public.token_usage_daily is
  'What a user used on a UTC day: at every commit the sum of token_usage_session_days.';
comment on table public.token_usage_daily_before_tallyd is
  'Daily rows as contract 1 had counted them (calls, not usage): kept for audit, read by service_role only.';
comment on column public.token_usage_sessions.thinking_tokens is 'Part of output_tokens; in no total.';
comment on column public.token_usage_sessions.cache_creation_1h_tokens is 'Part of cache_creation_tokens.';
comment on column public.token_usage_sessions.incomplete_messages is 'Messages whose final count is in no log.';
comment on column public.token_usage_sessions.cost_is_complete is
  'False: some messages have no known price, and the cost is a lower bound.';
comment on column public.token_usage_sessions.revision is
  'Rules by which the value was counted and priced; 0: by an old caller.';
comment on column public.token_usage_sessions.value_digest is
  'SHA-256 of the value''s canonical text (supabase/README.md); empty at revision 0.';

-- 2. Who may read --------------------------------------------------------------------------------------------------

alter table public.token_usage_sessions enable row level security;
alter table public.token_usage_session_days enable row level security;
alter table public.token_usage_daily enable row level security;
alter table public.token_usage_daily_before_tallyd enable row level security;
alter table token_usage_private.running_totals enable row level security;

-- Old projects granted everything on new tables to these roles by default, new ones grant nothing.
revoke all on public.token_usage_sessions, public.token_usage_session_days, public.token_usage_daily,
  public.token_usage_daily_before_tallyd, token_usage_private.running_totals
  from public, anon, authenticated, service_role;
grant select on public.token_usage_sessions, public.token_usage_session_days, public.token_usage_daily
  to authenticated, service_role;
grant select on public.token_usage_daily_before_tallyd to service_role;

drop policy if exists "Users can view own token sessions" on public.token_usage_sessions;
drop policy if exists "Service role can manage all token sessions" on public.token_usage_sessions;
drop policy if exists "Users can view own daily usage" on public.token_usage_daily;
drop policy if exists "Service role can manage all daily usage" on public.token_usage_daily;
drop policy if exists token_usage_sessions_owner on public.token_usage_sessions;
drop policy if exists token_usage_session_days_owner on public.token_usage_session_days;
drop policy if exists token_usage_daily_owner on public.token_usage_daily;
-- The sub-select is evaluated once a query, not once a row. service_role passes by row level security.
create policy token_usage_sessions_owner on public.token_usage_sessions
  for select to authenticated using ((select auth.uid()) = user_id);
create policy token_usage_session_days_owner on public.token_usage_session_days
  for select to authenticated using ((select auth.uid()) = user_id);
create policy token_usage_daily_owner on public.token_usage_daily
  for select to authenticated using ((select auth.uid()) = user_id);

-- 3. Values --------------------------------------------------------------------------------------------------------
-- `index` ties a value to its item of the call.

do $types$
begin
  if to_regtype('token_usage_private.cell_value') is null then
    create type token_usage_private.cell_value as (
      usage_date date, model text, input_tokens bigint, output_tokens bigint, cache_creation_tokens bigint,
      cache_creation_1h_tokens bigint, cache_read_tokens bigint, thinking_tokens bigint, message_count bigint,
      web_search_requests bigint, incomplete_messages bigint, unpriced_messages bigint, unpriced_tokens bigint,
      estimated_cost_usd numeric(24,12));
  end if;
  if to_regtype('token_usage_private.session_value') is null then
    create type token_usage_private.session_value as (
      index integer, session_id text, revision bigint, input_tokens bigint, output_tokens bigint,
      cache_creation_tokens bigint, cache_creation_1h_tokens bigint, cache_read_tokens bigint,
      thinking_tokens bigint, message_count bigint, web_search_requests bigint, incomplete_messages bigint,
      unpriced_messages bigint, unpriced_tokens bigint, estimated_cost_usd numeric(24,12),
      session_started_at timestamptz, last_message_at timestamptz, model_used text, digest bytea,
      cells token_usage_private.cell_value[]);
  end if;
  if to_regtype('token_usage_private.running_value') is null then
    create type token_usage_private.running_value as (
      index integer, session_id text, usage_date date, input_tokens bigint, output_tokens bigint,
      cache_creation_tokens bigint, cache_read_tokens bigint, thinking_tokens bigint, message_count bigint,
      estimated_cost_usd numeric(24,12), session_started_at timestamptz, model_used text);
  end if;
end
$types$;

-- 4. Functions -----------------------------------------------------------------------------------------------------
-- Each pins its search_path with pg_temp last: left out, it would come first, and a caller's temporary domain
-- named like a built-in type would run its check as the owner. No text here holds a backslash, so a caller's
-- standard_conforming_strings changes nothing.

-- A user's id, or null where the value is none. (In plpgsql, whose plans are kept: a call in SQL is parsed anew.)
create or replace function token_usage_private.as_user(value jsonb) returns uuid
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(value) = 'string'
    and value #>> '{}' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
    return (value #>> '{}')::uuid;
  end if;
  return null;
end
$$;

-- 'service_role' or 'authenticated', from the role that the session runs as and not from its token's claims.
-- Inside of a function with its owner's rights the setting `role` still tells the caller, and cannot be set.
create or replace function token_usage_private.caller_role() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  caller name := case current_setting('role') when 'none' then session_user else current_setting('role') end;
begin
  if pg_has_role(caller, 'service_role', 'usage') then
    return 'service_role';
  elsif pg_has_role(caller, 'authenticated', 'usage') then
    return 'authenticated';
  end if;
  raise exception using errcode = '42501', message = format('role %I may not use token usage', caller);
end
$$;

-- What a value at a key is, in a word or two, never its text. `most`: the greatest number that is allowed there.
create or replace function token_usage_private.kind(value jsonb, most numeric default 1e15) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when value is null then 'missing'
    when jsonb_typeof(value) = 'null' then 'null'
    when jsonb_typeof(value) = 'boolean' then 'a boolean'
    when jsonb_typeof(value) in ('object', 'array') then 'an ' || jsonb_typeof(value)
    when jsonb_typeof(value) = 'string' and value #>> '{}' !~ '^-?[0-9]{1,40}([.][0-9]{1,40})?$' then
      format('a string of %s characters', length(value #>> '{}'))
    when (value #>> '{}')::numeric < 0 then 'a negative number'
    when (value #>> '{}')::numeric > most then 'above what is allowed'
    when trunc((value #>> '{}')::numeric) <> (value #>> '{}')::numeric then
      format('a number with %s decimals', min_scale((value #>> '{}')::numeric))
    else 'a ' || jsonb_typeof(value)
  end
$$;

create or replace function token_usage_private.counter_fault(place text, key text, value jsonb, needed boolean)
returns text language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when not needed and coalesce(jsonb_typeof(value), 'null') = 'null' then null
    when jsonb_typeof(value) in ('number', 'string') and value #>> '{}' ~ '^(0|[1-9][0-9]{0,15})$'
      and (value #>> '{}')::bigint between (case key when 'revision' then 1 else 0 end) and 1000000000000000
      then null
    else format('%s.%s is %s; allowed: a whole number from %s to 10^15, as a number or as a string of digits',
                place, key, token_usage_private.kind(value), case key when 'revision' then 1 else 0 end)
  end
$$;

-- The first fault among counters of which the first `needed` must be there.
create or replace function token_usage_private.counters_fault(place text, keys text[], needed integer, object jsonb)
returns text language sql immutable set search_path = pg_catalog, pg_temp as $$
  select fault
  from unnest(keys) with ordinality as counter (key, position),
    token_usage_private.counter_fault(place, key, object -> key, position <= needed) as fault
  where fault is not null order by position limit 1
$$;

create or replace function token_usage_private.cost_fault(place text, key text, value jsonb, needed boolean)
returns text language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when not needed and coalesce(jsonb_typeof(value), 'null') = 'null' then null
    -- A longer text may hold more decimals than the cast can take, which would fail the whole call.
    when jsonb_typeof(value) in ('number', 'string') and length(value #>> '{}') <= 1000
      and value #>> '{}' ~ '^[0-9]{1,10}([.][0-9]+)?$' and (value #>> '{}')::numeric <= 1e9
      and (not needed or (value #>> '{}')::numeric = trunc((value #>> '{}')::numeric, 12)) then null
    else format('%s.%s is %s; allowed: US dollars from 0 to 10^9 with up to 12 decimals, as a number or as a '
                'string of digits', place, key, token_usage_private.kind(value, 1e9))
  end
$$;

create or replace function token_usage_private.text_fault(place text, key text, value jsonb, needed boolean)
returns text language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when not needed and coalesce(jsonb_typeof(value), 'null') = 'null' then null
    when jsonb_typeof(value) = 'string'
      and length(value #>> '{}') between (case when needed then 1 else 0 end) and 200 then null
    else format('%s.%s is %s; allowed: a string of 1 to 200 characters', place, key,
                token_usage_private.kind(value))
  end
$$;

create or replace function token_usage_private.day_fault(place text, value jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  if jsonb_typeof(value) = 'string' and value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
    and (value #>> '{}')::date between date '2020-01-01' and now()::date + 2 then
    return null;
  end if;
  raise datetime_field_overflow;
exception when data_exception then
  return format('%s.usage_date is %s; allowed: a UTC day YYYY-MM-DD from 2020-01-01 to the day after tomorrow',
                place, token_usage_private.kind(value));
end
$$;

create or replace function token_usage_private.instant_fault(place text, key text, value jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  if jsonb_typeof(value) = 'string' and (value #>> '{}')::timestamptz is not null
    and value #>> '{}' ~ '^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9.]+(Z|[+-][0-9:]+)$' then
    return null;
  end if;
  raise datetime_field_overflow;
exception when data_exception then
  return format('%s.%s is %s; allowed: a time such as 2026-11-22T09:30:00.123Z', place, key,
                token_usage_private.kind(value));
end
$$;

-- Why a value of an old caller cannot be taken: null if it can.
create or replace function token_usage_private.running_fault(session_data jsonb, daily_data jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(
    case when jsonb_typeof(daily_data) is distinct from 'object' then
      format('daily_data is %s; allowed without a revision: one object', token_usage_private.kind(daily_data)) end,
    token_usage_private.day_fault('daily_data', daily_data -> 'usage_date'),
    token_usage_private.counters_fault('session_data', array['input_tokens', 'output_tokens',
      'cache_creation_tokens', 'cache_read_tokens', 'thinking_tokens', 'message_count'], 0, session_data),
    token_usage_private.cost_fault('session_data', 'estimated_cost_usd', session_data -> 'estimated_cost_usd', false),
    token_usage_private.instant_fault('session_data', 'session_started_at', session_data -> 'session_started_at'),
    token_usage_private.text_fault('session_data', 'model_used', session_data -> 'model_used', false))
$$;

-- Why the cells cannot be taken: null if they can, each for itself.
create or replace function token_usage_private.cells_fault(cells jsonb, owner uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select fault
  from jsonb_array_elements(cells) with ordinality as one (cell, position),
    format('daily_data[%s]', position - 1) as place,
    coalesce(
      case when jsonb_typeof(cell) <> 'object' then format('%s is %s; allowed: an object', place,
        token_usage_private.kind(cell)) end,
      case when coalesce(jsonb_typeof(cell -> 'user_id'), 'null') <> 'null'
             and token_usage_private.as_user(cell -> 'user_id') is distinct from owner then
        format('%s.user_id is another than session_data.user_id; allowed: the same, or none', place) end,
      token_usage_private.day_fault(place, cell -> 'usage_date'),
      token_usage_private.text_fault(place, 'model', cell -> 'model', true),
      token_usage_private.counters_fault(place, array['daily_input_tokens', 'daily_output_tokens',
        'daily_cache_creation_tokens', 'daily_cache_read_tokens', 'daily_message_count', 'daily_thinking_tokens',
        'daily_cache_creation_1h_tokens', 'daily_web_search_requests', 'daily_incomplete_messages',
        'daily_unpriced_messages', 'daily_unpriced_tokens'], 5, cell),
      token_usage_private.cost_fault(place, 'daily_cost_usd', cell -> 'daily_cost_usd', true),
      case when coalesce((cell ->> 'daily_cache_creation_1h_tokens')::numeric, 0)
             > (cell ->> 'daily_cache_creation_tokens')::numeric then
        format('%s.daily_cache_creation_1h_tokens is above daily_cache_creation_tokens, of which it is a part',
               place) end) as fault
  where fault is not null order by one.position limit 1
$$;

-- What of the cells does not add up to the session: null if all does. The counters have been looked at.
create or replace function token_usage_private.sum_fault(session_data jsonb, cells jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('session_data.%s is not the sum of daily_data[].%s', whole, part)
  from (values ('input_tokens', 'daily_input_tokens'), ('output_tokens', 'daily_output_tokens'),
      ('cache_creation_tokens', 'daily_cache_creation_tokens'), ('cache_read_tokens', 'daily_cache_read_tokens'),
      ('message_count', 'daily_message_count'), ('thinking_tokens', 'daily_thinking_tokens'),
      ('cache_creation_1h_tokens', 'daily_cache_creation_1h_tokens'),
      ('web_search_requests', 'daily_web_search_requests'), ('incomplete_messages', 'daily_incomplete_messages'),
      ('unpriced_messages', 'daily_unpriced_messages'), ('unpriced_tokens', 'daily_unpriced_tokens'),
      ('estimated_cost_usd', 'daily_cost_usd')) as pair (whole, part)
  where coalesce((session_data ->> whole)::numeric, 0) <> (
    select coalesce(sum((cell ->> part)::numeric), 0) from jsonb_array_elements(cells) as cell)
  limit 1
$$;

-- Why a value of revision 1 or later cannot be taken: null if it can.
create or replace function token_usage_private.value_fault(session_data jsonb, daily_data jsonb, owner uuid)
returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(
    token_usage_private.counters_fault('session_data', array['revision', 'input_tokens', 'output_tokens',
      'cache_creation_tokens', 'cache_read_tokens', 'message_count', 'thinking_tokens', 'cache_creation_1h_tokens',
      'web_search_requests', 'incomplete_messages', 'unpriced_messages', 'unpriced_tokens'], 6, session_data),
    token_usage_private.cost_fault('session_data', 'estimated_cost_usd', session_data -> 'estimated_cost_usd', true),
    token_usage_private.instant_fault('session_data', 'session_started_at', session_data -> 'session_started_at'),
    token_usage_private.instant_fault('session_data', 'last_message_at', session_data -> 'last_message_at'),
    token_usage_private.text_fault('session_data', 'model_used', session_data -> 'model_used', true),
    token_usage_private.cells_fault(daily_data, owner),
    (select format('daily_data has two cells of %s and the same model', cell ->> 'usage_date')
     from jsonb_array_elements(daily_data) as cell
     group by cell ->> 'usage_date', cell ->> 'model' having count(*) > 1 limit 1),
    token_usage_private.sum_fault(session_data, daily_data))
$$;

-- Why an item cannot be taken, in words for the person who sends it. Null if it can be. `take` decides with the
-- quicker checks of `parse_values` and `parse_running`, and asks here only about what they did not take.
create or replace function token_usage_private.fault(session_data jsonb, daily_data jsonb, owner uuid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  fault text;
begin
  if jsonb_typeof(session_data) is distinct from 'object' then
    return format('session_data is %s; allowed: an object', token_usage_private.kind(session_data));
  elsif token_usage_private.as_user(session_data -> 'user_id') is null then
    return format('session_data.user_id is %s; allowed: a UUID', token_usage_private.kind(session_data -> 'user_id'));
  elsif token_usage_private.as_user(session_data -> 'user_id') is distinct from owner then
    return 'session_data.user_id is another user than the call''s; allowed: one user in a call, the caller''s own';
  end if;
  fault := token_usage_private.text_fault('session_data', 'session_id', session_data -> 'session_id', true);
  if fault is not null then
    return fault;
  elsif coalesce(jsonb_typeof(session_data -> 'revision'), 'null') = 'null' then
    if coalesce(jsonb_typeof(daily_data -> 'user_id'), 'null') <> 'null'
      and token_usage_private.as_user(daily_data -> 'user_id') is distinct from owner then
      return 'daily_data.user_id is another than session_data.user_id; allowed: the same, or none';
    end if;
    return token_usage_private.running_fault(session_data, daily_data);
  elsif jsonb_typeof(daily_data) is distinct from 'array' then
    return format('daily_data is %s; allowed with a revision: an array', token_usage_private.kind(daily_data));
  end if;
  return token_usage_private.value_fault(session_data, daily_data, owner);
end
$$;

-- The items that are values of revision 1 or later and break no rule. Raises a data exception, or leaves the item
-- out, where one does: which of the two is a matter of speed. A number that reads back as the text it was given
-- as is a plain whole number.
create or replace function token_usage_private.parse_values(items jsonb, first_index integer, owner uuid)
returns token_usage_private.session_value[]
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
set plan_cache_mode = force_generic_plan as $$
declare
  last_day date := now()::date + 2;
  parsed token_usage_private.session_value[];
begin
  select array_agg(row(first_index + position - 1, id, revision_number, input, output, creation, creation_1h, read,
      thinking, messages, searches, incomplete, unpriced, unpriced_token, cost, started, latest, model,
      sha256(convert_to(concat_ws('|', revision_number, input, output, creation, creation_1h, read, thinking,
        messages, searches, incomplete, unpriced, unpriced_token, cost::numeric(24,12),
        to_char(started, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), to_char(latest, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        octet_length(model), model) || chr(10) || coalesce(cell_lines, ''), 'UTF8')),
      cells)::token_usage_private.session_value)
  into parsed
  from (
    select position, daily_data, s.*, s.session_id #>> '{}' as id, s.model_used #>> '{}' as model,
           revision::bigint as revision_number, input_tokens::bigint as input, output_tokens::bigint as output,
           cache_creation_tokens::bigint as creation,
           coalesce(cache_creation_1h_tokens, '0')::bigint as creation_1h, cache_read_tokens::bigint as read,
           coalesce(thinking_tokens, '0')::bigint as thinking, message_count::bigint as messages,
           coalesce(web_search_requests, '0')::bigint as searches,
           coalesce(incomplete_messages, '0')::bigint as incomplete,
           coalesce(unpriced_messages, '0')::bigint as unpriced,
           coalesce(unpriced_tokens, '0')::bigint as unpriced_token, estimated_cost_usd::numeric as cost,
           session_started_at::timestamptz as started, last_message_at::timestamptz as latest
    from jsonb_array_elements(items) with ordinality as one (item, position),
      nullif(item -> 'daily_data', 'null') as daily_data,
      jsonb_to_record(item -> 'session_data') as s (user_id text, session_id jsonb, revision text,
        input_tokens text, output_tokens text, cache_creation_tokens text, cache_creation_1h_tokens text,
        cache_read_tokens text, thinking_tokens text, message_count text, web_search_requests text,
        incomplete_messages text, unpriced_messages text, unpriced_tokens text, estimated_cost_usd text,
        session_started_at text, last_message_at text, model_used jsonb)
    offset 0
  ) as session
  cross join lateral (
    select array_agg(row(day, model_text, input, output, creation, creation_1h, read, thinking, messages, searches,
             incomplete, unpriced, unpriced_token, cost)::token_usage_private.cell_value) as cells,
           count(*) = count(distinct (day, model_text collate "C")) as distinct_cells,
           coalesce(sum(input), 0) as input_sum, coalesce(sum(output), 0) as output_sum,
           coalesce(sum(creation), 0) as creation_sum, coalesce(sum(creation_1h), 0) as creation_1h_sum,
           coalesce(sum(read), 0) as read_sum, coalesce(sum(thinking), 0) as thinking_sum,
           coalesce(sum(messages), 0) as messages_sum, coalesce(sum(searches), 0) as searches_sum,
           coalesce(sum(incomplete), 0) as incomplete_sum, coalesce(sum(unpriced), 0) as unpriced_sum,
           coalesce(sum(unpriced_token), 0) as unpriced_token_sum, coalesce(sum(cost), 0) as cost_sum,
           string_agg(concat_ws('|', to_char(day, 'YYYY-MM-DD'), input, output, creation, creation_1h, read,
             thinking, messages, searches, incomplete, unpriced, unpriced_token, cost::numeric(24,12),
             octet_length(model_text), model_text) || chr(10), '' order by day, model_text collate "C")
             as cell_lines,
           coalesce(bool_and((num_nulls(input, output, creation, read, messages) = 0
             and least(input, output, creation, creation_1h, read, thinking, messages, searches, incomplete,
               unpriced, unpriced_token) >= 0
             and creation_1h <= creation
             and concat_ws(' ', daily_input_tokens, daily_output_tokens, daily_cache_creation_tokens,
               coalesce(daily_cache_creation_1h_tokens, '0'), daily_cache_read_tokens,
               coalesce(daily_thinking_tokens, '0'), daily_message_count,
               coalesce(daily_web_search_requests, '0'), coalesce(daily_incomplete_messages, '0'),
               coalesce(daily_unpriced_messages, '0'), coalesce(daily_unpriced_tokens, '0'))
              = concat_ws(' ', input, output, creation, creation_1h, read, thinking, messages, searches,
               incomplete, unpriced, unpriced_token)
             and daily_cost_usd ~ '^[0-9]{1,10}([.][0-9]+)?$' and cost <= 1e9 and cost = trunc(cost, 12)
             and jsonb_typeof(model) = 'string' and length(model_text) between 1 and 200
             and day between date '2020-01-01' and last_day and to_char(day, 'YYYY-MM-DD') = usage_date
             and (user_id is null or lower(user_id) = owner::text)) is true), true) as good_cells
    from (
      select c.*, c.model #>> '{}' as model_text, daily_input_tokens::bigint as input,
             daily_output_tokens::bigint as output, daily_cache_creation_tokens::bigint as creation,
             coalesce(daily_cache_creation_1h_tokens, '0')::bigint as creation_1h,
             daily_cache_read_tokens::bigint as read, coalesce(daily_thinking_tokens, '0')::bigint as thinking,
             daily_message_count::bigint as messages,
             coalesce(daily_web_search_requests, '0')::bigint as searches,
             coalesce(daily_incomplete_messages, '0')::bigint as incomplete,
             coalesce(daily_unpriced_messages, '0')::bigint as unpriced,
             coalesce(daily_unpriced_tokens, '0')::bigint as unpriced_token, daily_cost_usd::numeric as cost,
             usage_date::date as day
      from jsonb_to_recordset(case jsonb_typeof(daily_data) when 'array' then daily_data else '[]' end)
        as c (user_id text, usage_date text, model jsonb, daily_input_tokens text, daily_output_tokens text,
          daily_cache_creation_tokens text, daily_cache_creation_1h_tokens text, daily_cache_read_tokens text,
          daily_thinking_tokens text, daily_message_count text, daily_web_search_requests text,
          daily_incomplete_messages text, daily_unpriced_messages text, daily_unpriced_tokens text,
          daily_cost_usd text)
      offset 0
    ) as cell
  ) as total
  where good_cells and distinct_cells and jsonb_typeof(daily_data) = 'array'
    and revision_number between 1 and 1000000000000000
    and greatest(input, output, creation, creation_1h, read, thinking, messages, searches, incomplete, unpriced,
      unpriced_token) <= 1000000000000000
    and concat_ws(' ', revision, input_tokens, output_tokens, cache_creation_tokens,
      coalesce(cache_creation_1h_tokens, '0'), cache_read_tokens, coalesce(thinking_tokens, '0'), message_count,
      coalesce(web_search_requests, '0'), coalesce(incomplete_messages, '0'), coalesce(unpriced_messages, '0'),
      coalesce(unpriced_tokens, '0'))
     = concat_ws(' ', revision_number, input, output, creation, creation_1h, read, thinking, messages, searches,
      incomplete, unpriced, unpriced_token)
    -- Equal to sums of numbers that are not negative: so these are not negative, nor missing, either.
    and (input, output, creation, creation_1h, read, thinking, messages, searches, incomplete, unpriced,
      unpriced_token, cost)
     = (input_sum, output_sum, creation_sum, creation_1h_sum, read_sum, thinking_sum, messages_sum, searches_sum,
      incomplete_sum, unpriced_sum, unpriced_token_sum, cost_sum)
    and estimated_cost_usd ~ '^[0-9]{1,10}([.][0-9]+)?$' and cost <= 1e9
    and lower(user_id) = owner::text
    and jsonb_typeof(session_id) = 'string' and length(id) between 1 and 200
    and jsonb_typeof(model_used) = 'string' and length(model) between 1 and 200
    and session_started_at ~ '^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9.]+(Z|[+-][0-9:]+)$'
    and last_message_at ~ '^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9.]+(Z|[+-][0-9:]+)$';
  return parsed;
end
$$;

-- An old caller's value: running totals as of a day. Null where it breaks a rule.
create or replace function token_usage_private.parse_running(
  session_data jsonb, daily_data jsonb, index integer, owner uuid) returns token_usage_private.running_value
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  if token_usage_private.fault(session_data, daily_data, owner) is not null
    or coalesce(jsonb_typeof(session_data -> 'revision'), 'null') <> 'null' then
    return null;
  end if;
  return row(index, session_data ->> 'session_id', (daily_data ->> 'usage_date')::date,
    coalesce((session_data ->> 'input_tokens')::bigint, 0), coalesce((session_data ->> 'output_tokens')::bigint, 0),
    coalesce((session_data ->> 'cache_creation_tokens')::bigint, 0),
    coalesce((session_data ->> 'cache_read_tokens')::bigint, 0),
    coalesce((session_data ->> 'thinking_tokens')::bigint, 0),
    coalesce((session_data ->> 'message_count')::bigint, 0),
    -- Such callers add dollars up in binary fractions: rounded, not refused.
    coalesce((session_data ->> 'estimated_cost_usd')::numeric(24,12), 0),
    (session_data ->> 'session_started_at')::timestamptz, coalesce(session_data ->> 'model_used', '')
  )::token_usage_private.running_value;
end
$$;

-- Old callers' values: stores what they add to the running totals, and returns the indexes of those that added
-- something. Appends to `sessions` the sessions' values (revision 0) as the running totals give them.
-- Locks every session of the call, in the order of the key.
create or replace function token_usage_private.merge_running(
  owner uuid, running token_usage_private.running_value[],
  inout sessions token_usage_private.session_value[], out accepted integer[])
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  news token_usage_private.running_value[];
begin
  -- What is known already is found without a lock: running totals only grow, and a session never goes back to 0.
  select array_agg(r) into news
  from unnest(running) as r
  where not exists (
      select from public.token_usage_sessions as stored
      where stored.user_id = owner and stored.session_id = r.session_id and stored.revision > 0)
    and not exists (
      select from token_usage_private.running_totals as known
      where known.user_id = owner and known.session_id = r.session_id and known.usage_date = r.usage_date
        and known.input_tokens >= r.input_tokens and known.output_tokens >= r.output_tokens
        and known.cache_creation_tokens >= r.cache_creation_tokens
        and known.cache_read_tokens >= r.cache_read_tokens and known.thinking_tokens >= r.thinking_tokens
        and known.estimated_cost_usd >= r.estimated_cost_usd
        and (known.message_count, known.model_used) >= (r.message_count, r.model_used)
        and known.session_started_at <= r.session_started_at);
  if news is null then
    return;
  end if;
  -- As in merge_values.
  if has_table_privilege('auth.users', 'update') then
    perform from auth.users where id = owner for key share;
  end if;
  -- A row that is there is locked by the conflict alone; nothing is written to it.
  insert into public.token_usage_sessions as stored (user_id, session_id, session_started_at)
  select owner, name.session_id, now()
  from (select session_id from unnest(news) union select session_id from unnest(sessions)) as name
  order by name.session_id
  on conflict (user_id, session_id) do update set revision = stored.revision where false;
  select array_agg(r) into news
  from unnest(news) as r
  join public.token_usage_sessions as stored on stored.user_id = owner and stored.session_id = r.session_id
  where stored.revision = 0;
  if news is null then
    return;
  end if;
  insert into token_usage_private.running_totals as known
  select owner, session_id, usage_date, max(input_tokens), max(output_tokens), max(cache_creation_tokens),
         max(cache_read_tokens), max(thinking_tokens), max(message_count), max(estimated_cost_usd),
         min(session_started_at),
         (array_agg(model_used order by message_count desc, model_used collate "C" desc))[1]
  from unnest(news) group by session_id, usage_date
  on conflict (user_id, session_id, usage_date) do update set
    input_tokens = greatest(known.input_tokens, excluded.input_tokens),
    output_tokens = greatest(known.output_tokens, excluded.output_tokens),
    cache_creation_tokens = greatest(known.cache_creation_tokens, excluded.cache_creation_tokens),
    cache_read_tokens = greatest(known.cache_read_tokens, excluded.cache_read_tokens),
    thinking_tokens = greatest(known.thinking_tokens, excluded.thinking_tokens),
    message_count = greatest(known.message_count, excluded.message_count),
    estimated_cost_usd = greatest(known.estimated_cost_usd, excluded.estimated_cost_usd),
    session_started_at = least(known.session_started_at, excluded.session_started_at),
    model_used = case when (excluded.message_count, excluded.model_used) > (known.message_count, known.model_used)
      then excluded.model_used else known.model_used end;

  -- Up to a day, a session has used the greatest of what was said of that day or of one before.
  with reached as (
    select session_id, usage_date, max(input_tokens) over days as input_tokens,
           max(output_tokens) over days as output_tokens,
           max(cache_creation_tokens) over days as cache_creation_tokens,
           max(cache_read_tokens) over days as cache_read_tokens,
           max(thinking_tokens) over days as thinking_tokens, max(message_count) over days as message_count,
           max(estimated_cost_usd) over days as cost
    from token_usage_private.running_totals
    where user_id = owner and session_id = any (select session_id from unnest(news))
    window days as (partition by session_id order by usage_date)
  ), share as (
    select session_id, usage_date,
           input_tokens - lag(input_tokens, 1, 0::bigint) over days as input_tokens,
           output_tokens - lag(output_tokens, 1, 0::bigint) over days as output_tokens,
           cache_creation_tokens - lag(cache_creation_tokens, 1, 0::bigint) over days as cache_creation_tokens,
           cache_read_tokens - lag(cache_read_tokens, 1, 0::bigint) over days as cache_read_tokens,
           thinking_tokens - lag(thinking_tokens, 1, 0::bigint) over days as thinking_tokens,
           message_count - lag(message_count, 1, 0::bigint) over days as message_count,
           cost - lag(cost, 1, 0::numeric) over days as cost
    from reached window days as (partition by session_id order by usage_date)
  ), total as (
    select session_id, max(input_tokens) as input_tokens, max(output_tokens) as output_tokens,
           max(cache_creation_tokens) as cache_creation_tokens, max(cache_read_tokens) as cache_read_tokens,
           max(thinking_tokens) as thinking_tokens, max(message_count) as message_count,
           max(estimated_cost_usd) as cost, min(session_started_at) as started,
           (array_agg(model_used order by message_count desc, model_used desc))[1] as model
    from token_usage_private.running_totals
    where user_id = owner and session_id = any (select session_id from unnest(news))
    group by session_id
  )
  select
    sessions || (select array_agg(row(-1, session_id, 0, total.input_tokens, total.output_tokens,
        total.cache_creation_tokens, 0, total.cache_read_tokens, total.thinking_tokens, total.message_count, 0, 0, 0,
        0, total.cost, started, null, model, '', cells)::token_usage_private.session_value)
      from total left join (
        select session_id, array_agg(row(usage_date, '', input_tokens, output_tokens, cache_creation_tokens, 0,
          cache_read_tokens, thinking_tokens, message_count, 0, 0, 0, 0, cost)::token_usage_private.cell_value)
          as cells
        from share
        where (input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens, thinking_tokens,
          message_count, cost) <> (0, 0, 0, 0, 0, 0, 0)
        group by session_id) as held using (session_id)),
    (select array_agg(index) from unnest(news))
  into sessions, accepted;
end
$$;

-- Puts the cells in the place of the sessions' old ones, and the exact difference into the days' rows. The
-- sessions' rows are locked by the caller.
create or replace function token_usage_private.replace_cells(
  owner uuid, sessions token_usage_private.session_value[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off as $$
declare
  emptied date[];
begin
  with cell as materialized (
    select session.session_id, cell.usage_date, cell.model collate "C" as model, cell.input_tokens,
           cell.output_tokens, cell.cache_creation_tokens, cell.cache_creation_1h_tokens, cell.cache_read_tokens,
           cell.thinking_tokens, cell.message_count, cell.web_search_requests, cell.incomplete_messages,
           cell.unpriced_messages, cell.unpriced_tokens, cell.estimated_cost_usd
    from unnest(sessions) as session, unnest(session.cells) as cell
  ), old as materialized (
    select day.*
    from unnest(sessions) as session cross join lateral (
      select session_id, usage_date, model, input_tokens, output_tokens, cache_creation_tokens,
             cache_creation_1h_tokens, cache_read_tokens, thinking_tokens, message_count, web_search_requests,
             incomplete_messages, unpriced_messages, unpriced_tokens, estimated_cost_usd
      from public.token_usage_session_days as stored
      where stored.user_id = owner and stored.session_id = session.session_id offset 0) as day
  ), removed as (
    delete from public.token_usage_session_days as day using old
    where day.user_id = owner and day.session_id = old.session_id and day.usage_date = old.usage_date
      and day.model = old.model
      and (old.session_id, old.usage_date, old.model) not in (select session_id, usage_date, model from cell)
  ), written as (
    insert into public.token_usage_session_days as day (user_id, session_id, usage_date, model, input_tokens,
      output_tokens, cache_creation_tokens, cache_creation_1h_tokens, cache_read_tokens, thinking_tokens,
      message_count, web_search_requests, incomplete_messages, unpriced_messages, unpriced_tokens,
      estimated_cost_usd)
    select owner, changed.* from (select * from cell except select * from old) as changed
    on conflict (user_id, session_id, usage_date, model) do update set
      input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
      cache_creation_tokens = excluded.cache_creation_tokens,
      cache_creation_1h_tokens = excluded.cache_creation_1h_tokens,
      cache_read_tokens = excluded.cache_read_tokens, thinking_tokens = excluded.thinking_tokens,
      message_count = excluded.message_count, web_search_requests = excluded.web_search_requests,
      incomplete_messages = excluded.incomplete_messages, unpriced_messages = excluded.unpriced_messages,
      unpriced_tokens = excluded.unpriced_tokens, estimated_cost_usd = excluded.estimated_cost_usd
  ), difference as (
    select usage_date, sum(sign * input_tokens) as input_tokens, sum(sign * output_tokens) as output_tokens,
           sum(sign * cache_creation_tokens) as cache_creation_tokens,
           sum(sign * cache_creation_1h_tokens) as cache_creation_1h_tokens,
           sum(sign * cache_read_tokens) as cache_read_tokens, sum(sign * thinking_tokens) as thinking_tokens,
           sum(sign * message_count) as message_count, sum(sign * web_search_requests) as web_search_requests,
           sum(sign * incomplete_messages) as incomplete_messages,
           sum(sign * unpriced_messages) as unpriced_messages, sum(sign * unpriced_tokens) as unpriced_tokens,
           sum(sign * estimated_cost_usd) as cost,
           count(distinct session_id) filter (where sign = 1)
             - count(distinct session_id) filter (where sign = -1) as session_count
    from (select 1 as sign, * from cell union all select -1, * from old) as change
    group by usage_date
  ), booked as (
    insert into public.token_usage_daily as daily (user_id, usage_date, daily_input_tokens, daily_output_tokens,
      daily_cache_creation_tokens, daily_cache_creation_1h_tokens, daily_cache_read_tokens, daily_thinking_tokens,
      daily_message_count, daily_web_search_requests, daily_incomplete_messages, daily_unpriced_messages,
      daily_unpriced_tokens, daily_cost_usd, daily_session_count)
    select owner, difference.* from difference
    where (input_tokens, output_tokens, cache_creation_tokens, cache_creation_1h_tokens, cache_read_tokens,
      thinking_tokens, message_count, web_search_requests, incomplete_messages, unpriced_messages,
      unpriced_tokens, cost, session_count) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    order by usage_date
    on conflict (user_id, usage_date) do update set
      daily_input_tokens = daily.daily_input_tokens + excluded.daily_input_tokens,
      daily_output_tokens = daily.daily_output_tokens + excluded.daily_output_tokens,
      daily_cache_creation_tokens = daily.daily_cache_creation_tokens + excluded.daily_cache_creation_tokens,
      daily_cache_creation_1h_tokens =
        daily.daily_cache_creation_1h_tokens + excluded.daily_cache_creation_1h_tokens,
      daily_cache_read_tokens = daily.daily_cache_read_tokens + excluded.daily_cache_read_tokens,
      daily_thinking_tokens = daily.daily_thinking_tokens + excluded.daily_thinking_tokens,
      daily_message_count = daily.daily_message_count + excluded.daily_message_count,
      daily_web_search_requests = daily.daily_web_search_requests + excluded.daily_web_search_requests,
      daily_incomplete_messages = daily.daily_incomplete_messages + excluded.daily_incomplete_messages,
      daily_unpriced_messages = daily.daily_unpriced_messages + excluded.daily_unpriced_messages,
      daily_unpriced_tokens = daily.daily_unpriced_tokens + excluded.daily_unpriced_tokens,
      daily_cost_usd = daily.daily_cost_usd + excluded.daily_cost_usd,
      daily_session_count = daily.daily_session_count + excluded.daily_session_count,
      updated_at = now()
    returning usage_date, daily_session_count
  )
  select array_agg(usage_date) filter (where daily_session_count = 0) into emptied from booked;
  if emptied is not null then
    delete from public.token_usage_daily where user_id = owner and usage_date = any (emptied);
  end if;
end
$$;

-- Keeps of each session the value with the greatest rank, among those given and the one stored; returns the
-- indexes of the values that won. A value that was seen before is found without a lock and writes nothing.
-- Locks are taken in the order of the keys, sessions before days, so that calls wait for each other in one line.
create or replace function token_usage_private.merge_values(
  owner uuid, sessions token_usage_private.session_value[])
returns integer[] language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  better token_usage_private.session_value[];
  leave_running_totals boolean;
  won text[];
begin
  select array_agg(v), bool_or(v.revision > 0 and coalesce(stored.revision, 0) = 0)
  into better, leave_running_totals
  from (
    select distinct on (session_id) v.*
    from unnest(sessions) as v
    order by session_id, revision desc, message_count desc, output_tokens desc,
      input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens desc, incomplete_messages,
      digest desc, index
  ) as v
  left join lateral (
    select * from public.token_usage_sessions where user_id = owner and session_id = v.session_id offset 0
  ) as stored on true
  where stored.user_id is null or v.revision = 0
    or (v.revision, v.message_count, v.output_tokens,
        v.input_tokens + v.output_tokens + v.cache_creation_tokens + v.cache_read_tokens, -v.incomplete_messages,
        v.digest)
     > (stored.revision, stored.message_count, stored.output_tokens, stored.total_tokens,
        -stored.incomplete_messages, stored.value_digest);
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
      session_started_at, last_message_at, model_used, value_digest)
    select owner, v.session_id, v.revision, v.input_tokens, v.output_tokens, v.cache_creation_tokens,
           v.cache_creation_1h_tokens, v.cache_read_tokens, v.thinking_tokens, v.message_count,
           v.web_search_requests, v.incomplete_messages, v.unpriced_messages, v.unpriced_tokens,
           v.estimated_cost_usd, v.session_started_at, v.last_message_at, v.model_used, v.digest
    from unnest(better) as v
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
      model_used = excluded.model_used, value_digest = excluded.value_digest, last_updated_at = now()
    where (excluded.revision = 0 and stored.revision = 0)
      or (excluded.revision, excluded.message_count, excluded.output_tokens,
          excluded.input_tokens + excluded.output_tokens + excluded.cache_creation_tokens
            + excluded.cache_read_tokens, -excluded.incomplete_messages, excluded.value_digest)
       > (stored.revision, stored.message_count, stored.output_tokens, stored.total_tokens,
          -stored.incomplete_messages, stored.value_digest)
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
  return array(select v.index from unnest(better) as v);
end
$$;

-- Takes items for a user: the answers, in their order.
create or replace function token_usage_private.take(items jsonb, owner uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  item_count integer := jsonb_array_length(items);
  sessions token_usage_private.session_value[];
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
    if cardinality(running) > 0 then
      select merged.sessions, merged.accepted into sessions, accepted
      from token_usage_private.merge_running(owner, running, sessions) as merged;
    end if;
  end if;
  if sessions is not null then
    accepted := accepted || token_usage_private.merge_values(owner, sessions);
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

-- The three functions that callers see.

-- Contract 1 had one that returns nothing.
drop function if exists public.upsert_token_usage(jsonb, jsonb);
create function public.upsert_token_usage(session_data jsonb, daily_data jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  claimed uuid := token_usage_private.as_user(session_data -> 'user_id');
  answer jsonb;
begin
  if token_usage_private.caller_role() = 'authenticated' and claimed is distinct from auth.uid() then
    raise exception using errcode = '42501', message = 'session_data.user_id is not the caller''s own';
  end if;
  answer := token_usage_private.take(
    jsonb_build_array(jsonb_build_object('session_data', session_data, 'daily_data', daily_data)), claimed) -> 0;
  if answer ->> 'status' = 'rejected' then
    raise exception using errcode = answer ->> 'code', message = answer ->> 'message';
  end if;
  return answer - 'index';
end
$$;

create or replace function public.upsert_token_usage_batch(items jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner uuid;
begin
  if token_usage_private.caller_role() = 'authenticated' then
    owner := auth.uid();
    if owner is null then
      raise exception using errcode = '42501', message = 'the caller''s token names no user';
    end if;
  end if;
  if jsonb_typeof(items) is distinct from 'array' or jsonb_array_length(items) > 1000 then
    raise exception using errcode = '22023', message = format('items is %s; allowed: an array of up to 1000',
      case jsonb_typeof(items) when 'array' then format('an array of %s', jsonb_array_length(items))
      else token_usage_private.kind(items) end);
  end if;
  if owner is null then
    select token_usage_private.as_user(item #> '{session_data,user_id}') into owner
    from jsonb_array_elements(items) with ordinality as one (item, position)
    where token_usage_private.as_user(item #> '{session_data,user_id}') is not null
    order by position limit 1;
  end if;
  return jsonb_build_object('results', coalesce(token_usage_private.take(items, owner), '[]'));
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
  return jsonb_build_object('contract', 2,
    'user_exists', exists (select from auth.users where id = p_user_id),
    'server_time', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'role', caller);
end
$$;

comment on function public.upsert_token_usage(jsonb, jsonb) is
  'Takes the value of one session; see supabase/README.md. May be repeated.';
comment on function public.upsert_token_usage_batch(jsonb) is
  'Takes up to 1000 values of one user''s sessions, each answered for itself; see supabase/README.md.';
comment on function public.token_usage_check(uuid) is
  'The contract''s version, whether a user exists, the server''s time and the caller''s role.';

-- 5. Who may call --------------------------------------------------------------------------------------------------

revoke all on all functions in schema token_usage_private from public, anon, authenticated, service_role;
revoke all on function public.upsert_token_usage(jsonb, jsonb), public.upsert_token_usage_batch(jsonb),
  public.token_usage_check(uuid) from public, anon, authenticated, service_role;
grant execute on function public.upsert_token_usage(jsonb, jsonb), public.upsert_token_usage_batch(jsonb),
  public.token_usage_check(uuid) to authenticated, service_role;

notify pgrst, 'reload schema';

commit;
