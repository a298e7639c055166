"""The same counting as `counters.py`, in the language that Redis runs as one step.

Its clock is Redis' own, one for all machines. Each key of a client has four keys in
Redis, which share a hash tag, so that they lie on one node of a cluster:

| `KEYS` | holds |
|---|---|
| 1 | hash: a limit's name → what is used; `name@` → since when (ms); `@` → last use |
| 2 | sorted set: open reservations by the end of their lease (ms) |
| 3 | hash: a reservation's id → JSON, `{name: [start, amount]}` |
| 4 | sorted set: settled reservations by when they are forgotten (ms) |
"""

from .counters import SILENCE

# How long a client's keys stay in Redis after their last use: two months, as the
# longest period is one.
KEPT = 62 * 24 * 3600 * 1000

_COMMON = f"""
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function used(name, start)
  if tonumber(redis.call('HGET', KEYS[1], name .. '@') or 0) ~= start then
    return 0
  end
  return tonumber(redis.call('HGET', KEYS[1], name) or 0)
end

local function keep(name, start, amount)
  redis.call('HSET', KEYS[1], name .. '@', start, name, math.max(amount, 0))
end

-- When the period in which now lies began, and when it ends.
local function period(limit, now)
  if limit.span == 'minute' then
    local start = tonumber(redis.call('HGET', KEYS[1], limit.name .. '@') or 0)
    if used(limit.name, start) == 0 or now >= start + 60000 then
      start = now
    end
    return start, start + 60000
  end
  local edges = limit.edges
  if now >= edges[2] then
    return edges[2], edges[3]
  end
  return edges[1], edges[2]
end

-- Where nobody was heard of for long, it was not the holders of reservations that were
-- away: their leases are as long again as when they were last heard of.
local function hear(now)
  local gap = now - tonumber(redis.call('HGET', KEYS[1], '@') or now)
  redis.call('HSET', KEYS[1], '@', now)
  if gap > {SILENCE} then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
      redis.call('ZINCRBY', KEYS[2], gap, id)
    end
  end
end

local function give_back_expired(now)
  hear(now)
  local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
  for _, id in ipairs(ids) do
    local held = redis.call('HGET', KEYS[3], id)
    if held then
      for name, taken in pairs(cjson.decode(held)) do
        local start = tonumber(redis.call('HGET', KEYS[1], name .. '@') or 0)
        if start == taken[1] then
          keep(name, start, used(name, start) - taken[2])
        end
      end
    end
    redis.call('HDEL', KEYS[3], id)
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
end

local function stay()
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, {KEPT})
  end
end
"""

# ARGV: a JSON object {id, lease, limits: [{name, span, most, amount, edges}]}.
# Returns {index of the limit that refused (0: none), used, resets in ms, used, ...}.
RESERVE = (
    _COMMON
    + """
local request = cjson.decode(ARGV[1])
local now = clock()
give_back_expired(now)
local held = redis.call('HGET', KEYS[3], request.id)
local taken = held and cjson.decode(held) or {}
local reply = {0}
for i, limit in ipairs(request.limits) do
  local amount = limit.amount
  if limit.span == 'open' then
    limit.used = redis.call('ZCARD', KEYS[2])
    limit.ends = now
    if held then amount = 0 end
  else
    limit.start, limit.ends = period(limit, now)
    limit.used = used(limit.name, limit.start)
  end
  if reply[1] == 0 and amount > 0 and limit.used + amount > limit.most then
    reply[1] = i
  end
end
for _, limit in ipairs(request.limits) do
  if reply[1] == 0 and limit.span == 'open' and not held then
    limit.used = limit.used + 1
  elseif reply[1] == 0 and limit.span ~= 'open' then
    limit.used = limit.used + limit.amount
    keep(limit.name, limit.start, limit.used)
    local before = taken[limit.name]
    local kept = 0
    if before and before[1] == limit.start then kept = before[2] end
    taken[limit.name] = {limit.start, kept + limit.amount}
  end
  if limit.span == 'minute' and limit.used == 0 then limit.ends = now end
  table.insert(reply, limit.used)
  table.insert(reply, limit.ends - now)
end
if reply[1] == 0 then
  redis.call('ZADD', KEYS[2], now + request.lease, request.id)
  redis.call('HSET', KEYS[3], request.id, cjson.encode(taken))
end
stay()
return reply
"""
)

# ARGV: a JSON object {id, remembered, limits: [{name, span, amount, edges}]}.
SETTLE = (
    _COMMON
    + """
local request = cjson.decode(ARGV[1])
local now = clock()
give_back_expired(now)
if redis.call('ZADD', KEYS[4], 'NX', now + request.remembered, request.id) == 0 then
  return 0
end
local held = redis.call('HGET', KEYS[3], request.id)
local taken = held and cjson.decode(held) or {}
redis.call('HDEL', KEYS[3], request.id)
redis.call('ZREM', KEYS[2], request.id)
for _, limit in ipairs(request.limits) do
  if limit.span ~= 'open' then
    local start = period(limit, now)
    local before = taken[limit.name] or {start, 0}
    local more = limit.amount - before[2]
    if more > 0 or before[1] == start then
      keep(limit.name, start, used(limit.name, start) + more)
    end
  end
end
stay()
return 1
"""
)

# KEYS: the workers of all machines, by the end of their lease. ARGV: a worker's id, and
# its lease in ms. Returns how many there are.
PRESENCE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZCARD', KEYS[1])
"""

# ARGV: the lease in ms, then reservations' ids.
RENEW = (
    _COMMON
    + """
local now = clock()
hear(now)
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[2], 'XX', now + ARGV[1], ARGV[i])
end
return 1
"""
)
