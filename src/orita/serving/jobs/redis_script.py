"""What the queue in Redis does, as one script: each call is one step that no other comes between.

The time is the server's own, so that servers of several machines agree on whose lease has run out. Of a queue there are

    wait:STAGE, lease:STAGE   sorted sets of jobs that wait and that are lent, by the time they are due
    ended                     of jobs with nothing left to be done, by the time they ended
    all                       of all jobs, by the time they were taken in
    open                      likewise, of those that wait or run
    job:ID                    a hash; requests:ID, content:ID its long parts
    key:KEY                   the job that an idempotency key names
    bytes                     of requests and contents
"""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = """
local base, command = KEYS[1] .. ':', ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local overhead = 1024

local function text(number) return string.format('%.0f', number) end
local function get(id, field) return redis.call('HGET', base .. 'job:' .. id, field) end
local function set(id, ...) redis.call('HSET', base .. 'job:' .. id, ...) end

local function resize(id, size)
  local delta = size - tonumber(get(id, 'size') or '0')
  redis.call('INCRBY', base .. 'bytes', text(delta))
  set(id, 'size', text(size))
end

local function shown(id, whole)
  if redis.call('EXISTS', base .. 'job:' .. id) == 0 then return false end
  local fields = redis.call('HMGET', base .. 'job:' .. id, 'state', 'count', 'attempts', 'submitted', 'ended',
    'callback', 'callback_url')
  local content = whole and redis.call('GET', base .. 'content:' .. id) or ''
  return {id, fields[1], fields[2], fields[3], fields[4], fields[5], content or '', fields[6], fields[7]}
end

local function drop(id)
  local key = get(id, 'key')
  if key then redis.call('DEL', base .. 'key:' .. key) end
  resize(id, 0)
  redis.call('DEL', base .. 'job:' .. id, base .. 'requests:' .. id, base .. 'content:' .. id)
  redis.call('ZREM', base .. 'ended', id)
  redis.call('ZREM', base .. 'all', id)
end

local function close(id)
  set(id, 'stage', '')
  redis.call('ZADD', base .. 'ended', get(id, 'ended'), id)
end

local function finish(id, state, content)
  redis.call('ZREM', base .. 'lease:answer', id)
  redis.call('DEL', base .. 'requests:' .. id)
  redis.call('SET', base .. 'content:' .. id, content)
  redis.call('ZREM', base .. 'open', id)
  resize(id, #content + overhead)
  set(id, 'state', state, 'ended', text(now))
  if get(id, 'callback_url') then
    set(id, 'stage', 'callback', 'callback', 'pending')
    redis.call('ZADD', base .. 'wait:callback', text(now), id)
  else
    close(id)
  end
end

local function settle(id, outcome)
  redis.call('ZREM', base .. 'lease:callback', id)
  set(id, 'callback', outcome)
  close(id)
end

local function held(id, stage, token)
  return get(id, 'token') == token and get(id, 'stage') == stage
    and redis.call('ZSCORE', base .. 'lease:' .. stage, id) ~= false
end

local function counter(stage) return stage == 'answer' and 'attempts' or 'calls' end

if command == 'submit' then
  local id, requests, count, digest, key, url = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local most_open, most_bytes, trace = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
  if key ~= '' then
    local known = redis.call('GET', base .. 'key:' .. key)
    if known then
      if get(known, 'digest') ~= digest then return {'reused', known} end
      return {'known', shown(known, true)}
    end
  end
  local open = redis.call('ZCARD', base .. 'wait:answer') + redis.call('ZCARD', base .. 'lease:answer')
  if open >= most_open then return {'open', open} end
  local size = #requests + overhead
  while tonumber(redis.call('GET', base .. 'bytes') or '0') + size > most_bytes do
    local oldest = redis.call('ZRANGE', base .. 'ended', 0, 0)[1]
    if not oldest then return {'bytes', redis.call('GET', base .. 'bytes') or '0'} end
    drop(oldest)
  end
  set(id, 'state', 'queued', 'stage', 'answer', 'token', '0', 'attempts', '0', 'calls', '0', 'count', count,
    'digest', digest, 'submitted', text(now))
  if key ~= '' then
    set(id, 'key', key)
    redis.call('SET', base .. 'key:' .. key, id)
  end
  if url ~= '' then set(id, 'callback_url', url) end
  if trace ~= '' then set(id, 'trace', trace) end
  redis.call('SET', base .. 'requests:' .. id, requests)
  resize(id, size)
  redis.call('ZADD', base .. 'wait:answer', text(now), id)
  redis.call('ZADD', base .. 'all', text(now), id)
  redis.call('ZADD', base .. 'open', text(now), id)
  return {'new', shown(id, false)}
end

if command == 'find' then return shown(ARGV[2], true) end

if command == 'latest' then
  local found = {}
  for at, id in ipairs(redis.call('ZREVRANGE', base .. 'all', 0, ARGV[2] - 1)) do found[at] = shown(id, false) end
  return found
end

if command == 'cancel' then
  local id = ARGV[2]
  if get(id, 'state') == 'queued' then
    redis.call('ZREM', base .. 'wait:answer', id)
    redis.call('ZREM', base .. 'open', id)
    set(id, 'state', 'cancelled', 'ended', text(now))
    close(id)
  end
  return shown(id, true)
end

if command == 'take' then
  local stage, lease, most, lost = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
  for _, set_name in ipairs({'lease:', 'wait:'}) do
    while true do
      local id = redis.call('ZRANGEBYSCORE', base .. set_name .. stage, '-inf', text(now), 'LIMIT', 0, 1)[1]
      if not id then break end
      redis.call('ZREM', base .. set_name .. stage, id)
      if tonumber(get(id, counter(stage))) < most then
        redis.call('ZADD', base .. 'lease:' .. stage, text(now + lease), id)
        local token = redis.call('HINCRBY', base .. 'job:' .. id, 'token', 1)
        local attempt = redis.call('HINCRBY', base .. 'job:' .. id, counter(stage), 1)
        if stage == 'answer' then set(id, 'state', 'running') end
        local requests = stage == 'answer' and redis.call('GET', base .. 'requests:' .. id) or ''
        return {id, token, attempt, requests, get(id, 'trace') or ''}
      end
      if stage == 'answer' then finish(id, 'failed', lost) else settle(id, 'failed') end
    end
  end
  return false
end

if command == 'forget' then
  local old = redis.call('ZRANGEBYSCORE', base .. 'ended', '-inf', text(now - ARGV[2]), 'LIMIT', 0, 1000)
  for _, id in ipairs(old) do drop(id) end
  return #old
end

if command == 'size' then
  local running = redis.call('ZCARD', base .. 'lease:answer')
  local open = redis.call('ZCARD', base .. 'wait:answer') + running
  local oldest = redis.call('ZRANGE', base .. 'open', 0, 0, 'WITHSCORES')[2]
  return {open, redis.call('ZCARD', base .. 'all') - open, tonumber(redis.call('GET', base .. 'bytes') or '0'),
    running, oldest and now - tonumber(oldest) or 0}
end

local id, stage, token = ARGV[2], ARGV[3], ARGV[4]
if not held(id, stage, token) then return 0 end
if command == 'renew' then
  redis.call('ZADD', base .. 'lease:' .. stage, text(now + ARGV[5]), id)
elseif command == 'finish' and stage == 'answer' then
  finish(id, ARGV[5], ARGV[6])
elseif command == 'settle' and stage == 'callback' then
  settle(id, ARGV[5])
elseif command == 'give_back' then
  redis.call('ZREM', base .. 'lease:' .. stage, id)
  redis.call('ZADD', base .. 'wait:' .. stage, text(now + ARGV[5]), id)
  if stage == 'answer' then set(id, 'state', 'queued') end
  redis.call('HINCRBY', base .. 'job:' .. id, counter(stage), ARGV[6])
else
  return 0
end
return 1
"""
