-- The long way: everything that the short ways have left.
local RETENTION_MS, TOMBSTONE, BOUND, CHUNK, AHEAD = 120000, 60000000, 64, 8, 3600000000
time = time or redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local floor, excess, asked = 0, false
if op == 'ACQ' then
  floor = tonumber(ARGV[4])
  -- Beyond what a server's clock can have given: it would be the least of all fences to come.
  excess = floor > now + AHEAD
  if excess then floor = 0 end
  asked = {ttl = tonumber(sub(ARGV[3], 1, 11)), weight = tonumber(sub(ARGV[3], 12, 21)),
    capacity = tonumber(sub(ARGV[3], 22, 31))}
end
local clock, horizon, ring = 0, 0, string.rep('......................,', 4)
local capacity, holders, waiters, used, pttl = 0, 0, 0, 0, 0
local loaded, touched, more = {}, {}, false

local function text(n) return string.format('%.0f', n) end
local function wide(n) return string.format('%016.0f', n) end
local function left(till) return string.format('%011.0f', till - now) end
local function column(from, to) return tonumber(sub(S, from, to)) end

-- The label goes last and is joined, not formatted: %s would end at a NUL. No prefix has a brace, so one
-- stands for a comma in the inbox.
local function pack(r)
  return string.format('%s,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%s,', r.role, r.till, r.number, r.weight,
    r.capacity, r.ttl, r.claim, r.live, (string.gsub(r.inbox, ',', '{'))) .. r.label
end

local function unpacked(who, packed)
  local role, till, number, weight, cap, ttl, claim, live, inbox, label = string.match(packed or '',
    '^([hw]),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),([^,]*),(.*)$')
  if not role then return nil end
  local r = {id = who, role = role, till = tonumber(till), number = tonumber(number),
    weight = tonumber(weight), capacity = tonumber(cap), ttl = tonumber(ttl), claim = tonumber(claim),
    live = tonumber(live), inbox = string.gsub(inbox, '{', ','), label = label}
  for _, n in pairs(r) do
    if type(n) == 'number' and n >= 9e15 then return nil end
  end
  return r
end

local function blank(who, role, till, weight)
  return {id = who, role = role, till = till, number = 0, weight = weight, capacity = capacity, ttl = 0,
    claim = 0, live = 0, inbox = '', label = ''}
end

local function state(as)
  return as .. wide(clock) .. wide(horizon) .. ring
end

local function queued_state()
  return state('Q') .. string.format('%010.0f%010.0f%010.0f', capacity, holders, waiters) .. wide(used)
end

local function members(packed)
  local list = {}
  for i = 1, #packed, 2 do list[packed[i]] = packed[i + 1] end
  return list
end

-- The first write of a new request is one that a server refuses when its memory is full: after any other
-- it would let the script go on. What is written changes nothing.
local function admit()
  if S then
    redis.call('SETRANGE', KEYS[1], 0, form)
  else
    redis.call('SET', KEYS[1], state('I'), 'PX', RETENTION_MS)
  end
end

-- A key was lost. The records say who holds and who waits; a holder without a record keeps the
-- whole capacity until its expiry; a waiter without one comes back by its own heartbeat.
local function repair()
  local records, expiries = {}, members(redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'))
  if form == 'Q' then clock, horizon, ring = column(2, 17), column(18, 33), sub(S, 34, 125)
  else horizon = now + TOMBSTONE end
  capacity, holders, waiters, used = asked and asked.capacity or 1, 0, 0, 0
  local known
  for who, packed in pairs(members(redis.call('HGETALL', KEYS[4]))) do
    local r = unpacked(who, packed)
    if r then
      records[who] = r
      capacity = known and math.max(capacity, r.capacity) or r.capacity
      known = true
      if r.number <= now + AHEAD then clock = math.max(clock, r.number) end
    end
  end
  for who, expiry in pairs(expiries) do
    if not records[who] then records[who] = blank(who, 'h', tonumber(expiry), capacity) end
  end
  redis.call('ZCARD', KEYS[3])
  if op == 'ACQ' then admit() end
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
  local last = now
  for who, r in pairs(records) do
    if r.role == 'h' then
      holders, used = holders + 1, used + r.weight
      redis.call('ZADD', KEYS[2], text(r.till), who)
    else
      waiters = waiters + 1
      redis.call('ZADD', KEYS[3], text(r.number), who)
    end
    redis.call('HSET', KEYS[4], who, pack(r))
    last = math.max(last, r.till)
  end
  pttl = math.ceil((last - now) / 1000) + RETENTION_MS
  for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], text(pttl)) end
  form = 'I'
  if holders + waiters > 0 then form = 'Q' end
  S = form == 'Q' and queued_state() or state('I')
  redis.call('SET', KEYS[1], S, 'PX', text(pttl))
end

if not S then
  if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4], KEYS[5]) > 0 then repair() end
elseif form == 'Q' then
  local h, q = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
  if h ~= column(136, 145) or q ~= column(146, 155) or redis.call('HLEN', KEYS[4]) ~= h + q then repair() end
end
if S then
  clock, horizon, ring = column(2, 17), column(18, 33), sub(S, 34, 125)
end
if form == 'I' and S and #S > 125 then
  ring = sub(S, 126, 147) .. ',' .. sub(S, 34, 102)
elseif form == 'F' then
  local who = sub(S, 126, 147)
  local r = blank(who, 'h', column(148, 163) + column(164, 174), column(175, 184))
  r.number, r.ttl, r.label = clock, column(164, 174), sub(S, 195)
  capacity, holders, used = column(185, 194), 1, r.weight
  r.capacity, loaded[who] = capacity, r
elseif form == 'Q' then
  capacity, holders, waiters, used = column(126, 135), column(136, 145), column(146, 155), column(156, 171)
  pttl = redis.call('PTTL', KEYS[1])
end

-- From here on all reads come before the first write.
local function record(who)
  if loaded[who] == nil and form == 'Q' then
    loaded[who] = unpacked(who, redis.call('HGET', KEYS[4], who)) or false
  end
  return loaded[who] or nil
end

local function touch(r)
  if not r.touched then
    r.touched = true
    touched[#touched + 1] = r
  end
end

local gone = 0 -- holders removed by this call
local function remove(r)
  if r.role == 'h' then
    holders, used, gone = holders - 1, math.max(used - r.weight, 0), gone + 1
    if holders == 0 then used = 0 end
  else
    waiters = waiters - 1
  end
  r.role = 'gone'
  touch(r)
end

local tombs = {}
local function bury(who, why)
  horizon = now + TOMBSTONE
  tombs[#tombs + 1] = who .. why
end

-- How an id that is no longer here ended, as far as it is remembered.
local function fate(who)
  if horizon > now then
    local scores = redis.call('ZMSCORE', KEYS[5], who .. 'x', who .. 'f')
    if scores[1] and tonumber(scores[1]) > now then return 'expired' end
    if scores[2] and tonumber(scores[2]) > now then return 'finished' end
  end
  return find(ring, who .. ',', 1, true) and 'finished' or nil
end

local function tick()
  clock = math.max(clock + 1, now, floor + 1)
  return clock
end

local function listed(key, role, limit)
  local list = {}
  local ids = {}
  if form == 'Q' then
    ids = redis.call('ZRANGE', key, 0, limit - 1)
  elseif role == 'h' then
    for who in pairs(loaded) do ids[1] = who end
  end
  for _, who in ipairs(ids) do
    local r = record(who)
    if r and r.role == role and (role == 'w' or r.till > now) then list[#list + 1] = r end
  end
  return list
end

if op == 'INF' then
  local held, line = listed(KEYS[2], 'h', 256), listed(KEYS[3], 'w', 256)
  local answer = {'INFO', text(now), text(capacity), text(holders), text(waiters), text(#held)}
  for _, r in ipairs(held) do
    for _, field in ipairs({r.id, r.label, text(r.number), text(r.till), text(r.weight)}) do
      answer[#answer + 1] = field
    end
  end
  answer[#answer + 1] = text(#line)
  for _, r in ipairs(line) do
    answer[#answer + 1] = r.id
    answer[#answer + 1] = r.label
  end
  return answer
end

local mine = record(id)
local was = mine and mine.role
local ending = op == 'REL' or op == 'CAN'
if mine and ending then remove(mine) end

-- Reap the expired. A lease that this very call gives back is not one of them.
local expired = {}
if form == 'Q' then
  expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now), 'LIMIT', 0, BOUND)
  more = #expired == BOUND
elseif form == 'F' then
  for who, r in pairs(loaded) do
    if r.till <= now then expired[1] = who end
  end
end
for _, who in ipairs(expired) do
  local r = record(who) or blank(who, 'h', 0, 0)
  if r.role == 'h' then
    remove(r)
    bury(who, 'x')
  end
end
-- The caller's own may be one of those that are left for the next calls.
if mine and mine.role == 'h' and mine.till <= now then
  remove(mine)
  bury(id, 'x')
end

local answer
local why = mine and mine.role == 'gone' and not ending and 'expired' or nil
if mine and mine.role == 'gone' then mine = nil end
if not was then why = fate(id) end

if op == 'ACQ' then
  local claim, live, ticket, inbox = string.match(ARGV[9], '^(%d+) (%d+) (%d+) (.*)$')
  local not_after = tonumber(ARGV[5])
  if mine and mine.role == 'w' then
    mine.till = now + live
    touch(mine)
  elseif not mine then
    if why then
      answer = {'GONE', why}
    elseif not_after > 0 and now > not_after then
      answer = {'GONE', 'late'}
    elseif holders + waiters > 0 and capacity ~= asked.capacity then
      answer = {'CAPACITY', text(capacity)}
    else
      capacity = asked.capacity
      -- A waiter that was dropped returns to its old place.
      ticket = tonumber(ticket)
      -- Where nobody is, no place is needed: the grant ticks, here as in the short way above.
      if ticket == 0 or ticket > clock then ticket = holders + waiters > 0 and tick() or clock end
      mine = blank(id, 'w', now + live, asked.weight)
      mine.number, mine.ttl, mine.claim, mine.live = ticket, asked.ttl, tonumber(claim), tonumber(live)
      mine.inbox, mine.label, loaded[id] = inbox, ARGV[7], mine
      waiters = waiters + 1
    end
  end
elseif op == 'REN' then
  if mine and mine.role == 'h' then
    mine.ttl = tonumber(ARGV[3])
    mine.till = math.max(mine.till, now + mine.ttl)
    -- What is left of a longer lease is its length from here on: the state is kept by that.
    mine.ttl = math.min(mine.till - now, 99999999999)
    touch(mine)
  elseif not mine then
    answer = {'LOST', why or 'unknown'}
  end
else
  local clean = ARGV[3] == '1'
  if was and clean then
    ring = id .. ',' .. sub(ring, 1, 69)
  elseif not clean then
    bury(id, 'f')
  end
  if op == 'CAN' then
    answer = {was == 'h' and 'WAS_GRANTED' or 'CANCELLED'}
  elseif was or why == 'finished' then
    answer = {'RELEASED'}
  elseif why then
    answer = {'LOST', why}
  else
    answer = {'UNKNOWN', text(now)}
  end
end

-- Promote: the head is granted while it fits; nobody overtakes it; a dead head is dropped.
local ahead, at, read = {}, 1, 0
local function head()
  while true do
    if not ahead[at] then
      ahead, at = form == 'Q' and redis.call('ZRANGE', KEYS[3], read, read + CHUNK - 1) or {}, 1
      read = read + #ahead
      if #ahead == 0 then break end
    end
    local r = record(ahead[at]) or blank(ahead[at], 'w', 0, 0)
    loaded[r.id] = r
    if r ~= mine and r.role == 'w' then
      if mine and mine.role == 'w'
          and (mine.number < r.number or (mine.number == r.number and mine.id < r.id)) then return mine end
      return r
    end
    at = at + 1
  end
  return mine and mine.role == 'w' and mine or nil
end

local pushes, passed = {}, 0
for step = 1, BOUND + 1 do
  local r = head()
  if not r then break end
  if step > BOUND then
    more = true
  elseif r ~= mine and r.till <= now then
    remove(r)
    passed = passed + 1
  elseif used + r.weight <= capacity then
    r.role, r.number, r.till = 'h', tick(), now + (r == mine and r.ttl or math.min(r.ttl, r.claim))
    holders, waiters, used = holders + 1, waiters - 1, used + r.weight
    passed = passed + 1
    touch(r)
    if r ~= mine and r.inbox ~= '' then
      pushes[#pushes + 1] = {r.inbox, 'GRANT ' .. r.id .. ' ' .. text(r.number) .. ' ' .. text(now) .. ' ' .. left(r.till)
        .. ' ' .. KEYS[1]}
    end
  else
    break
  end
end

-- The holder whose lease ends first: when to look again, and whom to name.
local function next_holder()
  local first
  if form == 'Q' then
    for _, who in ipairs(redis.call('ZRANGE', KEYS[2], 0, gone)) do
      local r = record(who)
      if r and r.role == 'h' then
        first = r
        break
      end
    end
  else
    for _, r in pairs(loaded) do
      if r.role == 'h' then first = r end
    end
  end
  for _, r in ipairs(touched) do
    if r.role == 'h' and (not first or r.till < first.till) then first = r end
  end
  return first and text(math.max(first.till - now, 0)) or '0', first and first.label or ''
end

if not answer then
  if mine.role == 'h' then
    answer = {op == 'REN' and 'OK' or 'GRANTED', text(mine.number), text(now), left(mine.till)}
  elseif op == 'REN' or ARGV[8] == '1' or was == 'w' then
    touch(mine)
    local rank = 0
    if form == 'Q' then rank = math.max(redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. text(mine.number)) - passed, 0) end
    local next, label = next_holder()
    answer = {'QUEUED', text(mine.number), text(now), next, text(rank), label}
  else
    waiters = waiters - 1
    local next, label = next_holder()
    answer = {'BUSY', next, text(waiters), label}
  end
end

if #touched > 0 or #tombs > 0 then
  -- The queue is about to be opened, and its key cleared: not if it holds something else.
  if form ~= 'Q' and (waiters > 0 or holders > 1) then redis.call('ZCARD', KEYS[3]) end
  -- A deletion first lets the rest run when memory is full: only a new request is refused.
  if op == 'ACQ' and not was then admit() else redis.call('HDEL', KEYS[4], '') end
  local keep = math.max(RETENTION_MS, pttl)
  local sole
  if form ~= 'Q' then
    for _, r in pairs(loaded) do
      if r.role == 'h' then
        sole = r
        touch(r)
      end
    end
  end
  for _, r in ipairs(touched) do
    if r.role ~= 'gone' then keep = math.max(keep, math.ceil((r.till - now) / 1000) + RETENTION_MS) end
  end
  if #tombs > 0 then
    -- More of those that are over than there can be new ones.
    local over = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', text(now), 'LIMIT', 0, 2 * BOUND)
    if #over > 0 then redis.call('ZREM', KEYS[5], unpack(over)) end
    for _, tomb in ipairs(tombs) do redis.call('ZADD', KEYS[5], text(now + TOMBSTONE), tomb) end
    redis.call('PEXPIRE', KEYS[5], text(TOMBSTONE / 1000 + RETENTION_MS))
  end
  local value
  if holders + waiters == 0 then
    if form == 'Q' then redis.call('DEL', KEYS[2], KEYS[3], KEYS[4]) end
    value, keep = state('I'), RETENTION_MS
  elseif form ~= 'Q' and waiters == 0 and holders == 1 then
    value = state('F') .. sole.id .. wide(sole.till - sole.ttl)
      .. string.format('%011.0f%010.0f%010.0f', sole.ttl, sole.weight, capacity) .. sole.label
  else
    if form ~= 'Q' then redis.call('DEL', KEYS[2], KEYS[3], KEYS[4]) end
    for _, r in ipairs(touched) do
      if r.role ~= 'h' then redis.call('ZREM', KEYS[2], r.id) end
      if r.role ~= 'w' then redis.call('ZREM', KEYS[3], r.id) end
      if r.role == 'gone' then
        redis.call('HDEL', KEYS[4], r.id)
      else
        redis.call('HSET', KEYS[4], r.id, pack(r))
        redis.call('ZADD', r.role == 'h' and KEYS[2] or KEYS[3], text(r.role == 'h' and r.till or r.number), r.id)
      end
    end
    for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], text(keep)) end
    value = queued_state()
  end
  redis.call('SET', KEYS[1], value, 'PX', text(keep))
end

-- Pushes come last and may fail: where an ACL forbids the channel, the grant stands.
local mute = false
for _, push in ipairs(pushes) do
  local sent = redis.pcall('PUBLISH', push[1], push[2])
  mute = mute or type(sent) == 'table'
end
local flags = {}
if more then flags[1] = 'more' end
if mute then flags[#flags + 1] = 'nopush' end
if excess then flags[#flags + 1] = 'floor' end
if #flags > 0 then answer[#answer + 1] = table.concat(flags, ',') end
return answer
