-- The counter, server side. server.rs is the same in Rust; mod.rs tells the layout and the promises.
-- KEYS: counter.   ARGV: op, then a slot's id or what the op takes.
-- ADD and RETIRE take P, N, a mark, and P and N as they were acknowledged to the owner.
-- A slot is P, N, the mark of its last raise and that raise's moment: 20, 20, 20 and 16 digits. A retired one
-- has 'r' and the id that was retired next behind them. Sums are decimal text of any length, added in limbs.
local op, id, key = ARGV[1], ARGV[2], KEYS[1]
local REPLAY, SHARED = string.rep('0', 20), '18446744073709551615'
local LIMIT, FIELDS, RETENTION, BOUND, PAGE = 65536, 13, 604800000000, 16, '256'
local NONE, PEER = string.rep('0', 60), '9999999999999999'

local function limbs(text)
  local list = {}
  for last = #text, 1, -7 do list[#list + 1] = tonumber(string.sub(text, math.max(last - 6, 1), last)) end
  return list
end

-- a + b - c, exactly; c is not above b.
local function sum(a, b, c)
  a, b, c = limbs(a), limbs(b), limbs(c or '0')
  local text, carry = '', 0
  for i = 1, math.max(#a, #b) + 1 do
    local limb = (a[i] or 0) + (b[i] or 0) - (c[i] or 0) + carry
    carry = math.floor(limb / 10000000)
    text = string.format('%07.0f', limb - carry * 10000000) .. text
  end
  text = string.gsub(text, '^0+', '')
  return text == '' and '0' or text
end

local function highest(a, b) return a > b and a or b end
local function within(slot, p, n) return string.sub(slot, 1, 20) <= p and string.sub(slot, 21, 40) <= n end

local f = redis.call('HMGET', key, 'tp', 'tn', 'zp', 'zn', 'fp', 'fn', 'ep', 'v', 'hw', 'gc', 'head', 'tail', 'ops',
  id)
local slot = f[14]
local tp, tn, zp, zn, fp, fn = f[1] or '0', f[2] or '0', f[3] or '0', f[4] or '0', f[5] or '0', f[6] or '0'
local epoch, version, hw, gc = f[7] or '0', f[8] or '0', f[9] or '0', f[10] or '0000000000000000'
local head, tail, ops = f[11] or '', f[12] or '', f[13] or ''

local function answer(verb, before, own)
  return {verb, string.sub(before or NONE, 1, 60), string.sub(own or NONE, 1, 40), tp, tn, zp, zn, epoch, version}
end

if op == 'GET' then
  return answer(not slot and 'NONE' or #slot > 76 and 'RETIRED' or 'LIVE', slot, slot)
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(n) return string.format('%.0f', n) end
local function tick() version = text(math.max(version + 1, now)) end

if op == 'JOIN' then
  hw = text(math.max(hw + 1, now))
  redis.call('HSET', key, 'hw', hw)
  local joined = answer('JOINED')
  joined[10] = hw
  return joined
end

if op == 'RESET' then
  local at, own = string.find(ops, id, 1, true), redis.call('HGET', key, ARGV[4])
  if not at and ARGV[3] ~= epoch then return answer('CONFLICT', own, own) end
  if not at then
    tick()
    zp, zn, epoch = tp, tn, text(epoch + 1)
    ops = id .. string.format('%016.0f', epoch) .. string.sub(ops, 1, 266)
    redis.call('HSET', key, 'zp', zp, 'zn', zn, 'ep', epoch, 'v', version, 'ops', ops)
    at = 1
  end
  local reset = answer('RESET', own, own)
  reset[10] = text(tonumber(string.sub(ops, at + 22, at + 37)))
  return reset
end

if op == 'SCAN' then
  local page = redis.call('HSCAN', key, id, 'COUNT', PAGE)
  local part = answer('PART')
  part[10], part[11], part[12], part[13] = page[1], fp, fn, text(now)
  for i = 1, #page[2], 2 do
    if #page[2][i] == 38 then
      part[#part + 1] = page[2][i]
      part[#part + 1] = string.sub(page[2][i + 1], 1, 77)
    end
  end
  return part
end

if op == 'FIX' then
  if version ~= ARGV[3] then return answer('MOVED') end
  tp, tn = ARGV[4], ARGV[5]
  tick()
  redis.call('HSET', key, 'tp', tp, 'tn', tn, 'v', version)
  return answer('FIXED')
end

-- ADD and RETIRE: the slot becomes the maximum of what it was and of what is told. All reads come before
-- the first write, and everything is written by one call.
local p, n, mark = ARGV[3], ARGV[4], ARGV[5]
local before, writes, drops = slot or NONE, {}, {}
local function put(field, value)
  writes[#writes + 1] = field
  writes[#writes + 1] = value
end
-- An id that is gone may have been counted and folded: it is never minted again.
if not slot and string.sub(id, 23) <= gc then return answer('UNKNOWN') end
local oldp, oldn = string.sub(before, 1, 20), string.sub(before, 21, 40)
local newp, newn = highest(oldp, p), highest(oldn, n)
local raised = newp ~= oldp or newn ~= oldn
if not slot and not raised then return answer('NONE') end
if not slot and redis.call('HLEN', key) >= LIMIT + FIELDS then return answer('FULL') end

local retired = slot and #slot > 76
local peer = string.sub(id, 23) == PEER
local retiring = op == 'RETIRE' and not retired and not peer
if not raised and not retiring then return answer(retired and 'RETIRED' or 'LIVE', before, before) end
tick()
-- What was not acknowledged to the owner, somebody else has told: a copy of it, or who restored its bytes.
if mark ~= REPLAY and not within(before, ARGV[6], ARGV[7]) then
  mark = string.sub(before, 41, 60) == REPLAY and REPLAY or SHARED
end
local stamp = retired and string.sub(slot, 61, 76) or string.format('%016.0f', version)
local value = newp .. newn .. (raised and mark or string.sub(before, 41, 60)) .. stamp
if retired then value = value .. string.sub(slot, 77) end
if retiring then value = value .. 'r' end
if not slot and not peer then put('hw', text(math.max(hw, tonumber(string.sub(id, 23))))) end
if raised then
  tp, tn = sum(tp, newp, oldp), sum(tn, newn, oldn)
  put('tp', tp)
  put('tn', tn)
end
put('v', version)
put(id, value)

if retiring then
  -- Retired slots are a list in the order of their retirement. The old ones at its head are folded.
  local last, folded = tail, 0
  while head ~= '' and folded < BOUND do
    local oldest = redis.call('HGET', key, head)
    if not oldest or tonumber(string.sub(oldest, 61, 76)) + RETENTION > now then break end
    fp, fn = sum(fp, string.sub(oldest, 1, 20)), sum(fn, string.sub(oldest, 21, 40))
    gc = highest(gc, string.sub(head, 23))
    drops[#drops + 1] = head
    head, folded = string.sub(oldest, 78), folded + 1
  end
  if folded > 0 then
    put('fp', fp)
    put('fn', fn)
    put('gc', gc)
  end
  local linked = head ~= '' and redis.call('HGET', key, last)
  if linked then put(last, linked .. id) else head = id end
  put('head', head)
  put('tail', id)
end
redis.call('HSET', key, unpack(writes))
if #drops > 0 then redis.call('HDEL', key, unpack(drops)) end
return answer((retired or retiring) and 'RETIRED' or 'LIVE', before, value)
